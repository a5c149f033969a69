//! What every sink promises, whatever stands behind it: by itself, and inside of its decorators, as the
//! service uses it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prometheus::Registry;
use trailsift_core::{Batch, Entry, Sink, SinkError, Source, WriteOutcome};
use trailsift_delivery::{BatchSettings, Decoration, RetrySettings, SinkMetrics, decorate};

use super::report::{Gap, Report};

mod bare;
mod decorated;
#[cfg(test)]
mod tests;

/// A sink, the world behind it, and ways to break that world.
///
/// What a world cannot do it answers with `false`, and the cases that need it are left out: [`sink`]
/// answers with the [`Gap`]s, and each stands in CONFORMANCE.md with what covers it instead.
#[async_trait]
pub trait SinkWorld: Send + Sync {
    /// The sink as it is made from its settings, without decorators.
    fn sink(&self) -> Arc<dyn Sink>;

    /// The sink as the service uses it, inside of the service's own decorators: batches of 4 events, a
    /// linger of some milliseconds, retried within milliseconds, and given up after `patience`.
    fn decorated(&self, patience: Duration) -> Arc<dyn Sink> {
        inside_decorators(self.sink(), patience)
    }

    /// Every event that arrived, duplicates included: the texts that were sent, whatever the service
    /// put around them.
    async fn arrived(&self) -> Vec<String>;

    /// The next write arrives, but the sink does not hear of it.
    fn lose_next_answer(&self) -> bool;

    /// The next writes fail and deliver nothing, until [`SinkWorld::recover`].
    fn break_down(&self);

    /// The writes succeed again.
    fn recover(&self);

    /// The next write is refused because there were too many.
    fn throttle_next(&self) -> bool;

    /// Of the next write only the first event is taken, and the answer says so, naming the others.
    fn take_first_only(&self) -> bool;

    /// Events that contain this are refused for good.
    fn refuse(&self, text: &'static str) -> bool;
}

/// The decorators with settings that let a suite end soon.
fn inside_decorators(sink: Arc<dyn Sink>, patience: Duration) -> Arc<dyn Sink> {
    let linger = Duration::from_millis(5);
    let settings = Decoration {
        batch: BatchSettings { events: 4, bytes: 1 << 16, linger, in_flight: 3, callers: 5 },
        retry: RetrySettings {
            deadline: patience,
            base: Duration::from_millis(2),
            cap: Duration::from_millis(20),
        },
        ..Decoration::default()
    };
    let metrics = SinkMetrics::register(&Registry::new()).expect("a fresh registry");
    decorate(sink, settings, &metrics)
}

/// Longer than any write takes with a sink that is well.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any case takes, however its sink lies.
const LONGEST_CASE: Duration = Duration::from_secs(120);

/// A case says what is broken, or which gap of its world leaves it out.
type Checked = Result<Option<Gap>, String>;

/// Runs every case. The world must be new: nothing has arrived in it. Answers with the gaps of the
/// world, each once: put them into the test, so that a case that is left out is seen.
///
/// # Panics
/// If the sink breaks a promise; the text names every one.
pub async fn sink(world: &dyn SinkWorld) -> Vec<Gap> {
    let report = sink_report(world).await;
    report.assert_passed();
    let mut gaps = Vec::new();
    for (_, gap) in report.skipped() {
        if !gaps.contains(gap) {
            gaps.push(*gap);
        }
    }
    gaps
}

/// The same as [`sink`], but it tells what it found.
pub async fn sink_report(world: &dyn SinkWorld) -> Report {
    let mut report = Report::default();
    macro_rules! check {
        ($room:ident :: $name:ident) => {{
            let case = tokio::time::timeout(LONGEST_CASE, $room::$name(world)).await;
            match case.unwrap_or_else(|_| Err("it never ends".to_owned())) {
                Ok(None) => report.note(stringify!($name), Ok(())),
                Ok(Some(gap)) => report.skip(stringify!($name), gap),
                Err(why) => report.note(stringify!($name), Err(why)),
            }
        }};
    }
    check!(decorated::everything_arrives_once_when_nothing_fails);
    check!(bare::an_empty_batch_is_no_error_and_sends_nothing);
    check!(bare::every_byte_of_an_event_arrives);
    check!(bare::writes_at_once_do_not_disturb_each_other);
    check!(bare::a_batch_at_the_limits_is_taken);
    check!(bare::what_is_acknowledged_of_a_write_in_part_has_arrived);
    check!(bare::an_answer_that_is_lost_condemns_no_event);
    check!(bare::throttling_condemns_no_event);
    check!(bare::a_refused_event_is_poison_and_its_neighbours_are_not);
    check!(bare::an_outage_acknowledges_nothing_and_condemns_no_event);
    check!(bare::a_dropped_write_leaves_the_sink_well);
    check!(decorated::a_lost_answer_costs_a_duplicate_and_never_an_event);
    check!(decorated::what_is_taken_in_part_is_completed_and_the_rest_is_not_sent_again);
    check!(decorated::refused_events_are_poison_and_their_neighbours_arrive_once);
    check!(decorated::throttling_delays_and_loses_nothing);
    check!(decorated::the_backlog_of_an_outage_drains_after_it);
    check!(decorated::what_fails_until_the_deadline_is_given_back_and_not_acknowledged);
    check!(decorated::what_is_larger_than_the_sink_takes_is_poison_and_never_sent);
    report
}

/// Entries with these texts, all of one file.
pub fn batch<T: ToString>(texts: impl IntoIterator<Item = T>) -> Batch {
    let source = Arc::new(Source {
        account: "production".into(),
        bucket: "org-trail".into(),
        key: "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz".into(),
        version_id: None,
        etag: None,
    });
    let entry = |(index, text): (usize, T)| {
        let data = Bytes::from(text.to_string());
        Entry { record: data.clone(), data, index: index as u64, source: Arc::clone(&source) }
    };
    Batch { entries: texts.into_iter().enumerate().map(entry).collect(), more_follows: false }
}

/// The texts that an answer acknowledges.
pub fn acknowledged(batch: &Batch, answer: &Result<WriteOutcome, SinkError>) -> Vec<String> {
    let Ok(outcome) = answer else { return Vec::new() };
    let failed = |index| outcome.failures.iter().any(|failure| failure.index == index);
    let texts = batch.entries.iter().enumerate().filter(|(index, _)| !failed(*index));
    texts.map(|(_, entry)| String::from_utf8_lossy(&entry.data).into_owned()).collect()
}

/// A record with an ID of its own, a time of now, an account and a region, so that sinks find in it
/// what they look for; `more` stands in it as it is.
fn record(n: u32, more: &str) -> String {
    let now = time::OffsetDateTime::now_utc();
    let form = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = now.format(form).unwrap_or_default();
    let id = fastrand::u64(..);
    format!(
        "{{\"eventVersion\":\"1.11\",\"eventTime\":\"{time}\",\"awsRegion\":\"us-east-1\",\
         \"recipientAccountId\":\"111122223333\",\
         \"eventID\":\"00000000-0000-4000-{:04x}-{:012x}\"{more},\"event\":{n}}}",
        0x8000 | (id >> 50),
        id << 16 >> 16,
    )
}

fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| record(n, "")).collect()
}

/// A record of exactly so many bytes, unless that is too few for one.
fn record_of(bytes: usize, n: u32) -> Option<String> {
    let least = record(n, ",\"requestParameters\":\"\"").len();
    let padding = "x".repeat(bytes.checked_sub(least)?);
    Some(record(n, &format!(",\"requestParameters\":\"{padding}\"")))
}

fn times(arrived: &[String], text: &str) -> usize {
    arrived.iter().filter(|event| event.as_str() == text).count()
}

/// The beginning of a text that may be large.
fn shown(text: &str) -> String {
    text.chars().take(240).collect()
}
