use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many failing things are remembered at most.
const CAPACITY: usize = 100_000;

/// Counts how often something failed through its own fault.
///
/// The queue's receive count cannot say this: sink outages, crashes, drains and lost leases raise
/// it too, and none of them makes good data poison. The memory is this process's alone; forgetting
/// (a restart, or more than 100,000 failing things at once) only means more attempts.
///
/// Each failure asks for a wait. What is tried again before that, because another object of its
/// message was in more of a hurry, has not failed once more.
#[derive(Debug)]
pub(crate) struct Attempts<K>(Mutex<HashMap<K, Failures>>);

#[derive(Debug)]
struct Failures {
    count: u32,
    /// Until when nothing more is counted.
    wait_until: Instant,
}

impl<K> Default for Attempts<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Clone> Attempts<K> {
    /// Notes one more failure, unless the last one's wait is not over. Returns how many there are
    /// now, and for how long to leave it alone: after the n-th for `wait(n)`.
    pub(crate) fn failed(&self, key: &K, wait: impl FnOnce(u32) -> Duration) -> (u32, Duration) {
        let now = Instant::now();
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !failing.contains_key(key) && failing.len() >= CAPACITY {
            let any = failing.keys().next().cloned();
            any.map(|key| failing.remove(&key));
        }
        let unknown = Failures { count: 0, wait_until: now };
        let failures = failing.entry(key.clone()).or_insert(unknown);
        if now >= failures.wait_until {
            failures.count = failures.count.saturating_add(1);
            failures.wait_until = now + wait(failures.count);
        }
        (failures.count, failures.wait_until - now)
    }

    /// Forgets the failures of what is settled.
    pub(crate) fn settled(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at_once(_: u32) -> Duration {
        Duration::ZERO
    }

    #[test]
    fn failures_are_counted_until_settled() {
        let attempts = Attempts::default();
        let failed = |key| attempts.failed(&key, at_once).0;
        assert_eq!((failed("a"), failed("a"), failed("b")), (1, 2, 1));
        attempts.settled(&"a");
        assert_eq!((failed("a"), failed("b")), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_before_its_wait_is_over_has_not_failed_once_more() {
        let attempts = Attempts::default();
        let failed = || attempts.failed(&"a", |count| count * MINUTE);
        assert_eq!(failed(), (1, MINUTE));
        tokio::time::advance(MINUTE / 4).await;
        assert_eq!(failed(), (1, MINUTE * 3 / 4));
        tokio::time::advance(MINUTE * 3 / 4).await;
        assert_eq!(failed(), (2, 2 * MINUTE));
        tokio::time::advance(2 * MINUTE - MINUTE / 60).await;
        assert_eq!(failed(), (2, MINUTE / 60));
        tokio::time::advance(3 * MINUTE).await;
        assert_eq!(failed(), (3, 3 * MINUTE));
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for key in 0..=CAPACITY {
            attempts.failed(&key, at_once);
        }
        assert_eq!(attempts.0.lock().expect("not poisoned").len(), CAPACITY);
    }
}
