//! The policies of deploy/ against the calls that the real binary makes: no action is missing, none is
//! superfluous.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use trailsift_core::StoreError;
use trailsift_stub::{Checksum, Stub, notification};
use trailsift_testkit::{MemoryQueue, QueueSettings, StoreFault};

use crate::text;

const INGEST: &str = include_str!("../../deploy/cloudformation/ingest.yaml");
const SERVICE: &str = include_str!("../../deploy/cloudformation/service.yaml");
const BUCKET: &str = "org-trail";
const OWNER: &str = "999988887777";
/// How long anything here may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What no call asks for by itself, and why it is granted all the same.
const WITHOUT_A_CALL: [&str; 1] = [
    // S3 answers 404 for a missing object only to those who may list its bucket.
    "s3:ListBucket",
];

/// The actions of one resource of a template.
fn granted(template: &str, resource: &str) -> BTreeSet<String> {
    let mut lines = template.lines().skip_while(|line| *line != format!("  {resource}:"));
    assert!(lines.next().is_some(), "the template has no {resource}");
    let is_within = |line: &&str| line.is_empty() || line.starts_with("   ");
    let actions =
        lines.take_while(is_within).filter_map(|line| line.trim().strip_prefix("Action:"));
    let words = actions.flat_map(|actions| actions.split(['[', ']', ',', '"', ' ']));
    words.filter(|word| word.contains(':')).map(str::to_owned).collect()
}

fn actions<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// A process that ends with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn trailsift(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
    command
        .args(arguments)
        .arg("--config")
        .arg(folder.path().join("trailsift.toml"))
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The configuration of a service at this stub, with further sections.
fn configure(stub: &Stub, queue_url: &str, sections: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\nmax_receive = 1\nmemory = \"512MiB\"\nworkers = 4\n\
         [account]\nid = \"111122223333\"\nregion = \"us-east-1\"\nqueue_url = \"{queue_url}\"\n\
         endpoint_url = \"{}\"\n\
         buckets = [{{ name = \"{BUCKET}\", owner = \"{OWNER}\" }}, {{ name = \"old-trail\" }}]\n{sections}",
        folder.path().join("data").display(),
        stub.endpoint(),
    );
    fs::write(folder.path().join("trailsift.toml"), config).expect("written");
    folder
}

fn key(name: &str) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/20/\
         111122223333_CloudTrail_us-east-1_20261120T1005Z_{name}.json.gz"
    )
}

/// A trail file of so many selected events of so many bytes, as plain JSON.
fn trail(events: usize, bytes: usize) -> Vec<u8> {
    let record = json!({
        "eventVersion": "1.08", "eventSource": "codeguru-reviewer.amazonaws.com",
        "eventName": "ListCodeReviews", "eventID": "0b5a2c1e-7f0f-4b6e-9f5e-1d2c3b4a5f60",
        "eventTime": "2026-11-20T10:05:00Z", "awsRegion": "us-east-1",
        "recipientAccountId": "111122223333", "userAgent": "x".repeat(bytes)
    });
    json!({ "Records": vec![record; events] }).to_string().into_bytes()
}

#[test]
fn the_service_calls_what_its_policies_grant_and_nothing_else() {
    let stub = Stub::start().expect("a stub");
    // Short leases, which a body that pauses outlives.
    let queue = MemoryQueue::with(QueueSettings {
        visibility_timeout: Duration::from_secs(2),
        max_receive_count: Some(1000),
        ..Default::default()
    });
    let queue_url = stub.add_queue("trail", queue.clone());
    stub.store().versioned(BUCKET);
    stub.store().owned_by(BUCKET, OWNER);
    let notify = |bucket: &str, key: &str, version: Option<&str>| {
        let body = notification(bucket, key, 1, "");
        let version = version.map(|version| format!(r#""versionId":"{version}","key":"#));
        queue.send(match version {
            Some(version) => body.replace(r#""key":"#, &version),
            None => body,
        });
    };
    let put = |bucket: &str, name: &str| {
        let stored = stub.put(bucket, &key(name), trail(1, 40_000), Checksum::Crc64Nvme);
        notify(bucket, &key(name), stored.version_id.as_deref());
    };
    put(BUCKET, "versioned");
    put("old-trail", "unversioned");
    // Resumed where it broke, slow enough for the lease to be extended, denied, and missing.
    stub.store().fault(BUCKET, &key("broken"), StoreFault::BreakAfter(9_000));
    put(BUCKET, "broken");
    let drip = StoreFault::Drip { bytes: 10_000, every: Duration::from_secs(1) };
    stub.store().fault(BUCKET, &key("slow"), drip);
    put(BUCKET, "slow");
    let denied = || StoreError::Denied("AccessDenied".into());
    stub.store().fault(BUCKET, &key("denied"), StoreFault::Error(denied()));
    put(BUCKET, "denied");
    notify("old-trail", &key("missing"), None);
    queue.send("not a notification");

    let folder = configure(&stub, &queue_url, "");
    let output = trailsift(&folder, &["run", "--until-empty"]).output().expect("trailsift ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let counts = stub.counts();
    assert!(counts.head_object > 0, "a denial is looked into: {counts:?}");
    assert!(counts.changed_receipts > 1, "leases are extended and given back: {counts:?}");

    let called = stub.actions();
    let without_a_call = actions(WITHOUT_A_CALL);
    let needed: BTreeSet<String> = called.union(&without_a_call).cloned().collect();
    assert_eq!(granted(INGEST, "ReaderPolicy"), needed);
    let of_queue = granted(SERVICE, "QueuePolicy");
    let of_service: BTreeSet<String> =
        of_queue.union(&granted(SERVICE, "BucketPolicy")).cloned().collect();
    assert_eq!(of_service, needed);
    // S3 and SQS decrypt in the caller's name.
    for keys in ["TrailKeyPolicy", "QueueKeyPolicy"] {
        assert_eq!(granted(SERVICE, keys), actions(["kms:Decrypt"]), "{keys}");
    }
    // The pages name them, too.
    let page = include_str!("../../crates/trailsift-aws/README.md");
    for action in &needed {
        assert!(
            page.contains(&format!("`{action}`")),
            "the README of trailsift-aws lacks {action}"
        );
    }
}

#[test]
fn a_replay_needs_to_send_and_nothing_else() {
    let stub = Stub::start().expect("a stub");
    let queue_url = stub.add_queue("trail", MemoryQueue::new());
    let folder = configure(&stub, &queue_url, "");
    let lines = folder.path().join("lines.jsonl");
    let line = json!({ "reason": "object_missing", "account": "111122223333", "message_id": "m",
        "bucket": BUCKET, "key": key("late") });
    fs::write(&lines, format!("{line}\n")).expect("written");
    let output = trailsift(&folder, &["replay", &lines.display().to_string()]).output();
    let output = output.expect("trailsift ends");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(stub.actions(), actions(["sqs:SendMessage"]));
}

/// Everything that sinks at AWS ask for, each request by its action.
#[derive(Default)]
struct Asked {
    actions: BTreeSet<String>,
    log_streams: u32,
}

/// What IAM must allow for a request.
fn action_of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if let Some((service, operation)) = target.and_then(|target| target.rsplit_once('.')) {
        let service = match service.split('_').next().unwrap_or_default() {
            "AmazonSQS" => "sqs",
            "Kinesis" => "kinesis",
            "Firehose" => "firehose",
            "AWSEvents" => "events",
            "Logs" => "logs",
            other => other,
        };
        // PutRecordBatch is the name of an action itself.
        let operation = match service {
            "sqs" => operation.trim_end_matches("Batch"),
            _ => operation,
        };
        return format!("{service}:{operation}");
    }
    let body = String::from_utf8_lossy(body);
    if let Some(action) = body.split('&').find_map(|pair| pair.strip_prefix("Action=")) {
        return format!("sns:{}", action.trim_end_matches("Batch"));
    }
    let of_bucket = uri.path().trim_matches('/').split('/').count() == 1;
    match *method {
        Method::HEAD if of_bucket => "s3:ListBucket".into(),
        Method::PUT | Method::POST => "s3:PutObject".into(),
        Method::DELETE if uri.query().is_some_and(|query| query.contains("uploadId")) => {
            "s3:AbortMultipartUpload".into()
        }
        _ => format!("unknown {method} {uri}"),
    }
}

/// Answers as a service does whose log stream is missing and whose S3 loses the parts of an upload.
async fn answer(
    State(asked): State<Arc<Mutex<Asked>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let action = action_of(&method, &uri, &headers, &body);
    let mut asked = asked.lock().expect("no panic while it is held");
    asked.actions.insert(action.clone());
    let failed = |kind: &str| {
        let text = json!({ "__type": kind, "message": "made up" }).to_string();
        (StatusCode::BAD_REQUEST, text).into_response()
    };
    match action.as_str() {
        "s3:PutObject" if uri.query().is_some_and(|query| query.contains("uploads")) => {
            let text = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
            ([("content-type", "application/xml")], text).into_response()
        }
        "s3:PutObject" => StatusCode::FORBIDDEN.into_response(),
        "logs:PutLogEvents" => failed("ResourceNotFoundException"),
        "logs:CreateLogStream" => {
            asked.log_streams += 1;
            "{}".into_response()
        }
        "events:DescribeEventBus" => json!({ "Name": "events" }).to_string().into_response(),
        action if action.starts_with("s3:") => StatusCode::NO_CONTENT.into_response(),
        _ => failed("ThrottlingException"),
    }
}

#[test]
fn each_sink_at_aws_calls_what_its_policy_grants_and_nothing_else() {
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::<Mutex<Asked>>::default();
    let router = Router::new()
        .fallback(answer)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(&asked));
    runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });

    let policies: BTreeMap<&str, (&str, &str)> = BTreeMap::from([
        (
            "s3",
            (
                "SinkS3Policy",
                "bucket = \"security-lake\"\ncompression = \"none\"\npart_size = \"5MiB\"\nbatch = { events = 100, bytes = \"20MiB\", linger = \"1s\" }",
            ),
        ),
        (
            "sqs",
            (
                "SinkSqsPolicy",
                "queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/events\"",
            ),
        ),
        ("sns", ("SinkSnsPolicy", "topic_arn = \"arn:aws:sns:us-east-1:111122223333:events\"")),
        ("kinesis", ("SinkKinesisPolicy", "stream = \"events\"")),
        ("firehose", ("SinkFirehosePolicy", "stream = \"events\"")),
        ("eventbridge", ("SinkEventBridgePolicy", "event_bus = \"events\"")),
        ("cloudwatch_logs", ("SinkLogsPolicy", "log_group = \"events\"")),
    ]);
    let names: Vec<_> = policies.keys().map(|name| format!("\"{name}\"")).collect();
    let mut sections = format!(
        "[[route]]\nname = \"r\"\nsinks = [{}]\n\
         selector = [{{ eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }} }}]\n",
        names.join(", ")
    );
    for (name, (_, keys)) in &policies {
        write!(
            sections,
            "[sink.{name}]\ntype = \"{name}\"\nregion = \"us-east-1\"\nendpoint_url = \"{endpoint}\"\n{keys}\n"
        )
        .expect("in memory");
    }
    let stub = Stub::start().expect("a stub");
    let queue = MemoryQueue::new();
    let queue_url = stub.add_queue("trail", queue.clone());
    // A small event, which every sink takes, and enough of large ones for an upload in parts.
    for (name, file) in [("small", trail(1, 100)), ("large", trail(9, 900_000))] {
        stub.put("old-trail", &key(name), file, Checksum::Crc64Nvme);
        queue.send(notification("old-trail", &key(name), 1, ""));
    }
    let folder = configure(&stub, &queue_url, &sections);
    let expected: BTreeSet<String> =
        policies.values().flat_map(|(policy, _)| granted(SERVICE, policy)).collect();
    let log = fs::File::create(folder.path().join("log")).expect("a file");
    let service = trailsift(&folder, &["run"]).stderr(log).spawn().expect("trailsift starts");
    let _service = Service(service);
    let seen = || asked.lock().expect("no panic while it is held").actions.clone();
    let began = Instant::now();
    while !expected.is_subset(&seen()) && began.elapsed() < PATIENCE {
        sleep(Duration::from_millis(100));
    }
    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let tail: Vec<&str> = log.lines().rev().take(10).collect();
    assert_eq!(seen(), expected, "{tail:#?}");
    assert!(asked.lock().expect("no panic while it is held").log_streams > 0);
}

#[test]
fn a_template_is_read_resource_by_resource() {
    assert!(granted(SERVICE, "SinkSqsPolicy").contains("sqs:SendMessage"));
    assert!(!granted(SERVICE, "QueuePolicy").contains("sqs:SendMessage"));
    let line: Value = json!({ "none": granted(INGEST, "ReaderPolicy") });
    assert_eq!(line["none"].as_array().map(Vec::len), Some(7));
}
