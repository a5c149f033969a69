//! When a message goes, and when it stays: delivery rules D1 to D4 and D8.

use crate::rig::{
    BUCKET, Rig, SECOND, filtered, key, notification, notification_in, selected, within,
};
use trailsift_core::{QueueError, Reason, SinkError, StoreError};
use trailsift_testkit::{Answer, QueueOp, QueueSettings, StoreFault};

#[tokio::test(start_paused = true)]
async fn selected_events_leave_byte_for_byte_and_the_message_goes() {
    let mut rig = Rig::new();
    let odd = "{ \"n\":1e400,\"eventSource\" : \"codeguru\\u002dreviewer.amazonaws.com\"\t}";
    rig.deliver("one", &[&selected("1"), &filtered("2"), odd]);
    rig.deliver("none", &[&filtered("3")]);
    let totals = rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("1"), odd.to_owned()]);
    assert_eq!((totals.files, totals.records, totals.selected), (2, 4, 2));
    assert_eq!(rig.queue.deleted().len(), 2);
    let entry = &rig.sink.acknowledged()[1];
    assert_eq!((entry.index, entry.source.key.as_str()), (2, key("one").as_str()));
    assert!(entry.source.etag.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_message_stays_until_the_sink_has_acknowledged_and_its_lease_is_kept() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    // Ten times the visibility timeout: only extensions keep the message ours.
    tokio::time::sleep(300 * SECOND).await;
    assert!(rig.queue.deleted().is_empty());
    assert_eq!(rig.queue.in_flight().len(), 1);
    rig.sink.let_go();
    within(SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1")]);
    assert_eq!(rig.sink.writes().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_message_stays_when_one_of_two_objects_fails() {
    let mut rig = Rig::new();
    let [good, late] = [key("good"), key("late")];
    rig.store.put(BUCKET, &good, crate::rig::trail_file(&[&selected("1")]));
    rig.store.put(BUCKET, &late, crate::rig::trail_file(&[&selected("2")]));
    let slow_down = StoreError::Throttled { after: None, message: "SlowDown".into() };
    rig.store.fault(BUCKET, &good, StoreFault::Error(slow_down));
    let id = rig.queue.send(notification(&[&good, &late]));
    rig.run_until_empty().await;
    let events = rig.events();
    assert!(events.contains(&selected("1")) && events.contains(&selected("2")));
    assert_eq!(rig.queue.deleted(), [id]);
    assert!(rig.parked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_sink_brings_the_message_back_and_never_makes_it_poison() {
    let mut rig = Rig::new();
    for _ in 0..20 {
        rig.sink.answer(Answer::Fail(SinkError::retry("the collector is down")));
    }
    rig.deliver("one", &[&selected("1")]);
    let totals = rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("1")]);
    assert_eq!(rig.sink.writes().len(), 21);
    assert!(rig.parked().is_empty());
    assert_eq!((totals.files, totals.records, totals.objects_retried), (1, 1, 20));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_a_sink_refuses_for_good_is_parked_and_its_neighbours_are_delivered() {
    let mut rig = Rig::new();
    let refusal = SinkError::poison(Reason::SinkRejected, "400: no such index");
    rig.sink.answer(Answer::AcceptExcept(vec![(1, refusal)]));
    let records = [selected("1"), selected("2"), selected("3")];
    let file = rig.deliver("one", &records.each_ref().map(String::as_str));
    rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("1"), selected("3")]);
    let parked = rig.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0]["reason"], "sink_rejected");
    assert_eq!((&parked[0]["index"], &parked[0]["key"]), (&1.into(), &file.into()));
    assert_eq!(parked[0]["data"], selected("2"));
    assert_eq!(parked[0]["time"], "2023-11-14T22:13:20Z");
}

#[tokio::test(start_paused = true)]
async fn a_required_sink_that_takes_only_some_is_asked_again() {
    let mut rig = Rig::new();
    rig.sink.answer(Answer::AcceptExcept(vec![(0, SinkError::retry("busy"))]));
    rig.deliver("one", &[&selected("1"), &selected("2")]);
    rig.run_until_empty().await;
    assert!(rig.events().contains(&selected("1")));
    assert!(rig.parked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_before_the_quarantine_has_it() {
    let rig = Rig::new();
    rig.parked.answer_by(|_| Answer::Fail(SinkError::retry("disk full")));
    rig.queue.send("no notification at all");
    rig.queue.send(notification_in("somebody-elses", &[&key("x")]));
    rig.store.put(BUCKET, &key("bad"), crate::rig::gzip(b"{}"));
    rig.queue.send(notification(&[&key("bad")]));
    let running = rig.start();
    tokio::time::sleep(600 * SECOND).await;
    assert!(rig.queue.deleted().is_empty());
    rig.parked.heal();
    within(3600 * SECOND, rig.queue.until_empty()).await;
    let mut reasons: Vec<_> = rig.parked().iter().map(|line| line["reason"].clone()).collect();
    reasons.sort_by_key(ToString::to_string);
    assert_eq!(reasons, ["bad_notification", "bucket_not_allowed", "no_records"]);
    assert_eq!(rig.parked().iter().filter(|l| l["body"] == "no notification at all").count(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_record_that_is_too_large_for_the_quarantines_sink_the_beginning_is_parked() {
    let mut rig = Rig::new();
    let record = selected(&"ü".repeat(5000));
    rig.sink.answer_by(|_| {
        let refusal = SinkError::poison(Reason::SinkRejected, "400: no such index");
        Answer::AcceptExcept(vec![(0, refusal)])
    });
    rig.parked.answer_by(|batch| {
        let too_large = || SinkError::poison(Reason::SinkRecordTooLarge, "too large");
        match batch.bytes() > 4096 {
            true => Answer::AcceptExcept(vec![(0, too_large())]),
            false => Answer::Accept,
        }
    });
    rig.deliver("large", &[&record]);
    rig.run_until_empty().await;
    let parked = rig.parked();
    assert_eq!(parked.len(), 1, "{parked:?}");
    let data = parked[0]["data"].as_str().expect("text");
    assert!(record.starts_with(data) && (1020..=1024).contains(&data.len()), "{data}");
    assert_eq!((&parked[0]["index"], &parked[0]["reason"]), (&0.into(), &"sink_rejected".into()));
    let error = parked[0]["error"].as_str().expect("text");
    assert!(error.contains("no such index") && error.contains("cut"), "{error}");
    assert_eq!(rig.queue.deleted().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_not_allowed_is_never_asked_for() {
    let mut rig = Rig::new();
    rig.store.put("somebody-elses", &key("x"), crate::rig::trail_file(&[&selected("1")]));
    rig.queue.send(notification_in("somebody-elses", &[&key("x")]));
    rig.queue.send(notification(&["AWSLogs/readme.txt"]));
    rig.queue.send(notification(&[&key("x").replace("/CloudTrail/", "/CloudTrail-Digest/")]));
    let totals = rig.run_until_empty().await;
    assert!(rig.store.requests().is_empty());
    assert!(rig.events().is_empty());
    assert_eq!(totals.skipped.values().sum::<u64>(), 2);
    assert_eq!(totals.quarantined["bucket_not_allowed"], 1);
}

#[tokio::test(start_paused = true)]
async fn under_redrive_nothing_is_parked_or_deleted_and_the_queue_moves_it() {
    let mut rig =
        Rig::with_queue(QueueSettings { max_receive_count: Some(3), ..QueueSettings::default() });
    rig.redrive = true;
    rig.queue.send("no notification at all");
    rig.run_until_empty().await;
    assert!(rig.parked().is_empty() && rig.queue.deleted().is_empty());
    assert_eq!(rig.queue.dead_letters().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_delivers_nothing_and_a_bad_record_only_spoils_itself() {
    let mut rig = Rig::new();
    let whole = crate::rig::trail_file(&[&selected("1")]);
    rig.store.put(BUCKET, &key("cut"), whole.slice(..whole.len() - 9));
    rig.queue.send(notification(&[&key("cut")]));
    let bad = r#"{"eventSource":"codeguru-reviewer.amazonaws.com",,}"#;
    rig.deliver("mixed", &[bad, &selected("2")]);
    let totals = rig.run_until_empty().await;
    assert_eq!(rig.events(), [selected("2")]);
    assert_eq!(totals.quarantined["gzip_truncated"], 1);
    assert_eq!(totals.quarantined["record_syntax"], 1);
    assert_eq!((totals.files, totals.records, totals.selected), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_missing_object_is_parked_after_three_tries() {
    let mut rig = Rig::new();
    rig.queue.send(notification(&[&key("gone")]));
    rig.run_until_empty().await;
    assert_eq!(rig.store.requests().len(), 3);
    assert_eq!(rig.parked()[0]["reason"], "object_missing");
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_is_asked_for_ever() {
    let rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    for _ in 0..50 {
        let down = StoreError::Unavailable("503".into());
        rig.store.fault(BUCKET, &file, StoreFault::Error(down));
    }
    let running = rig.start();
    within(24 * 3600 * SECOND, rig.sink.until_acknowledged(1)).await;
    assert!(rig.parked().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_resumed_where_it_broke() {
    let mut rig = Rig::new();
    let records: Vec<_> = (0..200).map(|n| selected(&n.to_string())).collect();
    let file = rig.deliver("one", &records.iter().map(String::as_str).collect::<Vec<_>>());
    for fault in [StoreFault::BreakAfter(40), StoreFault::EndAfter(60), StoreFault::StallAfter(9)] {
        rig.store.fault(BUCKET, &file, fault);
    }
    rig.run_until_empty().await;
    assert_eq!(rig.events(), records);
    let offsets: Vec<_> =
        rig.store.requests().iter().map(|r| r.from.as_ref().map(|from| from.offset)).collect();
    assert_eq!(offsets, [None, Some(40), Some(100), Some(109)]);
}

#[tokio::test(start_paused = true)]
async fn an_object_overwritten_while_it_is_read_is_read_anew() {
    let rig = Rig::new();
    let file = rig.deliver("one", &[&selected("old")]);
    rig.store.fault(BUCKET, &file, StoreFault::StallAfter(20));
    let running = rig.start();
    tokio::time::sleep(10 * SECOND).await;
    rig.store.put(BUCKET, &file, crate::rig::trail_file(&[&selected("new")]));
    within(60 * SECOND, rig.queue.until_empty()).await;
    // Nothing of the old object, whose first bytes had come, is mixed with the new one.
    assert_eq!(rig.events(), [selected("new")]);
    let resumed: Vec<_> = rig.store.requests().iter().map(|r| r.from.is_some()).collect();
    assert_eq!(resumed, [false, true, false]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_joins_the_running_work_and_the_newest_receipt_deletes() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    let id = rig.queue.in_flight()[0].clone();
    assert!(rig.queue.deliver_again(&id));
    tokio::time::sleep(5 * SECOND).await;
    rig.sink.let_go();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.writes().len(), 1);
    assert_eq!(rig.queue.deleted(), [id]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_never_deletes() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    rig.deliver("one", &[&selected("1")]);
    rig.queue.fail_next(QueueOp::Extend, QueueError::LeaseLost("taken away".into()));
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    // The first extension is due after half of 30 s and fails; before the lease ends, the work
    // is done without the right to delete.
    tokio::time::sleep(20 * SECOND).await;
    rig.sink.let_go();
    within(SECOND, rig.sink.until_acknowledged(1)).await;
    tokio::time::sleep(SECOND).await;
    assert!(rig.queue.deleted().is_empty());
    // It comes again and is settled then, and is not sent a second time.
    within(120 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.writes().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_fails_in_part_is_repeated_for_that_part() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..10)
        .map(|n| {
            let file = key(&n.to_string());
            rig.store.put(BUCKET, &file, crate::rig::trail_file(&[&selected("1")]));
            rig.queue.send(notification(&[&file]))
        })
        .collect();
    rig.queue.fail_delete_of(&ids[3], QueueError::Unavailable("InternalError".into()));
    rig.queue.fail_next(QueueOp::Delete, QueueError::Unavailable("timeout".into()));
    let running = rig.start();
    within(25 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.acknowledged().len(), 10);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_more_messages_are_received_than_workers_are_free() {
    let mut rig = Rig::new();
    rig.settings.workers = 3;
    for _ in 0..20 {
        rig.sink.answer(Answer::Hold);
    }
    for n in 0..20 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    let running = rig.start();
    within(SECOND, rig.sink.until_held(3)).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((rig.queue.in_flight().len(), rig.queue.visible().len()), (3, 17));
    rig.sink.heal();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.acknowledged().len(), 20);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_selects_more_than_its_share_leaves_in_parts() {
    let mut rig = Rig::new();
    rig.settings.max_record = 4096;
    rig.settings.memory = 4 * (8 * (1 << 20) + 8 * 3 * 4096) / 3;
    let records: Vec<_> = (0..2000).map(|n| selected(&n.to_string())).collect();
    rig.deliver("one", &records.iter().map(String::as_str).collect::<Vec<_>>());
    let totals = rig.run_until_empty().await;
    assert_eq!(rig.events(), records);
    assert_eq!((totals.records, totals.selected), (2000, 2000));
    let writes = rig.sink.writes();
    assert!(writes.len() > 10, "{} writes", writes.len());
    let largest =
        writes.iter().map(|w| w.entries.iter().map(|e| e.data.len()).sum::<usize>()).max();
    assert!(largest.expect("there are writes") < 4 * 4096);
}

#[tokio::test(start_paused = true)]
async fn control_messages_are_acknowledged_and_counted() {
    let mut rig = Rig::new();
    rig.queue.send(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-20T10:00:00.000Z","Bucket":"org-trail","RequestId":"A","HostId":"B"}"#);
    rig.queue.send("CloudTrail validation message.");
    rig.run_until_empty().await;
    assert_eq!(rig.queue.deleted().len(), 2);
    assert!(rig.parked().is_empty());
    for kind in ["test", "ct_validation"] {
        let labels = [("account", "production"), ("kind", kind), ("outcome", "deleted")];
        assert_eq!(rig.metric("trailsift_messages_total", &labels).to_string(), "1", "{kind}");
    }
    assert_eq!(rig.metric("trailsift_messages_total", &[]).to_string(), "2");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_sink_gives_the_message_back_and_is_parked_in_the_end() {
    let mut rig = Rig::new();
    rig.sink.answer_by(|_| panic!("a bug in a sink"));
    rig.deliver("one", &[&selected("1")]);
    let totals = rig.run_until_empty().await;
    assert_eq!(totals.quarantined["panic"], 1);
    assert_eq!(rig.parked()[0]["error"], "working on the message panicked 5 times");
    assert!(rig.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_lags_are_those_of_the_object_and_of_its_selected_events() {
    let mut rig = Rig::new();
    let event = |time: &str| selected("1").replacen('{', &format!(r#"{{"eventTime":"{time}","#), 1);
    // The rig's clock stands at 22:13:20, and its notifications say 22:13:00.
    let records = [event("2023-11-14T22:08:20Z"), event("2023-11-14T22:12:20Z"), filtered("2")];
    rig.deliver("one", &records.each_ref().map(String::as_str));
    rig.run_until_empty().await;
    assert_eq!(rig.histogram("trailsift_object_lag_seconds"), (1, 20.0));
    assert_eq!(rig.histogram("trailsift_event_lag_seconds"), (2, 360.0));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_ahead_of_the_clock_is_delivered_and_has_no_lag() {
    let mut rig = Rig::new();
    let ahead = selected("1").replacen('{', r#"{"eventTime":"2031-01-01T00:00:00Z","#, 1);
    rig.deliver("one", &[&ahead]);
    rig.run_until_empty().await;
    assert_eq!(rig.events(), [ahead]);
    assert_eq!(rig.histogram("trailsift_event_lag_seconds"), (0, 0.0));
}
