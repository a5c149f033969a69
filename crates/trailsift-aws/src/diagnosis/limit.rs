use tokio::time::{Instant, timeout_at};
use trailsift_core::{QueueError, StoreError};

use super::Refusal;

/// How long all questions together may take.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limit(Option<Instant>);

/// An error that can say that there is no answer.
pub(super) trait NoAnswer {
    fn no_answer() -> Self;
}

const LATE: &str = "not answered within the time that there was for all questions";

impl NoAnswer for Refusal {
    fn no_answer() -> Self {
        Self::Unavailable(LATE.to_owned())
    }
}

impl NoAnswer for QueueError {
    fn no_answer() -> Self {
        Self::Unavailable(LATE.to_owned())
    }
}

impl NoAnswer for StoreError {
    fn no_answer() -> Self {
        Self::Unavailable(LATE.to_owned())
    }
}

impl Limit {
    pub(super) const fn at(deadline: Instant) -> Self {
        Self(Some(deadline))
    }

    /// The answer, if it comes in time. A question is only read from, so that giving one up in its
    /// middle leaves nothing behind.
    pub(super) fn of<T, E: NoAnswer>(
        self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        // The SDK's futures have kilobytes, and many of them wait side by side.
        let asked = Box::pin(asked);
        async move {
            let Some(deadline) = self.0 else { return asked.await };
            timeout_at(deadline, asked).await.unwrap_or_else(|_| Err(E::no_answer()))
        }
    }
}
