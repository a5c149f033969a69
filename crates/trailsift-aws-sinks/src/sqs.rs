//! Events as messages of a queue.

use std::borrow::Cow;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use trailsift_aws::{AnswerLimit, Session, queue_url_at};
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

use crate::answer::{Verdict, entry_failed, judge, later};
use crate::calls::{AT_ONCE, Answer, Settled, once, pack};
use crate::message::{MessageGroup, Order, body, fits, is_fifo};

/// One call takes ten messages, of a mebibyte together; since August 2025 one message may have as much
/// (SQS Developer Guide, "Amazon SQS message quotas"). A queue may allow less.
const MOST: usize = 10;
const MOST_BYTES: usize = 1 << 20;
const DOING: &str = "cannot send to the queue";

/// Which queue, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsSettings {
    /// The queue. If its name ends in `.fifo` it is a FIFO queue.
    pub queue_url: String,
    /// What a FIFO queue keeps in order.
    pub message_group: MessageGroup,
}

/// Sends each event as one message without attributes, its body the event.
///
/// In a FIFO queue the event's ID deduplicates for five minutes, so a lost answer costs no duplicate there.
/// Its order is that of one write as long as nothing fails: what failed is sent again later, behind
/// what came after it.
#[derive(Debug)]
pub struct SqsSink {
    name: String,
    session: Session,
    client: Client,
    queue_url: String,
    fifo: Option<MessageGroup>,
    blame: Blame,
}

impl SqsSink {
    /// Makes no call.
    pub fn new(name: impl Into<String>, session: &Session, settings: SqsSettings) -> Self {
        let queue_url = match session.config().endpoint_url() {
            Some(endpoint) => queue_url_at(endpoint, &settings.queue_url),
            None => settings.queue_url,
        };
        Self {
            name: name.into(),
            client: Client::from_conf(
                aws_sdk_sqs::config::Builder::from(&once(session))
                    .interceptor(AnswerLimit::USUAL)
                    .build(),
            ),
            session: session.clone(),
            blame: Blame::new("the queue's MaximumMessageSize and what stands before it"),
            fifo: is_fifo(&queue_url).then_some(settings.message_group),
            queue_url,
        }
    }

    fn message<'e>(&self, entry: &'e Entry) -> Result<Message<'e>, SinkError> {
        let body = body(entry)?;
        fits(body.len(), MOST_BYTES)?;
        Ok(Message { body, order: self.fifo.map(|group| Order::of(entry, group)) })
    }

    async fn send(&self, part: Vec<usize>, messages: &[Option<Message<'_>>]) -> Answer {
        let mut request = self.client.send_message_batch().queue_url(&self.queue_url);
        for place in part {
            let Some(Some(message)) = messages.get(place) else { continue };
            let entry = SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(&*message.body)
                .set_message_group_id(message.order.as_ref().map(|order| order.group.clone()))
                .set_message_deduplication_id(
                    message.order.as_ref().map(|order| order.deduplication.clone()),
                );
            match entry.build() {
                Ok(entry) => request = request.entries(entry),
                Err(error) => return Answer::Failed(Verdict::Later(unsent(&error))),
            }
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::Failed(judge(DOING, &self.session.fault(&error))),
        };
        let sent = answer.successful().iter().map(|entry| (place(entry.id()), Ok(())));
        // Behind the others, so that what is named in both lists counts as failed.
        let failed = answer.failed().iter().map(|entry| {
            let message = entry.message().unwrap_or_default();
            let error = entry_failed(DOING, entry.code(), message, Some(entry.sender_fault()));
            (place(entry.id()), Err(error))
        });
        Answer::Of(sent.chain(failed).collect())
    }
}

/// The SDK refuses to build a request: not an event's fault.
fn unsent(error: &dyn std::error::Error) -> SinkError {
    SinkError::retry(format!("{DOING}: {error}"))
}

/// The place that an entry's ID names; one that was never sent is beyond every batch.
fn place(id: &str) -> usize {
    id.parse().unwrap_or(usize::MAX)
}

struct Message<'e> {
    body: Cow<'e, str>,
    order: Option<Order>,
}

#[async_trait]
impl Sink for SqsSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits { events: 500, bytes: 4 * MOST_BYTES, entry_bytes: MOST_BYTES }
    }

    /// Asks for the queue's attributes.
    async fn check(&self) -> Result<(), SinkError> {
        let request = self.client.get_queue_attributes().queue_url(&self.queue_url);
        let request = request.attribute_names(QueueAttributeName::QueueArn);
        let answer = request.send().await;
        answer.map_err(|error| {
            later("cannot ask for the queue's attributes", &self.session.fault(&error))
        })?;
        self.blame.check()
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let mut settled = Settled::undecided(batch.entries.len());
        let messages = settled.prepare(&batch.entries, |entry| self.message(entry));
        let sizes = messages.iter().enumerate();
        let sizes = sizes.filter_map(|(place, it)| Some((place, it.as_ref()?.body.len())));
        // One group in order is one call after the other.
        let at_once = if self.fifo == Some(MessageGroup::Account) { 1 } else { AT_ONCE };
        let parts = pack(sizes, MOST, MOST_BYTES);
        settled.deliver(parts, at_once, |part| self.send(part, &messages)).await;
        Ok(settled.blaming(&self.blame).outcome())
    }
}
