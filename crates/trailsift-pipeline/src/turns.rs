use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Gate, OwnedMutexGuard};
use tokio::time::timeout;

/// How long the work for one message waits for another message's work on the same object.
const PATIENCE: Duration = Duration::from_secs(5);

/// The handles of a gate that has a holder and one who waits: theirs, and the map's.
const WITH_ONE_WAITING: usize = 3;

/// Lets one message at a time work on an object, so that the second of two notifications finds it
/// done. One message waits, and not long; others are turned away at once: an object that is stuck
/// must not hold the workers of all who name it.
#[derive(Debug)]
pub(crate) struct Turns<K: Eq + Hash>(Arc<Mutex<Gates<K>>>);

type Gates<K> = HashMap<K, Arc<Gate<()>>>;

impl<K: Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Turns<K> {
    /// The right to work on `key` until it is dropped; `None` if somebody else has it for long, or
    /// waits for it already.
    pub(crate) async fn take(&self, key: &K) -> Option<Turn<K>> {
        let gate = {
            let mut gates = lock(&self.0);
            let gate = gates.entry(key.clone()).or_default();
            if Arc::strong_count(gate) >= WITH_ONE_WAITING {
                return None;
            }
            Arc::clone(gate)
        };
        let mut turn = Turn { held: None, key: key.clone(), turns: Arc::clone(&self.0) };
        turn.held = timeout(PATIENCE, gate.lock_owned()).await.ok();
        turn.held.is_some().then_some(turn)
    }
}

/// A turn, or the wait for one.
#[derive(Debug)]
pub(crate) struct Turn<K: Eq + Hash> {
    held: Option<OwnedMutexGuard<()>>,
    key: K,
    turns: Arc<Mutex<Gates<K>>>,
}

impl<K: Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut gates = lock(&self.turns);
        self.held = None;
        // The map's own handle is the last one: nobody works on it or waits for it any more.
        if gates.get(&self.key).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.key);
        }
    }
}

fn lock<K: Eq + Hash>(gates: &Mutex<Gates<K>>) -> MutexGuard<'_, Gates<K>> {
    gates.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_second_has_its_turn_when_the_first_is_done() {
        let turns = Turns::default();
        let first = turns.take(&"a").await.expect("free");
        let mut second = std::pin::pin!(turns.take(&"a"));
        assert!(poll!(&mut second).is_pending());
        assert!(turns.take(&"b").await.is_some(), "another object is nobody else's");
        drop(first);
        assert!(second.await.is_some());
        assert!(lock(&turns.0).is_empty(), "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long() {
        let turns = Turns::default();
        let _first = turns.take(&"a").await.expect("free");
        let asked = Instant::now();
        assert!(turns.take(&"a").await.is_none());
        assert_eq!(asked.elapsed(), PATIENCE);
        drop(_first);
        assert!(lock(&turns.0).is_empty(), "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn only_one_waits() {
        let turns = Turns::default();
        let first = turns.take(&"a").await.expect("free");
        let mut second = std::pin::pin!(turns.take(&"a"));
        assert!(poll!(&mut second).is_pending());
        let asked = Instant::now();
        assert!(turns.take(&"a").await.is_none());
        assert_eq!(asked.elapsed(), Duration::ZERO);
        drop(first);
        assert!(second.await.is_some());
        assert!(lock(&turns.0).is_empty(), "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let turns = Turns::default();
        let first = turns.take(&"a").await.expect("free");
        {
            let mut second = std::pin::pin!(turns.take(&"a"));
            assert!(poll!(&mut second).is_pending());
        }
        drop(first);
        assert!(lock(&turns.0).is_empty());
        assert!(turns.take(&"a").await.is_some());
    }
}
