//! Sizes and durations as people write them: `"64MiB"`, `"30s"`.

use std::fmt;
use std::time::Duration;

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A number of bytes. Shown in the largest unit that divides it, and read back the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many times 2^20 bytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads a whole number and a unit: `"64MiB"`, `"500 KB"`, `"12B"`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = number_and_unit(text)?;
        let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        count.checked_mul(*factor).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZES.iter().filter(|(name, _)| name.len() != 2);
        let fits = |(_, factor): &&(&str, u64)| self.0.is_multiple_of(*factor) && self.0 != 0;
        let (unit, factor) = binary.into_iter().find(fits).copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Reads whole numbers with units, largest first or not: `"30s"`, `"1h 30m"`, `"250ms"`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit_end = rest[digits..]
            .find(|c: char| !c.is_ascii_alphabetic())
            .map_or(rest.len(), |length| digits + length);
        let count: u64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..unit_end];
        let (_, factor) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(count.checked_mul(*factor)?)?;
        rest = rest[unit_end..].trim_start();
    }
    Some(Duration::from_millis(total))
}

/// The shortest exact form of a duration of whole milliseconds, as [`parse_duration`] reads it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, factor): &&(&str, u64)| millis != 0 && millis.is_multiple_of(*factor);
    let unit = DURATIONS.iter().rev().find(fits);
    let (unit, factor) = unit.copied().unwrap_or(if millis == 0 { ("s", 1) } else { ("ms", 1) });
    format!("{}{unit}", millis / factor)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count = text[..digits].parse().ok()?;
    Some((count, text[digits..].trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("500 KB", 500_000),
            ("1mib", 1 << 20),
            ("7B", 7),
            ("0B", 0),
        ] {
            assert_eq!(ByteSize::parse(text), Some(ByteSize(bytes)), "{text}");
        }
        for text in ["", "64", "MiB", "-1B", "1.5GiB", "1XiB", "99999999999TiB", "1 2B", "٣B"] {
            assert_eq!(ByteSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in
            [("30s", 30_000), ("200ms", 200), ("1h 30m", 5_400_000), ("5m", 300_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", " ", "30", "s", "-1s", "1.5s", "1w", "30S", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(bytes: u64, millis in 0..u64::MAX) {
            let size = ByteSize(bytes);
            prop_assert_eq!(ByteSize::parse(&size.to_string()), Some(size));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&duration_text(duration)), Some(duration));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text: String) {
            let _: (Option<ByteSize>, Option<Duration>) =
                (ByteSize::parse(&text), parse_duration(&text));
        }
    }
}
