use std::error::Error;
use std::fmt;
use std::sync::Arc;

use trailsift_core::{Disposition, Failure, SinkError, WriteOutcome};

/// What became of each entry of a write, in the batch's order: `None` is acknowledged.
///
/// Fails closed: a sink that names an entry that was not in the batch has lost count, so nothing of
/// that write counts as acknowledged.
pub(crate) fn settle(
    count: usize,
    result: Result<WriteOutcome, SinkError>,
) -> Vec<Option<SinkError>> {
    let mut settled: Vec<Option<SinkError>> = Vec::new();
    settled.resize_with(count, || None);
    let failed = match result {
        Ok(outcome) => {
            let stray = outcome.failures.iter().map(|failure| failure.index).find(|i| *i >= count);
            let Some(stray) = stray else {
                for failure in outcome.failures {
                    settled[failure.index] = Some(failure.error);
                }
                return settled;
            };
            SinkError::retry(format!(
                "the sink answered for entry {stray} of a batch of {count}: nothing of it counts as written"
            ))
        }
        Err(error) => error,
    };
    for (slot, error) in settled.iter_mut().zip(replicate(failed, count)) {
        *slot = Some(error);
    }
    settled
}

/// The outcome of a write whose entries were settled one by one: it names every entry with an error.
/// Where every entry ended fatally, it is the write as a whole that did.
pub fn answer(mut settled: Vec<Option<SinkError>>) -> Result<WriteOutcome, SinkError> {
    let fatal = |error: &Option<SinkError>| {
        error.as_ref().is_some_and(|error| error.disposition == Disposition::Fatal)
    };
    if settled.iter().all(fatal)
        && let Some(Some(error)) = settled.pop()
    {
        return Err(error);
    }
    let failures = settled
        .into_iter()
        .enumerate()
        .filter_map(|(index, error)| Some(Failure { index, error: error? }))
        .collect();
    Ok(WriteOutcome { failures })
}

/// The same error `count` times, sharing its cause.
pub fn replicate(error: SinkError, count: usize) -> impl Iterator<Item = SinkError> {
    let SinkError { disposition, message, source } = error;
    let source = source.map(|source| SharedCause(source.into()));
    std::iter::repeat_with(move || SinkError {
        disposition,
        message: message.clone(),
        source: source.clone().map(|source| Box::new(source) as _),
    })
    .take(count)
}

/// One cause of many failures. Displays and continues the chain as the cause itself does.
#[derive(Clone, Debug)]
struct SharedCause(Arc<dyn Error + Send + Sync>);

impl fmt::Display for SharedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for SharedCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trailsift_core::Reason;

    #[test]
    fn entries_that_the_outcome_does_not_name_are_acknowledged() {
        let error = SinkError::poison(Reason::SinkRejected, "no");
        let settled = settle(3, Ok(WriteOutcome { failures: vec![Failure { index: 1, error }] }));
        assert!(settled[0].is_none() && settled[2].is_none());
        assert_eq!(answer(settled).expect("an outcome").failures[0].index, 1);
    }

    #[test]
    fn an_outcome_about_an_entry_that_was_never_sent_acknowledges_nothing() {
        let error = SinkError::poison(Reason::SinkRejected, "no");
        let settled = settle(2, Ok(WriteOutcome { failures: vec![Failure { index: 2, error }] }));
        for error in settled {
            assert_eq!(error.expect("not acknowledged").disposition, Disposition::RETRY);
        }
    }

    #[test]
    fn a_write_that_ended_fatally_for_all_is_fatal_as_a_whole() {
        let settled = settle(2, Err(SinkError::fatal("gone")));
        assert_eq!(answer(settled).expect_err("fatal").disposition, Disposition::Fatal);
        assert!(answer(Vec::new()).expect("nothing to do").failures.is_empty());
    }

    #[test]
    fn every_copy_of_an_error_keeps_the_whole_chain() {
        let inner = SinkError::retry("outer").because(std::io::Error::other("disk"));
        let settled = settle(2, Err(inner));
        for error in settled.into_iter().flatten() {
            assert_eq!(error.to_string(), "outer");
            assert_eq!(error.source().expect("a cause").to_string(), "disk");
        }
    }
}
