//! What sinks read from a record: the names and the time that a service wants beside the event.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trailsift_core::Entry;
use trailsift_event::Event;

/// The most characters that an identifier may have at the pickiest of the services.
const MOST: usize = 128;

/// What identifies the event, wherever it is sent and however often: its `eventID`. A record without
/// one, or with one that services do not take as an identifier, has the hash of where it stands and of
/// what it says: the same again whenever the same revision of its file is read.
///
/// Where it stands is not enough: a quarantine has many lines about one place, or about none, and a
/// FIFO queue would take the first of them for all.
pub(crate) fn event_id(entry: &Entry) -> String {
    let named = Event::new(&entry.record).text("eventID");
    match named.filter(|id| is_identifier(id)) {
        Some(id) => id.into_owned(),
        None => derived(entry),
    }
}

/// The account that the event belongs to: the record's `recipientAccountId`, or else the configured
/// account in whose files it stands.
pub(crate) fn account(entry: &Entry) -> String {
    let named = Event::new(&entry.record).text("recipientAccountId");
    match named.filter(|account| is_identifier(account)) {
        Some(account) => account.into_owned(),
        None if is_identifier(&entry.source.account) => entry.source.account.clone(),
        None => hash([entry.source.account.as_bytes()]),
    }
}

/// The record's `eventTime`, where it has one that can be read.
pub(crate) fn event_time(entry: &Entry) -> Option<OffsetDateTime> {
    let text = Event::new(&entry.record).text("eventTime")?;
    OffsetDateTime::parse(&text, &Rfc3339).ok()
}

/// Letters, digits and the punctuation of ASCII without white space: what SQS and SNS take as a
/// deduplication or group ID.
fn is_identifier(text: &str) -> bool {
    (1..=MOST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn derived(entry: &Entry) -> String {
    let source = &entry.source;
    let revision = source.version_id.as_deref().or(source.etag.as_deref()).unwrap_or_default();
    hash([
        source.bucket.as_bytes(),
        source.key.as_bytes(),
        revision.as_bytes(),
        &entry.index.to_be_bytes(),
        &entry.record,
    ])
}

/// In hexadecimal digits. Each part counts with its length, so that no two lists have one text.
fn hash<const N: usize>(parts: [&[u8]; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use trailsift_core::Source;

    use super::*;

    fn entry(record: &str) -> Entry {
        let source = Source {
            account: "production".into(),
            bucket: "org-trail".into(),
            key: "a/1.json.gz".into(),
            version_id: None,
            etag: Some("\"abc\"".into()),
        };
        let record = Bytes::from(record.to_owned());
        Entry { data: record.clone(), record, index: 7, source: Arc::new(source) }
    }

    #[test]
    fn an_event_is_known_by_its_event_id() {
        let id = event_id(&entry(r#"{"eventID":"0b8a-1"}"#));
        assert_eq!(id, "0b8a-1");
    }

    #[test]
    fn without_a_usable_event_id_its_place_and_content_stand_for_it() {
        let place = event_id(&entry("{}"));
        assert_eq!(place.len(), 64);
        let long = format!(r#"{{"eventID":"{}"}}"#, "x".repeat(129));
        for odd in [r#"{"eventID":""}"#, r#"{"eventID":7}"#, r#"{"eventID":"a b"}"#, "[]", &long] {
            let id = event_id(&entry(odd));
            assert_eq!((id.len(), &id), (64, &event_id(&entry(odd))), "{odd}");
            assert_ne!(id, place, "same place, other content: {odd}");
        }
        let mut other = entry("{}");
        other.index = 8;
        assert_ne!(event_id(&other), place);
    }

    #[test]
    fn an_event_belongs_to_its_recipient_or_else_to_the_configured_account() {
        let recipient = entry(r#"{"recipientAccountId":"111122223333"}"#);
        assert_eq!(account(&recipient), "111122223333");
        assert_eq!(account(&entry("{}")), "production");
    }

    #[test]
    fn the_time_is_the_events_own() {
        let time = event_time(&entry(r#"{"eventTime":"2026-11-16T01:02:03Z"}"#));
        assert_eq!(time.map(OffsetDateTime::unix_timestamp), Some(1_794_790_923));
        assert_eq!(event_time(&entry(r#"{"eventTime":"yesterday"}"#)), None);
        assert_eq!(event_time(&entry("{}")), None);
    }
}
