use std::pin::pin;

use futures::future::join_all;
use futures::poll;
use tokio::time::{advance, sleep, timeout};
use trailsift_core::MessageId;
use trailsift_testkit::{MemoryQueue, QueueEvent, QueueFault, QueueOp};

use super::*;
use crate::lease::InFlight;

const SECOND: Duration = Duration::from_secs(1);

/// A queue of so many messages, all received, and their leases.
async fn received(count: usize) -> (MemoryQueue, Vec<MessageId>, Vec<Arc<Lease>>) {
    let queue = MemoryQueue::new();
    let in_flight = InFlight::default();
    let (mut ids, mut leases) = (Vec::new(), Vec::new());
    for n in 0..count {
        queue.send(n.to_string());
        let received = queue.receive(1, SECOND).await.expect("an answer");
        let ticket = in_flight.enter(&received[0]).expect("it is the only delivery");
        ids.push(received[0].id.clone());
        leases.push(Arc::clone(&ticket.lease));
    }
    (queue, ids, leases)
}

/// Runs the acker beside what is done with it, for a minute at most.
async fn beside<T>(acking: impl Future<Output = Infallible>, what: impl Future<Output = T>) -> T {
    let work = async {
        tokio::select! {
            done = what => done,
            never = acking => match never {},
        }
    };
    timeout(60 * SECOND, work).await.expect("it happens in time")
}

fn deletes(queue: &MemoryQueue) -> usize {
    let refused = QueueEvent::Refused { op: QueueOp::Delete };
    let lost = QueueEvent::AnswerLost { op: QueueOp::Delete };
    queue.history().iter().filter(|e| e.event == refused || e.event == lost).count()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_for_a_worker_that_has_gone() {
    let (queue, ids, leases) = received(2).await;
    let (acker, acking) = Acker::new(Arc::new(queue.clone()));
    {
        // As when a drain's time is over: the message is given back, and is somebody else's.
        let mut gone = pin!(acker.delete(Arc::clone(&leases[0])));
        assert!(poll!(&mut gone).is_pending());
    }
    let stays = acker.delete(Arc::clone(&leases[1]));
    assert_eq!(beside(acking, stays).await, Ok(()));
    assert_eq!(queue.deleted(), [ids[1].clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_goes_between_two_attempts_stops_them() {
    let (queue, _, leases) = received(1).await;
    queue.fail_next(QueueOp::Delete, QueueError::Unavailable("500".into()));
    let (acker, acking) = Acker::new(Arc::new(queue.clone()));
    let patience = timeout(RETRY / 2, acker.delete(Arc::clone(&leases[0])));
    beside(acking, async {
        assert!(patience.await.is_err());
        sleep(10 * SECOND).await;
    })
    .await;
    assert_eq!((queue.deleted().len(), deletes(&queue)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_has_ended_is_not_settled_with() {
    let (queue, _, leases) = received(1).await;
    let (acker, acking) = Acker::new(Arc::new(queue.clone()));
    // Nobody has received the message since: SQS would still delete it by this receipt.
    advance(30 * SECOND).await;
    let deleted = beside(acking, acker.delete(Arc::clone(&leases[0]))).await;
    assert_eq!(deleted, Err(NotDeleted::LeaseLost));
    assert!(queue.deleted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_answer() {
    let (queue, ids, leases) = received(4).await;
    queue.fail_delete_of(&ids[1], QueueError::LeaseLost("stale".into()));
    queue.fail_delete_of(&ids[2], QueueError::Rejected("malformed".into()));
    queue.fail_delete_of(&ids[3], QueueError::Throttled("slow down".into()));
    let (acker, acking) = Acker::new(Arc::new(queue.clone()));
    let all = join_all(leases.iter().map(|lease| acker.delete(Arc::clone(lease))));
    let refused = Err(NotDeleted::Refused("malformed".into()));
    assert_eq!(beside(acking, all).await, [Ok(()), Err(NotDeleted::LeaseLost), refused, Ok(())]);
    assert_eq!(queue.deleted(), [ids[0].clone(), ids[3].clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again() {
    let (queue, _, leases) = received(25).await;
    let lost = QueueError::Unavailable("connection reset".into());
    queue.fault(QueueOp::Delete, QueueFault::LoseAnswer(lost));
    let (acker, acking) = Acker::new(Arc::new(queue.clone()));
    let all = join_all(leases.iter().map(|lease| acker.delete(Arc::clone(lease))));
    let answers = beside(acking, all).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(queue.deleted().len(), 25);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_deleted_keeps_no_other_one_waiting() {
    let (queue, ids, leases) = received(20).await;
    for id in &ids[..10] {
        for _ in 0..1000 {
            queue.fail_delete_of(id, QueueError::Unavailable("InternalError".into()));
        }
    }
    let (acker, acking) = Acker::new(Arc::new(queue.clone()));
    let stuck = join_all(leases[..10].iter().map(|lease| acker.delete(Arc::clone(lease))));
    let others = async {
        sleep(Duration::from_millis(1)).await;
        let others = leases[10..].iter().map(|lease| acker.delete(Arc::clone(lease)));
        timeout(2 * LINGER, join_all(others)).await
    };
    let others = beside(acking, async {
        tokio::select! {
            others = others => others,
            _ = stuck => panic!("they cannot be deleted"),
        }
    });
    let others = others.await.expect("in time");
    assert!(others.iter().all(Result::is_ok), "{others:?}");
}
