//! What one GetObject and one batch of SQS cost this crate's callers in CPU, beside what HTTP alone
//! costs: `cargo run --release -p trailsift-aws --example sdk_share`.
//!
//! Counts the CPU time of the process, user and system, less that of the server's thread; the best of
//! several rounds, each on one thread with one call at once, with 32, and on two threads with 32.
//! An argument picks the rows whose name holds it. Without TLS: what that costs is the same for
//! every row. Each object has a key of its own, as in production.

#![expect(clippy::print_stdout, reason = "its table is what it is run for")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use trailsift_aws::{Account, AccountSettings, Connector};
use trailsift_core::{LogFile, ObjectStore as _, Queue as _, Receipt};

mod server;

use server::Server;

type Operation = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;
type Making = BoxFuture<'static, Operation>;

/// Something to call, compared to the first of its group.
struct Row {
    group: &'static str,
    name: &'static str,
    /// How often it is called in a round.
    count: usize,
    /// Makes ready what calls the server at this URL.
    make: Box<dyn Fn(String) -> Making>,
}

impl Row {
    fn new<F>(
        group: &'static str,
        name: &'static str,
        count: usize,
        make: impl Fn(String) -> F + 'static,
    ) -> Self
    where
        F: Future<Output = Operation> + Send + 'static,
    {
        Self { group, name, count, make: Box::new(move |url| Box::pin(make(url))) }
    }
}

fn rows() -> [Row; 12] {
    use server::{LARGE, LARGE_PLAIN, PLAIN, SMALL};
    let (small, large) = (1500, 100);
    [
        Row::new("4 KiB", "bare hyper", small, |url| bare(url, SMALL, false)),
        Row::new("4 KiB", "bare hyper, signed", small, |url| bare(url, SMALL, true)),
        Row::new("4 KiB", "SDK as it comes", small, |url| sdk(url, SMALL)),
        Row::new("4 KiB", "S3Store", small, |url| store(url, SMALL)),
        Row::new("4 KiB", "S3Store, no checksum", small, |url| store(url, PLAIN)),
        Row::new("1 MiB", "bare hyper", large, |url| bare(url, LARGE, false)),
        Row::new("1 MiB", "SDK as it comes", large, |url| sdk(url, LARGE)),
        Row::new("1 MiB", "S3Store", large, |url| store(url, LARGE)),
        Row::new("1 MiB", "S3Store, no checksum", large, |url| store(url, LARGE_PLAIN)),
        Row::new("SQS", "receive ten", 500, receive),
        Row::new("SQS", "delete ten", 500, delete),
        Row::new("SQS", "extend one", 500, extend),
    ]
}

const BUCKET: &str = "org-trail";
const ROUNDS: usize = 7;

fn main() {
    // The environment is read as in production; that of this process must not be changed at run time.
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        let me = std::env::current_exe().expect("this program");
        let run = std::process::Command::new(me)
            .args(std::env::args_os().skip(1))
            .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_SESSION_TOKEN", "t".repeat(300))
            .status();
        std::process::exit(run.ok().and_then(|status| status.code()).unwrap_or(1));
    }
    let only: Option<String> = std::env::args().nth(1);
    let server = Server::start();
    println!(
        "{:<32}{:>12}{:>8}{:>15}{:>8}{:>16}{:>8}",
        "CPU per call, µs", "1 at once", "ratio", "32 at once", "ratio", "on 2 threads", "ratio"
    );
    let mut baselines = BTreeMap::new();
    for Row { group, name, count, make } in rows() {
        if only.as_ref().is_some_and(|only| !format!("{group} {name}").contains(only.as_str())) {
            continue;
        }
        let one_thread = || tokio::runtime::Builder::new_current_thread();
        let two_threads = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2);
            builder
        };
        let times = [(one_thread(), 1), (one_thread(), 32), (two_threads(), 32)].map(
            |(mut runtime, at_once)| {
                let runtime = runtime.enable_all().build().expect("a runtime");
                let operation = runtime.block_on(make(server.url.clone()));
                measure(&runtime, &operation, &server, count, at_once)
            },
        );
        let base = *baselines.entry(group).or_insert(times);
        println!(
            "{group:<8}{name:<24}{:>12.1}{:>8.2}{:>15.1}{:>8.2}{:>16.1}{:>8.2}",
            times[0],
            times[0] / base[0],
            times[1],
            times[1] / base[1],
            times[2],
            times[2] / base[2],
        );
    }
}

/// Microseconds of CPU per call, less what the server used.
fn measure(
    runtime: &Runtime,
    operation: &Operation,
    server: &Server,
    count: usize,
    at_once: usize,
) -> f64 {
    let cpu = || process_cpu().saturating_sub(server.cpu());
    let calls_of_each = count.div_ceil(at_once);
    let mut best = f64::MAX;
    for round in 0..=ROUNDS {
        let before = cpu();
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..at_once {
                let operation = Arc::clone(operation);
                tasks.spawn(async move {
                    for _ in 0..calls_of_each {
                        operation().await;
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.expect("no failed call");
            }
        });
        let spent = cpu().saturating_sub(before);
        // The first round opens the connections.
        if round > 0 {
            best = best.min(spent.as_secs_f64() * 1e6 / (calls_of_each * at_once) as f64);
        }
    }
    best
}

fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

async fn account(url: &str) -> Account {
    let settings = AccountSettings {
        id: "111122223333".to_owned(),
        region: "us-east-1".to_owned(),
        bucket_regions: BTreeMap::new(),
        known_regions: BTreeSet::new(),
        queue_url: "https://sqs.us-east-1.amazonaws.com/111122223333/trail".to_owned(),
        role_arn: None,
        external_id: None,
        endpoint_url: Some(url.to_owned()),
    };
    Connector::load("us-east-1").await.connect(&settings).await
}

async fn store(url: String, kind: &'static str) -> Operation {
    let store = Arc::new(account(&url).await.store);
    Arc::new(move || {
        let store = Arc::clone(&store);
        let file = LogFile {
            bucket: BUCKET.to_owned(),
            key: server::key(kind),
            version_id: None,
            expected_owner: Some("999988887777".to_owned()),
        };
        Box::pin(async move {
            let mut object = store.open(&file, None).await.expect("an answer");
            let mut read = 0;
            while let Some(part) = object.body.next().await {
                read += part.expect("a body").len() as u64;
            }
            assert_eq!(Some(read), object.size);
        })
    })
}

async fn sdk(url: String, kind: &'static str) -> Operation {
    let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let config = config.endpoint_url(url).load().await;
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    Arc::new(move || {
        let request = client.get_object().bucket(BUCKET).key(server::key(kind));
        Box::pin(async move {
            let mut object = request.send().await.expect("an answer");
            while let Some(part) = object.body.next().await {
                part.expect("a body");
            }
        })
    })
}

async fn bare(url: String, kind: &'static str, signed: bool) -> Operation {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let credentials = Credentials::new("AKIAEXAMPLE", "secret", Some("t".repeat(300)), None, "x");
    let identity: Arc<Identity> = Arc::new(credentials.into());
    let url: Arc<str> = format!("{url}/{BUCKET}").into();
    Arc::new(move || {
        let (client, identity, url) = (client.clone(), Arc::clone(&identity), Arc::clone(&url));
        Box::pin(async move {
            let mut request =
                http::Request::get(format!("{url}/{}?x-id=GetObject", server::key(kind)))
                    .header("x-amz-checksum-mode", "ENABLED")
                    .body(Empty::new())
                    .expect("a request");
            if signed {
                sign_it(&mut request, &identity);
            }
            let answer = client.request(request).await.expect("an answer");
            let mut body = answer.into_body();
            while let Some(frame) = body.frame().await {
                frame.expect("a body");
            }
        })
    })
}

fn sign_it(request: &mut http::Request<Empty<Bytes>>, identity: &Identity) {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region("us-east-1")
        .name("s3")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .expect("parameters")
        .into();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
    let empty = SignableBody::Bytes(b"");
    let signable = SignableRequest::new("GET", request.uri().to_string(), headers, empty);
    let (instructions, _) =
        sign(signable.expect("a request"), &params).expect("a signature").into_parts();
    instructions.apply_to_request_http1x(request);
}

async fn receive(url: String) -> Operation {
    let queue = Arc::new(account(&url).await.queue);
    Arc::new(move || {
        let queue = Arc::clone(&queue);
        Box::pin(async move {
            let messages = queue.receive(10, Duration::from_secs(20)).await.expect("an answer");
            assert_eq!(messages.len(), 10);
        })
    })
}

async fn delete(url: String) -> Operation {
    let queue = Arc::new(account(&url).await.queue);
    let receipts: Arc<Vec<_>> = Arc::new((0..10).map(|n| Receipt(server::receipt(n))).collect());
    Arc::new(move || {
        let (queue, receipts) = (Arc::clone(&queue), Arc::clone(&receipts));
        Box::pin(async move {
            let results = queue.delete(&receipts).await.expect("an answer");
            assert!(results.iter().all(Result::is_ok));
        })
    })
}

async fn extend(url: String) -> Operation {
    let queue = Arc::new(account(&url).await.queue);
    Arc::new(move || {
        let queue = Arc::clone(&queue);
        Box::pin(async move {
            let receipt = Receipt(server::receipt(0));
            queue.extend(&receipt, Duration::from_secs(30)).await.expect("an answer");
        })
    })
}
