use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use trailsift_core::{SinkError, chain};

use super::retryable;

/// Attempts may fail for this long before it is more than a passing fault.
const PASSING: Duration = Duration::from_secs(10);
/// Without an attempt for this long nothing is known any more: the last failure says little, and
/// where nothing is left to write nothing would ever take it back.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// How the attempts at a sink have fared lately: whether it is in a bad spell.
#[derive(Debug, Default)]
pub(super) struct Spell {
    lately: Mutex<Lately>,
    /// Wakes those who wait for a turn when a spell begins or ends.
    noted: Notify,
}

#[derive(Debug, Default)]
struct Lately {
    bad: Option<Bad>,
    /// What who asked last was told: that there is trouble.
    told: bool,
}

#[derive(Debug)]
struct Bad {
    since: Instant,
    last: Instant,
    error: String,
}

impl Spell {
    fn lately(&self) -> MutexGuard<'_, Lately> {
        // Each change under the lock is a single assignment, so a panic leaves no half of one.
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one attempt. One acknowledged event ends the bad spell; refused ones say nothing.
    pub(super) fn note(&self, settled: &[Option<SinkError>]) {
        let mut lately = self.lately();
        let begun = |lately: &Lately| lately.bad.as_ref().map(|bad| bad.since);
        let before = begun(&lately);
        if settled.iter().any(Option::is_none) {
            lately.bad = None;
        } else if let Some(Some(error)) = settled.iter().find(|it| retryable(it)) {
            let now = Instant::now();
            let since = match &lately.bad {
                Some(bad) if now.duration_since(bad.last) < FORGOTTEN => bad.since,
                _ => now,
            };
            lately.bad = Some(Bad { since, last: now, error: chain(error) });
        }
        let has_turned = begun(&lately) != before;
        drop(lately);
        if has_turned {
            self.noted.notify_waiters();
        }
    }

    /// What is wrong, if it has been for a while.
    pub(super) fn trouble(&self) -> Option<String> {
        let mut lately = self.lately();
        let trouble = lately.bad.as_ref().filter(|bad| bad.last.elapsed() < FORGOTTEN);
        let trouble = trouble.and_then(|bad| {
            let lasted = bad.since.elapsed();
            (lasted >= PASSING).then(|| {
                format!("nothing was acknowledged for {} s: {}", lasted.as_secs(), bad.error)
            })
        });
        lately.told = trouble.is_some();
        trouble
    }

    /// Returns when [`Spell::trouble`] has begun or ended since it was asked, but for trouble that is
    /// forgotten: time enough for that.
    pub(super) async fn turned(&self) {
        loop {
            // Before the look, so that no turn between the look and the wait is missed.
            let noted = self.noted.notified();
            let due = {
                let lately = self.lately();
                match (&lately.bad, lately.told) {
                    (None, true) => return,
                    (Some(bad), false) if bad.last.elapsed() < FORGOTTEN => {
                        Some(bad.since + PASSING)
                    }
                    _ => None,
                }
            };
            // Cancel safety: nothing is taken from anywhere.
            match due {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::select! {
                    () = noted => {}
                    () = sleep_until(due) => {}
                },
                None => noted.await,
            }
        }
    }
}
