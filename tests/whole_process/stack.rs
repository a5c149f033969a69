use std::collections::HashMap;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::types::{
    BucketVersioningStatus, Event, FilterRule, FilterRuleName, NotificationConfiguration,
    NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter, VersioningConfiguration,
};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use serde_json::{Value, json};
use trailsift_testkit::trail::Fleet;

/// A bucket whose notifications go to a queue.
pub(crate) struct Stack {
    pub(crate) bucket: String,
    pub(crate) queue_url: String,
    /// The queue that takes what was received too often, if there is one.
    dead_letters_url: Option<String>,
    pub(crate) endpoint: String,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
}

/// What the queue says of itself: visible, in flight.
pub(crate) type Backlog = (u64, u64);

/// An object as S3 stored it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) size: usize,
    pub(crate) etag: String,
    pub(crate) version_id: Option<String>,
}

impl Stack {
    /// `name` must be unique among the tests; the process id keeps runs apart.
    pub(crate) async fn create(name: &str, visibility_seconds: u32) -> Self {
        let endpoint = std::env::var("AWS_ENDPOINT_URL")
            .expect("AWS_ENDPOINT_URL names LocalStack: run these tests with `cargo xtask test`");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region("us-east-1")
            .endpoint_url(&endpoint)
            .load()
            .await;
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let (s3, sqs) = (aws_sdk_s3::Client::from_conf(s3), aws_sdk_sqs::Client::new(&config));
        let unique = format!("{name}-{}", std::process::id());

        let created = sqs
            .create_queue()
            .queue_name(&unique)
            .attributes(QueueAttributeName::VisibilityTimeout, visibility_seconds.to_string())
            .send()
            .await
            .expect("a queue");
        let queue_url = created.queue_url.expect("its URL");
        let dead_letters_url = None;
        let stack = Self { bucket: unique, queue_url, dead_letters_url, endpoint, s3, sqs };
        stack.s3.create_bucket().bucket(&stack.bucket).send().await.expect("a bucket");
        stack.notifying_of("").await
    }

    /// Only what is put under this prefix is announced.
    pub(crate) async fn notifying_of(self, prefix: &str) -> Self {
        let arn = self.arn(&self.queue_url).await;
        let rule = FilterRule::builder().name(FilterRuleName::Prefix).value(prefix).build();
        let key = S3KeyFilter::builder().filter_rules(rule).build();
        let queue = QueueConfiguration::builder()
            .queue_arn(arn)
            .events(Event::S3ObjectCreated)
            .filter(NotificationConfigurationFilter::builder().key(key).build());
        let notify = NotificationConfiguration::builder()
            .queue_configurations(queue.build().expect("complete"))
            .build();
        let put = self.s3.put_bucket_notification_configuration().bucket(&self.bucket);
        put.notification_configuration(notify).send().await.expect("notifications");
        self
    }

    /// What was received more often than this moves to a queue of its own.
    pub(crate) async fn with_dead_letters(mut self, max_receive_count: u32) -> Self {
        let name = format!("{}-dead", self.bucket);
        let created = self.sqs.create_queue().queue_name(name).send().await.expect("a queue");
        let url = created.queue_url.expect("its URL");
        let arn = self.arn(&url).await;
        let policy =
            json!({ "deadLetterTargetArn": arn, "maxReceiveCount": max_receive_count.to_string() });
        let set = self.sqs.set_queue_attributes().queue_url(&self.queue_url);
        set.attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
            .send()
            .await
            .expect("a redrive policy");
        self.dead_letters_url = Some(url);
        self
    }

    pub(crate) async fn versioned(self) -> Self {
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        let put = self.s3.put_bucket_versioning().bucket(&self.bucket);
        put.versioning_configuration(enabled.build()).send().await.expect("versions");
        self
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) -> Stored {
        let body = body.into();
        let size = body.len();
        let put = self.s3.put_object().bucket(&self.bucket).key(key);
        let stored = put.body(body.into()).send().await.expect("an object");
        Stored {
            key: key.to_owned(),
            size,
            etag: stored.e_tag.expect("its entity tag").trim_matches('"').to_owned(),
            version_id: stored.version_id,
        }
    }

    pub(crate) async fn put_fleet(&self, fleet: &Fleet) {
        for object in &fleet.objects {
            self.put(&object.key, object.stored.to_vec()).await;
        }
    }

    pub(crate) async fn send(&self, body: &str) {
        let send = self.sqs.send_message().queue_url(&self.queue_url).message_body(body);
        send.send().await.expect("a message");
    }

    /// One message that announces all of these, as S3 would if it put several into one.
    pub(crate) async fn announce(&self, objects: &[Stored]) {
        let records: Vec<Value> = objects.iter().map(|object| self.record(object)).collect();
        self.send(&json!({ "Records": records }).to_string()).await;
    }

    /// The keys of these tests need no encoding.
    fn record(&self, stored: &Stored) -> Value {
        let mut object = json!({ "key": stored.key, "size": stored.size, "eTag": stored.etag });
        if let Some(version_id) = &stored.version_id {
            object["versionId"] = json!(version_id);
        }
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "eventTime": "2026-11-20T10:05:00.000Z", "awsRegion": "us-east-1",
            "s3": { "bucket": { "name": self.bucket }, "object": object },
        })
    }

    /// How often each message that can be received now has been received, this time included.
    pub(crate) async fn receive_counts(&self) -> Vec<u32> {
        let mut counts = Vec::new();
        loop {
            let receive = self.sqs.receive_message().queue_url(&self.queue_url);
            let received = receive
                .max_number_of_messages(10)
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .send()
                .await
                .expect("an answer");
            let messages = received.messages.unwrap_or_default();
            if messages.is_empty() {
                return counts;
            }
            counts.extend(messages.into_iter().map(|message| {
                let attributes = message.attributes.expect("attributes");
                let count = &attributes[&MessageSystemAttributeName::ApproximateReceiveCount];
                count.parse::<u32>().expect("a count")
            }));
        }
    }

    pub(crate) async fn backlog(&self) -> Backlog {
        self.backlog_of(&self.queue_url).await
    }

    /// What was given up by the queue.
    pub(crate) async fn dead_letters(&self) -> Backlog {
        self.backlog_of(self.dead_letters_url.as_ref().expect("a dead-letter queue")).await
    }

    async fn backlog_of(&self, url: &str) -> Backlog {
        let attributes = self.attributes(url).await;
        let count = |name: QueueAttributeName| {
            attributes.get(&name).and_then(|count| count.parse().ok()).expect("a count")
        };
        (
            count(QueueAttributeName::ApproximateNumberOfMessages),
            count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    async fn arn(&self, url: &str) -> String {
        self.attributes(url).await.remove(&QueueAttributeName::QueueArn).expect("its ARN")
    }

    async fn attributes(&self, url: &str) -> HashMap<QueueAttributeName, String> {
        let get = self.sqs.get_queue_attributes().queue_url(url);
        let answer = get.attribute_names(QueueAttributeName::All).send().await;
        answer.expect("an answer").attributes.expect("attributes")
    }
}

/// Looks until `look` answers `Some`, two minutes at most.
pub(crate) async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}
