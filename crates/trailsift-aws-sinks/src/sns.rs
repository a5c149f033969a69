//! Events as messages of a topic.

use std::borrow::Cow;

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::PublishBatchRequestEntry;
use trailsift_aws::{AnswerLimit, Session};
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};
use trailsift_delivery::Blame;

use crate::answer::{Verdict, entry_failed, judge, later};
use crate::calls::{AT_ONCE, Answer, Settled, once, pack};
use crate::message::{MessageGroup, Order, body, fits, is_fifo};

/// One call takes ten messages (SNS API Reference, `PublishBatch`).
const MOST: usize = 10;
const DOING: &str = "cannot publish to the topic";

/// Which topic, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsSettings {
    /// The topic. If its name ends in `.fifo` it is a FIFO topic.
    pub topic_arn: String,
    /// What a FIFO topic keeps in order.
    pub message_group: MessageGroup,
    /// The topic's own `MaximumMessageSize`, in bytes: of one message, and of one call.
    pub message_bytes: usize,
}

impl SnsSettings {
    /// What a topic takes unless its `MaximumMessageSize` was changed.
    pub const MESSAGE_BYTES: usize = 256 << 10;
}

/// Publishes each event as one message without subject and attributes, its text the event.
///
/// In a FIFO topic the event's ID deduplicates for five minutes, so a lost answer costs no duplicate there.
/// Its order is that of one write as long as nothing fails: what failed is published again later,
/// behind what came after it.
#[derive(Debug)]
pub struct SnsSink {
    name: String,
    session: Session,
    client: Client,
    topic_arn: String,
    fifo: Option<MessageGroup>,
    blame: Blame,
    message_bytes: usize,
}

impl SnsSink {
    /// Makes no call.
    pub fn new(name: impl Into<String>, session: &Session, settings: SnsSettings) -> Self {
        Self {
            name: name.into(),
            client: Client::from_conf(
                aws_sdk_sns::config::Builder::from(&once(session))
                    .interceptor(AnswerLimit::USUAL)
                    .build(),
            ),
            session: session.clone(),
            blame: Blame::new("the topic's MaximumMessageSize against max_message"),
            fifo: is_fifo(&settings.topic_arn).then_some(settings.message_group),
            topic_arn: settings.topic_arn,
            message_bytes: settings.message_bytes,
        }
    }

    fn message<'e>(&self, entry: &'e Entry) -> Result<Message<'e>, SinkError> {
        let body = body(entry)?;
        fits(body.len(), self.message_bytes)?;
        Ok(Message { body, order: self.fifo.map(|group| Order::of(entry, group)) })
    }

    async fn publish(&self, part: Vec<usize>, messages: &[Option<Message<'_>>]) -> Answer {
        let mut request = self.client.publish_batch().topic_arn(&self.topic_arn);
        for place in part {
            let Some(Some(message)) = messages.get(place) else { continue };
            let entry = PublishBatchRequestEntry::builder()
                .id(place.to_string())
                .message(&*message.body)
                .set_message_group_id(message.order.as_ref().map(|order| order.group.clone()))
                .set_message_deduplication_id(
                    message.order.as_ref().map(|order| order.deduplication.clone()),
                );
            match entry.build() {
                Ok(entry) => request = request.publish_batch_request_entries(entry),
                Err(error) => return Answer::Failed(Verdict::Later(unsent(&error))),
            }
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return Answer::Failed(judge(DOING, &self.session.fault(&error))),
        };
        // Saved is what has an ID.
        let sent = answer.successful().iter().filter(|entry| entry.message_id().is_some());
        let sent = sent.map(|entry| (place(entry.id()), Ok(())));
        // Behind the others, so that what is named in both lists counts as failed.
        let failed = answer.failed().iter().map(|entry| {
            let message = entry.message().unwrap_or_default();
            let error = entry_failed(DOING, entry.code(), message, Some(entry.sender_fault()));
            (place(Some(entry.id())), Err(error))
        });
        Answer::Of(sent.chain(failed).collect())
    }
}

/// The SDK refuses to build a request: not an event's fault.
fn unsent(error: &dyn std::error::Error) -> SinkError {
    SinkError::retry(format!("{DOING}: {error}"))
}

/// The place that an entry's ID names; one that was never sent is beyond every batch.
fn place(id: Option<&str>) -> usize {
    id.and_then(|id| id.parse().ok()).unwrap_or(usize::MAX)
}

struct Message<'e> {
    body: Cow<'e, str>,
    order: Option<Order>,
}

#[async_trait]
impl Sink for SnsSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        let most = self.message_bytes;
        Limits { events: 500, bytes: most.saturating_mul(8), entry_bytes: most }
    }

    /// Asks for the topic's attributes.
    async fn check(&self) -> Result<(), SinkError> {
        let answer = self.client.get_topic_attributes().topic_arn(&self.topic_arn).send().await;
        answer.map_err(|error| {
            later("cannot ask for the topic's attributes", &self.session.fault(&error))
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
        let parts = pack(sizes, MOST, self.message_bytes);
        settled.deliver(parts, at_once, |part| self.publish(part, &messages)).await;
        Ok(settled.blaming(&self.blame).outcome())
    }
}
