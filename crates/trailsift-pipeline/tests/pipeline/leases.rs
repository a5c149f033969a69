//! Whose message it is, and for how long: delivery rule D3, and the deletes that end it.

use std::time::Duration;

use crate::rig::{Rig, SECOND, filtered, selected, within};
use tokio::time::{Instant, sleep};
use trailsift_core::QueueError;
use trailsift_testkit::{Answer, QueueEvent, QueueOp, QueueSettings};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_visibility_shorter_than_the_long_poll_is_enough_wherever_in_the_poll_a_message_comes() {
    for visibility in [2, 3, 5, 10, 15, 20, 30] {
        for came_in_at in [1, 5, 10, 15, 19, 21] {
            let rig = Rig::with_queue(QueueSettings {
                visibility_timeout: visibility * SECOND,
                max_receive_count: Some(10),
                ..QueueSettings::default()
            });
            rig.queue.latency(QueueOp::Extend, Duration::from_millis(20));
            rig.queue.latency(QueueOp::Delete, Duration::from_millis(20));
            let running = rig.start();
            sleep(came_in_at * SECOND).await;
            rig.deliver("one", &[&selected("1")]);
            within(SECOND, rig.queue.until_empty()).await;
            let seen = (rig.sink.writes().len(), rig.queue.deleted().len());
            assert_eq!(seen, (1, 1), "visibility {visibility} s, {came_in_at} s into the poll");
            running.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_12_hour_ceiling_the_message_is_given_back_and_joins_the_running_work() {
    let rig = Rig::new();
    rig.sink.answer(Answer::Hold);
    rig.deliver("one", &[&selected("1")]);
    let running = rig.start();
    within(SECOND, rig.sink.until_held(1)).await;
    let begun = Instant::now();
    sleep(13 * HOUR).await;
    let given_back: Vec<_> = rig
        .queue
        .history()
        .into_iter()
        .filter(|recorded| matches!(recorded.event, QueueEvent::Released { .. }))
        .map(|recorded| recorded.at.duration_since(begun))
        .collect();
    assert_eq!(given_back.len(), 1);
    assert!(given_back[0] > 11 * HOUR && given_back[0] < 12 * HOUR, "{given_back:?}");
    // It came back, to the work that still goes on, which may delete it with its new receipt.
    rig.sink.let_go();
    within(SECOND, rig.queue.until_empty()).await;
    assert_eq!((rig.sink.writes().len(), rig.events()), (1, vec![selected("1")]));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_cannot_be_deleted_keep_no_other_one_waiting() {
    let mut rig = Rig::new();
    rig.settings.workers = 40;
    rig.settings.memory = 512 << 20;
    for n in 0..10 {
        rig.deliver(&n.to_string(), &[&filtered("1")]);
    }
    for id in rig.queue.visible() {
        for _ in 0..10_000 {
            rig.queue.fail_delete_of(&id, QueueError::Unavailable("InternalError".into()));
        }
    }
    let running = rig.start();
    sleep(5 * SECOND).await;
    for n in 10..20 {
        rig.deliver(&n.to_string(), &[&filtered("1")]);
    }
    sleep(SECOND).await;
    assert_eq!(rig.queue.deleted().len(), 10);
    // Their leases are kept meanwhile, and where the queue deletes again in time it is asked soon.
    sleep(20 * SECOND).await;
    assert_eq!((rig.queue.deleted().len(), rig.queue.in_flight().len()), (10, 10));
    assert_eq!(rig.store.requests().len(), 20);
    // After that they are left alone for a while, and their workers are free.
    sleep(10 * SECOND).await;
    assert_eq!(rig.metric("trailsift_messages_in_flight", &[]), 0.0);
    rig.queue.heal();
    within(300 * SECOND, rig.queue.until_empty()).await;
    running.stop().await;
}
