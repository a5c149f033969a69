//! Each misconfiguration that LocalStack can express: the line about it, and the exit code.

mod between;

use std::time::{SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::types::{
    BucketLocationConstraint, CreateBucketConfiguration, Event, FilterRule, FilterRuleName,
    NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration, S3KeyFilter,
};
use aws_sdk_sqs::types::QueueAttributeName as Name;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::runtime::Runtime;

use super::Report;

const ACCOUNT: &str = "000000000000";

/// An account as it should be. Tests break one thing of it.
struct Stack {
    name: String,
    endpoint: String,
    queue_url: String,
    dead_url: String,
    /// Further keys of the bucket's entry.
    bucket: String,
    /// Further sections.
    more: String,
    /// Further keys of the account.
    account: String,
    runtime: Runtime,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
}

async fn sdk(endpoint: &str) -> SdkConfig {
    let config = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    config.endpoint_url(endpoint).load().await
}

/// A name that no other test run uses.
fn unique(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after it").as_nanos();
    format!("doctor-{name}-{:x}-{}", now & 0xffff_ffff, std::process::id())
}

fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL")
        .expect("AWS_ENDPOINT_URL names LocalStack: run these tests with `cargo xtask test`")
}

impl Stack {
    fn healthy(name: &str) -> Self {
        let (name, endpoint) = (unique(name), endpoint());
        let runtime = Runtime::new().expect("a runtime");
        let config = runtime.block_on(sdk(&endpoint));
        let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
        let stack = Self {
            queue_url: format!("{endpoint}/{ACCOUNT}/{name}"),
            dead_url: format!("{endpoint}/{ACCOUNT}/{name}-dead"),
            bucket: format!(", owner = \"{ACCOUNT}\""),
            more: String::new(),
            account: String::new(),
            s3: aws_sdk_s3::Client::from_conf(s3),
            sqs: aws_sdk_sqs::Client::new(&config),
            name,
            endpoint,
            runtime,
        };
        stack.make_queue(&format!("{}-dead", stack.name));
        stack.make_queue(&stack.name);
        stack.set(Name::VisibilityTimeout, "120");
        stack.set(Name::MessageRetentionPeriod, "864000");
        stack.redrive(50);
        stack.policy(
            &json!({ "ArnEquals": { "aws:SourceArn": format!("arn:aws:s3:::{}", stack.name) },
                              "StringEquals": { "aws:SourceAccount": ACCOUNT } }),
        );
        let create = stack.s3.create_bucket().bucket(&stack.name);
        stack.runtime.block_on(create.send()).expect("a bucket");
        stack.notify(&stack.name, "", "");
        stack.put(&stack.day("CloudTrail", "a"), &[0x1f, 0x8b, 8, 0]);
        stack.put(&stack.day("CloudTrail-Digest", "d"), b"x");
        stack
    }

    fn make_queue(&self, name: &str) {
        self.runtime.block_on(self.sqs.create_queue().queue_name(name).send()).expect("a queue");
    }

    fn set(&self, name: Name, value: &str) {
        let set = self.sqs.set_queue_attributes().queue_url(&self.queue_url);
        self.runtime.block_on(set.attributes(name, value).send()).expect("set");
    }

    fn redrive(&self, count: u32) {
        let arn = arn(&format!("{}-dead", self.name));
        let policy = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": count });
        self.set(Name::RedrivePolicy, &policy.to_string());
    }

    fn policy(&self, condition: &Value) {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
            "Action": "sqs:SendMessage", "Resource": arn(&self.name), "Condition": condition }] });
        self.set(Name::Policy, &policy.to_string());
    }

    /// Replaces the bucket's notifications.
    fn notify(&self, queue: &str, prefix: &str, suffix: &str) {
        let rules = [(FilterRuleName::Prefix, prefix), (FilterRuleName::Suffix, suffix)];
        let rules = rules.into_iter().filter(|(_, value)| !value.is_empty());
        let rules =
            rules.map(|(name, value)| FilterRule::builder().name(name).value(value).build());
        let key = S3KeyFilter::builder().set_filter_rules(Some(rules.collect())).build();
        let queue = QueueConfiguration::builder()
            .queue_arn(arn(queue))
            .events(Event::S3ObjectCreated)
            .filter(NotificationConfigurationFilter::builder().key(key).build());
        let queue = queue.build().expect("complete");
        self.tell(NotificationConfiguration::builder().queue_configurations(queue).build());
    }

    fn tell(&self, whom: NotificationConfiguration) {
        let put = self.s3.put_bucket_notification_configuration().bucket(&self.name);
        self.runtime.block_on(put.notification_configuration(whom).send()).expect("notifications");
    }

    fn put(&self, key: &str, body: &[u8]) {
        let put = self.s3.put_object().bucket(&self.name).key(key).body(body.to_vec().into());
        self.runtime.block_on(put.send()).expect("an object");
    }

    fn delete(&self, key: &str) {
        let delete = self.s3.delete_object().bucket(&self.name).key(key);
        self.runtime.block_on(delete.send()).expect("deleted");
    }

    fn delete_queue(&self, url: &str) {
        self.runtime.block_on(self.sqs.delete_queue().queue_url(url).send()).expect("deleted");
    }

    /// A key of today.
    fn day(&self, kind: &str, name: &str) -> String {
        let (year, month, day) = OffsetDateTime::now_utc().to_calendar_date();
        let month = u8::from(month);
        format!("AWSLogs/{ACCOUNT}/{kind}/us-east-1/{year}/{month:02}/{day:02}/{name}.json.gz")
    }

    fn report(&self) -> Report {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("trailsift.toml");
        let text = format!(
            "[service]\ndata_dir = \"{}\"\n{}\n[account]\nid = \"{ACCOUNT}\"\nname = \"production\"\n\
             region = \"us-east-1\"\nqueue_url = \"{}\"\nendpoint_url = \"{}\"\n\
             buckets = [{{ name = \"{}\"{} }}]\n{}",
            folder.path().join("data").display(),
            self.more,
            self.queue_url,
            self.endpoint,
            self.name,
            self.bucket,
            self.account,
        );
        std::fs::write(&config, text).expect("a file");
        Report::of(&config.display().to_string(), &[])
    }
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:{ACCOUNT}:{queue}")
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn an_account_as_it_should_be_has_no_complaint_but_that_it_is_emulated() {
    let report = Stack::healthy("healthy").report();
    assert_eq!(report.complaints(), ["endpoint"], "{report:#?}");
    assert_eq!(report.code, Some(0));
    report.assert("sender", "ok", "alone");
    report.assert("digest", "ok", "last day");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn no_queue() {
    let stack = Stack::healthy("no-queue");
    stack.delete_queue(&stack.queue_url);
    stack.report().assert("queue", "fail", "does not exist");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn no_redrive_policy() {
    let mut stack = Stack::healthy("no-redrive");
    stack.set(Name::RedrivePolicy, "");
    stack.report().assert("redrive", "warn", "no redrive policy");
    stack.more = "[quarantine]\npolicy = \"redrive\"\n".into();
    stack.report().assert("redrive", "fail", "no redrive policy");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_dead_letter_queue_that_is_gone_and_one_that_is_not_empty() {
    let stack = Stack::healthy("dead");
    let send = stack.sqs.send_message().queue_url(&stack.dead_url).message_body("x");
    stack.runtime.block_on(send.send()).expect("sent");
    stack.report().assert("dead-letters", "warn", "holds 1 messages");
    stack.delete_queue(&stack.dead_url);
    stack.report().assert("dead-letters", "fail", "does not exist");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn too_few_receives() {
    let stack = Stack::healthy("receives");
    stack.redrive(3);
    stack.report().assert("redrive", "fail", "maxReceiveCount is 3");
    stack.redrive(8);
    stack.report().assert("redrive", "warn", "soon after max_receive (5)");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_visibility_timeout_of_nothing_and_one_too_short() {
    let stack = Stack::healthy("visibility");
    stack.set(Name::VisibilityTimeout, "0");
    stack.report().assert("visibility", "warn", "it is 0");
    stack.set(Name::VisibilityTimeout, "10");
    stack.report().assert("visibility", "warn", "(10s)");
    stack.set(Name::VisibilityTimeout, "43200");
    stack.report().assert("visibility", "warn", "12h");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_queue_that_forgets_soon() {
    let stack = Stack::healthy("retention");
    stack.set(Name::MessageRetentionPeriod, "3600");
    stack.report().assert("retention", "warn", "after 1h");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_bucket_that_tells_nobody_or_somebody_else() {
    let stack = Stack::healthy("told");
    stack.tell(NotificationConfiguration::builder().build());
    stack.report().assert("notification", "fail", "tells nobody");
    stack.notify(&format!("{}-dead", stack.name), "", "");
    stack.report().assert("notification", "fail", "tells only arn:aws:sqs");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn filters_that_hide_files() {
    let mut stack = Stack::healthy("filters");
    stack.notify(&stack.name, "", ".json");
    stack.report().assert("notification", "fail", "remove the filter's suffix");
    stack.notify(&stack.name, "AWSLogs/", ".json.gz");
    stack.report().assert("notification", "ok", "AWSLogs/");
    stack.notify(&stack.name, "elsewhere/", "");
    stack.report().assert("notification", "warn", "widen the filter's prefix");
    stack.bucket.push_str(", prefix = \"AWSLogs/\"");
    stack.report().assert("notification", "fail", "make the filter's prefix");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_queue_policy_that_lets_nobody_send_or_anybody() {
    let stack = Stack::healthy("policy");
    stack.policy(
        &json!({ "ArnEquals": { "aws:SourceArn": format!("arn:aws:s3:::{}", stack.name) } }),
    );
    stack.report().assert("sender", "warn", "a deleted name could be taken");
    stack.policy(&json!({}));
    stack.report().assert("sender", "warn", "anybody can announce files");
    stack.policy(&json!({ "StringEquals": { "aws:SourceAccount": "111122223333" } }));
    stack.report().assert("sender", "fail", "dropped in silence");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_queue_that_everybody_may_use() {
    let stack = Stack::healthy("everybody");
    let open = |action: &str| {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
            "Principal": "*", "Action": action, "Resource": arn(&stack.name) }] });
        stack.set(Name::Policy, &policy.to_string());
    };
    open("sqs:SendMessage");
    let report = stack.report();
    report.assert("queue-policy", "warn", "anybody can announce files again");
    report.assert("sender", "warn", "anybody can announce files");
    open("sqs:*");
    stack.report().assert("queue-policy", "fail", "receive or delete");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn no_bucket() {
    let mut stack = Stack::healthy("no-bucket");
    stack.name.push_str("-not");
    stack.report().assert("bucket", "fail", "does not exist");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_bucket_in_another_region() {
    let mut stack = Stack::healthy("region");
    let there = CreateBucketConfiguration::builder()
        .location_constraint(BucketLocationConstraint::EuWest1)
        .build();
    stack.name.push_str("-eu");
    let create = stack.s3.create_bucket().bucket(&stack.name).create_bucket_configuration(there);
    stack.runtime.block_on(create.send()).expect("a bucket");
    let report = stack.report();
    let region = report.lines.iter().find(|line| line.check == "region").expect("the line");
    assert_eq!((region.level.as_str(), report.code), ("fail", Some(1)), "{report:#?}");
    assert!(region.words.contains("region = \"eu-west-1\""), "{region:?}");
    stack.bucket.push_str(", region = \"eu-west-1\"");
    let report = stack.report();
    let region = report.lines.iter().find(|line| line.check == "region").expect("the line");
    assert_eq!(region.level, "ok", "{report:#?}");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn no_owner() {
    let mut stack = Stack::healthy("owner");
    stack.bucket.clear();
    stack.report().assert("owner", "warn", "no owner is configured");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn no_digest_no_gzip_and_no_file() {
    let stack = Stack::healthy("files");
    stack.delete(&stack.day("CloudTrail-Digest", "d"));
    stack.report().assert("digest", "warn", "--enable-log-file-validation");
    stack.put(&stack.day("CloudTrail", "a"), b"{\"Records\":[]}");
    stack.report().assert("read", "warn", "not compressed with gzip");
    stack.delete(&stack.day("CloudTrail", "a"));
    stack.report().assert("files", "warn", "there is no trail file in the bucket");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_role_is_assumed() {
    let mut stack = Stack::healthy("role");
    let role = format!("arn:aws:iam::{ACCOUNT}:role/trailsift");
    stack.account = format!("role_arn = \"{role}\"\nexternal_id = \"abc\"\n");
    stack.report().assert("role", "ok", "with its external id");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_sink_that_is_down_fails_where_messages_wait_for_it() {
    let mut stack = Stack::healthy("sink");
    let sink = "[[route]]\nname = \"r\"\nsinks = [\"siem\"]\n\
        selector = [{ eventSource = { starts_with = [\"s3.\"] } }]\n\
        [sink.siem]\ntype = \"http\"\nurl = \"http://127.0.0.1:9/\"\n";
    stack.more = sink.into();
    stack.report().assert("reachable", "fail", "messages wait for this sink");
    stack.more = format!("{sink}required = false\n");
    stack.report().assert("reachable", "warn", "best-effort");
}

/// The stack that operators deploy.
#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn the_ingest_stack_has_nothing_that_fails() {
    use aws_sdk_cloudformation::types::{Capability, Parameter, StackStatus};
    let mut stack = Stack::healthy("ingest");
    let made = unique("made");
    let config = stack.runtime.block_on(sdk(&stack.endpoint));
    let client = aws_sdk_cloudformation::Client::new(&config);
    let parameter =
        |key: &str| Parameter::builder().parameter_key(key).parameter_value(&made).build();
    let create = client
        .create_stack()
        .stack_name(&made)
        .template_body(include_str!("../../../deploy/cloudformation/ingest.yaml"))
        .capabilities(Capability::CapabilityIam)
        .parameters(parameter("BucketName"))
        .parameters(parameter("QueueName"));
    stack.runtime.block_on(async {
        create.send().await.expect("a stack");
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
        loop {
            let asked = client.describe_stacks().stack_name(&made).send().await.expect("answers");
            match asked.stacks()[0].stack_status() {
                Some(StackStatus::CreateComplete) => break,
                Some(StackStatus::CreateInProgress) => {}
                other => panic!("{other:?}"),
            }
            assert!(tokio::time::Instant::now() < deadline, "the stack is not made in time");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    });
    stack.queue_url = format!("{}/{ACCOUNT}/{made}", stack.endpoint);
    stack.name = made;
    stack.put(&stack.day("CloudTrail", "a"), &[0x1f, 0x8b, 8, 0]);
    let report = stack.report();
    assert_eq!(report.code, Some(0), "{report:#?}");
    // CloudTrail itself is not emulated, so nobody writes digests.
    assert_eq!(report.complaints(), ["endpoint", "digest"], "{report:#?}");
}
