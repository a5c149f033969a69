//! What an operator does by hand: deploys the template and puts trail files into the bucket.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_sdk_sqs::types::QueueAttributeName;
use bytes::Bytes;

use crate::ui::Step;
use crate::workspace;

/// How long a stack may take.
const STACK: Duration = Duration::from_secs(300);

/// One AWS account and region, as LocalStack has them: the access key's id is the account's.
pub(crate) struct Site {
    pub(crate) account: String,
    pub(crate) region: String,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    cloudformation: aws_sdk_cloudformation::Client,
}

/// A stack of `deploy/cloudformation/ingest.yaml`.
pub(crate) struct Stack {
    name: String,
    pub(crate) bucket: String,
    pub(crate) queue_url: String,
    pub(crate) dead_letter_queue_url: String,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) visible: u64,
    pub(crate) in_flight: u64,
}

impl Site {
    pub(crate) fn new(endpoint: &str, account: &str, region: &str) -> Self {
        let credentials = || Credentials::new(account, "test", None, None, "xtask");
        let region_of = || Region::new(region.to_owned());
        let latest = BehaviorVersion::latest;
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(latest())
            .credentials_provider(credentials())
            .region(region_of())
            .endpoint_url(endpoint)
            .force_path_style(true)
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(latest())
            .credentials_provider(credentials())
            .region(region_of())
            .endpoint_url(endpoint)
            .build();
        let cloudformation = aws_sdk_cloudformation::Config::builder()
            .behavior_version(latest())
            .credentials_provider(credentials())
            .region(region_of())
            .endpoint_url(endpoint)
            .build();
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            cloudformation: aws_sdk_cloudformation::Client::from_conf(cloudformation),
        }
    }

    /// Deploys the template under this name, which is also the bucket's and the queue's, and waits
    /// until it is complete.
    pub(crate) async fn deploy(&self, name: &str, step: &Step) -> anyhow::Result<Stack> {
        let path = workspace::root().join("deploy/cloudformation/ingest.yaml");
        let template = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let parameter = |key: &str, value: &str| {
            Parameter::builder().parameter_key(key).parameter_value(value).build()
        };
        self.cloudformation
            .create_stack()
            .stack_name(name)
            .template_body(template)
            .parameters(parameter("BucketName", name))
            .parameters(parameter("QueueName", name))
            .capabilities(Capability::CapabilityIam)
            .send()
            .await
            .map_err(|error| told("CreateStack", &error))?;
        let started = Instant::now();
        loop {
            let (status, reason, outputs) = self.stack(name).await?;
            match status {
                StackStatus::CreateComplete => {
                    let output = |key: &str| {
                        let found = outputs.iter().find(|(name, _)| name == key);
                        found
                            .map(|(_, value)| value.clone())
                            .with_context(|| format!("the stack {name} has no output named {key}"))
                    };
                    return Ok(Stack {
                        name: name.to_owned(),
                        bucket: output("BucketName")?,
                        queue_url: output("QueueUrl")?,
                        dead_letter_queue_url: output("DeadLetterQueueUrl")?,
                    });
                }
                StackStatus::CreateInProgress if started.elapsed() < STACK => {
                    step.detail(&self.latest_event(name).await.unwrap_or_default());
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                status => {
                    let event = self.latest_event(name).await.unwrap_or_default();
                    bail!(
                        "the stack {name} is {status} after {} s: {reason}; last event: {event}",
                        started.elapsed().as_secs(),
                    );
                }
            }
        }
    }

    /// The stack's status, the reason for it, and its outputs.
    async fn stack(
        &self,
        name: &str,
    ) -> anyhow::Result<(StackStatus, String, Vec<(String, String)>)> {
        let answer = self
            .cloudformation
            .describe_stacks()
            .stack_name(name)
            .send()
            .await
            .map_err(|error| told("DescribeStacks", &error))?;
        let stack = answer.stacks().first().with_context(|| format!("no stack named {name}"))?;
        let status = stack.stack_status().cloned().context("the stack has no status")?;
        let outputs = stack
            .outputs()
            .iter()
            .filter_map(|output| {
                Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
            })
            .collect();
        Ok((status, stack.stack_status_reason().unwrap_or("no reason given").to_owned(), outputs))
    }

    async fn latest_event(&self, name: &str) -> Option<String> {
        let answer =
            self.cloudformation.describe_stack_events().stack_name(name).send().await.ok()?;
        let event = answer.stack_events().first()?;
        let status = event.resource_status()?;
        Some(format!("{} {status}", event.logical_resource_id()?))
    }

    /// Deletes what the stack made. The template retains the bucket and the dead-letter queue.
    pub(crate) async fn remove(&self, stack: &Stack) -> anyhow::Result<()> {
        let bucket = || Some(stack.bucket.clone());
        loop {
            let page = self
                .s3
                .list_object_versions()
                .set_bucket(bucket())
                .send()
                .await
                .map_err(|error| told("ListObjectVersions", &error))?;
            let objects = page
                .versions()
                .iter()
                .map(|version| {
                    ObjectIdentifier::builder()
                        .key(version.key().unwrap_or_default())
                        .set_version_id(version.version_id().map(str::to_owned))
                        .build()
                })
                .collect::<Result<Vec<_>, _>>()?;
            if objects.is_empty() {
                break;
            }
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build()?;
            self.s3
                .delete_objects()
                .set_bucket(bucket())
                .delete(delete)
                .send()
                .await
                .map_err(|error| told("DeleteObjects", &error))?;
        }
        self.cloudformation
            .delete_stack()
            .stack_name(&stack.name)
            .send()
            .await
            .map_err(|error| told("DeleteStack", &error))?;
        let started = Instant::now();
        while started.elapsed() < STACK
            && matches!(self.stack(&stack.name).await, Ok((StackStatus::DeleteInProgress, ..)))
        {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        // A stack that ignores DeletionPolicy has taken these along; then there is nothing to do.
        let gone = self.s3.delete_bucket().set_bucket(bucket()).send().await;
        drop(gone);
        let queue = &stack.dead_letter_queue_url;
        let gone = self.sqs.delete_queue().queue_url(queue).send().await;
        drop(gone);
        Ok(())
    }

    /// Stores one object, its key as it is.
    pub(crate) async fn put(&self, bucket: &str, key: &str, body: Bytes) -> anyhow::Result<()> {
        self.s3
            .put_object()
            .bucket(bucket)
            .key(key)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| told(&format!("PutObject {}", key.escape_debug()), &error))?;
        Ok(())
    }

    /// How many messages the queue holds.
    pub(crate) async fn backlog(&self, queue_url: &str) -> anyhow::Result<Backlog> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(queue_url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| told("GetQueueAttributes", &error))?;
        let count = |name: &QueueAttributeName| {
            let text = answer.attributes().and_then(|all| all.get(name));
            text.and_then(|text| text.parse().ok())
                .with_context(|| format!("the queue does not tell {name}"))
        };
        Ok(Backlog { visible: count(&names[0])?, in_flight: count(&names[1])? })
    }
}

/// An SDK error with its causes; its own display names only the outermost.
fn told(
    operation: &str,
    error: &(impl std::error::Error + Send + Sync + 'static),
) -> anyhow::Error {
    anyhow!("{operation} failed: {}", DisplayErrorContext(error))
}
