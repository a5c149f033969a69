//! A topic or a rule between bucket and queue.

use aws_sdk_eventbridge::types::{RuleState, Target};
use aws_sdk_s3::types::{EventBridgeConfiguration, TopicConfiguration};

use super::*;

/// A stack whose bucket tells nobody yet.
struct Between {
    stack: Stack,
    sns: aws_sdk_sns::Client,
    events: aws_sdk_eventbridge::Client,
}

impl Between {
    fn new(name: &str) -> Self {
        let stack = Stack::healthy(name);
        let config = stack.runtime.block_on(sdk(&stack.endpoint));
        stack.tell(NotificationConfiguration::builder().build());
        let sns = aws_sdk_sns::Client::new(&config);
        Self { stack, sns, events: aws_sdk_eventbridge::Client::new(&config) }
    }

    /// The queue's policy lets this service send for this source.
    fn allow(&self, service: &str, source: &str) {
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": service }, "Action": "sqs:SendMessage",
            "Resource": arn(&self.stack.name), "Condition": { "ArnEquals": { "aws:SourceArn": source } } }] });
        self.stack.set(Name::Policy, &policy.to_string());
    }

    /// A topic that the bucket tells and whose policy lets it.
    fn topic(&self) -> String {
        let stack = &self.stack;
        let create = self.sns.create_topic().name(&stack.name);
        let made = stack.runtime.block_on(create.send()).expect("a topic");
        let topic = made.topic_arn().expect("its ARN").to_owned();
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": "sns:Publish",
            "Resource": topic, "Condition": { "ArnEquals": {
                "aws:SourceArn": format!("arn:aws:s3:::{}", stack.name) } } }] });
        let set = self.sns.set_topic_attributes().topic_arn(&topic).attribute_name("Policy");
        stack.runtime.block_on(set.attribute_value(policy.to_string()).send()).expect("a policy");
        let told =
            TopicConfiguration::builder().topic_arn(&topic).events(Event::S3ObjectCreated).build();
        let told = told.expect("complete");
        stack.tell(NotificationConfiguration::builder().topic_configurations(told).build());
        topic
    }

    /// A rule for a bucket's new objects that leads to the queue; its ARN.
    fn rule(&self, bucket: &str, input_path: Option<&str>) -> String {
        let stack = &self.stack;
        let pattern = json!({ "source": ["aws.s3"], "detail-type": ["Object Created"],
            "detail": { "bucket": { "name": [bucket] } } });
        let put = self.events.put_rule().name(&stack.name).event_pattern(pattern.to_string());
        let made = stack.runtime.block_on(put.send()).expect("a rule");
        let target = Target::builder().id("queue").arn(arn(&stack.name));
        let target = target.set_input_path(input_path.map(str::to_owned)).build();
        let put = self.events.put_targets().rule(&stack.name);
        let put = put.targets(target.expect("complete"));
        stack.runtime.block_on(put.send()).expect("a target");
        made.rule_arn().expect("its ARN").to_owned()
    }
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_topic_between_bucket_and_queue() {
    let between = Between::new("topic");
    let stack = &between.stack;
    let topic = between.topic();
    between.allow("sns.amazonaws.com", &topic);
    stack.report().assert("notification", "fail", "the queue is not subscribed to it");

    let subscribe = between.sns.subscribe().topic_arn(&topic).protocol("sqs");
    let subscribe = subscribe.endpoint(arn(&stack.name)).return_subscription_arn(true);
    let made = stack.runtime.block_on(subscribe.send()).expect("a subscription");
    let subscription = made.subscription_arn().expect("its ARN");
    let report = stack.report();
    assert_eq!(report.complaints(), ["endpoint"], "{report:#?}");
    report.assert("notification", "ok", "by way of the topic");

    let filter = |scope: &str, policy: &Value| {
        for (name, value) in
            [("FilterPolicyScope", scope.to_owned()), ("FilterPolicy", policy.to_string())]
        {
            let set = between.sns.set_subscription_attributes().subscription_arn(subscription);
            let set = set.attribute_name(name).attribute_value(value);
            stack.runtime.block_on(set.send()).expect("a filter");
        }
    };
    filter("MessageAttributes", &json!({ "kind": ["trail"] }));
    stack.report().assert("notification", "fail", "an attribute that S3 gives no message");
    let name = json!({ "Records": { "s3": { "bucket": { "name": [stack.name] } } } });
    filter("MessageBody", &name);
    stack.report().assert("notification", "ok", "every key");

    between.allow("sns.amazonaws.com", "arn:aws:sns:us-east-1:000000000000:another");
    stack.report().assert("sender", "fail", "dropped in silence");
}

#[test]
#[ignore = "needs LocalStack: cargo xtask test"]
fn a_rule_between_bucket_and_queue() {
    let between = Between::new("rule");
    let stack = &between.stack;
    let bus = EventBridgeConfiguration::builder().build();
    stack.tell(NotificationConfiguration::builder().event_bridge_configuration(bus).build());
    between.allow("events.amazonaws.com", "arn:aws:events:us-east-1:000000000000:rule/another");
    let none = stack.report();
    let notification = none.lines.iter().find(|line| line.check == "notification");
    let notification = notification.expect("the line");
    // Other tests, or people, may have buses of their own.
    assert!(notification.words.contains("no rule of the default bus"), "{none:#?}");

    let rule = between.rule(&stack.name, None);
    stack.report().assert("sender", "fail", "dropped in silence");
    between.allow("events.amazonaws.com", &rule);
    let report = stack.report();
    assert_eq!(report.complaints(), ["endpoint"], "{report:#?}");
    report.assert("notification", "ok", "by way of EventBridge's rule");

    between.rule("another-bucket", None);
    stack.report().assert("notification", "fail", "detail.bucket.name is another");
    between.rule(&stack.name, Some("$.detail"));
    stack.report().assert("notification", "fail", "no Input, InputPath or InputTransformer");
    between.rule(&stack.name, None);
    let disable = between.events.disable_rule().name(&stack.name);
    stack.runtime.block_on(disable.send()).expect("disabled");
    let rule = stack.runtime.block_on(between.events.describe_rule().name(&stack.name).send());
    assert_eq!(rule.expect("a rule").state(), Some(&RuleState::Disabled));
    stack.report().assert("notification", "fail", "enable-rule --name");
}
