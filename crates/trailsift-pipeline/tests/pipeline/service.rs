//! How the service starts, drains and ends: delivery rules D7 and D9.

use std::sync::Arc;

use crate::rig::{BUCKET, Rig, SECOND, account, key, notification, selected, within};
use tokio::time::Instant;
use trailsift_core::{Queue, QueueError, SinkError, StoreError};
use trailsift_pipeline::Ended;
use trailsift_testkit::{Answer, MemoryQueue, MemoryStore, QueueOp, StoreFault};

#[tokio::test(start_paused = true)]
async fn a_drain_finishes_what_is_running() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    rig.deliver("two", &[&selected("2")]);
    running.stop.cancel();
    tokio::time::sleep(10 * SECOND).await;
    rig.sink.let_go();
    let before = Instant::now();
    assert_eq!(running.ended().await, Ended::Drained);
    assert!(before.elapsed() < SECOND);
    assert_eq!(rig.events(), [selected("1")]);
    assert_eq!((rig.queue.deleted().len(), rig.queue.visible().len()), (1, 1));
    assert!(rig.sink.is_closed() && rig.parked.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_cannot_keep_the_drain_and_its_messages_are_given_back_at_once() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Hang);
    for n in 0..4 {
        rig.deliver(&n.to_string(), &[&selected("1")]);
    }
    let running = rig.start();
    within(SECOND, rig.sink.until_writes(4)).await;
    let before = Instant::now();
    assert_eq!(running.stop().await, Ended::Drained);
    assert!(before.elapsed() <= rig.settings.drain_timeout);
    assert!(rig.queue.deleted().is_empty());
    assert_eq!(rig.queue.visible().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_stuck_account_stops_nobody_else() {
    let mut rig = Rig::new();
    let (stuck_queue, stuck_store) = (MemoryQueue::new(), MemoryStore::new());
    for n in 0..100 {
        let file = key(&n.to_string());
        stuck_store.put(BUCKET, &file, crate::rig::trail_file(&[&selected("never")]));
        stuck_store.fault(BUCKET, &file, StoreFault::Hang);
        stuck_queue.send(notification(&[&file]));
    }
    rig.more_accounts.push(account("stuck", Arc::new(stuck_queue.clone()), stuck_store));
    let running = rig.start();
    tokio::time::sleep(5 * SECOND).await;
    assert!(!stuck_queue.in_flight().is_empty());
    for n in 0..50 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events().len(), 50);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_appears_within_the_startup_timeout_is_served() {
    let mut rig = Rig::new();
    for _ in 0..10 {
        rig.queue.fail_next(QueueOp::Status, QueueError::NotFound("not yet".into()));
    }
    rig.deliver("one", &[&selected("1")]);
    assert_eq!(rig.run_until_empty().await.files, 1);
    assert!(rig.health.troubles().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_any_reachable_account_the_service_gives_up() {
    let rig = Rig::new();
    for _ in 0..1000 {
        rig.queue.fail_next(QueueOp::Status, QueueError::NotFound("no such queue".into()));
    }
    let before = Instant::now();
    let Ended::Unreachable(accounts) = rig.start().ended().await else { panic!("unreachable") };
    assert!(accounts["production"].contains("no such queue"), "{accounts:?}");
    assert!(before.elapsed() <= rig.settings.startup_timeout + SECOND);
    assert!(!rig.health.troubles().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_order_to_stop_before_any_account_is_reached_is_no_failure() {
    let rig = Rig::new();
    for _ in 0..1000 {
        rig.queue.fail_next(QueueOp::Status, QueueError::NotFound("no such queue".into()));
    }
    let running = rig.start();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(running.stop().await, Ended::Drained);
}

#[tokio::test(start_paused = true)]
async fn messages_in_flight_elsewhere_keep_the_run_going() {
    let mut rig = Rig::new();
    rig.deliver("one", &[&selected("1")]);
    let elsewhere = Queue::receive(&rig.queue, 1, SECOND).await;
    assert_eq!(elsewhere.expect("a message").len(), 1);
    let before = Instant::now();
    // The other reader dies: its lease ends after 30 s, and only then can the run be done.
    assert_eq!(rig.run_until_empty().await.files, 1);
    assert!(before.elapsed() >= 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_gone_for_good_ends_the_service_and_keeps_the_message() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Fail(SinkError::fatal("standard output is closed")));
    rig.deliver("one", &[&selected("1")]);
    let Ended::Failed(errors) = rig.start().ended().await else { panic!("failed") };
    assert!(errors[0].contains("standard output is closed"), "{errors:?}");
    assert!(rig.queue.deleted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_queue_and_sink() {
    let rig = Rig::new();
    rig.sink.refuse_checks(Some("401 from the collector"));
    let running = rig.start();
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.health.troubles()["sink siem"], "401 from the collector");
    rig.sink.refuse_checks(None);
    tokio::time::sleep(60 * SECOND).await;
    assert!(rig.health.troubles().is_empty());
    for _ in 0..6 {
        rig.queue.fail_next(QueueOp::Receive, QueueError::Unavailable("connection refused".into()));
    }
    let failed = async {
        while !rig.health.troubles().contains_key("account production") {
            tokio::time::sleep(SECOND / 10).await;
        }
    };
    // A poll that is under way, or the question in place of one, comes to its end first.
    tokio::time::timeout(41 * SECOND, failed).await.expect("it is noticed");
    assert!(rig.health.troubles()["account production"].contains("connection refused"));
    tokio::time::sleep(240 * SECOND).await;
    assert!(rig.health.troubles().is_empty());
    running.stop().await;
}

/// Such a file is tried for ever, so nothing else would tell.
#[tokio::test(start_paused = true)]
async fn an_account_whose_key_may_not_be_used_is_not_ready_until_it_may() {
    let rig = Rig::new();
    let denied = || StoreError::KmsDenied("kms:Decrypt".into());
    for _ in 0..3 {
        rig.store.fault(BUCKET, &key("one"), StoreFault::Error(denied()));
    }
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    let failed = async {
        while !rig.health.troubles().contains_key("account production") {
            tokio::time::sleep(SECOND / 10).await;
        }
    };
    tokio::time::timeout(SECOND, failed).await.expect("it is noticed");
    assert!(rig.health.troubles()["account production"].contains("kms:Decrypt"));
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert_eq!(rig.events(), [selected("1")]);
    assert!(rig.health.troubles().is_empty());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_cannot_be_written_is_not_ready() {
    let rig = Rig::new();
    rig.parked.refuse_checks(Some("no space is left on the disk"));
    let running = rig.start();
    tokio::time::sleep(SECOND).await;
    assert_eq!(rig.health.troubles()["sink parked"], "no space is left on the disk");
    rig.parked.refuse_checks(None);
    tokio::time::sleep(60 * SECOND).await;
    assert!(rig.health.troubles().is_empty());
    running.stop().await;
}
