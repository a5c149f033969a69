use trailsift_aws::diagnosis::{Notification, Target, TopicFacts};

use super::notification::OurQueue;
use super::pattern::About;
use super::policy::{self, PUBLISH, Request, SEND, Sender, Sending};
use crate::commands::doctor::line::Line;

const SENDER: &str = "sender";

/// What a policy must say to let this sender do this, on behalf of `account` where the source's ARN does
/// not have it in it.
fn statement(request: &Request<'_>, account: Option<&str>) -> String {
    let account = account.map_or_else(String::new, |account| {
        format!(",\"StringEquals\":{{\"aws:SourceAccount\":\"{account}\"}}")
    });
    let action = if request.action == PUBLISH { "sns:Publish" } else { "sqs:SendMessage" };
    format!(
        "{{\"Effect\":\"Allow\",\"Principal\":{{\"Service\":\"{}\"}},\"Action\":\"{action}\",\
         \"Resource\":\"{}\",\"Condition\":{{\"ArnEquals\":{{\"aws:SourceArn\":\"{}\"}}{account}}}}}",
        request.sender.principal(),
        request.resource,
        request.source_arn.unwrap_or("(its ARN)"),
    )
}

fn bucket_arn(near: &str, bucket: &str) -> String {
    let partition = near.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:s3:::{bucket}")
}

/// Whether the queue takes what this bucket sends, and only that.
pub(super) fn sender(
    queue: OurQueue<'_>,
    notifications: &[Notification],
    bucket: &str,
    owner: Option<&str>,
) -> Option<Line> {
    // Who else tells the queue is judged with the notification.
    notifications.iter().find(|it| it.to == Target::Queue(queue.arn.to_owned()))?;
    let source = bucket_arn(queue.arn, bucket);
    let request = Request {
        sender: Sender::S3,
        action: SEND,
        resource: queue.arn,
        source_arn: Some(&source),
        source_account: owner,
    };
    let statement = statement(&request, Some(owner.unwrap_or("(the bucket's account)")));
    let sending = policy::sending(queue.policy, &request);
    Some(match sending {
        Sending::Allowed { account: true, source: true } => Line::ok(
            SENDER,
            "the queue's policy lets S3 send for this bucket and its owner's account alone",
        ),
        Sending::Allowed { account, source } => {
            let open = match (account, source) {
                (false, true) => {
                    "for whoever owns a bucket of this name: a deleted name could be taken by another account"
                }
                (true, _) => "for every bucket of its account",
                (false, false) => "for every bucket of every account: anybody can announce files",
            };
            Line::warn(
                SENDER,
                format!("the queue's policy lets S3 send {open}"),
                format!("let its only statement for S3 be {statement}"),
            )
        }
        _ => not_allowed(sending, "S3 send for this bucket", &statement),
    })
}

/// Whether the queue takes what a topic or rule sends, and only that. The ARN, unlike a bucket's, has
/// its account in it.
pub(super) fn sender_between(queue: OurQueue<'_>, sender: Sender, arn: &str) -> Line {
    let account = arn.split(':').nth(4).filter(|account| !account.is_empty());
    let request = Request {
        sender,
        action: SEND,
        resource: queue.arn,
        source_arn: Some(arn),
        source_account: account,
    };
    let what = if sender == Sender::Sns { "topic" } else { "rule" };
    let statement = statement(&request, None);
    let sending = policy::sending(queue.policy, &request);
    match sending {
        Sending::Allowed { source: true, .. } => {
            Line::ok(SENDER, format!("the queue's policy lets the {what} {arn} send, and no other"))
        }
        Sending::Allowed { account, .. } => {
            let whose = match account {
                true => "of its account",
                false => "of every account: anybody can announce files",
            };
            Line::warn(
                SENDER,
                format!("the queue's policy lets every {what} send {whose}"),
                format!("let its only statement for them be {statement}"),
            )
        }
        _ => not_allowed(sending, &format!("the {what} {arn} send"), &statement),
    }
}

fn not_allowed(sending: Sending, does: &str, statement: &str) -> Line {
    match sending {
        Sending::Unclear => Line::warn(
            SENDER,
            format!(
                "cannot tell whether the queue's policy lets {does}: it has conditions that doctor does not know"
            ),
            format!(
                "see that nothing denies it, and that something allows it, such as {statement}"
            ),
        ),
        _ => Line::fail(
            SENDER,
            format!("the queue's policy does not let {does}: notifications are dropped in silence"),
            format!("add to the queue's policy: {statement}"),
        ),
    }
}

/// What keeps a topic from taking what the bucket tells it.
pub(super) fn topic_refuses(arn: &str, facts: &TopicFacts, about: &About<'_>) -> Option<Line> {
    if facts.kms_key.as_deref() == Some("alias/aws/sns") {
        return Some(Line::fail(
            SENDER,
            format!(
                "the topic {arn} is encrypted with AWS's own key for SNS, which S3 may not use: notifications are dropped in \
                 silence"
            ),
            "encrypt it with a key of yours whose policy lets s3.amazonaws.com use it, or with none",
        ));
    }
    let source = bucket_arn(arn, about.bucket);
    let request = Request {
        sender: Sender::S3,
        action: PUBLISH,
        resource: arn,
        source_arn: Some(&source),
        source_account: about.owner,
    };
    (policy::sending(facts.policy.as_deref(), &request) == Sending::NotAllowed).then(|| {
        Line::fail(
            SENDER,
            format!("the policy of the topic {arn} does not let S3 publish for this bucket"),
            format!(
                "add to it: {}",
                statement(&request, Some(about.owner.unwrap_or("(the bucket's account)")))
            ),
        )
    })
}
