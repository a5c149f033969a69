//! Records for the tests of formats.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use trailsift_core::{Record, RouteSet};

use super::{Format, Formatter, Origin};

/// The sample that AWS publishes of CodeGuru Reviewer.
pub(super) const PUBLISHED: &str =
    include_str!("../../../trailsift-event/tests/fixtures/associate_repository.json").trim_ascii();

/// The event that this record becomes if it was read in a bucket.
pub(super) fn render(format: Format, record: impl AsRef<[u8]>) -> Value {
    render_from(format, record, Some("org-trail"))
}

/// The event that this record becomes if it was read in a file.
pub(super) fn render_file(format: Format, record: impl AsRef<[u8]>) -> Value {
    render_from(format, record, None)
}

fn render_from(format: Format, record: impl AsRef<[u8]>, bucket: Option<&str>) -> Value {
    let bytes = Bytes::copy_from_slice(record.as_ref());
    let mut routes = RouteSet::EMPTY;
    routes.insert(0);
    let record = Record { index: 7, bytes, routes };
    let origin = Origin { bucket, key: Some("AWSLogs/1/x.json.gz"), ..Origin::default() };
    let event = Formatter::new(format, ["watch".to_owned()]).render(&record, routes, origin);
    let text = String::from_utf8_lossy(&event);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The published sample with these members at its top in place of its own.
pub(super) fn published_with(members: Value) -> String {
    let mut record: Value = serde_json::from_str(PUBLISHED).expect("the sample");
    for (name, value) in members.as_object().expect("members") {
        record[name] = value.clone();
    }
    record.to_string()
}

/// Fails unless every field that the table below this heading of FORMATS.md promises is in an event
/// of these: the names in quotes in its second column.
pub(super) fn check_documented(heading: &str, events: &[Value]) {
    let document = include_str!("../../FORMATS.md");
    let chapter = document.split("\n## ").find(|chapter| chapter.starts_with(heading));
    let rows = chapter.expect("the chapter").lines().filter_map(|line| line.split('|').nth(2));
    let names: Vec<&str> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(names.len() > 30, "the table has no more than {names:?}");
    for name in names {
        let pointer = format!("/{}", name.replace("[]", "/0").replace('.', "/"));
        let is_there = events.iter().any(|event| event.pointer(&pointer).is_some());
        assert!(is_there, "no event has {name}");
    }
}

/// Stands for half a surrogate pair, which no text can hold, until the record is written.
const HALF: &str = "\u{e000}";

/// A record of known and unknown names with values that fit and others; it may name a member twice
/// and hold half surrogate pairs.
pub(super) fn any_record() -> impl Strategy<Value = String> {
    (any_members(), any_members(), any::<bool>()).prop_map(|(first, second, twice)| {
        let write = |members: &Value| members.to_string().replace(HALF, r"\uD83D");
        let (first, second) = (write(&first), write(&second));
        match (twice, first.strip_suffix('}'), second.strip_prefix('{')) {
            (true, Some(front), Some(back)) if front.len() > 1 && back.len() > 1 => {
                format!("{front} ,\n {back}")
            }
            _ => first,
        }
    })
}

/// The record's members.
pub(super) fn any_members() -> impl Strategy<Value = Value> {
    let identity = object(&[
        ("type", json!("AssumedRole")),
        ("arn", json!("arn:aws:sts::1:assumed-role/R/s")),
        ("principalId", json!("AROA:s")),
        ("accountId", json!("111122223333")),
        ("accessKeyId", json!("ASIAEXAMPLE")),
        ("userName", json!("alice")),
        ("invokedBy", json!("lambda.amazonaws.com")),
        ("identityProvider", json!("token.example.com")),
        ("credentialId", json!("c-1")),
        ("onBehalfOf", json!({"userId": "u-1", "identityStoreArn": "arn:store", "more": [1]})),
        (
            "sessionContext",
            json!({"attributes": {"creationDate": "2026-01-15T09:00:00Z", "mfaAuthenticated": "true"},
                "sessionIssuer": {"type": "Role", "arn": "arn:r", "userName": "R", "accountId": 5},
                "sourceIdentity": "bob", "webIdFederationData": {"federatedProvider": "p"}}),
        ),
    ]);
    let top = object(&[
        ("eventVersion", json!("1.11")),
        ("eventTime", json!("2026-01-15T09:10:11Z")),
        ("eventSource", json!("iam.amazonaws.com")),
        ("eventName", json!("CreateUser")),
        ("awsRegion", json!("us-east-1")),
        ("sourceIPAddress", json!("198.51.100.7")),
        ("userAgent", json!("aws-cli")),
        ("requestParameters", json!({"userName": "carol"})),
        ("responseElements", json!({"user": {"userId": "AIDA"}})),
        ("requestID", json!("r-1")),
        ("eventID", json!("e-1")),
        ("errorCode", json!("AccessDenied")),
        ("errorMessage", json!("no")),
        ("readOnly", json!(false)),
        (
            "resources",
            json!([{"ARN": "arn:x", "accountId": "1", "type": "T"}, {"type": "U", "a": 1}]),
        ),
        ("recipientAccountId", json!("111122223333")),
        ("vpcEndpointId", json!("vpce-1")),
        ("tlsDetails", json!({"tlsVersion": "TLSv1.3", "clientProvidedHostHeader": "h.example"})),
        ("addendum", json!({"reason": "DELIVERY_DELAY"})),
    ]);
    (top, prop::option::of(identity)).prop_map(|(mut top, identity)| {
        if let Some(identity) = identity {
            top["userIdentity"] = identity;
        }
        top
    })
}

/// Some of these members, some with other values, and some nobody knows.
fn object(members: &[(&'static str, Value)]) -> impl Strategy<Value = Value> + use<> {
    let members = members.iter().map(|(name, usual)| {
        let usual = Just(Some(usual.clone()));
        let value = prop_oneof![6 => usual, 2 => any_value().prop_map(Some), 1 => Just(None)];
        value.prop_map(|value| value.map(|value| ((*name).to_owned(), value))).boxed()
    });
    let unknown = prop::collection::btree_map("[a-z\" .]{0,3}", any_value(), 0..3);
    (members.collect::<Vec<_>>(), unknown).prop_map(|(known, unknown)| {
        let members: BTreeMap<String, Value> =
            unknown.into_iter().chain(known.into_iter().flatten()).collect();
        json!(members)
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\\n\u{0}é]{0,4}".prop_map(Value::from),
        Just(json!(HALF)),
        Just(json!("2001:db8::1")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[aARNtype]{0,4}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    })
}
