//! A raw HTTP server that answers what AWS answers, byte by byte as a test wrote it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::config::SharedCredentialsProvider;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::connector::{Account, AccountSettings, Connector};

/// One answer. After it the connection is closed.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    length: Option<usize>,
    hangs: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), length: None, hangs: false }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces another length than the body has.
    pub(crate) fn announcing(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Keeps the connection open after the body, in silence.
    pub(crate) fn hanging(mut self) -> Self {
        self.hangs = true;
        self
    }

    fn head(&self) -> String {
        let length = self.length.unwrap_or(self.body.len());
        let mut head = format!("HTTP/1.1 {} Status\r\ncontent-length: {length}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "connection: close\r\nx-amzn-requestid: REQ1\r\nx-amz-request-id: REQ1\r\n\r\n"
    }
}

/// One request: its head, in lower case up to the first space of each header, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }
}

/// What to answer to a request.
type Script = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Whatever a connection can be: plain or TLS.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Answers requests and remembers them.
pub(crate) struct TestServer {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    _tasks: JoinSet<()>,
}

impl TestServer {
    /// Answers in order; the last answer stands for all that follow.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = Mutex::new(answers.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| {
            let mut answers = answers.lock().expect("no panic while it is held");
            let answer =
                if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            answer.expect("at least one answer")
        })
        .await
    }

    /// Answers what the request asks for.
    pub(crate) async fn answering(
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let plain = |stream: TcpStream| async { Some(Box::new(stream) as Box<dyn Connection>) };
        Self::over(plain, script).await
    }

    /// The same over connections that `accept` makes of those that come in.
    pub(crate) async fn over<F>(
        accept: impl Fn(TcpStream) -> F + Send + 'static,
        script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Box<dyn Connection>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script: Script = Arc::new(script);
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (accepting, script, seen) =
                    (accept(stream), Arc::clone(&script), Arc::clone(&seen));
                connections.spawn(async move {
                    if let Some(stream) = accepting.await {
                        serve(stream, script, seen).await;
                    }
                });
            }
        });
        Self { url, requests, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic while it is held").clone()
    }

    /// The ports of an account whose every call comes here.
    pub(crate) async fn account(&self) -> Account {
        account(self.url(), QUEUE_URL).await
    }
}

/// A queue whose host does not exist.
pub(crate) const QUEUE_URL: &str = "https://sqs.us-east-1.trailsift.invalid/000000000000/trail";

/// The settings of an account at this endpoint.
pub(crate) fn settings(endpoint: &str, queue_url: &str) -> AccountSettings {
    AccountSettings {
        id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        bucket_regions: BTreeMap::new(),
        known_regions: BTreeSet::new(),
        queue_url: queue_url.to_owned(),
        role_arn: None,
        external_id: None,
        endpoint_url: Some(endpoint.to_owned()),
    }
}

/// A configuration as the environment gives it, with credentials of its own; the SDK does not
/// retry, so that a test sees every answer.
pub(crate) async fn sdk_config() -> SdkConfig {
    let credentials = Credentials::new("AKIATEST", "SECRETTEST", None, None, "test");
    aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new("eu-north-1"))
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}

/// The same, retrying three times without waiting in between.
pub(crate) async fn retrying_sdk_config() -> SdkConfig {
    let retries = RetryConfig::standard().with_max_attempts(3);
    let retries = retries.with_initial_backoff(Duration::from_millis(1));
    sdk_config().await.into_builder().retry_config(retries).build()
}

/// The ports of an account at this endpoint.
pub(crate) async fn account(endpoint: &str, queue_url: &str) -> Account {
    Connector::over(sdk_config().await).connect(&settings(endpoint, queue_url)).await
}

async fn serve(mut stream: Box<dyn Connection>, script: Script, seen: Arc<Mutex<Vec<Request>>>) {
    let Some(request) = read(&mut *stream).await else { return };
    let answer = script(&request);
    // A HEAD is answered by the head alone.
    let is_head = request.line().starts_with("HEAD ");
    seen.lock().expect("no panic while it is held").push(request);
    let mut bytes = answer.head().into_bytes();
    if !is_head {
        bytes.extend(answer.body);
    }
    if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
        return;
    }
    if answer.hangs {
        pending::<()>().await;
    }
    // A client over TLS must see that nothing was cut off; one that is gone already need not.
    stream.shutdown().await.unwrap_or_default();
}

async fn read(stream: &mut dyn Connection) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let request = Request { head: head.to_owned(), body: body.to_owned() };
        let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            return Some(request);
        }
    }
}

/// A deadline for what must not hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where LocalStack is.
pub(crate) fn localstack() -> String {
    std::env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL names a running LocalStack")
}

/// A name that no other test run uses, legal for queues and buckets.
pub(crate) fn unique() -> String {
    format!("trailsift-{:016x}", fastrand::u64(..))
}
