use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use trailsift_core::{Disposition, SinkError};

/// Attempts may fail for this long before it is more than a passing fault.
const PASSING: Duration = Duration::from_secs(10);
/// Without an attempt for this long nothing is known any more: the last failure says little, and
/// where nothing is left to write nothing would ever take it back.
const FORGOTTEN: Duration = Duration::from_secs(10 * 60);

/// How the attempts at a sink have fared lately: whether it is in a bad spell.
#[derive(Debug, Default)]
pub(super) struct Spell(Mutex<Option<Bad>>);

#[derive(Debug)]
struct Bad {
    since: Instant,
    last: Instant,
    error: String,
}

impl Spell {
    /// Notes one attempt. One acknowledged event ends the bad spell; refused ones say nothing.
    pub(super) fn note(&self, settled: &[Option<SinkError>]) {
        let mut bad = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if settled.iter().any(Option::is_none) {
            *bad = None;
            return;
        }
        let failed = settled
            .iter()
            .flatten()
            .find(|error| matches!(error.disposition, Disposition::Retry { .. }));
        let Some(error) = failed else { return };
        let now = Instant::now();
        let since = match &*bad {
            Some(bad) if now.duration_since(bad.last) < FORGOTTEN => bad.since,
            _ => now,
        };
        *bad = Some(Bad { since, last: now, error: chain(error) });
    }

    /// What is wrong, if it has been for a while.
    pub(super) fn trouble(&self) -> Option<String> {
        let bad = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bad = bad.as_ref().filter(|bad| bad.last.elapsed() < FORGOTTEN)?;
        let lasted = bad.since.elapsed();
        (lasted >= PASSING)
            .then(|| format!("nothing was acknowledged for {} s: {}", lasted.as_secs(), bad.error))
    }
}

fn chain(error: &SinkError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
