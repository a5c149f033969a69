//! When something happened, as a record says it.

use std::fmt;

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// A moment in UTC, of the years 0 to 9999. It is written in RFC 3339, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment(OffsetDateTime);

impl Moment {
    /// 1970-01-01T00:00:00Z, for what needs a time and has none.
    pub(super) const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// The moment that a text of RFC 3339 tells; `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let moment = moment.checked_to_offset(UtcOffset::UTC)?;
        (0..=9999).contains(&moment.year()).then_some(Self(moment))
    }

    /// Milliseconds since 1970, what is finer than that cut off.
    pub(super) fn millis(self) -> i64 {
        self.0.unix_timestamp() * 1000 + i64::from(self.0.millisecond())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORMAT: &[BorrowedFormatItem<'_>] = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        let text = self.0.format(FORMAT).map_err(|_| fmt::Error)?;
        out.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_what_rfc_3339_says() {
        for (text, written, millis) in [
            ("2019-11-27T03:46:35Z", "2019-11-27T03:46:35.000Z", 1_574_826_395_000),
            ("2019-11-27T03:46:35.6629Z", "2019-11-27T03:46:35.662Z", 1_574_826_395_662),
            ("2019-11-27T05:16:35+01:30", "2019-11-27T03:46:35.000Z", 1_574_826_395_000),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500Z", -500),
        ] {
            let moment = Moment::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((moment.to_string().as_str(), moment.millis()), (written, millis), "{text}");
        }
        assert_eq!(Moment::EPOCH.to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "20131102T010628Z",
            "2019-11-27",
            "2019-02-29T00:00:00Z",
            "2019-11-27T03:46:35",
            "Oct 2, 2019 11:12:29 PM",
            "1574826395",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
