use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::stack::Stack;

/// Where a process finds its work.
pub(crate) struct Place<'a> {
    pub(crate) queue_url: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) bucket: &'a str,
}

/// The environment variable that tells one start of the service from another: a sink may send it
/// as a header.
pub(crate) const RUN: &str = "TEST_RUN";

/// What the service says where its drain ends by the deadline.
pub(crate) const DEADLINE: &str = "the drain's time is over: giving back what is not settled";

/// A configuration folder and the service that runs with it.
pub(crate) struct Trailsift {
    folder: TempDir,
    /// The number of the run that was started last.
    latest: AtomicU32,
}

/// The service at work.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: PathBuf,
}

/// How the service ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
    pub(crate) stdout: Vec<u8>,
}

impl Trailsift {
    /// `service` are further lines of `[service]`; `sections` whatever follows: sinks, routes.
    pub(crate) fn configure(stack: &Stack, service: &str, sections: &str) -> Self {
        let Stack { queue_url, endpoint, bucket, .. } = stack;
        Self::configure_at(&Place { queue_url, endpoint, bucket }, service, sections)
    }

    /// The same for a place that need not be LocalStack.
    pub(crate) fn configure_at(place: &Place<'_>, service: &str, sections: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let this = Self { folder, latest: AtomicU32::new(0) };
        let data_dir = this.path("data");
        let main = format!(
            "[service]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{}\"\n{service}\n{sections}\n",
            data_dir.display()
        );
        this.write("config/trailsift.toml", &main);
        let account = format!(
            "[account]\nid = \"111122223333\"\nname = \"production\"\nregion = \"us-east-1\"\n\
             queue_url = \"{}\"\nendpoint_url = \"{}\"\nbuckets = [{{ name = \"{}\" }}]\n",
            place.queue_url, place.endpoint, place.bucket
        );
        this.write("config/accounts/111122223333.toml", &account);
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Leaves the folder where it is, for a person to look at, and says where.
    pub(crate) fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Starts the real binary with these arguments after `run`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Running {
        self.run_with(arguments, Stdio::piped())
    }

    /// Starts it as the run of this number, which has a log of its own.
    pub(crate) fn run_as(&self, number: u32, arguments: &[&str]) -> Running {
        self.start(number, arguments, Stdio::null())
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdout: Stdio) -> Running {
        self.start(0, arguments, stdout)
    }

    fn start(&self, number: u32, arguments: &[&str], stdout: Stdio) -> Running {
        self.latest.store(number, Ordering::Relaxed);
        let log = self.log_of(number);
        let stderr = std::fs::File::create(&log).expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_trailsift"))
            .args(["run", "--log-format", "json", "--config"])
            .arg(self.path("config"))
            .args(arguments)
            .env("TEST_TOKEN", "very-secret-token")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env(RUN, number.to_string())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        Running { child, log }
    }

    pub(crate) async fn run_until_empty(&self) -> Ended {
        self.run(&["--until-empty"]).ended().await
    }

    /// The lines of the JSON Lines file of this name, without their breaks.
    pub(crate) fn lines(&self, name: &str) -> Vec<Vec<u8>> {
        lines_of(&self.path(name))
    }

    /// The lines of the quarantine.
    pub(crate) fn parked(&self) -> Vec<Value> {
        let lines = self.lines("data/quarantine/quarantine.jsonl");
        lines.iter().map(|line| serde_json::from_slice(line).expect("a JSON line")).collect()
    }

    fn log_of(&self, number: u32) -> PathBuf {
        self.path(&format!("log-{number}.jsonl"))
    }

    /// Where the latest run's admin server listens, once that run has said so: a port that was chosen before could be
    /// somebody else's by now.
    fn listens(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.log_of(self.latest.load(Ordering::Relaxed))).ok()?;
        let line = line_of(&log, "starting")?;
        Some(line["listen"].as_str().expect("an address").to_owned())
    }

    /// Status and body of a page of the latest run's admin server; `None` while it does not answer.
    pub(crate) async fn get(&self, page: &str) -> Option<(u16, String)> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.listens()?).await.ok()?;
        let request = format!("GET {page} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(id).expect("a process id")).expect("not zero");
        kill_process(pid, signal).expect("it takes signals");
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// SIGKILL, and not back before it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Waits for its end, two minutes at most.
    pub(crate) async fn ended(self) -> Ended {
        let log = self.log.clone();
        let ended = tokio::time::timeout(Duration::from_secs(120), self.child.wait_with_output());
        let output = match ended.await {
            Ok(output) => output.expect("it can be waited for"),
            Err(_) => {
                panic!("it does not end:\n{}", std::fs::read_to_string(log).unwrap_or_default())
            }
        };
        let log = std::fs::read_to_string(log).expect("a log");
        Ended { code: output.status.code(), log, stdout: output.stdout }
    }
}

impl Ended {
    /// The log line with this message.
    pub(crate) fn logged(&self, message: &str) -> Option<Value> {
        line_of(&self.log, message)
    }

    /// What the last line says was done.
    pub(crate) fn totals(&self) -> Value {
        let stopped =
            self.logged("stopped").unwrap_or_else(|| panic!("no last line:\n{}", self.log));
        serde_json::from_str(stopped["totals"].as_str().expect("totals")).expect("JSON")
    }
}

/// The first line of a log with this message.
fn line_of(log: &str, message: &str) -> Option<Value> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.find(|line| line["message"] == message)
}

fn lines_of(path: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with(b"\n"), "a torn line in {}", path.display());
    text.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()).map(<[u8]>::to_vec).collect()
}
