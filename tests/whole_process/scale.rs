//! Many files and large ones, and several processes on one queue: S3 and SQS are served from memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::process::Signal;
use trailsift_stub::{Checksum, Collector, Stub, notification};
use trailsift_testkit::MemoryQueue;
use trailsift_testkit::trail::{FileSpec, Patch, Patchwork, TrailFile};

use crate::stack::eventually;
use crate::trailsift::{Place, Running, Trailsift};

const BUCKET: &str = "scale-trail";
const MIB: u64 = 1 << 20;

/// What the collector gets.
const ROUTE: &str = "[[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"siem\"]\n[[route.selector]]\n\
                     eventSource = { equals = [\"codeguru-reviewer.amazonaws.com\"] }\n";

/// How often each line arrived.
type Arrived = Arc<Mutex<HashMap<Vec<u8>, usize>>>;

/// S3, SQS and a collector.
struct Rig {
    stub: Stub,
    queue: MemoryQueue,
    queue_url: String,
    collector: Collector,
    arrived: Arrived,
}

impl Rig {
    fn start() -> Self {
        let stub = Stub::start().expect("a port");
        let queue = MemoryQueue::new();
        let queue_url = stub.add_queue("trail", queue.clone());
        let arrived = Arrived::default();
        let counts = Arc::clone(&arrived);
        let collector = Collector::start(move |line: &[u8]| {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(line.to_vec()).or_default() += 1;
        });
        Self { stub, queue, queue_url, collector: collector.expect("a port"), arrived }
    }

    /// Stores the file. Answers the body of its notification.
    fn put(&self, key: &str, stored: impl Into<Bytes>) -> String {
        let stored = stored.into();
        let size = stored.len();
        let put = self.stub.put(BUCKET, key, stored, Checksum::None);
        notification(BUCKET, key, size, &put.etag)
    }

    /// A process of its own, with its own folder; `service` are further lines of `[service]`.
    fn replica(&self, number: u32, service: &str) -> (Trailsift, Running) {
        let endpoint = self.stub.endpoint();
        let place = Place { queue_url: &self.queue_url, endpoint: &endpoint, bucket: BUCKET };
        let url = self.collector.url();
        let sections = format!("[sink.siem]\ntype = \"http\"\nurl = \"{url}/\"\n{ROUTE}");
        let trailsift = Trailsift::configure_at(&place, service, &sections);
        let running = trailsift.run_as(number, &[]);
        (trailsift, running)
    }

    async fn asked_by(&self, replicas: u64) {
        let asked = || async { (self.stub.counts().receive >= replicas).then_some(()) };
        eventually("every replica asks for work", asked).await;
    }
}

async fn all_delivered_once_by(replicas: u32) {
    const FILES: u64 = 3_000;
    let rig = Rig::start();
    let mut bodies = Vec::new();
    let mut expected = HashMap::new();
    for seed in 1..=FILES {
        let spec = FileSpec { seed, records: 6, selected_one_in: 10, ..FileSpec::default() };
        let file = TrailFile::generate(&spec);
        expected.extend(file.selected_records().map(|record| (record.to_vec(), 1)));
        bodies.push(rig.put(&spec.key(""), file.gzip()));
    }
    let running: Vec<_> = (1..=replicas).map(|number| rig.replica(number, "")).collect();
    // All of them at the queue, so that each gets its part.
    rig.asked_by(replicas.into()).await;
    for body in bodies {
        rig.queue.send(body);
    }
    rig.queue.until_empty().await;
    for (_trailsift, running) in running {
        running.signal(Signal::TERM);
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let files = ended.totals()["files"].as_u64().expect("a count");
        assert!(files > 0, "one of {replicas} has had nothing to do");
    }
    let arrived = rig.arrived.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(*arrived == expected, "{} events of {}", arrived.len(), expected.len());
    let counts = rig.stub.counts();
    assert_eq!(counts.get_object, FILES, "every file is read once");
}

#[tokio::test]
async fn two_replicas_on_one_queue_lose_nothing_and_deliver_nothing_twice() {
    all_delivered_once_by(2).await;
}

#[tokio::test]
async fn four_replicas_on_one_queue_lose_nothing_and_deliver_nothing_twice() {
    all_delivered_once_by(4).await;
}

/// Of what the process takes now, or ever took, in bytes: `VmRSS` or `VmHWM`.
fn memory(running: &Running, what: &str) -> u64 {
    let status = format!("/proc/{}/status", running.child.id().expect("it runs"));
    let status = std::fs::read_to_string(status).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a size") * 1024
}

#[tokio::test]
async fn a_file_of_four_gibibytes_takes_at_most_64_mebibytes_above_idle() {
    let rig = Rig::start();
    let spec = FileSpec { records: 3000, selected_one_in: 0, ..FileSpec::default() };
    let lifelike = TrailFile::generate(&spec);
    let records = |file: &TrailFile| file.json[12..file.json.len() - 2].to_vec();
    let patch = |text: &[u8]| Patch::new(text).expect("it compresses");
    let filler = patch(&[&records(&lifelike)[..], b","].concat());
    let mut file = Patchwork::default();
    file.push(&patch(br#"{"Records":["#));
    let mut seen = 0;
    while file.inflated() < 4096 * MIB {
        file.push(&filler);
        seen += lifelike.records;
    }
    let last = FileSpec { seed: 2, records: 16, selected_one_in: 1, ..spec };
    let last = TrailFile::generate(&last);
    file.push(&patch(&records(&last)));
    file.push(&patch(b"]}"));
    seen += last.records;
    let body = rig.put(&FileSpec::default().key(""), file.finish());

    let (_trailsift, running) = rig.replica(1, "max_inflated = \"5GiB\"");
    rig.asked_by(1).await;
    let idle = memory(&running, "VmRSS");
    rig.queue.send(body);
    rig.queue.until_empty().await;
    let peak = memory(&running, "VmHWM");
    println!("{} MiB while idle, {} MiB at most", idle / MIB, peak / MIB);
    assert!(peak < idle + 64 * MIB, "{} MiB idle, {} MiB at most", idle / MIB, peak / MIB);
    running.signal(Signal::TERM);
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ended.totals()["records"], seen);
    let arrived = rig.arrived.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(arrived.len() as u64, last.records);
}
