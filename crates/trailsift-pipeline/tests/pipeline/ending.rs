//! How the service ends, and what it says about it: delivery rule D9.

use std::sync::Arc;
use std::time::Duration;

use crate::quirky_queue::{Quirk, QuirkyQueue};
use crate::rig::{
    BUCKET, Rig, SECOND, account, key, notification, selected, texts, trail_file, within,
};
use prometheus::Registry;
use tokio::time::{Instant, sleep};
use trailsift_core::{Queue, QueueError, SinkError};
use trailsift_delivery::{BatchSettings, Decoration, SinkMetrics, decorate};
use trailsift_pipeline::Ended;
use trailsift_testkit::{Answer, MemoryQueue, MemoryStore, QueueOp};

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_cannot_keep_the_drain_either() {
    let rig = Rig::new();
    rig.sink.answer_by(|_| Answer::Hang);
    rig.deliver("one", &[&selected("1")]);
    rig.queue.latency(QueueOp::Release, 3600 * SECOND);
    let running = rig.start();
    within(SECOND, rig.sink.until_writes(1)).await;
    let before = Instant::now();
    // What could not be given back comes again by itself: that is no failure of ours.
    assert_eq!(running.stop().await, Ended::Drained);
    assert!(before.elapsed() <= rig.settings.drain_timeout);
    assert!(rig.queue.deleted().is_empty());
    assert_eq!(rig.queue.in_flight().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn deletes_that_hang_cannot_keep_the_drain_and_their_messages_are_given_back() {
    let rig = Rig::new();
    rig.queue.latency(QueueOp::Delete, 3600 * SECOND);
    for n in 0..4 {
        rig.deliver(&n.to_string(), &[&selected("1")]);
    }
    let running = rig.start();
    within(SECOND, rig.sink.until_acknowledged(4)).await;
    sleep(SECOND).await;
    let before = Instant::now();
    assert_eq!(running.stop().await, Ended::Drained);
    assert!(before.elapsed() <= rig.settings.drain_timeout);
    assert_eq!((rig.queue.visible().len(), rig.queue.deleted().len()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_outlasts_the_drain_does_not_spoil_its_outcome() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    rig.queue.latency(QueueOp::Delete, 12 * SECOND);
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    running.stop.cancel();
    // Four seconds before the time for work is over: the delete that begins now ends too late.
    sleep(18 * SECOND).await;
    rig.sink.let_go();
    assert_eq!(running.ended().await, Ended::Drained);
    assert_eq!(rig.events(), [selected("1")]);
    assert_eq!((rig.queue.visible().len(), rig.queue.deleted().len()), (1, 0));
}

/// Three files with an event each, before a sink that gathers them for half a minute.
fn lingering_rig() -> Rig {
    let mut rig = Rig::new();
    let batch = BatchSettings { linger: 30 * SECOND, ..BatchSettings::default() };
    let metrics = SinkMetrics::register(&Registry::new()).expect("a fresh registry");
    let decoration = Decoration { batch, ..Decoration::default() };
    rig.sink_front = Some(decorate(Arc::new(rig.sink.clone()), decoration, &metrics));
    for n in 0..3 {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_linger() {
    let rig = lingering_rig();
    let running = rig.start();
    sleep(5 * SECOND).await;
    assert!(rig.events().is_empty());
    let before = Instant::now();
    assert_eq!(running.stop().await, Ended::Drained);
    assert!(before.elapsed() < SECOND, "{:?}", before.elapsed());
    assert_eq!((rig.events().len(), rig.sink.writes().len()), (3, 1));
    assert_eq!(rig.queue.deleted().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_not_waited_for_until_a_linger_ends() {
    let mut rig = lingering_rig();
    rig.settings.until_empty = true;
    let before = Instant::now();
    assert_eq!(rig.start().ended().await, Ended::Empty);
    assert!(before.elapsed() < 15 * SECOND, "{:?}", before.elapsed());
    assert_eq!((rig.events().len(), rig.sink.writes().len()), (3, 1));
    assert_eq!(rig.queue.deleted().len(), 3);
}

/// Six messages in a far queue, all stuck at the sink; then a drain of this length.
async fn drain_a_far_queue(drain_timeout: Duration, far: Quirk) -> (usize, usize) {
    let mut rig = Rig::new();
    rig.settings.drain_timeout = drain_timeout;
    rig.settings.workers = 20;
    rig.sink.answer_by(|_| Answer::Hang);
    rig.queue_front = Some(Arc::new(QuirkyQueue::new(&rig.queue, far)));
    for n in 0..6 {
        rig.deliver(&n.to_string(), &[&selected("1")]);
    }
    let running = rig.start();
    within(SECOND, rig.sink.until_writes(6)).await;
    // By now the next poll has been asked for: it is under way when messages are given back.
    assert_eq!(running.stop().await, Ended::Drained);
    assert!(rig.queue.deleted().is_empty());
    (rig.queue.visible().len(), rig.queue.in_flight().len())
}

#[tokio::test(start_paused = true)]
async fn the_last_poll_does_not_swallow_what_the_drain_gives_back() {
    for drain_seconds in [5, 15, 25] {
        for (receive, release) in [(0, 0), (10, 15), (15, 15), (15, 0), (200, 15)] {
            let [receive, release] = [receive, release].map(Duration::from_millis);
            let far = Quirk::Far { receive, release };
            let left = drain_a_far_queue(drain_seconds * SECOND, far).await;
            assert_eq!(left, (6, 0), "drain {drain_seconds} s, {receive:?} and {release:?} back");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_task_panics_ends_the_service_which_says_so() {
    let mut rig = Rig::new();
    let (queue, store) = (MemoryQueue::new(), MemoryStore::new());
    let front = QuirkyQueue::new(&queue, Quirk::PanicsAtReceive(2));
    rig.more_accounts.push(account("second", Arc::new(front), store.clone()));
    let running = rig.start();
    sleep(SECOND).await;
    rig.deliver("one", &[&selected("1")]);
    // Nobody orders a stop: a lane that is silently gone would be noticed by nobody.
    let Ended::Failed(errors) = running.ended().await else { panic!("it failed") };
    assert!(errors[0].contains("an account's task ended abnormally"), "{errors:?}");
    assert_eq!(rig.queue.deleted().len(), 1);
}

/// A rig whose second account fails for good after its `startup_timeout`.
fn with_a_broken_account() -> Rig {
    let mut rig = Rig::new();
    rig.settings.until_empty = true;
    let queue = MemoryQueue::new();
    for _ in 0..1000 {
        let denied = QueueError::Denied("AccessDenied on ReceiveMessage".into());
        queue.fail_next(QueueOp::Receive, denied);
    }
    rig.more_accounts.push(account("broken", Arc::new(queue), MemoryStore::new()));
    rig
}

fn names_the_broken_account(errors: &[String]) -> bool {
    errors.iter().any(|error| error.contains("broken") && error.contains("AccessDenied"))
}

#[tokio::test(start_paused = true)]
async fn a_failed_account_is_named_although_the_others_are_done() {
    let rig = with_a_broken_account();
    rig.deliver("one", &[&selected("1")]);
    let Ended::Failed(errors) = rig.start().ended().await else { panic!("it failed") };
    assert!(errors.len() == 1 && names_the_broken_account(&errors), "{errors:?}");
    assert_eq!(rig.queue.deleted().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_account_is_still_named_when_a_stop_ends_the_others() {
    let rig = with_a_broken_account();
    rig.sink.answer(Answer::Hold);
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    sleep(600 * SECOND).await;
    running.stop.cancel();
    sleep(SECOND).await;
    rig.sink.let_go();
    let Ended::Failed(errors) = running.ended().await else { panic!("it failed") };
    assert!(errors.len() == 1 && names_the_broken_account(&errors), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_account_is_still_named_when_a_sink_ends_the_service() {
    let rig = with_a_broken_account();
    let start = Instant::now();
    rig.sink.answer_by(move |_| match start.elapsed() < 600 * SECOND {
        true => Answer::Fail(SinkError::retry("busy")),
        false => Answer::Fail(SinkError::fatal("standard output is closed")),
    });
    rig.deliver("one", &[&selected("1")]);
    let Ended::Failed(errors) = rig.start().ended().await else { panic!("it failed") };
    assert!(names_the_broken_account(&errors), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("standard output is closed")), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_until_empty_ends_when_the_queue_never_says_whether_it_is() {
    let mut rig = Rig::new();
    rig.settings.until_empty = true;
    let before = Instant::now();
    let running = rig.start();
    sleep(Duration::from_millis(500)).await;
    // Connected; from now on it may receive, but not look at the queue's attributes.
    for _ in 0..1000 {
        let denied = QueueError::Denied("AccessDenied on GetQueueAttributes".into());
        rig.queue.fail_next(QueueOp::Status, denied);
    }
    let Ended::Failed(errors) = running.ended().await else { panic!("it failed") };
    assert!(errors[0].contains("production") && errors[0].contains("GetQueueAttributes"));
    let longest = rig.settings.startup_timeout + 60 * SECOND;
    assert!(before.elapsed() <= longest, "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_empty_look_is_not_believed() {
    let mut rig = Rig::new();
    rig.deliver("one", &[&selected("1")]);
    let elsewhere = rig.queue.receive(1, SECOND).await.expect("a message");
    assert_eq!(elsewhere.len(), 1);
    // The first look after connecting is wrong, as approximate counts may be: somebody else still
    // has the message, and gives it up when its lease ends.
    rig.queue_front = Some(Arc::new(QuirkyQueue::new(&rig.queue, Quirk::LooksEmptyAt(2))));
    assert_eq!(rig.run_until_empty().await.files, 1);
    assert_eq!(rig.events(), [selected("1")]);
}

#[tokio::test(start_paused = true)]
async fn two_accounts_are_both_emptied_before_the_run_ends() {
    let mut rig = Rig::new();
    let (queue, store) = (MemoryQueue::new(), MemoryStore::new());
    rig.more_accounts.push(account("second", Arc::new(queue.clone()), store.clone()));
    for n in 0..30 {
        store.put(BUCKET, &key(&n.to_string()), trail_file(&[&selected(&n.to_string())]));
        queue.send(notification(&[&key(&n.to_string())]));
    }
    rig.run_until_empty().await;
    assert_eq!((queue.deleted().len(), texts(&rig.sink).len()), (30, 30));
}
