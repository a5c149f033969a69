use trailsift_aws::diagnosis::{Notification, Refusal, Target};

use super::policy::{self, Request, Sender, Sending};
use crate::commands::doctor::line::Line;

const CHECK: &str = "notification";
/// How every trail file's name ends.
const SUFFIX: &str = ".json.gz";
/// CloudTrail puts its files; in parts, S3 calls it otherwise.
const EVENTS: [&str; 2] = ["s3:ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload"];
const EVERY_EVENT: &str = "s3:ObjectCreated:*";

/// What the queue has to do with it, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands::doctor) struct OurQueue<'a> {
    pub(in crate::commands::doctor) arn: &'a str,
    pub(in crate::commands::doctor) policy: Option<&'a str>,
}

/// Whether the bucket tells the queue of every file below the prefix.
pub(in crate::commands::doctor) fn notification(
    asked: &Result<Vec<Notification>, Refusal>,
    queue: Option<OurQueue<'_>>,
    bucket: &str,
    prefix: &str,
) -> Line {
    let found = match asked {
        Ok(found) => found,
        Err(Refusal::Denied(said)) => {
            let what = "whom the bucket tells of new files";
            return Line::untold(CHECK, what, "s3:GetBucketNotification on the bucket", said);
        }
        Err(refusal) => {
            let text = format!("cannot tell whom the bucket tells of new files: {refusal}");
            return Line::warn(CHECK, text, "see the lines above");
        }
    };
    let Some(queue) = queue else {
        return Line::warn(
            CHECK,
            "cannot tell whether the bucket tells the queue of new files: the queue did not answer",
            "mend the queue first",
        );
    };
    let ours: Vec<_> =
        found.iter().filter(|it| it.to == Target::Queue(queue.arn.to_owned())).collect();
    if ours.is_empty() {
        return indirect(found, queue, bucket);
    }
    let told: Vec<_> = ours.iter().copied().filter(|it| !events(it).is_empty()).collect();
    if told.is_empty() {
        return Line::fail(
            CHECK,
            "the bucket tells the queue of other events than new objects",
            format!("add {EVERY_EVENT} to its notification to the queue"),
        );
    }
    let whole: Vec<_> = told.iter().copied().filter(|it| SUFFIX.ends_with(&it.suffix)).collect();
    if let (true, Some(hides)) = (whole.is_empty(), told.first()) {
        return Line::fail(
            CHECK,
            format!(
                "the bucket tells the queue only of keys that end with \"{}\", and trail files end with \
                 {SUFFIX}",
                hides.suffix.escape_debug()
            ),
            "remove the filter's suffix: what is no trail file is skipped and counted, whereas a filter is silent",
        );
    }
    covered(&whole, prefix)
}

/// Which of the events that a new trail file causes are named.
fn events(notification: &Notification) -> Vec<&str> {
    let named = |event: &str| notification.events.iter().any(|it| it == event);
    match named(EVERY_EVENT) {
        true => EVENTS.into(),
        false => EVENTS.into_iter().filter(|event| named(event)).collect(),
    }
}

fn covered(told: &[&Notification], prefix: &str) -> Line {
    let begins = |prefix: &str| match prefix {
        "" => "every key".to_owned(),
        prefix => format!("keys that begin with \"{}\"", prefix.escape_debug()),
    };
    if let Some(whole) = told.iter().find(|it| prefix.starts_with(&it.prefix)) {
        if events(whole).len() < EVENTS.len() {
            return Line::warn(
                CHECK,
                format!("the bucket tells the queue of {} only", whole.events.join(", ")),
                format!(
                    "let it tell of {EVERY_EVENT}: a large file may be put in parts, or copied"
                ),
            );
        }
        return Line::ok(CHECK, format!("the bucket tells the queue of {}", begins(&whole.prefix)));
    }
    let within: Vec<_> = told.iter().filter(|it| it.prefix.starts_with(prefix)).collect();
    let told_of = |some: &[&&Notification]| {
        some.iter().map(|it| begins(&it.prefix)).collect::<Vec<_>>().join(", ")
    };
    if within.is_empty() {
        let all: Vec<_> = told.iter().collect();
        return Line::fail(
            CHECK,
            format!(
                "the bucket tells the queue of {}, but the configuration wants {}",
                told_of(&all),
                begins(prefix)
            ),
            "make the filter's prefix and the prefix in `buckets` agree",
        );
    }
    // All that any trail without a prefix of its own writes is below AWSLogs/.
    if within.iter().any(|it| format!("/{}", it.prefix).ends_with("/AWSLogs/")) {
        return Line::ok(CHECK, format!("the bucket tells the queue of {}", told_of(&within)));
    }
    Line::warn(
        CHECK,
        format!(
            "the bucket tells the queue of {} only, where the configuration allows {}",
            told_of(&within),
            begins(prefix)
        ),
        "if that is not all that the trail writes, widen the filter's prefix; if it is, name it as the `prefix` in \
         `buckets`",
    )
}

/// The bucket does not tell the queue itself: who else could?
fn indirect(found: &[Notification], queue: OurQueue<'_>, bucket: &str) -> Line {
    let may = |sender, source_arn| {
        let request = Request { sender, queue_arn: queue.arn, source_arn, source_account: None };
        policy::sending(queue.policy, &request) != Sending::NotAllowed
    };
    let connect = format!(
        "let the bucket tell the queue: aws s3api put-bucket-notification-configuration --bucket {bucket}, with \
         {{\"QueueConfigurations\":[{{\"QueueArn\":\"{}\",\"Events\":[\"{EVERY_EVENT}\"]}}]}} (it replaces what is \
         there: merge)",
        queue.arn
    );
    let topics: Vec<&str> = found
        .iter()
        .filter_map(|it| match &it.to {
            Target::Topic(arn) if !events(it).is_empty() => Some(arn.as_str()),
            _ => None,
        })
        .collect();
    if let Some(topic) = topics.iter().find(|topic| may(Sender::Sns, Some(topic))) {
        return Line::warn(
            CHECK,
            format!(
                "the bucket tells the topic {topic}, which the queue's policy lets send; cannot tell whether the queue is subscribed"
            ),
            format!("see that it is: aws sns list-subscriptions-by-topic --topic-arn {topic}"),
        );
    }
    let bus = found.iter().any(|it| it.to == Target::EventBridge);
    if bus && may(Sender::EventBridge, None) {
        return Line::warn(
            CHECK,
            "the bucket tells EventBridge, which the queue's policy lets send; cannot tell whether a rule has the queue as its target",
            format!(
                "see that one does: aws events list-rule-names-by-target --target-arn {}",
                queue.arn
            ),
        );
    }
    // CloudTrail can tell a topic of its own accord, whatever the bucket does.
    if may(Sender::Sns, None) && topics.is_empty() {
        return Line::warn(
            CHECK,
            "the bucket does not tell the queue of new files, but a topic may send there: perhaps the trail's own",
            "see that the trail has an SNS topic and the queue is subscribed to it; else let the bucket tell the queue",
        );
    }
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
