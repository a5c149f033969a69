use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;

use crate::Fault;

/// Why a question about an account was not answered. The texts are one escaped line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// We may not ask this.
    #[error("access is denied: {0}")]
    Denied(String),
    /// There is no such thing.
    #[error("it does not exist: {0}")]
    Missing(String),
    /// It is in another region.
    #[error("it is in another region ({}): {text}", region.as_deref().unwrap_or("not named"))]
    Elsewhere {
        /// The region that the service names.
        region: Option<String>,
        /// The service's words.
        text: String,
    },
    /// There are no credentials, or AWS does not know them, or they have expired.
    #[error("the credentials cannot be used: {0}")]
    Credentials(String),
    /// The time at which it was signed is too far from AWS's.
    #[error("the time of the signature is refused: {0}")]
    Clock(String),
    /// Everything else: no answer, or one that says nothing about the thing.
    #[error("there is no answer: {0}")]
    Unavailable(String),
}

impl Refusal {
    pub(super) fn of(fault: Fault) -> Self {
        if fault.is_about_time() {
            return Self::Clock(fault.text);
        }
        let elsewhere = |fault: Fault| Self::Elsewhere { region: fault.region, text: fault.text };
        match fault.code.as_str() {
            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired"
            | "MissingAuthenticationToken" => Self::Credentials(fault.text),
            "AccessDenied"
            | "AccessDeniedException"
            | "AuthorizationError"
            | "AuthorizationErrorException" => Self::Denied(fault.text),
            "NoSuchBucket"
            | "NoSuchKey"
            | "NotFound"
            | "NoSuchConfiguration"
            | "ResourceNotFoundException" => Self::Missing(fault.text),
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => elsewhere(fault),
            // The answer to a HEAD is its status alone.
            _ => match fault.status {
                Some(301 | 307) => elsewhere(fault),
                Some(400) if fault.region.is_some() => elsewhere(fault),
                Some(401 | 403) => Self::Denied(fault.text),
                Some(404) => Self::Missing(fault.text),
                _ => Self::Unavailable(fault.text),
            },
        }
    }
}

/// Whether a call was never sent, for want of credentials.
pub(super) fn credentials_trouble(error: &(dyn Error + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(credentials_trouble)
}
