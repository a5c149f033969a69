use std::fmt;

/// A promise of the port that a particular implementation is known not to keep, or that the world
/// behind it cannot put to the test. The checks that need it are then skipped, and the report says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A stale receipt still deletes.
    StaleReceiptDeletes,
    /// A stale receipt still extends or releases.
    StaleReceiptExtends,
    /// A receipt extends after its lease has ended, as long as nobody received the message since.
    EndedLeaseExtends,
    /// The expected owner of a bucket is not looked at.
    ExpectedOwnerIgnored,
    /// The world of a sink cannot lose an answer of which the sink does not hear.
    AnswersAreNeverLost,
    /// The world takes a batch as a whole or not at all.
    NeverTakesInPart,
    /// The world refuses no single event for good.
    NeverRefusesOne,
    /// The world never says that there were too many.
    NeverThrottles,
    /// The sink takes events and batches of any size.
    NoLimit,
}

/// What a suite found.
#[must_use = "a report that nobody looks at lets failures pass: call `assert_passed`"]
#[derive(Debug, Default)]
pub struct Report {
    passed: Vec<&'static str>,
    skipped: Vec<(&'static str, Gap)>,
    failed: Vec<(&'static str, String)>,
}

impl Report {
    pub(super) fn note(&mut self, check: &'static str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed.push(check),
            Err(why) => self.failed.push((check, why)),
        }
    }

    pub(super) fn skip(&mut self, check: &'static str, gap: Gap) {
        self.skipped.push((check, gap));
    }

    /// The checks that passed.
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }

    /// The checks that were left out, and why.
    pub fn skipped(&self) -> &[(&'static str, Gap)] {
        &self.skipped
    }

    /// # Panics
    /// If a check failed; the text names every one that did.
    pub fn assert_passed(&self) {
        assert!(self.failed.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed", self.passed.len())?;
        for (check, gap) in &self.skipped {
            write!(f, "\nskipped {check}: {gap:?}")?;
        }
        for (check, why) in &self.failed {
            write!(f, "\nFAILED {check}: {why}")?;
        }
        Ok(())
    }
}

/// Leaves the check with a text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}
pub(super) use ensure;
