//! A queue that hands messages out and does not delete them: delivery rule D7.

use tokio::time::sleep;
use trailsift_core::QueueError;
use trailsift_testkit::{QueueFault, QueueOp};

use crate::rig::{Rig, SECOND, selected, within};

/// So many files of one event each.
fn deliver(rig: &Rig, files: usize) {
    for n in 0..files {
        rig.deliver(&n.to_string(), &[&selected(&n.to_string())]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_delete_events_flow_on_once_each_and_it_is_said() {
    let rig = Rig::new();
    for _ in 0..20_000 {
        rig.queue.fail_next(QueueOp::Delete, QueueError::Denied("sqs:DeleteMessage".into()));
    }
    deliver(&rig, 40);
    let running = rig.start();
    within(300 * SECOND, rig.sink.until_acknowledged(40)).await;
    for _ in 0..60 {
        sleep(60 * SECOND).await;
        let trouble = rig.health.troubles()["account production"].clone();
        assert!(trouble.contains("sqs:DeleteMessage") && trouble.contains("grant"), "{trouble}");
    }
    // They come again, a few times an hour, and the ledger knows them.
    let undeleted = rig.metric("trailsift_messages_total", &[("outcome", "undeleted")]);
    assert!((120.0..1600.0).contains(&undeleted), "{undeleted}");
    assert_eq!((rig.events().len(), rig.queue.deleted().len()), (40, 0));

    rig.queue.heal();
    within(600 * SECOND, rig.queue.until_empty()).await;
    assert!(rig.health.troubles().is_empty());
    assert_eq!((rig.events().len(), rig.queue.deleted().len()), (40, 40));
    running.stop().await;
    assert_eq!(rig.unbalanced(), None);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_never_returns_does_not_stop_the_account() {
    let rig = Rig::new();
    rig.queue.fault(QueueOp::Delete, QueueFault::Hang);
    deliver(&rig, 40);
    let running = rig.start();
    within(60 * SECOND, rig.queue.until_empty()).await;
    assert_eq!((rig.events().len(), rig.queue.deleted().len()), (40, 40));
    assert!(rig.health.troubles().is_empty());
    running.stop().await;
}
