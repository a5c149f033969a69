//! What was read and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use trailsift_trail::Counts;

/// What a thread, or all of them, have done.
#[derive(Debug, Default)]
pub(super) struct Summary {
    files: u64,
    stored: u64,
    inflated: u64,
    records: u64,
    /// How many records were selected.
    pub(super) selected: u64,
    skipped: BTreeMap<&'static str, u64>,
    bad_files: BTreeMap<&'static str, u64>,
    bad_records: BTreeMap<&'static str, u64>,
}

impl Summary {
    /// What a thread that panicked has to say.
    pub(super) fn crashed() -> Self {
        let mut summary = Self::default();
        summary.failed("panic");
        summary
    }

    pub(super) fn file(&mut self, counts: Counts) {
        self.files += 1;
        self.stored += counts.stored;
        self.inflated += counts.inflated;
        self.records += counts.seen;
        self.selected += counts.selected;
    }

    pub(super) fn skipped(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    pub(super) fn failed(&mut self, reason: &'static str) {
        *self.bad_files.entry(reason).or_default() += 1;
    }

    pub(super) fn bad_record(&mut self, reason: &'static str) {
        *self.bad_records.entry(reason).or_default() += 1;
    }

    /// Whether everything could be read.
    pub(super) fn is_clean(&self) -> bool {
        self.bad_files.is_empty() && self.bad_records.is_empty()
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        self.files += other.files;
        self.stored += other.stored;
        self.inflated += other.inflated;
        self.records += other.records;
        self.selected += other.selected;
        for (mine, others) in [
            (&mut self.skipped, other.skipped),
            (&mut self.bad_files, other.bad_files),
            (&mut self.bad_records, other.bad_records),
        ] {
            for (reason, count) in others {
                *mine.entry(reason).or_default() += count;
            }
        }
        self
    }

    /// For people, several lines without a break at the end.
    pub(super) fn text(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs_f64();
        let rate = self.inflated as f64 / 1e6 / seconds.max(1e-9);
        let mut files = grouped(self.files);
        for (what, counts) in [("skipped", &self.skipped), ("bad", &self.bad_files)] {
            if !counts.is_empty() {
                files.push_str(&format!("; {what}: {}", by_reason(counts)));
            }
        }
        let mut records = grouped(self.records);
        if !self.bad_records.is_empty() {
            records.push_str(&format!("; bad: {}", by_reason(&self.bad_records)));
        }
        format!(
            "files     {files}\nrecords   {records}\nselected  {}\n\
             bytes     {} read, {} inflated\nspeed     {rate:.0} MB/s in {seconds:.2} s",
            grouped(self.selected),
            grouped(self.stored),
            grouped(self.inflated),
        )
    }
}

fn by_reason(counts: &BTreeMap<&'static str, u64>) -> String {
    let parts: Vec<_> =
        counts.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect();
    parts.join(", ")
}

/// 1234567 as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_everything_once() {
        let mut one = Summary::default();
        one.file(Counts {
            stored: 1_000,
            inflated: 2_000_000,
            seen: 1_234,
            selected: 2,
            ..Counts::default()
        });
        one.skipped("digest");
        let mut other = Summary::default();
        other.failed("gzip_crc");
        other.bad_record("record_type");
        other.skipped("digest");
        let sum = one.plus(other);
        assert!(!sum.is_clean());
        assert_eq!(
            sum.text(Duration::from_secs(2)),
            "files     1; skipped: 2 digest; bad: 1 gzip_crc\n\
             records   1,234; bad: 1 record_type\n\
             selected  2\n\
             bytes     1,000 read, 2,000,000 inflated\n\
             speed     1 MB/s in 2.00 s"
        );
    }
}
