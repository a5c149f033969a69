use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Format;
use crate::format::sample::{self, PUBLISHED, any_members, any_record, published_with};

fn render(record: impl AsRef<[u8]>) -> Value {
    sample::render(Format::Ocsf, record)
}

/// The event of the published sample with these members in place of its own.
fn with(members: Value) -> Value {
    render(published_with(members))
}

#[test]
fn the_published_sample_tells_who_did_what_to_what() {
    let event = render(PUBLISHED);
    assert_eq!(
        (&event["class_uid"], &event["type_uid"], &event["activity_name"], &event["time"]),
        (&json!(6003), &json!(600_301), &json!("Create"), &json!(1_574_826_395_000_i64))
    );
    assert_eq!(
        event["actor"],
        json!({
            "user": {
                "name": "TestRole",
                "uid": "arn:aws:sts::123456789012:assumed-role/TestRole/TestSession",
                "uid_alt": "AAAAAAAAAEXAMPLE:TestSession",
                "type": "AssumedRole",
                "type_id": 99,
                "account": {"uid": "123456789012", "type_id": 10, "type": "AWS Account"},
                "programmatic_credentials": [{"type": "Access Key", "uid": "AKIAIOSFODNN7EXAMPLE"}],
            },
            "session": {
                "created_time": 1_574_820_390_000_i64,
                "created_time_dt": "2019-11-27T02:06:30.000Z",
                "credential_uid": "AKIAIOSFODNN7EXAMPLE",
                "is_mfa": false,
                "issuer": "arn:aws:iam::123456789012:role/TestRole",
                "uid": "TestSession",
                "uid_alt": "arn:aws:sts::123456789012:assumed-role/TestRole/TestSession",
            },
        })
    );
    let issuer = json!({"type": "Role", "principalId": "AIDACKCEVSQ6C2EXAMPLE"});
    assert_eq!(
        event["unmapped"],
        json!({"userIdentity": {"sessionContext": {"sessionIssuer": issuer}}, "readOnly": false})
    );
    assert_eq!(event["metadata"]["debug"], Value::Null);
    assert_eq!(event["metadata"]["log_name"], "org-trail");
    assert_eq!(event["raw_data"], PUBLISHED);
    assert_eq!(event["raw_data_size"], PUBLISHED.len());
}

#[test]
fn every_documented_field_is_filled_in() {
    let everything = json!({
        "apiVersion": "2019-09-19",
        "eventCategory": "Management",
        "sharedEventID": "s-1",
        "vpcEndpointId": "vpce-1",
        "errorCode": "AccessDenied",
        "errorMessage": "no",
        "tlsDetails": {
            "tlsVersion": "TLSv1.3",
            "cipherSuite": "X",
            "clientProvidedHostHeader": "codeguru-reviewer.us-west-2.amazonaws.com",
        },
        "userIdentity": {
            "type": "AssumedRole",
            "arn": "arn:aws:sts::123456789012:assumed-role/TestRole/TestSession",
            "principalId": "AROA:TestSession",
            "accessKeyId": "ASIAEXAMPLE",
            "invokedBy": "codepipeline.amazonaws.com",
            "identityProvider": "token.example.com",
            "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:store"},
            "sessionContext": {
                "attributes": {"creationDate": "2019-11-27T02:06:30Z", "mfaAuthenticated": "true"},
                "sessionIssuer": {"arn": "arn:aws:iam::123456789012:role/TestRole"},
            },
        },
    });
    let by_aws = json!({
        "sourceIPAddress": "AWS Internal",
        "eventSource": "s3.amazonaws.com",
        "resources": [{"ARN": "arn:a", "accountId": "111122223333", "type": "AWS::S3::Bucket"}],
    });
    let events = [everything, by_aws].map(with);
    sample::check_documented("`ocsf`", &events);
}

#[test]
fn what_the_schema_requires_is_there_even_if_the_record_is_empty_and_a_note_says_so() {
    let event = render("{}");
    assert_eq!(event["time"], 0);
    assert_eq!(event.get("time_dt"), None);
    assert_eq!(event["api"], json!({"operation": "Unknown"}));
    assert_eq!(
        event["actor"],
        json!({"user": {"name": "Unknown", "type": "Unknown", "type_id": 0}})
    );
    assert_eq!(event["src_endpoint"], json!({"name": "Unknown"}));
    assert_eq!(event["cloud"], json!({"provider": "AWS"}));
    assert_eq!(event["metadata"]["debug"].as_array().map(Vec::len), Some(4));
    assert_eq!(event.get("unmapped"), None);
}

#[test]
fn a_time_that_nobody_can_read_is_kept_as_it_stands() {
    let event = with(json!({"eventTime": "20131102T010628Z"}));
    assert_eq!((&event["time"], event.get("time_dt")), (&json!(0), None));
    assert_eq!(event["metadata"]["original_time"], "20131102T010628Z");
    let event = with(json!({"eventTime": 1_574_826_395}));
    assert_eq!(
        (&event["time"], &event["unmapped"]["eventTime"]),
        (&json!(0), &json!(1_574_826_395))
    );
}

#[test]
fn a_source_is_an_address_a_name_or_an_endpoint() {
    for (members, endpoint) in [
        (json!({"sourceIPAddress": "2001:DB8::1"}), json!({"ip": "2001:DB8::1"})),
        (
            json!({"sourceIPAddress": "0000:0000:0000:0000:0000:ffff:198.051.100.007"}),
            json!({"domain": "0000:0000:0000:0000:0000:ffff:198.051.100.007"}),
        ),
        (
            json!({"sourceIPAddress": "0000:0000:0000:0000:0000:ffff:198.151.100.107"}),
            json!({"ip": "::ffff:198.151.100.107"}),
        ),
        (json!({"sourceIPAddress": "cloudformation.amazonaws.com"}), {
            let name = "cloudformation.amazonaws.com";
            json!({"domain": name, "svc_name": name})
        }),
        (
            json!({"sourceIPAddress": "AWS Internal"}),
            json!({"domain": "AWS Internal", "svc_name": "AWS Internal"}),
        ),
        (json!({"sourceIPAddress": "host.example"}), json!({"domain": "host.example"})),
        (
            json!({"sourceIPAddress": "192.0.2.1", "vpcEndpointId": "vpce-1"}),
            json!({"ip": "192.0.2.1", "uid": "vpce-1"}),
        ),
        (json!({"sourceIPAddress": null, "vpcEndpointId": "vpce-1"}), json!({"uid": "vpce-1"})),
        (json!({"sourceIPAddress": ""}), json!({"name": "Unknown"})),
    ] {
        assert_eq!(with(members.clone())["src_endpoint"], endpoint, "{members}");
    }
}

#[test]
fn every_caller_is_a_service_a_user_or_both_and_nobody_is_called_unknown() {
    let key = |kind: &str, uid: &str| json!([{"type": kind, "uid": uid}]);
    let nobody = json!({"name": "Unknown", "type": "Unknown", "type_id": 0});
    for (identity, [service, user, provider]) in [
        (
            json!({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}),
            [
                json!("lambda.amazonaws.com"),
                json!({"name": "lambda.amazonaws.com", "type": "AWSService", "type_id": 99}),
                Value::Null,
            ],
        ),
        (
            json!({"invokedBy": "x.amazonaws.com"}),
            [json!("x.amazonaws.com"), Value::Null, Value::Null],
        ),
        (
            json!({"accessKeyId": "AKIAX"}),
            [
                Value::Null,
                json!({
                    "name": "Unknown",
                    "type": "Unknown",
                    "type_id": 0,
                    "programmatic_credentials": key("Access Key", "AKIAX"),
                }),
                Value::Null,
            ],
        ),
        (
            json!({
                "type": "IdentityCenterUser",
                "credentialId": "c",
                "onBehalfOf": {"userId": "u", "identityStoreArn": "arn:store"},
            }),
            [
                Value::Null,
                json!({
                    "name": "u",
                    "uid": "u",
                    "type": "IdentityCenterUser",
                    "type_id": 99,
                    "programmatic_credentials": key("Token", "c"),
                }),
                json!({"uid": "arn:store"}),
            ],
        ),
        (
            json!({
                "type": "SAMLUser",
                "principalId": "p:alice",
                "userName": "alice",
                "identityProvider": "idp",
            }),
            [
                Value::Null,
                json!({"name": "alice", "uid": "p:alice", "type": "SAMLUser", "type_id": 99}),
                json!({"name": "idp"}),
            ],
        ),
        (json!(7), [Value::Null, nobody.clone(), Value::Null]),
        (Value::Null, [Value::Null, nobody, Value::Null]),
    ] {
        let event = with(json!({"userIdentity": identity}));
        let actor = ["app_name", "user", "idp"].map(|name| event["actor"][name].clone());
        assert_eq!(actor, [service, user, provider], "{identity}");
    }
}

#[test]
fn parameters_stand_with_the_request_that_has_an_id() {
    let event = with(json!({"requestID": null}));
    assert_eq!(event["api"].get("request"), None);
    assert_eq!(
        event["unmapped"]["requestParameters"]["Repository"]["CodeCommit"]["Name"],
        "repository-name"
    );
    let event = with(json!({"requestParameters": "text"}));
    assert_eq!(event["api"]["request"]["data"], "text");
}

#[test]
fn a_value_that_readers_refuse_becomes_its_own_text() {
    let record =
        r#"{"requestID":"r","requestParameters":{"a":1,"a":2},"x":{"\ud800":1e999},"y":1.50}"#;
    let event = render(record);
    assert_eq!(event["api"]["request"]["data"], r#"{"a":1,"a":2}"#);
    assert_eq!(event["unmapped"]["x"], r#"{"\ud800":1e999}"#);
    assert_eq!(event["unmapped"]["y"].to_string(), "1.5");
    assert_eq!(event["raw_data"], record);
}

#[test]
fn resources_are_listed_once_and_what_they_leave_is_unmapped() {
    let resources = json!([
        {"ARN": "arn:a", "accountId": "111122223333", "type": "AWS::S3::Bucket"},
        {"type": "AWS::S3::Object", "ARNPrefix": "arn:b/", "more": {"deep": true}},
        {"type": "AWS::Nothing"},
    ]);
    let event = with(json!({"eventSource": "s3.amazonaws.com", "resources": resources}));
    let owner = json!({"account": {"uid": "111122223333", "type_id": 10, "type": "AWS Account"}});
    assert_eq!(
        event["resources"],
        json!([
            {"type": "AWS::S3::Bucket", "uid": "arn:a", "owner": owner},
            {"type": "AWS::S3::Object", "name": "arn:b/"},
        ])
    );
    assert_eq!(event["unmapped"]["resources"], resources);
    let resources = json!([{"ARN": "arn:a", "accountId": "111122223333", "type": "T"}]);
    let event = with(json!({"eventSource": "s3.amazonaws.com", "resources": resources}));
    assert_eq!(event["unmapped"].get("resources"), None);
}

#[test]
fn of_too_many_resources_the_rest_is_unmapped() {
    let resources: Vec<_> = (0..1_500).map(|n| json!({"ARN": format!("arn:{n}")})).collect();
    // Nested, too: nothing is read again at each level.
    let nested = (0..100).fold(json!(resources), |inner, _| json!([inner]));
    let event = with(json!({"eventSource": "s3.amazonaws.com", "resources": nested}));
    let count = |value: &Value| value.as_array().map(Vec::len);
    assert_eq!(count(&event["resources"]), Some(1_000));
    // As a text, for it is nested deeper than readers go.
    assert_eq!(event["unmapped"]["resources"], nested.to_string());
    let few = (0..400).fold(json!({"ARN": "arn:0"}), |inner, _| json!([inner]));
    let event = with(json!({"eventSource": "s3.amazonaws.com", "resources": few}));
    assert_eq!(event["unmapped"].get("resources"), None);
}

#[test]
fn a_failure_says_why() {
    let event = with(json!({"errorCode": "AccessDenied", "errorMessage": "not yours"}));
    assert_eq!(
        (&event["status"], &event["status_id"], &event["status_code"], &event["status_detail"]),
        (&json!("Failure"), &json!(2), &json!("AccessDenied"), &json!("not yours"))
    );
    assert_eq!(event["api"]["response"]["error"], "AccessDenied");
    assert_eq!(event["api"]["response"]["message"], "not yours");
    // IAM Identity Center's sign-in has no error's code.
    let event = with(json!({
        "eventName": "CredentialVerification",
        "serviceEventDetails": {"CredentialVerification": "Failure"},
    }));
    assert_eq!((&event["status"], &event["status_id"]), (&json!("Failure"), &json!(2)));
}

/// Every scalar in a value, as text.
fn leaves(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Null => {}
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(elements) => elements.iter().for_each(|it| leaves(it, found)),
        Value::Object(members) => members.values().for_each(|it| leaves(it, found)),
        scalar => drop(found.insert(scalar.to_string())),
    }
}

proptest! {
    #[test]
    fn the_record_is_found_again(record in any_record()) {
        let event = render(&record);
        prop_assert_eq!(event["raw_data"].as_str(), Some(record.as_str()));
    }

    #[test]
    fn every_value_of_the_record_has_a_place_beside_the_raw_data(record in any_members()) {
        let mut event = render(record.to_string());
        event["raw_data"].take();
        let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
        leaves(&record, &mut wanted);
        leaves(&event, &mut found);
        // A time is written as the schema writes times.
        found.insert("2026-01-15T09:00:00Z".to_owned());
        let lost: Vec<_> = wanted.difference(&found).collect();
        prop_assert!(lost.is_empty(), "{:?} of {} in {}", lost, record, event);
    }
}
