use std::sync::Arc;
use std::time::Duration;

use tokio::time::{advance, timeout};
use trailsift_core::Queue as _;

use super::*;
use crate::FixedClock;
use crate::conformance::{self, QueueFactory, QueueUnderTest};

struct Fakes;

#[async_trait]
impl QueueFactory for Fakes {
    async fn make(&self, settings: QueueSettings) -> Box<dyn QueueUnderTest> {
        Box::new(MemoryQueue::with(settings))
    }
}

#[async_trait]
impl QueueUnderTest for MemoryQueue {
    fn port(&self) -> &dyn Queue {
        self
    }

    async fn send(&self, body: &str) {
        MemoryQueue::send(self, body);
    }

    async fn dead_letters(&self) -> Vec<String> {
        MemoryQueue::dead_letters(self).into_iter().map(|letter| letter.body).collect()
    }
}

fn unavailable() -> QueueError {
    QueueError::Unavailable("scripted".to_owned())
}

async fn receive(queue: &MemoryQueue) -> Vec<Message> {
    queue.receive(10, Duration::ZERO).await.expect("no fault is scripted")
}

#[tokio::test(start_paused = true)]
async fn keeps_the_promises_of_the_port() {
    let report = conformance::queue(&Fakes).await;
    report.assert_passed();
    assert!(report.skipped().is_empty(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_call_changes_nothing() {
    let queue = MemoryQueue::new();
    let id = queue.send("body");
    queue.fail_next(QueueOp::Receive, unavailable());
    assert!(queue.receive(10, Duration::ZERO).await.is_err());
    assert_eq!(queue.visible(), [id]);
    assert_eq!(receive(&queue).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_applied() {
    let queue = MemoryQueue::new();
    let id = queue.send("body");
    queue.fault(QueueOp::Receive, QueueFault::LoseAnswer(unavailable()));
    assert!(queue.receive(10, Duration::ZERO).await.is_err());
    assert_eq!(queue.in_flight(), std::slice::from_ref(&id));
    advance(Duration::from_secs(30)).await;
    let message = receive(&queue).await.remove(0);
    assert_eq!(message.receive_count, 2);
    queue.fault(QueueOp::Delete, QueueFault::LoseAnswer(unavailable()));
    assert!(queue.delete(&[message.receipt]).await.is_err());
    assert_eq!(queue.deleted(), [id]);
    queue.until_empty().await;
}

#[tokio::test(start_paused = true)]
async fn one_entry_of_a_delete_fails_alone() {
    let queue = MemoryQueue::new();
    let ids = [queue.send("a"), queue.send("b")];
    queue.fail_delete_of(&ids[0], unavailable());
    let receipts: Vec<_> = receive(&queue).await.into_iter().map(|m| m.receipt).collect();
    let answers = queue.delete(&receipts).await.expect("the call itself succeeds");
    assert!(answers[0].is_err() && answers[1].is_ok());
    assert_eq!(queue.deleted(), [ids[1].clone()]);
    assert!(queue.delete(&receipts).await.expect("answers")[0].is_ok());
    assert_eq!(queue.deleted().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn at_the_in_flight_cap_a_receive_answers_nothing() {
    let queue = MemoryQueue::with(QueueSettings { in_flight_cap: 2, ..Default::default() });
    for _ in 0..3 {
        queue.send("body");
    }
    let held = receive(&queue).await;
    assert_eq!(held.len(), 2);
    assert!(receive(&queue).await.is_empty());
    queue.delete(&[held[0].receipt.clone()]).await.expect("delete").remove(0).expect("entry");
    assert_eq!(receive(&queue).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_extension_goes_beyond_twelve_hours_from_the_receive() {
    let queue = MemoryQueue::new();
    queue.send("body");
    let message = receive(&queue).await.remove(0);
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    queue.extend(&message.receipt, hours(12)).await.expect("12 h from the receive are allowed");
    advance(hours(1)).await;
    let beyond = queue.extend(&message.receipt, hours(12)).await;
    assert!(matches!(beyond, Err(QueueError::Rejected(_))), "{beyond:?}");
    queue.extend(&message.receipt, hours(11)).await.expect("up to the ceiling");
}

#[tokio::test(start_paused = true)]
async fn a_message_may_be_delivered_again_while_it_is_leased() {
    let queue = MemoryQueue::new();
    let id = queue.send("body");
    let first = receive(&queue).await.remove(0);
    assert!(queue.deliver_again(&id));
    let second = receive(&queue).await.remove(0);
    assert_eq!((second.id, second.receive_count), (first.id, 2));
    assert!(queue.extend(&first.receipt, Duration::from_secs(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_call_never_answers_and_latency_delays_one() {
    let queue = MemoryQueue::new();
    queue.fault(QueueOp::Status, QueueFault::Hang);
    assert!(timeout(Duration::from_secs(3600), queue.status()).await.is_err());
    queue.latency(QueueOp::Status, Duration::from_secs(7));
    let asked_at = Instant::now();
    queue.status().await.expect("status");
    assert_eq!(asked_at.elapsed(), Duration::from_secs(7));
    queue.heal();
    queue.status().await.expect("status");
    assert_eq!(asked_at.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn the_history_tells_who_did_what_when() {
    let queue = MemoryQueue::new();
    queue.clock(Arc::new(FixedClock::default()));
    let id = queue.send("body");
    let message = receive(&queue).await.remove(0);
    assert_eq!(message.sent_at, Some(FixedClock::default().now()));
    advance(Duration::from_secs(31)).await;
    queue.release(&message.receipt, Duration::ZERO).await.expect_err("the lease is over");
    queue
        .delete(std::slice::from_ref(&message.receipt))
        .await
        .expect("delete")
        .remove(0)
        .expect("entry");
    let receipt = message.receipt;
    let events: Vec<_> = queue.history().into_iter().map(|recorded| recorded.event).collect();
    let expected = [
        QueueEvent::Sent { id: id.clone() },
        QueueEvent::Received { id: id.clone(), receipt: receipt.clone(), receive_count: 1 },
        QueueEvent::Stale { op: QueueOp::Release, receipt: receipt.clone() },
        QueueEvent::Deleted { id, receipt },
    ];
    assert_eq!(events, expected);
}

#[tokio::test(start_paused = true)]
async fn a_shuffled_queue_is_the_same_for_the_same_seed() {
    let order = async |seed| {
        let queue = MemoryQueue::with(QueueSettings { shuffle: Some(seed), ..Default::default() });
        for number in 0..10 {
            queue.send(number.to_string());
        }
        receive(&queue).await.into_iter().map(|m| m.body).collect::<Vec<_>>()
    };
    assert_eq!(order(1).await, order(1).await);
    assert_ne!(order(1).await, order(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_what_the_history_has() {
    let queue = MemoryQueue::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let watcher = Arc::clone(&told);
    queue.watch(move |event| lock(&watcher).push(event.clone()));
    queue.send("a");
    let message = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    queue.delete(std::slice::from_ref(&message.receipt)).await.unwrap()[0].as_ref().unwrap();
    queue.extend(&message.receipt, Duration::from_secs(1)).await.unwrap_err();
    let history: Vec<_> = queue.history().into_iter().map(|recorded| recorded.event).collect();
    assert_eq!((*lock(&told)).len(), 4);
    assert_eq!(*lock(&told), history);
}

#[tokio::test(start_paused = true)]
async fn a_receive_may_lease_for_another_time_than_the_queues_own() {
    let queue = MemoryQueue::new();
    queue.send("body");
    let asked = Some(Duration::from_secs(5));
    let message = queue.receive_for(1, Duration::ZERO, asked).await.expect("one").remove(0);
    assert_eq!(message.lease_until - message.received_at, Duration::from_secs(5));
    advance(Duration::from_secs(4)).await;
    assert!(receive(&queue).await.is_empty());
    advance(Duration::from_secs(1)).await;
    assert_eq!(receive(&queue).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_newest_receipt_deletes_a_message_that_is_visible_again() {
    let queue = MemoryQueue::new();
    let id = queue.send("body");
    let message = receive(&queue).await.remove(0);
    advance(Duration::from_secs(31)).await;
    assert_eq!(queue.visible(), std::slice::from_ref(&id));
    assert!(queue.extend(&message.receipt, Duration::from_secs(1)).await.is_err());
    assert!(queue.delete(&[message.receipt]).await.expect("an answer")[0].is_ok());
    assert_eq!(queue.deleted(), [id]);
    assert!(queue.visible().is_empty() && queue.in_flight().is_empty());
}
