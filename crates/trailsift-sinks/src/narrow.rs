//! Finds the events of a refused batch that are to blame, and delivers the others.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use trailsift_core::{Batch, Disposition, Entry, SinkError, WriteOutcome};

use crate::blame::Blame;
use crate::settle::{answer, replicate};

/// Requests that one write makes at most. Finding one bad event among 500 takes 19.
const MAX_REQUESTS: usize = 64;

/// What one request said of its events.
pub(crate) enum Answer {
    /// The service has them all.
    Taken,
    /// What became of each, in their order: `None` is acknowledged. One for each event, or nothing
    /// counts as acknowledged.
    Each(Vec<Option<SinkError>>),
    /// Nothing is acknowledged; it may be later.
    Later(SinkError),
    /// Refused for what is in the request. The error is the event's if it is alone.
    Refused(SinkError),
    /// Refused for the sake of this one of the events, which nobody need look for.
    RefusedFor(usize, SinkError),
}

/// Sends events in one request.
#[async_trait]
pub(crate) trait Post: Sync {
    async fn post(&self, entries: &[Entry]) -> Answer;
}

/// Writes a batch: where the service refuses it for its content, it is halved until the events are
/// found that are refused by themselves, for at most `search_time`; what is undecided then is to be
/// written again.
pub(crate) async fn narrow(
    service: &impl Post,
    batch: &Batch,
    search_time: Duration,
    blame: &Blame,
) -> Result<WriteOutcome, SinkError> {
    let started = Instant::now();
    // Fails closed: undecided until an answer decides it.
    let undecided = SinkError::retry_after(
        Some(Duration::ZERO),
        "not yet decided which events of a refused batch are to blame",
    );
    let count = batch.entries.len();
    let mut settled: Vec<Option<SinkError>> = replicate(undecided, count).map(Some).collect();
    let mut parts: Vec<Range<usize>> = Vec::new();
    let push = |parts: &mut Vec<Range<usize>>, part: Range<usize>| {
        if !part.is_empty() {
            parts.push(part);
        }
    };
    push(&mut parts, 0..count);
    let mut requests = 0;
    // The events that are refused by themselves.
    let mut refused = Vec::new();
    let mut accepted = false;
    while let Some(part) = parts.pop() {
        let spent = requests >= MAX_REQUESTS || started.elapsed() >= search_time;
        if requests > 0 && spent {
            parts.push(part);
            break;
        }
        requests += 1;
        match service.post(&batch.entries[part.clone()]).await {
            Answer::Taken => {
                accepted = true;
                settled[part].fill_with(|| None);
            }
            Answer::Each(results) if results.len() == part.len() => {
                for (index, result) in part.zip(results) {
                    accepted |= result.is_none();
                    if is_poison(&result) {
                        refused.push(index);
                    }
                    settled[index] = result;
                }
            }
            Answer::Each(results) => {
                let text = format!(
                    "the answer is about {} events, {} were sent: none counts as written",
                    results.len(),
                    part.len()
                );
                set(&mut settled, part, SinkError::retry(text));
            }
            Answer::Later(error) => set(&mut settled, part, error),
            Answer::Refused(error) if part.len() == 1 => {
                refused.push(part.start);
                settled[part.start] = Some(error);
            }
            Answer::RefusedFor(place, error) if place < part.len() => {
                let index = part.start + place;
                refused.push(index);
                settled[index] = Some(error);
                push(&mut parts, index + 1..part.end);
                push(&mut parts, part.start..index);
            }
            Answer::Refused(_) | Answer::RefusedFor(..) => {
                let middle = part.start + part.len() / 2;
                push(&mut parts, middle..part.end);
                push(&mut parts, part.start..middle);
            }
        }
    }
    let to_blame = blame.divide(accepted, refused.len());
    if !accepted && let Some(trouble) = blame.trouble() {
        // What was said of these events is taken back: they are to be written again, without haste.
        for index in refused.split_off(to_blame).into_iter().chain(parts.into_iter().flatten()) {
            settled[index] = Some(SinkError::retry(trouble.clone()));
        }
    }
    answer(settled)
}

fn set(settled: &mut [Option<SinkError>], part: Range<usize>, error: SinkError) {
    for (slot, error) in settled[part.clone()].iter_mut().zip(replicate(error, part.len())) {
        *slot = Some(error);
    }
}

fn is_poison(result: &Option<SinkError>) -> bool {
    matches!(result, Some(SinkError { disposition: Disposition::Poison { .. }, .. }))
}
