use aws_config::Region;
use aws_sdk_sns::Client;

use super::{Examiner, Refusal, refused, timeouts};
use crate::AnswerLimit;

/// How many pages of a hundred subscriptions are looked through.
const PAGES: usize = 20;
/// What stands for the ARN of a subscription that nobody has confirmed.
const PENDING: &str = "PendingConfirmation";

/// What a topic says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicFacts {
    /// Its resource policy, as JSON.
    pub policy: Option<String>,
    /// The key of KMS that encrypts it.
    pub kms_key: Option<String>,
}

/// A queue's subscription to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its ARN; none where it was never confirmed, and nothing is sent.
    pub arn: Option<String>,
    /// What it lets through, where we may ask: `None` is everything.
    pub filter: Result<Option<Filter>, Refusal>,
}

/// A subscription's filter policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What it looks at.
    pub scope: FilterScope,
    /// The policy, as JSON.
    pub policy: String,
}

/// What a filter policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterScope {
    /// The message's attributes: SNS's own choice where nobody makes one.
    Attributes,
    /// The message's body, which must be JSON.
    Body,
}

impl Examiner {
    /// A client in the topic's own region.
    fn sns(&self, topic_arn: &str) -> Client {
        // arn:aws:sns:REGION:ACCOUNT:NAME
        let region = topic_arn.split(':').nth(3).filter(|region| !region.is_empty());
        let region = region.unwrap_or(&self.settings.region).to_owned();
        let config = aws_sdk_sns::config::Builder::from(self.session.config());
        Client::from_conf(
            config
                .region(Region::new(region))
                .timeout_config(timeouts())
                .interceptor(self.watching())
                .interceptor(AnswerLimit::LARGE)
                .build(),
        )
    }

    /// What a topic says of itself: `sns:GetTopicAttributes`.
    ///
    /// # Errors
    /// If it is not answered.
    pub async fn topic(&self, arn: &str) -> Result<TopicFacts, Refusal> {
        let request = self.sns(arn).get_topic_attributes().topic_arn(arn);
        let asked = async { request.send().await.map_err(|error| refused(&self.session, &error)) };
        let attributes = self.limit.of(asked).await?.attributes.unwrap_or_default();
        let text = |name: &str| attributes.get(name).filter(|text| !text.is_empty()).cloned();
        Ok(TopicFacts { policy: text("Policy"), kms_key: text("KmsMasterKeyId") })
    }

    /// The queue's subscription to a topic, if it has one: `sns:ListSubscriptionsByTopic`, and
    /// `sns:GetSubscriptionAttributes` for its filter.
    ///
    /// # Errors
    /// If it is not answered, or the topic has more than two thousand subscriptions.
    pub async fn subscription(
        &self,
        topic_arn: &str,
        queue_arn: &str,
    ) -> Result<Option<Subscription>, Refusal> {
        let client = self.sns(topic_arn);
        let found = self.limit.of(self.subscribed(&client, topic_arn, queue_arn)).await?;
        let Some(arn) = found else { return Ok(None) };
        if arn == PENDING {
            return Ok(Some(Subscription { arn: None, filter: Ok(None) }));
        }
        let filter = self.limit.of(self.filter(&client, &arn)).await;
        Ok(Some(Subscription { arn: Some(arn), filter }))
    }

    async fn subscribed(
        &self,
        client: &Client,
        topic_arn: &str,
        queue_arn: &str,
    ) -> Result<Option<String>, Refusal> {
        let (mut next, mut pending) = (None, None);
        for _ in 0..PAGES {
            let request = client.list_subscriptions_by_topic().topic_arn(topic_arn);
            let answer = request.set_next_token(next).send().await;
            let answer = answer.map_err(|error| refused(&self.session, &error))?;
            for subscription in answer.subscriptions() {
                let is_ours = subscription.protocol() == Some("sqs")
                    && subscription.endpoint() == Some(queue_arn);
                let arn = subscription.subscription_arn().unwrap_or(PENDING);
                if is_ours && arn.starts_with("arn:") {
                    return Ok(Some(arn.to_owned()));
                } else if is_ours {
                    pending = Some(PENDING.to_owned());
                }
            }
            next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(pending);
            }
        }
        Err(Refusal::Unavailable("the topic has too many subscriptions to look at".to_owned()))
    }

    async fn filter(&self, client: &Client, arn: &str) -> Result<Option<Filter>, Refusal> {
        let request = client.get_subscription_attributes().subscription_arn(arn);
        let answer = request.send().await.map_err(|error| refused(&self.session, &error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let text = |name: &str| attributes.get(name).filter(|text| !text.is_empty());
        let scope = match text("FilterPolicyScope").map(String::as_str) {
            Some("MessageBody") => FilterScope::Body,
            _ => FilterScope::Attributes,
        };
        Ok(text("FilterPolicy").map(|policy| Filter { scope, policy: policy.clone() }))
    }
}
