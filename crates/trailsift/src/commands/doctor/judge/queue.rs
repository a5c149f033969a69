use std::time::Duration;

use trailsift_aws::diagnosis::{QueueFacts, Settling};
use trailsift_core::{QueueError, QueueStatus};
use trailsift_pipeline::{QueueConcern, queue_concerns};

use super::policy;
use crate::commands::doctor::line::{Level, Line};
use crate::config::duration_text;

/// Shorter retention than SQS's own default leaves little time to mend an outage.
const LEAST_RETENTION: Duration = Duration::from_secs(4 * 24 * 60 * 60);
/// A message that a crashed process held stays hidden for so long.
const LONG_VISIBILITY: Duration = Duration::from_secs(60 * 60);
/// SQS hands out nothing more at 120,000.
const MANY_IN_FLIGHT: u64 = 100_000;

const QUEUE: &str = "queue";
const REDRIVE: &str = "redrive";
const DEAD_LETTERS: &str = "dead-letters";
const VISIBILITY: &str = "visibility";

/// What the queue says of itself. `parks`: whether bad messages go to a quarantine; if not, they are
/// left to the redrive policy.
pub(in crate::commands::doctor) fn queue(
    asked: &Result<QueueFacts, QueueError>,
    max_receive: u32,
    parks: bool,
) -> Vec<Line> {
    let facts = match asked {
        Ok(facts) => facts,
        Err(error) => return vec![unreachable(error)],
    };
    let mut lines = vec![Line::ok(
        QUEUE,
        format!("{}: {} visible, {} in flight", facts.arn, facts.visible, facts.in_flight),
    )];
    let concerns = queue_concerns(&status(facts), max_receive);
    lines.push(redrive(facts, &concerns, parks));
    lines.push(visibility(facts.visibility_timeout, &concerns));
    lines.extend(facts.retention.map(retention));
    lines.extend(facts.kms_key.as_deref().map(key));
    lines.push(open(facts.policy.as_deref()));
    if facts.fifo {
        lines.push(Line::fail(
            "fifo",
            "it is a FIFO queue, to which S3 cannot send",
            "use a standard queue: order and deduplication are not needed",
        ));
    }
    if facts.in_flight > MANY_IN_FLIGHT {
        lines.push(Line::warn(
            "in-flight",
            format!(
                "{} messages are in flight: at 120,000 SQS hands out nothing more",
                facts.in_flight
            ),
            "find the reader that takes messages and does not delete them, or run more replicas",
        ));
    }
    lines
}

fn status(facts: &QueueFacts) -> QueueStatus {
    QueueStatus {
        visibility_timeout: facts.visibility_timeout,
        max_receive_count: facts.redrive.as_ref().and_then(|redrive| redrive.max_receive_count),
        visible: facts.visible,
        in_flight: facts.in_flight,
        delayed: 0,
    }
}

fn unreachable(error: &QueueError) -> Line {
    let remedy = match error {
        QueueError::NotFound(_) => {
            "see that queue_url names an existing queue, in the account's region (SQS says the same of \
             a queue in another region); it is an output of the ingest stack"
        }
        QueueError::Denied(_) => {
            "allow sqs:GetQueueAttributes, sqs:ReceiveMessage, sqs:DeleteMessage and \
             sqs:ChangeMessageVisibility on the queue (and kms:Decrypt on its key, where it has one), in \
             our policy and, from another account, in the queue's too"
        }
        QueueError::Throttled(_) => "try again in a minute",
        _ => {
            "see that this machine reaches SQS in the account's region: network, proxy, VPC endpoint"
        }
    };
    Line::fail(QUEUE, error.to_string(), remedy)
}

fn redrive(facts: &QueueFacts, concerns: &[QueueConcern], parks: bool) -> Line {
    let about_redrive = concerns.iter().find(|concern| !concern.is_about_visibility());
    match about_redrive {
        None => {
            let count = status(facts).max_receive_count.unwrap_or(0);
            Line::ok(REDRIVE, format!("after {count} receives a message moves away"))
        }
        Some(concern) => {
            let line = Line::warn(REDRIVE, concern.to_string(), concern.remedy());
            let loses = match concern {
                QueueConcern::NoRedrive => !parks,
                QueueConcern::RedrivesTooSoon { .. } => true,
                _ => false,
            };
            Line { level: if loses { Level::Fail } else { Level::Warn }, ..line }
        }
    }
}

fn visibility(timeout: Duration, concerns: &[QueueConcern]) -> Line {
    let text = duration_text(timeout);
    if timeout.is_zero() {
        return Line::warn(
            VISIBILITY,
            "it is 0: trailsift asks for 30 s with every receive, but any other reader would get the same \
             messages at once",
            "set the queue's VisibilityTimeout, to 120 s for example",
        );
    }
    if let Some(brief) = concerns.iter().find(|concern| concern.is_about_visibility()) {
        return Line::warn(VISIBILITY, format!("{brief} ({text})"), brief.remedy());
    }
    if timeout > LONG_VISIBILITY {
        return Line::warn(
            VISIBILITY,
            format!("{text}: for so long nobody gets what a process held that crashed"),
            "lower the queue's VisibilityTimeout, to 120 s for example: leases are extended for as long as \
             the work takes",
        );
    }
    Line::ok(VISIBILITY, format!("{text}, and extended for as long as the work takes"))
}

fn retention(retention: Duration) -> Line {
    let text = duration_text(retention);
    if retention < LEAST_RETENTION {
        return Line::warn(
            "retention",
            format!(
                "the queue forgets messages after {text}: an outage that lasts longer loses them"
            ),
            "raise the queue's MessageRetentionPeriod to 10 days (864000)",
        );
    }
    Line::ok("retention", format!("unread messages are kept for {text}"))
}

fn key(key: &str) -> Line {
    if key == "alias/aws/sqs" {
        return Line::fail(
            "queue-key",
            "the queue is encrypted with AWS's own key for SQS, which S3, SNS and EventBridge may not use: \
             notifications are dropped in silence",
            "encrypt it with SQS's keys (SqsManagedSseEnabled), or with a key of yours whose policy lets the \
             sender use it",
        );
    }
    Line::warn(
        "queue-key",
        format!("the queue is encrypted with {key}; cannot tell whether its policy lets S3 use it"),
        "see that the key's policy allows kms:GenerateDataKey and kms:Decrypt to s3.amazonaws.com (or whoever \
         sends) and kms:Decrypt to us; without the former, notifications are dropped in silence",
    )
}

/// Whether only those may use the queue who should.
fn open(policy: Option<&str>) -> Line {
    const POLICY: &str = "queue-policy";
    let open = policy::open(policy);
    let unless = if open.perhaps_denied { ", unless a Deny of it keeps them away" } else { "" };
    if open.takes {
        let line = Line::warn(
            POLICY,
            format!(
                "the queue's policy lets everybody receive or delete messages{unless}: what others take is never \
                 delivered"
            ),
            "let its statements name who may do so: the service's own role needs none in the same account",
        );
        let level = if open.perhaps_denied { Level::Warn } else { Level::Fail };
        return Line { level, ..line };
    }
    if open.sends {
        return Line::warn(
            POLICY,
            format!(
                "the queue's policy lets everybody send{unless}: anybody can announce files again and have single \
                 events sent again, though none that is not in an allowed bucket"
            ),
            "let its statements name who may send, and on whose behalf: aws:SourceArn and aws:SourceAccount",
        );
    }
    Line::ok(POLICY, "it is open to nobody but those whom policies name")
}

/// What the dead-letter queue says of itself.
pub(in crate::commands::doctor) fn dead_letters(
    arn: &str,
    asked: &Result<QueueFacts, QueueError>,
) -> Line {
    match asked {
        Ok(facts) if facts.visible + facts.in_flight > 0 => Line::warn(
            DEAD_LETTERS,
            format!("{arn} holds {} messages", facts.visible + facts.in_flight),
            "find out why they were received so often (the logs name their ids), mend that, and move them \
             back: aws sqs start-message-move-task",
        ),
        Ok(_) => Line::ok(DEAD_LETTERS, format!("{arn} is empty")),
        Err(QueueError::NotFound(_)) => Line::fail(
            DEAD_LETTERS,
            format!("{arn} does not exist: what is received too often is lost, or stays for ever"),
            "create it, or name another one in the queue's redrive policy",
        ),
        Err(QueueError::Denied(said)) => Line::untold(
            DEAD_LETTERS,
            &format!("what is in {arn}"),
            "sqs:GetQueueAttributes on it",
            said,
        ),
        Err(error) => Line::warn(
            DEAD_LETTERS,
            format!("cannot tell what is in {arn}: {error}"),
            "see that the redrive policy names a queue in the same region",
        ),
    }
}

/// Whether messages could be settled: what the queue answers to a receipt that never was.
pub(in crate::commands::doctor) fn settling(asked: &Settling) -> Line {
    const SETTLING: &str = "settling";
    let answers =
        [("sqs:ChangeMessageVisibility", &asked.extended), ("sqs:DeleteMessage", &asked.deleted)];
    let (mut denied, mut why, mut silent) = (Vec::new(), None, None);
    for (action, answer) in answers {
        match answer {
            Err(QueueError::Denied(said)) => {
                denied.push(action);
                why = Some(said);
            }
            Err(error @ (QueueError::Unavailable(_) | QueueError::Throttled(_))) => {
                silent = Some((action, error));
            }
            _ => {}
        }
    }
    let actions = denied.join(" and ");
    match (why, silent) {
        (Some(said), _) => Line::fail(
            SETTLING,
            format!("{actions} is denied, so every message would come again: {said}"),
            format!("allow {actions} on the queue"),
        ),
        (None, Some((action, error))) => Line::warn(
            SETTLING,
            format!("cannot tell whether {action} is allowed: {error}"),
            "run doctor again",
        ),
        (None, None) => Line::ok(SETTLING, "messages may be extended and deleted"),
    }
}
