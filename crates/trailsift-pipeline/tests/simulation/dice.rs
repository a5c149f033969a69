//! The randomness of a world: everything that is left to chance comes from its seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;

/// One stream of chance, shared by all parts of a world. Clones draw from the same stream.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Arc<Mutex<Rng>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Rng::with_seed(seed))))
    }

    fn rng(&self) -> MutexGuard<'_, Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&self, limit: usize) -> usize {
        self.rng().usize(..limit)
    }

    pub(crate) fn among<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn one_in(&self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Whether something happens that happens so often in a hundred times.
    pub(crate) fn percent(&self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// From nothing to `longest`, in whole milliseconds.
    pub(crate) fn up_to(&self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).expect("a short time");
        Duration::from_millis(self.rng().u64(..=millis))
    }
}
