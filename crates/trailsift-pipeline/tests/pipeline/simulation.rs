//! Seeded faults at every port, then none: whatever happened meanwhile, the oracle checks that
//! nothing was lost, forged or left behind. Delivery rules D1, D2, D5, D7 and D9.
//!
//! A seed decides files, faults and waits. Only the order in which tokio polls what is ready at the
//! same instant is not under its control: a failing seed fails again, or nearly always.

mod oracle;
mod world;

use std::panic::catch_unwind;
use std::sync::Arc;

use crate::quirky_queue::{Quirk, QuirkyQueue};
use oracle::Verdict;
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_testkit::ScriptedSink;
use world::{Play, World};

const SEEDS: u64 = 200;

/// One life of a world, and what the oracle says of it.
fn live(seed: u64, play: Play, plant: impl FnOnce(&mut World)) -> Result<Verdict, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    fastrand::seed(seed);
    runtime.block_on(async {
        let mut world = World::new(seed, play);
        plant(&mut world);
        world.live().await
    })
}

/// Lives every seed and sums up; fails with the seed that fails.
fn live_all(seeds: u64, play: Play) -> Verdict {
    let mut all = Verdict::default();
    for seed in 0..seeds {
        match catch_unwind(|| live(seed, play, |_| {})) {
            Ok(Ok(verdict)) => all = all + verdict,
            Ok(Err(trouble)) => panic!("{play:?}, seed {seed}: {trouble}"),
            Err(_) => panic!("{play:?}, seed {seed}: it panicked, see above"),
        }
    }
    all
}

#[test]
fn whatever_fails_nothing_is_lost_and_once_nothing_fails_everything_is_delivered() {
    let all = live_all(SEEDS, Play::FaultsThenHealed);
    // The faults were real ones, and yet most seeds got most of their work done.
    assert_eq!(all.deleted, all.sent);
    assert!(all.delivered_twice > 50 && all.parked > 50, "{all:?}");
    assert!(all.delivered > 3000, "{all:?}");
}

#[test]
fn a_stop_amid_faults_deletes_nothing_that_is_not_settled() {
    let all = live_all(SEEDS / 2, Play::StoppedAmidFaults);
    // Some were settled before the stop, and some were not.
    assert!(all.deleted > all.sent / 10 && all.deleted < all.sent * 9 / 10, "{all:?}");
}

#[test]
fn without_faults_every_event_is_delivered_exactly_once() {
    let all = live_all(SEEDS / 10, Play::NoFaults);
    assert_eq!((all.deleted, all.parked, all.delivered_twice), (all.sent, 0, 0));
    assert_eq!(all.delivered, all.owed);
}

/// What a planted bug does to the events of every third write.
#[derive(Clone, Copy, Debug)]
enum Bug {
    /// Acknowledges them without storing them.
    Forget,
    /// Stores them altered.
    Alter,
    /// Stores them as if they came from another place in their file.
    Misplace,
    /// Stores them twice.
    Repeat,
}

#[derive(Debug)]
struct BuggySink {
    sink: ScriptedSink,
    bug: Bug,
    writes: std::sync::atomic::AtomicUsize,
}

impl BuggySink {
    fn new(sink: &ScriptedSink, bug: Bug) -> Arc<Self> {
        Arc::new(Self { sink: sink.clone(), bug, writes: Default::default() })
    }
}

#[async_trait::async_trait]
impl Sink for BuggySink {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn limits(&self) -> Limits {
        self.sink.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.sink.check().await
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let write = self.writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !write.is_multiple_of(3) {
            return self.sink.write(batch).await;
        }
        let each = |change: fn(Entry) -> Entry| Batch {
            entries: batch.entries.iter().cloned().map(change).collect(),
        };
        match self.bug {
            Bug::Forget => Ok(WriteOutcome::default()),
            Bug::Alter => {
                let altered = |entry: Entry| Entry { data: entry.data.slice(1..), ..entry };
                self.sink.write(&each(altered)).await
            }
            Bug::Misplace => {
                let misplaced = |entry: Entry| Entry { index: entry.index + 1, ..entry };
                self.sink.write(&each(misplaced)).await
            }
            Bug::Repeat => {
                drop(self.sink.write(batch).await);
                self.sink.write(batch).await
            }
        }
    }
}

/// What the oracle says of a world with this bug, in the first of a few seeds in which it matters.
fn noticed(play: Play, plant: impl Fn(&mut World)) -> String {
    let told = (0..20).find_map(|seed| live(seed, play, &plant).err());
    told.unwrap_or_else(|| panic!("{play:?}: not noticed in twenty seeds"))
}

#[test]
fn the_oracle_notices_a_sink_that_acknowledges_without_storing() {
    for play in [Play::FaultsThenHealed, Play::StoppedAmidFaults, Play::NoFaults] {
        let trouble = noticed(play, |world| {
            world.rig.sink_front = Some(BuggySink::new(&world.rig.sink, Bug::Forget));
        });
        assert!(trouble.contains("was deleted") && trouble.contains("is lost"), "{trouble}");
    }
}

#[test]
fn the_oracle_notices_a_quarantine_that_forgets() {
    let trouble = noticed(Play::FaultsThenHealed, |world| {
        world.rig.parked_front = Some(BuggySink::new(&world.rig.parked, Bug::Forget));
    });
    assert!(trouble.contains("was deleted") && trouble.contains("is lost"), "{trouble}");
}

#[test]
fn the_oracle_notices_events_that_no_file_holds() {
    for bug in [Bug::Alter, Bug::Misplace] {
        let trouble = noticed(Play::FaultsThenHealed, |world| {
            world.rig.sink_front = Some(BuggySink::new(&world.rig.sink, bug));
        });
        assert!(trouble.contains("is in no file"), "{bug:?}: {trouble}");
    }
}

#[test]
fn the_oracle_notices_duplicates_that_no_fault_explains() {
    let trouble = noticed(Play::NoFaults, |world| {
        world.rig.sink_front = Some(BuggySink::new(&world.rig.sink, Bug::Repeat));
    });
    assert!(trouble.contains("delivered twice without a fault"), "{trouble}");
}

#[test]
fn the_oracle_notices_a_backlog_that_does_not_drain() {
    let trouble = noticed(Play::FaultsThenHealed, |world| {
        let front = QuirkyQueue::new(&world.rig.queue, Quirk::DeletesNothing);
        world.rig.queue_front = Some(Arc::new(front));
    });
    assert!(trouble.contains("the backlog does not drain"), "{trouble}");
}
