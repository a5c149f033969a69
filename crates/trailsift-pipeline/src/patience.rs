use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[cfg(test)]
mod tests;

/// How long a sink may acknowledge nothing before messages stop waiting for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a message that is chosen waits from then on: it may be the one that gets through.
const GRACE: Duration = Duration::from_secs(5);
/// How long a message waits at most where others get through: its write has been forgotten.
const OVERTAKEN: Duration = Duration::from_secs(10 * 60);
/// The longest time for which messages leave a stuck sink alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Keeps a stuck sink from taking every worker.
///
/// A worker that waits for a sink cannot read files that need no sink at all. So once messages have
/// waited for a sink for a minute and it has acknowledged nothing, only one of them goes on waiting;
/// where workers are scarce, that one too for another minute only, and after a rest the next one does.
/// Of the others a few are chosen to wait for a few seconds each, as many as their [`Share`] allows;
/// the rest are given back to the queue at once. All that ends with the first acknowledgement; a
/// message that has still not got through ten minutes after it came is then given back too.
///
/// Only time in which somebody waits counts: a sink that nobody needed for an hour is not stuck. It
/// counts no matter how the waiting ended, so a sink that fails slowly is as stuck as a silent one.
#[derive(Debug)]
pub(crate) struct Patience {
    share: Share,
    waiting: Mutex<Waiting>,
}

/// Among how many the workers' time is divided that stuck sinks may take: a quarter of it for the
/// messages that are chosen to wait a little, and up to a half for those that go on waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The workers of one account: a stuck sink may be that of one account's events alone.
    pub(crate) workers: usize,
    /// All the sinks that a message may have to wait for. They may be stuck at the same time.
    pub(crate) sinks: usize,
}

impl Share {
    /// How many sinks there are to a worker.
    fn sinks_per_worker(self) -> f64 {
        let count = |n: usize| f64::from(u32::try_from(n.max(1)).unwrap_or(u32::MAX));
        count(self.sinks) / count(self.workers)
    }

    /// How often a message may be chosen to wait for [`GRACE`].
    fn grace_every(self) -> Duration {
        GRACE.mul_f64(4.0 * self.sinks_per_worker())
    }

    /// Whether there are too few workers for each sink to keep one of them for good.
    fn is_scarce(self) -> bool {
        2.0 * self.sinks_per_worker() > 1.0
    }

    /// How long nobody goes on waiting after somebody has, for so long.
    fn rest_after(self, probe: Duration) -> Duration {
        probe.mul_f64((2.0 * self.sinks_per_worker() - 1.0).max(0.0))
    }
}

/// Why a message waits no longer. Displayed as what the sink does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GivenUp {
    /// Messages have waited for so long.
    #[error("acknowledges nothing, waited for {} s so far", .0.as_secs())]
    Stuck(Duration),
    /// Others got through meanwhile.
    #[error("acknowledges others, but not this for {} s", OVERTAKEN.as_secs())]
    Overtaken,
}

impl GivenUp {
    /// How long to leave the message alone at least: about as long as the sink has been stuck, but
    /// not all messages equally long.
    pub(crate) fn pause(self) -> Duration {
        match self {
            Self::Stuck(unanswered) => {
                unanswered.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64() / 2.0)
            }
            Self::Overtaken => Duration::ZERO,
        }
    }
}

#[derive(Debug, Default)]
struct Waiting {
    in_line: usize,
    next_number: u64,
    renewed: Option<Instant>,
    /// Since when the line has not been empty, or since the last acknowledgement.
    since: Option<Instant>,
    /// For how long somebody waited before that, since the last acknowledgement.
    before: Duration,
    probe: Option<Probe>,
    /// Nobody goes on waiting before this.
    next_probe: Option<Instant>,
    /// Nobody is chosen before this.
    next_grace: Option<Instant>,
}

/// The one that goes on waiting.
#[derive(Debug)]
struct Probe {
    number: u64,
    since: Instant,
}

impl Waiting {
    /// For how long the sink has been waited for and has acknowledged nothing.
    fn unanswered(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now - since)
    }

    /// Until when this one may wait, now that patience is over: in the past if it may not.
    fn grant(&mut self, place: &Place<'_>, now: Instant) -> Instant {
        let is_due = |time: Option<Instant>| time.is_none_or(|time| time <= now);
        if self.probe.is_none() && is_due(self.next_probe) {
            self.probe = Some(Probe { number: place.number, since: now });
            return (place.entered + 2 * PATIENCE).max(now + PATIENCE);
        }
        let until = place.entered + GRACE;
        if until > now && !is_due(self.next_grace) {
            return now;
        }
        if until > now {
            self.next_grace = Some(now + place.patience.share.grace_every());
        }
        until
    }

    /// Whether this one waits for as long as it takes.
    fn goes_on(&self, place: &Place<'_>) -> bool {
        let is_probe = self.probe.as_ref().is_some_and(|probe| probe.number == place.number);
        is_probe && !place.patience.share.is_scarce()
    }
}

impl Patience {
    pub(crate) fn new(share: Share) -> Self {
        Self { share, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sink has acknowledged something.
    pub(crate) fn renew(&self) {
        let mut waiting = self.waiting();
        let Waiting { in_line, next_number, .. } = *waiting;
        let renewed = Some(Instant::now());
        let since = renewed.filter(|_| in_line > 0);
        *waiting = Waiting { in_line, next_number, renewed, since, ..Waiting::default() };
    }

    /// Comes back when this message should wait no longer; race it against the write.
    pub(crate) async fn run_out(&self) -> GivenUp {
        let place = self.enter();
        let mut granted = None;
        loop {
            let now = Instant::now();
            let until = {
                let mut waiting = self.waiting();
                let unanswered = waiting.unanswered(now);
                let is_overtaken = waiting.renewed > Some(place.entered);
                if is_overtaken && now >= place.entered + OVERTAKEN {
                    return GivenUp::Overtaken;
                }
                if unanswered < PATIENCE {
                    granted = None;
                    now + (PATIENCE - unanswered)
                } else {
                    let until = *granted.get_or_insert_with(|| waiting.grant(&place, now));
                    if until > now {
                        until
                    } else if waiting.goes_on(&place) {
                        now + PATIENCE
                    } else {
                        return GivenUp::Stuck(unanswered);
                    }
                }
            };
            sleep_until(until).await;
        }
    }

    fn enter(&self) -> Place<'_> {
        let mut waiting = self.waiting();
        let (number, entered) = (waiting.next_number, Instant::now());
        waiting.next_number += 1;
        waiting.in_line += 1;
        waiting.since.get_or_insert(entered);
        Place { patience: self, number, entered }
    }
}

/// A place in the line, given up when it is dropped.
#[derive(Debug)]
struct Place<'a> {
    patience: &'a Patience,
    number: u64,
    entered: Instant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let (now, mut waiting) = (Instant::now(), self.patience.waiting());
        waiting.in_line -= 1;
        if waiting.in_line == 0 {
            waiting.before = waiting.unanswered(now);
            waiting.since = None;
        }
        if let Some(probe) = waiting.probe.take_if(|probe| probe.number == self.number) {
            waiting.next_probe = Some(now + self.patience.share.rest_after(now - probe.since));
        }
    }
}
