use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, facts};
use trailsift_event::Event;

use crate::narrow::{Answer, Post, narrow};
use crate::wire::{A_PAGE, LONGEST_SIGNING, Reading, Reply, Sign, Wire, encoded, explain};
use crate::{BuildError, Connection, HeaderText, SecretSource, SettingsError};

mod bulk;
mod index;

use bulk::Item;
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
    /// By signatures, at this service of AWS: [`OpenSearchSink::signed`].
    Aws(SearchService),
}

/// What AWS runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchService {
    /// A domain of Amazon OpenSearch Service.
    Domain,
    /// A collection of Amazon OpenSearch Serverless.
    ///
    /// <https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-genref.html>
    Serverless,
}

/// What the `_id` of a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DocumentId {
    /// The event's: what is written again is there once.
    #[default]
    Event,
    /// The service's own choice, as Serverless demands for collections of time series and of vectors: what is
    /// written again is there twice.
    Service,
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
    /// What documents are called.
    pub document_id: DocumentId,
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
            .field("document_id", &self.document_id)
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
            document_id: DocumentId::default(),
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
        match self.credentials {
            SearchCredentials::Aws(_) => {
                self.connection.longest_write().saturating_add(LONGEST_SIGNING)
            }
            _ => self.connection.longest_write(),
        }
    }

    fn headers(&self) -> Vec<(String, HeaderText)> {
        let text = match self.credentials.clone() {
            SearchCredentials::None | SearchCredentials::Aws(_) => return Vec::new(),
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
/// With [`DocumentId::Service`] it is there twice instead.
///
/// Each event has its own result, by its place. With [`BulkOp::Create`] one that is there already
/// counts as written. What the cluster cannot index is poison; what it cannot do now, or nobody
/// knows, is retried, that event alone.
#[derive(Debug)]
pub struct OpenSearchSink {
    name: String,
    wire: Wire,
    index: Arc<IndexTemplate>,
    naming: Naming,
    service: Option<SearchService>,
    has_taken_ids: AtomicBool,
    gzip: bool,
    search_time: Duration,
    limits: Limits,
    blame: Blame,
}

/// What is done with an event, and what its document is called.
#[derive(Clone, Copy, Debug)]
struct Naming {
    op: BulkOp,
    id: DocumentId,
}

impl OpenSearchSink {
    /// Prepares the client and reads the credentials. Connects to nothing yet.
    ///
    /// # Errors
    /// If the settings do not hold, a secret is missing, or there is no TLS configuration.
    pub fn new(name: impl Into<String>, settings: OpenSearchSettings) -> Result<Self, BuildError> {
        Self::build(name.into(), settings, None)
    }

    /// The same at AWS: with [`SearchCredentials::Aws`], and this who makes the signatures.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub fn signed(
        name: impl Into<String>,
        settings: OpenSearchSettings,
        signer: Arc<dyn Sign>,
    ) -> Result<Self, BuildError> {
        Self::build(name.into(), settings, Some(signer))
    }

    fn build(
        sink: String,
        settings: OpenSearchSettings,
        signer: Option<Arc<dyn Sign>>,
    ) -> Result<Self, BuildError> {
        let mut problems = settings.validate();
        let service = match settings.credentials {
            SearchCredentials::Aws(service) => Some(service),
            _ => None,
        };
        if service.is_some() != signer.is_some() {
            problems.push(SettingsError::new(
                "aws",
                "and a signer belong together: neither is of use alone",
            ));
        }
        if !problems.is_empty() {
            return Err(BuildError::Settings { sink, problems });
        }
        let headers = settings.headers();
        let wire = Wire::new(&sink, &settings.connection, HeaderMap::new(), headers)?;
        Ok(Self {
            wire: match signer {
                Some(signer) => wire.signed_by(signer),
                None => wire,
            },
            name: sink,
            search_time: settings.connection.search_time(),
            index: Arc::new(settings.index),
            naming: Naming { op: settings.op, id: settings.document_id },
            service,
            has_taken_ids: AtomicBool::new(false),
            gzip: settings.gzip,
            limits: settings.limits,
            blame: Blame::new("index, op, its mapping, and that a data stream gets format \"ecs\""),
        })
    }

    async fn send(&self, entries: &[Entry]) -> Result<Answer, SinkError> {
        let count = entries.len();
        let (entries, index, naming) = (entries.to_vec(), Arc::clone(&self.index), self.naming);
        let body = encoded(self.gzip, move || body(&entries, &index, naming)).await?;
        let mut url = self.wire.below("/_bulk");
        // Everything else in the answer is for people: 20 times as many bytes.
        url.query_pairs_mut().append_pair("filter_path", bulk::FILTER);
        let mut request = self.wire.request(Method::POST, url).body(body);
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        if self.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let reading = Reading::UpTo(bulk::longest_answer(count, self.service));
        let reply = self.wire.send(request, reading).await?;
        if let Some(trouble) = self.trouble_of(&reply) {
            return Ok(Answer::Later(SinkError::retry(trouble)));
        }
        Ok(match reply.status {
            StatusCode::OK => match reply.body.as_deref().and_then(bulk::read) {
                Some(results) => Answer::Each(self.settle(results)),
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
            status => Answer::Later(match (status, self.service) {
                (StatusCode::FORBIDDEN, Some(service)) => SinkError::retry(permissions(service)),
                _ => self.wire.later(&reply, explain(status)).await,
            }),
        })
    }

    /// What became of each event.
    fn settle(&self, items: Vec<Item>) -> Vec<Option<SinkError>> {
        // A collection that has taken IDs means something else by what it refuses.
        let in_doubt = self.service.filter(|_| !self.has_taken_ids.load(Ordering::Relaxed));
        let settled = bulk::settle(items, self.naming, in_doubt);
        if self.naming.id == DocumentId::Event && settled.iter().any(Option::is_none) {
            self.has_taken_ids.store(true, Ordering::Relaxed);
        }
        settled
    }

    /// What is wrong with the signature of a request that was refused.
    fn trouble_of(&self, reply: &Reply) -> Option<String> {
        let status = reply.status.as_u16();
        reply.signature.map(|what| format!("AWS answers {status} to the request: {what}"))
    }
}

/// What a role needs. Serverless asks for both: its policies of access to data stand beside IAM's.
fn permissions(service: SearchService) -> &'static str {
    match service {
        SearchService::Domain => {
            "AWS answers 403: allow the role es:ESHttpPost on the domain, in its own policy and the domain's; with \
             fine-grained access control, map it to a role of OpenSearch that may write"
        }
        SearchService::Serverless => {
            "AWS answers 403: allow the role aoss:APIAccessAll on the collection, and in a data access policy \
             aoss:WriteDocument and aoss:CreateIndex on its indexes; the network policy must let it in"
        }
    }
}

/// Two lines for each event: what to do, and its document.
fn body(entries: &[Entry], index: &IndexTemplate, naming: Naming) -> Vec<u8> {
    let size = |entry: &Entry| entry.data.len() + 128;
    let mut body = Vec::with_capacity(entries.iter().map(size).sum());
    let op = match naming.op {
        BulkOp::Create => "create",
        BulkOp::Index => "index",
    };
    for entry in entries {
        let event = Event::new(&entry.record);
        // Neither holds anything that JSON would have to escape.
        let index = index.render(entry, &event);
        let id = match naming.id {
            DocumentId::Event => format!(",\"_id\":\"{}\"", facts::id(entry, &event)),
            DocumentId::Service => String::new(),
        };
        let action = format!("{{\"{op}\":{{\"_index\":\"{index}\"{id}}}}}\n");
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
    /// an answer of a cluster that knows whom it talks to. Serverless has nothing at its root, and says so once it
    /// has checked the signature.
    async fn check(&self) -> Result<(), SinkError> {
        let request = self.wire.request(Method::GET, self.wire.below("/"));
        let reply = self.wire.send(request, Reading::Drain).await?;
        if let Some(trouble) = self.trouble_of(&reply) {
            return Err(SinkError::retry(trouble));
        }
        match reply.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {}
            status if status.is_success() && reply.is_text => {
                return Err(SinkError::retry(A_PAGE));
            }
            status if status.is_success() => {}
            status => return Err(self.wire.later(&reply, explain(status)).await),
        }
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        narrow(self, batch, self.search_time, &self.blame).await
    }
}
