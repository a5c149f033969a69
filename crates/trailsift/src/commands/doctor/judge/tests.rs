//! Every judgement, as a table: the facts, the level, and words that must stand in the line.

use std::time::{Duration, SystemTime};

mod ways;

use trailsift_aws::diagnosis::{
    BucketFacts, Identity, Listed, Notification, ObjectFacts, QueueFacts, Redrive, Refusal,
    Settling, Target,
};
use trailsift_core::{QueueError, StoreError};

use super::sender::sender;
use super::*;
use crate::commands::doctor::files::{Digests, Found};
use crate::commands::doctor::line::{Level, Line};
use crate::config::Account;

use Level::{Fail, Ok as Good, Warn};

const QUEUE: &str = "arn:aws:sqs:us-east-1:111122223333:trail";
const ROLE: &str = "arn:aws:iam::111122223333:role/trailsift";

#[track_caller]
fn assert_line(line: &Line, level: Level, words: &str) {
    let all = format!("{} | {}", line.text, line.remedy.as_deref().unwrap_or_default());
    assert_eq!(line.level, level, "{}: {all}", line.check);
    assert!(all.contains(words), "{}: no {words:?} in: {all}", line.check);
    assert_eq!(line.remedy.is_none(), level == Good, "{}: {all}", line.check);
}

fn account() -> Account {
    Account {
        id: "111122223333".into(),
        name: "production".into(),
        region: "us-east-1".into(),
        queue_url: "https://sqs.us-east-1.amazonaws.com/111122223333/trail".into(),
        role_arn: None,
        external_id: None,
        buckets: Vec::new(),
        endpoint_url: None,
        routes: Vec::new(),
        allow_http: false,
    }
}

fn identity_of(account: &str) -> Identity {
    let arn = format!("arn:aws:sts::{account}:assumed-role/task/session");
    Identity { account: account.into(), arn }
}

#[test]
fn who_we_are() {
    let said = || "ExpiredToken".to_owned();
    assert_line(&credentials(&Ok(identity_of("1"))), Good, "assumed-role/task");
    assert_line(&credentials(&Err(Refusal::Credentials(said()))), Fail, "AWS_ACCESS_KEY_ID");
    assert_line(&credentials(&Err(Refusal::Clock(said()))), Fail, "NTP");
    assert_line(
        &credentials(&Err(Refusal::Unavailable(said()))),
        Warn,
        "interface endpoint for sts",
    );

    let same = identity(&account(), &Ok(identity_of("111122223333")));
    assert_line(&same.expect("a line"), Good, "as configured");
    let other = identity(&account(), &Ok(identity_of("999988887777")));
    assert_line(&other.expect("a line"), Warn, "role_arn");
    let emulated = Account { endpoint_url: Some("http://localhost:4566".into()), ..account() };
    assert_eq!(identity(&emulated, &Ok(identity_of("000000000000"))), None);
    assert_line(&endpoint(&emulated).expect("a line"), Warn, "emulator");
    assert_eq!(endpoint(&account()), None);
}

#[test]
fn a_role_that_cannot_be_assumed_is_told_with_the_trust_that_it_needs() {
    let own = identity_of("444455556666");
    assert_eq!(role(&account(), Some(&own), &Ok(())), None);
    let plain = Account { role_arn: Some(ROLE.into()), ..account() };
    let guarded = Account { external_id: Some("s3cret".into()), ..plain.clone() };
    let judge = |account, asked| role(account, Some(&own), &asked).expect("a line");
    let denied = || Err(Refusal::Denied("AccessDenied: not authorized (HTTP 403)".into()));

    assert_line(&judge(&plain, Ok(())), Good, ROLE);
    assert_line(&judge(&guarded, Ok(())), Good, "with its external id");
    assert_line(
        &judge(&plain, denied()),
        Fail,
        "\"Principal\":{\"AWS\":\"arn:aws:iam::444455556666:role/task\"},\"Action\":\"sts:AssumeRole\"}",
    );
    assert_line(&judge(&plain, denied()), Fail, "else set account.external_id");
    let line = judge(&guarded, denied());
    assert_line(&line, Fail, "\"Condition\":{\"StringEquals\":{\"sts:ExternalId\":");
    assert!(!format!("{line:?}").contains("s3cret"), "{line:?}");
    assert_line(&judge(&plain, Err(Refusal::Unavailable("timeout".into()))), Fail, "reach STS");
    assert_line(&judge(&plain, Err(Refusal::Credentials("none".into()))), Fail, "own credentials");
}

#[test]
fn the_clock() {
    for (ahead, level, words) in [
        (Some(0), Good, "within 1 s"),
        (Some(-30), Good, "within 30 s"),
        (Some(31), Warn, "31 s late"),
        (Some(-300), Warn, "300 s early"),
        (Some(301), Fail, "NTP"),
        (Some(-4000), Fail, "4000 s early"),
        (None, Warn, "cannot tell"),
    ] {
        assert_line(&clock(ahead), level, words);
    }
}

fn healthy() -> QueueFacts {
    let dead = "arn:aws:sqs:us-east-1:111122223333:dead".to_owned();
    QueueFacts {
        arn: QUEUE.into(),
        visibility_timeout: Duration::from_secs(120),
        redrive: Some(Redrive { dead_letter_arn: dead, max_receive_count: Some(50) }),
        retention: Some(Duration::from_secs(864_000)),
        ..QueueFacts::default()
    }
}

#[track_caller]
fn assert_queue(facts: QueueFacts, parks: bool, check: &str, level: Level, words: &str) {
    let lines = queue(&Ok(facts), 5, parks);
    let line = lines.iter().find(|line| line.check == check).expect("the line");
    assert_line(line, level, words);
    let others: Vec<_> =
        lines.iter().filter(|line| line.check != check && line.level != Good).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn the_queue() {
    let seconds =
        |seconds| QueueFacts { visibility_timeout: Duration::from_secs(seconds), ..healthy() };
    let redriven = |count| {
        let dead_letter_arn = "arn:aws:sqs:us-east-1:1:dead".to_owned();
        let redrive = Some(Redrive { dead_letter_arn, max_receive_count: Some(count) });
        QueueFacts { redrive, ..healthy() }
    };
    let kept = |days: u64| {
        let retention = Some(Duration::from_secs(days * 86_400));
        QueueFacts { retention, ..healthy() }
    };
    let without_redrive = || QueueFacts { redrive: None, ..healthy() };
    let keyed = |key: &str| QueueFacts { kms_key: Some(key.into()), ..healthy() };
    for (facts, check, level, words) in [
        (healthy(), "queue", Good, "0 visible, 0 in flight"),
        (healthy(), "redrive", Good, "after 50 receives"),
        (redriven(10), "redrive", Good, "after 10 receives"),
        (redriven(9), "redrive", Warn, "soon after max_receive (5)"),
        (redriven(5), "redrive", Fail, "raise its maxReceiveCount to 50"),
        (redriven(1), "redrive", Fail, "its maxReceiveCount is 1, max_receive is 5"),
        (without_redrive(), "redrive", Warn, "no redrive policy"),
        (seconds(0), "visibility", Warn, "trailsift asks for 30 s"),
        (seconds(10), "visibility", Warn, "only briefly"),
        (seconds(29), "visibility", Warn, "120 s"),
        (seconds(30), "visibility", Good, "30s"),
        (seconds(3600), "visibility", Good, "1h"),
        (seconds(43_200), "visibility", Warn, "12h: for so long nobody gets"),
        (kept(10), "retention", Good, "10d"),
        (kept(4), "retention", Good, "4d"),
        (kept(3), "retention", Warn, "MessageRetentionPeriod"),
        (keyed("alias/aws/sqs"), "queue-key", Fail, "dropped in silence"),
        (keyed("arn:aws:kms:us-east-1:1:key/k"), "queue-key", Warn, "kms:GenerateDataKey"),
        (QueueFacts { fifo: true, ..healthy() }, "fifo", Fail, "S3 cannot send"),
        (QueueFacts { in_flight: 100_001, ..healthy() }, "in-flight", Warn, "120,000"),
    ] {
        assert_queue(facts, true, check, level, words);
    }
    let policy = |principal: &str, action: &str| {
        let policy = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"{principal}","Action":"{action}"}}}}"#
        );
        QueueFacts { policy: Some(policy), ..healthy() }
    };
    for (facts, level, words) in [
        (healthy(), Good, "open to nobody"),
        (policy("*", "sqs:SendMessage"), Warn, "anybody can announce files again"),
        (policy("*", "sqs:*"), Fail, "lets everybody receive or delete"),
        (policy("111122223333", "sqs:*"), Good, "open to nobody"),
    ] {
        assert_queue(facts, true, "queue-policy", level, words);
    }
    // Where nothing is parked, nothing but the redrive policy takes a bad message away.
    assert_queue(without_redrive(), false, "redrive", Fail, "no redrive policy");
}

#[test]
fn a_queue_that_does_not_answer() {
    let said = || "said".to_owned();
    for (error, words) in [
        (QueueError::NotFound(said()), "in the account's region"),
        (QueueError::Denied(said()), "sqs:GetQueueAttributes"),
        (QueueError::Throttled(said()), "try again"),
        (QueueError::Unavailable(said()), "VPC endpoint"),
    ] {
        let lines = queue(&Err(error), 5, true);
        assert_eq!(lines.len(), 1);
        assert_line(&lines[0], Fail, words);
    }
}

#[test]
fn the_dead_letter_queue() {
    let said = || "said".to_owned();
    let judge = |asked| dead_letters("arn:dead", &asked);
    assert_line(&judge(Ok(QueueFacts::default())), Good, "is empty");
    let full = QueueFacts { visible: 2, in_flight: 1, ..QueueFacts::default() };
    assert_line(&judge(Ok(full)), Warn, "holds 3 messages");
    assert_line(&judge(Err(QueueError::NotFound(said()))), Fail, "does not exist");
    assert_line(&judge(Err(QueueError::Denied(said()))), Warn, "cannot tell");
    assert_line(&judge(Err(QueueError::Rejected(said()))), Warn, "same region");
}

#[test]
fn whether_messages_can_be_settled() {
    let lost = || Err(QueueError::LeaseLost("ReceiptHandleIsInvalid".into()));
    let denied = || Err(QueueError::Denied("AccessDenied".into()));
    let silent = || Err(QueueError::Unavailable("timeout".into()));
    let judge = |extended, deleted| settling(&Settling { extended, deleted });
    assert_line(&judge(lost(), lost()), Good, "extended and deleted");
    assert_line(&judge(lost(), denied()), Fail, "allow sqs:DeleteMessage on the queue");
    let both = "sqs:ChangeMessageVisibility and sqs:DeleteMessage is denied";
    assert_line(&judge(denied(), denied()), Fail, both);
    // No answer is no permission.
    assert_line(&judge(silent(), lost()), Warn, "cannot tell whether sqs:ChangeMessageVisibility");
    assert_line(&judge(silent(), denied()), Fail, "sqs:DeleteMessage is denied");
}

#[test]
fn a_bucket_is_there_where_it_should_be_and_whose_it_should_be() {
    let said = || "said".to_owned();
    let there = |region: &str| Ok(BucketFacts { region: Some(region.into()) });
    let elsewhere = |region: Option<&str>| {
        Err(Refusal::Elsewhere { region: region.map(str::to_owned), text: said() })
    };
    let denied = || Err(Refusal::Denied(said()));
    let judge = |asked, whoever: Option<Result<BucketFacts, Refusal>>, owner, follows| {
        existence(&Existence {
            name: "org-trail",
            owner,
            region: "us-east-1",
            follows,
            asked: &asked,
            whoever: whoever.as_ref(),
        })
    };
    let line = |lines: Vec<Line>, check: &str| {
        lines.into_iter().find(|line| line.check == check).expect("the line")
    };
    let owner = Some("999988887777");
    let well = judge(there("us-east-1"), None, owner, false);
    assert!(well.iter().all(|line| line.level == Good), "{well:?}");
    assert_line(&line(judge(there("us-east-1"), None, None, false), "owner"), Warn, "add owner =");
    assert_line(
        &line(judge(there("eu-west-1"), None, owner, true), "region"),
        Warn,
        "region = \"eu-west-1\"",
    );
    assert_line(&line(judge(there("eu-west-1"), None, owner, false), "region"), Fail, "eu-west-1");
    let moved = judge(elsewhere(Some("eu-west-1")), None, owner, false);
    assert_line(&line(moved, "region"), Fail, "add region = \"eu-west-1\"");
    assert_line(
        &line(judge(elsewhere(None), None, owner, false), "region"),
        Fail,
        "another region",
    );
    let missing = judge(Err(Refusal::Missing(said())), None, owner, false);
    assert_line(&line(missing, "bucket"), Fail, "does not exist");
    // Refused with the owner and answered without: somebody else's.
    let anothers = judge(denied(), Some(there("us-east-1")), owner, false);
    assert_line(&line(anothers, "owner"), Fail, "does not belong to account 999988887777");
    let unknown = judge(denied(), Some(denied()), owner, false);
    assert_line(&line(unknown, "bucket"), Warn, "s3:ListBucket");
    assert_line(&line(judge(denied(), None, None, false), "bucket"), Warn, "cannot tell");
    let silent = judge(Err(Refusal::Unavailable(said())), None, owner, false);
    assert_line(&line(silent, "bucket"), Fail, "reaches S3");
}

const ABOUT: About<'_> =
    About { bucket: "org-trail", region: "us-east-1", owner: Some("999988887777") };

fn told(to: Target, prefix: &str, suffix: &str, events: &[&str]) -> Notification {
    Notification {
        to,
        events: events.iter().map(|&event| event.to_owned()).collect(),
        prefix: prefix.into(),
        suffix: suffix.into(),
    }
}

#[test]
fn whom_the_bucket_tells_of_what() {
    let ours = || Target::Queue(QUEUE.into());
    const EVERY: &[&str] = &["s3:ObjectCreated:*"];
    let sns_may = r#"{"Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},
        "Action":"sqs:SendMessage","Resource":"*"}]}"#;
    let judge = |found: Vec<Notification>, prefix: &str, policy: Option<&str>| {
        let queue = OurQueue { arn: QUEUE, policy };
        notification(&Ok(found), Some(queue), &Ways::default(), &ABOUT, prefix).remove(0)
    };
    let one =
        |prefix: &str, suffix: &str, events: &[&str]| vec![told(ours(), prefix, suffix, events)];
    for (found, prefix, policy, level, words) in [
        (one("", "", EVERY), "", None, Good, "every key"),
        (one("", "", EVERY), "org/AWSLogs/", None, Good, "every key"),
        (one("org/", "", EVERY), "org/AWSLogs/", None, Good, "begin with \"org/\""),
        (one("AWSLogs/", "", EVERY), "", None, Good, "AWSLogs/"),
        (one("org/AWSLogs/", ".json.gz", EVERY), "org/", None, Good, "org/AWSLogs/"),
        (one("AWSLogs/1/", "", EVERY), "", None, Warn, "widen the filter's prefix"),
        (
            one("other/", "", EVERY),
            "AWSLogs/",
            None,
            Fail,
            "make the filter's prefix (its notification",
        ),
        (one("", ".gz", EVERY), "", None, Good, "every key"),
        (one("", ".json", EVERY), "", None, Fail, "remove the filter's suffix"),
        (one("", "", &["s3:ObjectRemoved:*"]), "", None, Fail, "other events than new objects"),
        (one("", "", &["s3:ObjectCreated:Put"]), "", None, Warn, "s3:ObjectCreated:*"),
        (
            [one("x/", ".csv", EVERY), one("AWSLogs/", "", EVERY)].concat(),
            "AWSLogs/",
            None,
            Good,
            "AWSLogs/",
        ),
        (vec![], "", None, Fail, "tells nobody"),
        (vec![], "", Some(sns_may), Warn, "the trail's own"),
        (
            vec![told(Target::Queue("arn:other".into()), "", "", EVERY)],
            "",
            None,
            Fail,
            "tells only arn:other of new files, not arn:aws:sqs",
        ),
        (vec![told(Target::EventBridge, "", "", &[])], "", None, Fail, "only EventBridge"),
    ] {
        assert_line(&judge(found, prefix, policy), level, words);
    }
    let denied = Err(Refusal::Denied("AccessDenied".into()));
    let queue = OurQueue { arn: QUEUE, policy: None };
    let none = Ways::default();
    let untold = notification(&denied, Some(queue), &none, &ABOUT, "");
    assert_line(&untold[0], Warn, "allow s3:GetBucketNotification");
    let no_queue = notification(&Ok(vec![]), None, &none, &ABOUT, "");
    assert_line(&no_queue[0], Warn, "mend the queue first");
}

#[test]
fn whether_the_queue_takes_what_the_bucket_sends() {
    let found = [told(Target::Queue(QUEUE.into()), "", "", &["s3:ObjectCreated:*"])];
    let judge = |policy: Option<&str>| {
        let queue = OurQueue { arn: QUEUE, policy };
        sender(queue, &found, "org-trail", Some("999988887777")).expect("a line")
    };
    let statement = |condition: &str| {
        format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":{{"Service":"s3.amazonaws.com"}},
            "Action":"sqs:SendMessage","Resource":"*","Condition":{condition}}}]}}"#
        )
    };
    let source = r#""ArnLike":{"aws:SourceArn":"arn:aws:s3:::org-trail"}"#;
    let owner = r#""StringEquals":{"aws:SourceAccount":"999988887777"}"#;
    for (condition, level, words) in [
        (format!("{{{source},{owner}}}"), Good, "alone"),
        (format!("{{{source}}}"), Warn, "a deleted name could be taken"),
        (format!("{{{owner}}}"), Warn, "every bucket of its account"),
        ("{}".into(), Warn, "anybody can announce files"),
        (r#"{"StringEquals":{"aws:SourceOrgID":"o-1"}}"#.into(), Warn, "cannot tell"),
        (r#"{"StringEquals":{"aws:SourceAccount":"1"}}"#.into(), Fail, "dropped in silence"),
    ] {
        assert_line(&judge(Some(&statement(&condition))), level, words);
    }
    assert_line(&judge(None), Fail, "\"aws:SourceArn\":\"arn:aws:s3:::org-trail\"");
    let queue = OurQueue { arn: QUEUE, policy: None };
    assert_eq!(sender(queue, &[], "org-trail", None), None);
}

#[test]
fn whether_files_arrive_and_can_be_read() {
    let now = SystemTime::now();
    let found = |minutes: Option<u64>, complete| Found {
        newest: minutes.map(|minutes| Listed {
            key: "k".into(),
            modified: now.checked_sub(Duration::from_secs(60 * minutes)),
        }),
        digests: Digests::NotAsked,
        complete,
    };
    let judge = |asked| files(&asked, "AWSLogs/", now);
    assert_line(&judge(Ok(found(Some(0), true))), Good, "less than a minute old");
    assert_line(&judge(Ok(found(Some(125), true))), Good, "2h old");
    assert_line(&judge(Ok(found(Some(600), true))), Warn, "get-trail-status");
    assert_line(&judge(Ok(found(Some(600), false))), Warn, "that doctor found");
    assert_line(&judge(Ok(found(None, true))), Warn, "there is no trail file below \"AWSLogs/\"");
    assert_line(&judge(Ok(found(None, false))), Warn, "narrow `prefix`");
    assert_line(&judge(Err(Refusal::Denied("403".into()))), Warn, "s3:ListBucket");
    assert_line(&judge(Err(Refusal::Unavailable("503".into()))), Warn, "cannot tell");

    let gzip = || vec![0x1f, 0x8b, 8];
    let plain = ObjectFacts { begins: gzip(), ..ObjectFacts::default() };
    let kms_key = Some("arn:aws:kms:us-east-1:1:key/k".to_owned());
    let encrypted = ObjectFacts { encryption: Some("aws:kms".into()), kms_key, begins: gzip() };
    assert_line(&reading("k", &Ok(plain)), Good, "k can be read");
    assert_line(&reading("k", &Ok(encrypted)), Good, "which we may use");
    assert_line(&reading("k\n", &Ok(ObjectFacts::default())), Warn, "k\\n can be read, but");
    let said = || "said".to_owned();
    for (error, words) in [
        (StoreError::KmsDenied(said()), "allow kms:Decrypt"),
        (StoreError::Denied(said()), "allow s3:GetObject"),
        (StoreError::NotFound(said()), "run doctor again"),
        (StoreError::Archived(said()), "class"),
        (StoreError::Unavailable(said()), "network"),
    ] {
        assert_line(&reading("k", &Err(error)), Fail, words);
    }

    let with = |digests| Found { digests, ..found(Some(1), true) };
    assert_eq!(digests(&with(Digests::NotAsked)), None);
    assert_line(&digests(&with(Digests::Seen)).expect("a line"), Good, "of the last day");
    let none = digests(&with(Digests::None("a/CloudTrail-Digest/us-east-1/".into())));
    assert_line(&none.expect("a line"), Warn, "--enable-log-file-validation");
}
