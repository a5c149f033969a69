use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};
use trailsift_core::{Message, Queue, QueueError, Receipt};

use super::report::{Gap, Report, ensure};
use crate::QueueSettings;

/// Long enough for a round trip to an emulator, short enough to wait for.
const LEASE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);

type Checked = Result<(), String>;

/// Makes fresh, empty queues of one implementation.
#[async_trait]
pub trait QueueFactory: Sync {
    /// A new queue. Only `visibility_timeout` and `max_receive_count` matter here.
    async fn make(&self, settings: QueueSettings) -> Box<dyn QueueUnderTest>;

    /// What this implementation is known not to do.
    fn gaps(&self) -> &[Gap] {
        &[]
    }
}

/// A queue and the side entrances that a test needs.
#[async_trait]
pub trait QueueUnderTest: Send + Sync {
    /// The port.
    fn port(&self) -> &dyn Queue;
    /// Puts a message into the queue.
    async fn send(&self, body: &str);
    /// The bodies in the dead-letter queue.
    async fn dead_letters(&self) -> Vec<String>;
}

/// Runs every check, each on a queue of its own.
pub async fn queue(factory: &dyn QueueFactory) -> Report {
    let mut report = Report::default();
    macro_rules! check {
        ($name:ident) => {
            check!($name, QueueSettings { visibility_timeout: LEASE, ..Default::default() })
        };
        ($name:ident needs $gap:expr) => {
            if factory.gaps().contains(&$gap) {
                report.skip(stringify!($name), $gap);
            } else {
                check!($name)
            }
        };
        ($name:ident, $settings:expr) => {{
            let under_test = factory.make($settings).await;
            report.note(stringify!($name), $name(under_test.as_ref()).await);
        }};
    }
    check!(an_empty_queue_answers_nothing_and_no_error);
    check!(a_long_poll_returns_with_the_first_message);
    check!(a_message_arrives_with_all_it_carries);
    check!(a_body_arrives_unchanged);
    check!(a_receive_returns_no_more_than_asked_for);
    check!(a_leased_message_is_hidden_and_comes_back_with_a_new_receipt);
    check!(an_extended_lease_hides_the_message_for_longer);
    check!(a_released_message_comes_back_at_once);
    check!(a_message_released_for_later_comes_back_later);
    check!(a_deleted_message_never_comes_back);
    check!(a_batch_is_deleted_entry_by_entry);
    check!(a_deleted_message_has_no_lease);
    check!(an_ended_lease_cannot_be_extended needs Gap::EndedLeaseExtends);
    check!(a_stale_receipt_does_not_extend needs Gap::StaleReceiptExtends);
    check!(a_stale_receipt_deletes_nothing needs Gap::StaleReceiptDeletes);
    check!(the_status_tells_settings_and_backlog);
    let limited = QueueSettings {
        visibility_timeout: LEASE,
        max_receive_count: Some(2),
        ..Default::default()
    };
    check!(a_message_received_too_often_moves_away, limited);
    report
}

async fn receive(queue: &dyn QueueUnderTest, max: usize) -> Result<Vec<Message>, String> {
    let answer = queue.port().receive(max, Duration::from_secs(1)).await;
    let messages = answer.map_err(|error| format!("receive: {error}"))?;
    if messages.is_empty() {
        // For a queue that does not wait: paused time only moves while everybody sleeps.
        sleep(Duration::from_millis(20)).await;
    }
    Ok(messages)
}

async fn receive_one(queue: &dyn QueueUnderTest) -> Result<Message, String> {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        if let Some(message) = receive(queue, 1).await?.into_iter().next() {
            return Ok(message);
        }
    }
    Err(format!("no message within {PATIENCE:?}"))
}

async fn extend(queue: &dyn QueueUnderTest, receipt: &Receipt) -> Result<Instant, QueueError> {
    queue.port().extend(receipt, LEASE * 2).await
}

async fn an_empty_queue_answers_nothing_and_no_error(queue: &dyn QueueUnderTest) -> Checked {
    let messages = queue.port().receive(10, Duration::ZERO).await;
    ensure!(messages.as_ref().is_ok_and(Vec::is_empty), "got {messages:?}");
    let asked_at = Instant::now();
    let messages = queue.port().receive(10, Duration::from_secs(1)).await;
    ensure!(messages.as_ref().is_ok_and(Vec::is_empty), "got {messages:?}");
    let waited = asked_at.elapsed();
    ensure!(waited >= Duration::from_millis(900), "a long poll came back after {waited:?}");
    Ok(())
}

async fn a_long_poll_returns_with_the_first_message(queue: &dyn QueueUnderTest) -> Checked {
    let poll = queue.port().receive(10, Duration::from_secs(20));
    let send = async {
        sleep(Duration::from_millis(300)).await;
        queue.send("late").await;
    };
    let both = async { tokio::join!(poll, send) };
    let (messages, ()) =
        timeout(PATIENCE, both).await.map_err(|_| "the poll outlasts its message".to_owned())?;
    let count = messages.as_ref().map_or(0, Vec::len);
    ensure!(count == 1, "got {messages:?}");
    Ok(())
}

async fn a_message_arrives_with_all_it_carries(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let asked_at = Instant::now();
    let message = receive_one(queue).await?;
    let answered_at = Instant::now();
    ensure!(message.body == "body", "the body is {:?}", message.body);
    ensure!(message.receive_count == 1, "the count is {}", message.receive_count);
    ensure!(!message.id.0.is_empty() && !message.receipt.0.is_empty(), "no id or no receipt");
    ensure!(message.sent_at.is_some(), "no sent_at");
    ensure!(message.sender_id.is_some(), "no sender_id");
    let received_at = message.received_at;
    ensure!(
        asked_at <= received_at && received_at <= answered_at,
        "received_at is not between the request and its answer"
    );
    let lease = message.lease_until.saturating_duration_since(received_at);
    ensure!(lease == LEASE, "a lease of {lease:?} from the request on");
    Ok(())
}

async fn a_body_arrives_unchanged(queue: &dyn QueueUnderTest) -> Checked {
    let body = "{\"a\": \"\\u00e9 é 😀 <&> \\\"\",\r\n\t\"b\":1.50}";
    queue.send(body).await;
    let message = receive_one(queue).await?;
    ensure!(message.body == body, "the body is {:?}", message.body);
    Ok(())
}

async fn a_receive_returns_no_more_than_asked_for(queue: &dyn QueueUnderTest) -> Checked {
    for number in 0..12 {
        queue.send(&format!("{number}")).await;
    }
    let mut bodies = HashSet::new();
    let give_up = Instant::now() + LEASE;
    while bodies.len() < 12 && Instant::now() < give_up {
        let messages = receive(queue, 5).await?;
        ensure!(messages.len() <= 5, "{} messages for 5", messages.len());
        bodies.extend(messages.into_iter().map(|message| message.body));
    }
    ensure!(bodies.len() == 12, "only {} of 12 arrived within their lease", bodies.len());
    Ok(())
}

async fn a_leased_message_is_hidden_and_comes_back_with_a_new_receipt(
    queue: &dyn QueueUnderTest,
) -> Checked {
    queue.send("body").await;
    let first = receive_one(queue).await?;
    let meanwhile = queue.port().receive(10, Duration::ZERO).await;
    ensure!(meanwhile.as_ref().is_ok_and(Vec::is_empty), "while leased: {meanwhile:?}");
    let second = receive_one(queue).await?;
    ensure!(second.id == first.id, "another id");
    ensure!(second.receipt != first.receipt, "the same receipt");
    ensure!(second.receive_count == 2, "the count is {}", second.receive_count);
    ensure!(second.sent_at == first.sent_at, "another sent_at");
    Ok(())
}

async fn an_extended_lease_hides_the_message_for_longer(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let message = receive_one(queue).await?;
    let asked_at = Instant::now();
    let until = extend(queue, &message.receipt).await.map_err(|error| error.to_string())?;
    let lease = until.saturating_duration_since(asked_at);
    let slack = Duration::from_millis(100);
    ensure!(lease >= LEASE * 2 && lease <= LEASE * 2 + slack, "the new lease is {lease:?}");
    while Instant::now() < asked_at + LEASE + LEASE / 2 {
        let messages = queue.port().receive(10, Duration::ZERO).await;
        ensure!(messages.as_ref().is_ok_and(Vec::is_empty), "before its end: {messages:?}");
        sleep(Duration::from_millis(200)).await;
    }
    ensure!(receive_one(queue).await?.receive_count == 2, "another count than 2");
    Ok(())
}

async fn a_released_message_comes_back_at_once(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let message = receive_one(queue).await?;
    let released = queue.port().release(&message.receipt, Duration::ZERO).await;
    ensure!(released.is_ok(), "release: {released:?}");
    let again = timeout(LEASE / 2, receive_one(queue)).await;
    let again = again.map_err(|_| "it did not come back before its lease".to_owned())??;
    ensure!(again.receive_count == 2, "the count is {}", again.receive_count);
    Ok(())
}

async fn a_message_released_for_later_comes_back_later(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let message = receive_one(queue).await?;
    let released_at = Instant::now();
    let released = queue.port().release(&message.receipt, LEASE * 2).await;
    ensure!(released.is_ok(), "release: {released:?}");
    receive_one(queue).await?;
    let waited = released_at.elapsed();
    ensure!(waited + Duration::from_millis(200) >= LEASE * 2, "it came back after {waited:?}");
    Ok(())
}

async fn delete(queue: &dyn QueueUnderTest, receipts: &[Receipt]) -> Checked {
    let answers = queue.port().delete(receipts).await.map_err(|error| error.to_string())?;
    ensure!(answers.len() == receipts.len(), "{} answers", answers.len());
    ensure!(answers.iter().all(Result::is_ok), "delete: {answers:?}");
    Ok(())
}

async fn a_deleted_message_never_comes_back(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let message = receive_one(queue).await?;
    delete(queue, std::slice::from_ref(&message.receipt)).await?;
    let give_up = Instant::now() + LEASE + LEASE / 2;
    while Instant::now() < give_up {
        let messages = receive(queue, 10).await?;
        ensure!(messages.is_empty(), "it came back: {messages:?}");
    }
    Ok(())
}

async fn a_batch_is_deleted_entry_by_entry(queue: &dyn QueueUnderTest) -> Checked {
    for number in 0..10 {
        queue.send(&format!("{number}")).await;
    }
    let mut held = Vec::new();
    let give_up = Instant::now() + LEASE;
    while held.len() < 10 && Instant::now() < give_up {
        held.extend(receive(queue, 10).await?);
    }
    ensure!(held.len() == 10, "only {} of 10 arrived within their lease", held.len());
    let kept = held.remove(4);
    let receipts: Vec<Receipt> = held.into_iter().map(|message| message.receipt).collect();
    delete(queue, &receipts).await?;
    let left = receive_one(queue).await?;
    ensure!(left.id == kept.id, "another message is left");
    let others = queue.port().receive(10, Duration::ZERO).await;
    ensure!(others.as_ref().is_ok_and(Vec::is_empty), "more are left: {others:?}");
    Ok(())
}

async fn a_deleted_message_has_no_lease(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let message = receive_one(queue).await?;
    delete(queue, std::slice::from_ref(&message.receipt)).await?;
    let extended = extend(queue, &message.receipt).await;
    ensure!(matches!(extended, Err(QueueError::LeaseLost(_))), "extend: {extended:?}");
    delete(queue, &[message.receipt]).await
}

async fn an_ended_lease_cannot_be_extended(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let message = receive_one(queue).await?;
    sleep(LEASE + LEASE / 4).await;
    let extended = extend(queue, &message.receipt).await;
    ensure!(matches!(extended, Err(QueueError::LeaseLost(_))), "extend: {extended:?}");
    Ok(())
}

async fn a_stale_receipt_does_not_extend(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let first = receive_one(queue).await?;
    let second = receive_one(queue).await?;
    let extended = extend(queue, &first.receipt).await;
    ensure!(matches!(extended, Err(QueueError::LeaseLost(_))), "extend: {extended:?}");
    let released = queue.port().release(&first.receipt, Duration::ZERO).await;
    ensure!(matches!(released, Err(QueueError::LeaseLost(_))), "release: {released:?}");
    let extended = extend(queue, &second.receipt).await;
    ensure!(extended.is_ok(), "the newest receipt: {extended:?}");
    Ok(())
}

async fn a_stale_receipt_deletes_nothing(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("body").await;
    let first = receive_one(queue).await?;
    let second = receive_one(queue).await?;
    delete(queue, &[first.receipt]).await?;
    let third = receive_one(queue).await?;
    ensure!(third.id == second.id && third.receive_count == 3, "got {third:?}");
    Ok(())
}

async fn the_status_tells_settings_and_backlog(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("one").await;
    queue.send("two").await;
    receive_one(queue).await?;
    let status = queue.port().status().await.map_err(|error| error.to_string())?;
    ensure!(status.visibility_timeout == LEASE, "{status:?}");
    ensure!(status.max_receive_count.is_none(), "{status:?}");
    ensure!(status.visible == 1 && status.in_flight == 1, "{status:?}");
    Ok(())
}

async fn a_message_received_too_often_moves_away(queue: &dyn QueueUnderTest) -> Checked {
    queue.send("poison").await;
    let status = queue.port().status().await.map_err(|error| error.to_string())?;
    ensure!(status.max_receive_count == Some(2), "{status:?}");
    for _ in 0..2 {
        let message = receive_one(queue).await?;
        let released = queue.port().release(&message.receipt, Duration::ZERO).await;
        ensure!(released.is_ok(), "release: {released:?}");
    }
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        let messages = receive(queue, 1).await?;
        ensure!(messages.is_empty(), "a third delivery: {messages:?}");
        if queue.dead_letters().await == ["poison"] {
            return Ok(());
        }
    }
    Err("it is not among the dead letters".to_owned())
}
