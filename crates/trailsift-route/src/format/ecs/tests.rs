use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Format;
use crate::format::sample::{self, PUBLISHED, any_record, published_with};

fn render(record: impl AsRef<[u8]>) -> Value {
    sample::render(Format::Ecs, record)
}

/// The event of the published sample with these members in place of its own.
fn with(members: Value) -> Value {
    render(published_with(members))
}

#[test]
fn the_published_sample_has_the_integrations_fields() {
    let mut event = render(PUBLISHED);
    let flattened = event["aws"]["cloudtrail"]["flattened"].take();
    assert_eq!(
        flattened["request_parameters"]["Repository"]["CodeCommit"]["Name"],
        "repository-name"
    );
    let cloudtrail = event["aws"]["cloudtrail"].as_object_mut().expect("an object");
    let texts = ["request_parameters", "response_elements"].map(|it| cloudtrail.remove(it));
    for text in texts {
        let text = text.and_then(|it| Some(it.as_str()?.to_owned())).expect("a text");
        assert!(PUBLISHED.contains(&text), "{text} is not the record's own");
    }
    assert_eq!(
        event,
        json!({
            "@timestamp": "2019-11-27T03:46:35.000Z",
            "message": "TestSession (assumed role TestRole) associated CodeCommit repository repository-name",
            "ecs": {"version": "9.4.0"},
            "event": {
                "kind": "event",
                "module": "aws",
                "dataset": "aws.cloudtrail",
                "id": "e3c6f4ce-EXAMPLE",
                "provider": "codeguru-reviewer.amazonaws.com",
                "action": "AssociateRepository",
                "category": ["api"],
                "type": ["creation"],
                "outcome": "success",
                "original": PUBLISHED,
            },
            "labels": {
                "actor_kind": "assumed_role",
                "actor_credentials": "temporary",
                "route": "watch",
            },
            "cloud": {"provider": "aws", "region": "us-west-2", "account": {"id": "123456789012"}},
            "user": {"name": "TestRole", "id": "AAAAAAAAAEXAMPLE:TestSession"},
            "related": {
                "user": ["TestRole", "AAAAAAAAAEXAMPLE:TestSession", "TestSession"],
                "ip": ["52.13.164.128"],
            },
            "source": {"address": "52.13.164.128", "ip": "52.13.164.128"},
            "user_agent": {"original": "aws-internal/3 aws-sdk-java/1.11.672 Linux/4.14.138-99.102.amzn2.x86_64 OpenJDK_64-Bit_Server_VM/25.201-b09 java/1.8.0_201 vendor/Oracle_Corporation exec-env/AWS_Lambda_java8"},
            "aws": {
                "cloudtrail": {
                    "event_version": "1.05",
                    "event_type": "AwsApiCall",
                    "request_id": "cb8c167e-EXAMPLE",
                    "recipient_account_id": "123456789012",
                    "read_only": false,
                    "user_identity": {
                        "type": "AssumedRole",
                        "arn": "arn:aws:sts::123456789012:assumed-role/TestRole/TestSession",
                        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
                        "session_context": {
                            "mfa_authenticated": "false",
                            "creation_date": "2019-11-27T02:06:30.000Z",
                            "session_issuer": {
                                "type": "Role",
                                "principal_id": "AIDACKCEVSQ6C2EXAMPLE",
                                "arn": "arn:aws:iam::123456789012:role/TestRole",
                                "account_id": "123456789012",
                            },
                        },
                    },
                    "flattened": null,
                },
                "s3": {"bucket": {"name": "org-trail"}, "object": {"key": "AWSLogs/1/x.json.gz"}},
            },
        })
    );
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
        "eventName": "ConsoleLogin",
        "managementEvent": true,
        "sessionCredentialFromConsole": "true",
        "requestParameters": {"userName": "bob", "newUserName": "robert", "groupName": "devs"},
        "responseElements": {"user": {"userId": "AIDA"}, "group": {"groupId": "AGPA"}},
        "additionalEventData": {"LoginTo": "x", "MFAUsed": "Yes", "MobileVersion": "No"},
        "serviceEventDetails": {"a": 1},
        "insightDetails": {"a": 1},
        "resources": [{"ARN": "arn:a", "accountId": "1", "type": "T"}],
    });
    let mut everything: Value =
        serde_json::from_str(&published_with(everything)).expect("a record");
    everything["userIdentity"]["invokedBy"] = json!("signin.amazonaws.com");
    let file = sample::render_file(Format::Ecs, PUBLISHED);
    assert_eq!(file["log"]["file"]["path"], "AWSLogs/1/x.json.gz");
    let events = [render(everything.to_string())];
    sample::check_documented("`ecs`", &events);
}

#[test]
fn an_empty_record_still_is_an_event_with_a_time_and_a_tag_says_that_it_is_none() {
    let event = render("{}");
    assert_eq!(event["@timestamp"], "1970-01-01T00:00:00.000Z");
    assert_eq!(event["tags"], json!(["event_time_unreadable"]));
    assert_eq!(event["event"]["original"], "{}");
    assert_eq!(with(json!({}))["tags"], Value::Null);
}

#[test]
fn only_an_address_is_an_ip() {
    for (address, source, related) in [
        (
            json!("2001:db8::1"),
            json!({"address": "2001:db8::1", "ip": "2001:db8::1"}),
            json!({"ip": ["2001:db8::1"]}),
        ),
        (json!("AWS Internal"), json!({"address": "AWS Internal"}), json!({})),
        (
            json!("s3.amazonaws.com"),
            json!({"address": "s3.amazonaws.com"}),
            json!({"hosts": ["s3.amazonaws.com"]}),
        ),
        (json!(7), Value::Null, json!({})),
    ] {
        let mut event = with(json!({"sourceIPAddress": address}));
        assert_eq!(event["source"], source, "{address}");
        event["related"].as_object_mut().expect("an object").remove("user");
        assert_eq!(event["related"], related, "{address}");
    }
}

#[test]
fn a_sign_in_fails_as_its_response_says() {
    let login = |said: &str| {
        with(json!({
            "eventSource": "signin.amazonaws.com",
            "eventName": "ConsoleLogin",
            "responseElements": {"ConsoleLogin": said},
            "additionalEventData": {"LoginTo": "https://console", "MobileVersion": "No", "MFAUsed": "Yes"},
        }))
    };
    let event = login("Success");
    assert_eq!(
        (&event["event"]["outcome"], &event["event"]["category"]),
        (&json!("success"), &json!(["authentication"]))
    );
    assert_eq!(
        event["aws"]["cloudtrail"]["console_login"]["additional_eventdata"],
        json!({"login_to": "https://console", "mobile_version": false, "mfa_used": true})
    );
    assert_eq!(login("Failure")["event"]["outcome"], "failure");
}

#[test]
fn who_is_concerned_and_how_the_line_was_protected_have_fields_of_their_own() {
    let event = with(json!({
        "eventSource": "iam.amazonaws.com",
        "eventName": "UpdateUser",
        "requestParameters": {"userName": "bob", "newUserName": "robert", "groupName": "devs"},
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "X", "clientProvidedHostHeader": "iam.amazonaws.com"},
        "errorCode": "AccessDenied",
        "errorMessage": "no",
    }));
    assert_eq!(event["user"]["target"], json!({"name": "bob"}));
    assert_eq!(event["user"]["changes"], json!({"name": "robert"}));
    assert_eq!(event["group"], json!({"name": "devs"}));
    assert_eq!(
        event["tls"],
        json!({"version_protocol": "tls", "version": "1.3", "cipher": "X", "client": {"server_name": "iam.amazonaws.com"}})
    );
    assert_eq!(event["related"]["hosts"], json!(["iam.amazonaws.com"]));
    assert_eq!(
        (&event["error"], &event["event"]["outcome"]),
        (&json!({"code": "AccessDenied", "message": "no"}), &json!("failure"))
    );
}

#[test]
fn an_object_that_elasticsearch_refuses_is_a_text_only() {
    let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(32_766));
    for (value, is_flattened) in [
        (deep(20), true),
        (deep(21), false),
        (long, false),
        (r#"{"a":1,"a":2}"#.to_owned(), false),
        (r#"{"\u0000":1}"#.to_owned(), false),
        (r#"{"a":"\ud800"}"#.to_owned(), false),
        (r#"{"a":1e999}"#.to_owned(), false),
        (r#"["a"]"#.to_owned(), false),
        ("{}".to_owned(), true),
    ] {
        let event = render(format!(r#"{{"requestParameters":{value}}}"#));
        let cloudtrail = &event["aws"]["cloudtrail"];
        let flattened = cloudtrail["flattened"].get("request_parameters").is_some();
        assert_eq!(flattened, is_flattened, "{value}");
        assert_eq!(cloudtrail["request_parameters"], value);
    }
}

#[test]
fn a_federated_user_is_not_called_like_whoever_federates() {
    let event = with(json!({"userIdentity": {
        "type": "FederatedUser",
        "principalId": "123456789012:dave",
        "arn": "arn:aws:sts::123456789012:federated-user/dave",
        "sessionContext": {"sessionIssuer": {"type": "IAMUser", "userName": "broker"}},
    }}));
    assert_eq!(event["user"]["name"], "dave");
    assert_eq!(event["related"]["user"], json!(["dave", "123456789012:dave"]));
}

#[test]
fn each_resource_is_listed_once() {
    let resource = json!({"ARN": "arn:a", "accountId": "1", "type": "T"});
    let event = with(json!({"resources": [resource, resource, {"arn": "arn:b"}, {}, 7]}));
    assert_eq!(
        event["aws"]["cloudtrail"]["resources"],
        json!([{"arn": "arn:a", "account_id": "1", "type": "T"}, {"arn": "arn:b"}])
    );
}

proptest! {
    #[test]
    fn the_record_is_found_again(record in any_record()) {
        let event = render(&record);
        prop_assert_eq!(event["event"]["original"].as_str(), Some(record.as_str()));
    }
}
