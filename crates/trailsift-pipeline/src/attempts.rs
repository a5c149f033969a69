use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// How many failures are remembered at most.
const CAPACITY: usize = 100_000;

/// Counts how often something failed through its own fault.
///
/// The queue's receive count cannot say this: sink outages, crashes, drains and lost leases raise
/// it too, and none of them makes good data poison. The memory is this process's alone; forgetting
/// (a restart, or more than 100,000 failing things at once) only means more attempts.
#[derive(Debug)]
pub(crate) struct Attempts<K>(Mutex<HashMap<K, u32>>);

impl<K> Default for Attempts<K> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Eq + Hash + Clone> Attempts<K> {
    /// Notes one more failure and returns how many there are now.
    pub(crate) fn failed(&self, key: &K) -> u32 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(key) {
            *count = count.saturating_add(1);
            return *count;
        }
        if counts.len() >= CAPACITY {
            let any = counts.keys().next().cloned();
            any.map(|key| counts.remove(&key));
        }
        counts.insert(key.clone(), 1);
        1
    }

    /// Forgets the failures of what is settled.
    pub(crate) fn settled(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_until_settled() {
        let attempts = Attempts::default();
        assert_eq!(
            (attempts.failed(&"a"), attempts.failed(&"a"), attempts.failed(&"b")),
            (1, 2, 1)
        );
        attempts.settled(&"a");
        assert_eq!((attempts.failed(&"a"), attempts.failed(&"b")), (1, 2));
    }

    #[test]
    fn memory_is_bounded() {
        let attempts = Attempts::default();
        for key in 0..=CAPACITY {
            attempts.failed(&key);
        }
        assert_eq!(attempts.0.lock().expect("not poisoned").len(), CAPACITY);
    }
}
