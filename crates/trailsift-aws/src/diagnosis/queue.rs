use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use futures::future::join;
use trailsift_core::{Queue as _, QueueError, Receipt};

use super::{Examiner, fault, timeouts};
use crate::sqs::classify;
use crate::{AnswerLimit, queue_url_at};

/// What a queue says of its settings and its backlog. Counts are approximate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its ARN.
    pub arn: String,
    /// Its visibility timeout as set, 0 included.
    pub visibility_timeout: Duration,
    /// Where messages go that were received too often.
    pub redrive: Option<Redrive>,
    /// How long an unread message is kept.
    pub retention: Option<Duration>,
    /// The key of KMS that encrypts it; none where SQS's own keys do, or nothing does.
    pub kms_key: Option<String>,
    /// Its resource policy, as JSON.
    pub policy: Option<String>,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
    /// Messages that could be received now.
    pub visible: u64,
    /// Messages received by someone and not yet settled.
    pub in_flight: u64,
}

/// A redrive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The dead-letter queue.
    pub dead_letter_arn: String,
    /// After how many receives a message moves there.
    pub max_receive_count: Option<u32>,
}

/// A receipt that no message ever had: the queue refuses it, unless it refuses us.
const NO_RECEIPT: &str = "trailsift-doctor";

/// What the queue answers to an extension and a deletion of what never was.
#[derive(Debug)]
pub struct Settling {
    /// `sqs:ChangeMessageVisibility`.
    pub extended: Result<(), QueueError>,
    /// `sqs:DeleteMessage`.
    pub deleted: Result<(), QueueError>,
}

impl Examiner {
    fn sqs(&self) -> Client {
        let config = aws_sdk_sqs::config::Builder::from(self.session.config());
        Client::from_conf(
            config
                .timeout_config(timeouts())
                .interceptor(self.watching())
                .interceptor(AnswerLimit::USUAL)
                .build(),
        )
    }

    /// The account's queue: `sqs:GetQueueAttributes`, all of them.
    ///
    /// # Errors
    /// As the service's own question for its status.
    pub async fn queue(&self) -> Result<QueueFacts, QueueError> {
        self.queue_at(&self.settings.queue_url).await
    }

    /// The queue with this ARN, in the account's region: its dead-letter queue.
    ///
    /// # Errors
    /// As [`Self::queue`]. [`QueueError::Rejected`] where it is not the ARN of a queue.
    pub async fn dead_letter_queue(&self, arn: &str) -> Result<QueueFacts, QueueError> {
        // arn:aws:sqs:REGION:ACCOUNT:NAME
        let parts: Vec<&str> = arn.split(':').collect();
        let [_, _, "sqs", _, account, name] = parts[..] else {
            return Err(QueueError::Rejected(format!("{} is no queue's ARN", arn.escape_debug())));
        };
        // The host is of no meaning, so the queue's own will do.
        let ours = &self.settings.queue_url;
        let host_end = ours.find("://").map_or(0, |at| at + 3);
        let host_end = ours[host_end..].find('/').map_or(ours.len(), |at| host_end + at);
        self.queue_at(&format!("{}/{account}/{name}", &ours[..host_end])).await
    }

    /// Tries to extend and to delete a receipt that no message ever had, by the service's own port.
    /// Where both are allowed, both are refused for that receipt's sake.
    pub async fn settling(&self) -> Settling {
        let queue = &self.account.queue;
        let receipt = [Receipt(NO_RECEIPT.to_owned())];
        let extending = queue.extend(&receipt[0], Duration::from_secs(1));
        let (extended, deleted) =
            join(self.limit.of(extending), self.limit.of(queue.delete(&receipt))).await;
        Settling {
            extended: extended.map(drop),
            deleted: deleted.and_then(|answers| answers.into_iter().next().unwrap_or(Ok(()))),
        }
    }

    async fn queue_at(&self, url: &str) -> Result<QueueFacts, QueueError> {
        let url = match &self.settings.endpoint_url {
            Some(endpoint) => queue_url_at(endpoint, url),
            None => url.to_owned(),
        };
        let request = self.sqs().get_queue_attributes().queue_url(url);
        let asked = async {
            let answer = request.attribute_names(Name::All).send().await;
            answer.map_err(|error| classify(fault(&self.session, &error)))
        };
        let answer = self.limit.of(asked).await?;
        let attributes = answer.attributes.unwrap_or_default();
        let text = |name: Name| attributes.get(&name).filter(|text| !text.is_empty()).cloned();
        let number = |name: Name| text(name).and_then(|text| text.parse::<u64>().ok());
        Ok(QueueFacts {
            arn: text(Name::QueueArn).unwrap_or_default(),
            visibility_timeout: Duration::from_secs(number(Name::VisibilityTimeout).unwrap_or(0)),
            redrive: text(Name::RedrivePolicy).and_then(|policy| redrive(&policy)),
            retention: number(Name::MessageRetentionPeriod).map(Duration::from_secs),
            kms_key: text(Name::KmsMasterKeyId),
            policy: text(Name::Policy),
            fifo: text(Name::FifoQueue).is_some_and(|fifo| fifo == "true"),
            visible: number(Name::ApproximateNumberOfMessages).unwrap_or(0),
            in_flight: number(Name::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
        })
    }
}

fn redrive(policy: &str) -> Option<Redrive> {
    let read: serde_json::Value = serde_json::from_str(policy).ok()?;
    let dead_letter_arn = read.get("deadLetterTargetArn")?.as_str()?.to_owned();
    Some(Redrive { dead_letter_arn, max_receive_count: crate::sqs::max_receive_count(policy) })
}
