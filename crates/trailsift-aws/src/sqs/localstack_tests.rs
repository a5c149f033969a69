use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use trailsift_core::Queue;
use trailsift_testkit::QueueSettings;
use trailsift_testkit::conformance::{self, Gap, QueueFactory, QueueUnderTest};

use crate::SqsQueue;
use crate::test_server::{account, localstack, sdk_config, unique};

struct LocalStack {
    endpoint: String,
    client: Client,
}

struct Queues {
    client: Client,
    queue: SqsQueue,
    url: String,
    dead: Option<String>,
}

impl LocalStack {
    async fn reach() -> Self {
        let endpoint = localstack();
        let config = sdk_config().await.into_builder();
        let config = config.endpoint_url(&endpoint).region(aws_config::Region::new("us-east-1"));
        Self { endpoint, client: Client::new(&config.build()) }
    }

    async fn create(&self, attributes: Vec<(Name, String)>) -> String {
        let mut request = self.client.create_queue().queue_name(unique());
        for (name, value) in attributes {
            request = request.attributes(name, value);
        }
        request.send().await.expect("a queue").queue_url.expect("its URL")
    }
}

#[async_trait]
impl QueueFactory for LocalStack {
    async fn make(&self, settings: QueueSettings) -> Box<dyn QueueUnderTest> {
        let seconds = settings.visibility_timeout.as_secs().to_string();
        let mut attributes = vec![(Name::VisibilityTimeout, seconds)];
        let mut dead = None;
        if let Some(count) = settings.max_receive_count {
            let url = self.create(Vec::new()).await;
            let name = url.rsplit('/').next().expect("a name");
            let arn = format!("arn:aws:sqs:us-east-1:000000000000:{name}");
            let policy =
                format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"{count}"}}"#);
            attributes.push((Name::RedrivePolicy, policy));
            dead = Some(url);
        }
        let url = self.create(attributes).await;
        // A host that does not exist: only its path may matter.
        let path: Vec<&str> = url.rsplitn(3, '/').collect();
        let unreachable = format!("https://sqs.trailsift.invalid/{}/{}", path[1], path[0]);
        let queue = account(&self.endpoint, &unreachable).await.queue;
        Box::new(Queues { client: self.client.clone(), queue, url, dead })
    }

    fn gaps(&self) -> &[Gap] {
        &[Gap::StaleReceiptDeletes, Gap::StaleReceiptExtends, Gap::EndedLeaseExtends]
    }
}

#[async_trait]
impl QueueUnderTest for Queues {
    fn port(&self) -> &dyn Queue {
        &self.queue
    }

    async fn send(&self, body: &str) {
        let request = self.client.send_message().queue_url(&self.url);
        request.message_body(body).send().await.expect("sent");
    }

    async fn dead_letters(&self) -> Vec<String> {
        let dead = self.dead.as_ref().expect("a queue with a redrive policy");
        let request = self.client.receive_message().queue_url(dead).visibility_timeout(0);
        let answer = request.max_number_of_messages(10).send().await.expect("received");
        answer.messages.unwrap_or_default().into_iter().filter_map(|m| m.body).collect()
    }
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn keeps_the_promises_of_the_port() {
    let report = conformance::queue(&LocalStack::reach().await).await;
    println!("{report}");
    report.assert_passed();
}
