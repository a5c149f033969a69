//! What every sink promises, whatever stands behind it. Each case runs through the decorators, as
//! the service does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use trailsift_core::{Batch, Disposition, Entry, Reason, Sink, SinkError, Source, WriteOutcome};

/// A sink, the world behind it, and ways to break that world.
///
/// What a world cannot do it answers with `false`, and the cases that need it are left out; each
/// `false` stands in CONFORMANCE.md with what covers it instead.
#[async_trait]
pub trait SinkWorld: Send + Sync {
    /// The sink as it is made from its settings, without decorators.
    fn sink(&self) -> Arc<dyn Sink>;

    /// The sink as the service uses it: batches of 4 events, a linger of some milliseconds, retried
    /// within milliseconds, and given up after `patience`.
    fn decorated(&self, patience: Duration) -> Arc<dyn Sink>;

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

/// Longer than any case takes with a sink that is well.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Records with an ID, a time of now, an account and a region, so that sinks find in them what they look for.
fn numbered(range: std::ops::Range<u32>) -> Vec<String> {
    let now = time::OffsetDateTime::now_utc();
    let form = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = now.format(form).unwrap_or_default();
    let run = fastrand::u64(..);
    let event = |n: u32| {
        format!(
            "{{\"eventVersion\":\"1.11\",\"eventTime\":\"{time}\",\"awsRegion\":\"us-east-1\",\
             \"recipientAccountId\":\"111122223333\",\
             \"eventID\":\"00000000-0000-4000-{:04x}-{:012x}\",\"event\":{n}}}",
            0x8000 | (run >> 50),
            (run << 16 >> 16) ^ u64::from(n),
        )
    };
    range.map(event).collect()
}

fn times(arrived: &[String], text: &str) -> usize {
    arrived.iter().filter(|event| event.as_str() == text).count()
}

/// Runs every case. The world must be new: nothing has arrived in it.
///
/// # Panics
/// If the sink breaks a promise.
pub async fn sink(world: &dyn SinkWorld) {
    delivers_everything_once_when_nothing_fails(world).await;
    a_lost_answer_costs_a_duplicate_and_never_an_event(world).await;
    what_is_taken_in_part_is_completed_and_the_rest_is_not_sent_again(world).await;
    refused_events_are_poison_and_their_neighbours_arrive_once(world).await;
    throttling_delays_and_loses_nothing(world).await;
    an_outage_acknowledges_nothing_and_the_backlog_drains_after_it(world).await;
    what_fails_until_the_deadline_is_given_back_and_not_acknowledged(world).await;
    what_is_larger_than_the_sink_takes_is_poison_and_never_sent(world).await;
}

async fn delivers_everything_once_when_nothing_fails(world: &dyn SinkWorld) {
    let sink = world.decorated(PATIENCE);
    sink.check().await.expect("reachable");
    let mut sent = numbered(0..80);
    let batches: Vec<_> = sent.chunks(10).map(batch).collect();
    let writes = batches.iter().map(|batch| sink.write(batch));
    for (batch, answer) in batches.iter().zip(futures::future::join_all(writes).await) {
        assert_eq!(acknowledged(batch, &answer).len(), 10, "{answer:?}");
    }
    let mut arrived = world.arrived().await;
    arrived.sort();
    sent.sort();
    assert_eq!(arrived, sent);
    sink.close().await;
}

async fn a_lost_answer_costs_a_duplicate_and_never_an_event(world: &dyn SinkWorld) {
    if !world.lose_next_answer() {
        return;
    }
    let sent = numbered(100..103);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 3, "{answer:?}");
    let arrived = world.arrived().await;
    for event in sent {
        assert!(times(&arrived, &event) >= 1, "{event} is lost");
    }
    sink.close().await;
}

async fn what_is_taken_in_part_is_completed_and_the_rest_is_not_sent_again(world: &dyn SinkWorld) {
    if !world.take_first_only() {
        return;
    }
    let sent = numbered(150..154);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 4, "{answer:?}");
    let arrived = world.arrived().await;
    for event in sent {
        assert_eq!(times(&arrived, &event), 1, "{event}");
    }
    sink.close().await;
}

async fn refused_events_are_poison_and_their_neighbours_arrive_once(world: &dyn SinkWorld) {
    if !world.refuse("\"event\":202") {
        return;
    }
    let sent = numbered(200..209);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let outcome = sink.write(&events).await.expect("an outcome");
    assert_eq!(outcome.failures.len(), 1, "{outcome:?}");
    assert_eq!(outcome.failures[0].index, 2);
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!(outcome.failures[0].error.disposition, poison);
    let arrived = world.arrived().await;
    for (index, event) in sent.iter().enumerate() {
        assert_eq!(times(&arrived, event), usize::from(index != 2), "{event}");
    }
    sink.close().await;
}

async fn throttling_delays_and_loses_nothing(world: &dyn SinkWorld) {
    if !world.throttle_next() {
        return;
    }
    let sent = numbered(300..303);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 3, "{answer:?}");
    let arrived = world.arrived().await;
    assert!(sent.iter().all(|event| times(&arrived, event) == 1), "{arrived:?}");
    sink.close().await;
}

async fn an_outage_acknowledges_nothing_and_the_backlog_drains_after_it(world: &dyn SinkWorld) {
    let sent = numbered(400..410);
    let (sink, events) = (world.decorated(PATIENCE), batch(&sent));
    world.break_down();
    let write = sink.write(&events);
    let early = tokio::time::timeout(Duration::from_millis(200), write).await;
    assert!(early.is_err(), "{early:?}");
    let (again, ()) = tokio::join!(sink.write(&events), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.recover();
    });
    assert_eq!(acknowledged(&events, &again).len(), 10, "{again:?}");
    let arrived = world.arrived().await;
    for event in sent {
        assert!(times(&arrived, &event) >= 1, "{event} is lost");
    }
    sink.close().await;
}

async fn what_fails_until_the_deadline_is_given_back_and_not_acknowledged(world: &dyn SinkWorld) {
    let sent = numbered(450..453);
    let (sink, events) = (world.decorated(Duration::from_millis(100)), batch(&sent));
    world.break_down();
    let answer = tokio::time::timeout(PATIENCE, sink.write(&events)).await;
    world.recover();
    let answer = answer.expect("an answer, soon after the deadline");
    assert_eq!(acknowledged(&events, &answer), [""; 0]);
    let errors = match answer {
        Ok(outcome) => outcome.failures.into_iter().map(|failure| failure.error).collect(),
        Err(error) => vec![error],
    };
    for error in errors {
        assert!(matches!(error.disposition, Disposition::Retry { .. }), "{error:?}");
    }
    sink.close().await;
}

async fn what_is_larger_than_the_sink_takes_is_poison_and_never_sent(world: &dyn SinkWorld) {
    let most = world.sink().limits().entry_bytes;
    if most == usize::MAX {
        return;
    }
    let [first, last] = [500, 501].map(|n| numbered(n..n + 1).remove(0));
    let large = format!("{{\"event\":\"{}\"}}", "x".repeat(most));
    let (sink, events) = (world.decorated(PATIENCE), batch([&first, &large, &last]));
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer), [first, last], "{answer:?}");
    let reason = Reason::SinkRecordTooLarge;
    let disposition = answer.expect("an outcome").failures[0].error.disposition;
    assert_eq!(disposition, Disposition::Poison { reason });
    assert_eq!(times(&world.arrived().await, &large), 0);
    sink.close().await;
}
