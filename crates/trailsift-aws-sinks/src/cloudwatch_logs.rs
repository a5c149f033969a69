//! Events in a stream of a log group.

use std::collections::VecDeque;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::operation::RequestId as _;
use aws_sdk_cloudwatchlogs::types::{InputLogEvent, RejectedLogEventsInfo};
use time::OffsetDateTime;
use trailsift_aws::{AnswerLimit, Fault, Session};
use trailsift_core::{Batch, Entry, Limits, Reason, Sink, SinkError, WriteOutcome};
use trailsift_delivery::{Blame, facts};
use trailsift_event::Event;

use crate::answer::{Verdict, judge, later};
use crate::calls::{AT_ONCE, Answer, Settled, once, pack};
use crate::message::{fits, text};

/// What one call takes, of all of its events with what each of them counts for besides its text
/// (CloudWatch Logs API Reference, `PutLogEvents`).
const MOST: usize = 10_000;
const MOST_BYTES: usize = 1 << 20;
const OVERHEAD: usize = 26;
/// "The time span in a single batch cannot exceed 24 hours", in milliseconds.
const MOST_SPAN: i64 = 24 * 60 * 60 * 1000;
/// How far ahead the service takes an event, and by how much its clock may differ from ours, in
/// milliseconds.
const MOST_AHEAD: i64 = 2 * 60 * 60 * 1000;
const CLOCKS_DIFFER: i64 = 10 * 60 * 1000;
const DOING: &str = "cannot put log events";

/// Which stream of which group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudWatchLogsSettings {
    /// The group. It must be there.
    pub log_group: String,
    /// The stream. It is made when it is missing.
    pub log_stream: String,
}

/// Puts each event into a log stream, its message the event, its timestamp the event's own; an event
/// without a time has that of the write.
///
/// The service takes nothing that is older than 14 days or than the group's retention, and nothing
/// that is more than two hours ahead: such events are rejected for good.
#[derive(Debug)]
pub struct CloudWatchLogsSink {
    name: String,
    session: Session,
    client: Client,
    settings: CloudWatchLogsSettings,
    blame: Blame,
}

impl CloudWatchLogsSink {
    /// Makes no call.
    pub fn new(
        name: impl Into<String>,
        session: &Session,
        settings: CloudWatchLogsSettings,
    ) -> Self {
        let client = Client::from_conf(
            aws_sdk_cloudwatchlogs::config::Builder::from(&once(session))
                .interceptor(AnswerLimit::USUAL)
                .build(),
        );
        let blame = Blame::new("log_group, log_stream and what stands before the service");
        Self { name: name.into(), session: session.clone(), client, settings, blame }
    }

    async fn put(&self, part: Vec<usize>, messages: &[Option<Message<'_>>]) -> Answer {
        let ready = part.iter().filter_map(|place| Some((*place, messages.get(*place)?.as_ref()?)));
        let ready: Vec<_> = ready.collect();
        let events = ready.iter().map(|(_, message)| {
            InputLogEvent::builder().timestamp(message.timestamp).message(message.text).build()
        });
        let events: Vec<_> = match events.collect() {
            Ok(events) => events,
            Err(error) => {
                let error = SinkError::retry(format!("{DOING}: {error}"));
                return Answer::Failed(Verdict::Later(error));
            }
        };
        let mut answer = self.put_events(events.clone()).await;
        if let Err(fault) = &answer
            && fault.code == "ResourceNotFoundException"
        {
            // Whether it is the stream that is missing, or its group, shows now.
            if let Err(error) = self.make_stream().await {
                return Answer::Failed(Verdict::Later(error));
            }
            answer = self.put_events(events).await;
        }
        match answer {
            Ok(Receipt::None) => Answer::Failed(Verdict::Later(SinkError::retry(format!(
                "{DOING}: the answer is not that of the service, for it has no request ID: nothing \
                 of it counts as written"
            )))),
            Ok(Receipt::Rejected(rejected)) => {
                let sent: Vec<_> =
                    ready.iter().map(|(place, message)| (*place, message.timestamp)).collect();
                let now = milliseconds(SystemTime::now().into());
                // An event's time is its own, however many of them are too old: a backlog, say.
                Answer::ForCertain(results(&sent, rejected.as_ref(), now))
            }
            Err(fault) => Answer::Failed(judge(DOING, &fault)),
        }
    }

    async fn put_events(&self, events: Vec<InputLogEvent>) -> Result<Receipt, Fault> {
        let request = self.client.put_log_events().set_log_events(Some(events));
        let request = request.log_group_name(&self.settings.log_group);
        let answer = request.log_stream_name(&self.settings.log_stream).send().await;
        let answer = answer.map_err(|error| self.session.fault(&error))?;
        Ok(match answer.request_id().is_some_and(|id| !id.is_empty()) {
            true => Receipt::Rejected(answer.rejected_log_events_info),
            false => Receipt::None,
        })
    }

    async fn make_stream(&self) -> Result<(), SinkError> {
        let request = self.client.create_log_stream().log_group_name(&self.settings.log_group);
        let answer = request.log_stream_name(&self.settings.log_stream).send().await;
        let Err(error) = answer else {
            tracing::info!(
                sink = self.name,
                log_group = self.settings.log_group,
                log_stream = self.settings.log_stream,
                "made the log stream"
            );
            return Ok(());
        };
        let fault = self.session.fault(&error);
        match &*fault.code {
            // Another call or replica was faster.
            "ResourceAlreadyExistsException" => Ok(()),
            _ => Err(later("cannot make the log stream", &fault)),
        }
    }
}

/// What a call that did not fail was answered.
///
/// No member of the answer is there for certain: whoever answers 200 with nothing in it, such as a
/// gateway that is friendly to everybody, would be believed. So the service has to be known by its
/// request ID, which is in a header of all of AWS's answers.
enum Receipt {
    /// It is none of the service's.
    None,
    /// The events are taken, but for these.
    Rejected(Option<RejectedLogEventsInfo>),
}

/// What the answer says of the events of a call, each with its place and time, oldest first.
///
/// The API's documentation calls the end of those that are too old exclusive, says nothing of the end of
/// the expired ones, and emulators differ. A wrong reading would lose an event. So whoever may be meant
/// and may not is neither: it is sent again, and is then the first of its call, where there is no doubt.
fn results(
    part: &[(usize, i64)],
    rejected: Option<&RejectedLogEventsInfo>,
    now: i64,
) -> Vec<(usize, Result<(), SinkError>)> {
    let index = |index: Option<i32>| index.map(|index| usize::try_from(index).unwrap_or(0));
    let too_old = rejected.and_then(|it| index(it.too_old_log_event_end_index()));
    let expired = rejected.and_then(|it| index(it.expired_log_event_end_index()));
    let too_new = rejected.and_then(|it| index(it.too_new_log_event_start_index()));
    let ends_after = |end: Option<usize>, at: usize| end.is_some_and(|end| at < end.max(1));
    let verdict = |(at, (_, timestamp)): (usize, &(usize, i64))| {
        // Close to what is too new, by a clock that may be wrong.
        let is_ahead = *timestamp > now + MOST_AHEAD - CLOCKS_DIFFER;
        if ends_after(too_old, at) {
            Err(reject("its time is more than 14 days ago"))
        } else if ends_after(expired, at) {
            Err(reject("its time is before the retention of the log group"))
        } else if too_new.is_some_and(|start| at >= start) {
            Err(reject("its time is more than two hours ahead"))
        } else if too_old == Some(at) || expired == Some(at) || (too_new.is_some() && is_ahead) {
            Err(SinkError::retry("the answer does not say for certain whether the event was taken"))
        } else {
            Ok(())
        }
    };
    let verdicts = part.iter().enumerate().map(verdict);
    part.iter().map(|(place, _)| *place).zip(verdicts).collect()
}

fn reject(why: &str) -> SinkError {
    let message = format!("cloudwatch logs does not take the event: {why}");
    SinkError::poison(Reason::SinkRejected, message)
}

struct Message<'e> {
    text: &'e str,
    /// In milliseconds.
    timestamp: i64,
}

fn message(entry: &Entry) -> Result<Message<'_>, SinkError> {
    let text = text(entry)?;
    fits(text.len(), MOST_BYTES - OVERHEAD)?;
    let time = facts::time(&Event::new(&entry.record)).unwrap_or_else(|| SystemTime::now().into());
    Ok(Message { text, timestamp: milliseconds(time) })
}

fn milliseconds(time: OffsetDateTime) -> i64 {
    // A time before 1970 is as old as one of 1970, and the service takes no negative one.
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0).max(0)
}

/// Calls of ascending times, none of them over more than 24 hours.
fn calls(messages: &[Option<Message<'_>>]) -> VecDeque<Vec<usize>> {
    let known = messages.iter().enumerate();
    let mut known: Vec<_> =
        known.filter_map(|(place, it)| it.as_ref().map(|it| (place, it))).collect();
    // Stable: events of the same second stay in their order.
    known.sort_by_key(|(_, message)| message.timestamp);
    let mut parts = VecDeque::new();
    let mut rest = known.as_slice();
    while let Some((_, first)) = rest.first() {
        let within = |(_, message): &(usize, &Message<'_>)| {
            message.timestamp.saturating_sub(first.timestamp) < MOST_SPAN
        };
        let (day, later) = rest.split_at(rest.partition_point(within));
        let sizes = day.iter().map(|(place, message)| (*place, message.text.len() + OVERHEAD));
        parts.extend(pack(sizes, MOST, MOST_BYTES));
        rest = later;
    }
    parts
}

#[async_trait]
impl Sink for CloudWatchLogsSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        let entry_bytes = MOST_BYTES - OVERHEAD;
        Limits { events: MOST, bytes: 4 * MOST_BYTES, entry_bytes }
    }

    /// Asks for the stream by its name. A stream that is missing will be made; a group that is missing
    /// is an error.
    async fn check(&self) -> Result<(), SinkError> {
        let request = self.client.describe_log_streams().log_group_name(&self.settings.log_group);
        let request = request.log_stream_name_prefix(&self.settings.log_stream).limit(1);
        let answer = request.send().await;
        answer
            .map_err(|error| later("cannot ask for the log stream", &self.session.fault(&error)))?;
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let mut settled = Settled::undecided(batch.entries.len());
        let messages = settled.prepare(&batch.entries, message);
        let parts = calls(&messages);
        settled.deliver(parts, AT_ONCE, |part| self.put(part, &messages)).await;
        Ok(settled.blaming(&self.blame).outcome())
    }
}

#[cfg(test)]
mod tests;
