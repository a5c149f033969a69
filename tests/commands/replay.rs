//! `trailsift replay`: what was parked is delivered once its cause is mended, once, and nothing that a line
//! of the quarantine claims ever is.

mod localstack;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use trailsift_core::QueueError;
use trailsift_stub::{Checksum, Stub, notification};
use trailsift_testkit::{MemoryQueue, QueueSettings};

use crate::{text, to_its_end, trailsift};

const BUCKET: &str = "org-trail";

/// A collector of JSON Lines that refuses a batch that holds this text, as one with a strict schema does.
struct Picky {
    url: String,
    shared: Arc<Mutex<Taken>>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Taken {
    refused: Option<&'static str>,
    lines: Vec<String>,
}

impl Picky {
    fn start() -> Self {
        async fn answer(State(shared): State<Arc<Mutex<Taken>>>, body: String) -> StatusCode {
            let mut taken = shared.lock().expect("no panic while it is held");
            if taken.refused.is_some_and(|refused| body.contains(refused)) {
                return StatusCode::BAD_REQUEST;
            }
            taken.lines.extend(body.lines().map(str::to_owned));
            StatusCode::NO_CONTENT
        }
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}/collect", listener.local_addr().expect("an address"));
        let shared = Arc::<Mutex<Taken>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, shared, _runtime: runtime }
    }

    fn refuse(&self, refused: Option<&'static str>) {
        self.shared.lock().expect("no panic while it is held").refused = refused;
    }

    /// The ids of the events that it took, in order.
    fn ids(&self) -> Vec<String> {
        let taken = self.shared.lock().expect("no panic while it is held");
        let id = |line: &String| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            event["eventID"].as_str().expect("an id").to_owned()
        };
        taken.lines.iter().map(id).collect()
    }
}

/// Runs trailsift with this configuration to its end.
fn configured(config: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailsift"));
    command
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
        .env("AWS_EC2_METADATA_DISABLED", "true");
    to_its_end(&mut command, stdin)
}

/// The values of JSON Lines, one a line.
fn values(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON Lines")).collect()
}

/// A bucket, a queue, a collector, and a service that is run until its queue is empty.
struct World {
    stub: Stub,
    queue: MemoryQueue,
    picky: Picky,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let stub = Stub::start().expect("a stub");
        let queue =
            MemoryQueue::with(QueueSettings { max_receive_count: Some(100), ..Default::default() });
        let queue_url = stub.add_queue("trail", queue.clone());
        let picky = Picky::start();
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\nmax_receive = 1\n\
             [account]\nid = \"111122223333\"\nname = \"production\"\nregion = \"us-east-1\"\n\
             queue_url = \"{queue_url}\"\nendpoint_url = \"{}\"\n\
             buckets = [{{ name = \"{BUCKET}\" }}]\n\
             [[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"siem\", \"archive\"]\n\
             selector = [{{ eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }} }}]\n\
             [sink.siem]\ntype = \"http\"\nurl = \"{}\"\n\
             [sink.archive]\ntype = \"file\"\npath = \"{}\"\n",
            folder.path().join("data").display(),
            stub.endpoint(),
            picky.url,
            folder.path().join("archive.jsonl").display(),
        );
        fs::write(folder.path().join("trailsift.toml"), config).expect("written");
        Self { stub, queue, picky, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn trailsift(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        configured(&self.path("trailsift.toml"), arguments, stdin)
    }

    fn run(&self) {
        let output = self.trailsift(&["run", "--until-empty"], b"");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }

    /// Replays with these arguments; the lines that it prints and what it says.
    fn replay(&self, arguments: &[&str], expected: i32) -> (Vec<Value>, String) {
        let output = self.trailsift(&[&["replay"], arguments].concat(), b"");
        let said = text(&output.stderr).to_owned();
        assert_eq!(output.status.code(), Some(expected), "{said}");
        (values(text(&output.stdout)), said)
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> String {
        let key = format!(
            "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/20/\
             111122223333_CloudTrail_us-east-1_20261120T1005Z_{name}.json.gz"
        );
        self.stub.put(BUCKET, &key, bytes, Checksum::Crc64Nvme);
        key
    }

    fn notify(&self, key: &str) {
        self.queue.send(notification(BUCKET, key, 1, ""));
    }

    fn parked(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("data/quarantine/quarantine.jsonl"));
        values(&text.unwrap_or_default())
    }

    /// The ids of the events in the file sink.
    fn archived(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("archive.jsonl")).unwrap_or_default();
        let id = |line: &str| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            event["eventID"].as_str().expect("an id").to_owned()
        };
        text.lines().map(id).collect()
    }
}

/// A trail file as plain JSON, which is read as it is.
fn trail(ids: &[&str]) -> Vec<u8> {
    let record = |id: &&str| {
        json!({
            "eventVersion": "1.08", "eventSource": "codeguru-reviewer.amazonaws.com",
            "eventName": "ListCodeReviews", "eventID": id
        })
    };
    json!({ "Records": ids.iter().map(record).collect::<Vec<_>>() }).to_string().into_bytes()
}

#[test]
fn a_mended_object_is_delivered_once_and_a_second_replay_sends_nothing() {
    let world = World::new();
    let mut damaged = zstd::encode_all(&*trail(&["one", "two"]), 1).expect("in memory");
    damaged.truncate(damaged.len() - 9);
    let key = world.put("a", damaged);
    world.notify(&key);
    world.run();
    assert_eq!((world.picky.ids().len(), world.parked().len()), (0, 1));

    // It is mended without a notification, as a restore or a copy with another tool may be.
    world.put("a", trail(&["one", "two"]));
    let (planned, said) = world.replay(&["--dry-run"], 0);
    assert_eq!((planned.len(), planned[0]["outcome"].as_str()), (1, Some("would_send")));
    assert!(said.contains("1 message would be sent"), "{said}");
    assert!(!world.path("data/quarantine/replayed.journal").exists());
    assert_eq!(world.stub.counts().send, 0);

    let (sent, _) = world.replay(&[], 0);
    assert_eq!((sent[0]["outcome"].as_str(), sent[0]["key"].as_str()), (Some("sent"), Some(&*key)));
    let (again, said) = world.replay(&[], 0);
    assert!(again.is_empty() && said.contains("1 of them replayed before"), "{said}");
    world.run();
    assert_eq!(world.picky.ids(), ["one", "two"]);
    assert_eq!(world.archived(), ["one", "two"]);

    // Whoever insists sends it again, and the ledger knows that nothing is owed.
    assert_eq!(world.replay(&["--again"], 0).0.len(), 1);
    world.run();
    assert_eq!((world.picky.ids().len(), world.parked().len()), (2, 1));
}

#[test]
fn a_record_that_the_collector_refused_is_delivered_without_its_neighbours() {
    let world = World::new();
    world.picky.refuse(Some("two"));
    let key = world.put("a", trail(&["one", "two", "three"]));
    world.notify(&key);
    world.run();
    let parked = world.parked();
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert_eq!(
        (&parked[0]["reason"], &parked[0]["sink"]),
        (&"sink_rejected".into(), &"siem".into())
    );

    // Not mended yet: it is parked again, and its first line counts as dealt with.
    world.replay(&[], 0);
    world.run();
    assert_eq!((world.picky.ids().len(), world.parked().len()), (2, 2));

    world.picky.refuse(None);
    let (sent, said) = world.replay(&["--reason", "sink_rejected"], 0);
    assert_eq!(
        (sent.len(), &sent[0]["records"], &sent[0]["lines"]),
        (1, &1.into(), &1.into()),
        "{said}"
    );
    world.run();
    assert_eq!(world.picky.ids(), ["one", "three", "two"]);
    assert_eq!(world.archived(), ["one", "two", "three"], "it took everything at once");
    assert_eq!(world.parked().len(), 2);
}

#[test]
fn an_object_that_was_missing_and_a_message_that_was_not_understood_come_again() {
    let world = World::new();
    let key = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/20/\
               111122223333_CloudTrail_us-east-1_20261120T1005Z_late.json.gz";
    world.notify(key);
    world.queue.send("what is this?");
    world.run();
    let reasons: Vec<_> = world.parked().iter().map(|line| line["reason"].clone()).collect();
    assert!(
        reasons.contains(&"object_missing".into()) && reasons.contains(&"bad_notification".into())
    );

    world.put("late", trail(&["late"]));
    let (sent, _) = world.replay(&["--key", "AWSLogs/111122223333/*"], 0);
    assert_eq!(sent.len(), 1);
    world.run();
    assert_eq!(world.picky.ids(), ["late"]);
    // The other one is what it was, so it is parked as what it is.
    let (sent, _) = world.replay(&["--since", "1h"], 0);
    assert_eq!((sent.len(), sent[0]["received_as"].is_string()), (1, true));
    world.run();
    assert_eq!(world.parked().len(), 3);
}

#[test]
fn a_forged_quarantine_delivers_nothing_that_is_not_in_an_allowed_object() {
    let world = World::new();
    let key = world.put("a", trail(&["one", "two"]));
    world.notify(&key);
    world.run();
    let forged = r#"{"eventVersion":"1.08","eventSource":"codeguru-reviewer.amazonaws.com","eventID":"forged"}"#;
    let line = |members: Value| {
        let mut line = json!({ "time": "2026-11-20T10:05:00Z", "reason": "sink_rejected",
            "account": "production", "message_id": "m", "bucket": BUCKET, "key": key, "data": forged });
        for (name, value) in members.as_object().expect("an object") {
            line[name] = value.clone();
        }
        line.to_string()
    };
    let lines = [
        line(json!({ "index": 70, "sink": "siem" })),
        line(json!({ "index": 1, "sink": "nobody", "etag": "\"another\"" })),
        line(json!({ "bucket": "their-trail" })),
        line(json!({ "bucket": null, "key": null, "body": forged })),
        line(json!({ "account": "theirs" })),
        "not a line".to_owned(),
    ];
    let output = world.trailsift(&["replay", "-"], lines.join("\n").as_bytes());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(
            "standard input:5: cannot be replayed: the configuration has no account theirs"
        )
    );
    assert!(said.contains("standard input:6: it is no JSON object"), "{said}");
    assert!(said.contains("standard input:2: cannot be replayed: no route"), "{said}");
    assert!(said.contains("3 messages sent"), "{said}");
    world.run();
    assert_eq!(world.picky.ids(), ["one", "two"], "no record twice, none that is not there");
    let reasons: Vec<_> = world.parked().iter().map(|line| line["reason"].clone()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(
        reasons.contains(&"bucket_not_allowed".into())
            && reasons.contains(&"bad_notification".into())
    );
}

#[test]
fn a_record_for_a_sink_that_nothing_leads_to_any_more_is_refused_and_not_forgotten() {
    let world = World::new();
    world.picky.refuse(Some("one"));
    let key = world.put("a", trail(&["one", "two"]));
    world.notify(&key);
    world.run();
    assert_eq!(world.parked().len(), 1);
    world.picky.refuse(None);
    let config = fs::read_to_string(world.path("trailsift.toml")).expect("there");
    let renamed =
        config.replace("\"siem\"", "\"collector\"").replace("sink.siem", "sink.collector");
    fs::write(world.path("trailsift.toml"), renamed).expect("written");
    let (lines, said) = world.replay(&[], 1);
    assert!(lines.is_empty(), "{lines:?}");
    assert!(said.contains("no route of production leads to the sink siem"), "{said}");

    // As the message says; or under its old name.
    let line = world.parked()[0].to_string().replace("\"siem\"", "\"collector\"");
    fs::write(world.path("mended.jsonl"), line).expect("written");
    let mended = world.path("mended.jsonl");
    world.replay(&[mended.to_str().expect("UTF-8")], 0);
    world.run();
    assert_eq!(world.picky.ids(), ["two", "one"]);
}

#[test]
fn what_the_queue_does_not_take_is_named_and_left_for_the_next_replay() {
    let world = World::new();
    let mut damaged = trail(&["one"]);
    damaged.pop();
    let key = world.put("a", damaged);
    world.notify(&key);
    world.run();
    let config = fs::read_to_string(world.path("trailsift.toml")).expect("there");
    fs::write(world.path("trailsift.toml"), config.replace("/trail\"", "/gone\""))
        .expect("written");
    let (lines, said) = world.replay(&[], 1);
    assert_eq!(lines[0]["outcome"], "failed");
    assert!(
        said.contains(&QueueError::NotFound(String::new()).to_string())
            && said.contains("1 not sent"),
        "{said}"
    );
    fs::write(world.path("trailsift.toml"), config).expect("written");
    assert_eq!(world.replay(&[], 0).0[0]["outcome"], "sent");
}

#[test]
fn wrong_usage_is_named_and_nothing_to_do_is_no_failure() {
    let world = World::new();
    let (lines, said) = world.replay(&["--account", "nobody"], 2);
    assert!(lines.is_empty() && said.contains("--account nobody"), "{said}");
    let (_, said) = world.replay(&["--since", "yesterday"], 2);
    assert!(said.contains("write 24h"), "{said}");
    fs::create_dir_all(world.path("data/quarantine")).expect("a folder");
    let (_, said) = world.replay(&[], 0);
    assert!(said.contains("0 lines: 0 messages sent"), "{said}");

    let config = fs::read_to_string(world.path("trailsift.toml")).expect("there");
    let redrive = format!("{config}[quarantine]\npolicy = \"redrive\"\n");
    fs::write(world.path("trailsift.toml"), redrive).expect("written");
    let (_, said) = world.replay(&[], 2);
    assert!(said.contains("start-message-move-task"), "{said}");

    let help = trailsift(["replay", "--help"], b"");
    assert!(text(&help.stdout).contains("sqs:SendMessage"));
}

/// A collector refuses one event each of two files.
fn refused_twice() -> World {
    let world = World::new();
    world.picky.refuse(Some("refused"));
    for (name, ids) in [("a", ["one", "refused-1"]), ("b", ["two", "refused-2"])] {
        let key = world.put(name, trail(&ids));
        world.notify(&key);
        world.run();
    }
    assert_eq!(world.parked().len(), 2);
    world.picky.refuse(None);
    world
}

#[test]
fn compressed_lines_are_replayed_as_plain_ones_are_and_known_as_the_same() {
    for is_gzip in [true, false] {
        let world = refused_twice();
        let parked = world.parked();
        let lines = parked.iter().map(|line| format!("{line}\n").into_bytes());
        let pack = |line: Vec<u8>| if is_gzip { gzip(&line) } else { zstd_frame(&line) };
        let packed: Vec<u8> = lines.flat_map(pack).collect();
        let output = world.trailsift(&["replay", "-"], &packed);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(values(text(&output.stdout)).len(), 2);
        let folder = world.path("fetched");
        fs::create_dir_all(&folder).expect("a folder");
        let name = if is_gzip { "parked.jsonl.gz" } else { "parked.jsonl.zst" };
        fs::write(folder.join(name), &packed).expect("written");
        let (sent, said) = world.replay(&[folder.to_str().expect("UTF-8")], 0);
        assert!(sent.is_empty() && said.contains("2 of them replayed before"), "{said}");
        world.run();
        assert_eq!(sorted(world.picky.ids()), ["one", "refused-1", "refused-2", "two"]);
    }
}

#[test]
fn of_compressed_lines_that_are_cut_off_the_rest_is_replayed_once_it_is_there() {
    let world = refused_twice();
    let lines: Vec<_> = world.parked().iter().map(|line| format!("{line}\n")).collect();
    let (one, two) = (gzip(lines[0].as_bytes()), gzip(lines[1].as_bytes()));
    let whole = [&one[..], &two[..]].concat();
    let path = world.path("parked.jsonl.gz");
    fs::write(&path, &whole[..whole.len() - 3]).expect("written");
    let path = path.to_str().expect("UTF-8");
    let (sent, said) = world.replay(&[path], 1);
    assert_eq!(sent.len(), 1);
    let place = format!(
        "{path}: the compressed stream that begins at byte {} is cut off by the end, byte {}",
        one.len(),
        whole.len() - 3
    );
    assert!(said.contains(&place), "{said}");
    fs::write(path, &whole).expect("written");
    assert_eq!(world.replay(&[path], 0).0.len(), 1);
    world.run();
    assert_eq!(sorted(world.picky.ids()), ["one", "refused-1", "refused-2", "two"]);
}

/// Two replays of one run are done in no order.
fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("in memory")
}
