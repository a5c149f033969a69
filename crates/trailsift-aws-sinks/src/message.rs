//! What SQS and SNS have in common: the characters that they take, and FIFO.

use std::borrow::Cow;

use trailsift_core::{Entry, Reason, SinkError};
use trailsift_delivery::facts;
use trailsift_event::Event;

/// What a FIFO queue or topic keeps in order: its `MessageGroupId`. Elsewhere it has no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageGroup {
    /// The events of one account are a group: a consumer gets the next of them once it is done with
    /// those before.
    #[default]
    Account,
    /// Every event is a group of its own: there is no order, and nothing waits for anything.
    Event,
}

/// Whether a queue or a topic is first-in-first-out: its name says so.
pub(crate) fn is_fifo(name: &str) -> bool {
    name.ends_with(".fifo")
}

/// The two IDs of a message for a FIFO queue or topic.
pub(crate) struct Order {
    pub(crate) group: String,
    pub(crate) deduplication: String,
}

impl Order {
    pub(crate) fn of(entry: &Entry, group: MessageGroup) -> Self {
        let event = Event::new(&entry.record);
        let deduplication = facts::id(entry, &event).into_owned();
        let group = match group {
            MessageGroup::Account => facts::owner(entry, &event).into_owned(),
            MessageGroup::Event => deduplication.clone(),
        };
        Self { group, deduplication }
    }
}

/// The event as text. SQS and SNS take what XML 1.0 takes; of the characters that JSON allows unescaped,
/// U+FFFE and U+FFFF are not in it, and SQS is documented to replace such characters in silence. JSON
/// has them in strings only, so here they are escaped: the value is the same, and arrives.
pub(crate) fn body(entry: &Entry) -> Result<Cow<'_, str>, SinkError> {
    let text = text(entry)?;
    if !text.contains(['\u{fffe}', '\u{ffff}']) {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")))
}

/// The event as text, as it is. An empty one is refused here, since services refuse the whole call for it.
pub(crate) fn text(entry: &Entry) -> Result<&str, SinkError> {
    if entry.data.is_empty() {
        return Err(SinkError::poison(Reason::SinkRejected, "the event has no bytes"));
    }
    std::str::from_utf8(&entry.data).map_err(|_| {
        SinkError::poison(
            Reason::SinkRejected,
            "the event is not UTF-8, and the service takes text",
        )
    })
}

/// An error unless the service takes an event of this size.
pub(crate) fn fits(bytes: usize, most: usize) -> Result<(), SinkError> {
    if bytes <= most {
        return Ok(());
    }
    Err(SinkError::poison(
        Reason::SinkRecordTooLarge,
        format!("the event takes {bytes} bytes, the service takes at most {most}"),
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use trailsift_core::{Disposition, Source};

    use super::*;

    fn entry(data: &[u8]) -> Entry {
        let source = Source {
            account: "production".into(),
            bucket: "b".into(),
            key: "k".into(),
            version_id: None,
            etag: None,
        };
        let data = Bytes::copy_from_slice(data);
        Entry { record: data.clone(), data, index: 0, source: Arc::new(source) }
    }

    #[test]
    fn an_event_is_sent_as_it_is() {
        let odd = "{\"a\":\"Zürich \u{7f}\u{85}\u{feff}\u{fffd}\u{1fffe} \\u0000\",\n\t\"b\":1.50}";
        let odd = entry(odd.as_bytes());
        assert!(matches!(body(&odd), Ok(Cow::Borrowed(text)) if text.as_bytes() == odd.data));
    }

    #[test]
    fn characters_that_would_be_replaced_in_silence_are_escaped_and_the_value_is_the_same() {
        let odd = entry("{\"a\":\"x\u{fffe}\u{ffff}\\\\\u{fffe}y\"}".as_bytes());
        let sent = body(&odd).expect("text");
        assert_eq!(sent, r#"{"a":"x\ufffe\uffff\\\ufffey"}"#);
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        assert_eq!(value(sent.as_bytes()), value(&odd.data));
    }

    #[test]
    fn what_is_no_text_is_rejected_and_never_mended() {
        for odd in [b"{\"a\":\"\xff\"}".as_slice(), b""] {
            let error = body(&entry(odd)).expect_err("no text");
            let rejected = Disposition::Poison { reason: Reason::SinkRejected };
            assert_eq!(error.disposition, rejected);
        }
    }

    #[test]
    fn a_message_of_a_fifo_queue_is_known_by_its_event() {
        let record = br#"{"eventID":"e-1","recipientAccountId":"111122223333"}"#;
        let by_account = Order::of(&entry(record), MessageGroup::Account);
        assert_eq!((&*by_account.group, &*by_account.deduplication), ("111122223333", "e-1"));
        let by_event = Order::of(&entry(record), MessageGroup::Event);
        assert_eq!((&*by_event.group, &*by_event.deduplication), ("e-1", "e-1"));
    }
}
