//! What the ledger knows is not sent twice, and what it does not know is: delivery rule D5. And a
//! ledger that fails stops nobody.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::rig::{
    BUCKET, Rig, SECOND, account, filtered, key, notification, outlet, selected, texts, trail_file,
    within,
};
use tokio::time::Instant;
use trailsift_core::{Ledger as _, ObjectId, QueueError, Reason, Revision, Settlement, SinkError};
use trailsift_testkit::{Answer, LedgerFault, LedgerOp, MemoryQueue, ScriptedSink};

/// Sends a notification and waits until it is settled.
async fn settle(rig: &Rig, files: &[&str]) {
    rig.queue.send(notification(files));
    within(600 * SECOND, rig.queue.until_empty()).await;
}

/// What the ledger calls the object as it is stored now.
fn id(rig: &Rig, key: &str) -> ObjectId {
    let found = rig.ledger.entries().into_keys().find(|id| id.key == key);
    found.unwrap_or_else(|| panic!("nothing is known of {key}"))
}

fn settlement(sinks: &[&str], parked: Option<Reason>) -> Settlement {
    Settlement {
        etag: None,
        version_id: None,
        sinks: sinks.iter().map(ToString::to_string).collect(),
        parked,
        inflated: 0,
        sha256: None,
        seen: 0,
        selected: 0,
        quarantined: 0,
        first_event: None,
        last_event: None,
        settled_at: SystemTime::UNIX_EPOCH,
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_notification_of_the_same_object_sends_nothing() {
    let rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    settle(&rig, &[&file]).await;
    assert_eq!(rig.sink.stored().len(), 1);
    let skipped = [("outcome", "skipped"), ("reason", "duplicate")];
    assert_eq!(rig.metric("trailsift_objects_total", &skipped), 1.0);
    assert_eq!(rig.metric("trailsift_duplicates_suppressed_total", &[]), 1.0);
    assert_eq!(rig.unbalanced(), None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_notification_that_names_a_revision_that_is_done_does_not_even_ask_for_it() {
    let rig = Rig::new();
    let file = key("one");
    let etag = rig.store.put(BUCKET, &file, trail_file(&[&selected("1")])).etag;
    let body = notification(&[&file])
        .replace(r#""size":1"#, &format!(r#""size":1,"eTag":"{}""#, etag.trim_matches('"')));
    assert!(body.contains("eTag"));
    let running = rig.start();
    for _ in 0..3 {
        rig.queue.send(body.clone());
        within(60 * SECOND, rig.queue.until_empty()).await;
    }
    assert_eq!((rig.sink.stored().len(), rig.store.requests().len()), (1, 1));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_messages_about_one_object_at_the_same_time_send_it_once() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    let file = rig.deliver("one", &[&selected("1")]);
    rig.queue.send(notification(&[&file]));
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    tokio::time::sleep(3 * SECOND).await;
    rig.sink.let_go();
    within(SECOND, rig.queue.until_empty()).await;
    assert_eq!((rig.sink.stored().len(), rig.store.requests().len()), (1, 2));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_stuck_holds_up_those_who_name_it_only_for_seconds() {
    let mut rig = Rig::new();
    rig.settings.workers = 4;
    rig.sink.answer(Answer::Hold);
    let file = rig.deliver("stuck", &[&selected("1")]);
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    for _ in 0..12 {
        rig.queue.send(notification(&[&file]));
    }
    rig.deliver("free", &[&filtered("2")]);
    tokio::time::sleep(40 * SECOND).await;
    assert_eq!(rig.metric("trailsift_objects_total", &[("outcome", "done")]), 1.0);
    rig.sink.let_go();
    within(1200 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.stored().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_overwritten_object_is_another_one() {
    let rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    rig.deliver("one", &[&selected("1"), &selected("2")]);
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1"), selected("1"), selected("2")]);
    // And back again: that one is done.
    rig.store.put(BUCKET, &file, trail_file(&[&selected("1")]));
    settle(&rig, &[&file]).await;
    assert_eq!(rig.events().len(), 3);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_account_that_is_notified_of_an_object_gets_it() {
    let mut rig = Rig::new();
    let queue = MemoryQueue::new();
    rig.more_accounts.push(account("other", Arc::new(queue.clone()), rig.store.clone()));
    let file = rig.deliver("one", &[&selected("1")]);
    queue.send(notification(&[&file]));
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    within(60 * SECOND, queue.until_empty()).await;
    // Their routes may differ, so neither speaks for the other.
    assert_eq!(rig.sink.stored().len(), 2);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_has_its_events_is_spared_while_another_one_is_down() {
    let mut rig = Rig::new();
    let (other, hasty) = (ScriptedSink::new("other"), ScriptedSink::new("hasty"));
    rig.extra = vec![outlet(Arc::new(other.clone()), true), outlet(Arc::new(hasty.clone()), false)];
    for _ in 0..5 {
        other.answer(Answer::Fail(SinkError::retry("down")));
    }
    rig.deliver("one", &[&selected("1"), &filtered("2"), &selected("3")]);
    let running = rig.start();
    within(3600 * SECOND, rig.queue.until_empty()).await;
    let both = [selected("1"), selected("3")];
    assert_eq!((texts(&rig.sink), texts(&other)), (both.to_vec(), both.to_vec()));
    assert_eq!((rig.sink.writes().len(), other.writes().len()), (1, 6));
    assert_eq!(hasty.writes().len(), 1, "a best-effort sink is not offered them again either");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_partial_failure_only_the_rest_is_sent_again() {
    let rig = Rig::new();
    rig.sink.answer(Answer::AcceptExcept(vec![(2, SinkError::retry("busy"))]));
    let records: Vec<_> = (0..4).map(|n| selected(&n.to_string())).collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    rig.deliver("one", &records);
    let running = rig.start();
    within(600 * SECOND, rig.queue.until_empty()).await;
    let writes = rig.sink.writes();
    let indices = |at: usize| writes[at].entries.iter().map(|e| e.index).collect::<Vec<_>>();
    assert_eq!((indices(0), indices(1)), (vec![0, 1, 2, 3], vec![2, 3]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_file_released_in_parts_only_the_missing_parts_are_sent_again() {
    let mut rig = Rig::new();
    rig.settings.max_record = 4096;
    rig.settings.memory = 4 * (8 * (1 << 20) + 8 * 3 * 4096) / 3;
    let records: Vec<_> = (0..200).map(|n| selected(&format!("{n:0>200}"))).collect();
    let texts: Vec<_> = records.iter().map(String::as_str).collect();
    let (mut writes, mut failed) = (0, false);
    rig.sink.answer_by(move |_| {
        writes += 1;
        if writes == 3 && !failed {
            failed = true;
            return Answer::Fail(SinkError::retry("busy"));
        }
        Answer::Accept
    });
    rig.deliver("large", &texts);
    let running = rig.start();
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert!(rig.sink.writes().len() > 4, "it was released in parts");
    assert_eq!(rig.events(), records, "each once, in the order of the file");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn faulty_records_are_parked_once_however_often_the_file_comes() {
    let rig = Rig::new();
    for _ in 0..3 {
        rig.sink.answer(Answer::Fail(SinkError::retry("busy")));
    }
    rig.deliver("one", &[&selected("1"), "{\"eventSource\":\"codeguru-reviewer.amazonaws.com\","]);
    rig.deliver("two", &[&selected("2"), r#"{"a":"codeguru-reviewer.amazonaws.com",}"#]);
    let running = rig.start();
    within(3600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.parked().len(), 2, "{:?}", rig.parked());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_delete_failed_sends_nothing_when_it_comes_again() {
    let rig = Rig::new();
    let file = key("one");
    rig.store.put(BUCKET, &file, trail_file(&[&selected("1")]));
    let message = rig.queue.send(notification(&[&file]));
    rig.queue.fail_delete_of(&message, QueueError::Rejected("no".into()));
    let running = rig.start();
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.stored().len(), 1);
    assert_eq!(rig.metric("trailsift_messages_total", &[("outcome", "undeleted")]), 1.0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_new_gets_what_the_others_have() {
    let mut rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    let etag = rig.store.put(BUCKET, &file, trail_file(&[&selected("1")])).etag;
    let known = ObjectId {
        account: "production".into(),
        bucket: BUCKET.into(),
        key: file,
        revision: Revision::of(None, Some(&etag)).expect("a tag"),
    };
    let before = settlement(&["siem", "[quarantine]"], None);
    rig.ledger.settled(&known, &before).await.expect("noted");
    let new = ScriptedSink::new("new");
    rig.extra = vec![outlet(Arc::new(new.clone()), true)];
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!((rig.sink.stored().len(), new.stored().len()), (0, 1));
    assert!(rig.ledger.entry(&known).known.has_all("new"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_object_is_parked_once_and_read_anew_when_it_comes_again() {
    let rig = Rig::new();
    let file = key("cut");
    let whole = trail_file(&[&selected("1")]);
    rig.store.put(BUCKET, &file, whole.slice(..whole.len() - 9));
    let running = rig.start();
    for _ in 0..3 {
        settle(&rig, &[&file]).await;
    }
    assert_eq!((rig.parked().len(), rig.store.requests().len()), (1, 3));
    assert_eq!(rig.unbalanced(), None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_too_large_is_delivered_once_the_limit_is_raised() {
    let rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    let etag = rig.store.put(BUCKET, &file, trail_file(&[&selected("1")])).etag;
    let known = ObjectId {
        account: "production".into(),
        bucket: BUCKET.into(),
        key: file,
        revision: Revision::of(None, Some(&etag)).expect("a tag"),
    };
    let before = settlement(&["[quarantine]"], Some(Reason::TooLarge));
    rig.ledger.settled(&known, &before).await.expect("noted");
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1")]);
    assert_eq!(rig.ledger.entry(&known).known.parked, None);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_ledger_keeps_what_an_auditor_asks_for() {
    let mut rig = Rig::new();
    rig.settings.hash_objects = true;
    let dated =
        |id: &str, time: &str| selected(id).replace("{", &format!(r#"{{"eventTime":"{time}","#));
    let (late, early) = (dated("1", "2023-11-14T22:13:20Z"), dated("2", "2023-11-14T22:12:20Z"));
    let records = [&late, &filtered("3"), &early, "7", &selected("4")];
    let file = rig.deliver("one", &records.map(|record| record as &str));
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    let id = id(&rig, &file);
    let entry = rig.ledger.entry(&id);
    let settled = entry.settlement.expect("settled");
    let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!((id.account.as_str(), id.bucket.as_str()), ("production", BUCKET));
    assert_eq!((settled.seen, settled.selected, settled.quarantined), (5, 3, 1));
    assert_eq!((settled.first_event, settled.last_event), (at(1_699_999_940), at(1_700_000_000)));
    assert_eq!(settled.sinks, ["[quarantine]", "siem"]);
    let text = format!(r#"{{"Records":[{}]}}"#, records.map(|record| record as &str).join(","));
    assert_eq!(settled.inflated, text.len() as u64);
    let hash = <sha2::Sha256 as sha2::Digest>::digest(text.as_bytes());
    assert_eq!(settled.sha256, Some(hash.into()));
    assert_eq!((settled.parked, settled.settled_at), (None, at(1_700_000_000).expect("a time")));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_fails_or_hangs_stops_nobody_and_says_so() {
    for hangs in [false, true] {
        let rig = Rig::new();
        rig.ledger.fault_by(move |_, _| {
            Some(match hangs {
                true => LedgerFault::Hang,
                false => LedgerFault::Refuse(trailsift_core::LedgerError("disk full".into())),
            })
        });
        for n in 0..20 {
            rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
        }
        let running = rig.start();
        let began = Instant::now();
        within(60 * SECOND, rig.queue.until_empty()).await;
        assert!(began.elapsed() < 10 * SECOND, "took {:?}", began.elapsed());
        assert_eq!(rig.sink.stored().len(), 20);
        assert_eq!(rig.metric("trailsift_ledger_degraded", &[]), 1.0);
        assert!(rig.metric("trailsift_ledger_errors_total", &[]) > 0.0);
        assert!(rig.health.troubles().is_empty(), "the service can do its work");

        rig.ledger.heal();
        tokio::time::sleep(11 * SECOND).await;
        let later = rig.deliver("later", &[&selected("later")]);
        within(60 * SECOND, rig.queue.until_empty()).await;
        assert_eq!(rig.metric("trailsift_ledger_degraded", &[]), 0.0);
        assert!(rig.ledger.entry(&id(&rig, &later)).known.has_all("siem"));
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_can_be_read_but_not_written_does_not_look_well_in_between() {
    let rig = Rig::new();
    rig.ledger.fault_by(|op, _| {
        let full = || LedgerFault::Refuse(trailsift_core::LedgerError("disk full".into()));
        (op != LedgerOp::Recall).then(full)
    });
    let running = rig.start();
    rig.deliver("one", &[&selected("1")]);
    within(60 * SECOND, rig.queue.until_empty()).await;
    rig.store.latency(SECOND / 2);
    for n in 0..20 {
        rig.deliver(&n.to_string(), &[&filtered("1")]);
        tokio::time::sleep(SECOND / 4).await;
        assert_eq!(rig.metric("trailsift_ledger_degraded", &[]), 1.0);
    }
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.metric("trailsift_ledger_errors_total", &[("operation", "recall")]), 0.0);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_notifications_that_name_one_version_differently_send_it_once() {
    let rig = Rig::new();
    rig.store.versioned(BUCKET);
    let file = key("one");
    let stored = rig.store.put(BUCKET, &file, trail_file(&[&selected("1")]));
    let version = stored.version_id.expect("a version");
    // A sink that takes a moment, as any batch does: both are at work meanwhile.
    rig.sink.answer_by(|_| Answer::Hold);
    let plain = notification(&[&file]);
    let versioned = format!(r#""size":1,"versionId":"{version}""#);
    rig.queue.send(plain.replace(r#""size":1"#, &versioned));
    rig.queue.send(plain);
    let running = rig.start();
    tokio::time::sleep(SECOND).await;
    rig.sink.heal();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.sink.stored().len(), 1);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_was_not_told_is_sent_again() {
    let rig = Rig::new();
    let file = rig.deliver("one", &[&selected("1")]);
    rig.ledger.fail_next(LedgerOp::Acknowledged, "disk full");
    rig.ledger.fail_next(LedgerOp::Settled, "disk full");
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.ledger.entries().len(), 0);
    settle(&rig, &[&file]).await;
    assert_eq!(rig.sink.stored().len(), 2);
    assert!(rig.ledger.entry(&id(&rig, &file)).known.has_all("siem"));
    running.stop().await;
}
