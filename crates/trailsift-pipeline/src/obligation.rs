use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what one object owes: an obligation per selected record and required sink, and one per
/// record to be parked.
///
/// Fails closed: an obligation that is dropped unsettled (a panic, a cancelled task, an early
/// return, a forgotten branch) stays owed for ever, and the message stays with it.
#[derive(Debug, Default)]
pub(crate) struct Obligations(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    incurred: AtomicU64,
    settled: AtomicU64,
}

impl Obligations {
    /// One more thing is owed.
    pub(crate) fn incur(&self) -> Obligation {
        self.0.incurred.fetch_add(1, Ordering::Relaxed);
        Obligation(Arc::clone(&self.0))
    }

    /// Whether everything that was owed is settled.
    pub(crate) fn all_settled(&self) -> bool {
        // Settled first: a racing `incur` can then only make the answer "no".
        let settled = self.0.settled.load(Ordering::Acquire);
        settled == self.0.incurred.load(Ordering::Acquire)
    }
}

/// Something that must happen before the message may be deleted.
#[must_use = "dropping an obligation unsettled keeps its message for ever"]
#[derive(Debug)]
pub(crate) struct Obligation(Arc<Counts>);

impl Obligation {
    /// It happened: the sink acknowledged the record, or the quarantine has it durably.
    pub(crate) fn settle(self) {
        self.0.settled.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_obligation_dropped_by_a_panic_stays_owed() {
        let owed = Obligations::default();
        let obligation = owed.incur();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = &obligation;
            panic!("as a sink might");
        }))
        .expect_err("it panicked");
        drop(obligation);
        assert!(!owed.all_settled());
    }

    proptest! {
        #[test]
        fn settled_exactly_when_every_obligation_is(settle in prop::collection::vec(any::<bool>(), 0..40)) {
            let owed = Obligations::default();
            let obligations: Vec<_> = settle.iter().map(|_| owed.incur()).collect();
            for (obligation, settle) in obligations.into_iter().zip(&settle) {
                if *settle {
                    obligation.settle();
                }
            }
            prop_assert_eq!(owed.all_settled(), settle.iter().all(|settle| *settle));
        }
    }
}
