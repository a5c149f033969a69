use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

#[cfg(test)]
mod tests;

/// How long a sink may acknowledge nothing before messages stop waiting for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a message waits in any case: one write may hang at a sink that is otherwise well.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps a stuck sink from taking every worker.
///
/// A worker that waits for a sink cannot read files that need no sink at all. So once a sink has
/// acknowledged nothing for a minute, only the message that has waited longest goes on waiting:
/// the others are given back to the queue, and so is whatever comes next for this sink, after a few
/// seconds each, until something has got through.
#[derive(Debug, Default)]
pub(crate) struct Patience(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// Since when each waiter has been waiting, by its number; the lowest number waits longest.
    since: BTreeMap<u64, Instant>,
    next: u64,
    renewed: Option<Instant>,
}

impl Patience {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sink has acknowledged something.
    pub(crate) fn renew(&self) {
        self.waiting().renewed = Some(Instant::now());
    }

    /// Comes back when this message should wait no longer; race it against the write.
    pub(crate) async fn run_out(&self) {
        let place = self.enter();
        loop {
            let (until, is_first) = {
                let waiting = self.waiting();
                let first = waiting.since.first_key_value();
                let (number, since) =
                    first.map_or((place.number, Instant::now()), |(n, s)| (*n, *s));
                let until = since.max(waiting.renewed.unwrap_or(since)) + PATIENCE;
                (until.max(place.entered + GRACE), number == place.number)
            };
            if Instant::now() < until {
                sleep_until(until).await;
            } else if is_first {
                sleep_until(Instant::now() + PATIENCE).await;
            } else {
                return;
            }
        }
    }

    fn enter(&self) -> Place<'_> {
        let mut waiting = self.waiting();
        let (number, entered) = (waiting.next, Instant::now());
        waiting.next += 1;
        waiting.since.insert(number, entered);
        Place { patience: self, number, entered }
    }
}

/// A place in the line, given up when it is dropped.
struct Place<'a> {
    patience: &'a Patience,
    number: u64,
    entered: Instant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.patience.waiting().since.remove(&self.number);
    }
}
