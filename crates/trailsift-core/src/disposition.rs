use std::time::Duration;

use crate::Reason;

/// What the caller should do about a failure.
///
/// Decided once, where the foreign error is first seen; everyone later only obeys. An error that
/// nobody recognises is `Retry`, for a retry costs time and a wrong `Poison` costs an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It may work later. `after` is the other side's own word (`Retry-After`), where it gave one.
    Retry {
        /// How long the other side asked us to wait.
        after: Option<Duration>,
    },
    /// The same input will fail the same way for ever: quarantine it.
    Poison {
        /// Why, in the words of the quarantine.
        reason: Reason,
    },
    /// Nothing that this process does can mend it; a person must.
    Fatal,
}

impl Disposition {
    /// A retry for which the other side named no delay.
    pub const RETRY: Self = Self::Retry { after: None };
}
