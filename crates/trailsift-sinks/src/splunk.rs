use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

use crate::narrow::{Answer, Post, narrow};
use crate::wire::{Reading, Wire, encoded, explain};
use crate::{BuildError, Connection, HeaderText, SecretSource, SettingsError};

mod acks;
mod answer;
mod event;

use acks::{Acks, Channel};
use answer::{Said, read, refusal};
use event::Labels;

/// The settings of a [`SplunkSink`].
#[derive(Clone, PartialEq, Eq)]
pub struct SplunkSettings {
    /// The collector's address without `/services/collector`, such as `https://splunk:8088`.
    pub connection: Connection,
    /// The token of the HTTP Event Collector.
    pub token: SecretSource,
    /// The index; the token's default one where none is named.
    pub index: Option<String>,
    /// The source type.
    pub sourcetype: String,
    /// The source; the object's `s3://bucket/key` where none is named.
    pub source: Option<String>,
    /// The host; Splunk's own choice where none is named.
    pub host: Option<String>,
    /// Whether an event counts as written only once the indexer acknowledges it, as the token must
    /// then be set up. If not, Splunk may lose what it has accepted.
    pub acknowledge: bool,
    /// How long the indexer may take to acknowledge a request.
    pub ack_timeout: Duration,
    /// How often it is asked.
    pub ack_poll: Duration,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// The most that the collector takes in one request, before compression.
    pub limits: Limits,
}

impl fmt::Debug for SplunkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SplunkSettings")
            .field("connection", &self.connection)
            .field("index", &self.index)
            .field("sourcetype", &self.sourcetype)
            .field("acknowledge", &self.acknowledge)
            .field("ack_timeout", &self.ack_timeout)
            .finish_non_exhaustive()
    }
}

impl SplunkSettings {
    /// The defaults, for this address and token.
    pub fn new(url: impl Into<String>, token: SecretSource) -> Self {
        Self {
            connection: Connection::new(url),
            token,
            index: None,
            sourcetype: "aws:cloudtrail".into(),
            source: None,
            host: None,
            acknowledge: true,
            ack_timeout: Duration::from_secs(45),
            ack_poll: Duration::from_millis(500),
            gzip: true,
            limits: Limits::NONE,
        }
    }

    /// Every mistake in these settings. Touches no network and reads no secret.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems = self.connection.validate();
        if self.connection.url.contains("/services/collector") {
            problems.push(SettingsError::new(
                "url",
                "names the collector's path, which the sink adds: leave out /services/collector and what follows",
            ));
        }
        let labels = [
            ("index", self.index.as_deref()),
            ("sourcetype", Some(self.sourcetype.as_str())),
            ("source", self.source.as_deref()),
            ("host", self.host.as_deref()),
        ];
        for (key, text) in labels {
            let unfit = |text: &str| text.is_empty() || text.chars().any(char::is_control);
            if text.is_some_and(unfit) {
                problems.push(SettingsError::new(key, "must be text without control characters"));
            }
        }
        for (key, time) in [("ack_timeout", self.ack_timeout), ("ack_poll", self.ack_poll)] {
            if time.is_zero() {
                problems.push(SettingsError::new(key, "must be longer than nothing"));
            }
        }
        problems
    }

    /// The longest time that one write can take; a [`Timeout`](trailsift_delivery::Timeout) around the sink must
    /// be longer.
    pub fn longest_write(&self) -> Duration {
        let acknowledged = if self.acknowledge {
            // The last question may be on its way when the time is up, and the first write asks
            // beforehand whether the token acknowledges at all.
            self.ack_timeout.saturating_add(self.connection.timeout.saturating_mul(2))
        } else {
            Duration::ZERO
        };
        self.connection.longest_write().saturating_add(acknowledged)
    }
}

/// The most of an answer that is read: they are a line long.
const LONGEST_ANSWER: Reading = Reading::UpTo(256 << 10);

/// Sends events to Splunk's HTTP Event Collector.
///
/// With `acknowledge`, the acknowledgement is the indexer's: a request's events count as written
/// once a poll for its `ackId` says so, and never before. Each request has a channel of its own, so an
/// acknowledgement is never about other events, however many indexers share the address. What is not
/// acknowledged in time is written again and may then be there twice.
///
/// Splunk names the event that it refuses by its number, and indexes those before it; whether it did
/// is not acknowledged, so they are written again, and may be there twice, as long as that event was
/// among them. That event is sent alone, and poison if it is refused then; the others are not.
#[derive(Debug)]
pub struct SplunkSink {
    name: String,
    wire: Wire,
    labels: Arc<Labels>,
    gzip: bool,
    search_time: Duration,
    limits: Limits,
    blame: Blame,
    acks: Option<Acks>,
}

impl SplunkSink {
    /// Prepares the client and reads the token. Connects to nothing yet.
    ///
    /// # Errors
    /// If the settings do not hold, the token is missing, or there is no TLS configuration.
    pub fn new(name: impl Into<String>, settings: SplunkSettings) -> Result<Self, BuildError> {
        let sink = name.into();
        let problems = settings.validate();
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let mut fixed = HeaderMap::new();
        fixed.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let token = HeaderText::Secret { prefix: "Splunk ".into(), source: settings.token.clone() };
        let headers = vec![(AUTHORIZATION.to_string(), token)];
        Ok(Self {
            // A number is known to the indexer that gave it alone: polls should go where the request went.
            wire: Wire::new(&sink, &settings.connection, fixed, headers)?.sticky(),
            name: sink,
            labels: Arc::new(Labels::new(&settings)),
            gzip: settings.gzip,
            search_time: settings.connection.search_time(),
            limits: settings.limits,
            blame: Blame::new("its format and what the collector expects"),
            acks: settings.acknowledge.then(|| Acks::new(settings.ack_timeout, settings.ack_poll)),
        })
    }

    /// A request with events, with what is known of secrets and cookies by now.
    fn request(&self, body: Bytes) -> RequestBuilder {
        let url = self.wire.below("/services/collector/event");
        let request = self.wire.request(Method::POST, url).body(body);
        if self.gzip { request.header(CONTENT_ENCODING, "gzip") } else { request }
    }

    async fn send(&self, entries: &[Entry]) -> Result<Answer, SinkError> {
        let (entries, labels) = (entries.to_vec(), Arc::clone(&self.labels));
        let body = encoded(self.gzip, move || labels.body(&entries)).await?;
        let Some(acks) = &self.acks else {
            let reply = self.wire.send(self.request(body), LONGEST_ANSWER).await?;
            return Ok(match read(&reply) {
                Said::Taken(_) => Answer::Taken,
                said => refusal(&self.wire, &reply, said).await,
            });
        };
        acks.ensure_enabled(&self.wire).await?;
        let channel = Channel::new();
        let request = channel.mark(self.request(body));
        let reply = self.wire.send(request, LONGEST_ANSWER).await?;
        Ok(match read(&reply) {
            Said::Taken(Some(id)) => match acks.wait(channel, id, &self.wire).await {
                Ok(()) => Answer::Taken,
                Err(error) => Answer::Later(error),
            },
            // Nothing more is sent until the token acknowledges again: each attempt would index the
            // same events once more.
            Said::Taken(None) => Answer::Later(acks.disabled()),
            said => refusal(&self.wire, &reply, said).await,
        })
    }
}

#[async_trait]
impl Post for SplunkSink {
    async fn post(&self, entries: &[Entry]) -> Answer {
        self.send(entries).await.unwrap_or_else(Answer::Later)
    }
}

#[async_trait]
impl Sink for SplunkSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    /// Asks for the collector's health, and whether the token acknowledges where that is wanted.
    async fn check(&self) -> Result<(), SinkError> {
        let url = self.wire.below("/services/collector/health");
        let reply = self.wire.send(self.wire.request(Method::GET, url), Reading::Drain).await?;
        match reply.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                let text =
                    "the collector is not healthy: its queues are full, or it is shutting down";
                return Err(SinkError::retry_after(reply.after, text));
            }
            status if status.is_server_error() || status == StatusCode::UNAUTHORIZED => {
                return Err(self.wire.later(&reply, explain(status)).await);
            }
            _ => {}
        }
        if let Some(acks) = &self.acks {
            acks.check(&self.wire).await?;
        }
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        narrow(self, batch, self.search_time, &self.blame).await
    }
}
