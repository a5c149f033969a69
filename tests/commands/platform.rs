//! The service on a machine that has little, or little good, to offer.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;
use trailsift_testkit::trail::{FileSpec, TrailFile};

use crate::aws::{Aws, BUCKET, notification};
use crate::text;

/// How long anything here may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// A configuration for the service, and the AWS that it talks to.
struct Rig {
    aws: Aws,
    folder: TempDir,
}

impl Rig {
    /// `sections` are sinks, routes and further keys of `[service]` (first).
    fn new(sections: &str) -> Self {
        let aws = Aws::start();
        let folder = tempfile::tempdir().expect("a folder");
        let rig = Self { aws, folder };
        let config = format!(
            "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n{}\n\
             [account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
             queue_url = \"{endpoint}/111122223333/trail\"\nendpoint_url = \"{endpoint}\"\n\
             buckets = [{{ name = \"{BUCKET}\" }}]\n",
            rig.path("data").display(),
            sections
                .replace("$FILE", &rig.path("data/events.jsonl").display().to_string())
                .replace("$ENDPOINT", &rig.aws.endpoint),
            endpoint = rig.aws.endpoint,
        );
        fs::write(rig.path("trailsift.toml"), config).expect("written");
        rig
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `program` with the arguments of `trailsift run`, in an environment of its own.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>, before: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(before)
            .args(["run", "--log-format", "json", "--config"])
            .arg(self.path("trailsift.toml"))
            .env_clear()
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("PATH", "/usr/bin:/bin")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn trailsift(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_trailsift"), &[])
    }

    /// Delivers `count` files and returns the events that are to come out of them, sorted.
    fn deliver(&self, count: u64) -> Vec<String> {
        let mut expected = Vec::new();
        for seed in 0..count {
            let spec = FileSpec { seed, records: 40, selected_one_in: 10, ..FileSpec::default() };
            let file = TrailFile::generate(&spec);
            expected.extend(file.selected_records().map(|record| text(record).to_owned()));
            self.aws.deliver(&key("111122223333", "CloudTrail", seed), file.gzip());
        }
        expected.sort();
        expected
    }

    /// The lines of the file sink, sorted.
    fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("data/events.jsonl")).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// A key in CloudTrail's layout.
fn key(account: &str, kind: &str, number: u64) -> String {
    format!(
        "AWSLogs/{account}/{kind}/us-east-1/2026/01/15/\
         {account}_{kind}_us-east-1_20260115T0005Z_{number:016}.json.gz"
    )
}

/// The output of a child that ends in time; the child is killed if it does not.
fn ended(mut command: Command) -> Output {
    let mut child = Killed(command.spawn().expect("it starts"));
    let (out, err) = (child.0.stdout.take(), child.0.stderr.take());
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.expect("a pipe").read_to_end(&mut bytes).expect("readable");
            bytes
        })
    };
    let stdout = read(out.map(|pipe| Box::new(pipe) as _));
    let stderr = read(err.map(|pipe| Box::new(pipe) as _));
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.0.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > until {
            drop(child);
            panic!("it does not end:\n{}", text(&stderr.join().expect("read")));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") }
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const TO_FILE: &str = "[sink.file]\ntype = \"file\"\npath = \"$FILE\"\n\
    [[route]]\nname = \"all\"\nsinks = [\"file\"]\n\
    [[route.selector]]\neventSource = { equals = [\"codeguru-reviewer.amazonaws.com\"] }\n";

/// A file and a collector, both required.
fn to_both() -> String {
    let http = "[sink.http]\ntype = \"http\"\nurl = \"$ENDPOINT/collect\"\n";
    format!("{http}{}", TO_FILE.replace("[\"file\"]", "[\"file\", \"http\"]"))
}

fn without_repetitions(mut events: Vec<String>) -> Vec<String> {
    events.dedup();
    events
}

#[test]
fn with_hardly_any_file_descriptors_fewer_workers_do_the_work() {
    let rig = Rig::new(&to_both());
    let expected = rig.deliver(20);
    let limited = ["-c", "ulimit -n 40; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_trailsift")];
    let mut command = rig.command("sh", &limited);
    command.arg("--until-empty");
    let output = ended(command);
    let log = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains("the limit of open files feeds fewer workers"), "{log}");
    assert_eq!(rig.aws.left(), 0, "{log}");
    assert!(rig.events() == expected, "the file has every event once:\n{log}");
    assert!(rig.aws.collected() == expected, "the collector has every event once:\n{log}");
}

#[test]
fn file_descriptors_that_run_out_delay_and_lose_nothing() {
    let rig = Rig::new(&to_both());
    let mut command = rig.trailsift();
    command.stdout(Stdio::null());
    let mut service = Killed(command.spawn().expect("it starts"));
    let log = Heard::of(service.0.stderr.take().expect("a pipe"));
    wait_for(|| log.has("\"listening\""));
    // What is open stays open; nothing more can be opened.
    let before = limit(&service, Resource::Nofile, Some(1));
    let expected = rig.deliver(40);
    wait_for(|| log.has("Too many open files"));
    limit(&service, Resource::Nofile, before);
    wait_for(|| rig.aws.left() == 0);
    assert!(without_repetitions(rig.events()) == expected, "the file has every event");
    assert!(without_repetitions(rig.aws.collected()) == expected, "so has the collector");
    assert!(!rig.path("data/quarantine/quarantine.jsonl").metadata().is_ok_and(|m| m.len() > 0));
}

#[test]
fn a_disk_that_takes_only_part_of_a_write_delays_and_loses_nothing() {
    let rig = Rig::new(&TO_FILE.replace("[[route]]", "retry = { deadline = \"2s\" }\n[[route]]"));
    // As a full disk does: part of the write is done, the rest fails. Without the trap the kernel
    // would end the process instead.
    let deaf = ["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_trailsift")];
    let mut command = rig.command("sh", &deaf);
    command.arg("-v").stdout(Stdio::null());
    let mut service = Killed(command.spawn().expect("it starts"));
    // A log in a file would be cut short too.
    let log = Heard::of(service.0.stderr.take().expect("a pipe"));
    wait_for(|| log.has("\"listening\""));
    let before = limit(&service, Resource::Fsize, Some(3_001));
    let expected = rig.deliver(20);
    wait_for(|| log.has("File too large"));
    assert!(rig.aws.left() > 0, "not everything fits");
    // Each attempt tears a line and takes it back: what is looked at may be in between.
    let whole = |line: &String| expected.binary_search(line).is_ok();
    wait_for(|| rig.events().iter().all(whole));
    limit(&service, Resource::Fsize, before);
    wait_for(|| rig.aws.left() == 0);
    assert!(without_repetitions(rig.events()) == expected, "every event, and nothing else");
}

#[test]
fn a_collector_that_refuses_everything_is_not_ready_and_the_stream_is_not_parked() {
    let rig = Rig::new(
        "[sink.http]\ntype = \"http\"\nurl = \"$ENDPOINT/collect\"\n\
         batch = { events = 7 }\n[[route]]\nname = \"all\"\n\
         sinks = [\"http\"]\nselector = [{ eventSource = { equals = [\"codeguru-reviewer.amazonaws.com\"] } }]\n",
    );
    let mut command = rig.trailsift();
    command.arg("-v").stdout(Stdio::null());
    let mut service = Killed(command.spawn().expect("it starts"));
    let log = Heard::of(service.0.stderr.take().expect("a pipe"));
    // A wrong path speaks of no event, and the collector answers HEAD all the same.
    rig.aws.refuse(Some(404));
    let expected = rig.deliver(30);
    let unready = |why: &str| {
        let page = log.get("/readyz").unwrap_or_default();
        page.starts_with("HTTP/1.1 503") && page.contains(why)
    };
    wait_for(|| unready("the collector answers 404"));
    // Neither does one that says of each event that it is bad.
    rig.aws.refuse(Some(400));
    wait_for(|| log.has("events one after the other and accepted none"));
    let parked = || {
        let text = fs::read_to_string(rig.path("data/quarantine/quarantine.jsonl"));
        let lines: Vec<Value> = text
            .unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect();
        lines.iter().map(|line| line["data"].as_str().expect("an event").to_owned()).collect()
    };
    rig.aws.refuse(None);
    wait_for(|| rig.aws.left() == 0);
    let parked: Vec<String> = parked();
    assert!(parked.len() <= 10, "{} parked", parked.len());
    let mut all = [parked, rig.aws.collected()].concat();
    all.sort();
    assert!(without_repetitions(all) == expected, "every event is there or in the quarantine");
}

/// What a process says, as far as it has been heard.
struct Heard(Arc<Mutex<String>>);

impl Heard {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let heard = Self(Arc::default());
        let log = Arc::clone(&heard.0);
        std::thread::spawn(move || {
            let mut bytes = [0; 64 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]);
                log.lock().expect("no panic while it is held").push_str(&text);
            }
        });
        heard
    }

    fn has(&self, what: &str) -> bool {
        self.0.lock().expect("no panic while it is held").contains(what)
    }

    /// A page of the admin server, whose address the log says.
    fn get(&self, page: &str) -> Option<String> {
        let log = self.0.lock().expect("no panic while it is held").clone();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let started = { lines }.find(|line| line["message"] == "starting")?;
        let mut stream =
            TcpStream::connect(started["listen"].as_str().expect("an address")).ok()?;
        write!(stream, "GET {page} HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

/// Changes what the running process may use, and returns what it might use before.
fn limit(process: &Killed, resource: Resource, current: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(i32::try_from(process.0.id()).expect("a number")).expect("not zero");
    let wanted = Rlimit { current, maximum: getrlimit(resource).maximum };
    prlimit(Some(pid), resource, wanted).expect("changed").current
}

/// What somebody who may put objects or send messages could write to fool a reader of logs.
const HOSTILE: &str =
    "x\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\u{1b}[2J\u{9b}31m\u{202e}\u{7f}";

#[test]
fn text_from_outside_can_neither_forge_nor_flood_the_log() {
    let rig = Rig::new(TO_FILE);
    rig.aws.send(HOSTILE);
    rig.aws.send(notification(HOSTILE, HOSTILE));
    rig.aws.send(notification(&"b".repeat(200_000), &HOSTILE.repeat(5_000)));
    rig.aws.send(notification(BUCKET, HOSTILE));
    rig.aws.send(
        json!({ "Records": [{ "eventVersion": HOSTILE, "eventSource": "aws:s3" }] }).to_string(),
    );
    let bad = json!({ "Records": [{ "eventSource": "codeguru-reviewer.amazonaws.com",
        "eventName": HOSTILE, "userAgent": HOSTILE, HOSTILE: 1 }] });
    // The same field twice: the record is parked, and named in the log.
    let bad = bad.to_string().replace("\"eventName\":", "\"eventSource\":\"x\",\"eventName\":");
    rig.aws.deliver(&key("111122223333", "CloudTrail", 1), bad.into_bytes());
    let mut command = rig.trailsift();
    command.arg("--until-empty");
    let output = ended(command);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut quarantined = 0;
    for line in text(&output.stderr).lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(value["timestamp"].is_string() && value["target"].is_string(), "{line}");
        assert_ne!(value["message"], "forged", "{line}");
        let tame = |c: char| !c.is_control() && !"\u{202e}".contains(c);
        assert!(line.chars().all(tame), "{line:?}");
        assert!(line.len() < 100_000, "{} bytes", line.len());
        quarantined += usize::from(value["message"] == "quarantined");
    }
    assert_eq!(quarantined, 5, "{}", text(&output.stderr));
}

#[test]
fn nothing_that_a_message_or_a_file_says_becomes_a_metric_label() {
    let rig = Rig::new(TO_FILE);
    let mut service = Killed(rig.trailsift().stdout(Stdio::null()).spawn().expect("it starts"));
    let log = Heard::of(service.0.stderr.take().expect("a pipe"));
    // Every kind of thing, `count` times, each time with names never seen before.
    let send = |from: u64, count: u64| {
        for n in from..from + count {
            let account = format!("{:012}", 100_000_000_000 + n);
            let event = json!({ "Records": [
                { "eventSource": "codeguru-reviewer.amazonaws.com", "eventName": format!("Name{n}"),
                  "userIdentity": { "accountId": account, "type": format!("Type{n}") } },
                { "eventSource": format!("service{n}.amazonaws.com") }, n ] });
            rig.aws.deliver(&key(&account, "CloudTrail", n), event.to_string().into_bytes());
            rig.aws.send(notification(BUCKET, &key(&account, &format!("CloudTrail-Kind{n}"), n)));
            rig.aws.send(notification(BUCKET, &format!("odd/{n}")));
            rig.aws.send(notification(&format!("bucket-{n}"), "key"));
            rig.aws.send(format!("message {n}"));
        }
        // What is deleted may still have to be counted.
        let at_rest = "trailsift_messages_in_flight{account=\"111122223333\"} 0";
        wait_for(|| {
            rig.aws.left() == 0 && log.get("/metrics").unwrap_or_default().contains(at_rest)
        });
    };
    let series = || -> BTreeSet<String> {
        let page = log.get("/metrics").expect("it answers");
        let (_, body) = page.split_once("\r\n\r\n").expect("a body");
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
    };
    send(0, 1);
    let known = series();
    assert!(known.iter().any(|series| series.contains("reason=\"unknown\"")), "{known:#?}");
    send(1, 60);
    let new: Vec<_> = series().difference(&known).cloned().collect();
    assert_eq!(new, Vec::<String>::new());
}

fn wait_for(mut what: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < until, "it does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every file and folder below this one.
fn all(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("there").path());
    let below = |path: PathBuf| {
        let mut found = if path.is_dir() { all(&path) } else { BTreeSet::new() };
        found.insert(path);
        found
    };
    entries.flat_map(below).collect()
}

#[test]
fn without_root_home_or_any_writable_folder_but_its_own_it_does_its_work() {
    let rig = Rig::new(TO_FILE);
    let expected = rig.deliver(5);
    // A copy where anybody may run it, whoever may enter the folder of the build.
    let binary = rig.path("trailsift");
    fs::copy(env!("CARGO_BIN_EXE_trailsift"), &binary).expect("copied");
    fs::create_dir(rig.path("data")).expect("a folder");
    let mut command = rig.command(&binary, &[]);
    command.arg("--until-empty").current_dir(rig.folder.path()).env("TMPDIR", "/nonexistent");
    let root = rustix::process::geteuid().is_root();
    if root {
        // As the image does it. Only root can become somebody else, and only root must.
        std::os::unix::fs::chown(rig.path("data"), Some(65532), Some(65532)).expect("changed");
        command.uid(65532).gid(65532);
    }
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
    };
    mode(rig.folder.path(), 0o555);
    let before = all(rig.folder.path());
    let output = ended(command);
    let after = all(rig.folder.path());
    mode(rig.folder.path(), 0o755);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(rig.events(), expected);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.iter().all(|path| path.starts_with(rig.path("data"))), "{new:?}");
    // What it made itself nobody else can enter, whatever the folder above allows.
    let folders = new.iter().filter(|path| path.is_dir());
    let modes = folders.map(|path| fs::metadata(path).expect("there").permissions().mode() & 0o7);
    let modes: Vec<_> = modes.collect();
    assert!(modes.len() >= 2 && modes.iter().all(|others| *others == 0), "{modes:?} of {new:?}");
}
