//! One queue, one bucket, one sink, one quarantine, and what befalls them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::oracle::{Oracle, Owed, Verdict};
use crate::rig::{BUCKET, Rig, SECOND, filtered, key, notification, selected, trail_file};
use fastrand::Rng;
use tokio::time::{Instant, sleep, timeout};
use trailsift_core::{Batch, QueueError, Reason, SinkError, StoreError};
use trailsift_pipeline::Ended;
use trailsift_testkit::{Answer, QueueFault, QueueOp, QueueSettings, StoreFault};

const MESSAGES: usize = 12;
/// How often something befalls the queue while there are faults.
const BLOWS: usize = 40;
/// How long a backlog may take to drain once nothing fails: waits of up to five minutes end, and
/// leases that were lost.
const DRAINED_WITHIN: Duration = Duration::from_secs(3600);

/// The course of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// Faults at every port; then none, until the queue is empty; then a stop.
    FaultsThenHealed,
    /// Faults at every port, and a stop amid them.
    StoppedAmidFaults,
    /// No fault at all until the queue is empty; then a stop.
    NoFaults,
}

/// The randomness of a world, shared by its script and by the rules of its fakes.
#[derive(Clone)]
struct Dice(Arc<Mutex<Rng>>);

impl Dice {
    fn rng(&self) -> MutexGuard<'_, Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn below(&self, limit: usize) -> usize {
        self.rng().usize(..limit)
    }

    fn among<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

pub(crate) struct World {
    pub(crate) rig: Rig,
    oracle: Oracle,
    play: Play,
    dice: Dice,
}

impl World {
    pub(crate) fn new(seed: u64, play: Play) -> Self {
        let dice = Dice(Arc::new(Mutex::new(Rng::with_seed(seed))));
        let mut rig = Rig::with_queue(QueueSettings {
            visibility_timeout: dice.among(&[5, 10, 30]) * SECOND,
            shuffle: Some(seed),
            ..QueueSettings::default()
        });
        rig.settings.drain_timeout = dice.among(&[2, 5, 25]) * SECOND;
        let mut world = Self { rig, oracle: Oracle::default(), play, dice };
        if play != Play::NoFaults {
            world.make_the_sinks_fail();
        }
        (0..MESSAGES).for_each(|message| world.announce(message));
        world
    }

    fn make_the_sinks_fail(&self) {
        let dice = self.dice.clone();
        self.rig.sink.answer_by(move |batch: &Batch| {
            let one = |error| Answer::AcceptExcept(vec![(dice.below(batch.entries.len()), error)]);
            match dice.below(16) {
                0 | 1 => Answer::Fail(SinkError::retry("busy")),
                2 | 3 => one(SinkError::retry("one is refused for now")),
                4 | 5 => one(SinkError::poison(Reason::SinkRejected, "one is refused")),
                6 | 7 => Answer::Hold,
                8 | 9 => Answer::LoseAnswer(SinkError::retry("connection reset")),
                10 if dice.below(2) == 0 => panic!("a bug in a sink"),
                _ => Answer::Accept,
            }
        });
        let dice = self.dice.clone();
        self.rig.parked.answer_by(move |_| match dice.below(4) {
            0 => Answer::Fail(SinkError::retry("disk full")),
            1 => Answer::LoseAnswer(SinkError::retry("fsync failed")),
            _ => Answer::Accept,
        });
    }

    /// Puts a few files, some of which cannot be read at first, and sends their notification.
    fn announce(&mut self, message: usize) {
        let (mut owed, mut damaged, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for object in 0..=self.dice.below(3) {
            let key = key(&format!("m{message}o{object}"));
            keys.push(key.clone());
            if self.play != Play::NoFaults && self.dice.below(6) == 0 {
                let whole = trail_file(&[&selected(&format!("m{message}o{object} of no use"))]);
                self.rig.store.put(BUCKET, &key, whole.slice(..whole.len() - 9));
                damaged.push(key);
                continue;
            }
            let mut records = Vec::new();
            for index in 0..self.dice.below(5) {
                let id = format!("m{message}o{object}r{index}");
                if self.dice.below(4) == 0 {
                    records.push(filtered(&id));
                    continue;
                }
                let (text, index) = (selected(&id), index as u64);
                records.push(text.clone());
                owed.push(Owed { text, key: key.clone(), index });
            }
            let records: Vec<_> = records.iter().map(String::as_str).collect();
            self.rig.store.put(BUCKET, &key, trail_file(&records));
            if self.play != Play::NoFaults {
                for _ in 0..self.dice.below(3) {
                    self.rig.store.fault(BUCKET, &key, self.store_fault());
                }
            }
        }
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let id = self.rig.queue.send(notification(&keys));
        self.oracle.owed.insert(id.clone(), owed);
        self.oracle.damaged.insert(id, damaged);
    }

    fn store_fault(&self) -> StoreFault {
        let error = |error| StoreFault::Error(error);
        match self.dice.below(8) {
            0 => StoreFault::BreakAfter(20),
            1 => StoreFault::StallAfter(10),
            2 => StoreFault::EndAfter(15),
            3 => StoreFault::Drip { bytes: 4, every: 20 * SECOND },
            4 => error(StoreError::Denied("AccessDenied".into())),
            5 => error(StoreError::NotFound("NoSuchKey".into())),
            6 => error(StoreError::KmsDenied("AccessDenied".into())),
            _ => error(StoreError::Unavailable("InternalError".into())),
        }
    }

    /// One thing goes wrong at the queue, or the sink lets go of what it holds.
    fn blow(&self) {
        let queue = &self.rig.queue;
        let mut ids: Vec<_> = self.oracle.owed.keys().collect();
        ids.sort_by_key(|id| &id.0);
        let one = self.dice.among(&ids);
        let down = || QueueError::Unavailable("InternalError".into());
        match self.dice.below(8) {
            0 => drop(queue.deliver_again(one)),
            1 => queue.fail_next(QueueOp::Extend, QueueError::LeaseLost("taken away".into())),
            2 => queue.fail_next(QueueOp::Delete, down()),
            3 => queue.fault(QueueOp::Delete, QueueFault::LoseAnswer(down())),
            4 => queue.fail_next(QueueOp::Receive, QueueError::Throttled("slow down".into())),
            5 => queue.fail_delete_of(one, down()),
            6 => queue.fault(QueueOp::Release, QueueFault::LoseAnswer(down())),
            _ => self.rig.sink.let_go(),
        }
    }

    /// Lives through the play.
    ///
    /// # Errors
    /// If a rule was broken: told with what was seen.
    pub(crate) async fn live(self) -> Result<Verdict, String> {
        let rig = &self.rig;
        let running = rig.start();
        if self.play != Play::NoFaults {
            let blows = match self.play {
                Play::StoppedAmidFaults => self.dice.below(BLOWS / 2),
                _ => BLOWS,
            };
            for _ in 0..blows {
                let pause = 1 + self.dice.below(20_000) as u64;
                sleep(Duration::from_millis(pause)).await;
                self.blow();
            }
            self.oracle.judge(rig)?;
        }
        if self.play != Play::StoppedAmidFaults {
            rig.queue.heal();
            rig.store.heal();
            rig.sink.heal();
            rig.parked.heal();
            if timeout(DRAINED_WITHIN, rig.queue.until_empty()).await.is_err() {
                return Err(format!("the backlog does not drain: {:?}", rig.queue.in_flight()));
            }
        }
        let before = Instant::now();
        let ended = running.stop().await;
        let (took, drain) = (before.elapsed(), rig.settings.drain_timeout);
        if ended != Ended::Drained || took > drain {
            return Err(format!("a drain of {drain:?} took {took:?} and ended {ended:?}"));
        }
        let verdict = self.oracle.judge(rig)?;
        if self.play == Play::NoFaults && verdict.delivered_twice > 0 {
            return Err(format!("{} delivered twice without a fault", verdict.delivered_twice));
        }
        rig.unbalanced().map_or(Ok(verdict), Err)
    }
}
