//! What S3, the network and the credentials do to a file on its way, and what is counted of it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use trailsift_core::{Incomplete, Message, Queue, QueueError, QueueStatus, Receipt, StoreError};
use trailsift_testkit::{MemoryQueue, MemoryStore, QueueEvent, QueueOp, QueueSettings, StoreFault};

use tracing_subscriber::fmt::MakeWriter;

use crate::rig::{BUCKET, Rig, SECOND, account, key, notification, selected, trail_file, within};

const MINUTE: Duration = Duration::from_secs(60);

/// A counter's value, or a gauge's.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]
fn counted(rig: &Rig, name: &str, labels: &[(&str, &str)]) -> u64 {
    rig.metric(name, labels) as u64
}

fn s3_errors(rig: &Rig, error: &str) -> u64 {
    let labels = [("account", "production"), ("error", error)];
    counted(rig, "trailsift_s3_errors_total", &labels)
}

fn count(rig: &Rig, name: &str) -> u64 {
    counted(rig, name, &[])
}

/// How often the object was asked for, and how often it was resumed.
fn asked(store: &MemoryStore) -> (usize, usize) {
    let requests = store.requests();
    let resumed = requests.iter().filter(|request| request.from.is_some()).count();
    (requests.len() - resumed, resumed)
}

/// An object of about this size with one selected event, as plain JSON: so it is read as it is.
fn padded(size: usize) -> String {
    format!(r#"{{"Records":[{}{}]}}"#, selected("1"), " ".repeat(size))
}

fn rig_with(object: impl Into<bytes::Bytes>) -> (Rig, String) {
    let rig = Rig::new();
    let file = key("one");
    rig.store.put(BUCKET, &file, object);
    rig.queue.send(notification(&[&file]));
    (rig, file)
}

#[tokio::test(start_paused = true)]
async fn each_failure_of_the_store_is_counted_and_tried_or_parked_by_its_meaning() {
    let text = || "as S3 says it".to_owned();
    let owner = StoreError::WrongOwner { expected: "999988887777".into(), message: text() };
    let region = StoreError::WrongRegion { region: None, message: text() };
    let throttled = StoreError::Throttled { after: None, message: text() };
    // The error, how often it is met before the object is parked, and under which name. `None`:
    // it never is.
    let table = [
        (StoreError::NotFound(text()), 3, Some("object_missing")),
        (StoreError::DeletedVersion(text()), 1, Some("deleted_version")),
        (StoreError::Denied(text()), 5, Some("access_denied")),
        (owner, 1, Some("bucket_owner_mismatch")),
        (StoreError::KmsDenied(text()), 20, None),
        (region, 5, Some("wrong_region")),
        (StoreError::Archived(text()), 1, Some("archived")),
        (throttled, 20, None),
        (StoreError::Interrupted(text()), 20, None),
        (StoreError::ChecksumMismatch(text()), 5, Some("checksum_mismatch")),
        (StoreError::Unavailable(text()), 20, None),
    ];
    for (error, times, reason) in table {
        let word = error.as_str();
        let (mut rig, file) = rig_with(trail_file(&[&selected("1")]));
        for _ in 0..times {
            rig.store.fault(BUCKET, &file, StoreFault::Error(again(&error)));
        }
        rig.run_until_empty().await;
        assert_eq!(s3_errors(&rig, word), times, "{word}");
        let retried = counted(&rig, "trailsift_objects_total", &[("outcome", "retried")]);
        match reason {
            Some(reason) => {
                assert_eq!(retried, times - 1, "{word}");
                assert_eq!(rig.parked().len(), 1, "{word}");
                assert_eq!(rig.parked()[0]["reason"], reason);
                assert!(rig.events().is_empty(), "{word}");
                let labels = [("reason", reason)];
                assert_eq!(counted(&rig, "trailsift_quarantined_total", &labels), 1);
            }
            None => {
                assert_eq!(retried, times, "{word}");
                assert!(rig.parked().is_empty(), "{word}");
                assert_eq!(rig.events(), [selected("1")], "{word}");
            }
        }
    }
}

/// The same error once more.
fn again(error: &StoreError) -> StoreError {
    let text = "as S3 says it".to_owned();
    match error {
        StoreError::NotFound(_) => StoreError::NotFound(text),
        StoreError::DeletedVersion(_) => StoreError::DeletedVersion(text),
        StoreError::Denied(_) => StoreError::Denied(text),
        StoreError::WrongOwner { expected, .. } => {
            StoreError::WrongOwner { expected: expected.clone(), message: text }
        }
        StoreError::KmsDenied(_) => StoreError::KmsDenied(text),
        StoreError::WrongRegion { .. } => StoreError::WrongRegion { region: None, message: text },
        StoreError::Archived(_) => StoreError::Archived(text),
        StoreError::Throttled { .. } => StoreError::Throttled { after: None, message: text },
        StoreError::Interrupted(_) => StoreError::Interrupted(text),
        StoreError::ChecksumMismatch(_) => StoreError::ChecksumMismatch(text),
        _ => StoreError::Unavailable(text),
    }
}

/// What was logged on this thread.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no panic while it is held");
        String::from_utf8(bytes.clone()).expect("UTF-8")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while it is held").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn another_owners_bucket_is_parked_at_once_and_nothing_of_it_delivered() {
    let (mut rig, _) = rig_with(trail_file(&[&selected("forged")]));
    rig.store.owned_by(BUCKET, "666677778888");
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    rig.run_until_empty().await;
    drop(logging);
    let log = log.text();
    let alarms: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(alarms.len(), 1, "{log}");
    for part in ["security", r#"s3.bucket="org-trail""#, r#"expected_owner="111122223333""#] {
        assert!(alarms[0].contains(part), "{part}: {}", alarms[0]);
    }
    assert!(rig.events().is_empty());
    assert_eq!(asked(&rig.store), (1, 0));
    let parked = rig.parked();
    assert_eq!(parked[0]["reason"], "bucket_owner_mismatch");
    let error = parked[0]["error"].as_str().expect("text");
    assert!(error.contains("does not belong to account 111122223333"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_checksum_is_read_anew_from_the_start_and_never_resumed() {
    for wrong in [1, 5] {
        let (mut rig, file) = rig_with(trail_file(&[&selected("1")]));
        for _ in 0..wrong {
            rig.store.fault(BUCKET, &file, StoreFault::WrongChecksum);
        }
        rig.run_until_empty().await;
        assert_eq!(s3_errors(&rig, "checksum_mismatch"), wrong);
        match wrong {
            1 => assert_eq!((rig.events(), asked(&rig.store)), (vec![selected("1")], (2, 0))),
            _ => {
                assert!(rig.events().is_empty(), "bytes that are not the object's");
                assert_eq!(asked(&rig.store), (5, 0));
                assert_eq!(rig.parked()[0]["reason"], "checksum_mismatch");
            }
        }
    }
}

/// The damage is in the first of several chunks, the checksum at the end of the last one.
#[tokio::test(start_paused = true)]
async fn damage_is_the_objects_own_only_if_its_checksum_matches() {
    // Known by its first bytes: what is read after them is read for the checksum alone.
    let damaged = [&b"BZh91AY&SY"[..], &[0; 2 << 20]].concat();
    let (mut rig, file) = rig_with(damaged);
    rig.store.fault(BUCKET, &file, StoreFault::WrongChecksum);
    rig.run_until_empty().await;
    assert_eq!(asked(&rig.store), (2, 0), "read anew: the damage may have come on the way");
    assert_eq!(rig.parked().len(), 1);
    assert_eq!(rig.parked()[0]["reason"], "unsupported_codec");
    assert_eq!(s3_errors(&rig, "checksum_mismatch"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_overwritten_between_two_ranges_is_read_anew_and_never_spliced() {
    let older = trail_file(&[&selected("older-1"), &selected("older-2")]);
    let newer = trail_file(&[&selected("newer")]);
    let (mut rig, file) = rig_with(older);
    // The pause before the first resume is when it is overwritten.
    rig.store.fault(BUCKET, &file, StoreFault::StallAfter(20));
    let store = rig.store.clone();
    let name = file.clone();
    let overwriting = async {
        sleep(10 * SECOND).await;
        store.put(BUCKET, &name, newer);
    };
    tokio::join!(overwriting, rig.run_until_empty());
    assert_eq!(rig.events(), [selected("newer")]);
    assert_eq!(asked(&rig.store), (2, 1));
    assert_eq!(count(&rig, "trailsift_s3_etag_changed_total"), 1);
    assert_eq!(count(&rig, "trailsift_s3_body_timeouts_total"), 1);
    let deleted = counted(&rig, "trailsift_messages_total", &[("outcome", "deleted")]);
    assert_eq!(deleted, 1, "within one delivery");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_resumed_three_times_where_it_broke_and_then_left_to_another_delivery() {
    for (breaks, begun, resumed) in [(3, 1, 3), (4, 2, 3)] {
        let (mut rig, file) = rig_with(trail_file(&[&selected("1")]));
        for _ in 0..breaks {
            rig.store.fault(BUCKET, &file, StoreFault::BreakAfter(10));
        }
        rig.run_until_empty().await;
        assert_eq!(rig.events(), [selected("1")]);
        assert_eq!(asked(&rig.store), (begun, resumed), "{breaks} breaks");
        assert_eq!(count(&rig, "trailsift_s3_resumes_total"), 3);
        assert_eq!(s3_errors(&rig, "interrupted"), breaks);
        let offsets: Vec<_> =
            rig.store.requests().iter().filter_map(|r| Some(r.from.as_ref()?.offset)).collect();
        assert_eq!(offsets, [10, 20, 30]);
    }
}

/// Reads an object that comes so many bytes at a time, and says how often it was given up.
async fn timeouts_of(size: usize, bytes: usize, every: Duration) -> (u64, Rig) {
    let (mut rig, file) = rig_with(padded(size));
    rig.store.fault(BUCKET, &file, StoreFault::Drip { bytes, every });
    rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("1")]);
    (count(&rig, "trailsift_s3_body_timeouts_total"), rig)
}

#[tokio::test(start_paused = true)]
async fn a_body_may_pause_for_half_a_minute_and_no_longer() {
    assert_eq!(timeouts_of(100_000, 64 << 10, 29 * SECOND).await.0, 0);
    let (timeouts, rig) = timeouts_of(100_000, 64 << 10, 31 * SECOND).await;
    assert_eq!((timeouts, asked(&rig.store)), (1, (1, 1)));
}

#[tokio::test(start_paused = true)]
async fn half_a_mebibyte_may_take_two_minutes_and_no_longer() {
    let eighth = 64 << 10;
    let pause = |millis| Duration::from_millis(millis);
    assert_eq!(timeouts_of(600_000, eighth, pause(14_900)).await.0, 0);
    let (timeouts, rig) = timeouts_of(600_000, eighth, pause(15_100)).await;
    assert_eq!((timeouts, asked(&rig.store)), (1, (1, 1)));
}

/// Ten minutes, and a second for each 16 KiB: an object of 10 MiB has 1,240 seconds.
#[tokio::test(start_paused = true)]
async fn an_object_has_a_deadline_of_its_own_however_evenly_its_body_drips() {
    let size = 10 << 20;
    let pause = |millis| Duration::from_millis(millis);
    let (timeouts, rig) = timeouts_of(size, 64 << 10, pause(7_650)).await;
    assert_eq!((timeouts, asked(&rig.store)), (0, (1, 0)));
    let begun = Instant::now();
    let (timeouts, rig) = timeouts_of(size, 64 << 10, pause(7_850)).await;
    // Given up shortly before its end, not resumed, and read anew by the next delivery.
    assert_eq!((timeouts, asked(&rig.store)), (1, (2, 0)));
    assert!(begun.elapsed() > 20 * MINUTE && begun.elapsed() < 27 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn an_asked_for_pause_is_granted_before_s3_is_asked_again() {
    let (mut rig, file) = rig_with(trail_file(&[&selected("1")]));
    let after = Some(90 * SECOND);
    let slow_down = StoreError::Throttled { after, message: "SlowDown".into() };
    rig.store.fault(BUCKET, &file, StoreFault::Error(slow_down));
    rig.run_until_empty().await;
    let times: Vec<_> = rig.store.requests().iter().map(|request| request.at).collect();
    assert_eq!(times.len(), 2);
    assert!(times[1].duration_since(times[0]) >= 90 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn failing_receives_are_spaced_out_counted_and_never_end_the_service() {
    let rig = Rig::new();
    let running = rig.start();
    sleep(SECOND).await;
    let text = || "in the queue's own words".to_owned();
    for _ in 0..10 {
        for error in [
            QueueError::Unavailable(text()),
            QueueError::Throttled(text()),
            QueueError::Denied(text()),
            QueueError::NotFound(text()),
        ] {
            rig.queue.fail_next(QueueOp::Receive, error);
        }
    }
    // The poll that is on its way when the faults begin must not bring it.
    sleep(25 * SECOND).await;
    rig.deliver("one", &[&selected("1")]);
    sleep(MINUTE).await;
    let troubles = rig.health.troubles();
    assert!(troubles["account production"].contains("in the queue's own words"), "{troubles:?}");
    within(30 * MINUTE, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1")]);
    let times: Vec<_> = rig
        .queue
        .history()
        .into_iter()
        .filter(|recorded| matches!(recorded.event, QueueEvent::Refused { .. }))
        .map(|recorded| recorded.at)
        .collect();
    assert_eq!(times.len(), 40);
    let pauses: Vec<_> = times.windows(2).map(|at| at[1].duration_since(at[0])).collect();
    assert!(pauses.iter().all(|pause| (SECOND..=30 * SECOND).contains(pause)), "{pauses:?}");
    // Late pauses are drawn from 30 s, early ones from 2.
    assert!(pauses.iter().sum::<Duration>() > 3 * MINUTE, "{pauses:?}");
    for error in ["unavailable", "throttled", "access_denied", "not_found"] {
        let labels = [("account", "production"), ("op", "receive"), ("error", error)];
        assert_eq!(counted(&rig, "trailsift_sqs_errors_total", &labels), 10, "{error}");
    }
    assert!(rig.health.troubles().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_may_not_assume_its_role_is_degraded_and_the_other_runs() {
    let mut rig = Rig::new();
    let (barred_queue, barred_store) = (MemoryQueue::new(), MemoryStore::new());
    let role = || QueueError::Unavailable("not authorized to perform: sts:AssumeRole".into());
    for _ in 0..10 {
        barred_queue.fail_next(QueueOp::Status, role());
    }
    let late = key("late");
    barred_store.put(BUCKET, &late, trail_file(&[&selected("late")]));
    barred_queue.send(notification(&[&late]));
    rig.more_accounts.push(account("barred", Arc::new(barred_queue.clone()), barred_store));
    let running = rig.start();
    sleep(SECOND).await;
    rig.deliver("one", &[&selected("1")]);
    within(SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1")]);
    let troubles = rig.health.troubles();
    assert_eq!(troubles.keys().collect::<Vec<_>>(), ["account barred"]);
    assert!(troubles["account barred"].contains("sts:AssumeRole"), "{troubles:?}");
    let reachable = |name| counted(&rig, "trailsift_account_reachable", &[("account", name)]);
    assert_eq!((reachable("production"), reachable("barred")), (1, 0));
    // The role is granted: nobody has to start anything anew.
    within(5 * MINUTE, barred_queue.until_empty()).await;
    assert_eq!(rig.events().len(), 2);
    assert_eq!(reachable("barred"), 1);
    assert!(rig.health.troubles().is_empty());
    running.stop().await;
}

fn silent(rig: &Rig) -> u64 {
    count(rig, "trailsift_queue_silent")
}

/// At the in-flight cap a receive answers nothing, and no error: SQS does so at 120,000.
#[tokio::test(start_paused = true)]
async fn a_queue_that_holds_messages_but_hands_none_out_raises_the_alarm() {
    let rig = Rig::with_queue(QueueSettings {
        visibility_timeout: 12 * 60 * MINUTE,
        in_flight_cap: 1,
        ..QueueSettings::default()
    });
    rig.deliver("taken", &[&selected("taken")]);
    let taken = Queue::receive(&rig.queue, 1, SECOND).await.expect("a message").remove(0);
    rig.deliver("stuck", &[&selected("stuck")]);
    let running = rig.start();
    // Asked once, after the first empty minute: the queue's counts may be out of date.
    sleep(100 * SECOND).await;
    assert_eq!(silent(&rig), 0, "one contradiction is no alarm");
    sleep(100 * SECOND).await;
    assert_eq!(silent(&rig), 1);
    let gone = Queue::delete(&rig.queue, &[taken.receipt]).await.expect("an answer");
    assert!(gone[0].is_ok());
    within(MINUTE, rig.queue.until_empty()).await;
    sleep(MINUTE).await;
    assert_eq!((rig.events(), silent(&rig)), (vec![selected("stuck")], 0));
    running.stop().await;
}

/// The longer a queue has said that it is empty, the more seldom it is asked; but never so seldom that
/// nobody would hear of it.
#[tokio::test(start_paused = true)]
async fn a_queue_that_gets_stuck_after_a_quiet_day_raises_the_alarm_within_minutes() {
    let rig = Rig::with_queue(QueueSettings {
        visibility_timeout: 48 * 60 * MINUTE,
        in_flight_cap: 1,
        ..QueueSettings::default()
    });
    rig.deliver("taken", &[&selected("taken")]);
    Queue::receive(&rig.queue, 1, SECOND).await.expect("a message");
    let running = rig.start();
    sleep(24 * 60 * MINUTE).await;
    assert_eq!(silent(&rig), 0);
    rig.deliver("stuck", &[&selected("stuck")]);
    sleep(10 * MINUTE).await;
    assert_eq!(silent(&rig), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_silent_without_alarm() {
    let rig = Rig::new();
    let running = rig.start();
    sleep(60 * MINUTE).await;
    assert_eq!(silent(&rig), 0);
    running.stop().await;
}

/// A queue of which some messages come without a receipt, and are left out.
#[derive(Debug)]
struct Careless {
    queue: MemoryQueue,
    left: AtomicU64,
}

#[async_trait]
impl Queue for Careless {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        self.queue.status().await
    }
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let mut messages = self.queue.receive(max, wait).await?;
        let before = messages.len();
        messages.retain(|message| message.receive_count > 1);
        self.left.fetch_add((before - messages.len()) as u64, Ordering::SeqCst);
        Ok(messages)
    }
    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        self.queue.extend(receipt, by).await
    }
    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        self.queue.release(receipt, after).await
    }
    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.queue.delete(receipts).await
    }
    fn incomplete(&self) -> Incomplete {
        Incomplete { left: self.left.load(Ordering::SeqCst), bare: 0 }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_receipt_is_counted_and_comes_again() {
    let mut rig = Rig::new();
    let careless = Careless { queue: rig.queue.clone(), left: AtomicU64::new(0) };
    rig.queue_front = Some(Arc::new(careless));
    for n in 0..3 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    rig.run_until_empty().await;
    assert_eq!(rig.events().len(), 3);
    let labels = [("account", "production"), ("missing", "receipt")];
    assert_eq!(counted(&rig, "trailsift_messages_incomplete_total", &labels), 3);
}
