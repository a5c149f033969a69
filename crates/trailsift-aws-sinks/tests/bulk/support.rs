//! Sessions, decorated sinks and batches.

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use trailsift_aws::{Connector, Session, SessionSettings};
use trailsift_core::{Batch, Disposition, Sink, SinkError, WriteOutcome};
use trailsift_testkit::conformance::batch;
use trailsift_testkit::{FaultProxy, Plan, ProxyAnswer, ProxyRequest};

/// A session whose every call goes to this endpoint.
pub(crate) async fn session(endpoint: &str) -> Session {
    session_with(endpoint, None).await
}

/// The same over another client.
pub(crate) async fn session_with(endpoint: &str, client: Option<SharedHttpClient>) -> Session {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let base = aws_config::defaults(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new("eu-north-1"))
        .load()
        .await;
    let settings = SessionSettings {
        region: "us-east-1".to_owned(),
        role_arn: None,
        external_id: None,
        endpoint_url: Some(endpoint.to_owned()),
    };
    let mut base = base.into_builder();
    base.set_http_client(client);
    Connector::over(base.build()).session(&settings).await
}

/// Records with these numbers, each of the region that is named.
pub(crate) fn records<'r>(of: impl IntoIterator<Item = (u32, &'r str)>) -> Batch {
    batch(of.into_iter().map(|(id, region)| {
        format!(
            "{{\"eventTime\":\"2026-11-16T01:02:03Z\",\"eventID\":\"id-{id}\",\
             \"awsRegion\":\"{region}\",\"recipientAccountId\":\"111122223333\"}}"
        )
    }))
}

/// Records of one region.
pub(crate) fn some(count: u32) -> Batch {
    records((0..count).map(|id| (id, "us-east-1")))
}

/// What became of each entry: `.` acknowledged, `?` to be retried, `L` too large, `x` rejected.
pub(crate) fn verdict(batch: &Batch, answer: Result<WriteOutcome, SinkError>) -> String {
    use trailsift_core::Reason::{SinkRecordTooLarge, SinkRejected};
    let mut letters = vec!['.'; batch.entries.len()];
    for failure in answer.expect("an outcome").failures {
        letters[failure.index] = match failure.error.disposition {
            Disposition::Retry { .. } => '?',
            Disposition::Poison { reason: SinkRecordTooLarge } => 'L',
            Disposition::Poison { reason: SinkRejected } => 'x',
            _ => '!',
        };
    }
    letters.into_iter().collect()
}

/// What is sent in these events, and what became of them.
pub(crate) async fn write(sink: &dyn Sink, batch: &Batch) -> String {
    verdict(batch, sink.write(batch).await)
}

/// The text of the only error of a write.
pub(crate) async fn error(sink: &dyn Sink, batch: &Batch) -> SinkError {
    let mut failures = sink.write(batch).await.expect("an outcome").failures;
    assert_eq!(failures.len(), batch.entries.len(), "{failures:?}");
    failures.remove(0).error
}

/// Answers everything by itself.
pub(crate) async fn answering(answer: ProxyAnswer) -> FaultProxy {
    FaultProxy::alone(move |_| answer.clone()).await
}

/// The address of moto.
pub(crate) fn moto() -> String {
    std::env::var("TRAILSIFT_MOTO_URL").expect("TRAILSIFT_MOTO_URL: `cargo xtask test` starts moto")
}

/// The address of LocalStack.
pub(crate) fn localstack() -> String {
    std::env::var("AWS_ENDPOINT_URL")
        .expect("AWS_ENDPOINT_URL: `cargo xtask test` starts LocalStack")
}

/// A name that nobody else on the emulator has.
pub(crate) fn unique(what: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    format!("{what}-{now:x}-{:x}", std::process::id())
}

/// What goes wrong at a proxy, for the writes of one service.
pub(crate) struct Troubles {
    pub(crate) proxy: FaultProxy,
    is_write: fn(&ProxyRequest) -> bool,
}

impl Troubles {
    pub(crate) async fn between(upstream: &str, is_write: fn(&ProxyRequest) -> bool) -> Self {
        Self { proxy: FaultProxy::start(upstream).await, is_write }
    }

    /// All is well.
    pub(crate) fn none(&self) {
        self.proxy.plan(|_| Plan::Pass);
    }

    /// Each write is answered in this way.
    pub(crate) fn always(&self, answer: ProxyAnswer) {
        let is_write = self.is_write;
        self.proxy.plan(move |request| match is_write(request) {
            true => Plan::Answer(answer.clone()),
            false => Plan::Pass,
        });
    }

    /// The next write has this plan.
    pub(crate) fn once(&self, plan: impl Fn(&ProxyRequest) -> Plan + Send + Sync + 'static) {
        let (is_write, done) = (self.is_write, std::sync::atomic::AtomicBool::new(false));
        self.proxy.plan(move |request| {
            let first = is_write(request) && !done.swap(true, std::sync::atomic::Ordering::SeqCst);
            if first { plan(request) } else { Plan::Pass }
        });
    }
}
