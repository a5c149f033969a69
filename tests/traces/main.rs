//! The program with the feature `otlp-traces`, and a collector that reads what it is sent as the
//! specification has it: protobuf over HTTP.

mod protobuf;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use protobuf::{Field, fields};
use tokio::runtime::Runtime;
use trailsift_stub::{Checksum, Collector, Stub, notification};
use trailsift_testkit::MemoryQueue;
use trailsift_testkit::trail::{FileSpec, TrailFile};

const BUCKET: &str = "org-trail";

/// What a collector was sent, decoded.
#[derive(Debug)]
struct Span {
    service: String,
    id: Vec<u8>,
    trace: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    kind: u64,
    is_error: bool,
    attributes: BTreeMap<String, String>,
}

/// A key and a value of any kind, as text.
fn attribute(bytes: &[u8]) -> (String, String) {
    let (mut key, mut value) = (String::new(), String::new());
    for (number, field) in fields(bytes) {
        match (number, field) {
            (1, field) => key = field.text(),
            (2, field) => {
                let (number, any) = fields(field.bytes()).next().expect("a value");
                value = if number == 1 { any.text() } else { any.number().to_string() };
            }
            _ => {}
        }
    }
    (key, value)
}

fn span(service: &str, bytes: &[u8]) -> Span {
    let mut span = Span {
        service: service.to_owned(),
        id: Vec::new(),
        trace: Vec::new(),
        parent: Vec::new(),
        name: String::new(),
        kind: 0,
        is_error: false,
        attributes: BTreeMap::new(),
    };
    for (number, field) in fields(bytes) {
        match (number, &field) {
            (1, _) => span.trace = field.bytes().to_vec(),
            (2, _) => span.id = field.bytes().to_vec(),
            (4, _) => span.parent = field.bytes().to_vec(),
            (5, _) => span.name = field.text(),
            (6, Field::Number(kind)) => span.kind = *kind,
            (9, _) => span.attributes.extend([attribute(field.bytes())]),
            (15, _) => {
                let code = fields(field.bytes()).find(|(number, _)| *number == 3);
                span.is_error = code.is_some_and(|(_, code)| code.number() == 2);
            }
            _ => {}
        }
    }
    span
}

/// The spans of an `ExportTraceServiceRequest`.
fn spans(request: &[u8]) -> Vec<Span> {
    let mut found = Vec::new();
    for (_, resource_spans) in fields(request).filter(|(number, _)| *number == 1) {
        let parts: Vec<_> = fields(resource_spans.bytes()).collect();
        let resource = parts.iter().filter(|(number, _)| *number == 1);
        let attributes: BTreeMap<_, _> = resource
            .flat_map(|(_, resource)| fields(resource.bytes()))
            .filter(|(number, _)| *number == 1)
            .map(|(_, pair)| attribute(pair.bytes()))
            .collect();
        let scopes = parts.iter().filter(|(number, _)| *number == 2);
        for (_, scope) in scopes.flat_map(|(_, scope)| fields(scope.bytes())).filter(|it| it.0 == 2)
        {
            found.push(span(&attributes["service.name"], scope.bytes()));
        }
    }
    found
}

/// Takes what it is sent.
struct OpenTelemetry {
    url: String,
    requests: Arc<Mutex<Vec<(Uri, HeaderMap, Bytes)>>>,
    _runtime: Runtime,
}

impl OpenTelemetry {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&requests);
        let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            heard.lock().expect("no panic while it is held").push((uri, headers, body));
        };
        let router = Router::new().fallback(answer);
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, requests, _runtime: runtime }
    }
}

/// What a run leaves behind.
struct Ran {
    code: Option<i32>,
    log: String,
    events: usize,
    took: Duration,
}

fn file(seed: u64) -> (TrailFile, String) {
    let spec = FileSpec { seed, records: 40, selected_one_in: 10, ..FileSpec::default() };
    (TrailFile::generate(&spec), spec.key(""))
}

/// The program over a good file, a damaged one and what nobody understands, to the end.
fn run(variables: &[(&str, &str)]) -> Ran {
    let stub = Stub::start().expect("a stub");
    let queue = MemoryQueue::new();
    let queue_url = stub.add_queue("trail", queue.clone());
    let events = Arc::new(Mutex::new(0));
    let told = Arc::clone(&events);
    let collector =
        Collector::start(move |_| *told.lock().expect("no panic while it is held") += 1);
    let collector = collector.expect("a collector");
    for seed in 0..2 {
        let (file, key) = file(seed);
        let mut stored = file.gzip();
        stored.truncate(stored.len() - 20 * usize::try_from(seed).expect("small"));
        let put = stub.put(BUCKET, &key, stored.clone(), Checksum::Crc64Nvme);
        queue.send(notification(BUCKET, &key, stored.len(), &put.etag));
    }
    queue.send("nobody knows");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("trailsift.toml");
    let text = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\n\
         [account]\nname = \"production\"\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
         queue_url = \"{queue_url}\"\nendpoint_url = \"{endpoint}\"\n\
         buckets = [{{ name = \"{BUCKET}\" }}]\n\
         [[route]]\nname = \"all\"\nsinks = [\"siem\"]\n\
         [[route.selector]]\neventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\
         [sink.siem]\ntype = \"http\"\nurl = \"{siem}\"\n",
        data = folder.path().join("data").display(),
        endpoint = stub.endpoint(),
        siem = collector.url(),
    );
    fs::write(&config, text).expect("written");
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_trailsift"))
        .args(["run", "--until-empty", "--log-format", "json", "-vvv", "--config"])
        .arg(&config)
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("PATH", "/usr/bin:/bin")])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("it ends");
    let events = *events.lock().expect("no panic while it is held");
    Ran {
        code: output.status.code(),
        log: String::from_utf8(output.stderr).expect("text"),
        events,
        took: begun.elapsed(),
    }
}

#[test]
fn each_message_is_a_span_and_each_object_one_below_it() {
    let collector = OpenTelemetry::start();
    let ran = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let requests = collector.requests.lock().expect("no panic while it is held");
    assert!(requests.iter().all(|(uri, ..)| uri.path() == "/v1/traces"));
    assert!(
        requests.iter().all(|(_, headers, _)| headers["content-type"] == "application/x-protobuf")
    );
    let spans: Vec<_> = requests.iter().flat_map(|(.., body)| spans(body)).collect();
    let (messages, objects): (Vec<_>, Vec<_>) = spans.iter().partition(|it| it.name == "message");
    assert_eq!((messages.len(), objects.len()), (3, 2), "{spans:#?}");
    let of = |span: &Span, name: &str| span.attributes.get(name).cloned().unwrap_or_default();
    for message in &messages {
        assert_eq!((message.service.as_str(), message.kind), ("trailsift", 5), "a consumer");
        assert!(message.parent.is_empty() && !message.is_error);
        assert_eq!(of(message, "account"), "production");
        assert_eq!(
            (of(message, "outcome"), of(message, "sqs.receive_count")),
            ("deleted".into(), "1".into())
        );
        assert!(!of(message, "sqs.message_id").is_empty());
    }
    let mut kinds: Vec<_> = messages.iter().map(|message| of(message, "kind")).collect();
    kinds.sort();
    assert_eq!(kinds, ["s3", "s3", "unrecognised"]);
    for (seed, outcome, reason) in [(0, "done", ""), (1, "quarantined", "gzip_truncated")] {
        let (file, key) = file(seed);
        let object = objects.iter().find(|object| of(object, "s3.key") == key).expect("its span");
        let parent =
            messages.iter().find(|message| message.id == object.parent).expect("its message");
        assert_eq!(object.trace, parent.trace);
        assert_eq!(of(object, "sqs.message_id"), of(parent, "sqs.message_id"));
        assert_eq!(
            (of(object, "account"), of(object, "s3.bucket")),
            ("production".into(), BUCKET.into())
        );
        assert_eq!((of(object, "outcome"), of(object, "reason")), (outcome.into(), reason.into()));
        if outcome == "done" {
            assert_eq!(of(object, "records"), file.records.to_string());
            assert_eq!(of(object, "selected"), file.selected.len().to_string());
            assert_eq!(of(object, "bytes"), file.gzip().len().to_string());
            assert_eq!(of(object, "inflated_bytes"), file.json.len().to_string());
        }
    }
}

#[test]
fn a_collector_that_is_gone_or_never_answers_holds_no_event_and_hardly_the_end() {
    // It takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mute = format!("http://{}/v1/traces", mute.local_addr().expect("an address"));
    let expected = file(0).0.selected.len();
    let without = run(&[]);
    assert_eq!((without.code, without.events), (Some(0), expected), "{}", without.log);
    for url in ["http://127.0.0.1:9/v1/traces", &mute] {
        let patient = ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000");
        let ran = run(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url), patient]);
        assert_eq!((ran.code, ran.events), (Some(0), expected), "{}", ran.log);
        // Two seconds are granted, and not the ten minutes for which an export would wait; the machine may be slow.
        assert!(ran.took < without.took + Duration::from_secs(120), "{:?}", ran.took);
    }
}

#[test]
fn log_lines_are_the_same_with_traces_and_an_endpoint_that_is_none_is_said() {
    let ran = run(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "no url at all")]);
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    assert!(ran.log.contains("traces cannot be sent: check the OTEL_ variables"), "{}", ran.log);
    let disabled =
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "no url at all")];
    let ran = run(&disabled);
    assert!(!ran.log.contains("traces cannot"), "{}", ran.log);
}
