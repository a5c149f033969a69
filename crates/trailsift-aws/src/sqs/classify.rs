use aws_sdk_sqs::types::BatchResultErrorEntry;
use trailsift_core::QueueError;

use crate::fault::{Fault, bare, one_line};

/// What a failed call means. The names are those of the JSON protocol and of the older query
/// protocol, for SQS answers either.
pub(crate) fn classify(fault: Fault) -> QueueError {
    let Fault { code, text, status, .. } = &fault;
    let text = text.clone();
    match code.as_str() {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => QueueError::LeaseLost(text),
        // SQS's word for a receipt of a deleted message, an expired receipt and a plain mistake.
        "InvalidParameterValue" | "InvalidParameterValueException" => {
            // "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]": the
            // lease still runs, only not for longer.
            let is_ceiling = fault.mentions(&["beyond the limit"]);
            if !is_ceiling && fault.mentions(&["receipt", "message does not exist"]) {
                QueueError::LeaseLost(text)
            } else {
                QueueError::Rejected(text)
            }
        }
        "QueueDoesNotExist" | "NonExistentQueue" | "QueueDeletedRecently" | "InvalidAddress" => {
            QueueError::NotFound(text)
        }
        // Waiting is what mends it: messages in flight must first be settled.
        "OverLimit" => QueueError::Throttled(text),
        "RequestThrottled"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "SlowDown"
        | "KmsThrottled"
        | "KMS.ThrottlingException" => QueueError::Throttled(text),
        // New credentials mend these, and the provider fetches them.
        "ExpiredToken" | "ExpiredTokenException" => QueueError::Unavailable(text),
        // A clock that is set right mends this.
        _ if fault.is_about_time() => QueueError::Unavailable(text),
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "InvalidSecurity"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "OptInRequired" => QueueError::Denied(text),
        code if code.starts_with("KMS.") || code.starts_with("Kms") => QueueError::Denied(text),
        "UnsupportedOperation"
        | "TooManyEntriesInBatchRequest"
        | "BatchRequestTooLong"
        | "BatchEntryIdsNotDistinct"
        | "EmptyBatchRequest"
        | "InvalidBatchEntryId"
        | "InvalidAttributeName"
        | "InvalidAttributeValue"
        | "InvalidIdFormat"
        | "MissingParameter"
        | "ValidationError"
        | "ValidationException" => QueueError::Rejected(text),
        _ if *status == Some(429) => QueueError::Throttled(text),
        _ => QueueError::Unavailable(text),
    }
}

/// What the failure of one entry of a batch means.
pub(super) fn classify_entry(entry: &BatchResultErrorEntry) -> QueueError {
    let code = bare(entry.code());
    let message = entry.message().unwrap_or_default();
    let whose = if entry.sender_fault() { "sender" } else { "service" };
    classify(Fault {
        code: code.to_owned(),
        message: message.to_owned(),
        text: one_line(&format!("{code}: {message} ({whose} fault)")),
        ..Fault::default()
    })
}
