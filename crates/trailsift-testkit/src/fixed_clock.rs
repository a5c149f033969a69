use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use trailsift_core::Clock;

use crate::lock;

/// A time of day that only moves when it is told to.
#[derive(Debug)]
pub struct FixedClock {
    now: Mutex<SystemTime>,
}

impl FixedClock {
    /// A clock that stands at this time.
    pub fn at(now: SystemTime) -> Self {
        Self { now: Mutex::new(now) }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        *lock(&self.now) += by;
    }

    /// Sets the clock, backwards too, as an NTP step would.
    pub fn set(&self, now: SystemTime) {
        *lock(&self.now) = now;
    }
}

impl Default for FixedClock {
    /// 2023-11-14T22:13:20Z, a round number of seconds.
    fn default() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        *lock(&self.now)
    }
}
