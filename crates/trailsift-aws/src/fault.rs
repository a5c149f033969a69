//! What an SDK error says, taken apart once and in one place.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestIdExt;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::request_id::RequestId;

/// Long enough for every message of AWS that was seen, short enough for a log line.
const MAX_TEXT: usize = 600;

/// A failed call: the service's answer, or why there is none.
#[derive(Debug, Default)]
pub struct Fault {
    /// The service's error code without namespace; empty where it answered none, or not at all.
    pub code: String,
    /// The service's message, for telling causes apart. Not escaped.
    pub message: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// `Retry-After` in seconds.
    pub retry_after: Option<Duration>,
    /// `x-amz-bucket-region`.
    pub region: Option<String>,
    /// `x-amz-delete-marker: true`.
    pub delete_marker: bool,
    /// Everything a person needs in one escaped line: code, message, status, request ID; or the
    /// chain of causes of a call that got no answer.
    pub text: String,
}

impl Fault {
    /// Takes an error apart.
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let response = error.raw_response();
        let header = |name| response.and_then(|response| response.headers().get(name));
        let code = bare(error.code().unwrap_or_default());
        let message = error.message().unwrap_or_default();
        let status = response.map(|response| response.status().as_u16());
        let text = match (error, status) {
            (SdkError::ServiceError(_), Some(status)) => {
                let mut text = match (code, message) {
                    ("", _) => format!("HTTP {status}"),
                    (code, "") => format!("{code} (HTTP {status}"),
                    (code, message) => format!("{code}: {message} (HTTP {status}"),
                };
                text.push_str(if code.is_empty() { " (" } else { ", " });
                text.push_str("request ");
                text.push_str(error.request_id().unwrap_or("without id"));
                if let Some(id) = error.extended_request_id() {
                    text.push('/');
                    text.push_str(id);
                }
                text.push(')');
                text
            }
            _ => chain(error),
        };
        let text = match is_about_time(code, message) {
            true => format!("{text}; {CLOCK}"),
            false => text,
        };
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
            status,
            retry_after: header("retry-after")
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs),
            region: header("x-amz-bucket-region").map(str::to_owned),
            delete_marker: header("x-amz-delete-marker") == Some("true"),
            text: one_line(&text),
        }
    }

    /// What an answer says of one entry of a batch: there is no status of its own.
    pub fn of_entry(code: &str, message: &str) -> Self {
        let code = bare(code);
        let text = match (code, message) {
            ("", "") => "no reason given".to_owned(),
            ("", text) | (text, "") => text.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
            text: one_line(&text),
            ..Self::default()
        }
    }

    /// Whether the request was refused because of the time at which it was signed.
    pub fn is_about_time(&self) -> bool {
        is_about_time(&self.code, &self.message)
    }

    /// Whether the call's credentials had expired.
    pub fn is_about_expiry(&self) -> bool {
        matches!(&*self.code, "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired")
    }

    /// Whether the message holds one of these, in any case.
    pub fn mentions(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(word))
    }
}

/// The remedy. The SDK corrects for a clock that is wrong by what the answer's `Date` says, and then
/// tries again; so this is seen only where that did not help.
const CLOCK: &str = "this machine's clock may be wrong: synchronise it (NTP)";

/// S3 has a code of its own for it; the JSON services say "Signature expired: 20240506T070809Z is
/// now earlier than …" and "Signature not yet current: …" under the codes of any wrong signature.
fn is_about_time(code: &str, message: &str) -> bool {
    matches!(code, "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture")
        || message.starts_with("Signature expired")
        || message.starts_with("Signature not yet current")
}

/// The code without what the protocols put around it: `com.amazonaws.sqs#QueueDoesNotExist`,
/// `AWS.SimpleQueueService.NonExistentQueue`. `KMS.` stays: there it tells whose error it is.
pub(crate) fn bare(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code)
}

/// An error and its causes, outermost first. A cause that its parent already quotes is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

/// Escapes what could break or forge a log line, and cuts what is too long.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_TEXT));
    for character in text.chars() {
        if line.len() >= MAX_TEXT {
            line.push('…');
            break;
        }
        match character {
            '"' | '\'' | '\\' => line.push(character),
            other => line.extend(other.escape_debug()),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_lose_their_namespace() {
        for (given, expected) in [
            ("com.amazonaws.sqs#QueueDoesNotExist", "QueueDoesNotExist"),
            ("AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"),
            ("KMS.DisabledException", "KMS.DisabledException"),
            ("NoSuchKey", "NoSuchKey"),
            ("", ""),
        ] {
            assert_eq!(bare(given), expected);
        }
    }

    #[test]
    fn a_text_is_one_line_of_bounded_length() {
        assert_eq!(one_line("a \"b\"\n\u{1b}[31mc\u{202e}"), "a \"b\"\\n\\u{1b}[31mc\\u{202e}");
        let long = one_line(&"\n".repeat(10_000));
        assert!(long.len() < MAX_TEXT + 10, "{}", long.len());
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug)]
        struct Layer(&'static str, Option<Box<Layer>>);
        impl std::fmt::Display for Layer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.0)
            }
        }
        impl Error for Layer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                self.1.as_deref().map(|layer| layer as _)
            }
        }
        let inner = Layer("reset", None);
        let middle = Layer("connection: reset", Some(Box::new(inner)));
        let outer = Layer("dispatch failure", Some(Box::new(middle)));
        assert_eq!(chain(&outer), "dispatch failure: connection: reset");
    }
}
