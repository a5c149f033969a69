//! One write as many calls: services take few events at once, a batch has hundreds.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use trailsift_aws::Session;
use trailsift_core::{Entry, Failure, Reason, SinkError, WriteOutcome};

use crate::answer::{Verdict, same, unmentioned};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call may take, connection and answer included, and what a sink must ask to make it. 1 MiB
/// takes a second on a slow line; a service that is well answers in milliseconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after its start a write still begins calls: with a service that answers nothing, the rest
/// of a batch is given back instead of tried call by call.
pub(crate) const BEGIN_WITHIN: Duration = Duration::from_secs(15);
/// The longest that one write takes.
pub const LONGEST_WRITE: Duration = CALL_TIMEOUT.saturating_add(BEGIN_WITHIN);
/// Calls of one write that are on their way at the same time.
pub(crate) const AT_ONCE: usize = 8;

/// What the clients of sinks are made from: each call is tried once, for trying again is the business of
/// whoever calls the sink, and two layers that retry multiply.
pub(crate) fn once(session: &Session) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(CALL_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let config = session.config().to_builder();
    config.timeout_config(timeouts).retry_config(RetryConfig::disabled()).build()
}

/// Divides entries into calls, in their order: at most so many in one, and of at most so many bytes
/// together. What is larger alone goes alone.
pub(crate) fn pack(
    sizes: impl IntoIterator<Item = (usize, usize)>,
    most: usize,
    most_bytes: usize,
) -> VecDeque<Vec<usize>> {
    let mut parts = VecDeque::new();
    let (mut part, mut bytes) = (Vec::new(), 0_usize);
    for (place, size) in sizes {
        let fits = part.len() < most && bytes.saturating_add(size) <= most_bytes;
        if !fits && !part.is_empty() {
            parts.push_back(std::mem::take(&mut part));
            bytes = 0;
        }
        part.push(place);
        bytes = bytes.saturating_add(size);
    }
    if !part.is_empty() {
        parts.push_back(part);
    }
    parts
}

/// What became of the entries of one call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The service speaks of these entries, by their places in the batch. Others of the call are not
    /// acknowledged.
    Of(Vec<(usize, Result<(), SinkError>)>),
    /// The call as a whole failed.
    Failed(Verdict),
}

/// What became of the entries of a batch so far. Each is unacknowledged until an answer says otherwise.
#[derive(Debug)]
pub(crate) struct Settled {
    entries: Vec<Option<SinkError>>,
    started: Instant,
    longest_call: Duration,
}

impl Settled {
    pub(crate) fn undecided(entries: usize) -> Self {
        let entries = (0..entries).map(|_| Some(unmentioned())).collect();
        Self { entries, started: Instant::now(), longest_call: CALL_TIMEOUT }
    }

    /// The same for calls that are several requests each and end by themselves within another time.
    pub(crate) fn with_longest_call(self, longest_call: Duration) -> Self {
        Self { longest_call, ..self }
    }

    /// What each entry becomes at the service, by its place; what cannot become anything is settled
    /// with the reason.
    pub(crate) fn prepare<'e, T>(
        &mut self,
        entries: &'e [Entry],
        prepare: impl Fn(&'e Entry) -> Result<T, SinkError>,
    ) -> Vec<Option<T>> {
        let mut prepared = Vec::with_capacity(entries.len());
        for (place, entry) in entries.iter().enumerate() {
            prepared.push(match prepare(entry) {
                Ok(ready) => Some(ready),
                Err(error) => {
                    self.settle(place, Err(error));
                    None
                }
            });
        }
        prepared
    }

    pub(crate) fn settle(&mut self, place: usize, result: Result<(), SinkError>) {
        if let Some(slot) = self.entries.get_mut(place) {
            *slot = result.err();
        }
    }

    fn fail(&mut self, places: &[usize], error: &SinkError) {
        for place in places {
            self.settle(*place, Err(same(error)));
        }
    }

    /// Makes these calls, some of them at the same time, until it is too late to begin one. A call that is refused because of what is in
    /// it is halved, until the events are found that are refused alone.
    ///
    /// Dropping the future breaks off the calls on their way; what they did is unknown.
    pub(crate) async fn deliver<F, C>(
        &mut self,
        mut parts: VecDeque<Vec<usize>>,
        at_once: usize,
        call: F,
    ) where
        F: Fn(Vec<usize>) -> C,
        C: Future<Output = Answer>,
    {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < at_once
                && self.started.elapsed() < BEGIN_WITHIN
                && let Some(part) = parts.pop_front()
            {
                let answer = tokio::time::timeout(self.longest_call, call(part.clone()));
                running.push(async move { (part, answer.await) });
            }
            let Some((part, answer)) = running.next().await else { break };
            let unanswered = |_| Answer::Failed(Verdict::Later(unanswered(self.longest_call)));
            match answer.unwrap_or_else(unanswered) {
                Answer::Of(results) => {
                    // Nothing is believed about entries that were not in the call.
                    let sent: HashSet<usize> = part.into_iter().collect();
                    for (place, result) in results {
                        if sent.contains(&place) {
                            self.settle(place, result);
                        }
                    }
                }
                Answer::Failed(Verdict::Later(error)) => self.fail(&part, &error),
                Answer::Failed(Verdict::Refused(reason, text)) => {
                    self.narrow_down(part, reason, text, &mut parts);
                }
            }
        }
        let late = SinkError::retry("no time was left to begin the call");
        for part in parts {
            self.fail(&part, &late);
        }
    }

    fn narrow_down(
        &mut self,
        mut part: Vec<usize>,
        reason: Reason,
        text: String,
        parts: &mut VecDeque<Vec<usize>>,
    ) {
        if part.len() > 1 {
            let rest = part.split_off(part.len() / 2);
            parts.push_front(rest);
            parts.push_front(part);
        } else if let [place] = *part {
            self.settle(place, Err(SinkError::poison(reason, text)));
        }
    }

    /// The outcome, once nothing more comes.
    pub(crate) fn outcome(self) -> WriteOutcome {
        let failed = |(index, error): (usize, Option<SinkError>)| {
            error.map(|error| Failure { index, error })
        };
        WriteOutcome { failures: self.entries.into_iter().enumerate().filter_map(failed).collect() }
    }
}

fn unanswered(within: Duration) -> SinkError {
    SinkError::retry(format!("the service gave no answer within {within:?}"))
}

#[cfg(test)]
mod tests;
