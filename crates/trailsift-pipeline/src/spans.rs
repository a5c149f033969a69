//! What a trace shows: a span for each message, and one below it for each object that it names.
//!
//! They are at a target of their own, which no log filter asks for. Where nobody collects traces, a span
//! costs the look at one atomic that says so.

use tracing::field::Empty;
use tracing::{Level, Span};
use trailsift_core::Message;
use trailsift_trail::{Counts, NotifiedObject};

/// The target of every span: whoever collects traces asks for it, at level `INFO`.
pub const SPANS: &str = "otlp";

/// The longest key that a span quotes, in bytes. S3 knows no longer ones than 1,024; whoever may send
/// messages may write what they like.
const LONGEST_KEY: usize = 1024;

/// The work on one delivery of a message.
pub(crate) fn of_message(account: &str, message: &Message) -> Span {
    tracing::info_span!(
        target: SPANS,
        "message",
        otel.kind = "consumer",
        otel.status_code = Empty,
        account,
        sqs.message_id = %message.id,
        sqs.receive_count = message.receive_count,
        kind = Empty,
        outcome = Empty,
    )
}

/// The work on one object of the message whose span is entered.
pub(crate) fn of_object(account: &str, message: &Message, object: &NotifiedObject) -> Span {
    tracing::info_span!(
        target: SPANS,
        "object",
        otel.status_code = Empty,
        account,
        sqs.message_id = %message.id,
        s3.bucket = %quoted(&object.bucket),
        s3.key = %quoted(&object.key),
        outcome = Empty,
        reason = Empty,
        records = Empty,
        selected = Empty,
        bytes = Empty,
        inflated_bytes = Empty,
    )
}

/// Tells the object's span, which is entered, what was found in it.
pub(crate) fn note_counts(counts: &Counts) {
    if tracing::enabled!(target: SPANS, Level::INFO) {
        let span = Span::current();
        span.record("records", counts.seen).record("selected", counts.selected);
        span.record("bytes", counts.stored).record("inflated_bytes", counts.inflated);
    }
}

/// Tells a span how the work ended. An `error` is what is not settled.
pub(crate) fn end(span: &Span, outcome: &str, error: bool) {
    span.record("outcome", outcome);
    if error {
        span.record("otel.status_code", "ERROR");
    }
}

/// Text from outside, in a form that does no harm to whoever looks at it.
fn quoted(text: &str) -> std::str::EscapeDebug<'_> {
    text[..text.floor_char_boundary(LONGEST_KEY)].escape_debug()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_span_quotes_is_escaped_and_has_an_end() {
        assert_eq!(quoted("a\n\u{1b}[2J").to_string(), "a\\n\\u{1b}[2J");
        assert_eq!(quoted(&"é".repeat(4000)).to_string().len(), LONGEST_KEY);
    }

    #[test]
    fn without_anybody_who_collects_traces_a_span_is_none() {
        // As the program's logging has it: whatever is logged, nobody asks for spans.
        assert!(Span::current().is_disabled());
        assert!(tracing::info_span!(target: SPANS, "message").is_disabled());
    }
}
