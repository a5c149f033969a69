//! Finds the events of a refused batch that are to blame, and delivers the others.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use trailsift_core::{Batch, Disposition, Entry, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, answer, replicate};

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
    /// Refused, and this one of the events is said to be why. It is sent alone before it is believed:
    /// a service may count otherwise.
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
    loop {
        let next = match !accepted && requests >= MAX_REQUESTS / 2 {
            true => take_any(&mut parts),
            false => parts.pop(),
        };
        let Some(part) = next else { break };
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
            // Whatever number it is called by: nobody else can be meant.
            Answer::Refused(error) | Answer::RefusedFor(_, error) if part.len() == 1 => {
                refused.push(part.start);
                settled[part.start] = Some(error);
            }
            Answer::RefusedFor(place, _) if place < part.len() => {
                let index = part.start + place;
                push(&mut parts, index + 1..part.end);
                push(&mut parts, part.start..index);
                push(&mut parts, index..index + 1);
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

/// Any one of the events. Halving goes on where it was refused, and what the service would take may stand
/// behind all that: there it would stand again at each attempt.
fn take_any(parts: &mut Vec<Range<usize>>) -> Option<Range<usize>> {
    let count: usize = parts.iter().map(Range::len).sum();
    let mut place = (count > 0).then(|| fastrand::usize(..count))?;
    let found = parts.iter().position(|part| {
        let is_here = place < part.len();
        place -= if is_here { 0 } else { part.len() };
        is_here
    })?;
    let part = parts.remove(found);
    let index = part.start + place;
    let others = [index + 1..part.end, part.start..index];
    parts.splice(found..found, others.into_iter().filter(|others| !others.is_empty()));
    Some(index..index + 1)
}

fn set(settled: &mut [Option<SinkError>], part: Range<usize>, error: SinkError) {
    for (slot, error) in settled[part.clone()].iter_mut().zip(replicate(error, part.len())) {
        *slot = Some(error);
    }
}

fn is_poison(result: &Option<SinkError>) -> bool {
    matches!(result, Some(SinkError { disposition: Disposition::Poison { .. }, .. }))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use trailsift_core::Reason;
    use trailsift_testkit::conformance::batch;

    use super::*;

    /// Refuses what holds `bad`, and calls the first of them by its number, counted from `first`.
    struct Counts {
        first: usize,
        requests: Mutex<usize>,
    }

    #[async_trait]
    impl Post for Counts {
        async fn post(&self, entries: &[Entry]) -> Answer {
            *self.requests.lock().unwrap() += 1;
            let is_bad = |entry: &Entry| entry.data.as_ref() == b"\"bad\"";
            match entries.iter().position(is_bad) {
                None => Answer::Taken,
                Some(at) => Answer::RefusedFor(
                    self.first + at,
                    SinkError::poison(Reason::SinkRejected, "refused"),
                ),
            }
        }
    }

    #[tokio::test]
    async fn only_an_event_that_is_refused_alone_is_to_blame_however_the_service_counts() {
        let poison = Disposition::Poison { reason: Reason::SinkRejected };
        for first in [0, 1, 2, 1000] {
            let service = Counts { first, requests: Mutex::new(0) };
            let events = batch(["1", "\"bad\"", "3", "4", "\"bad\"", "6", "7"]);
            let blame = Blame::new("it");
            let outcome = narrow(&service, &events, Duration::from_secs(60), &blame).await;
            let failures = outcome.expect("an outcome").failures;
            let found: Vec<_> =
                failures.iter().map(|it| (it.index, it.error.disposition)).collect();
            assert_eq!(found, [(1, poison), (4, poison)], "counted from {first}");
            assert!(*service.requests.lock().unwrap() < 20, "counted from {first}");
        }
    }

    #[tokio::test]
    async fn an_event_that_is_refused_alone_by_a_number_that_it_does_not_have_is_not_asked_for_again()
     {
        let service = Counts { first: 1, requests: Mutex::new(0) };
        let outcome = narrow(&service, &batch(["\"bad\""]), Duration::MAX, &Blame::new("it")).await;
        let failures = outcome.expect("an outcome").failures;
        assert!(
            matches!(failures[0].error.disposition, Disposition::Poison { .. }),
            "{failures:?}"
        );
        assert_eq!(*service.requests.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn good_events_arrive_however_many_bad_ones_stand_before_them() {
        /// Refuses what holds `bad`, and does not say which.
        struct Refuses;
        #[async_trait]
        impl Post for Refuses {
            async fn post(&self, entries: &[Entry]) -> Answer {
                match entries.iter().any(|entry| entry.data.as_ref() == b"\"bad\"") {
                    true => Answer::Refused(SinkError::poison(Reason::SinkRejected, "refused")),
                    false => Answer::Taken,
                }
            }
        }
        let blame = Blame::new("it");
        let mut left = batch(vec!["\"bad\""; 400].into_iter().chain(vec!["1"; 100]));
        let mut parked = 0;
        // As they are written again, those that are left.
        for _ in 0..200 {
            let outcome = narrow(&Refuses, &left, Duration::MAX, &blame).await;
            let failures = outcome.expect("an outcome").failures;
            let is_poison = |it: &&trailsift_core::Failure| {
                matches!(it.error.disposition, Disposition::Poison { .. })
            };
            parked += failures.iter().filter(is_poison).count();
            let again = failures.iter().filter(|it| !is_poison(it));
            left.entries = again.map(|it| left.entries[it.index].clone()).collect();
            if left.entries.iter().all(|entry| entry.data.as_ref() != b"1") {
                break;
            }
        }
        assert!(left.entries.iter().all(|entry| entry.data.as_ref() != b"1"));
        assert!(parked > 10, "the service takes others: {parked}");
    }
}
