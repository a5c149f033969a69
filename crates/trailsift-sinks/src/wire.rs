//! What all sinks that speak HTTP share: where they may connect to, under which certificates and
//! credentials, for how long, and how much of an answer they read.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use trailsift_core::{Disposition, SinkError};

use crate::{BuildError, SettingsError};

mod address;
mod certificates;
mod cookies;
mod headers;
mod sign;
mod status;

use address::{Endpoint, Resolver};
use cookies::Cookies;
pub use headers::HeaderText;
pub(crate) use headers::validate as validate_headers;
pub(crate) use sign::LONGEST_SIGNING;
pub use sign::{Refused, Sign, ToSign};
use status::retry_after;
pub(crate) use status::{A_PAGE, Verdict, explain, judge};

/// How an HTTP service is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its address. `https`, or `http` to this machine.
    pub url: String,
    /// How long connecting may take, encryption included.
    pub connect_timeout: Duration,
    /// How long one request may take, from connecting to the end of the answer.
    pub timeout: Duration,
    /// Allows `http` to other machines: events and credentials then travel in the clear.
    pub allow_http: bool,
    /// The authorities whose certificates are trusted, in PEM, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for Connection {
    /// Leaves out the URL: it may hold a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("allow_http", &self.allow_http)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// The defaults, for this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            allow_http: false,
            ca_file: None,
        }
    }

    /// Every mistake in it. Touches no network, and reads no file but the one of certificates.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems: Vec<SettingsError> =
            Endpoint::parse(&self.url, self.allow_http).err().into_iter().collect();
        for (key, value) in [("connect_timeout", self.connect_timeout), ("timeout", self.timeout)] {
            if value.is_zero() {
                problems.push(SettingsError::new(key, "must be longer than nothing"));
            }
        }
        if let Some(Err(problem)) = self.ca_file.as_deref().map(certificates::read) {
            problems.push(problem);
        }
        problems
    }

    /// How long a write goes on looking for the events that a service refuses.
    pub(crate) fn search_time(&self) -> Duration {
        self.timeout.saturating_mul(3)
    }

    /// The longest time that one write can take, if nothing follows its requests.
    pub(crate) fn longest_write(&self) -> Duration {
        self.search_time().saturating_add(self.timeout).saturating_add(LONGEST_DRAIN)
    }
}

/// How much of an answer that says nothing is read, and for how long, only so that its connection
/// can be used again.
const DRAINED_BYTES: usize = 64 << 10;
const LONGEST_DRAIN: Duration = Duration::from_secs(1);

/// What an answer said.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// How long the service asks to be left alone.
    pub(crate) after: Option<Duration>,
    /// Whether its media type is JSON.
    pub(crate) is_json: bool,
    /// Whether its media type is one for people to read, such as HTML.
    pub(crate) is_text: bool,
    /// `None` if it did not arrive whole, in time and within bounds.
    pub(crate) body: Option<Bytes>,
    /// What is wrong with the signature, if that is what the answer refuses, and what helps.
    pub(crate) signature: Option<&'static str>,
}

/// How an answer's body is read.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    /// It does not matter.
    Drain,
    /// Up to so many bytes.
    UpTo(usize),
}

/// The client of one service.
///
/// Redirects are not followed. Link-local and metadata addresses are refused, as literals in the
/// settings and as what a name resolves to when a connection is made. Proxies from the environment
/// (`HTTPS_PROXY` and so on) are used, except for a service on this machine; a proxy resolves names
/// itself, so the addresses behind it are its own responsibility.
pub(crate) struct Wire {
    sink: String,
    endpoint: Endpoint,
    client: Client,
    timeout: Duration,
    /// Sent unless `texts` name the same headers.
    fixed: HeaderMap,
    texts: Vec<(String, HeaderText)>,
    /// Both, with the secrets as last read.
    headers: RwLock<HeaderMap>,
    /// Where the service knows its callers by them.
    cookies: Option<Cookies>,
    /// Where the service knows its callers by their signatures.
    signer: Option<Arc<dyn Sign>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("sink", &self.sink)
            .field("origin", &self.endpoint.origin())
            .finish_non_exhaustive()
    }
}

impl Wire {
    /// Prepares the client and reads the secrets. Connects to nothing yet.
    ///
    /// # Errors
    /// If the connection does not hold, a secret is missing, or there is no TLS configuration.
    pub(crate) fn new(
        sink: &str,
        connection: &Connection,
        fixed: HeaderMap,
        texts: Vec<(String, HeaderText)>,
    ) -> Result<Self, BuildError> {
        let unfit =
            |problem| BuildError::Settings { sink: sink.to_owned(), problems: vec![problem] };
        let endpoint = Endpoint::parse(&connection.url, connection.allow_http).map_err(unfit)?;
        let headers = headers::build(&fixed, &texts)
            .map_err(|source| BuildError::Secret { sink: sink.to_owned(), source })?;
        let mut client = Client::builder()
            .user_agent(concat!("trailsift/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(Resolver(endpoint.allowed))
            .connect_timeout(connection.connect_timeout)
            .timeout(connection.timeout);
        if let Some(path) = &connection.ca_file {
            client = client.tls_certs_only(certificates::read(path).map_err(unfit)?);
        }
        if endpoint.is_local() {
            // A proxy's loopback is another machine.
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|source| BuildError::Client { sink: sink.to_owned(), source })?;
        Ok(Self {
            sink: sink.to_owned(),
            endpoint,
            client,
            timeout: connection.timeout,
            fixed,
            texts,
            headers: RwLock::new(headers),
            cookies: None,
            signer: None,
        })
    }

    /// The same, keeping cookies: behind a load balancer, all requests then go where the first went.
    pub(crate) fn sticky(mut self) -> Self {
        self.cookies = Some(Cookies::default());
        self
    }

    /// The same, each request with a signature of its own.
    pub(crate) fn signed_by(mut self, signer: Arc<dyn Sign>) -> Self {
        self.signer = Some(signer);
        self
    }

    /// The configured address.
    pub(crate) fn url(&self) -> Url {
        self.endpoint.url.clone()
    }

    /// The configured address with this path, which begins with a slash, behind its own.
    pub(crate) fn below(&self, path: &str) -> Url {
        let mut url = self.url();
        let whole = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&whole);
        url
    }

    /// A request with all configured headers.
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        // Replaced as a whole, so never half-written.
        let mut headers = self.headers.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(cookies) = &self.cookies {
            cookies.mark(&mut headers);
        }
        self.client.request(method, url).headers(headers)
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// If there is no answer: whether the request arrived is unknown. If there is no signature: it was not sent.
    pub(crate) async fn send(
        &self,
        request: RequestBuilder,
        reading: Reading,
    ) -> Result<Reply, SinkError> {
        let mut request = request.build().map_err(|error| self.unanswered(error))?;
        if let Some(signer) = &self.signer {
            sign::apply(&**signer, &mut request).await?;
        }
        let sent = self.client.execute(request).await;
        let response = sent.map_err(|error| self.unanswered(error))?;
        if let Some(cookies) = &self.cookies {
            cookies.note(response.headers());
        }
        let status = response.status();
        let after = retry_after(response.headers().get(RETRY_AFTER), SystemTime::now());
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let is = |kind| media_type.is_some_and(|it| it.trim_start().starts_with(kind));
        let (is_json, is_text) = (is("application/json"), is("text/"));
        let head = self.signer.as_ref().map(|_| response.headers().clone());
        let body = match reading {
            Reading::UpTo(most) => read(response, most).await,
            Reading::Drain => {
                // A service that trickles or floods loses only its connection.
                let drained = read(response, DRAINED_BYTES);
                tokio::time::timeout(LONGEST_DRAIN, drained).await.ok().flatten()
            }
        };
        let signature =
            self.signer.as_ref().zip(head).and_then(|(signer, head)| {
                sign::refusal(&**signer, status, &head, body.as_deref())
            });
        Ok(Reply { status, after, is_json, is_text, body, signature })
    }

    /// The error for an answer that says nothing about single events. Where it is about credentials,
    /// those in files are read again.
    pub(crate) async fn later(&self, reply: &Reply, message: impl Into<String>) -> SinkError {
        let unauthorized = matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        // With fresh credentials there is nothing to wait for.
        let fresh = unauthorized && self.reread_secrets().await;
        let after = if fresh { Some(Duration::ZERO) } else { reply.after };
        SinkError {
            disposition: Disposition::Retry { after },
            message: message.into(),
            source: None,
        }
    }

    /// Reads secret files again. Whether something is new.
    pub(crate) async fn reread_secrets(&self) -> bool {
        if !self.texts.iter().any(|(_, text)| text.may_rotate()) {
            return false;
        }
        let (fixed, texts) = (self.fixed.clone(), self.texts.clone());
        let read = tokio::task::spawn_blocking(move || headers::build(&fixed, &texts)).await;
        let failed = |error: &dyn fmt::Display| {
            tracing::warn!(sink = self.sink, %error, "cannot read the secrets again");
            false
        };
        match read {
            Ok(Ok(fresh)) => {
                let mut headers = self.headers.write().unwrap_or_else(PoisonError::into_inner);
                let changed = *headers != fresh;
                *headers = fresh;
                if changed {
                    tracing::info!(sink = self.sink, "the secrets changed and were read again");
                }
                changed
            }
            Ok(Err(error)) => failed(&error),
            Err(error) => failed(&error),
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> SinkError {
        let origin = self.endpoint.origin();
        let what = if error.is_connect() {
            format!("cannot connect to {origin}")
        } else if error.is_timeout() {
            format!("{origin} gave no answer within {:?}", self.timeout)
        } else {
            format!("the request to {origin} got no answer")
        };
        SinkError::retry(what).because(error.without_url())
    }
}

async fn read(mut response: Response, most: usize) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= most => body.extend_from_slice(&chunk),
            Ok(None) => return Some(body.freeze()),
            Ok(Some(_)) | Err(_) => {
                tracing::debug!("an answer's body does not end in time or within bounds");
                return None;
            }
        }
    }
}

/// The body as it travels, made and compressed on a thread that may be busy for as long as that takes:
/// milliseconds for a usual batch, more than a second for the largest, too long for the threads that
/// do the waiting.
///
/// # Errors
/// If there is no such thread, or the body cannot be compressed.
pub(crate) async fn encoded(
    gzip: bool,
    make: impl FnOnce() -> Vec<u8> + Send + 'static,
) -> Result<Bytes, SinkError> {
    let made = tokio::task::spawn_blocking(move || {
        let body = make();
        if !gzip {
            return Ok(body);
        }
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(4));
        encoder.write_all(&body)?;
        encoder.finish()
    });
    let failed = || SinkError::retry("cannot make the request's body");
    let bytes: std::io::Result<Vec<u8>> = made.await.map_err(|error| failed().because(error))?;
    bytes.map(Bytes::from).map_err(|error| failed().because(error))
}
