//! What lies between a bucket and the queue, where the bucket does not tell the queue itself: topics of
//! SNS, rules of EventBridge.

use serde_json::json;
use trailsift_aws::diagnosis::{
    FilterScope, Notification, Refusal, Rule, Rules, Subscription, Target, TopicFacts,
};

use super::notification::{CHECK, EVENTS, EVERY_EVENT, How, OurQueue, directly, events, told};
use super::pattern::{About, Form, Reach, reach};
use super::policy::{self, Request, SEND, Sender, Sending};
use super::sender::{sender_between, topic_refuses};
use crate::commands::doctor::line::{Level, Line};

/// What is worth asking about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::commands::doctor) struct Wanted {
    /// The topics that may send to the queue.
    pub(in crate::commands::doctor) topics: Vec<String>,
    /// Whether rules may.
    pub(in crate::commands::doctor) rules: bool,
}

/// What was answered.
#[derive(Clone, Debug, Default)]
pub(in crate::commands::doctor) struct Ways {
    pub(in crate::commands::doctor) topics: Vec<Topic>,
    pub(in crate::commands::doctor) rules: Option<Result<Rules, Refusal>>,
}

/// A topic that may lead to the queue.
#[derive(Clone, Debug)]
pub(in crate::commands::doctor) struct Topic {
    pub(in crate::commands::doctor) arn: String,
    pub(in crate::commands::doctor) facts: Result<TopicFacts, Refusal>,
    pub(in crate::commands::doctor) subscription: Result<Option<Subscription>, Refusal>,
}

/// What to ask about: nothing where the bucket tells the queue itself.
pub(in crate::commands::doctor) fn wanted(found: &[Notification], queue: OurQueue<'_>) -> Wanted {
    if !directly(found, queue).is_empty() {
        return Wanted::default();
    }
    let mut topics: Vec<String> = topics(found).map(|(arn, _)| arn.to_owned()).collect();
    let rules = found.iter().any(|it| it.to == Target::EventBridge);
    if topics.is_empty() && !rules {
        // CloudTrail can tell a topic of its own accord, whatever the bucket does.
        topics = policy::sources(queue.policy, Sender::Sns);
    }
    topics.sort();
    topics.dedup();
    Wanted { topics, rules }
}

/// The topics that the bucket tells of new files.
fn topics(found: &[Notification]) -> impl Iterator<Item = (&str, &Notification)> {
    found.iter().filter_map(|it| match &it.to {
        Target::Topic(arn) if !events(it).is_empty() => Some((arn.as_str(), it)),
        _ => None,
    })
}

/// The bucket does not tell the queue itself: who else does?
pub(super) fn indirect(
    found: &[Notification],
    queue: OurQueue<'_>,
    ways: &Ways,
    about: &About<'_>,
    prefix: &str,
) -> Vec<Line> {
    let mut each: Vec<Vec<Line>> = Vec::new();
    let tells_a_topic = topics(found).next().is_some();
    for topic in &ways.topics {
        let told_of: Vec<&Notification> =
            topics(found).filter(|(arn, _)| *arn == topic.arn).map(|(_, it)| it).collect();
        match told_of.is_empty() {
            true => each.push(vec![of_its_own(topic)]),
            false => each.extend(by_topic(topic, &told_of, queue, about, prefix)),
        }
    }
    if let Some(rules) = &ways.rules {
        each.extend(by_rules(rules, queue, about, prefix));
    }
    let worst = |lines: &Vec<Line>| lines.iter().map(|line| line.level).max();
    if let Some(best) = each.into_iter().min_by_key(worst) {
        return best;
    }
    if may(queue, Sender::Sns, None) && !tells_a_topic {
        return vec![Line::warn(
            CHECK,
            "the bucket does not tell the queue of new files, but a topic may send there: perhaps the trail's own",
            "see that the trail has an SNS topic and the queue is subscribed to it; else let the bucket tell the queue",
        )];
    }
    vec![nobody(found, queue, about.bucket)]
}

fn may(queue: OurQueue<'_>, sender: Sender, source_arn: Option<&str>) -> bool {
    let request = Request {
        sender,
        action: SEND,
        resource: queue.arn,
        source_arn,
        source_account: source_arn.and_then(|arn| arn.split(':').nth(4)),
    };
    policy::sending(queue.policy, &request) != Sending::NotAllowed
}

fn nobody(found: &[Notification], queue: OurQueue<'_>, bucket: &str) -> Line {
    let connect = format!(
        "let the bucket tell the queue: aws s3api put-bucket-notification-configuration --bucket {bucket}, with \
         {{\"QueueConfigurations\":[{{\"QueueArn\":\"{}\",\"Events\":[\"{EVERY_EVENT}\"]}}]}} (it replaces what is \
         there: merge)",
        queue.arn
    );
    let told: Vec<String> = found
        .iter()
        .map(|it| match &it.to {
            Target::Queue(arn) | Target::Topic(arn) | Target::Function(arn) => arn.clone(),
            Target::EventBridge => "EventBridge".to_owned(),
        })
        .collect();
    let text = match told.is_empty() {
        true => "the bucket tells nobody of new files".to_owned(),
        false => {
            format!("the bucket tells only {} of new files, not {}", told.join(", "), queue.arn)
        }
    };
    Line::fail(CHECK, text, connect)
}

/// What keeps a topic from telling the queue, whoever tells the topic.
fn subscribed(topic: &Topic, before: &str) -> Option<Line> {
    let arn = &topic.arn;
    let list = format!("aws sns list-subscriptions-by-topic --topic-arn {arn}");
    Some(match &topic.subscription {
        Ok(Some(Subscription { arn: Some(_), .. })) => return None,
        Ok(Some(Subscription { arn: None, .. })) => Line::fail(
            CHECK,
            format!("{before}, but the queue's subscription to it waits for a confirmation"),
            "let the queue's own account subscribe it (aws sns subscribe): then there is nothing to confirm",
        ),
        Ok(None) => Line::fail(
            CHECK,
            format!("{before}, but the queue is not subscribed to it"),
            format!(
                "aws sns subscribe --topic-arn {arn} --protocol sqs --notification-endpoint (the queue's ARN), as the queue's \
                 account"
            ),
        ),
        Err(Refusal::Missing(said)) => Line::fail(
            CHECK,
            format!("{before}, but there is no such topic: {said}"),
            "let the bucket tell the queue itself, or another topic",
        ),
        Err(Refusal::Denied(said)) => Line::warn(
            CHECK,
            format!("{before}; cannot tell whether the queue is subscribed to it: {said}"),
            format!(
                "see that it is, as the topic's account: {list}; or allow sns:ListSubscriptionsByTopic and \
                 sns:GetSubscriptionAttributes to whoever runs doctor"
            ),
        ),
        Err(refusal) => Line::warn(
            CHECK,
            format!("{before}; cannot tell whether the queue is subscribed to it: {refusal}"),
            format!("see that it is: {list}"),
        ),
    })
}

/// A topic that CloudTrail may tell by itself: the queue's policy lets it send.
fn of_its_own(topic: &Topic) -> Line {
    let arn = &topic.arn;
    let before = format!(
        "the bucket does not tell the queue of new files, but the topic {arn} may send there, perhaps the trail's own"
    );
    subscribed(topic, &before).unwrap_or_else(|| {
        Line::warn(
            CHECK,
            format!("{before}, and the queue is subscribed to it; cannot tell whether the trail tells it"),
            "see that it does: aws cloudtrail describe-trails --query 'trailList[].SnsTopicARN'; else let the bucket tell the queue",
        )
    })
}

/// The bucket tells a topic: `None` where nothing speaks for that it is our queue that it leads to.
fn by_topic(
    topic: &Topic,
    told_of: &[&Notification],
    queue: OurQueue<'_>,
    about: &About<'_>,
    prefix: &str,
) -> Option<Vec<Line>> {
    let arn = &topic.arn;
    let is_unknown = topic.subscription.is_err();
    if is_unknown && !may(queue, Sender::Sns, Some(arn)) {
        return None;
    }
    let mut lines = Vec::new();
    match subscribed(topic, &format!("the bucket tells the topic {arn}")) {
        Some(line) if line.level == Level::Fail => return Some(vec![line]),
        Some(line) => lines.push(line),
        None => lines.push(through_filter(topic, told_of, about, prefix)),
    }
    let refuses = topic.facts.as_ref().ok().and_then(|facts| topic_refuses(arn, facts, about));
    lines.push(refuses.unwrap_or_else(|| sender_between(queue, Sender::Sns, arn)));
    Some(lines)
}

/// What the subscription's filter leaves of what the topic is told.
fn through_filter(
    topic: &Topic,
    told_of: &[&Notification],
    about: &About<'_>,
    prefix: &str,
) -> Line {
    let arn = &topic.arn;
    let how = How {
        who: format!("by way of the topic {arn}, the bucket tells the queue"),
        place: "the notification to the topic, or the subscription's filter".to_owned(),
    };
    let Ok(Some(subscription)) = &topic.subscription else {
        return Line::warn(CHECK, format!("{} of something", how.who), "run doctor again");
    };
    let owned = |of: &[&Notification]| of.iter().map(|&it| it.clone()).collect::<Vec<_>>();
    let ask = format!(
        "aws sns get-subscription-attributes --subscription-arn {}",
        subscription.arn.as_deref().unwrap_or_default()
    );
    let filter = match &subscription.filter {
        Ok(None) => return told(&owned(told_of), prefix, &how),
        Ok(Some(filter)) => filter,
        Err(refusal) => {
            let whole = told(&owned(told_of), prefix, &how);
            if whole.level == Level::Fail {
                return whole;
            }
            return Line::warn(
                CHECK,
                format!(
                    "{}; cannot tell whether its subscription has a filter: {refusal}",
                    whole.text
                ),
                format!("see that it has none, as the topic's account: {ask}"),
            );
        }
    };
    let form = match filter.scope {
        FilterScope::Attributes => Form::Attributes,
        FilterScope::Body => Form::Body,
    };
    let remove = format!(
        "remove the subscription's filter: aws sns set-subscription-attributes --subscription-arn {} --attribute-name \
         FilterPolicy --attribute-value '{{}}'",
        subscription.arn.as_deref().unwrap_or_default()
    );
    match reach(&filter.policy, form, about) {
        Reach::Nothing(field) => {
            let why = match form {
                Form::Attributes => "an attribute that S3 gives no message",
                _ => "which no new file of this bucket has so",
            };
            Line::fail(
                CHECK,
                format!(
                    "the queue's subscription to the topic {arn} lets nothing through: its filter asks for {}, {why}",
                    field.escape_debug()
                ),
                remove,
            )
        }
        Reach::Unclear(field) => Line::warn(
            CHECK,
            format!(
                "the queue's subscription to the topic {arn} has a filter by {}; cannot tell what it lets through",
                field.escape_debug()
            ),
            remove,
        ),
        Reach::Keys { keys, events } => {
            let left = meet(told_of, &keys, &events);
            if left.is_empty() {
                return Line::fail(
                    CHECK,
                    format!(
                        "the bucket's notification to the topic {arn} and the filter of the queue's subscription exclude each other"
                    ),
                    remove,
                );
            }
            told(&left, prefix, &how)
        }
    }
}

/// What is in the notifications and in the filter.
fn meet(
    notifications: &[&Notification],
    keys: &[(String, String)],
    let_through: &[&'static str],
) -> Vec<Notification> {
    let narrower = |one: &str, other: &str, within: fn(&str, &str) -> bool| {
        if within(one, other) {
            Some(one.to_owned())
        } else {
            within(other, one).then(|| other.to_owned())
        }
    };
    let mut left = Vec::new();
    for notification in notifications {
        for (prefix, suffix) in keys {
            let prefix =
                narrower(&notification.prefix, prefix, |one, other| one.starts_with(other));
            let suffix = narrower(&notification.suffix, suffix, |one, other| one.ends_with(other));
            if let (Some(prefix), Some(suffix)) = (prefix, suffix) {
                let events = match let_through.len() == EVENTS.len() {
                    true => notification.events.clone(),
                    false => events(notification)
                        .into_iter()
                        .filter(|event| let_through.contains(event))
                        .map(str::to_owned)
                        .collect(),
                };
                left.push(Notification { prefix, suffix, events, ..(*notification).clone() });
            }
        }
    }
    left
}

/// The bucket tells EventBridge: `None` where nothing speaks for that a rule leads to our queue.
fn by_rules(
    asked: &Result<Rules, Refusal>,
    queue: OurQueue<'_>,
    about: &About<'_>,
    prefix: &str,
) -> Option<Vec<Line>> {
    const BEFORE: &str = "the bucket tells EventBridge";
    let list = format!("aws events list-rule-names-by-target --target-arn {}", queue.arn);
    let rules = match asked {
        Ok(rules) => rules,
        // Without the policy's word for it nothing speaks for a rule.
        Err(_) if !may(queue, Sender::EventBridge, None) => return None,
        Err(Refusal::Denied(said)) => {
            return Some(vec![Line::warn(
                CHECK,
                format!(
                    "{BEFORE}, which the queue's policy lets send; cannot tell whether a rule has the queue as its target: {said}"
                ),
                format!(
                    "see that one does: {list}; or allow events:ListRuleNamesByTarget, events:DescribeRule and \
                     events:ListTargetsByRule to whoever runs doctor"
                ),
            )]);
        }
        Err(refusal) => {
            return Some(vec![Line::warn(
                CHECK,
                format!(
                    "{BEFORE}; cannot tell whether a rule has the queue as its target: {refusal}"
                ),
                format!("see that one does: {list}"),
            )]);
        }
    };
    if rules.rules.is_empty() {
        return no_rule(rules, queue, about).map(|line| vec![line]);
    }
    let each = rules.rules.iter().map(|rule| {
        let mut lines = vec![by_rule(rule, about, prefix)];
        if lines[0].level != Level::Fail && !rule.as_role {
            lines.push(sender_between(queue, Sender::EventBridge, &rule.arn));
        }
        lines
    });
    each.min_by_key(|lines| lines.iter().map(|line| line.level).max())
}

fn no_rule(rules: &Rules, queue: OurQueue<'_>, about: &About<'_>) -> Option<Line> {
    let mut place = queue.arn.split(':').skip(3);
    let region = place.next().unwrap_or_default();
    let account = place.next().unwrap_or_default();
    let says = format!(
        "the bucket tells EventBridge, but no rule of the default bus of {account} in {region} has the queue as its target"
    );
    let pattern = pattern_for(about.bucket);
    let make = format!(
        "make one: aws events put-rule --name trailsift --event-pattern '{pattern}', and aws events put-targets --rule \
         trailsift --targets Id=trailsift,Arn={}; or let the bucket tell the queue",
        queue.arn
    );
    let elsewhere = match (&rules.other_buses, about.owner) {
        (_, Some(owner)) if owner != account => {
            format!("the rules of the bucket's account {owner}")
        }
        (Some(Ok(buses)), _) if buses.is_empty() => return Some(Line::fail(CHECK, says, make)),
        (Some(Ok(buses)), _) => {
            let names: Vec<String> =
                buses.iter().take(5).map(|name| name.escape_debug().to_string()).collect();
            format!("the rules of other buses ({})", names.join(", "))
        }
        _ => "whether there are other buses".to_owned(),
    };
    may(queue, Sender::EventBridge, None).then(|| {
        Line::warn(
            CHECK,
            format!("{says}; cannot tell {elsewhere}"),
            format!(
                "see that one of them has the queue as its target: aws events list-rule-names-by-target --target-arn {} \
                 --event-bus-name NAME; else {make}",
                queue.arn
            ),
        )
    })
}

/// The pattern of a rule that lets every new object of the bucket through.
fn pattern_for(bucket: &str) -> String {
    json!({
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": { "bucket": { "name": [bucket] } },
    })
    .to_string()
}

/// What one rule lets through.
fn by_rule(rule: &Rule, about: &About<'_>, prefix: &str) -> Line {
    let name = rule.name.escape_debug();
    let fails = |text: String, remedy: &str| Line::fail(CHECK, text, remedy);
    if !rule.enabled {
        return fails(
            format!("the rule {name} of EventBridge leads to the queue, but is disabled"),
            &format!("aws events enable-rule --name {name}"),
        );
    }
    if !rule.whole {
        return fails(
            format!(
                "the rule {name} of EventBridge gives the queue only a part of each event, or a text of its own, which trailsift \
                 cannot read"
            ),
            "let its target have the matched event as it is: no Input, InputPath or InputTransformer",
        );
    }
    let Some(pattern) = &rule.pattern else {
        return fails(
            format!(
                "the rule {name} of EventBridge leads to the queue, but runs by the clock only"
            ),
            "give it an event pattern for the bucket's new objects, or let the bucket tell the queue",
        );
    };
    match reach(pattern, Form::EventBridge, about) {
        Reach::Nothing(field) => fails(
            format!(
                "the pattern of the rule {name} of EventBridge lets no new file of this bucket through: its {} is another",
                field.escape_debug()
            ),
            &format!("make it {}", pattern_for(about.bucket)),
        ),
        Reach::Unclear(field) => Line::warn(
            CHECK,
            format!(
                "the rule {name} of EventBridge leads to the queue; cannot tell what its pattern lets through: it has conditions \
                 on {} that doctor does not know",
                field.escape_debug()
            ),
            "see that it lets every new object below the prefix through: aws events test-event-pattern",
        ),
        Reach::Keys { keys, events } => {
            let let_through: Vec<Notification> = keys
                .into_iter()
                .map(|(prefix, suffix)| Notification {
                    to: Target::EventBridge,
                    events: match events.len() == EVENTS.len() {
                        true => vec![EVERY_EVENT.to_owned()],
                        false => events.iter().map(|&event| event.to_owned()).collect(),
                    },
                    prefix,
                    suffix,
                })
                .collect();
            let how = How {
                who: format!("by way of EventBridge's rule {name}, the bucket tells the queue"),
                place: "the rule's pattern".to_owned(),
            };
            told(&let_through, prefix, &how)
        }
    }
}
