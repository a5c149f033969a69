//! Sending, which the service never does: `trailsift replay` announces parked objects anew.

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use trailsift_core::{MessageId, QueueError};

use super::{MAX_BATCH, SqsQueue, at, classify_entry};
use crate::fault::Fault;

/// What messages of a FIFO queue that are sent here have in common: their order matters to nobody, but
/// SQS wants a group.
const GROUP: &str = "trailsift-replay";

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its body, at most 1 MiB.
    pub body: String,
    /// Of two messages with the same one a FIFO queue takes the first only, for five minutes. Other queues
    /// do not look at it. Up to 128 letters, digits and punctuation.
    pub deduplication: String,
}

impl SqsQueue {
    /// Sends up to ten messages, 1 MiB in all. The answer has one result per message, in the same order,
    /// with the id that the queue gave it.
    ///
    /// # Errors
    /// If nothing is known about any of them: they may have been sent.
    pub async fn send(
        &self,
        messages: &[Outgoing],
    ) -> Result<Vec<Result<MessageId, QueueError>>, QueueError> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        if messages.len() > MAX_BATCH {
            let count = messages.len();
            return Err(QueueError::Rejected(format!("{count} messages in one batch, 10 is most")));
        }
        let is_fifo = self.url.ends_with(".fifo");
        let mut entries = Vec::with_capacity(messages.len());
        for (place, message) in messages.iter().enumerate() {
            let mut entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(&message.body);
            if is_fifo {
                let deduplication = &message.deduplication;
                entry = entry.message_group_id(GROUP).message_deduplication_id(deduplication);
            }
            entries.push(entry.build().map_err(|error| QueueError::Rejected(error.to_string()))?);
        }
        let request = self.client.send_message_batch().queue_url(&self.url);
        let answer = request.set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| self.failed(Fault::of(&error)))?;

        // What the answer does not name is not known to be sent.
        let unnamed = || Err(QueueError::Unavailable("the answer leaves the entry out".into()));
        let mut results: Vec<_> = messages.iter().map(|_| unnamed()).collect();
        for entry in answer.successful() {
            if let Some(result) = at(&mut results, entry.id()) {
                *result = Ok(MessageId(entry.message_id().to_owned()));
            }
        }
        for entry in answer.failed() {
            if let Some(result) = at(&mut results, entry.id()) {
                *result = Err(classify_entry(entry));
            }
        }
        Ok(results)
    }
}
