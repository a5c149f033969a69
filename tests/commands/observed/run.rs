//! One run of the real program through troubles, looked at all the while.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;
use trailsift_core::{QueueError, StoreError};
use trailsift_stub::{Checksum, Collector, Stub, notification};
use trailsift_testkit::trail::{FileSpec, TrailFile};
use trailsift_testkit::{MemoryQueue, QueueOp, StoreFault};

const BUCKET: &str = "org-trail";
const ACCOUNT: &str = "111122223333";
/// How long anything may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was seen of it.
pub(super) struct Observed {
    /// `/metrics`, again and again; the last one after everything was settled.
    pub(super) scrapes: Vec<String>,
    /// Standard error, to the end.
    pub(super) log: String,
    /// How many events the well sink got.
    pub(super) collected: usize,
}

/// The run, made once for all tests.
pub(super) fn observed() -> &'static Observed {
    static OBSERVED: OnceLock<Observed> = OnceLock::new();
    OBSERVED.get_or_init(observe)
}

/// A sink that refuses one event.
struct Picky {
    url: String,
    refuses: Arc<Mutex<String>>,
    _runtime: Runtime,
}

impl Picky {
    fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let refuses = Arc::new(Mutex::new(String::from("nothing")));
        let refused = Arc::clone(&refuses);
        let answer = move |body: Bytes| async move {
            let refused = refused.lock().expect("no panic while it is held").clone();
            match String::from_utf8_lossy(&body).contains(&refused) {
                true => StatusCode::BAD_REQUEST,
                false => StatusCode::NO_CONTENT,
            }
        };
        let router = Router::new().fallback(answer);
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, refuses, _runtime: runtime }
    }
}

/// Ends with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A port that is ours and refuses connections, as long as the socket lives.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let port = socket.local_addr().expect("an address").port();
    (socket, port)
}

/// A page of the admin server, whose address the log says.
fn get(log: &Path, page: &str) -> Option<String> {
    let log = fs::read_to_string(log).ok()?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let started = { lines }.find(|line| line["message"] == "starting")?;
    let mut stream = TcpStream::connect(started["listen"].as_str().expect("an address")).ok()?;
    write!(stream, "GET {page} HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn key(number: u64) -> String {
    key_of("CloudTrail", number)
}

fn key_of(kind: &str, number: u64) -> String {
    format!(
        "AWSLogs/{ACCOUNT}/{kind}/us-east-1/2026/01/15/\
         {ACCOUNT}_{kind}_us-east-1_20260115T0005Z_{number:016}.json.gz"
    )
}

fn file(seed: u64) -> TrailFile {
    TrailFile::generate(&FileSpec { seed, records: 40, selected_one_in: 10, ..FileSpec::default() })
}

/// A record that is selected, of another major version, account and region than its file's key says.
fn odd_record() -> Value {
    json!({
        "eventVersion": "2.0", "eventSource": "codeguru-reviewer.amazonaws.com", "eventID": "odd",
        "eventName": "ListRepositoryAssociations", "eventTime": "2026-01-15T00:03:00Z",
        "awsRegion": "eu-west-1", "recipientAccountId": "444455556666",
    })
}

fn observe() -> Observed {
    let stub = Stub::start().expect("a stub");
    let queue = MemoryQueue::new();
    let queue_url = stub.add_queue("trail", queue.clone());
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    let collector = Collector::start(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let collector = collector.expect("a collector");
    let picky = Picky::start();
    let (_nobody, closed) = closed_port();

    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("trailsift.toml");
    let text = format!(
        "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\nmulti_member = \"flag\"\n\
         max_receive = 3\n\
         [account]\nname = \"production\"\nid = \"{ACCOUNT}\"\nregion = \"us-east-1\"\n\
         queue_url = \"{queue_url}\"\nendpoint_url = \"{endpoint}\"\n\
         buckets = [{{ name = \"{BUCKET}\", accounts = [\"{ACCOUNT}\"] }}]\n\
         [[route]]\nname = \"all\"\nsinks = [\"siem\", \"copy\", \"picky\"]\n\
         [[route.selector]]\neventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\
         [sink.siem]\ntype = \"http\"\nurl = \"{siem}\"\n\
         [sink.picky]\ntype = \"http\"\nurl = \"{picky}\"\n\
         [sink.copy]\ntype = \"http\"\nurl = \"http://127.0.0.1:{closed}\"\nrequired = false\n\
         retry = {{ deadline = \"1s\" }}\n",
        data = folder.path().join("data").display(),
        endpoint = stub.endpoint(),
        siem = collector.url(),
        picky = picky.url,
    );
    fs::write(&config, text).expect("written");
    let log = folder.path().join("log");
    let mut service = Killed(
        Command::new(env!("CARGO_BIN_EXE_trailsift"))
            .args(["run", "-v", "--log-format", "json", "--config"])
            .arg(&config)
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("PATH", "/usr/bin:/bin")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("it starts"),
    );
    let mut scrapes = Vec::new();
    let until = |scrapes: &mut Vec<String>, what: &mut dyn FnMut(&str) -> bool| {
        let begun = Instant::now();
        loop {
            let scrape = get(&log, "/metrics").unwrap_or_default();
            if scrape.contains("trailsift_build_info") {
                scrapes.push(scrape);
            }
            if scrapes.last().is_some_and(|scrape| what(scrape)) {
                return;
            }
            let said = || fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "it does not happen:\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let reachable = "trailsift_account_reachable{account=\"production\"} 1";
    until(&mut scrapes, &mut |scrape| scrape.contains(reachable));

    make_trouble(&stub, &queue, &picky);
    until(&mut scrapes, &mut |scrape| {
        let at_rest = scrape.contains("trailsift_messages_in_flight{account=\"production\"} 0");
        at_rest && queue.visible().is_empty() && queue.in_flight().is_empty()
    });
    // The best-effort sink gives up what it still holds.
    let of_copy = |scrape: &str, outcome: &str| {
        let name = format!("trailsift_sink_events_total{{outcome=\"{outcome}\",sink=\"copy\"}} ");
        scrape.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
    };
    let owed = |scrape: &str| {
        let name = "trailsift_deliveries_total{outcome=\"acknowledged\",sink=\"copy\"} ";
        scrape.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok())
    };
    until(&mut scrapes, &mut |scrape| of_copy(scrape, "failed") == owed(scrape));

    let pid = Pid::from_raw(i32::try_from(service.0.id()).expect("a number")).expect("not zero");
    kill_process(pid, Signal::TERM).expect("it lives");
    assert!(service.0.wait().expect("it ends").success());
    let log = fs::read_to_string(&log).expect("a log");
    // For Prometheus' own judge, `promtool check metrics`.
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.txt");
    fs::write(page, scrapes.last().expect("a scrape")).expect("written");
    Observed { scrapes, log, collected: told.load(Ordering::Relaxed) }
}

/// What goes wrong, so that every metric has something to show.
fn make_trouble(stub: &Stub, queue: &MemoryQueue, picky: &Picky) {
    let announce = |key: &str, bytes: Vec<u8>| {
        let stored = stub.put(BUCKET, key, bytes.clone(), Checksum::Crc64Nvme);
        queue.send(notification(BUCKET, key, bytes.len(), &stored.etag));
    };
    let first = file(0);
    let refused: Value = first
        .selected_records()
        .map(|it| serde_json::from_slice(it).expect("JSON"))
        .next()
        .expect("one");
    *picky.refuses.lock().expect("no panic while it is held") =
        refused["eventID"].as_str().expect("an id").to_owned();
    for number in 0..5 {
        announce(&key(number), file(number).gzip());
    }
    // Again, once it is done or meanwhile.
    announce(&key(1), file(1).gzip());
    queue.fail_next(QueueOp::Receive, QueueError::Throttled("slower".into()));
    let broken = key(10);
    let throttled = StoreError::Throttled { after: None, message: "slower".into() };
    stub.store().fault(BUCKET, &broken, StoreFault::Error(throttled));
    announce(&broken, file(10).gzip());
    let archived = key(18);
    stub.store().fault(BUCKET, &archived, StoreFault::Error(StoreError::Archived("cold".into())));
    announce(&archived, file(18).gzip());
    let cut = key(11);
    stub.store().fault(BUCKET, &cut, StoreFault::BreakAfter(100));
    announce(&cut, file(11).gzip());
    let mut damaged = file(12).gzip();
    damaged.truncate(damaged.len() / 2);
    announce(&key(12), damaged);
    announce(&key(13), [file(13).gzip(), file(14).gzip()].concat());
    let odd = json!({ "Records": [odd_record(), { "eventSource": 1 }, 7] });
    announce(&key(15), format!("\u{feff}{odd}").into_bytes());
    announce(&key_of("CloudTrail-Digest", 16), Vec::new());
    queue.send(notification("bucket-of-somebody-else", &key(17), 1, "etag"));
    queue.send(json!({ "Event": "s3:TestEvent" }).to_string());
    queue.send("nobody\u{1b}[2J knows\n{\"level\":\"INFO\"}");
}

/// The sources of every crate that the program is made of.
pub(super) fn sources() -> Vec<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of crates");
    let not_in_it = ["trailsift-fuzz", "trailsift-stub", "trailsift-testkit"];
    let mut folders: Vec<PathBuf> = fs::read_dir(crates)
        .expect("crates")
        .map(|entry| entry.expect("a folder").path())
        .filter(|path| path.file_name().is_some_and(|name| !not_in_it.iter().any(|it| name == *it)))
        .map(|path| path.join("src"))
        .collect();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).into_iter().flatten().map(|it| it.expect("there").path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(path)),
            }
        }
    }
    let rust = found.iter().filter(|path| path.extension().is_some_and(|it| it == "rs"));
    rust.map(|path| fs::read_to_string(path).expect("a source")).collect()
}
