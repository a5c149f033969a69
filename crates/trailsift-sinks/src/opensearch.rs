use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, facts};
use trailsift_event::Event;

use crate::narrow::{Answer, Post, narrow};
use crate::wire::{A_PAGE, Reading, Wire, encoded, explain};
use crate::{BuildError, Connection, HeaderText, SecretSource, SettingsError};

mod bulk;
mod index;

pub use index::{IndexTemplate, IndexTemplateError};

/// What a bulk request does with an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BulkOp {
    /// Adds it, unless it is there. All that data streams take.
    #[default]
    Create,
    /// Adds it, or writes it over itself.
    Index,
}

/// As whom the sink writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SearchCredentials {
    /// As nobody.
    #[default]
    None,
    /// With a name and a password.
    Basic {
        /// The name.
        username: String,
        /// Where the password is.
        password: SecretSource,
    },
    /// With an API key, encoded as Elasticsearch hands it out.
    ApiKey(SecretSource),
}

/// The settings of an [`OpenSearchSink`].
#[derive(Clone, PartialEq, Eq)]
pub struct OpenSearchSettings {
    /// The cluster's address without `/_bulk`.
    pub connection: Connection,
    /// The index, alias or data stream of each event.
    pub index: IndexTemplate,
    /// What is done with an event.
    pub op: BulkOp,
    /// As whom.
    pub credentials: SearchCredentials,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// The most that the cluster takes in one request, before compression.
    pub limits: Limits,
}

impl fmt::Debug for OpenSearchSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSearchSettings")
            .field("connection", &self.connection)
            .field("index", &self.index)
            .field("op", &self.op)
            .finish_non_exhaustive()
    }
}

impl OpenSearchSettings {
    /// The defaults, for this address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            connection: Connection::new(url),
            index: IndexTemplate::default(),
            op: BulkOp::default(),
            credentials: SearchCredentials::default(),
            gzip: true,
            limits: Limits::NONE,
        }
    }

    /// Every mistake in these settings. Touches no network and reads no secret.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems = self.connection.validate();
        if self.connection.url.contains("/_bulk") {
            problems.push(SettingsError::new(
                "url",
                "names the path of the bulk API, which the sink adds: leave out /_bulk",
            ));
        }
        if let SearchCredentials::Basic { username, .. } = &self.credentials {
            // RFC 7617: a colon ends the name.
            if username.is_empty() || username.contains(|c: char| c == ':' || c.is_control()) {
                let problem = "must be text without a colon or control characters";
                problems.push(SettingsError::new("username", problem));
            }
        }
        problems
    }

    /// The longest time that one write can take; a [`Timeout`](trailsift_delivery::Timeout) around the sink must
    /// be longer.
    pub fn longest_write(&self) -> Duration {
        self.connection.longest_write()
    }

    fn headers(&self) -> Vec<(String, HeaderText)> {
        let text = match self.credentials.clone() {
            SearchCredentials::None => return Vec::new(),
            SearchCredentials::Basic { username, password } => {
                HeaderText::Basic { username, password }
            }
            SearchCredentials::ApiKey(source) => {
                HeaderText::Secret { prefix: "ApiKey ".into(), source }
            }
        };
        vec![(AUTHORIZATION.to_string(), text)]
    }
}

/// Writes events to OpenSearch or Elasticsearch with the bulk API, each as the document of its
/// `eventID`: what is written again is there once, also after a lost answer.
///
/// Each event has its own result, by its place. With [`BulkOp::Create`] one that is there already
/// counts as written. What the cluster cannot index is poison; what it cannot do now, or nobody
/// knows, is retried, that event alone.
#[derive(Debug)]
pub struct OpenSearchSink {
    name: String,
    wire: Wire,
    index: Arc<IndexTemplate>,
    op: BulkOp,
    gzip: bool,
    search_time: Duration,
    limits: Limits,
    blame: Blame,
}

impl OpenSearchSink {
    /// Prepares the client and reads the credentials. Connects to nothing yet.
    ///
    /// # Errors
    /// If the settings do not hold, a secret is missing, or there is no TLS configuration.
    pub fn new(name: impl Into<String>, settings: OpenSearchSettings) -> Result<Self, BuildError> {
        let sink = name.into();
        let problems = settings.validate();
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let headers = settings.headers();
        Ok(Self {
            wire: Wire::new(&sink, &settings.connection, HeaderMap::new(), headers)?,
            name: sink,
            search_time: settings.connection.search_time(),
            index: Arc::new(settings.index),
            op: settings.op,
            gzip: settings.gzip,
            limits: settings.limits,
            blame: Blame::new("index, op, its mapping, and that a data stream gets format \"ecs\""),
        })
    }

    async fn send(&self, entries: &[Entry]) -> Result<Answer, SinkError> {
        let count = entries.len();
        let (entries, index, op) = (entries.to_vec(), Arc::clone(&self.index), self.op);
        let body = encoded(self.gzip, move || body(&entries, &index, op)).await?;
        let mut url = self.wire.below("/_bulk");
        // Everything else in the answer is for people: 20 times as many bytes.
        url.query_pairs_mut().append_pair("filter_path", bulk::FILTER);
        let mut request = self.wire.request(Method::POST, url).body(body);
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if self.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let reading = Reading::UpTo(bulk::longest_answer(count));
        let reply = self.wire.send(request, reading).await?;
        Ok(match reply.status {
            StatusCode::OK => match reply.body.as_deref().and_then(bulk::read) {
                Some(results) => Answer::Each(bulk::settle(results, self.op)),
                None => Answer::Later(SinkError::retry(
                    "the answer is not that of a bulk request: nothing of it counts as written, check the url",
                )),
            },
            StatusCode::PAYLOAD_TOO_LARGE => {
                let text = "the event is larger than the cluster takes in a request";
                Answer::Refused(SinkError::poison(Reason::SinkRecordTooLarge, text))
            }
            StatusCode::BAD_REQUEST => {
                let kind = bulk::kind_of(reply.body.as_deref());
                let text = format!("the cluster refuses a request with this event alone: {kind}");
                Answer::Refused(SinkError::poison(Reason::SinkRejected, text))
            }
            status => Answer::Later(self.wire.later(&reply, explain(status)).await),
        })
    }
}

/// Two lines for each event: what to do, and its document.
fn body(entries: &[Entry], index: &IndexTemplate, op: BulkOp) -> Vec<u8> {
    let size = |entry: &Entry| entry.data.len() + 128;
    let mut body = Vec::with_capacity(entries.iter().map(size).sum());
    let op = match op {
        BulkOp::Create => "create",
        BulkOp::Index => "index",
    };
    for entry in entries {
        let event = Event::new(&entry.record);
        // Neither holds anything that JSON would have to escape.
        let (index, id) = (index.render(&event), facts::id(entry, &event));
        let action = format!("{{\"{op}\":{{\"_index\":\"{index}\",\"_id\":\"{id}\"}}}}\n");
        body.extend_from_slice(action.as_bytes());
        body.extend_from_slice(&entry.line());
        body.push(b'\n');
    }
    body
}

#[async_trait]
impl Post for OpenSearchSink {
    async fn post(&self, entries: &[Entry]) -> Answer {
        self.send(entries).await.unwrap_or_else(Answer::Later)
    }
}

#[async_trait]
impl Sink for OpenSearchSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    /// Asks for what stands at the cluster's root. A role that may only write may not read it: 403 is
    /// an answer of a cluster that knows whom it talks to.
    async fn check(&self) -> Result<(), SinkError> {
        let request = self.wire.request(Method::GET, self.wire.below("/"));
        let reply = self.wire.send(request, Reading::Drain).await?;
        match reply.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
            status if status.is_success() && reply.is_text => {
                return Err(SinkError::retry(A_PAGE));
            }
            status if status.is_success() => {}
            status => return Err(self.wire.later(&reply, explain(status)).await),
        }
        self.blame.trouble().map_or(Ok(()), |trouble| Err(SinkError::retry(trouble)))
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        narrow(self, batch, self.search_time, &self.blame).await
    }
}
