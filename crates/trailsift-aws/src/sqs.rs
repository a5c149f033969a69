use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message as SqsMessage, MessageSystemAttributeName,
    QueueAttributeName,
};
use tokio::time::Instant;
use trailsift_core::{Incomplete, Message, MessageId, Queue, QueueError, QueueStatus, Receipt};

use crate::connector::CONNECT_TIMEOUT;
use crate::fault::Fault;
use crate::limit::AnswerLimit;
use crate::sessions::Sessions;

mod classify;
#[cfg(test)]
mod localstack_tests;
mod send;
#[cfg(test)]
mod tests;

pub(crate) use classify::classify;
use classify::classify_entry;
pub use send::Outgoing;

/// SQS takes and answers at most ten at once.
const MAX_BATCH: usize = 10;
const MAX_WAIT: Duration = Duration::from_secs(20);
const MAX_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);
/// How long a long poll may take beyond its wait before the connection is given up.
const POLL_SLACK: Duration = Duration::from_secs(10);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(12);
/// The visibility timeout asked for where the queue's own setting is 0: SQS's own default.
const INSTEAD_OF_NONE: Duration = Duration::from_secs(30);
/// How long the queue's visibility timeout is believed, once messages were leased by it, before it is
/// looked up again.
const SETTINGS_AGE: Duration = Duration::from_secs(5 * 60);

/// A queue at SQS.
///
/// Every receive asks for the visibility timeout that the queue's own settings had when they were
/// last read, so that a lease is what its message says even while somebody changes the settings.
pub struct SqsQueue {
    client: Client,
    sessions: Sessions,
    url: String,
    visibility: Mutex<Option<Learned>>,
    left: AtomicU64,
    bare: AtomicU64,
}

#[derive(Clone, Copy)]
struct Learned {
    visibility: Duration,
    at: Instant,
    /// Whether a message was received since. A queue that hands out none costs its polls only.
    used: bool,
}

impl std::fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqsQueue").field("url", &self.url).finish_non_exhaustive()
    }
}

impl SqsQueue {
    pub(crate) fn new(config: &SdkConfig, sessions: &Sessions, url: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT);
        let config = aws_sdk_sqs::config::Builder::from(config)
            .timeout_config(timeouts.build())
            .interceptor(AnswerLimit::LARGE)
            .build();
        Self {
            client: Client::from_conf(config),
            sessions: sessions.clone(),
            url: url.to_owned(),
            visibility: Mutex::new(None),
            left: AtomicU64::new(0),
            bare: AtomicU64::new(0),
        }
    }

    fn failed(&self, fault: Fault) -> QueueError {
        self.sessions.heed(&fault);
        classify(fault)
    }

    fn learned(&self) -> Option<Learned> {
        *self.visibility.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The visibility timeout to lease with. An old one does when the queue cannot be asked now.
    async fn visibility(&self) -> Result<Duration, QueueError> {
        let learned = self.learned();
        if let Some(learned) = learned
            && !(learned.used && learned.at.elapsed() >= SETTINGS_AGE)
        {
            return Ok(learned.visibility);
        }
        match (self.status().await, learned) {
            (Ok(status), _) => Ok(status.visibility_timeout),
            (Err(error), Some(old)) => {
                tracing::debug!(queue = self.url, %error, "keeping the visibility timeout");
                self.learn(old.visibility);
                Ok(old.visibility)
            }
            (Err(error), None) => Err(error),
        }
    }

    fn learn(&self, visibility: Duration) {
        let learned = Learned { visibility, at: Instant::now(), used: false };
        *self.visibility.lock().unwrap_or_else(PoisonError::into_inner) = Some(learned);
    }

    /// Notes that messages are leased by what is known: from now on it grows old.
    fn use_visibility(&self) {
        let mut learned = self.visibility.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(learned) = &mut *learned {
            learned.used = true;
        }
    }

    async fn change_visibility(&self, receipt: &Receipt, seconds: i32) -> Result<(), QueueError> {
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let answer = request.receipt_handle(&receipt.0).visibility_timeout(seconds).send().await;
        answer.map(drop).map_err(|error| self.failed(Fault::of(&error)))
    }
}

/// Whole seconds, rounded up: a lease may be longer than promised, never shorter.
fn seconds(duration: Duration) -> i32 {
    let duration = duration.min(MAX_VISIBILITY);
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}

#[async_trait]
impl Queue for SqsQueue {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        use QueueAttributeName as Name;
        let names = [
            Name::VisibilityTimeout,
            Name::RedrivePolicy,
            Name::ApproximateNumberOfMessages,
            Name::ApproximateNumberOfMessagesNotVisible,
            Name::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.set_attribute_names(Some(names.into())).send().await;
        let answer = answer.map_err(|error| self.failed(Fault::of(&error)))?;
        let status = read_status(&answer.attributes.unwrap_or_default())?;
        self.learn(status.visibility_timeout);
        Ok(status)
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        use MessageSystemAttributeName as Name;
        let visibility = self.visibility().await?;
        let wait = wait.min(MAX_WAIT);
        let max = i32::try_from(max.clamp(1, MAX_BATCH)).unwrap_or(1);
        // One attempt: a poll that the SDK repeats would outlast its wait, and the listener backs
        // off by itself. Its deadline is the attempt's, never a read timeout, for the SDK keeps a
        // pool of connections per read timeout.
        let limit = wait + POLL_SLACK;
        let patience = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(limit)
            .operation_timeout(limit)
            .build();
        let patience = aws_sdk_sqs::config::Builder::new()
            .timeout_config(patience)
            .retry_config(RetryConfig::disabled());
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(max)
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(20))
            .visibility_timeout(seconds(visibility))
            .message_system_attribute_names(Name::ApproximateReceiveCount)
            .message_system_attribute_names(Name::SentTimestamp)
            .message_system_attribute_names(Name::SenderId);
        let asked_at = Instant::now();
        let answer = request.customize().config_override(patience).send().await;
        let answer = answer.map_err(|error| self.failed(Fault::of(&error)))?;
        let messages = answer.messages.unwrap_or_default();
        if !messages.is_empty() {
            self.use_visibility();
        }
        let lease = Lease { asked_at, until: asked_at + visibility };
        let handed_out = messages.len();
        let bare = messages.iter().filter(|message| is_bare(message)).count();
        let messages: Vec<_> =
            messages.into_iter().filter_map(|message| read_message(message, lease)).collect();
        let left = handed_out - messages.len();
        if left + bare > 0 {
            tracing::warn!(
                queue = self.url,
                left,
                bare,
                "sqs sent messages without id, receipt or body (left to redelivery), or without \
                 their attributes (handed on)"
            );
            self.left.fetch_add(left as u64, Ordering::Relaxed);
            self.bare.fetch_add(bare as u64, Ordering::Relaxed);
        }
        Ok(messages)
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        let by = by.min(MAX_VISIBILITY);
        let asked_at = Instant::now();
        self.change_visibility(receipt, seconds(by)).await?;
        Ok(asked_at + by)
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        self.change_visibility(receipt, seconds(after)).await
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        if receipts.len() > MAX_BATCH {
            let count = receipts.len();
            return Err(QueueError::Rejected(format!("{count} deletes in one batch, 10 is most")));
        }
        let mut entries = Vec::with_capacity(receipts.len());
        for (place, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            let entry = entry.receipt_handle(&receipt.0).build();
            entries.push(entry.map_err(|error| QueueError::Rejected(error.to_string()))?);
        }
        let request = self.client.delete_message_batch().queue_url(&self.url);
        let answer = request.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| self.failed(Fault::of(&error)))?;

        // What the answer does not name is not known to be deleted.
        let unnamed = || Err(QueueError::Unavailable("the answer leaves the entry out".into()));
        let mut results: Vec<_> = receipts.iter().map(|_| unnamed()).collect();
        for entry in answer.successful() {
            if let Some(result) = at(&mut results, entry.id()) {
                *result = Ok(());
            }
        }
        for entry in answer.failed() {
            if let Some(result) = at(&mut results, entry.id()) {
                *result = Err(classify_entry(entry));
            }
        }
        Ok(results)
    }

    fn incomplete(&self) -> Incomplete {
        Incomplete {
            left: self.left.load(Ordering::Relaxed),
            bare: self.bare.load(Ordering::Relaxed),
        }
    }
}

/// Whether a message that is whole otherwise lacks the attributes that every receive asks for.
fn is_bare(message: &SqsMessage) -> bool {
    let count = MessageSystemAttributeName::ApproximateReceiveCount;
    let is_whole =
        message.message_id.is_some() && message.receipt_handle.is_some() && message.body.is_some();
    is_whole
        && message.attributes.as_ref().is_none_or(|attributes| !attributes.contains_key(&count))
}

fn at<'a, T>(results: &'a mut [T], id: &str) -> Option<&'a mut T> {
    id.parse::<usize>().ok().and_then(|place| results.get_mut(place))
}

fn read_status(
    attributes: &HashMap<QueueAttributeName, String>,
) -> Result<QueueStatus, QueueError> {
    use QueueAttributeName as Name;
    let number = |name: Name| attributes.get(&name).and_then(|text| text.parse::<u64>().ok());
    let visibility = number(Name::VisibilityTimeout).ok_or_else(|| {
        QueueError::Unavailable("the queue's attributes name no VisibilityTimeout".to_owned())
    })?;
    Ok(QueueStatus {
        visibility_timeout: match visibility {
            // Nothing could be worked on: every lease would be over as it begins.
            0 => INSTEAD_OF_NONE,
            seconds => Duration::from_secs(seconds).min(MAX_VISIBILITY),
        },
        max_receive_count: attributes
            .get(&Name::RedrivePolicy)
            .and_then(|policy| max_receive_count(policy)),
        visible: number(Name::ApproximateNumberOfMessages).unwrap_or(0),
        in_flight: number(Name::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
        delayed: number(Name::ApproximateNumberOfMessagesDelayed).unwrap_or(0),
    })
}

/// The count in a redrive policy, which is a number or a string of digits.
pub(crate) fn max_receive_count(policy: &str) -> Option<u32> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    u32::try_from(count).ok()
}

#[derive(Clone, Copy)]
struct Lease {
    asked_at: Instant,
    until: Instant,
}

/// A message that lacks its id, receipt or body cannot be settled: it is left to its lease's end
/// and to the queue's redrive policy.
fn read_message(message: SqsMessage, lease: Lease) -> Option<Message> {
    use MessageSystemAttributeName as Name;
    let attributes = message.attributes.unwrap_or_default();
    let (Some(id), Some(receipt), Some(body)) =
        (message.message_id, message.receipt_handle, message.body)
    else {
        return None;
    };
    let number = |name: Name| attributes.get(&name).and_then(|text| text.parse::<u64>().ok());
    let receive_count = number(Name::ApproximateReceiveCount).unwrap_or(1).max(1);
    Some(Message {
        id: MessageId(id),
        receipt: Receipt(receipt),
        body,
        receive_count: u32::try_from(receive_count).unwrap_or(u32::MAX),
        sent_at: number(Name::SentTimestamp).and_then(|millis| {
            std::time::SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
        }),
        sender_id: attributes.get(&Name::SenderId).cloned(),
        received_at: lease.asked_at,
        lease_until: lease.until,
    })
}
