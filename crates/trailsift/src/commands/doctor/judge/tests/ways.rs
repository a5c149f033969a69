//! What lies between a bucket and the queue: topics and rules.

use serde_json::json;
use trailsift_aws::diagnosis::{
    Filter, FilterScope, Notification, Refusal, Rule, Rules, Subscription, Target, TopicFacts,
};

use super::*;

const TOPIC: &str = "arn:aws:sns:us-east-1:999988887777:trail";
const RULE: &str = "arn:aws:events:us-east-1:111122223333:rule/trail";
const EVERY: &[&str] = &["s3:ObjectCreated:*"];

/// The queue's policy, which lets this service send for this source.
fn policy(service: &str, source: &str) -> String {
    json!({ "Statement": [{ "Effect": "Allow", "Principal": { "Service": service },
        "Action": "sqs:SendMessage", "Resource": QUEUE,
        "Condition": { "ArnEquals": { "aws:SourceArn": source } } }] })
    .to_string()
}

fn publishable() -> TopicFacts {
    let policy = json!({ "Statement": { "Effect": "Allow", "Action": "SNS:Publish", "Resource": TOPIC,
        "Principal": { "Service": "s3.amazonaws.com" } } });
    TopicFacts { policy: Some(policy.to_string()), kms_key: None }
}

fn subscription(filter: Option<(FilterScope, serde_json::Value)>) -> Option<Subscription> {
    let filter = filter.map(|(scope, policy)| Filter { scope, policy: policy.to_string() });
    Some(Subscription { arn: Some(format!("{TOPIC}:1")), filter: Ok(filter) })
}

fn denied<T>() -> Result<T, Refusal> {
    Err(Refusal::Denied("AccessDenied".into()))
}

fn topic(subscription: Result<Option<Subscription>, Refusal>) -> Ways {
    let topic = Topic { arn: TOPIC.into(), facts: Ok(publishable()), subscription };
    Ways { topics: vec![topic], rules: None }
}

fn judge(found: &[Notification], policy: Option<&str>, ways: &Ways, prefix: &str) -> Vec<Line> {
    let queue = OurQueue { arn: QUEUE, policy };
    notification(&Ok(found.to_vec()), Some(queue), ways, &ABOUT, prefix)
}

#[test]
fn what_is_worth_asking_about_is_asked() {
    let direct = told(Target::Queue(QUEUE.into()), "", "", EVERY);
    let by_topic = told(Target::Topic(TOPIC.into()), "", "", EVERY);
    let by_bus = told(Target::EventBridge, "", "", &[]);
    let sns = policy("sns.amazonaws.com", TOPIC);
    let queue = OurQueue { arn: QUEUE, policy: Some(&sns) };
    assert_eq!(wanted(&[direct, by_topic.clone(), by_bus.clone()], queue), Wanted::default());
    let topics = || vec![TOPIC.to_owned()];
    assert_eq!(wanted(&[by_topic], queue), Wanted { topics: topics(), rules: false });
    assert_eq!(wanted(&[by_bus], queue), Wanted { topics: vec![], rules: true });
    // The trail's own topic is in the queue's policy, and nowhere in the bucket.
    assert_eq!(wanted(&[], queue), Wanted { topics: topics(), rules: false });
}

#[test]
fn by_way_of_a_topic() {
    let found = |prefix: &str| vec![told(Target::Topic(TOPIC.into()), prefix, "", EVERY)];
    let sns = policy("sns.amazonaws.com", TOPIC);
    let body = |body: serde_json::Value| Ok(subscription(Some((FilterScope::Body, body))));
    let of_key = |key: &str| {
        body(json!({ "Records": { "s3": { "object": { "key": [{ "prefix": key }] } } } }))
    };
    let attribute = || Ok(subscription(Some((FilterScope::Attributes, json!({ "kind": ["a"] })))));
    let unread = || Ok(Some(Subscription { arn: Some("arn:s".into()), filter: denied() }));
    let pending = Some(Subscription { arn: None, filter: Ok(None) });
    for (prefix, subscription, wanted, level, words) in [
        ("", Ok(subscription(None)), "AWSLogs/", Good, "by way of the topic arn:aws:sns"),
        ("other/", Ok(subscription(None)), "AWSLogs/", Fail, "agree"),
        ("", of_key("AWSLogs/"), "AWSLogs/", Good, "begin with \"AWSLogs/\""),
        ("AWSLogs/", of_key("AWS"), "AWSLogs/", Good, "begin with \"AWSLogs/\""),
        ("AWSLogs/", of_key("x/"), "AWSLogs/", Fail, "exclude each other"),
        ("", of_key("AWSLogs/1/"), "AWSLogs/", Warn, "or the subscription's filter"),
        (
            "",
            body(json!({ "Records": { "awsRegion": ["eu-west-1"] } })),
            "",
            Fail,
            "lets nothing through",
        ),
        ("", body(json!({ "Records": { "s3": { "object": { "size": [1] } } } })), "", Warn, "size"),
        ("", attribute(), "", Fail, "kind, an attribute that S3 gives no message"),
        ("", unread(), "", Warn, "get-subscription-attributes"),
        ("", Ok(None), "", Fail, "aws sns subscribe --topic-arn arn:aws:sns"),
        ("", Ok(pending), "", Fail, "waits for a confirmation"),
        ("", denied(), "", Warn, "list-subscriptions-by-topic"),
        ("", Err(Refusal::Unavailable("503".into())), "", Warn, "cannot tell whether the queue"),
        ("", Err(Refusal::Missing("no".into())), "", Fail, "no such topic"),
    ] {
        let lines = judge(&found(prefix), Some(&sns), &topic(subscription), wanted);
        assert_line(&lines[0], level, words);
    }
}

#[test]
fn whether_topic_and_queue_take_what_they_are_sent() {
    let found = vec![told(Target::Topic(TOPIC.into()), "", "", EVERY)];
    let subscribed = || topic(Ok(subscription(None)));
    let lines = |policy: Option<&str>, ways: &Ways| judge(&found, policy, ways, "");
    let ours = policy("sns.amazonaws.com", TOPIC);
    let another = policy("sns.amazonaws.com", "arn:aws:sns:us-east-1:1:other");
    let every = policy("sns.amazonaws.com", "arn:aws:sns:*").replace("ArnEquals", "ArnLike");
    assert_line(&lines(Some(&ours), &subscribed())[1], Good, "and no other");
    assert_line(&lines(Some(&every), &subscribed())[1], Good, "and no other");
    assert_line(&lines(Some(&another), &subscribed())[1], Fail, "dropped in silence");
    assert_line(&lines(None, &subscribed())[1], Fail, "\"Service\":\"sns.amazonaws.com\"");
    let open = ours.replace("aws:SourceArn", "aws:SecureTransport").replace(TOPIC, "true");
    let open = open.replace("ArnEquals", "Bool");
    assert_line(&lines(Some(&open), &subscribed())[1], Warn, "anybody can announce files");

    let with = |facts: TopicFacts| {
        let mut ways = subscribed();
        ways.topics[0].facts = Ok(facts);
        ways
    };
    let closed = with(TopicFacts { policy: None, kms_key: None });
    assert_line(&lines(Some(&ours), &closed)[1], Fail, "\"Action\":\"sns:Publish\"");
    let keyed = with(TopicFacts { kms_key: Some("alias/aws/sns".into()), ..publishable() });
    assert_line(&lines(Some(&ours), &keyed)[1], Fail, "own key for SNS");

    // Nothing speaks for a topic that may not send and of which nobody knows the subscriptions.
    let unrelated = lines(None, &topic(denied()));
    assert_line(&unrelated[0], Fail, "tells only arn:aws:sns");
    assert_eq!(unrelated.len(), 1);
}

#[test]
fn the_trails_own_topic() {
    let sns = policy("sns.amazonaws.com", TOPIC);
    let line = |subscription| judge(&[], Some(&sns), &topic(subscription), "").remove(0);
    assert_line(&line(Ok(subscription(None))), Warn, "aws cloudtrail describe-trails");
    assert_line(&line(Ok(None)), Fail, "is not subscribed");
    assert_line(&line(denied()), Warn, "list-subscriptions-by-topic");
}

fn rule(pattern: serde_json::Value) -> Rule {
    let pattern = Some(pattern.to_string());
    Rule {
        name: "trail".into(),
        arn: RULE.into(),
        enabled: true,
        pattern,
        whole: true,
        as_role: false,
    }
}

fn created() -> serde_json::Value {
    json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] })
}

#[test]
fn by_way_of_rules() {
    let found = [told(Target::EventBridge, "", "", &[])];
    let events = policy("events.amazonaws.com", RULE);
    let lines = |rules: Vec<Rule>, policy: Option<&str>| {
        let rules = Some(Ok(Rules { rules, other_buses: None }));
        judge(&found, policy, &Ways { topics: vec![], rules }, "AWSLogs/")
    };
    let of_key = |prefix: &str| json!({ "detail": { "bucket": { "name": ["org-trail"] }, "object": { "key": [{ "prefix": prefix }] } } });
    for (rule, level, words) in [
        (
            rule(created()),
            Good,
            "by way of EventBridge's rule trail, the bucket tells the queue of every key",
        ),
        (rule(of_key("AWSLogs/")), Good, "begin with \"AWSLogs/\""),
        (rule(of_key("other/")), Fail, "the rule's pattern"),
        (rule(json!({ "source": ["aws.ec2"] })), Fail, "its source is another"),
        (rule(json!({ "detail": { "reason": ["PutObject"] } })), Warn, "s3:ObjectCreated:Put only"),
        (rule(json!({ "$or": [] })), Warn, "test-event-pattern"),
        (Rule { enabled: false, ..rule(created()) }, Fail, "enable-rule --name trail"),
        (Rule { whole: false, ..rule(created()) }, Fail, "no Input, InputPath"),
        (Rule { pattern: None, ..rule(created()) }, Fail, "by the clock only"),
    ] {
        assert_line(&lines(vec![rule], Some(&events))[0], level, words);
    }
    // One that leads here is enough.
    let two = vec![rule(json!({ "source": ["x"] })), rule(created())];
    assert!(lines(two, Some(&events)).iter().all(|line| line.level == Good));
    assert_line(
        &lines(vec![rule(created())], None)[1],
        Fail,
        "\"Service\":\"events.amazonaws.com\"",
    );
    // What a role sends needs no word of the queue's policy.
    let by_role = Rule { as_role: true, ..rule(created()) };
    assert_eq!(lines(vec![by_role], None).len(), 1);
}

#[test]
fn no_rule_is_a_failure_only_where_there_can_be_no_other() {
    let found = [told(Target::EventBridge, "", "", &[])];
    let events = policy("events.amazonaws.com", RULE);
    let line = |rules: Result<Rules, Refusal>, policy: Option<&str>, owner| {
        let ways = Ways { topics: vec![], rules: Some(rules) };
        let queue = OurQueue { arn: QUEUE, policy };
        let about = About { owner, ..ABOUT };
        notification(&Ok(found.to_vec()), Some(queue), &ways, &about, "").remove(0)
    };
    let none = |buses: Result<Vec<&str>, Refusal>| {
        let buses = buses.map(|names| names.into_iter().map(str::to_owned).collect());
        Ok(Rules { rules: vec![], other_buses: Some(buses) })
    };
    let ours = Some("111122223333");
    assert_line(&line(none(Ok(vec![])), Some(&events), ours), Fail, "aws events put-rule");
    assert_line(&line(none(Ok(vec!["security"])), Some(&events), ours), Warn, "(security)");
    assert_line(&line(none(denied()), Some(&events), ours), Warn, "whether there are other buses");
    let theirs = line(none(Ok(vec![])), Some(&events), Some("999988887777"));
    assert_line(&theirs, Warn, "the bucket's account 999988887777");
    assert_line(&line(none(Ok(vec!["security"])), None, ours), Fail, "tells only EventBridge");
    assert_line(&line(denied(), Some(&events), ours), Warn, "events:ListRuleNamesByTarget");
    assert_line(&line(denied(), None, ours), Fail, "tells only EventBridge");
}
