use std::fmt::Debug;
use std::time::SystemTime;

/// The time of day, for what is written down and shown: quarantine lines, lags.
///
/// Deadlines and leases never use it: they count on [`tokio::time::Instant`], which is monotonic
/// and which tests can pause.
pub trait Clock: Debug + Send + Sync {
    /// Now, as the world outside would say it. May jump in either direction.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}
