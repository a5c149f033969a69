use std::sync::atomic::{AtomicUsize, Ordering};

use trailsift_core::SinkError;

/// After so many events that were refused one by one, with none accepted between them, it is not
/// the events that are wrong.
const REFUSED_IN_A_ROW: usize = 10;

/// Whom to blame for a refusal: the event, or the service that refuses it.
///
/// A service that refuses whatever it is sent (another body than it takes, a schema that was changed, a
/// queue with a limit of its own, a gateway in between) would have the whole stream parked, event by
/// event, and look well all the time. So an event is to blame only as long as the service accepts others:
/// after ten that were refused by themselves with none accepted between them, nothing is poison, and
/// [`Blame::check`] says so, until one is accepted.
#[derive(Debug)]
pub struct Blame {
    refused_in_a_row: AtomicUsize,
    /// What to look at when it is the service.
    remedy: &'static str,
}

impl Blame {
    /// Nothing was refused yet. The remedy follows "check".
    pub const fn new(remedy: &'static str) -> Self {
        Self { refused_in_a_row: AtomicUsize::new(0), remedy }
    }

    /// Notes what one write has found: whether anything was accepted, and how many events were
    /// refused by themselves. Returns how many of these are to blame; the others may be good.
    pub fn divide(&self, accepted: bool, refused: usize) -> usize {
        if accepted {
            self.refused_in_a_row.store(0, Ordering::Relaxed);
            return refused;
        }
        let before = self.refused_in_a_row.fetch_add(refused, Ordering::Relaxed);
        REFUSED_IN_A_ROW.saturating_sub(before).min(refused)
    }

    /// A sink's answer to [`Sink::check`](trailsift_core::Sink::check), once the service itself is well.
    ///
    /// # Errors
    /// If the service is to blame.
    pub fn check(&self) -> Result<(), SinkError> {
        self.trouble().map_or(Ok(()), |trouble| Err(SinkError::retry(trouble)))
    }

    /// What is wrong with the service, if it is to blame.
    pub fn trouble(&self) -> Option<String> {
        let refused = self.refused_in_a_row.load(Ordering::Relaxed);
        (refused >= REFUSED_IN_A_ROW).then(|| {
            format!(
                "the service has refused {refused} events one after the other and accepted none: \
                 check {}; nothing is given up until it accepts an event",
                self.remedy
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_refusals_in_a_row_nothing_is_the_events_fault_until_one_is_accepted() {
        let blame = Blame::new("its body");
        assert_eq!(blame.divide(false, 9), 9);
        assert_eq!((blame.divide(true, 30), blame.trouble()), (30, None), "others were accepted");
        assert_eq!((blame.divide(false, 6), blame.trouble()), (6, None));
        assert_eq!(blame.divide(false, 6), 4);
        let trouble = blame.trouble().expect("it refuses everything");
        assert!(trouble.contains("refused 12 events"), "{trouble}");
        assert_eq!((blame.divide(false, 0), blame.divide(false, 50)), (0, 0));
        assert_eq!((blame.divide(true, 0), blame.trouble()), (0, None));
        assert_eq!(blame.divide(false, 1), 1);
    }
}
