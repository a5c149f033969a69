use std::borrow::Cow;
use std::time::SystemTime;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Deserialize)]
struct Dated<'a> {
    #[serde(rename = "eventTime", borrow)]
    event_time: Option<Cow<'a, str>>,
}

/// When the call was made, as the record's `eventTime` says (UTC, in whole seconds). For lags, never
/// for a decision: `None` where it is missing or cannot be read.
pub fn event_time(record: &[u8]) -> Option<SystemTime> {
    let dated: Dated<'_> = serde_json::from_slice(record).ok()?;
    Some(OffsetDateTime::parse(&dated.event_time?, &Rfc3339).ok()?.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_records_own_time_is_read_and_nothing_else() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let nested =
            br#"{"a":{"eventTime":"2001-01-01T00:00:00Z"},"eventTime":"2023-11-14T22:13:20Z"}"#;
        assert_eq!(event_time(nested), at(1_700_000_000));
        assert_eq!(event_time(br#"{"event\u0054ime":"1970-01-01T00:00:01Z"}"#), at(1));
        for without in ["{}", r#"{"eventTime":null}"#, r#"{"eventTime":"yesterday"}"#, "[", "7"] {
            assert_eq!(event_time(without.as_bytes()), None, "{without}");
        }
    }
}
