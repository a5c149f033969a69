//! What the services of AWS say, and what follows from it for events: in one place for every sink.
//!
//! A service that is down, throttles, denies or is not there says nothing about an event: that is
//! retried for as long as it takes, so that a wrong policy parks no stream. Only what a service says
//! about the contents or the size of one event is poison.

use std::borrow::Cow;

use trailsift_aws::Fault;
use trailsift_core::{Reason, SinkError};

/// What a failed call says about the events in it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Nothing: they are to be sent again.
    Later(SinkError),
    /// One of them at least is refused for good. The text is the service's own.
    Refused(Reason, String),
}

/// Judges a call that failed as a whole. `doing` is what was tried, such as `cannot send to the
/// queue`.
pub(crate) fn judge(doing: &str, fault: &Fault) -> Verdict {
    match blames_events(&fault.code, fault) {
        Some(reason) => Verdict::Refused(reason, format!("{doing}: {}", shown(&fault.text))),
        None => Verdict::Later(later(doing, fault)),
    }
}

/// The error of a call that says nothing about events, or has none in it.
pub(crate) fn later(doing: &str, fault: &Fault) -> SinkError {
    SinkError::retry_after(fault.retry_after, format!("{doing}: {}", shown(&fault.text)))
}

/// What a service says, without what it repeats: `1 validation error detected: Value '[InputLogEvent(
/// message=…)]' at 'logEvents' failed to satisfy constraint` is what AWS says of requests, events and all.
fn shown(text: &str) -> Cow<'_, str> {
    match text.split_once("Value '") {
        None => Cow::Borrowed(text),
        // The last end, for an event may hold one, too. Without any the text was cut off.
        Some((before, value)) => {
            let after = value.rfind("' at '").map_or("", |end| &value[end..]);
            Cow::Owned(format!("{before}Value '…{after}"))
        }
    }
}

/// The error of one entry that the answer to a batch calls failed. `its_own_fault` is what the service
/// says of whose fault it is, if it says so.
pub(crate) fn entry_failed(
    doing: &str,
    code: &str,
    message: &str,
    its_own_fault: Option<bool>,
) -> SinkError {
    let fault = Fault::of_entry(code, message);
    let text = format!("{doing}: {}", shown(&fault.text));
    match blames_events(&fault.code, &fault) {
        Some(reason) => SinkError::poison(reason, text),
        None if its_own_fault == Some(true) && !is_about_everything(&fault.code) => {
            SinkError::poison(Reason::SinkRejected, text)
        }
        None => SinkError::retry(text),
    }
}

/// The error of an entry of which the answer does not say what became of it.
pub(crate) fn unmentioned() -> SinkError {
    SinkError::retry("the service's answer does not say what became of the event")
}

/// The same error for another event. Its cause stays with the first one.
pub(crate) fn same(error: &SinkError) -> SinkError {
    SinkError { disposition: error.disposition, message: error.message.clone(), source: None }
}

/// What in these words speaks of an event's size.
const SIZE: [&str; 8] = [
    "too large",
    "too long",
    "too big",
    "must be shorter than",
    "cannot be longer than",
    "over the limit",
    "exceeds the limit",
    "exceeds limit",
];
/// What speaks of its characters or its syntax.
const CONTENTS: [&str; 5] = [
    "invalid binary character",
    "invalid characters",
    "detail is malformed",
    "is not valid json",
    "invalid json",
];

/// The reason to park an event for, if this is about one. Generic codes of parameters count only where
/// the message speaks of size or contents: they are also what a wrong setting is answered with.
fn blames_events(code: &str, fault: &Fault) -> Option<Reason> {
    let of_message = || {
        // What it repeats of events has no say in it.
        let message = shown(&fault.message).to_ascii_lowercase();
        let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if mentions(&SIZE) {
            Some(Reason::SinkRecordTooLarge)
        } else if mentions(&CONTENTS) {
            Some(Reason::SinkRejected)
        } else {
            None
        }
    };
    match code {
        "BatchRequestTooLong"
        | "BatchRequestTooLongException"
        | "MessageTooLong"
        | "RecordTooLarge"
        | "EntityTooLarge"
        | "RequestEntityTooLarge"
        | "RequestEntityTooLargeException" => Some(Reason::SinkRecordTooLarge),
        "InvalidMessageContents" | "MalformedDetail" => Some(Reason::SinkRejected),
        "InvalidParameter"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "ParameterValueInvalid"
        | "InvalidArgument"
        | "InvalidArgumentException"
        | "ValidationError"
        | "ValidationException" => of_message(),
        "" if fault.status == Some(413) => Some(Reason::SinkRecordTooLarge),
        _ => None,
    }
}

/// Whether a code speaks of the service, the caller or the settings, whoever the answer says is to
/// blame: no event is.
fn is_about_everything(code: &str) -> bool {
    let parts = [
        "Throttl",
        "TooManyRequests",
        "LimitExceeded",
        "OverLimit",
        "SlowDown",
        "Denied",
        "Auth",
        "Expired",
        "Token",
        "Signature",
        "NotFound",
        "NonExistent",
        "DoesNotExist",
        "KMS",
        "Kms",
        "Internal",
        "Unavailable",
        "Timeout",
        "InvalidSecurity",
        "InvalidAccountId",
        "OptIn",
        "Redaction",
        "UnsupportedOperation",
        "MissingParameter",
    ];
    code.is_empty() || parts.iter().any(|part| code.contains(part))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use trailsift_core::Disposition;

    use super::*;

    fn fault(code: &str, message: &str, status: u16) -> Fault {
        Fault { status: Some(status), ..Fault::of_entry(code, message) }
    }

    #[test]
    fn what_speaks_of_the_service_or_the_caller_is_retried() {
        for (code, message, status) in [
            ("ThrottlingException", "Rate exceeded", 400),
            ("RequestThrottled", "Request is throttled.", 403),
            ("AccessDeniedException", "User is not authorized to perform", 400),
            ("AccessDenied", "Access to the resource is denied.", 403),
            ("AuthorizationError", "not authorized", 403),
            ("ExpiredTokenException", "The security token is expired", 400),
            ("UnrecognizedClientException", "The security token is invalid", 400),
            ("InvalidClientTokenId", "The security token is invalid", 403),
            ("SignatureDoesNotMatch", "Signature expired", 403),
            ("QueueDoesNotExist", "The specified queue does not exist.", 400),
            ("NotFound", "Topic does not exist", 404),
            ("ResourceNotFoundException", "Event bus x does not exist.", 400),
            ("KMS.DisabledException", "the key is disabled", 400),
            ("KmsThrottled", "slow", 400),
            ("InternalFailure", "oops", 500),
            ("ServiceUnavailable", "", 503),
            ("InvalidParameterValue", "Value for parameter QueueUrl is invalid", 400),
            ("InvalidParameter", "Invalid parameter: TopicArn", 400),
            ("ValidationException", "Parameter Source is not valid", 400),
            ("SomethingNew", "who knows", 400),
            ("", "", 418),
        ] {
            let verdict = judge("cannot send", &fault(code, message, status));
            let Verdict::Later(error) = verdict else { panic!("{code}: {verdict:?}") };
            assert_eq!(error.disposition, Disposition::RETRY, "{code}");
            assert!(error.message.starts_with("cannot send: "), "{error}");
        }
    }

    #[test]
    fn what_speaks_of_an_events_size_or_contents_is_for_good() {
        let (large, rejected) = (Reason::SinkRecordTooLarge, Reason::SinkRejected);
        for (code, message, reason) in [
            ("BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes.", large),
            (
                "InvalidParameterValue",
                "One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes.",
                large,
            ),
            ("InvalidParameter", "Invalid parameter: Message too long", large),
            (
                "ValidationException",
                "Total size of the entries in the request is over the limit.",
                large,
            ),
            (
                "InvalidParameterException",
                "Log event too large: 1048600 bytes exceeds limit of 1048576",
                large,
            ),
            ("InvalidMessageContents", "Invalid binary character '#xFFFE' was found", rejected),
            ("MalformedDetail", "Detail is malformed.", rejected),
        ] {
            let verdict = judge("cannot send", &fault(code, message, 400));
            let Verdict::Refused(found, _) = verdict else { panic!("{code}: {verdict:?}") };
            assert_eq!(found, reason, "{code}");
            let one = entry_failed("cannot send", code, message, None);
            assert_eq!(one.disposition, Disposition::Poison { reason }, "{code}");
        }
    }

    #[test]
    fn of_one_entry_the_senders_fault_is_for_good_unless_it_is_everybodys() {
        let disposition = |code, fault| entry_failed("cannot send", code, "", fault).disposition;
        let rejected = Disposition::Poison { reason: Reason::SinkRejected };
        assert_eq!(disposition("InvalidAttributeValue", Some(true)), rejected);
        assert_eq!(disposition("InvalidAttributeValue", Some(false)), Disposition::RETRY);
        assert_eq!(disposition("InvalidAttributeValue", None), Disposition::RETRY);
        for code in [
            "ThrottlingException",
            "RequestThrottled",
            "KmsAccessDenied",
            "AccessDeniedException",
            "NotAuthorizedForSourceException",
            "InternalError",
            "AWS.SimpleQueueService.NonExistentQueue",
            "",
        ] {
            assert_eq!(disposition(code, Some(true)), Disposition::RETRY, "{code}");
        }
    }

    #[test]
    fn a_time_that_the_service_names_is_kept() {
        let after = Some(Duration::from_secs(7));
        let fault = Fault { retry_after: after, ..fault("ThrottlingException", "", 400) };
        let error = later("cannot send", &fault);
        assert_eq!(error.disposition, Disposition::Retry { after });
    }

    #[test]
    fn what_the_service_repeats_of_an_event_is_not_shown() {
        let error =
            |message: &str| entry_failed("cannot send", "ValidationException", message, None);
        let whole = "1 validation error detected: Value '[InputLogEvent(message={\"secret\":\"' at 'x\"})]' \
                     at 'logEvents' failed to satisfy constraint: Member must not be null";
        assert_eq!(
            error(whole).message,
            "cannot send: ValidationException: 1 validation error detected: Value '…' at 'logEvents' \
             failed to satisfy constraint: Member must not be null"
        );
        let long = format!("Value '{}' at 'records'", "secret".repeat(200));
        assert_eq!(error(&long).message, "cannot send: ValidationException: Value '…");
        let fault = Fault { text: whole.to_owned(), ..fault("ValidationException", whole, 400) };
        assert!(!later("cannot send", &fault).message.contains("secret"));
        // Nor does it make an event of it that is refused.
        let words = "Value 'the file is too large' at 'entries' failed to satisfy constraint";
        assert_eq!(error(words).disposition, Disposition::RETRY);
    }

    #[test]
    fn text_of_the_service_cannot_break_a_line() {
        let error = entry_failed("cannot send", "X", "a\nb\u{1b}[31m", Some(false));
        assert_eq!(error.message, "cannot send: X: a\\nb\\u{1b}[31m");
    }
}
