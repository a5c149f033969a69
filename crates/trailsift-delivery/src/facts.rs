//! What sinks need to know of an event beside its bytes: when it was, whose, and by what name it
//! can be told from all others.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trailsift_core::Entry;
use trailsift_event::Event;

/// When it was: `eventTime`, or of a line of the quarantine its `time`.
pub fn time(event: &Event<'_>) -> Option<OffsetDateTime> {
    let text = event.text("eventTime").or_else(|| event.text("time"))?;
    OffsetDateTime::parse(&text, &Rfc3339).ok()
}

/// The account whose event it is.
pub fn account<'r>(event: &Event<'r>) -> Option<Cow<'r, str>> {
    event.text("recipientAccountId")
}

/// The region that it is of.
pub fn region<'r>(event: &Event<'r>) -> Option<Cow<'r, str>> {
    event.text("awsRegion")
}

/// The longest `eventID` that is taken for one; they are UUIDs of 36 characters.
const LONGEST_ID: usize = 128;

/// The same for the same event, however often it is read, and no other event's: `eventID`, or where
/// there is none that looks like one, 64 hexadecimal digits of where it was found and what it says.
///
/// Where it was found is not enough: a quarantine has several lines about one place.
pub fn id<'r>(entry: &Entry, event: &Event<'r>) -> Cow<'r, str> {
    let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    let fits = |id: &Cow<'_, str>| id.len() <= LONGEST_ID && id.bytes().all(legal);
    event.text("eventID").filter(fits).unwrap_or_else(|| Cow::Owned(derived(entry)))
}

fn derived(entry: &Entry) -> String {
    let source = &entry.source;
    let version = source.version_id.as_deref().unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [source.bucket.as_str(), &source.key, version] {
        // Each with its length, so that no two places are written alike.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(entry.index.to_be_bytes());
    hash.update(&entry.record);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    fn id_of(entry: &Entry) -> String {
        id(entry, &Event::new(&entry.record)).into_owned()
    }

    #[test]
    fn an_event_without_a_usable_id_gets_one_of_its_place_and_content() {
        let long = format!(r#"{{"eventID":"{}"}}"#, "a".repeat(129));
        let texts =
            [r#"{"eventID":"0f-A9"}"#, r#"{"eventID":"a\nb"}"#, r#"{"eventID":7}"#, "{}", &long];
        let ids: Vec<_> = batch(texts).entries.iter().map(id_of).collect();
        assert_eq!(ids[0], "0f-A9");
        assert!(ids[1..].iter().all(|id| id.len() == 64), "{ids:?}");
        let again: Vec<_> = batch(texts).entries.iter().map(id_of).collect();
        assert_eq!(ids, again, "stable");
        let mut other = batch(["{}", "{ }"]);
        other.entries[1].index = 0;
        assert_ne!(id_of(&other.entries[0]), id_of(&other.entries[1]), "same place, other content");
        other.entries[1] = other.entries[0].clone();
        other.entries[1].index = 1;
        assert_ne!(id_of(&other.entries[0]), id_of(&other.entries[1]), "other place");
    }

    #[test]
    fn times_are_read_with_and_without_fractions() {
        for (record, milliseconds) in [
            (r#"{"eventTime":"2026-01-31T23:59:59Z"}"#, Some(1_769_903_999_000)),
            (r#"{"eventTime":"2026-01-31T23:59:59.250Z"}"#, Some(1_769_903_999_250)),
            (r#"{"time":"2026-01-31T23:59:59Z"}"#, Some(1_769_903_999_000)),
            (r#"{"eventTime":"yesterday"}"#, None),
            (r#"{}"#, None),
        ] {
            let found = time(&Event::new(record.as_bytes()));
            let found = found.map(|time| time.unix_timestamp_nanos() / 1_000_000);
            assert_eq!(found, milliseconds, "{record}");
        }
    }
}
