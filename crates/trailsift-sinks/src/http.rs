use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::write::GzEncoder;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::time::Instant;
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};

use crate::lines::{json_array, ndjson};
use crate::settle::{answer, replicate};
use crate::{BuildError, SettingsError};

mod address;
mod blame;
mod headers;
mod status;

use address::{Endpoint, Resolver};
use blame::Blame;
pub use headers::HeaderText;
use status::{Verdict, explain, judge, retry_after};

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
            limits: Limits::NONE,
        }
    }

    /// Every mistake in these settings. Touches no network and reads no secret.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems: Vec<SettingsError> =
            Endpoint::parse(&self.url, self.allow_http).err().into_iter().collect();
        headers::validate(&self.headers, &mut problems);
        for (key, value) in [("connect_timeout", self.connect_timeout), ("timeout", self.timeout)] {
            if value.is_zero() {
                problems.push(SettingsError::new(key, "must be longer than nothing"));
            }
        }
        problems
    }

    /// The longest time that one write can take: a refused batch is halved for at most three times
    /// `timeout`, and one more request can follow. A [`Timeout`](crate::Timeout) around the sink must
    /// be longer.
    pub fn longest_write(&self) -> Duration {
        self.search_time().saturating_add(self.timeout).saturating_add(MAX_ANSWER_TIME)
    }

    /// How long a write goes on looking for the events that the collector refuses.
    fn search_time(&self) -> Duration {
        self.timeout.saturating_mul(3)
    }
}

/// Requests that one write makes at most. Finding one bad event among 500 takes 19.
const MAX_REQUESTS: usize = 64;
/// How much of an answer is read, and for how long, only so that its connection can be used again.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const MAX_ANSWER_TIME: Duration = Duration::from_secs(1);

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
pub struct HttpSink {
    name: String,
    settings: HttpSettings,
    endpoint: Endpoint,
    client: Client,
    /// With the secrets as last read.
    headers: RwLock<HeaderMap>,
    blame: Blame,
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink")
            .field("name", &self.name)
            .field("origin", &self.endpoint.origin())
            .finish_non_exhaustive()
    }
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
        let endpoint = Endpoint::parse(&settings.url, settings.allow_http).map_err(|problem| {
            BuildError::Settings { sink: sink.clone(), problems: vec![problem] }
        })?;
        let headers = headers::build(&settings)
            .map_err(|source| BuildError::Secret { sink: sink.clone(), source })?;
        let mut client = Client::builder()
            .user_agent(concat!("trailsift/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(Resolver(endpoint.allowed))
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.timeout);
        if endpoint.is_local() {
            // A proxy's loopback is another machine.
            client = client.no_proxy();
        }
        let client =
            client.build().map_err(|source| BuildError::Client { sink: sink.clone(), source })?;
        Ok(Self {
            name: sink,
            settings,
            endpoint,
            client,
            headers: RwLock::new(headers),
            blame: Blame::default(),
        })
    }

    fn headers(&self) -> HeaderMap {
        // Replaced as a whole, so never half-written.
        self.headers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One request with these entries.
    async fn post(&self, entries: &[Entry]) -> Result<(), Refusal> {
        let body = self.body(entries).await.map_err(Refusal::Later)?;
        let request =
            self.client.post(self.endpoint.url.clone()).headers(self.headers()).body(body);
        let response =
            request.send().await.map_err(|error| Refusal::Later(self.unanswered(error)))?;
        let status = response.status();
        let verdict = judge(status);
        let after = retry_after(response.headers().get(RETRY_AFTER), SystemTime::now());
        drain(response).await;
        match verdict {
            Verdict::Taken => Ok(()),
            Verdict::Refused => Err(Refusal::Request(status)),
            Verdict::Later => Err(Refusal::Later(SinkError::retry_after(after, explain(status)))),
            Verdict::Unauthorized => {
                // With fresh credentials there is nothing to wait for.
                let after = if self.reread_secrets().await { Some(Duration::ZERO) } else { after };
                Err(Refusal::Later(SinkError::retry_after(after, explain(status))))
            }
        }
    }

    /// Takes back what was said of these events: they are to be written again, without haste.
    fn blame_the_collector(
        &self,
        settled: &mut [Option<SinkError>],
        events: impl Iterator<Item = usize>,
    ) {
        let Some(trouble) = self.blame.trouble() else { return };
        for index in events {
            settled[index] = Some(SinkError::retry(trouble.clone()));
        }
    }

    async fn body(&self, entries: &[Entry]) -> Result<Bytes, SinkError> {
        let body = match self.settings.body {
            BodyShape::Ndjson => ndjson(entries),
            BodyShape::JsonArray => json_array(entries),
        };
        if !self.settings.gzip {
            return Ok(body.into());
        }
        // Compressing a batch takes milliseconds, too long for the threads that do the waiting.
        let compressed = tokio::task::spawn_blocking(move || {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(4));
            encoder.write_all(&body)?;
            encoder.finish()
        });
        let failed = || SinkError::retry("cannot compress the request");
        let bytes = compressed.await.map_err(|error| failed().because(error))?;
        bytes.map(Bytes::from).map_err(|error| failed().because(error))
    }

    fn unanswered(&self, error: reqwest::Error) -> SinkError {
        let origin = self.endpoint.origin();
        let what = if error.is_connect() {
            format!("cannot connect to {origin}")
        } else if error.is_timeout() {
            format!("{origin} gave no answer within {:?}", self.settings.timeout)
        } else {
            format!("the request to {origin} got no answer")
        };
        SinkError::retry(what).because(error.without_url())
    }

    /// Reads secret files again. Whether something is new.
    async fn reread_secrets(&self) -> bool {
        let rotates = |text: &HeaderText| match text {
            HeaderText::Plain(_) => false,
            HeaderText::Secret { source, .. } => source.may_rotate(),
        };
        if !self.settings.headers.iter().any(|(_, text)| rotates(text)) {
            return false;
        }
        let settings = self.settings.clone();
        match tokio::task::spawn_blocking(move || headers::build(&settings)).await {
            Ok(Ok(fresh)) => {
                let mut headers = self.headers.write().unwrap_or_else(PoisonError::into_inner);
                let changed = *headers != fresh;
                *headers = fresh;
                if changed {
                    tracing::info!(sink = self.name, "the secrets changed and were read again");
                }
                changed
            }
            Ok(Err(error)) => {
                tracing::warn!(sink = self.name, %error, "cannot read the secrets again");
                false
            }
            Err(error) => {
                tracing::warn!(sink = self.name, %error, "cannot read the secrets again");
                false
            }
        }
    }
}

/// Why a request did not deliver its events.
enum Refusal {
    /// It may later.
    Later(SinkError),
    /// Because of what is in it.
    Request(StatusCode),
}

impl Refusal {
    /// The verdict on a single event that is refused.
    fn of_one(status: StatusCode) -> SinkError {
        let reason = match status {
            StatusCode::PAYLOAD_TOO_LARGE => Reason::SinkRecordTooLarge,
            _ => Reason::SinkRejected,
        };
        SinkError::poison(reason, format!("{} to this event alone", explain(status)))
    }
}

/// Reads what is left of an answer, within bounds: a collector that trickles or floods loses only
/// its connection.
async fn drain(mut response: Response) {
    let read = async {
        let mut bytes = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes += chunk.len();
            if bytes > MAX_ANSWER_BYTES {
                break;
            }
        }
    };
    if tokio::time::timeout(MAX_ANSWER_TIME, read).await.is_err() {
        tracing::debug!("the answer's body takes too long and is left unread");
    }
}

#[async_trait]
impl Sink for HttpSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        self.settings.limits
    }

    /// Asks with `HEAD`. Any answer shows that the collector is there, since what it thinks of
    /// `HEAD` says little about `POST`; only 401 and server errors count against it. What its answers
    /// to `POST` say is remembered: one that refuses everything is not well.
    async fn check(&self) -> Result<(), SinkError> {
        let request = self.client.head(self.endpoint.url.clone()).headers(self.headers());
        let response = request.send().await.map_err(|error| self.unanswered(error))?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            self.reread_secrets().await;
        }
        // Many servers know no HEAD at all; that they say so with 501 or 405 is an answer.
        let unwell = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if status == StatusCode::UNAUTHORIZED || unwell {
            return Err(SinkError::retry(explain(status)));
        }
        self.blame.trouble().map_or(Ok(()), |trouble| Err(SinkError::retry(trouble)))
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let started = Instant::now();
        // Fails closed: undecided until an answer decides it.
        let undecided = SinkError::retry_after(
            Some(Duration::ZERO),
            "not yet decided which events of a refused batch are to blame",
        );
        let count = batch.entries.len();
        let mut settled: Vec<Option<SinkError>> = replicate(undecided, count).map(Some).collect();
        let mut parts: Vec<Range<usize>> = Vec::new();
        if count > 0 {
            parts.push(0..count);
        }
        let mut requests = 0;
        // The events that are refused by themselves.
        let mut refused = Vec::new();
        let mut accepted = false;
        while let Some(part) = parts.pop() {
            let spent =
                requests >= MAX_REQUESTS || started.elapsed() >= self.settings.search_time();
            if requests > 0 && spent {
                parts.push(part);
                break;
            }
            requests += 1;
            match self.post(&batch.entries[part.clone()]).await {
                Ok(()) => {
                    accepted = true;
                    settled[part].fill_with(|| None);
                }
                Err(Refusal::Later(error)) => {
                    for (slot, error) in
                        settled[part.clone()].iter_mut().zip(replicate(error, part.len()))
                    {
                        *slot = Some(error);
                    }
                }
                Err(Refusal::Request(status)) if part.len() == 1 => {
                    settled[part.start] = Some(Refusal::of_one(status));
                    refused.push(part.start);
                }
                Err(Refusal::Request(_)) => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                }
            }
        }
        let to_blame = self.blame.divide(accepted, refused.len());
        if !accepted {
            let undecided = parts.into_iter().flatten();
            self.blame_the_collector(
                &mut settled,
                refused.split_off(to_blame).into_iter().chain(undecided),
            );
        }
        answer(settled)
    }
}
