//! The CPU time of this thread, as criterion's measure.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use rustix::time::{ClockId, clock_gettime};

/// Time that this thread spent on a core.
pub(crate) struct CpuTime;

/// It words nanoseconds, whoever counted them.
static FORMATTER: WallTime = WallTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now() - start
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        FORMATTER.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        FORMATTER.formatter()
    }
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The time that each of the two took in so many rounds, in which they take turns: what slows the
/// machine down for a while slows both.
pub(crate) fn in_turn(
    rounds: u64,
    mut one: impl FnMut(),
    mut other: impl FnMut(),
) -> (Duration, Duration) {
    let (mut ones, mut others) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..rounds {
        let start = now();
        one();
        let middle = now();
        other();
        ones += middle - start;
        others += now() - middle;
    }
    (ones, others)
}
