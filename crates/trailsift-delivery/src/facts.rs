//! What sinks need to know of an event beside its bytes: by what name it can be told from all others,
//! when it was, and whose it is. One rule for all of them, so that an event has the same name and the
//! same day wherever it is delivered.
//!
//! Everything here is text that whoever can write into a trail may choose: identifiers are narrowed to
//! characters that no sink has to escape, other text is not.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use trailsift_core::{Entry, Revision};
use trailsift_event::Event;

/// The most characters of an identifier: what the pickiest of the services takes. CloudTrail's event
/// IDs are UUIDs of 36, its accounts twelve digits.
const LONGEST: usize = 128;

/// What tells an event from all others, wherever it is sent and however often: its `eventID`. A record
/// that has none which can be an identifier gets the [`fingerprint`] of its place and its bytes.
///
/// Where it stands alone would not do: a quarantine has several lines about one place. Nor would what
/// it says: two equal records in two places may be two events, and where an identifier deduplicates
/// (a FIFO queue, the documents of an index) the second would be lost.
pub fn id<'r>(entry: &Entry, event: &Event<'r>) -> Cow<'r, str> {
    let named = event.text("eventID").filter(|id| is_identifier(id));
    named.unwrap_or_else(|| Cow::Owned(fingerprint([(entry, &*entry.record)])))
}

/// The SHA-256, in 64 hexadecimal digits, of events in this order: of each its bucket, key, revision
/// and place, and the bytes that are given with it. The same again whenever the same revisions of the
/// files are read, and another one for anything else.
///
/// The revision is the ledger's own ([`Revision::of`]): the version, or the entity tag where there is
/// none. What counts as a new object there counts as new events here; otherwise an event that is
/// delivered as a new one would be taken for an old one where it arrives. So a file that is uploaded
/// anew with equal bytes but another entity tag (in parts, or under a key of KMS) costs duplicates, and
/// never an event.
pub fn fingerprint<'e>(events: impl IntoIterator<Item = (&'e Entry, &'e [u8])>) -> String {
    let mut hash = Sha256::new();
    // Each part counts with its length, so that no two lists are written alike.
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (entry, bytes) in events {
        let source = &entry.source;
        part(source.bucket.as_bytes());
        part(source.key.as_bytes());
        match Revision::of(source.version_id.as_deref(), source.etag.as_deref()) {
            Some(Revision::Version(version)) => part(format!("version {version}").as_bytes()),
            Some(Revision::Etag(etag)) => part(format!("etag {etag}").as_bytes()),
            None => part(b""),
        }
        part(&entry.index.to_be_bytes());
        part(bytes);
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// When it was, in UTC: `eventTime`; of a line of the quarantine, which has none, its `time`. `None`
/// where that is no time.
pub fn time(event: &Event<'_>) -> Option<OffsetDateTime> {
    let text = event.text("eventTime").or_else(|| event.text("time"))?;
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    // The year 0 of another offset; no partition and no index has a sign in its name.
    Some(time).filter(|time| time.year() >= 0)
}

/// The account that the record itself says it belongs to, as it stands there.
pub fn account<'r>(event: &Event<'r>) -> Option<Cow<'r, str>> {
    event.text("recipientAccountId")
}

/// The account that the event belongs to, as an identifier: the record's own word, or else the
/// configured account in whose files it stands.
pub fn owner<'e>(entry: &'e Entry, event: &Event<'e>) -> Cow<'e, str> {
    let configured = || match &*entry.source.account {
        account if is_identifier(account) => Cow::Borrowed(account),
        _ => Cow::Borrowed("unknown"),
    };
    account(event).filter(|account| is_identifier(account)).unwrap_or_else(configured)
}

/// The region that it is of, as it stands in the record.
pub fn region<'r>(event: &Event<'r>) -> Option<Cow<'r, str>> {
    event.text("awsRegion")
}

/// Whether every sink can use a text as an identifier, written as it is: SQS and SNS take letters,
/// digits and the punctuation of ASCII without white space, and JSON escapes two of these.
fn is_identifier(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use trailsift_core::Source;

    use super::*;
    use crate::testing::batch;

    fn entry(record: &str) -> Entry {
        batch([record]).entries.remove(0)
    }

    /// The same entry in a file that differs in something.
    fn elsewhere(entry: &Entry, change: impl FnOnce(&mut Source)) -> Entry {
        let mut source = (*entry.source).clone();
        change(&mut source);
        Entry { source: source.into(), ..entry.clone() }
    }

    fn id_of(entry: &Entry) -> String {
        id(entry, &Event::new(&entry.record)).into_owned()
    }

    #[test]
    fn an_event_is_known_by_its_event_id_wherever_it_stands() {
        for known in ["0b8a7c9e-1111-4222-8333-444455556666", "a.b:c/d+e_f=", "x"] {
            let one = entry(&format!(r#"{{"eventID":"{known}"}}"#));
            assert_eq!(id_of(&one), known);
            assert_eq!(id_of(&elsewhere(&one, |source| source.key = "other".into())), known);
        }
    }

    #[test]
    fn an_event_without_a_usable_id_gets_one_of_its_place_and_content() {
        let long = format!(r#"{{"eventID":"{}"}}"#, "a".repeat(129));
        let odd = [
            r#"{"eventID":""}"#,
            r#"{"eventID":"a\nb"}"#,
            r#"{"eventID":"a b"}"#,
            r#"{"eventID":"a\"b"}"#,
            r#"{"eventID":"a\\b"}"#,
            r#"{"eventID":"ü"}"#,
            r#"{"eventID":7}"#,
            "{}",
            "[]",
            &long,
        ];
        let mut ids: Vec<_> = odd.iter().map(|record| id_of(&entry(record))).collect();
        assert!(ids.iter().all(|id| id.len() == 64), "{ids:?}");
        let again: Vec<_> = odd.iter().map(|record| id_of(&entry(record))).collect();
        assert_eq!(ids, again, "the same when it is read again");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), odd.len(), "same place, other content");
    }

    #[test]
    fn equal_records_in_two_places_or_two_revisions_are_two_events() {
        let here = entry("{}");
        let etag = |tag: &str| elsewhere(&here, |source| source.etag = Some(tag.to_owned()));
        let version = |version: &str, tag: &str| {
            elsewhere(&here, |source| {
                (source.version_id, source.etag) = (Some(version.to_owned()), Some(tag.to_owned()));
            })
        };
        let places = [
            here.clone(),
            Entry { index: 1, ..here.clone() },
            elsewhere(&here, |source| source.bucket = "other".into()),
            elsewhere(&here, |source| source.key = "other".into()),
            etag("abc"),
            etag("abd"),
            version("abc", "x"),
            version("v2", "x"),
        ];
        let mut ids: Vec<_> = places.iter().map(id_of).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), places.len());

        assert_eq!(id_of(&etag("abc")), id_of(&etag("\"abc\"")), "S3 writes it both ways");
        assert_eq!(id_of(&version("v2", "x")), id_of(&version("v2", "y")), "one version");
        let suspended = version("null", "abc");
        assert_eq!(id_of(&suspended), id_of(&etag("abc")), "this version is overwritten in place");
        let renamed = elsewhere(&here, |source| source.account = "other".into());
        assert_eq!(id_of(&renamed), id_of(&here), "a label of the configuration is no place");
    }

    #[test]
    fn times_are_read_with_and_without_fractions_and_told_in_utc() {
        for (record, milliseconds) in [
            (r#"{"eventTime":"2026-01-31T23:59:59Z"}"#, Some(1_769_903_999_000)),
            (r#"{"eventTime":"2026-01-31T23:59:59.250Z"}"#, Some(1_769_903_999_250)),
            (r#"{"eventTime":"2026-02-01T01:59:59+02:00"}"#, Some(1_769_903_999_000)),
            (r#"{"time":"2026-01-31T23:59:59Z"}"#, Some(1_769_903_999_000)),
            (
                r#"{"time":"2026-11-11T00:00:00Z","eventTime":"2026-01-31T23:59:59Z"}"#,
                Some(1_769_903_999_000),
            ),
            (r#"{"time":"2026-01-31T23:59:59Z","eventTime":"yesterday"}"#, None),
            (r#"{"eventTime":"0000-01-01T00:00:00+23:00"}"#, None),
            (r#"{}"#, None),
        ] {
            let found = time(&Event::new(record.as_bytes()));
            assert!(found.is_none_or(|time| time.offset() == UtcOffset::UTC), "{record}");
            let found = found.map(|time| time.unix_timestamp_nanos() / 1_000_000);
            assert_eq!(found, milliseconds, "{record}");
        }
    }

    #[test]
    fn an_event_belongs_to_its_recipient_or_else_to_the_configured_account() {
        let owner_of = |entry: &Entry| owner(entry, &Event::new(&entry.record)).into_owned();
        assert_eq!(owner_of(&entry(r#"{"recipientAccountId":"111122223333"}"#)), "111122223333");
        for nothing in ["{}", r#"{"recipientAccountId":""}"#, r#"{"recipientAccountId":"a b"}"#] {
            assert_eq!(owner_of(&entry(nothing)), "production", "{nothing}");
        }
        let nobodys = elsewhere(&entry("{}"), |source| source.account.clear());
        assert_eq!(owner_of(&nobodys), "unknown");
    }
}
