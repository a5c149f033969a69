use std::pin::pin;

use futures::future::join_all;
use futures::poll;
use tokio::time::{advance, sleep, timeout};
use trailsift_core::MessageId;
use trailsift_testkit::{MemoryQueue, QueueEvent, QueueFault, QueueOp, QueueSettings};

use super::*;
use crate::health::Health;
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

fn acker_of(queue: &MemoryQueue) -> (Acker, impl Future<Output = Infallible> + use<>) {
    let health = Health::default().of_account("production");
    Acker::new(Arc::new(queue.clone()), Arc::new(health))
}

fn deletes(queue: &MemoryQueue) -> usize {
    let refused = QueueEvent::Refused { op: QueueOp::Delete };
    let lost = QueueEvent::AnswerLost { op: QueueOp::Delete };
    queue.history().iter().filter(|e| e.event == refused || e.event == lost).count()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_deleted_for_a_worker_that_has_gone() {
    let (queue, ids, leases) = received(2).await;
    let (acker, acking) = acker_of(&queue);
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
    let (acker, acking) = acker_of(&queue);
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
    let (acker, acking) = acker_of(&queue);
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
    let (acker, acking) = acker_of(&queue);
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
    let (acker, acking) = acker_of(&queue);
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
    let (acker, acking) = acker_of(&queue);
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

#[tokio::test(start_paused = true)]
async fn a_delete_that_failed_once_is_repeated_amid_full_batches() {
    let (queue, ids, leases) = received(400).await;
    queue.latency(QueueOp::Delete, SECOND / 10);
    for id in &ids[..10] {
        queue.fail_delete_of(id, QueueError::Unavailable("InternalError".into()));
    }
    let (acker, acking) = acker_of(&queue);
    let all = join_all(leases.iter().map(|lease| acker.delete(Arc::clone(lease))));
    let answers = beside(acking, all).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let deleted = queue.deleted();
    let last_of_failed = deleted.iter().rposition(|id| ids[..10].contains(id));
    assert!(last_of_failed < Some(100), "{last_of_failed:?} of {}", deleted.len());
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_never_answered_keeps_no_later_one_waiting() {
    let (queue, ids, leases) = received(2).await;
    queue.fault(QueueOp::Delete, QueueFault::Hang);
    let (acker, acking) = acker_of(&queue);
    let hung = acker.delete(Arc::clone(&leases[0]));
    let later = async {
        sleep(SECOND).await;
        acker.delete(Arc::clone(&leases[1])).await
    };
    let answers = beside(acking, async { futures::join!(hung, later) }).await;
    assert_eq!(answers, (Ok(()), Ok(())));
    assert_eq!(queue.deleted().len(), ids.len());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_deletes_nothing_is_asked_for_half_a_minute_and_then_once_a_message() {
    let queue =
        MemoryQueue::with(QueueSettings { visibility_timeout: 600 * SECOND, ..Default::default() });
    let in_flight = InFlight::default();
    let mut leases = Vec::new();
    for n in 0..3 {
        queue.send(n.to_string());
        let received = queue.receive(1, SECOND).await.expect("an answer");
        leases.push(Arc::clone(&in_flight.enter(&received[0]).expect("its only delivery").lease));
    }
    for _ in 0..62 {
        queue.fail_next(QueueOp::Delete, QueueError::Denied("sqs:DeleteMessage".into()));
    }
    let health = Health::default();
    let account = Arc::new(health.of_account("production"));
    let (acker, acking) = Acker::new(Arc::new(queue.clone()), account);
    beside(acking, async {
        let began = Instant::now();
        let first = acker.delete(Arc::clone(&leases[0])).await;
        assert_eq!((first, began.elapsed()), (Err(NotDeleted::TimedOut), PATIENCE));
        let trouble = health.troubles()["account production"].clone();
        assert!(trouble.contains("sqs:DeleteMessage") && trouble.contains("grant"), "{trouble}");
        let (began, asked) = (Instant::now(), deletes(&queue));
        let second = acker.delete(Arc::clone(&leases[1])).await;
        assert_eq!((second, deletes(&queue)), (Err(NotDeleted::TimedOut), asked + 1));
        assert!(began.elapsed() < SECOND);
        while deletes(&queue) < 62 {
            drop(acker.delete(Arc::clone(&leases[1])).await);
        }
        assert_eq!(acker.delete(Arc::clone(&leases[2])).await, Ok(()));
        assert!(health.troubles().is_empty());
    })
    .await;
}
