use std::collections::HashMap;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_s3::types::{
    BucketVersioningStatus, Event, NotificationConfiguration, QueueConfiguration,
    VersioningConfiguration,
};
use aws_sdk_sqs::types::QueueAttributeName;
use trailsift_testkit::trail::Fleet;

/// A bucket whose notifications go to a queue with a dead-letter queue.
pub(crate) struct Stack {
    pub(crate) bucket: String,
    pub(crate) queue_url: String,
    pub(crate) endpoint: String,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
}

/// What the queue says of itself: visible, in flight.
pub(crate) type Backlog = (u64, u64);

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
        let stack = Self { bucket: unique, queue_url, endpoint, s3, sqs };
        let arn = stack.attributes().await.remove(&QueueAttributeName::QueueArn).expect("its ARN");

        stack.s3.create_bucket().bucket(&stack.bucket).send().await.expect("a bucket");
        let queue = QueueConfiguration::builder().queue_arn(arn).events(Event::S3ObjectCreated);
        let notify = NotificationConfiguration::builder()
            .queue_configurations(queue.build().expect("complete"))
            .build();
        let put = stack.s3.put_bucket_notification_configuration().bucket(&stack.bucket);
        put.notification_configuration(notify).send().await.expect("notifications");
        stack
    }

    pub(crate) async fn versioned(self) -> Self {
        let enabled = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled);
        let put = self.s3.put_bucket_versioning().bucket(&self.bucket);
        put.versioning_configuration(enabled.build()).send().await.expect("versions");
        self
    }

    pub(crate) async fn put(&self, key: &str, body: impl Into<Vec<u8>>) {
        let put = self.s3.put_object().bucket(&self.bucket).key(key);
        put.body(body.into().into()).send().await.expect("an object");
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

    pub(crate) async fn backlog(&self) -> Backlog {
        let attributes = self.attributes().await;
        let count = |name: QueueAttributeName| {
            attributes.get(&name).and_then(|count| count.parse().ok()).expect("a count")
        };
        (
            count(QueueAttributeName::ApproximateNumberOfMessages),
            count(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    async fn attributes(&self) -> HashMap<QueueAttributeName, String> {
        let get = self.sqs.get_queue_attributes().queue_url(&self.queue_url);
        let answer = get.attribute_names(QueueAttributeName::All).send().await;
        answer.expect("an answer").attributes.expect("attributes")
    }
}

/// Looks until `look` answers `Some`, a minute at most.
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
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}
