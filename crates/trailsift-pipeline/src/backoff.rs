use std::time::Duration;

/// The first delay's upper bound.
const BASE: Duration = Duration::from_secs(2);

/// How long to leave a failed message alone: full jitter, so that messages that failed together do
/// not come back together, below an upper bound that doubles with each attempt up to `cap`.
///
/// `attempt` counts from 1. Never below a second, so that a retry is never a busy loop.
pub(crate) fn full_jitter(attempt: u32, cap: Duration) -> Duration {
    let doubled = BASE.saturating_mul(1u32 << attempt.saturating_sub(1).min(16));
    let bound = doubled.min(cap);
    Duration::from_secs(1).max(bound.mul_f64(fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_never_beyond() {
        let cap = Duration::from_secs(60);
        let worst = |attempt| (0..500).map(|_| full_jitter(attempt, cap)).max().expect("500 draws");
        assert!(worst(1) <= BASE);
        assert!(worst(4) > BASE && worst(4) <= Duration::from_secs(16));
        assert!(worst(40) > Duration::from_secs(16) && worst(40) <= cap);
        assert!(worst(u32::MAX) <= cap);
    }
}
