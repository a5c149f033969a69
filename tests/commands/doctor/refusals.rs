//! What emulators do not do: refuse. A little AWS that does.

use std::sync::Arc;
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
const ROLE: &str = "arn:aws:iam::111122223333:role/trailsift";
const FILE: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/22/a.json.gz";

/// What is refused, of an account that is as it should be otherwise.
#[derive(Clone, Default)]
struct Refused {
    /// Calls by the names of [`call`]; each is a 403 with this message.
    calls: Vec<(&'static str, &'static str)>,
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
        _ if body.contains("Action=AssumeRole") => "role",
        _ if body.contains("Action=GetCallerIdentity") => "identity",
        _ if *method == Method::HEAD => "bucket",
        _ if query.contains("notification") => "notification",
        _ if query.contains("list-type=2") => "list",
        _ => "read",
    }
}

fn sts(action: &str, result: &str) -> Response {
    format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")
        .into_response()
}

fn well(call: &str, uri: &Uri) -> Response {
    let policy = json!({ "Statement": [{ "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" },
        "Action": "sqs:SendMessage", "Resource": QUEUE, "Condition": {
            "ArnEquals": { "aws:SourceArn": "arn:aws:s3:::org-trail" },
            "StringEquals": { "aws:SourceAccount": OWNER } } }] });
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
        "notification" => format!(
            "<NotificationConfiguration><QueueConfiguration><Queue>{QUEUE}</Queue>\
             <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>"
        )
        .into_response(),
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
    let (sqs, sts) = (["queue", "dead letters", "extend", "delete"], ["role", "identity"]);
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
    let names_owner = headers.contains_key("x-amz-expected-bucket-owner");
    let message = refused.calls.iter().find(|(name, _)| *name == call).map(|(_, message)| message);
    let mut answer = match message {
        Some(message) => denied(call, message),
        None if refused.owner && names_owner => denied(call, "Access Denied"),
        None => well(call, uri),
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
    fn report(self) -> Report {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let refused = Arc::new(self.clone());
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let refused = Arc::clone(&refused);
            async move { answer(&refused, &method, &uri, &headers, &String::from_utf8_lossy(&body)) }
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
        Report::of(&config.display().to_string(), &[])
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
