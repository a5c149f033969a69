use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;
use tokio::time::advance;
use trailsift_testkit::{MemoryQueue, QueueEvent, QueueFault, QueueOp, QueueSettings};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const VISIBILITY: Duration = Duration::from_secs(30);

fn metrics() -> PipelineMetrics {
    PipelineMetrics::register(&Registry::new()).expect("a fresh registry")
}

/// A queue with one message, received once.
async fn received() -> (MemoryQueue, Message) {
    let queue = MemoryQueue::new();
    queue.send("one");
    let message = receive(&queue).await;
    (queue, message)
}

async fn receive(queue: &MemoryQueue) -> Message {
    let mut received = queue.receive(1, SECOND).await.expect("an answer");
    received.pop().expect("a message")
}

/// Keeps the lease for so long.
async fn keep(lease: &Lease, queue: &MemoryQueue, metrics: &PipelineMetrics, time: Duration) {
    tokio::select! {
        never = lease.keep(queue, VISIBILITY, metrics) => match never {},
        () = sleep(time) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_not_used_after_the_lease_has_ended() {
    let (_, message) = received().await;
    let lease = Lease::new(&message, "".into());
    advance(VISIBILITY - Duration::from_millis(1)).await;
    assert_eq!(lease.receipt(), Some(message.receipt));
    advance(Duration::from_millis(1)).await;
    assert_eq!(lease.receipt(), None);
}

#[tokio::test(start_paused = true)]
async fn a_kept_lease_holds_and_extends_with_half_of_it_left() {
    let (queue, message) = received().await;
    let (lease, metrics) = (Lease::new(&message, "".into()), metrics());
    keep(&lease, &queue, &metrics, HOUR).await;
    assert_eq!(lease.receipt(), Some(message.receipt));
    let extensions: Vec<_> = queue
        .history()
        .into_iter()
        .filter_map(|recorded| match recorded.event {
            QueueEvent::Extended { until, .. } => Some((recorded.at, until)),
            _ => None,
        })
        .collect();
    assert!(
        extensions.windows(2).all(|pair| pair[0].1.duration_since(pair[1].0) >= VISIBILITY / 2)
    );
    assert!((200..=240).contains(&extensions.len()), "{}", extensions.len());
    assert_eq!(metrics.lease_extensions.get(), extensions.len() as u64);
    assert_eq!(metrics.leases_lost.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_extension_is_followed_by_another_one_in_time() {
    let (queue, message) = received().await;
    queue.fault(QueueOp::Extend, QueueFault::Hang);
    queue.fail_next(QueueOp::Extend, QueueError::Unavailable("503".into()));
    let (lease, metrics) = (Lease::new(&message, "".into()), metrics());
    keep(&lease, &queue, &metrics, VISIBILITY).await;
    assert_eq!(lease.receipt(), Some(message.receipt));
    assert_eq!(metrics.leases_lost.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_extends_costs_the_lease_and_no_busy_loop() {
    let (queue, message) = received().await;
    for _ in 0..10_000 {
        queue.fail_next(QueueOp::Extend, QueueError::Unavailable("503".into()));
    }
    let (lease, metrics) = (Lease::new(&message, "".into()), metrics());
    keep(&lease, &queue, &metrics, HOUR).await;
    assert_eq!((lease.receipt(), metrics.leases_lost.get()), (None, 1));
    let refused = QueueEvent::Refused { op: QueueOp::Extend };
    let tries = queue.history().iter().filter(|recorded| recorded.event == refused).count();
    assert!((5..50).contains(&tries), "{tries} tries");
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_comes_back_with_a_newer_receipt() {
    let (queue, message) = received().await;
    queue.fail_next(QueueOp::Extend, QueueError::LeaseLost("taken away".into()));
    let (lease, metrics) = (Lease::new(&message, "".into()), metrics());
    keep(&lease, &queue, &metrics, 20 * SECOND).await;
    assert_eq!((lease.receipt(), metrics.leases_lost.get()), (None, 1));
    advance(10 * SECOND).await;
    let again = receive(&queue).await;
    lease.renew(&again);
    keep(&lease, &queue, &metrics, HOUR).await;
    assert_eq!(lease.receipt(), Some(again.receipt));
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_given_back_before_the_queue_ends_it_at_12_hours() {
    // A visibility of hours reaches the ceiling with its first extensions, one of seconds slowly.
    for visibility in [30 * SECOND, 7 * HOUR, 12 * HOUR] {
        let queue = MemoryQueue::with(QueueSettings {
            visibility_timeout: visibility,
            ..QueueSettings::default()
        });
        queue.send("one");
        let message = receive(&queue).await;
        let (lease, metrics) = (Lease::new(&message, "".into()), metrics());
        let begun = Instant::now();
        let mut given_back_at = None;
        let passed = AtomicBool::new(false);
        tokio::select! {
            never = lease.keep(&queue, visibility, &metrics) => match never {},
            () = async {
                sleep(12 * HOUR - SECOND).await;
                passed.store(true, Ordering::Relaxed);
            } => {}
        }
        assert!(passed.load(Ordering::Relaxed));
        for recorded in queue.history() {
            match recorded.event {
                QueueEvent::Released { after, .. } => {
                    assert_eq!(after, Duration::ZERO);
                    given_back_at = Some(recorded.at.duration_since(begun));
                }
                // Never asked for beyond the ceiling: SQS would refuse, and the lease just end.
                QueueEvent::Extended { until, .. } => assert!(until <= begun + CEILING),
                _ => {}
            }
        }
        let given_back_at = given_back_at.expect("it was given back");
        assert!(given_back_at >= CEILING - SECOND, "{given_back_at:?}");
        assert!(given_back_at < 12 * HOUR, "{given_back_at:?}");
        assert_eq!((lease.receipt(), metrics.leases_lost.get()), (None, 1));
        assert_eq!(queue.visible(), [message.id]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_in_flight_is_entered_once_and_again_when_its_work_has_ended() {
    let (queue, message) = received().await;
    let in_flight = InFlight::default();
    let ticket = in_flight.enter(&message).expect("the first delivery");
    assert!(queue.deliver_again(&message.id));
    let again = receive(&queue).await;
    assert!(in_flight.enter(&again).is_none());
    assert_eq!((ticket.lease.receipt(), in_flight.len()), (Some(again.receipt.clone()), 1));
    drop(ticket);
    assert_eq!(in_flight.len(), 0);
    assert!(in_flight.enter(&again).is_some());
}
