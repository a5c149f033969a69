//! What emulators do not do: refuse, and say nothing. A little AWS that does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::Report;

const OWNER: &str = "999988887777";
const QUEUE: &str = "arn:aws:sqs:us-east-1:111122223333:trail";
const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:trail";
const RULE: &str = "arn:aws:events:us-east-1:111122223333:rule/trail";
const ROLE: &str = "arn:aws:iam::111122223333:role/trailsift";
const FILE: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/22/a.json.gz";

/// Who tells the queue of new files.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Bucket,
    Topic,
    Rule,
    /// A bus that no rule leads from.
    NoRule,
}

/// What is refused, of an account that is as it should be otherwise.
#[derive(Clone, Default)]
struct Refused {
    way: Way,
    /// Calls by the names of [`call`]; each is a 403 with this message.
    calls: Vec<(&'static str, &'static str)>,
    /// Nothing is answered at all.
    silent: bool,
    /// Further arguments.
    arguments: &'static [&'static str],
    /// The actions that were asked for.
    asked: Arc<Mutex<BTreeSet<&'static str>>>,
    /// Whoever names the bucket's owner.
    owner: bool,
    /// By how many seconds the answers' clock is ahead.
    clock_ahead: i64,
    /// Further keys of the account.
    account: &'static str,
}

/// What a request is about.
fn call(method: &Method, uri: &Uri, headers: &HeaderMap, body: &str) -> &'static str {
    let target = headers.get("x-amz-target").and_then(|it| it.to_str().ok()).unwrap_or_default();
    let query = uri.query().unwrap_or_default();
    match target.rsplit('.').next() {
        Some("GetQueueAttributes") if body.contains("/dead") => "dead letters",
        Some("GetQueueAttributes") => "queue",
        Some("ChangeMessageVisibility") => "extend",
        Some("DeleteMessageBatch") => "delete",
        Some("ListRuleNamesByTarget") => "rules",
        Some("DescribeRule") => "rule",
        Some("ListTargetsByRule") => "targets",
        Some("ListEventBuses") => "buses",
        _ if body.contains("Action=GetTopicAttributes") => "topic",
        _ if body.contains("Action=ListSubscriptionsByTopic") => "subscriptions",
        _ if body.contains("Action=GetSubscriptionAttributes") => "filter",
        _ if body.contains("Action=AssumeRole") => "role",
        _ if body.contains("Action=GetCallerIdentity") => "identity",
        _ if *method == Method::HEAD => "bucket",
        _ if query.contains("notification") => "notification",
        _ if query.contains("list-type=2") => "list",
        _ => "read",
    }
}

/// What IAM must allow for each.
fn action(call: &str) -> &'static str {
    match call {
        "dead letters" | "queue" => "sqs:GetQueueAttributes",
        "extend" => "sqs:ChangeMessageVisibility",
        "delete" => "sqs:DeleteMessage",
        "rules" => "events:ListRuleNamesByTarget",
        "rule" => "events:DescribeRule",
        "targets" => "events:ListTargetsByRule",
        "buses" => "events:ListEventBuses",
        "topic" => "sns:GetTopicAttributes",
        "subscriptions" => "sns:ListSubscriptionsByTopic",
        "filter" => "sns:GetSubscriptionAttributes",
        "role" => "sts:AssumeRole",
        "identity" => "sts:GetCallerIdentity",
        "bucket" | "list" => "s3:ListBucket",
        "notification" => "s3:GetBucketNotification",
        _ => "s3:GetObject",
    }
}

fn sts(action: &str, result: &str) -> Response {
    format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")
        .into_response()
}

fn well(call: &str, uri: &Uri, way: Way) -> Response {
    let (service, source, account) = match way {
        Way::Bucket => ("s3", "arn:aws:s3:::org-trail", OWNER),
        Way::Topic => ("sns", TOPIC, "111122223333"),
        Way::Rule | Way::NoRule => ("events", RULE, "111122223333"),
    };
    let policy = json!({ "Statement": [{ "Effect": "Allow",
        "Principal": { "Service": format!("{service}.amazonaws.com") },
        "Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": {
            "ArnEquals": { "aws:SourceArn": source },
            "StringEquals": { "aws:SourceAccount": account } } }] });
    let redrive = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:111122223333:dead", "maxReceiveCount": 50 });
    let invalid = |code: &str| {
        (StatusCode::BAD_REQUEST, json!({ "__type": code, "message": "no receipt" }).to_string())
    };
    match call {
        "identity" => sts(
            "GetCallerIdentity",
            "<Arn>arn:aws:sts::111122223333:assumed-role/task/s</Arn><Account>111122223333</Account>",
        ),
        "role" => sts(
            "AssumeRole",
            "<Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey><SessionToken>T\
             </SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>",
        ),
        "queue" => json!({ "Attributes": { "QueueArn": QUEUE, "VisibilityTimeout": "120",
            "MessageRetentionPeriod": "864000", "Policy": policy.to_string(),
            "RedrivePolicy": redrive.to_string() } })
        .to_string()
        .into_response(),
        "dead letters" => {
            json!({ "Attributes": { "VisibilityTimeout": "30" } }).to_string().into_response()
        }
        "extend" => invalid("com.amazonaws.sqs#ReceiptHandleIsInvalid").into_response(),
        "delete" => json!({ "Successful": [], "Failed": [{ "Id": "0", "SenderFault": true,
            "Code": "ReceiptHandleIsInvalid" }] })
        .to_string()
        .into_response(),
        "bucket" => [("x-amz-bucket-region", "us-east-1")].into_response(),
        "notification" => {
            let event = "<Event>s3:ObjectCreated:*</Event>";
            let told = match way {
                Way::Bucket => {
                    format!(
                        "<QueueConfiguration><Queue>{QUEUE}</Queue>{event}</QueueConfiguration>"
                    )
                }
                Way::Topic => {
                    format!(
                        "<TopicConfiguration><Topic>{TOPIC}</Topic>{event}</TopicConfiguration>"
                    )
                }
                Way::Rule | Way::NoRule => {
                    "<EventBridgeConfiguration></EventBridgeConfiguration>".to_owned()
                }
            };
            format!("<NotificationConfiguration>{told}</NotificationConfiguration>").into_response()
        }
        "topic" => {
            let policy = json!({ "Statement": { "Effect": "Allow", "Action": "SNS:Publish",
                "Principal": { "Service": "s3.amazonaws.com" }, "Resource": TOPIC } });
            let policy = policy.to_string().replace('"', "&quot;");
            sts(
                "GetTopicAttributes",
                &format!(
                    "<Attributes><entry><key>Policy</key><value>{policy}</value></entry></Attributes>"
                ),
            )
        }
        "subscriptions" => sts(
            "ListSubscriptionsByTopic",
            &format!(
                "<Subscriptions><member><SubscriptionArn>{TOPIC}:1</SubscriptionArn><Protocol>sqs</Protocol>\
                 <Endpoint>{QUEUE}</Endpoint><TopicArn>{TOPIC}</TopicArn></member></Subscriptions>"
            ),
        ),
        "filter" => sts(
            "GetSubscriptionAttributes",
            "<Attributes><entry><key>RawMessageDelivery</key><value>true</value></entry></Attributes>",
        ),
        "rules" if way == Way::NoRule => json!({ "RuleNames": [] }).to_string().into_response(),
        "rules" => json!({ "RuleNames": ["trail"] }).to_string().into_response(),
        "rule" => {
            let pattern = json!({ "source": ["aws.s3"], "detail-type": ["Object Created"] });
            json!({ "Name": "trail", "Arn": RULE, "State": "ENABLED", "EventPattern": pattern.to_string() })
                .to_string()
                .into_response()
        }
        "targets" => {
            json!({ "Targets": [{ "Id": "1", "Arn": QUEUE }] }).to_string().into_response()
        }
        "buses" => json!({ "EventBuses": [{ "Name": "default" }] }).to_string().into_response(),
        "list" => listing(uri).into_response(),
        _ => (
            StatusCode::PARTIAL_CONTENT,
            [("content-range", "bytes 0-2/3")],
            vec![0x1f_u8, 0x8b, 8],
        )
            .into_response(),
    }
}

/// One file, of now, and digests of every day.
fn listing(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let prefix = url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(key, value)| (key == "prefix").then(|| value.into_owned()))
        .unwrap_or_default();
    let object = |key: &str| {
        let now = OffsetDateTime::now_utc();
        let (date, hour, minute) = (now.date(), now.hour(), now.minute());
        format!(
            "<Contents><Key>{key}</Key><LastModified>{date}T{hour:02}:{minute:02}:00.000Z</LastModified></Contents>"
        )
    };
    let inner = if prefix.contains("CloudTrail-Digest") {
        object(&format!("{prefix}d.json.gz"))
    } else {
        match FILE.strip_prefix(&prefix).map(|rest| rest.split_once('/')) {
            Some(Some((folder, _))) => {
                format!("<CommonPrefixes><Prefix>{prefix}{folder}/</Prefix></CommonPrefixes>")
            }
            Some(None) => object(FILE),
            None => String::new(),
        }
    };
    format!("<ListBucketResult>{inner}</ListBucketResult>")
}

fn denied(call: &str, message: &str) -> Response {
    let sqs = ["queue", "dead letters", "extend", "delete"];
    let events = ["rules", "rule", "targets", "buses"];
    let sts = ["role", "identity", "topic", "subscriptions", "filter"];
    if events.contains(&call) {
        // EventBridge denies with this status.
        let body = json!({ "__type": "AccessDeniedException", "message": message }).to_string();
        return (StatusCode::BAD_REQUEST, body).into_response();
    }
    let body = if sqs.contains(&call) {
        json!({ "__type": "com.amazonaws.sqs#AccessDeniedException", "message": message })
            .to_string()
    } else if sts.contains(&call) {
        format!(
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>{message}</Message></Error></ErrorResponse>"
        )
    } else {
        format!("<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>")
    };
    (StatusCode::FORBIDDEN, body).into_response()
}

fn answer(
    refused: &Refused,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &str,
) -> Response {
    let call = call(method, uri, headers, body);
    refused.asked.lock().expect("no panic while it is held").insert(action(call));
    let names_owner = headers.contains_key("x-amz-expected-bucket-owner");
    let message = refused.calls.iter().find(|(name, _)| *name == call).map(|(_, message)| message);
    let mut answer = match message {
        Some(message) => denied(call, message),
        None if refused.owner && names_owner => denied(call, "Access Denied"),
        None => well(call, uri, refused.way),
    };
    let ahead = Duration::from_secs(refused.clock_ahead.unsigned_abs());
    let now = SystemTime::now();
    let theirs = if refused.clock_ahead < 0 { now - ahead } else { now + ahead };
    let date = OffsetDateTime::from(theirs).format(&Rfc2822).expect("a date");
    let date = date.replace("+0000", "GMT").parse().expect("a header");
    answer.headers_mut().insert("date", date);
    answer
}

impl Refused {
    fn report(&self) -> Report {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let refused = Arc::new(self.clone());
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let refused = Arc::clone(&refused);
            async move {
                if refused.silent {
                    std::future::pending::<()>().await;
                }
                answer(&refused, &method, &uri, &headers, &String::from_utf8_lossy(&body))
            }
        };
        let router = Router::new().fallback(handler);
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("trailsift.toml");
        let text = format!(
            "[service]\ndata_dir = \"{}\"\n[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
             queue_url = \"{endpoint}/111122223333/trail\"\nendpoint_url = \"{endpoint}\"\n\
             buckets = [{{ name = \"org-trail\", owner = \"{OWNER}\" }}]\n{}",
            folder.path().join("data").display(),
            self.account,
        );
        std::fs::write(&config, text).expect("a file");
        Report::of(&config.display().to_string(), self.arguments)
    }
}

#[test]
fn an_account_that_refuses_nothing_has_no_complaint() {
    let report = Refused::default().report();
    assert_eq!(report.complaints(), ["endpoint"], "{report:#?}");
}

#[test]
fn what_doctor_may_not_ask_is_a_warning_that_names_the_right() {
    for (call, check, words) in [
        ("identity", "credentials", "cannot tell who we are"),
        ("dead letters", "dead-letters", "allow sqs:GetQueueAttributes on it"),
        ("notification", "notification", "allow s3:GetBucketNotification"),
        ("list", "files", "allow s3:ListBucket"),
        ("bucket", "bucket", "allow s3:ListBucket"),
    ] {
        let report = Refused { calls: vec![(call, "no")], ..Refused::default() }.report();
        report.assert(check, "warn", words);
    }
}

#[test]
fn what_the_service_may_not_do_fails() {
    let kms = "User: u is not authorized to perform: kms:Decrypt on resource: k";
    for (call, message, check, words) in [
        ("queue", "no", "queue", "allow sqs:GetQueueAttributes, sqs:ReceiveMessage"),
        ("extend", "no", "settling", "allow sqs:ChangeMessageVisibility on the queue"),
        ("delete", "no", "settling", "allow sqs:DeleteMessage on the queue"),
        ("read", "Access Denied", "read", "allow s3:GetObject"),
        ("read", kms, "read", "allow kms:Decrypt"),
    ] {
        let report = Refused { calls: vec![(call, message)], ..Refused::default() }.report();
        report.assert(check, "fail", words);
    }
}

#[test]
fn a_queue_that_is_told_by_a_topic_or_a_rule_is_as_good() {
    for (way, words) in [(Way::Topic, "by way of the topic"), (Way::Rule, "rule trail")] {
        let report = Refused { way, ..Refused::default() }.report();
        assert_eq!(report.complaints(), ["endpoint"], "{report:#?}");
        report.assert("notification", "ok", words);
        report.assert("sender", "ok", "and no other");
    }
    let report = Refused { way: Way::NoRule, ..Refused::default() }.report();
    // The bucket is another account's, whose rules cannot be asked for.
    report.assert("notification", "warn", "the rules of the bucket's account 999988887777");
}

#[test]
fn what_lies_between_and_may_not_be_asked_is_a_warning_with_the_command() {
    for (way, call, words) in [
        (
            Way::Topic,
            "subscriptions",
            "aws sns list-subscriptions-by-topic --topic-arn arn:aws:sns",
        ),
        (Way::Topic, "filter", "aws sns get-subscription-attributes --subscription-arn"),
        (Way::Rule, "rules", "aws events list-rule-names-by-target --target-arn arn:aws:sqs"),
        (Way::Rule, "rule", "events:DescribeRule"),
        (Way::Rule, "targets", "events:ListTargetsByRule"),
    ] {
        let report = Refused { way, calls: vec![(call, "no")], ..Refused::default() }.report();
        report.assert("notification", "warn", words);
    }
    // A topic's own policy may stay unread: nothing is said of it.
    let refused = Refused { way: Way::Topic, calls: vec![("topic", "no")], ..Refused::default() };
    assert_eq!(refused.report().complaints(), ["endpoint"]);
}

/// All that doctor asks for stands in the table of the crate that asks, and nothing else does.
#[test]
fn doctor_asks_what_its_page_says_and_nothing_else() {
    let mut asked = BTreeSet::new();
    for way in [Way::Bucket, Way::Topic, Way::Rule, Way::NoRule] {
        let account = "role_arn = \"arn:aws:iam::111122223333:role/trailsift\"\n";
        let refused = Refused { way, account, ..Refused::default() };
        drop(refused.report());
        asked.extend(refused.asked.lock().expect("no panic while it is held").iter().copied());
    }
    // The key is S3's to use, in our name.
    asked.insert("kms:Decrypt");
    let page = include_str!("../../../crates/trailsift-aws/README.md");
    let table = page.split("`trailsift doctor` asks more").nth(1).expect("the table");
    let table = table.split("What a doctor needs beyond the service").next().expect("its end");
    let first_cells = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('|').nth(1));
    let named: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split(['`', ' '])).collect();
    let named: BTreeSet<&str> = named.into_iter().filter(|word| word.contains(':')).collect();
    assert_eq!(asked, named);
}

#[test]
fn an_aws_that_says_nothing_is_reported_line_by_line_within_the_time_that_there_is() {
    let arguments = ["--timeout", "2s"].as_slice();
    let silent = Refused { silent: true, arguments, ..Refused::default() };
    let report = silent.report();
    assert_eq!(report.code, Some(1), "{}", report.stderr);
    assert!(report.stderr.contains("not everything answered within 2s"), "{}", report.stderr);
    for (check, level) in
        [("credentials", "warn"), ("queue", "fail"), ("bucket", "fail"), ("clock", "warn")]
    {
        let line = report.lines.iter().find(|line| line.check == check).expect("the line");
        assert_eq!(line.level, level, "{line:?}");
    }
    let queue = report.lines.iter().find(|line| line.check == "queue").expect("the line");
    assert!(queue.words.contains("within the time that there was"), "{queue:?}");
    let checks: Vec<&str> = report.lines.iter().map(|line| line.check.as_str()).collect();
    let place = |check: &str| checks.iter().position(|it| *it == check);
    assert!(
        place("credentials") < place("queue") && place("queue") < place("bucket"),
        "{checks:?}"
    );
}

#[test]
fn another_owners_bucket_fails_and_nothing_more_is_asked_of_it() {
    let report = Refused { owner: true, ..Refused::default() }.report();
    report.assert("owner", "fail", "does not belong to account 999988887777");
    let checks: Vec<&str> = report.lines.iter().map(|line| line.check.as_str()).collect();
    assert!(!checks.contains(&"notification") && !checks.contains(&"read"), "{checks:?}");
}

#[test]
fn a_role_that_does_not_trust_us_fails_with_the_statement_that_it_needs() {
    let account =
        "role_arn = \"arn:aws:iam::111122223333:role/trailsift\"\nexternal_id = \"s3cret-id\"\n";
    let refused =
        Refused { calls: vec![("role", "not authorized")], account, ..Refused::default() };
    let report = refused.report();
    report.assert("role", "fail", "arn:aws:iam::111122223333:role/task");
    report.assert("role", "fail", ROLE);
    assert!(!format!("{report:?}").contains("s3cret-id"), "{report:#?}");
    Refused { account, ..Refused::default() }.report().assert("role", "ok", "with its external id");
}

#[test]
fn a_clock_that_is_wrong_is_read_off_the_answers() {
    Refused { clock_ahead: 120, ..Refused::default() }.report().assert("clock", "warn", "s late");
    Refused { clock_ahead: -900, ..Refused::default() }.report().assert("clock", "fail", "NTP");
}
