use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt as _;
use prometheus::IntGauge;
use tokio::time::{sleep, timeout};
use tracing::Instrument as _;
use trailsift_core::{Message, Reason, chain};
use trailsift_trail::{EntryFault, Notification, Notified, NotifiedObject, decode};

use crate::acker::NotDeleted;
use crate::admission::{Admission, admit};
use crate::backoff::full_jitter;
use crate::dispatcher::{Origin, parcel_of_message};
use crate::lease::{Lease, Ticket};
use crate::listener::give_back_step;
use crate::object::Outcome;
use crate::quarantine::Parcel;
use crate::service::Lane;
use crate::spans;

/// The longest wait before a message that failed comes again.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// How many unreadable entries of one message are parked one by one; the others as one.
const BAD_ENTRIES: u64 = 100;
/// The least wait before a message comes again that is settled but could not be deleted: nobody
/// waits for it.
const UNDELETED_WAIT: Duration = Duration::from_secs(60);
/// How long giving a message back may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Counts a message as in flight until it is dropped, however its worker ends.
struct InFlightGauge(IntGauge);

impl InFlightGauge {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlightGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What is to become of a message.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything it asked for is settled.
    Delete,
    /// Not settled: it comes again after this long.
    Retry(Duration),
}

/// One worker: everything that happens to one message, its lease kept beside the work.
pub(crate) async fn handle(
    lane: Arc<Lane>,
    message: Message,
    ticket: Ticket,
    visibility: Duration,
) {
    let _in_flight =
        InFlightGauge::new(lane.shared.metrics.in_flight.with_label_values(&[&lane.account.name]));
    let lease = Arc::clone(&ticket.lease);
    let span = spans::of_message(&lane.account.name, &message);
    let mut kind = "unrecognised";
    let work = async {
        let work = AssertUnwindSafe(lane.work(&message, &mut kind)).catch_unwind();
        let verdict = match work.await {
            Ok(verdict) => verdict,
            Err(_) => lane.panicked(&message).await,
        };
        if let Verdict::Retry(after) = verdict {
            return ("retried", Some(after));
        }
        lane.shared.message_attempts.settled(&message.id);
        match lane.acker.delete(Arc::clone(&lease)).await {
            Ok(()) => {
                lane.parked.deleted(&message.id);
                ("deleted", None)
            }
            Err(error) => {
                tracing::warn!(
                    account = lane.account.name,
                    sqs.message_id = %message.id,
                    error = %chain(&error).escape_debug(),
                    "settled, but not deleted: it will be delivered again"
                );
                let wait = full_jitter(message.receive_count, LONGEST_WAIT).max(UNDELETED_WAIT);
                ("undeleted", (error == NotDeleted::TimedOut).then_some(wait))
            }
        }
    };
    let work = work.instrument(span.clone());
    // Cancel safety: dropping `work` drops its obligations unsettled, so nothing is deleted. A
    // delete that is already on its way was earned.
    let (outcome, release) = tokio::select! {
        biased;
        settled = work => settled,
        never = lease.keep(&*lane.account.queue, visibility, &lane.shared.metrics) => match never {},
        () = lane.shared.deadline.cancelled() => ("released", Some(Duration::ZERO)),
    };
    // Before the release: a redelivery that it causes is a delivery of its own.
    drop(ticket);
    if let Some(after) = release {
        lane.release(&lease, after).await;
    }
    span.record("kind", kind);
    spans::end(&span, outcome, outcome != "deleted");
    lane.shared.metrics.messages.with_label_values(&[&lane.account.name, kind, outcome]).inc();
}

impl Lane {
    async fn work(&self, message: &Message, kind: &mut &'static str) -> Verdict {
        match decode(&message.body) {
            Err(fault) => {
                let body_parked = AtomicBool::new(false);
                let origin = self.origin(message, &body_parked);
                self.park_message(origin, fault.reason, chain(&fault)).await
            }
            Ok(Notification::Control(control)) => {
                *kind = control.as_str();
                Verdict::Delete
            }
            Ok(Notification::Objects(notified)) => {
                *kind = notified.shape.as_str();
                self.settle_all(notified, message).await
            }
        }
    }

    /// Every object of the message, also after one of them has failed: a stuck object must not keep
    /// its neighbours waiting.
    async fn settle_all(&self, notified: Notified, message: &Message) -> Verdict {
        let body_parked = AtomicBool::new(false);
        let origin = self.origin(message, &body_parked);
        self.count_object("skipped", "not_created", notified.ignored);
        let mut wait: Option<Duration> = None;
        let mut seen = HashSet::new();
        let mut unreadable = 0_u64;
        for (place, object) in notified.objects.iter().enumerate() {
            let more_follows = place + 1 < notified.objects.len();
            let origin = Origin { entry: Some(place), more_follows, ..origin };
            let outcome = match object {
                Ok(object) => {
                    // With its entity tag: two entries may tell of an object and of what has
                    // overwritten it, and the ledger may know only the first.
                    let NotifiedObject { bucket, key, version_id, etag, replay, .. } = object;
                    if !seen.insert((bucket, key, version_id, etag, replay)) {
                        self.shared.metrics.duplicates_suppressed.inc();
                        continue;
                    }
                    self.settle_in_a_span(object, origin).await
                }
                Err(fault) => {
                    unreadable += 1;
                    if unreadable > BAD_ENTRIES {
                        continue;
                    }
                    Box::pin(self.park_once(origin, parcel_of_entry(fault, origin))).await
                }
            };
            match outcome {
                Outcome::Done => self.count_object("done", "", 1),
                Outcome::Skipped(kind) => self.count_object("skipped", kind, 1),
                Outcome::Quarantined(reason) => {
                    self.count_object("quarantined", reason.as_str(), 1)
                }
                Outcome::Retry { after, error, fatal } => {
                    self.count_object("retried", "", 1);
                    tracing::warn!(
                        account = self.account.name,
                        sqs.message_id = %message.id,
                        s3.bucket = object.as_ref().ok().map(|it| display(it.bucket.escape_debug())),
                        s3.key = object.as_ref().ok().map(|it| display(it.key.escape_debug())),
                        attempt = message.receive_count,
                        retry_in_seconds = after.as_secs(),
                        error = %error.escape_debug(),
                        "not settled: the message will come again"
                    );
                    if fatal {
                        self.shared.fail(&error);
                    }
                    // The shortest wait: what must wait longer simply fails again.
                    wait = Some(wait.map_or(after, |wait| wait.min(after)));
                    continue;
                }
            }
            if let Ok(object) = object {
                self.observe_lag(object);
            }
        }
        match (wait, unreadable.saturating_sub(BAD_ENTRIES)) {
            (Some(wait), _) => Verdict::Retry(wait),
            (None, 0) => {
                self.forget_attempts(&notified);
                Verdict::Delete
            }
            (None, left_out) => {
                // The first of the parked lines has the body, and with it every entry.
                let error = format!(
                    "{left_out} entries besides the {BAD_ENTRIES} parked ones cannot be read"
                );
                let reason = Reason::BadNotification;
                let verdict = self.park_message(origin, reason, error).await;
                if verdict == Verdict::Delete {
                    self.forget_attempts(&notified);
                    self.count_object("quarantined", reason.as_str(), left_out);
                }
                verdict
            }
        }
    }

    async fn settle_in_a_span(&self, object: &NotifiedObject, origin: Origin<'_>) -> Outcome {
        let span = spans::of_object(&self.account.name, origin.message, object);
        // On the heap: most of a worker's future is this one, and a future is copied a dozen times on
        // its way into a task and out of it.
        let settling = Box::pin(self.settle(object, origin));
        let outcome = settling.instrument(span.clone()).await;
        let (word, reason) = match &outcome {
            Outcome::Done => ("done", None),
            Outcome::Skipped(kind) => ("skipped", Some(*kind)),
            Outcome::Quarantined(reason) => ("quarantined", Some(reason.as_str())),
            Outcome::Retry { .. } => ("retried", None),
        };
        span.record("reason", reason);
        spans::end(&span, word, word == "retried");
        outcome
    }

    /// Whatever names these objects next begins anew.
    fn forget_attempts(&self, notified: &Notified) {
        for object in notified.objects.iter().flatten() {
            if let Admission::Read(file) = admit(object, &self.account.buckets) {
                self.object_attempts.settled(&file);
            }
        }
    }

    fn count_object(&self, outcome: &str, reason: &str, count: u64) {
        let balance = &self.shared.metrics.balance;
        balance.count_objects(&self.account.name, outcome, reason, count);
    }

    fn observe_lag(&self, object: &NotifiedObject) {
        let Some(event_time) = object.event_time else { return };
        if let Ok(lag) = self.shared.clock.now().duration_since(event_time) {
            self.shared.metrics.object_lag.observe(lag.as_secs_f64());
        }
    }

    fn origin<'a>(&'a self, message: &'a Message, body_parked: &'a AtomicBool) -> Origin<'a> {
        let account = &self.account.name;
        Origin { account, message, entry: None, body_parked, more_follows: false }
    }

    async fn park_message(&self, origin: Origin<'_>, reason: Reason, error: String) -> Verdict {
        // On the heap: every worker's future would be larger for what is seldom needed.
        let parking = Box::pin(self.park_once(origin, parcel_of_message(origin, reason, error)));
        match parking.await {
            Outcome::Retry { after, error, .. } => {
                tracing::warn!(
                    account = self.account.name,
                    sqs.message_id = %origin.message.id,
                    error = %error.escape_debug(),
                    "not settled: the message will come again"
                );
                Verdict::Retry(after)
            }
            _ => Verdict::Delete,
        }
    }

    /// A panic is our bug, not the message's; but one that comes back with the same message every
    /// time must not go on for ever.
    async fn panicked(&self, message: &Message) -> Verdict {
        self.shared.metrics.panics.inc();
        let wait = |attempt| full_jitter(attempt, LONGEST_WAIT);
        let (attempt, after) = self.shared.message_attempts.failed(&message.id, wait);
        tracing::error!(
            account = self.account.name,
            sqs.message_id = %message.id,
            attempt,
            "a worker panicked: this is a bug in trailsift"
        );
        if attempt < self.shared.settings.max_receive {
            return Verdict::Retry(after);
        }
        let error = format!("working on the message panicked {attempt} times");
        let body_parked = AtomicBool::new(false);
        self.park_message(self.origin(message, &body_parked), Reason::Panic, error).await
    }

    /// Gives the message back, if it is still ours to give.
    pub(crate) async fn release(&self, lease: &Lease, after: Duration) {
        let Some(receipt) = lease.receipt() else { return };
        let shared = &self.shared;
        let drained = async {
            shared.deadline.cancelled().await;
            sleep(give_back_step(&shared.settings)).await;
        };
        // Cancel safety: a release that is given up may still happen, which is as good.
        let released = tokio::select! {
            biased;
            released = timeout(RELEASE_TIMEOUT, self.account.queue.release(&receipt, after)) => released.ok(),
            () = drained => None,
        };
        let error = match released {
            Some(Ok(())) => return,
            Some(Err(error)) => error.to_string(),
            None => "no answer in time".to_owned(),
        };
        tracing::warn!(
            account = self.account.name,
            sqs.message_id = %lease.id,
            error = %error.escape_debug(),
            "a message could not be given back: it comes again when its lease ends"
        );
    }
}

fn parcel_of_entry<'a>(fault: &'a EntryFault, origin: Origin<'a>) -> Parcel<'a> {
    Parcel {
        bucket: fault.bucket.as_deref(),
        key: fault.key.as_deref(),
        ..parcel_of_message(origin, fault.reason, fault.detail.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task's future is moved a dozen times on its way from the spawn to the first poll and from its
    /// end to the drop. At 10 KB that was a tenth of all instructions that a small file costs.
    #[test]
    fn the_future_of_a_worker_is_small() {
        fn size_of<F: Future>(_: impl Fn(Arc<Lane>, Message, Ticket, Duration) -> F) -> usize {
            std::mem::size_of::<F>()
        }
        let size = size_of(handle);
        assert!(size <= 3 * 1024, "{size} bytes: put what is large or seldom awaited on the heap");
    }
}
