//! One write as many calls: services take few events at once, a batch has hundreds.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use trailsift_aws::Session;
use trailsift_core::{Disposition, Entry, Failure, Reason, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

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
/// Calls of one write that may be refused one after the other, with no event accepted between them: a
/// service that refuses whatever it is sent is not asked about each event with every attempt.
const MOST_REFUSED: usize = 96;
/// From so many on any one event is sent next, and not the next call in order.
const REFUSED_IN_ORDER: usize = 64;
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
    /// The same, and what it refuses is refused for what the event itself shows, such as its time.
    ForCertain(Vec<(usize, Result<(), SinkError>)>),
    /// The call as a whole failed.
    Failed(Verdict),
}

/// What became of the entries of a batch so far. Each is unacknowledged until an answer says otherwise.
#[derive(Debug)]
pub(crate) struct Settled {
    entries: Vec<Option<SinkError>>,
    /// Those that are poison by the service's word alone.
    refused: BTreeSet<usize>,
    started: Instant,
    longest_call: Duration,
}

impl Settled {
    pub(crate) fn undecided(entries: usize) -> Self {
        let entries = (0..entries).map(|_| Some(unmentioned())).collect();
        let refused = BTreeSet::new();
        Self { entries, refused, started: Instant::now(), longest_call: CALL_TIMEOUT }
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
        let mut refused_in_a_row = 0;
        loop {
            while running.len() < at_once
                && self.started.elapsed() < BEGIN_WITHIN
                && refused_in_a_row < MOST_REFUSED
                && let Some(part) = next_of(&mut parts, refused_in_a_row)
            {
                let answer = tokio::time::timeout(self.longest_call, call(part.clone()));
                running.push(async move { (part, answer.await) });
            }
            let Some((part, answer)) = running.next().await else { break };
            let unanswered = |_| Answer::Failed(Verdict::Later(unanswered(self.longest_call)));
            match answer.unwrap_or_else(unanswered) {
                Answer::Of(results) => {
                    if self.believe(part, results, false) {
                        refused_in_a_row = 0;
                    }
                }
                Answer::ForCertain(results) => {
                    self.believe(part, results, true);
                    refused_in_a_row = 0;
                }
                Answer::Failed(Verdict::Later(error)) => self.fail(&part, &error),
                Answer::Failed(Verdict::Refused(reason, text)) => {
                    refused_in_a_row += 1;
                    self.narrow_down(part, reason, text, &mut parts);
                }
            }
        }
        let late = SinkError::retry(match refused_in_a_row < MOST_REFUSED {
            true => "no time was left to begin the call",
            false => "the service refuses one call after the other: the rest was not sent",
        });
        for part in parts {
            self.fail(&part, &late);
        }
    }

    /// Notes what an answer says of the entries of its call; whether it accepts any.
    fn believe(
        &mut self,
        part: Vec<usize>,
        results: Vec<(usize, Result<(), SinkError>)>,
        for_certain: bool,
    ) -> bool {
        // Nothing is believed about entries that were not in the call.
        let sent: HashSet<usize> = part.into_iter().collect();
        let mut accepted = false;
        for (place, result) in results {
            if !sent.contains(&place) {
                continue;
            }
            accepted |= result.is_ok();
            let is_poison = matches!(&result, Err(error) if is_poison(error));
            match is_poison && !for_certain {
                true => self.refused.insert(place),
                false => self.refused.remove(&place),
            };
            self.settle(place, result);
        }
        accepted
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
            self.refused.insert(place);
            self.settle(place, Err(SinkError::poison(reason, text)));
        }
    }

    /// Takes back what the service refused where it is the service that is to blame: those events are
    /// to be sent again. What was found out without it, such as a size, stays the event's own fault.
    pub(crate) fn blaming(mut self, blame: &Blame) -> Self {
        let accepted = self.entries.iter().any(Option::is_none);
        let to_blame = blame.divide(accepted, self.refused.len());
        if !accepted && let Some(trouble) = blame.trouble() {
            for place in std::mem::take(&mut self.refused).into_iter().skip(to_blame) {
                self.settle(place, Err(SinkError::retry(trouble.clone())));
            }
        }
        self
    }

    /// The outcome, once nothing more comes.
    pub(crate) fn outcome(self) -> WriteOutcome {
        let failed = |(index, error): (usize, Option<SinkError>)| {
            error.map(|error| Failure { index, error })
        };
        WriteOutcome { failures: self.entries.into_iter().enumerate().filter_map(failed).collect() }
    }
}

/// The next call to make: in order, but where one after the other is refused any one event. One that the
/// service would take may stand behind many that it does not, and would stand there again at each attempt.
fn next_of(parts: &mut VecDeque<Vec<usize>>, refused_in_a_row: usize) -> Option<Vec<usize>> {
    if refused_in_a_row < REFUSED_IN_ORDER || parts.is_empty() {
        return parts.pop_front();
    }
    let chosen = fastrand::usize(..parts.len());
    let part = parts.get_mut(chosen)?;
    if part.len() > 1 {
        return Some(vec![part.remove(fastrand::usize(..part.len()))]);
    }
    parts.remove(chosen)
}

fn is_poison(error: &SinkError) -> bool {
    matches!(error.disposition, Disposition::Poison { .. })
}

fn unanswered(within: Duration) -> SinkError {
    SinkError::retry(format!("the service gave no answer within {within:?}"))
}

#[cfg(test)]
mod tests;
