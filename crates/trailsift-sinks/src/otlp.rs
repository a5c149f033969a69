use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use prost::Message as _;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

use crate::narrow::{Answer, Post, narrow};
use crate::wire::{
    A_PAGE, Reading, Reply, Verdict, Wire, encoded, explain, judge, validate_headers,
};
use crate::{BuildError, Connection, HeaderText, SettingsError};

mod logs;
mod proto;

/// The settings of an [`OtlpSink`].
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpSettings {
    /// Where logs are posted, path and all: mostly `…/v1/logs`.
    pub connection: Connection,
    /// Further headers by name.
    pub headers: Vec<(String, HeaderText)>,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// The most that the receiver takes in one request, before compression.
    pub limits: Limits,
}

impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl OtlpSettings {
    /// The defaults, for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(url),
            headers: Vec::new(),
            gzip: true,
            limits: Limits::NONE,
        }
    }

    /// Every mistake in these settings. Touches no network and reads no secret.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems = self.connection.validate();
        validate_headers(&self.headers, &mut problems);
        let own = |(name, _): &&(String, HeaderText)| name.eq_ignore_ascii_case("content-type");
        if self.headers.iter().any(|header| own(&header)) {
            let problem = "content-type is set by the sink itself: remove it";
            problems.push(SettingsError::new("headers", problem));
        }
        problems
    }

    /// The longest time that one write can take; a [`Timeout`](trailsift_delivery::Timeout) around the sink must
    /// be longer.
    pub fn longest_write(&self) -> Duration {
        self.connection.longest_write()
    }
}

/// The most of an answer that is read.
const LONGEST_ANSWER: Reading = Reading::UpTo(256 << 10);

/// Sends events as log records of OpenTelemetry: OTLP 1 over HTTP, in protobuf, which is the encoding
/// that every receiver takes.
///
/// The answer may say that some records were rejected, but not which: then the batch is halved until
/// the records are found that are rejected by themselves. These are poison; the others are delivered,
/// some of them more than once.
#[derive(Debug)]
pub struct OtlpSink {
    name: String,
    wire: Wire,
    gzip: bool,
    search_time: Duration,
    limits: Limits,
    blame: Blame,
}

impl OtlpSink {
    /// Prepares the client and reads the secrets. Connects to nothing yet.
    ///
    /// # Errors
    /// If the settings do not hold, a secret is missing, or there is no TLS configuration.
    pub fn new(name: impl Into<String>, settings: OtlpSettings) -> Result<Self, BuildError> {
        let sink = name.into();
        let problems = settings.validate();
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let mut fixed = HeaderMap::new();
        fixed.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if settings.gzip {
            fixed.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            wire: Wire::new(&sink, &settings.connection, fixed, settings.headers)?,
            name: sink,
            gzip: settings.gzip,
            search_time: settings.connection.search_time(),
            limits: settings.limits,
            blame: Blame::new("what the receiver expects"),
        })
    }

    async fn send(&self, entries: &[Entry]) -> Result<Answer, SinkError> {
        let (entries, now) = (entries.to_vec(), SystemTime::now());
        let make = move || logs::request(&entries, now).encode_to_vec();
        let body = encoded(self.gzip, make).await?;
        let request = self.wire.request(Method::POST, self.wire.url()).body(body);
        let reply = self.wire.send(request, LONGEST_ANSWER).await?;
        Ok(match judge(reply.status) {
            Verdict::Taken => match rejected(&reply) {
                Some(0) => Answer::Taken,
                Some(_) => Answer::Refused(SinkError::poison(
                    Reason::SinkRejected,
                    "the receiver rejects this record (partial success)",
                )),
                None => Answer::Later(SinkError::retry(
                    "the answer is not that of an OTLP receiver: nothing of it counts as written, \
                     check the url, which mostly ends with /v1/logs",
                )),
            },
            Verdict::Refused => {
                let reason = match reply.status {
                    StatusCode::PAYLOAD_TOO_LARGE => Reason::SinkRecordTooLarge,
                    _ => Reason::SinkRejected,
                };
                let text = format!("{} to this event alone", explain(reply.status));
                Answer::Refused(SinkError::poison(reason, text))
            }
            Verdict::Later => Answer::Later(self.wire.later(&reply, explain(reply.status)).await),
        })
    }
}

/// How many records an answer rejects; `None` if it is no answer of a receiver. Its message is not
/// read: it may repeat the records. A message without a number is a warning.
///
/// What a gateway in between says with a 200, an error in its own JSON or a page for people, is none:
/// some text is protobuf by chance, and any object is JSON.
fn rejected(reply: &Reply) -> Option<i64> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Json {
        #[serde(rename = "partialSuccess")]
        partial_success: Option<Partial>,
    }
    #[derive(Deserialize)]
    struct Partial {
        #[serde(rename = "rejectedLogRecords")]
        rejected: Option<Number>,
    }
    // In protobuf's JSON a 64-bit number is a string, or a number.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Number(i64),
    }
    let body = reply.body.as_deref()?;
    if body.is_empty() {
        return Some(0);
    }
    if reply.is_text {
        return None;
    }
    if !reply.is_json {
        let answer = proto::Response::decode(body).ok()?;
        return Some(answer.partial_success.map_or(0, |partial| partial.rejected_log_records));
    }
    let answer: Json = serde_json::from_slice(body).ok()?;
    match answer.partial_success.and_then(|partial| partial.rejected) {
        None => Some(0),
        Some(Number::Number(number)) => Some(number),
        Some(Number::Text(text)) => text.parse().ok(),
    }
}

#[async_trait]
impl Post for OtlpSink {
    async fn post(&self, entries: &[Entry]) -> Answer {
        self.send(entries).await.unwrap_or_else(Answer::Later)
    }
}

#[async_trait]
impl Sink for OtlpSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    /// Sends a request without records, which receivers take and forget. Only 401, 403, 404 and
    /// server errors count against it: some find an empty request a bad one, and say so.
    async fn check(&self) -> Result<(), SinkError> {
        let body = encoded(self.gzip, || proto::Request::default().encode_to_vec()).await?;
        let request = self.wire.request(Method::POST, self.wire.url()).body(body);
        let reply = self.wire.send(request, Reading::Drain).await?;
        let status = reply.status;
        if status.is_server_error() || matches!(status.as_u16(), 300..=399 | 401 | 403 | 404) {
            return Err(self.wire.later(&reply, explain(status)).await);
        }
        if status.is_success() && reply.is_text {
            return Err(SinkError::retry(A_PAGE));
        }
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        narrow(self, batch, self.search_time, &self.blame).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_answer_says_how_many_were_rejected() {
        let judge = |body: Option<&'static [u8]>, is_json| {
            let body = body.map(Bytes::from_static);
            let (status, after, is_text) = (StatusCode::OK, None, false);
            rejected(&Reply { status, after, is_json, is_text, body, signature: None })
        };
        assert_eq!(judge(Some(b""), false), Some(0));
        assert_eq!(judge(Some(b"\x0a\x02\x08\x03"), false), Some(3));
        assert_eq!(judge(Some(b"\x0a\x06\x12\x04warn"), false), Some(0));
        assert_eq!(judge(Some(b"<html>"), false), None);
        assert_eq!(judge(None, false), None);
        for (json, expected) in [
            ("{}", Some(0)),
            (r#"{"partialSuccess":{}}"#, Some(0)),
            (r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"x"}}"#, Some(2)),
            (r#"{"partialSuccess":{"rejectedLogRecords":2}}"#, Some(2)),
            (r#"{"partialSuccess":{"rejectedLogRecords":"two"}}"#, None),
            ("[", None),
            (r#"{"error":"unauthorized"}"#, None),
            (r#"{"status":"error","partialSuccess":{}}"#, None),
        ] {
            assert_eq!(judge(Some(json.as_bytes()), true), expected, "{json}");
        }
        // By chance these bytes are a message with fields that nobody knows.
        let page = Reply {
            status: StatusCode::OK,
            after: None,
            is_json: false,
            is_text: true,
            body: Some(Bytes::from_static(b" O(K")),
            signature: None,
        };
        assert_eq!(rejected(&page), None);
        assert_eq!(rejected(&Reply { is_text: false, ..page }), Some(0), "the reason to look");
    }
}
