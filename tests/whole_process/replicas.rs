//! Two processes on one queue, each with its own data folder.

use std::collections::{BTreeSet, HashMap};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::adversary::Adversary;
use crate::copies::{Copies, Holdings};
use crate::disk::{Disk, both_sinks};
use crate::stack::{Stack, eventually};
use crate::traffic::{ANNOUNCED, Sent, Traffic, damaged, owners};
use crate::trailsift::{Running, Trailsift};

/// Messages in flight in each of them.
const WORKERS: usize = 8;
/// Messages in all; half of them name several objects.
const MESSAGES: usize = 60;

struct Replica {
    number: u32,
    trailsift: Trailsift,
    disk: Disk,
    _out: TempDir,
}

impl Replica {
    fn new(number: u32, stack: &Stack, collector: &Adversary) -> Self {
        let out = tempfile::tempdir().expect("a folder");
        let service = format!("workers = {WORKERS}\ndrain_timeout = \"20s\"");
        let trailsift = Trailsift::configure(stack, &service, &both_sinks(out.path(), collector));
        let disk = Disk::new(out.path(), &trailsift);
        Self { number, trailsift, disk, _out: out }
    }

    fn run(&self) -> Running {
        self.trailsift.run_as(self.number, &[])
    }

    /// Whether it has written anything.
    fn has_worked(&mut self) -> bool {
        self.disk.read(self.number);
        !self.disk.written.is_empty()
    }
}

/// Ends the service and returns how often it lost a lease.
async fn drain(replica: &Replica, running: Running) -> u64 {
    let (_, metrics) = replica.trailsift.get("/metrics").await.expect("metrics");
    running.signal(Signal::TERM);
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let lost = metrics.lines().find_map(|line| line.strip_prefix("trailsift_leases_lost_total "));
    lost.expect("a counter").parse().expect("a count")
}

/// Judges both replicas' files and quarantines as if they were one's. What one has noted down, the
/// other one does not know: so whole messages are redone, those in flight at the kill.
fn judge(
    replicas: [&mut Replica; 2],
    collector: &Adversary,
    sent: &[Sent],
    cut: &BTreeSet<u32>,
) -> Vec<(&'static str, Holdings)> {
    let (mut written, mut parked) = (Copies::default(), Copies::default());
    for replica in replicas {
        replica.disk.read(replica.number);
        assert!(replica.disk.ends_well());
        written.append(std::mem::take(&mut replica.disk.written));
        parked.append(std::mem::take(&mut replica.disk.parked));
    }
    let messages = |of: HashMap<_, usize>| -> HashMap<&[u8], usize> {
        of.into_iter().map(|(what, object)| (what, sent[object].message)).collect()
    };
    let (events, files) = (messages(owners(sent)), messages(damaged(sent)));
    let held = vec![
        ("collector", Copies::of(collector.arrived()).judge(&events)),
        ("file", written.judge(&events)),
        ("quarantine", parked.judge(&files)),
    ];
    for (sink, held) in &held {
        assert_eq!(held.faults(WORKERS, cut), Vec::<String>::new(), "{sink}");
    }
    held
}

async fn settled(stack: &Stack) {
    let empty = || async { (stack.backlog().await == (0, 0)).then_some(()) };
    eventually("everything is settled", empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn two_replicas_on_one_queue_share_the_work_and_write_nothing_twice() {
    let stack = Stack::create("replicas", 30).await.notifying_of(ANNOUNCED).await;
    let collector = Adversary::start(1).await;
    let (mut one, mut two) =
        (Replica::new(1, &stack, &collector), Replica::new(2, &stack, &collector));
    let running = (one.run(), two.run());
    let traffic = Traffic::new(&stack, 41);
    while traffic.messages() < MESSAGES || !one.has_worked() || !two.has_worked() {
        assert!(traffic.messages() < 20 * MESSAGES, "one replica gets nothing");
        traffic.send(false).await;
    }
    settled(&stack).await;
    let lost = drain(&one, running.0).await + drain(&two, running.1).await;
    let sent = traffic.sent();
    println!("{} messages, {} objects", traffic.messages(), sent.len());
    for (sink, held) in judge([&mut one, &mut two], &collector, &sent, &BTreeSet::new()) {
        println!("{sink}: {held}");
        assert_eq!((held.duplicates, lost), (0, 0), "{sink}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn when_one_replica_is_killed_the_other_one_takes_over() {
    let stack = Stack::create("survivor", 15).await.notifying_of(ANNOUNCED).await;
    let collector = Adversary::start(2).await;
    let (mut one, mut two) =
        (Replica::new(1, &stack, &collector), Replica::new(2, &stack, &collector));
    let running = (one.run(), two.run());
    let traffic = Traffic::new(&stack, 42);
    // So that something is in flight whenever the kill comes.
    collector.turn(true);
    while !one.has_worked() || !two.has_worked() {
        assert!(traffic.messages() < 20 * MESSAGES, "one replica gets nothing");
        traffic.send(false).await;
    }
    let (first, second) = running;
    let killed = CancellationToken::new();
    let kill = async {
        collector.next_arrival().await;
        first.kill().await;
        killed.cancel();
    };
    let flow = async {
        while !killed.is_cancelled() {
            traffic.send(false).await;
        }
    };
    tokio::join!(kill, flow);
    collector.turn(false);
    for _ in 0..MESSAGES {
        traffic.send(false).await;
    }
    settled(&stack).await;
    drain(&two, second).await;
    let sent = traffic.sent();
    println!("{} messages, {} objects", traffic.messages(), sent.len());
    // What the dead one wrote without deleting the message, the other one writes again.
    for (sink, held) in judge([&mut one, &mut two], &collector, &sent, &BTreeSet::from([1])) {
        println!("{sink}: {held}");
    }
}
