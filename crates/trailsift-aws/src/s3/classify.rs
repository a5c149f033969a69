use trailsift_core::{LogFile, StoreError};

use crate::fault::{Fault, one_line};

/// What a failed GetObject means.
pub(crate) fn classify(fault: Fault, file: &LogFile) -> StoreError {
    let text = fault.text.clone();
    let status = fault.status.unwrap_or(0);
    // A delete marker answers 404 without a version and 405 with its own.
    if fault.delete_marker && matches!(status, 404 | 405) {
        return StoreError::DeletedVersion(format!("{text}, a delete marker"));
    }
    match fault.code.as_str() {
        "NoSuchVersion" => StoreError::DeletedVersion(text),
        "NoSuchKey" | "NoSuchBucket" | "NotFound" | "InvalidBucketName" | "KeyTooLongError"
        | "InvalidURI" => StoreError::NotFound(text),
        // No object ever had such a version: the notification is wrong, or forged.
        "InvalidArgument" if fault.mentions(&["version id"]) => StoreError::NotFound(text),
        "InvalidObjectState" => StoreError::Archived(text),
        "PreconditionFailed" => StoreError::Changed(text),
        "InvalidRange" => StoreError::Interrupted(text),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            StoreError::WrongRegion { region: region(&fault), message: text }
        }
        "SlowDown"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "TooManyRequests"
        | "KMS.ThrottlingException" => throttled(fault),
        code if code.starts_with("KMS.") => StoreError::KmsDenied(text),
        // SSE-C: nobody but its writer has the key.
        "InvalidRequest" if fault.mentions(&["server side encryption"]) => {
            StoreError::KmsDenied(text)
        }
        "AccessDenied" if fault.mentions(&["kms", "ciphertext", "customer master key"]) => {
            StoreError::KmsDenied(text)
        }
        // The credentials' fault, not the object's: it must never use up an object's attempts.
        "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "NotSignedUp"
        | "InvalidSecurity" => StoreError::Unavailable(text),
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden" => denied(text, file),
        _ => match status {
            301 | 307 => StoreError::WrongRegion { region: region(&fault), message: text },
            403 => denied(text, file),
            404 => StoreError::NotFound(text),
            412 => StoreError::Changed(text),
            416 => StoreError::Interrupted(text),
            429 | 503 => throttled(fault),
            _ => StoreError::Unavailable(text),
        },
    }
}

fn throttled(fault: Fault) -> StoreError {
    StoreError::Throttled { after: fault.retry_after, message: fault.text }
}

/// S3 says no more than `AccessDenied` when the bucket is another account's.
fn denied(text: String, file: &LogFile) -> StoreError {
    match &file.expected_owner {
        Some(owner) => StoreError::Denied(one_line(&format!(
            "{text}; or the bucket does not belong to account {owner}"
        ))),
        None => StoreError::Denied(text),
    }
}

/// The region that the header names, or the message: "the region 'a' is wrong; expecting 'b'".
fn region(fault: &Fault) -> Option<String> {
    let named = || {
        let (_, rest) = fault.message.split_once("expecting '")?;
        rest.split_once('\'').map(|(region, _)| region.to_owned())
    };
    let is_region = |region: &String| {
        (1..=32).contains(&region.len())
            && region.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    fault.region.clone().or_else(named).filter(is_region)
}
