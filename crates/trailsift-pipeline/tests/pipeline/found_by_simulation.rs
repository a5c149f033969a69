//! What the simulation has found, each reduced to its reason.

use std::sync::Arc;

use crate::quirky_queue::{Quirk, QuirkyQueue};
use crate::rig::{BUCKET, Rig, SECOND, key, notification, selected, trail_file, within};
use serde_json::json;
use tokio::time::Instant;
use trailsift_core::{SinkError, StoreError};
use trailsift_pipeline::Ended;
use trailsift_testkit::{Answer, QueueOp, QueueSettings, StoreFault};

/// A notification of these revisions of one object, each by its entity tag.
fn notification_of(key: &str, etags: &[&str]) -> String {
    let entry = |etag: &&str| {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": { "name": BUCKET },
                "object": { "key": key, "eTag": etag.trim_matches('"') }
            }
        })
    };
    let entries: Vec<_> = etags.iter().map(entry).collect();
    json!({ "Records": entries }).to_string()
}

/// Delivery rule D1. The first entry is done with, says the ledger; the second one is not, though it
/// names the same key.
#[tokio::test(start_paused = true)]
async fn an_object_and_what_has_overwritten_it_in_one_message_are_two() {
    let rig = Rig::new();
    let key = key("one");
    let first = rig.store.put(BUCKET, &key, trail_file(&[&selected("1")]));
    rig.queue.send(notification_of(&key, &[&first.etag]));
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let second = rig.store.put(BUCKET, &key, trail_file(&[&selected("2")]));
    rig.queue.send(notification_of(&key, &[&first.etag, &second.etag]));
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1"), selected("2")]);
    running.stop().await;
}

/// Delivery rule D9. The last poll of a drain brings a message when the time for giving back is
/// nearly over, and the queue is slow: what it does not answer is no failure of ours.
#[tokio::test(start_paused = true)]
async fn a_slow_queue_cannot_make_a_drain_fail() {
    let mut rig = Rig::with_queue(QueueSettings {
        visibility_timeout: 10 * SECOND,
        ..QueueSettings::default()
    });
    rig.settings.drain_timeout = 2 * SECOND;
    rig.sink.answer_by(|_| Answer::Hang);
    rig.parked.answer_by(|_| Answer::Fail(SinkError::retry("disk full")));
    rig.deliver("one", &[&selected("1")]);
    let far = Quirk::Far { receive: 7 * SECOND / 20, release: SECOND };
    rig.queue_front = Some(Arc::new(QuirkyQueue::new(&rig.queue, far)));
    let running = rig.start();
    within(SECOND, rig.sink.until_writes(1)).await;
    let before = Instant::now();
    assert_eq!(running.stop().await, Ended::Drained);
    assert!(before.elapsed() <= rig.settings.drain_timeout);
}

/// Delivery rule D7. Each is parked at its third attempt, and one of them has lost an attempt to
/// something else: had the other one to begin anew, they would never both be settled.
#[tokio::test(start_paused = true)]
async fn two_missing_objects_of_a_message_are_parked_although_out_of_step() {
    let mut rig = Rig::new();
    let (one, two) = (key("one"), key("two"));
    let busy = StoreError::Unavailable("InternalError".into());
    rig.store.fault(BUCKET, &one, StoreFault::Error(busy));
    rig.queue.send(notification(&[&one, &two]));
    let totals = rig.run_until_empty().await;
    assert_eq!(totals.quarantined["object_missing"], 2);
}

/// Only at the end of a drain there is no time to wait for the queue.
#[tokio::test(start_paused = true)]
async fn a_short_drain_cuts_no_release_off_before_it_begins() {
    let mut rig = Rig::new();
    rig.settings.drain_timeout = SECOND;
    rig.queue.latency(QueueOp::Release, SECOND);
    rig.queue.send(notification(&[&key("missing")]));
    let begin = Instant::now();
    assert_eq!(rig.run_until_empty().await.quarantined["object_missing"], 1);
    assert!(begin.elapsed() < 25 * SECOND, "without waiting for a lease to end");
}
