use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

use crate::lines::{json_array, ndjson};
use crate::narrow::{Answer, Post, narrow};
use crate::wire::{Reading, Verdict, Wire, encoded, explain, judge, validate_headers};
use crate::{BuildError, Connection, HeaderText, SettingsError};

/// How events stand in a request's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyShape {
    /// One event per line (`application/x-ndjson`).
    #[default]
    Ndjson,
    /// One JSON array, every event in its own bytes (`application/json`).
    JsonArray,
}

/// The settings of an [`HttpSink`].
#[derive(Clone)]
pub struct HttpSettings {
    /// Where to post. `https`, or `http` to this machine.
    pub url: String,
    /// The shape of the body.
    pub body: BodyShape,
    /// Further headers by name; `Content-Type` may be among them.
    pub headers: Vec<(String, HeaderText)>,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    pub gzip: bool,
    /// How long connecting may take, encryption included.
    pub connect_timeout: Duration,
    /// How long one request may take, from connecting to the end of the answer.
    pub timeout: Duration,
    /// Allows `http` to other machines: events and credentials then travel in the clear.
    pub allow_http: bool,
    /// The authorities whose certificates are trusted, in PEM, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The most that the collector takes in one request, before compression.
    pub limits: Limits,
}

impl fmt::Debug for HttpSettings {
    /// Leaves out the URL and the text of headers: either may hold a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpSettings")
            .field("body", &self.body)
            .field("headers", &names)
            .field("gzip", &self.gzip)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("allow_http", &self.allow_http)
            .field("ca_file", &self.ca_file)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl HttpSettings {
    /// The defaults, for this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            body: BodyShape::default(),
            headers: Vec::new(),
            gzip: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            allow_http: false,
            ca_file: None,
            limits: Limits::NONE,
        }
    }

    /// Every mistake in these settings. Touches no network and reads no secret.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems = self.connection().validate();
        validate_headers(&self.headers, &mut problems);
        problems
    }

    /// The longest time that one write can take: a refused batch is halved for at most three times
    /// `timeout`, and one more request can follow. A [`Timeout`](trailsift_delivery::Timeout) around the sink must
    /// be longer.
    pub fn longest_write(&self) -> Duration {
        self.connection().longest_write()
    }

    fn connection(&self) -> Connection {
        Connection {
            url: self.url.clone(),
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            allow_http: self.allow_http,
            ca_file: self.ca_file.clone(),
        }
    }
}

/// Posts batches to an HTTP collector. A status from 200 to 299 is the acknowledgement.
///
/// 400, 413 and 422 speak of what was sent: the batch is halved until the events are found that are
/// refused by themselves; these are poison, all others are delivered. A collector that refuses one
/// event after the other and accepts none is to blame itself: then nothing is poison, [`Sink::check`]
/// fails, and the events are retried until one of them is accepted. Every other status, and every
/// failure to get one, is retried, with the time of `Retry-After` where given. Redirects are not
/// followed. Link-local and metadata addresses are refused, as literals in the settings and as what
/// a name resolves to when a connection is made.
///
/// Proxies from the environment (`HTTPS_PROXY` and so on) are used, except for a collector on this
/// machine. A proxy resolves the collector's name itself, so the addresses behind it are its own
/// responsibility.
#[derive(Debug)]
pub struct HttpSink {
    name: String,
    wire: Wire,
    body: BodyShape,
    gzip: bool,
    search_time: Duration,
    limits: Limits,
    blame: Blame,
}

impl HttpSink {
    /// Prepares the client and reads the secrets. Connects to nothing yet.
    ///
    /// # Errors
    /// If the settings do not hold, a secret is missing, or there is no TLS configuration.
    pub fn new(name: impl Into<String>, settings: HttpSettings) -> Result<Self, BuildError> {
        let sink = name.into();
        let problems = settings.validate();
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let mut fixed = HeaderMap::new();
        let kind = match settings.body {
            BodyShape::Ndjson => "application/x-ndjson",
            BodyShape::JsonArray => "application/json",
        };
        fixed.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if settings.gzip {
            fixed.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let connection = settings.connection();
        Ok(Self {
            wire: Wire::new(&sink, &connection, fixed, settings.headers)?,
            name: sink,
            body: settings.body,
            gzip: settings.gzip,
            search_time: connection.search_time(),
            limits: settings.limits,
            blame: Blame::new("its body and compression settings and what it expects"),
        })
    }
}

#[async_trait]
impl Post for HttpSink {
    async fn post(&self, entries: &[Entry]) -> Answer {
        let (entries, shape) = (entries.to_vec(), self.body);
        let make = move || match shape {
            BodyShape::Ndjson => ndjson(&entries),
            BodyShape::JsonArray => json_array(&entries),
        };
        let body = match encoded(self.gzip, make).await {
            Ok(body) => body,
            Err(error) => return Answer::Later(error),
        };
        let request = self.wire.request(Method::POST, self.wire.url()).body(body);
        let reply = match self.wire.send(request, Reading::Drain).await {
            Ok(reply) => reply,
            Err(error) => return Answer::Later(error),
        };
        match judge(reply.status) {
            Verdict::Taken => Answer::Taken,
            Verdict::Refused => Answer::Refused(refused(reply.status)),
            Verdict::Later => Answer::Later(self.wire.later(&reply, explain(reply.status)).await),
        }
    }
}

/// The verdict on a single event that is refused.
fn refused(status: StatusCode) -> SinkError {
    let reason = match status {
        StatusCode::PAYLOAD_TOO_LARGE => Reason::SinkRecordTooLarge,
        _ => Reason::SinkRejected,
    };
    SinkError::poison(reason, format!("{} to this event alone", explain(status)))
}

#[async_trait]
impl Sink for HttpSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    /// Asks with `HEAD`. Any answer shows that the collector is there, since what it thinks of
    /// `HEAD` says little about `POST`; only 401 and server errors count against it. What its answers
    /// to `POST` say is remembered: one that refuses everything is not well.
    async fn check(&self) -> Result<(), SinkError> {
        let request = self.wire.request(Method::HEAD, self.wire.url());
        let reply = self.wire.send(request, Reading::Drain).await?;
        let status = reply.status;
        if status == StatusCode::UNAUTHORIZED {
            self.wire.reread_secrets().await;
        }
        // Many servers know no HEAD at all; that they say so with 501 or 405 is an answer.
        let unwell = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if status == StatusCode::UNAUTHORIZED || unwell {
            return Err(SinkError::retry(explain(status)));
        }
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        narrow(self, batch, self.search_time, &self.blame).await
    }
}
