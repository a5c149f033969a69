//! What a failing object means, and what it may cost the others: delivery rules D4 and D7.

use crate::rig::{
    BUCKET, Rig, SECOND, filtered, gzip, key, notification, notification_in, selected, trail_file,
    within,
};
use tokio::time::{Instant, sleep};
use trailsift_core::{SinkError, StoreError};
use trailsift_testkit::{Answer, MemoryStore, QueueEvent, StoreFault};

/// When each request of the object's beginning was made.
fn asked(store: &MemoryStore) -> Vec<Instant> {
    store.requests().iter().filter(|request| request.from.is_none()).map(|r| r.at).collect()
}

#[tokio::test(start_paused = true)]
async fn half_a_minute_without_the_kms_key_parks_nothing() {
    let mut rig = Rig::new();
    let start = Instant::now();
    for n in 0..20 {
        let file = rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        rig.store.fault_by(BUCKET, &file, move || {
            let refused = || StoreFault::Error(StoreError::KmsDenied("AccessDenied".into()));
            (start.elapsed() < 30 * SECOND).then(refused)
        });
    }
    rig.run_until_empty().await;
    assert!(rig.parked().is_empty());
    assert_eq!(rig.events().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn refused_access_is_tried_five_times_at_least_a_minute_apart() {
    for refusals in [4, 5] {
        for wrong_region in [false, true] {
            let mut rig = Rig::new();
            let file = rig.deliver("one", &[&selected("1")]);
            for _ in 0..refusals {
                let refusal = match wrong_region {
                    true => StoreError::WrongRegion { region: None, message: "301".into() },
                    false => StoreError::Denied("AccessDenied".into()),
                };
                rig.store.fault(BUCKET, &file, StoreFault::Error(refusal));
            }
            rig.run_until_empty().await;
            let asked = asked(&rig.store);
            assert_eq!(asked.len(), 5);
            let pauses: Vec<_> = asked.windows(2).map(|at| at[1].duration_since(at[0])).collect();
            assert!(pauses.iter().all(|pause| *pause >= 60 * SECOND), "{pauses:?}");
            match refusals {
                4 => assert_eq!(rig.events(), [selected("1")]),
                _ => assert_eq!(
                    rig.parked()[0]["reason"],
                    if wrong_region { "wrong_region" } else { "access_denied" }
                ),
            }
        }
    }
}

/// A neighbour that is in a hurry has the message come again after seconds, and each time the object
/// is asked for, too.
#[tokio::test(start_paused = true)]
async fn refused_access_has_four_minutes_to_be_granted_whatever_the_neighbours_do() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Fail(SinkError::retry("busy")));
    let (denied, good) = (key("denied"), key("good"));
    rig.store.put(BUCKET, &denied, trail_file(&[&filtered("d")]));
    rig.store.put(BUCKET, &good, trail_file(&[&selected("g")]));
    rig.store.fault_by(BUCKET, &denied, || {
        Some(StoreFault::Error(StoreError::Denied("AccessDenied".into())))
    });
    rig.queue.send(notification(&[&denied, &good]));
    let running = rig.start();
    let began = Instant::now();
    within(3600 * SECOND, rig.parked.until_acknowledged(1)).await;
    let spent = began.elapsed();
    assert!(spent >= 4 * 60 * SECOND, "parked after {spent:?}");
    assert_eq!(rig.parked()[0]["reason"], "access_denied");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_once_the_object_is_settled() {
    let rig = Rig::new();
    let missing = || StoreFault::Error(StoreError::NotFound("NoSuchKey".into()));
    let file = key("one");
    let running = rig.start();
    // Two failures, then a success, several times over: three in a row would park it. The last one
    // is a duplicate, which is a success too.
    for id in ["1", "2", "3", "3"] {
        rig.store.put(BUCKET, &file, trail_file(&[&selected(id)]));
        rig.store.fault(BUCKET, &file, missing());
        rig.store.fault(BUCKET, &file, missing());
        rig.queue.send(notification(&[&file]));
        within(120 * SECOND, rig.queue.until_empty()).await;
    }
    assert!(rig.parked().is_empty());
    assert_eq!(rig.events(), [selected("1"), selected("2"), selected("3")]);
    // Parked is settled, too: the next notification has three tries of its own.
    rig.store.delete(BUCKET, &file);
    for parked in 1..=3 {
        let before = rig.store.requests().len();
        rig.queue.send(notification(&[&file]));
        within(120 * SECOND, rig.queue.until_empty()).await;
        assert_eq!((rig.parked().len(), rig.store.requests().len() - before), (parked, 3));
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_several_failing_objects_the_shortest_wait_counts() {
    let rig = Rig::new();
    let (slow, quick) = (key("slow"), key("quick"));
    for (first, second) in [(&slow, &quick), (&quick, &slow)] {
        for (file, asks) in [(&slow, 40 * 60), (&quick, 10 * 60)] {
            rig.store.put(BUCKET, file, trail_file(&[&selected("1")]));
            let after = Some(asks * SECOND);
            let busy = StoreError::Throttled { after, message: "SlowDown".into() };
            rig.store.fault(BUCKET, file, StoreFault::Error(busy));
        }
        rig.queue.send(notification(&[first, second]));
    }
    let running = rig.start();
    within(3600 * SECOND, rig.queue.until_empty()).await;
    let waits: Vec<_> = rig
        .queue
        .history()
        .into_iter()
        .filter_map(|recorded| match recorded.event {
            QueueEvent::Released { after, .. } => Some(after),
            _ => None,
        })
        .collect();
    assert_eq!(waits, [600 * SECOND, 600 * SECOND]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_larger_than_max_inflated_is_parked_without_reading_its_body() {
    let mut rig = Rig::new();
    rig.settings.max_inflated = 100;
    let file = key("large");
    // Bytes that cannot be inflated, from a body that would never come.
    rig.store.put(BUCKET, &file, vec![b'x'; 101]);
    rig.store.fault(BUCKET, &file, StoreFault::StallAfter(0));
    rig.queue.send(notification(&[&file]));
    let before = Instant::now();
    let totals = rig.run_until_empty().await;
    assert!(before.elapsed() < 10 * SECOND);
    assert_eq!(rig.parked()[0]["reason"], "too_large");
    assert_eq!((totals.compressed_bytes, rig.store.requests().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_dripping_body_is_given_up_and_resumed() {
    let mut rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    // No stall is ever 30 s long, and yet the object would take hours.
    rig.store.fault(BUCKET, &file, StoreFault::Drip { bytes: 1, every: 29 * SECOND });
    let before = Instant::now();
    rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("1")]);
    assert!(before.elapsed() < 150 * SECOND, "{:?}", before.elapsed());
    let offsets: Vec<_> =
        rig.store.requests().iter().map(|r| r.from.as_ref().map(|from| from.offset)).collect();
    assert_eq!(offsets, [None, Some(4)]);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_always_drip_do_not_keep_the_workers() {
    let mut rig = Rig::new();
    rig.settings.workers = 4;
    for n in 0..4 {
        let file = rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        let drip = || Some(StoreFault::Drip { bytes: 1, every: 29 * SECOND });
        rig.store.fault_by(BUCKET, &file, drip);
    }
    let running = rig.start();
    sleep(60 * SECOND).await;
    rig.deliver("healthy", &[&selected("healthy")]);
    // A body is begun, and resumed three times, for two minutes each; then the worker is free.
    within(540 * SECOND, rig.sink.until_acknowledged(1)).await;
    assert_eq!(rig.events(), [selected("healthy")]);
    assert!(rig.parked().is_empty());
    rig.store.heal();
    within(3600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.acknowledged().len(), 5);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_slow_but_not_dripping_is_read_to_its_end() {
    let mut rig = Rig::new();
    // 512 KiB take 64 s and the whole of it some minutes: slow, but it gets on.
    let records: Vec<_> = (0..15_000).map(|n| selected(&n.to_string())).collect();
    let plain = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    assert!(plain.len() > 3 * (512 << 10));
    let file = key("slow");
    rig.store.put(BUCKET, &file, plain);
    rig.store.fault(BUCKET, &file, StoreFault::Drip { bytes: 64 << 10, every: 8 * SECOND });
    rig.queue.send(notification(&[&file]));
    rig.run_until_empty().await;
    assert_eq!(rig.events(), records);
    assert_eq!(rig.store.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_released_in_part_is_not_begun_anew_within_one_delivery() {
    let mut rig = Rig::new();
    rig.settings.max_record = 4096;
    rig.settings.memory = 4 * (8 * (1 << 20) + 8 * 3 * 4096) / 3;
    let file = key("large");
    let old: Vec<_> = (0..15_000).map(|n| selected(&format!("old-{n}"))).collect();
    let new: Vec<_> = (0..15_000).map(|n| selected(&format!("new-{n}"))).collect();
    let plain = |records: &[String]| format!(r#"{{"Records":[{}]}}"#, records.join(","));
    rig.store.put(BUCKET, &file, plain(&old));
    // Too large to be read whole. Beyond the first 512 KiB, of which most is delivered when the body stalls.
    rig.store.fault(BUCKET, &file, StoreFault::StallAfter(600 << 10));
    rig.queue.send(notification(&[&file]));
    let running = rig.start();
    within(SECOND, rig.sink.until_acknowledged(1000)).await;
    sleep(10 * SECOND).await;
    rig.store.put(BUCKET, &file, plain(&new));
    within(600 * SECOND, rig.queue.until_empty()).await;
    let events = rig.events();
    let first_part = events.len() - new.len();
    assert_eq!(events[..first_part], old[..first_part]);
    assert_eq!(events[first_part..], new);
    // Begun anew by another delivery of the message: then it is the queue that counts the attempt.
    let deliveries: Vec<_> = rig
        .queue
        .history()
        .into_iter()
        .filter(|recorded| matches!(recorded.event, QueueEvent::Received { .. }))
        .map(|recorded| recorded.at)
        .collect();
    let begun = asked(&rig.store);
    assert_eq!((deliveries.len(), begun.len()), (2, 2));
    assert!(begun[1] >= deliveries[1]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_or_skipped_neighbour_does_not_delete_the_message_of_a_failing_object() {
    let names = [key("failing"), key("damaged"), "AWSLogs/readme.txt".to_owned(), key("good")];
    for first in 0..names.len() {
        let mut rig = Rig::new();
        rig.store.put(BUCKET, &names[0], trail_file(&[&selected("late")]));
        let down = StoreError::Unavailable("500".into());
        rig.store.fault(BUCKET, &names[0], StoreFault::Error(down));
        rig.store.put(BUCKET, &names[1], gzip(b"[]"));
        rig.store.put(BUCKET, &names[3], trail_file(&[&selected("good")]));
        let mut order: Vec<_> = names.iter().map(String::as_str).collect();
        order.rotate_left(first);
        rig.queue.send(notification(&order));
        rig.run_until_empty().await;
        assert!(rig.events().contains(&selected("late")), "{order:?}");
        assert_eq!(rig.parked()[0]["reason"], "toplevel_type");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_object_does_not_keep_its_neighbours_in_the_message_waiting() {
    let rig = Rig::new();
    let (bad, good) = (key("bad"), key("good"));
    rig.store.put(BUCKET, &good, trail_file(&[&selected("good")]));
    rig.store
        .fault_by(BUCKET, &bad, || Some(StoreFault::Error(StoreError::Unavailable("500".into()))));
    rig.queue.send(notification(&[&bad, &good]));
    let running = rig.start();
    within(SECOND, rig.sink.until_acknowledged(1)).await;
    assert!(rig.queue.deleted().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn objects_that_were_not_created_are_counted_as_notified_and_skipped() {
    let mut rig = Rig::new();
    let removed = notification(&[&key("x")]).replace("ObjectCreated:Put", "ObjectRemoved:Delete");
    rig.queue.send(removed);
    rig.deliver("one", &[&selected("1")]);
    let totals = rig.run_until_empty().await;
    assert_eq!(totals.skipped["not_created"], 1);
    let notified = rig.metric("trailsift_objects_notified_total", &[]);
    assert_eq!(notified.to_string(), "2");
    assert_eq!(rig.store.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_of_bad_records_fills_no_disk_and_keeps_no_good_record_back() {
    let mut rig = Rig::new();
    let good = selected("good");
    let mut records = vec!["1"; 5000];
    records.insert(2500, &good);
    let file = rig.deliver("bad", &records);
    let totals = rig.run_until_empty().await;
    assert_eq!(rig.events(), [good]);
    let parked = rig.parked();
    assert_eq!(parked.len(), 101);
    let last = parked.last().expect("the file's own line");
    assert_eq!((&last["reason"], &last["key"]), (&"too_many_bad_records".into(), &file.into()));
    assert!(last["error"].as_str().expect("text").starts_with("4900 records besides"), "{last}");
    assert_eq!(totals.quarantined["record_type"], 100);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_bad_entries_is_parked_in_few_lines_with_its_body_once() {
    let mut rig = Rig::new();
    rig.store.put(BUCKET, &key("one"), trail_file(&[&selected("1")]));
    let mut body: serde_json::Value =
        serde_json::from_str(&notification(&[&key("one")])).expect("JSON");
    let entries = body["Records"].as_array_mut().expect("entries");
    entries.extend(vec![serde_json::json!({ "eventSource": "aws:s3" }); 2000]);
    let body = body.to_string();
    assert!(body.len() > 16 * 1024);
    rig.queue.send(body.clone());
    rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("1")]);
    let parked = rig.parked();
    assert_eq!(parked.len(), 101);
    let bodies: Vec<_> = parked.iter().filter_map(|line| line["body"].as_str()).collect();
    assert_eq!(bodies.iter().filter(|text| **text == body).count(), 1);
    assert_eq!(rig.metric("trailsift_objects_total", &[("outcome", "quarantined")]), 2000.0);
}

#[tokio::test(start_paused = true)]
async fn an_object_named_twice_in_a_message_is_read_once() {
    let mut rig = Rig::new();
    let file = key("one");
    rig.store.put(BUCKET, &file, trail_file(&[&selected("1")]));
    rig.queue.send(notification(&[&file, &file, &file]));
    rig.run_until_empty().await;
    assert_eq!((rig.events().len(), rig.store.requests().len()), (1, 1));
    assert_eq!(rig.metric("trailsift_duplicates_suppressed_total", &[]).to_string(), "2");
}

/// A message of unreadable entries, a foreign bucket, a missing object, and a good one.
fn message_with_much_to_park(rig: &Rig) -> String {
    let (good, missing) = (key("good"), key("missing"));
    rig.store.put(BUCKET, &good, trail_file(&[&selected("g")]));
    let mut body: serde_json::Value =
        serde_json::from_str(&notification(&[&good, &missing])).expect("JSON");
    let foreign: serde_json::Value =
        serde_json::from_str(&notification_in("foreign", &[&good])).expect("JSON");
    let entries = body["Records"].as_array_mut().expect("entries");
    entries.push(foreign["Records"][0].clone());
    entries.extend(vec![serde_json::json!({ "eventSource": "aws:s3" }); 100]);
    body.to_string()
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_of_a_message_is_parked_once_however_often_it_comes_again() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Fail(SinkError::retry("down")));
    rig.queue.send(message_with_much_to_park(&rig));
    let running = rig.start();
    sleep(4 * 3600 * SECOND).await;
    assert!(rig.metric("trailsift_objects_total", &[("outcome", "retried")]) > 20.0);
    assert_eq!(rig.parked().len(), 102);
    assert_eq!(rig.metric("trailsift_quarantined_total", &[]).to_string(), "102");

    rig.sink.heal();
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!((rig.events(), rig.parked().len()), (vec![selected("g")], 102));
    // What comes in a message of its own is parked anew.
    rig.queue.send(message_with_much_to_park(&rig));
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.parked().len(), 204);
    running.stop().await;
    assert_eq!(rig.unbalanced(), None);
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_that_is_there_when_its_message_comes_again_is_delivered() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Fail(SinkError::retry("down")));
    rig.queue.send(message_with_much_to_park(&rig));
    let running = rig.start();
    within(3600 * SECOND, rig.parked.until_acknowledged(102)).await;
    rig.store.put(BUCKET, &key("missing"), trail_file(&[&selected("late")]));
    rig.sink.heal();
    within(3600 * SECOND, rig.queue.until_empty()).await;
    let mut events = rig.events();
    events.sort();
    assert_eq!(events, [selected("g"), selected("late")]);
    assert_eq!(rig.parked().len(), 102);
    running.stop().await;
    assert_eq!(rig.unbalanced(), None);
}
