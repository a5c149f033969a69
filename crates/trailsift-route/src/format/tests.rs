use serde_json::{Value, json};
use trailsift_event::{ActorKind, Credentials};

use super::*;

const SCHEMA: &str = include_str!("../../schemas/envelope.schema.json");

const CALL: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:alice","arn":"arn:aws:sts::111122223333:assumed-role/Admin/alice","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Admin"},"attributes":{"mfaAuthenticated":"true"}}},"eventTime":"2026-11-20T10:05:01Z","eventSource":"codeguru-reviewer.amazonaws.com","eventName":"ListCodeReviews","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","errorCode":"AccessDenied","eventID":"0d2c4ef1-6a39-4b44-a90e-9f1b2b25a4c1","readOnly":true,"eventType":"AwsApiCall","recipientAccountId":"111122223333"}"#;

const ORIGIN: Origin<'static> = Origin {
    account: Some("production"),
    bucket: Some("org-trail"),
    key: Some("AWSLogs/a.json.gz"),
    version_id: Some("v1"),
    etag: Some("9b2cf535"),
};

/// Records that are JSON, but not the JSON that anybody expects.
fn nasty() -> Vec<String> {
    let deep = |(open, close): (&str, &str)| {
        format!("{{\"a\":{}1{}}}", open.repeat(500), close.repeat(500))
    };
    let mut records: Vec<String> = [
        "{}",
        "{\n\t\"eventName\" :\r\n \"List\" ,\n\"n\": 1e999, \"m\":-0.0, \"o\":1574826395.6620 }",
        r#"{"a":1,"a":2,"eventID":"x","eventID":null,"userIdentity":{},"userIdentity":7}"#,
        r#"{"eventID":"\ud800","eventName":"\udfff\ud83d","awsRegion":"\u0000"}"#,
        r#"{"eventTime":"yesterday","eventType":"A\nB\u0085\ufffe","readOnly":"perhaps","recipientAccountId":17}"#,
        r#"{"event":{"trailsift":{}},"trailsift":{"event":"}}"},"data":null,"specversion":"9"}"#,
        r#"{"\u0065ventID":"\u0061\/","userIdentity":null,"resources":[null,{},[],"x"]}"#,
        "{\"eventName\":\"\u{202e}\u{7f}\u{2028}\",\"awsRegion\":\"a b:c/%\u{1f926}\"}",
    ]
    .map(str::to_owned)
    .into();
    records.extend([("[", "]"), ("{\"a\":", "}")].map(deep));
    records
}

fn record(text: &str) -> Record {
    Record { index: 7, bytes: Bytes::from(text.to_owned()), routes: RouteSet::EMPTY }
}

fn routes(numbers: &[usize]) -> RouteSet {
    let mut routes = RouteSet::EMPTY;
    numbers.iter().for_each(|number| routes.insert(*number));
    routes
}

fn render_from(format: Format, text: &str, origin: Origin<'_>) -> Bytes {
    let names = ["codeguru-reviewer", "writes", "root"].map(str::to_owned);
    Formatter::new(format, names).render(&record(text), routes(&[1, 2]), origin)
}

fn render(format: Format, text: &str) -> Bytes {
    render_from(format, text, ORIGIN)
}

fn value(format: Format, text: &str) -> Value {
    serde_json::from_slice(&render(format, text)).expect("JSON")
}

fn attribute<'v>(event: &'v Value, name: &str) -> &'v Value {
    event.get(name).unwrap_or(&Value::Null)
}

#[test]
fn every_name_is_a_format_and_no_other() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.name()), Some(format));
    }
    assert_eq!(Format::parse("RAW"), None);
    assert_eq!(Format::parse(""), None);
}

#[test]
fn a_raw_event_is_the_record_byte_for_byte() {
    for text in nasty() {
        let record = record(&text);
        let event = Formatter::new(Format::Raw, []).render(&record, RouteSet::EMPTY, ORIGIN);
        assert_eq!(event, record.bytes);
        assert_eq!(event.as_ptr(), record.bytes.as_ptr(), "not even copied");
    }
}

#[test]
fn an_envelope_holds_the_record_byte_for_byte() {
    for text in nasty() {
        let event = render(Format::Envelope, &text);
        let inside = event.strip_prefix(b"{\"event\":").expect("it begins with the record");
        let rest = inside.strip_prefix(text.as_bytes()).expect("as it stands in its file");
        let about = rest.strip_prefix(b",\"trailsift\":").expect("what is known of it");
        let about = about.strip_suffix(b"}").expect("the end");
        let about: Value = serde_json::from_slice(about).expect("JSON");
        assert_eq!(about["sha256"], hex(&Sha256::digest(&text)));
    }
}

#[test]
fn a_cloud_event_holds_the_record_byte_for_byte() {
    for text in nasty() {
        let event = render(Format::CloudEvents, &text);
        let end = format!(",\"data\":{text}}}");
        let about =
            event.strip_suffix(end.as_bytes()).expect("the record, as it stands in its file");
        let about: Value = serde_json::from_slice(&[about, b"}"].concat()).expect("JSON");
        assert_eq!(about["recordsha256"], hex(&Sha256::digest(&text)));
    }
}

#[test]
fn an_envelope_tells_where_the_record_was_read_and_who_is_behind_it() {
    let envelope = value(Format::Envelope, CALL);
    let mut about = envelope["trailsift"].clone();
    let summary = about["summary"].take();
    assert_eq!(
        about,
        json!({
            "account": "production",
            "bucket": "org-trail",
            "key": "AWSLogs/a.json.gz",
            "version_id": "v1",
            "etag": "9b2cf535",
            "index": 7,
            "sha256": hex(&Sha256::digest(CALL)),
            "route": "writes",
            "routes": ["writes", "root"],
            "summary": null,
            "actor": {
                "kind": "assumed_role",
                "name": "Admin",
                "arn": "arn:aws:sts::111122223333:assumed-role/Admin/alice",
                "account_id": "111122223333",
                "credentials": "temporary",
                "mfa": true,
                "session_name": "alice",
                "invoked_by": null,
                "source_identity": null,
            },
        })
    );
    assert!(summary.as_str().is_some_and(|summary| summary.contains("alice")), "{summary}");
}

#[test]
fn every_key_of_an_envelope_is_always_there_as_its_schema_says() {
    let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
    let keys = |value: &Value| -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        keys
    };
    let required = |schema: &Value| -> Vec<String> {
        let listed = schema["required"].as_array().expect("a list");
        let mut listed: Vec<_> =
            listed.iter().map(|key| key.as_str().expect("a key").to_owned()).collect();
        listed.sort();
        assert_eq!(listed, keys(&schema["properties"]));
        assert_eq!(schema["additionalProperties"], false);
        listed
    };
    let (about, actor) = (&schema["properties"]["trailsift"], &schema["$defs"]["actor"]);
    // Without what serde_json refuses: 1e999, and deeper than it goes.
    let readable = ["{}", CALL, r#"{"userIdentity":{"type":"Root"},"eventName":7}"#];
    for text in readable {
        let event = render_from(Format::Envelope, text, Origin::default());
        let event: Value = serde_json::from_slice(&event).expect("JSON");
        assert_eq!(keys(&event), required(&schema));
        assert_eq!(keys(&event["trailsift"]), required(about));
        assert_eq!(keys(&event["trailsift"]["actor"]), required(actor));
        for name in ["account", "bucket", "key", "version_id", "etag"] {
            assert_eq!(event["trailsift"][name], Value::Null);
        }
    }
    let kinds = ActorKind::ALL.map(ActorKind::as_str);
    assert_eq!(actor["properties"]["kind"]["enum"], json!(kinds));
    let credentials = Credentials::ALL.map(Credentials::as_str);
    assert_eq!(actor["properties"]["credentials"]["enum"], json!(credentials));
}

#[test]
fn an_etag_has_no_quotes() {
    let source = Source {
        account: "production".into(),
        bucket: "org-trail".into(),
        key: "k".into(),
        version_id: None,
        etag: Some("\"9b2cf535-2\"".into()),
    };
    assert_eq!(Origin::from(&source).etag, Some("9b2cf535-2"));
}

#[test]
fn a_cloud_event_says_beside_the_record_what_consumers_filter_by() {
    let mut event = value(Format::CloudEvents, CALL);
    assert_eq!(event["data"], serde_json::from_str::<Value>(CALL).expect("JSON"));
    event["data"].take();
    assert_eq!(
        event,
        json!({
            "specversion": "1.0",
            "id": "0d2c4ef1-6a39-4b44-a90e-9f1b2b25a4c1",
            "source": "urn:aws:cloudtrail:us-east-1:111122223333",
            "type": "com.amazonaws.cloudtrail.AwsApiCall",
            "time": "2026-11-20T10:05:01.000Z",
            "datacontenttype": "application/json",
            "eventsource": "codeguru-reviewer.amazonaws.com",
            "eventname": "ListCodeReviews",
            "awsregion": "us-east-1",
            "awsaccount": "111122223333",
            "readonly": true,
            "errorcode": "AccessDenied",
            "actorkind": "assumed_role",
            "actorname": "Admin",
            "actorarn": "arn:aws:sts::111122223333:assumed-role/Admin/alice",
            "route": "writes",
            "recordbucket": "org-trail",
            "recordkey": "AWSLogs/a.json.gz",
            "recordversion": "v1",
            "recordindex": 7,
            "recordsha256": hex(&Sha256::digest(CALL)),
            "data": null,
        })
    );
}

#[test]
fn the_subject_of_a_cloud_event_is_the_resource() {
    let text = r#"{"resources":[{"ARN":"arn:aws:s3:::b/k","type":"AWS::S3::Object"}]}"#;
    assert_eq!(value(Format::CloudEvents, text)["subject"], "arn:aws:s3:::b/k");
    assert_eq!(attribute(&value(Format::CloudEvents, CALL), "subject"), &Value::Null);
}

#[test]
fn a_cloud_event_without_an_event_id_has_the_id_of_its_place() {
    let id = |text: &str, origin| {
        let event = render_from(Format::CloudEvents, text, origin);
        let event: Value = serde_json::from_slice(&event).expect("JSON");
        event["id"].as_str().expect("a string").to_owned()
    };
    for none in ["{}", r#"{"eventID":""}"#, r#"{"eventID":7}"#, r#"{"eventID":"a\u0007"}"#] {
        let first = id(none, ORIGIN);
        assert!(first.len() == 64 && first.bytes().all(|digit| digit.is_ascii_hexdigit()));
        assert_eq!(first, id(none, ORIGIN), "the same when it is read again");
        // Which account was told of the object is no matter.
        assert_eq!(first, id(none, Origin { account: None, ..ORIGIN }));
        for other in [
            Origin { bucket: None, ..ORIGIN },
            Origin { key: Some("AWSLogs/b.json.gz"), ..ORIGIN },
            Origin { version_id: Some("v2"), ..ORIGIN },
            // The same letters, divided otherwise.
            Origin { version_id: Some("v19"), etag: Some("b2cf535"), ..ORIGIN },
        ] {
            assert_ne!(first, id(none, other));
        }
    }
    assert_eq!(id(r#"{"eventID":"\u0061b"}"#, ORIGIN), "ab");
}

#[test]
fn no_attribute_of_a_cloud_event_holds_what_none_may_hold() {
    let text = r#"{"eventType":"A\nB\u0085\ufdd0","eventName":"xy\uffff","awsRegion":"a b:c/%\u00e9","errorCode":"\ud83d\ude00","eventTime":"2026-11-20 10:05:01","recipientAccountId":""}"#;
    let event = value(Format::CloudEvents, text);
    assert_eq!(event["type"], "com.amazonaws.cloudtrail.A\u{fffd}B\u{fffd}\u{fffd}");
    assert_eq!(event["eventname"], "xy\u{fffd}");
    assert_eq!(event["source"], "urn:aws:cloudtrail:a%20b%3Ac%2F%25%C3%A9:");
    assert_eq!(event["errorcode"], "\u{1f600}");
    for absent in ["time", "awsaccount", "subject", "readonly"] {
        assert_eq!(attribute(&event, absent), &Value::Null, "{absent}");
    }
    for text in nasty() {
        let event = render(Format::CloudEvents, &text);
        let about = event.strip_suffix(format!(",\"data\":{text}}}").as_bytes());
        let about: Value =
            serde_json::from_slice(&[about.expect("data"), b"}"].concat()).expect("JSON");
        for (name, value) in about.as_object().expect("an object") {
            assert!(
                name.len() <= 20
                    && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            );
            let may_stand = |text: &str| {
                !text.is_empty() && !text.chars().any(|c| c.is_control() || c == '\u{fffe}')
            };
            assert!(value.as_str().is_none_or(may_stand), "{name}: {value}");
        }
        assert!(about["source"].as_str().is_some_and(|source| source.is_ascii()));
    }
}

#[test]
fn no_format_adds_a_line_break_or_fails() {
    for format in Format::ALL {
        for text in nasty() {
            let breaks =
                |bytes: &[u8]| bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
            let event = render(format, &text);
            assert!(breaks(&event) <= breaks(text.as_bytes()), "{format:?}: {text}");
            assert!(event.starts_with(b"{") && event.ends_with(b"}"));
        }
    }
}

/// The pipeline gives events room by this.
#[test]
fn a_large_record_grows_to_eight_times_its_size_at_most() {
    let quotes = "\\\"".repeat(20_000);
    let texts = [
        format!(r#"{{"eventName":"{quotes}","requestID":"r"}}"#),
        format!(r#"{{"requestID":"r","requestParameters":{{"a":["{quotes}"],"b":"c"}}}}"#),
        format!(r#"{{"responseElements":{{"a":"{quotes}"}},"additionalEventData":null}}"#),
        format!(r#"{{"userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::1:user/{quotes}"}}}}"#),
        format!(r#"{{"userIdentity":{{"type":"IAMUser","userName":"{quotes}"}}}}"#),
        format!(
            r#"{{"userIdentity":{{"type":"AssumedRole","arn":"a:b:sts::1:assumed-role/r/{quotes}"}}}}"#
        ),
        format!(
            r#"{{"userIdentity":{{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/{quotes}/s"}}}}"#
        ),
        format!(r#"{{"userIdentity":{{"type":"FederatedUser","principalId":"1:{quotes}"}}}}"#),
        format!(
            r#"{{"eventSource":"codeguru-reviewer.amazonaws.com","requestID":"r","requestParameters":
            {{"CodeReviewArn":"arn:aws:codeguru-reviewer:us-west-2:1:association:{quotes}:codereview:x"}}}}"#
        ),
        format!(r#"{{"errorCode":"{quotes}"}}"#),
        format!(r#"{{"errorCode":"x","errorMessage":"{quotes}"}}"#),
        format!(r#"{{"resources":[{{"ARN":"{quotes}","type":"AWS::S3::Bucket"}}]}}"#),
        format!(r#"{{"sourceIPAddress":"{quotes}"}}"#),
        format!(r#"{{"userAgent":"{quotes}"}}"#),
        format!(r#"{{"eventSource":"{quotes}"}}"#),
        format!(r#"{{"serviceEventDetails":[{}1]}}"#, "[],".repeat(10_000)),
    ];
    for format in Format::ALL {
        for text in &texts {
            let size = render(format, text).len();
            assert!(
                size <= 8 * text.len() + 2_000,
                "{format:?}: {size} of {}: {}",
                text.len(),
                &text[..60]
            );
        }
    }
}
