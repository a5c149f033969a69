use std::time::Duration;

use prost::Message as _;
use trailsift_core::Source;
use trailsift_testkit::conformance::batch;

use super::*;

const EVENT: &str = r#"{"eventTime":"2026-01-31T23:59:59.5Z","eventSource":"codeguru-reviewer.amazonaws.com","eventName":"AssociateRepository","awsRegion":"us-east-1","recipientAccountId":"111122223333","requestID":"r-1","sourceIPAddress":"203.0.113.7","userAgent":"aws-cli/2","errorCode":"AccessDenied","eventID":"e-1","userIdentity":{"type":"IAMUser","userName":"alice"}}"#;

fn record(request: &Request, group: usize, at: usize) -> &LogRecord {
    &request.resource_logs[group].scope_logs[0].log_records[at]
}

fn attributes(attributes: &[KeyValue]) -> Vec<(&str, String)> {
    let shown = |it: &KeyValue| match it.value.as_ref().and_then(|it| it.value.clone()) {
        Some(Value::Text(text)) => text,
        Some(Value::Integer(number)) => number.to_string(),
        None => "nothing".into(),
    };
    attributes.iter().map(|it| (it.key.as_str(), shown(it))).collect()
}

#[test]
fn an_event_becomes_a_log_record_with_the_attributes_that_the_conventions_name() {
    let now = UNIX_EPOCH + Duration::from_nanos(7);
    let request = request(&batch([EVENT]).entries, now);
    let record = record(&request, 0, 0);
    assert_eq!(record.time_unix_nano, 1_769_903_999_500_000_000);
    assert_eq!(record.observed_time_unix_nano, 7);
    assert_eq!((record.severity_number, record.severity_text.as_str()), (13, "WARN"));
    assert_eq!(record.event_name, "codeguru-reviewer.AssociateRepository");
    assert_eq!(record.body, Some(text(EVENT)));
    let expected = [
        ("rpc.system", "aws-api"),
        ("rpc.service", "codeguru-reviewer"),
        ("rpc.method", "AssociateRepository"),
        ("error.type", "AccessDenied"),
        ("aws.request_id", "r-1"),
        ("client.address", "203.0.113.7"),
        ("user_agent.original", "aws-cli/2"),
        ("user.name", "alice"),
        ("aws.s3.bucket", "org-trail"),
        ("aws.s3.key", "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz"),
        ("trailsift.event_id", "e-1"),
        ("trailsift.index", "0"),
    ];
    assert_eq!(attributes(&record.attributes), expected.map(|(name, it)| (name, it.to_owned())));
    let resource = request.resource_logs[0].resource.as_ref().expect("a resource");
    let expected = [
        ("service.name", "trailsift"),
        ("cloud.provider", "aws"),
        ("cloud.account.id", "111122223333"),
        ("cloud.region", "us-east-1"),
    ];
    assert_eq!(attributes(&resource.attributes), expected.map(|(name, it)| (name, it.to_owned())));
}

#[test]
fn what_says_nothing_is_delivered_all_the_same() {
    let request = request(&batch(["{\n \"a\": 1.50}", "[2]"]).entries, UNIX_EPOCH);
    let first = record(&request, 0, 0);
    assert_eq!((first.time_unix_nano, first.severity_number), (0, 9));
    assert_eq!((first.event_name.as_str(), &first.body), ("", &Some(text("{\n \"a\": 1.50}"))));
    assert_eq!(record(&request, 0, 1).body, Some(text("[2]")));
}

#[test]
fn events_of_one_place_share_a_resource_and_keep_their_order() {
    let of = |region: &str, n: u32| format!(r#"{{"awsRegion":"{region}","n":{n}}}"#);
    let events = [of("a", 1), of("b", 2), of("a", 3)];
    let request = request(&batch(&events).entries, UNIX_EPOCH);
    assert_eq!(request.resource_logs.len(), 2);
    assert_eq!(record(&request, 0, 0).body, Some(text(events[0].as_str())));
    assert_eq!(record(&request, 0, 1).body, Some(text(events[2].as_str())));
    assert_eq!(record(&request, 1, 0).body, Some(text(events[1].as_str())));
}

/// Encoded by the Python classes of `opentelemetry-proto` 1 from the same values, for version 0.1.0.
#[test]
fn the_bytes_are_those_that_the_published_schema_makes() {
    let golden: String = include_str!("golden.hex").split_whitespace().collect();
    let mut entries = batch([EVENT]).entries;
    let place = Source { key: "AWSLogs/1.json.gz".into(), ..(*entries[0].source).clone() };
    entries[0].source = place.into();
    let mut request = request(&entries, UNIX_EPOCH + Duration::from_nanos(7));
    let scope = request.resource_logs[0].scope_logs[0].scope.as_mut().expect("a scope");
    scope.version = "0.1.0".into();
    let hex: String = request.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, golden);
}
