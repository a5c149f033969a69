//! The service is killed again and again while traffic flows and a sink misbehaves.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::adversary::Adversary;
use crate::copies::Copies;
use crate::disk::{Disk, both_sinks};
use crate::ledger;
use crate::stack::{Stack, eventually};
use crate::traffic::{ANNOUNCED, Traffic, damaged, owners};
use crate::trailsift::{DEADLINE, Running, Trailsift};

/// Messages in flight, and so objects in flight: a worker does one object at a time.
const WORKERS: usize = 8;
/// How long the queue hides what a killed process held.
const VISIBILITY_SECONDS: u32 = 5;
/// How many events are on their way at any time.
const OUTSTANDING: usize = 150;
/// The longest that a run waits for its moment.
const LONGEST_RUN: Duration = Duration::from_millis(2500);

/// When a run is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// At any time, also before anything was received.
    After(Duration),
    /// So long after a batch has arrived at the collector, which may not have answered yet.
    Arrival(Duration),
    /// So long after the file has changed: written and not synced, rotated, not noted down.
    FileGrows(Duration),
    /// So long after a file was parked.
    QuarantineGrows(Duration),
    /// So long into a drain.
    Drain(Duration),
    /// Not at all: it drains to its end.
    Drained,
}

impl Moment {
    fn draw(rng: &mut fastrand::Rng) -> Self {
        let soon = Duration::from_micros(rng.u64(..30_000));
        match rng.u8(..100) {
            0..35 => Self::After(Duration::from_millis(rng.u64(..1200))),
            35..55 => Self::Arrival(soon),
            55..75 => Self::FileGrows(soon),
            75..80 => Self::QuarantineGrows(soon),
            80..95 => Self::Drain(Duration::from_millis(rng.u64(..1500))),
            _ => Self::Drained,
        }
    }
}

/// A number from the environment, for longer runs and for replays.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The runs so far.
#[derive(Default)]
struct Runs {
    count: u32,
    kills: u64,
    /// Those that did not end in peace.
    cut: BTreeSet<u32>,
}

impl Runs {
    /// Starts the service, and ends it at this moment.
    async fn one(
        &mut self,
        trailsift: &Trailsift,
        moment: Moment,
        collector: &Adversary,
        disk: &mut Disk,
    ) {
        self.count += 1;
        let mut running = trailsift.run_as(self.count, &[]);
        let come = async {
            let after = match moment {
                Moment::After(after) => after,
                Moment::Arrival(after) => {
                    collector.next_arrival().await;
                    after
                }
                Moment::FileGrows(after) => {
                    disk.events.grows().await;
                    after
                }
                Moment::QuarantineGrows(after) => {
                    disk.quarantine.grows().await;
                    after
                }
                Moment::Drain(_) | Moment::Drained => {
                    collector.next_arrival().await;
                    Duration::ZERO
                }
            };
            sleep(after).await;
        };
        // A moment that does not come is as good as any other.
        drop(timeout(LONGEST_RUN, come).await);
        if matches!(moment, Moment::Drain(_) | Moment::Drained) {
            // Before that it catches no signals, and a late batch of the run before may have come.
            eventually("it has started", || async {
                running.log().contains("starting").then_some(())
            })
            .await;
        }
        match moment {
            Moment::Drain(after) => {
                running.signal(Signal::TERM);
                drop(timeout(after, running.child.wait()).await);
                match running.child.try_wait().expect("a status") {
                    Some(_) => self.drained(running).await,
                    None => self.killed(running).await,
                }
            }
            Moment::Drained => {
                running.signal(Signal::TERM);
                self.drained(running).await;
            }
            _ => self.killed(running).await,
        }
        disk.read(self.count);
        if self.kills.is_multiple_of(4) {
            disk.tear();
        }
    }

    async fn killed(&mut self, running: Running) {
        running.kill().await;
        self.kills += 1;
        self.cut.insert(self.count);
    }

    async fn drained(&mut self, running: Running) {
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        // What was given back at the deadline may have been written.
        if ended.logged(DEADLINE).is_some() {
            self.cut.insert(self.count);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn no_kill_at_any_moment_loses_forges_or_tears_an_event() {
    let kills = number("TRAILSIFT_KILLS", 50);
    // The same files and moments each time, unless others are asked for.
    let seed = number("TRAILSIFT_SEED", 1);
    println!(
        "seed {seed}: TRAILSIFT_SEED has other files and moments, TRAILSIFT_KILLS more of them"
    );
    let started = Instant::now();
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut stack = Stack::create("kill", VISIBILITY_SECONDS)
        .await
        .notifying_of(ANNOUNCED)
        .await
        // A kill costs every message in flight one receive, so the count must be generous.
        .with_dead_letters(100)
        .await;
    if rng.bool() {
        stack = stack.versioned().await;
    }
    let collector = Adversary::start(rng.u64(..)).await;
    let out = tempfile::tempdir().expect("a folder");
    let service = format!("workers = {WORKERS}\ndrain_timeout = \"2s\"\nhash_objects = true");
    let mut trailsift = Trailsift::configure(&stack, &service, &both_sinks(out.path(), &collector));
    let mut disk = Disk::new(out.path(), &trailsift);
    let traffic = Traffic::new(&stack, rng.u64(..));

    collector.turn(true);
    let mut runs = Runs::default();
    let stop = CancellationToken::new();
    let killing = async {
        while runs.kills < kills {
            let moment = Moment::draw(&mut rng);
            runs.one(&trailsift, moment, &collector, &mut disk).await;
        }
        stop.cancel();
    };
    let flowing = traffic.flow(OUTSTANDING, || collector.events(), stop.clone());
    tokio::join!(killing, flowing);
    let killed_for = started.elapsed();

    collector.turn(false);
    runs.count += 1;
    let ended = trailsift.run_as(runs.count, &["--until-empty"]).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    disk.read(runs.count);
    assert_eq!((stack.backlog().await, stack.dead_letters().await), ((0, 0), (0, 0)));
    assert!(disk.ends_well(), "a torn line is left");

    let sent = traffic.sent();
    let (events, files) = (owners(&sent), damaged(&sent));
    let written = disk.written.judge(&events);
    let arrived = Copies::of(collector.arrived()).judge(&events);
    let parked = disk.parked.judge(&files);
    println!(
        "{} kills in {} runs, {} messages, {} objects ({} damaged), {} events in {:.0} s + {:.0} s\n\
         collector: {arrived}, {:?}\nfile: {written}\nquarantine: {parked}\n{} torn ends mended",
        runs.kills,
        runs.count,
        traffic.messages(),
        sent.len(),
        files.len(),
        events.len(),
        killed_for.as_secs_f64(),
        (started.elapsed() - killed_for).as_secs_f64(),
        collector.manners(),
        disk.torn(),
    );
    let mut faults = Vec::new();
    for (sink, held) in [("collector", arrived), ("file", written), ("quarantine", parked)] {
        let found = held.faults(WORKERS, &runs.cut).into_iter();
        faults.extend(found.map(|fault| format!("{sink}: {fault}")));
    }
    let data = trailsift.path("data/ledger");
    let differences = ledger::differences(&data, &stack, &["events", "siem"], &sent);
    faults.extend(differences.into_iter().map(|difference| format!("ledger: {difference}")));
    if !faults.is_empty() {
        panic!("seed {seed}, see {}:\n{}", trailsift.keep().display(), faults.join("\n"));
    }
}
