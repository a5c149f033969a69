//! Notifications as AWS sends them: one fixture per shape, written by hand from AWS's documents
//! (emulators encode keys differently), and bodies that nobody should have sent.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use trailsift_core::Reason;
use trailsift_trail::{
    Control, Notification, Notified, NotifiedObject, Replay, ReplayedRecords, Shape, announce,
    bucket_name_is_legal, decode,
};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("fixtures/notifications/", $name))
    };
}

const FIXTURES: [&str; 18] = [
    fixture!("cloudtrail_raw.json"),
    fixture!("cloudtrail_validation.txt"),
    fixture!("eventbridge_object_created.json"),
    fixture!("eventbridge_object_deleted.json"),
    fixture!("s3_events_that_create_nothing.json"),
    fixture!("s3_good_and_bad_neighbours.json"),
    fixture!("s3_put_unversioned.json"),
    fixture!("s3_put_versioned.json"),
    fixture!("s3_several_records_and_buckets.json"),
    fixture!("s3_test_event.json"),
    fixture!("sns_cloudtrail.json"),
    fixture!("sns_cloudtrail_validation.json"),
    fixture!("sns_eventbridge.json"),
    fixture!("sns_in_sns.json"),
    fixture!("sns_s3.json"),
    fixture!("sns_s3_test_event.json"),
    fixture!("sns_subscription_confirmation.json"),
    "[[[[{\"Records\":[{}]}]]]]",
];

/// `2025-11-22T10:05:31Z`.
fn five_past_ten() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_805_931)
}

fn notified(body: &str) -> Notified {
    match decode(body) {
        Ok(Notification::Objects(notified)) => notified,
        other => panic!("{body}: {other:?}"),
    }
}

fn objects(body: &str) -> Vec<NotifiedObject> {
    notified(body).objects.into_iter().map(|object| object.expect("a good entry")).collect()
}

fn the_object(body: &str) -> NotifiedObject {
    let mut objects = objects(body);
    assert_eq!(objects.len(), 1);
    objects.remove(0)
}

/// What is wrong with the body, which must be no notification.
fn refused(body: &str) -> String {
    match decode(body) {
        Err(fault) => {
            assert_eq!(fault.reason, Reason::BadNotification);
            fault.detail
        }
        Ok(understood) => panic!("{body}: {understood:?}"),
    }
}

/// One S3 event of which one member is written differently.
fn s3_event_with(part: &str, replacement: &str) -> String {
    let event = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventTime":"2025-11-22T10:05:31Z","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"org-trail"},"object":{"key":"k","size":1,"versionId":"v"}}}]}"#;
    assert!(event.contains(part), "{part}");
    event.replacen(part, replacement, 1)
}

#[test]
fn an_s3_event_names_its_object_and_version_with_a_form_decoded_key() {
    let body = fixture!("s3_put_versioned.json");
    assert_eq!(notified(body).shape, Shape::S3);
    assert_eq!(
        the_object(body),
        NotifiedObject {
            bucket: "org-trail".into(),
            key: "team a+b/AWSLogs/o-a1b2c3d4e5/111122223333/CloudTrail/us-east-1/2025/11/22/111122223333_CloudTrail_us-east-1_20251122T1005Z_Ab3dEf6hIj9lMn2p.json.gz".into(),
            version_id: Some("096fKKXTRTtl3on89fVO.nfljtsv6qko".into()),
            etag: Some("d41d8cd98f00b204e9800998ecf8427e".into()),
            size: Some(18_734),
            event_time: Some(five_past_ten() + Duration::from_millis(417)),
            replay: None,
        }
    );
}

#[test]
fn an_s3_event_of_an_unversioned_bucket_has_no_version() {
    let object = the_object(fixture!("s3_put_unversioned.json"));
    assert_eq!(object.version_id, None);
    assert_eq!(object.bucket, "plain.trail-bucket");
    assert!(object.key.ends_with("_é%%20.json.gz"), "{}", object.key);
}

#[test]
fn every_record_counts_and_names_its_own_bucket() {
    let names = objects(fixture!("s3_several_records_and_buckets.json"));
    let names: Vec<_> = names
        .iter()
        .map(|object| (&*object.bucket, object.key.rsplit('/').next().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            ("org-trail", "first.json.gz"),
            ("second-trail", "second.json.gz"),
            ("org-trail", "third.json.gz")
        ]
    );
}

#[test]
fn an_sns_envelope_changes_nothing_but_the_shape() {
    for (enveloped, bare, shape) in [
        (fixture!("sns_s3.json"), fixture!("s3_put_versioned.json"), Shape::SnsS3),
        (
            fixture!("sns_eventbridge.json"),
            fixture!("eventbridge_object_created.json"),
            Shape::SnsEventBridge,
        ),
        (fixture!("sns_cloudtrail.json"), fixture!("cloudtrail_raw.json"), Shape::SnsCloudTrail),
    ] {
        assert_eq!(notified(enveloped), Notified { shape, ..notified(bare) });
    }
}

#[test]
fn an_eventbridge_key_is_never_decoded() {
    let body = fixture!("eventbridge_object_created.json");
    assert_eq!(notified(body).shape, Shape::EventBridge);
    assert_eq!(
        the_object(body),
        NotifiedObject {
            bucket: "org-trail".into(),
            key: "a+b %2B/AWSLogs/111122223333/CloudTrail/ca-central-1/2025/11/22/111122223333_CloudTrail_ca-central-1_20251122T1005Z_Ab3dEf6hIj9lMn2p.json.gz".into(),
            version_id: Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e".into()),
            etag: Some("b1946ac92492d2347c6235b4d2611184".into()),
            size: Some(5),
            event_time: Some(five_past_ten()),
            replay: None,
        }
    );
}

fn parked(replay: Option<Replay>, key: &str) -> NotifiedObject {
    NotifiedObject {
        bucket: "org-trail".into(),
        key: key.into(),
        version_id: Some("v1".into()),
        etag: Some("d41d8cd98f00b204e9800998ecf8427e".into()),
        size: Some(7),
        event_time: None,
        replay,
    }
}

#[test]
fn what_a_replay_announces_is_read_as_the_same_objects() {
    let records = |sink: Option<&str>, indexes: &[u64]| ReplayedRecords {
        sink: sink.map(Into::into),
        indexes: indexes.iter().copied().collect(),
    };
    let whole = Replay { id: "0123456789abcdef".into(), records: Vec::new() };
    let parts = Replay {
        id: "0123456789abcdef".into(),
        records: vec![records(Some("siem"), &[3, 7, 3]), records(None, &[9])],
    };
    assert_eq!((parts.asked(), parts.is_of_records(), whole.is_of_records()), (3, true, false));
    let announced =
        [parked(None, "a"), parked(Some(whole), "b +%/é\n\""), parked(Some(parts), "c")];
    assert_eq!(objects(&announce(&announced)), announced);
}

#[test]
fn a_replay_that_cannot_be_read_is_no_notification_of_its_object() {
    let with = |ours: &str| s3_event_with(r#""eventVersion""#, &format!("{ours},\"eventVersion\""));
    for (ours, why) in [
        (r#""trailsift":7"#, "instead of a JSON object"),
        (r#""trailsift":null"#, "trailsift is missing"),
        (r#""trailsift":{}"#, "trailsift has no replay"),
        (r#""trailsift":{"replay":{}}"#, "missing field"),
        (r#""trailsift":{"replay":{"id":""}}"#, "no id"),
        (r#""trailsift":{"replay":{"id":"x"}}"#, "no id"),
        (r#""trailsift":{"replay":{"id":"0","data":"{}"}}"#, "unknown field"),
        (r#""trailsift":{"replay":{"id":"0","records":[{"indexes":[]}]}}"#, "no record"),
        (r#""trailsift":{"replay":{"id":"0","records":[{"indexes":[-1]}]}}"#, "invalid value"),
    ] {
        let body = with(ours);
        let fault = notified(&body).objects.remove(0).expect_err("a fault");
        assert_eq!(fault.reason, Reason::BadNotification);
        assert!(fault.detail.contains(why), "{ours}: {}", fault.detail);
    }
    let long = "x".repeat(100_000);
    let body = with(&format!(r#""trailsift":{{"replay":{{"id":"0","{long}":7}}}}"#));
    let fault = notified(&body).objects.remove(0).expect_err("a fault");
    assert!(fault.detail.len() < 300, "{} bytes", fault.detail.len());
    // In another shape the word means nothing.
    let strange =
        r#"{"trailsift":{"replay":{"id":"0"}},"s3Bucket":"org-trail","s3ObjectKey":["k"]}"#;
    assert_eq!(the_object(strange).replay, None);
}

#[test]
fn a_cloudtrail_notification_names_several_keys_as_they_are() {
    let body = fixture!("cloudtrail_raw.json");
    assert_eq!(notified(body).shape, Shape::CloudTrail);
    let objects = objects(body);
    assert_eq!(objects.len(), 2);
    assert!(objects[1].key.starts_with("p+q %20/AWSLogs/"), "{}", objects[1].key);
    assert!(objects.iter().all(|object| object.bucket == "org-trail"));
}

#[test]
fn a_bad_cloudtrail_key_leaves_its_neighbours_alone() {
    let body = r#"{"s3Bucket":"org-trail","s3ObjectKey":["good",7,"","also good"]}"#;
    let objects = notified(body).objects;
    let good: Vec<_> = objects.iter().flatten().map(|object| &*object.key).collect();
    assert_eq!(good, ["good", "also good"]);
    assert_eq!(objects.iter().filter(|object| object.is_err()).count(), 2);
}

#[test]
fn control_messages_are_known_bare_and_in_sns() {
    for (body, control, label) in [
        (fixture!("s3_test_event.json"), Control::S3Test, "test"),
        (fixture!("sns_s3_test_event.json"), Control::S3Test, "test"),
        (fixture!("cloudtrail_validation.txt"), Control::CloudTrailValidation, "ct_validation"),
        (
            fixture!("sns_cloudtrail_validation.json"),
            Control::CloudTrailValidation,
            "ct_validation",
        ),
        (
            fixture!("sns_subscription_confirmation.json"),
            Control::SnsSubscription,
            "sns_subscription",
        ),
    ] {
        assert_eq!(decode(body), Ok(Notification::Control(control)), "{body}");
        assert_eq!(control.as_str(), label);
    }
}

#[test]
fn events_that_create_no_object_are_counted_and_ignored() {
    let notified_of = |body| {
        let notified = notified(body);
        (notified.objects.len(), notified.ignored)
    };
    assert_eq!(notified_of(fixture!("s3_events_that_create_nothing.json")), (0, 4));
    assert_eq!(notified_of(fixture!("eventbridge_object_deleted.json")), (0, 1));
}

#[test]
fn a_bad_entry_never_hides_its_good_neighbours() {
    let notified = notified(fixture!("s3_good_and_bad_neighbours.json"));
    assert_eq!(notified.ignored, 0);
    let seen: Vec<_> = notified
        .objects
        .iter()
        .map(|object| match object {
            Ok(object) => Ok(object.key.as_str()),
            Err(fault) => Err((fault.reason, fault.bucket.as_deref(), fault.key.as_deref())),
        })
        .collect();
    let org = Some("org-trail");
    assert_eq!(
        seen,
        [
            Ok("good-one"),
            Err((Reason::BadKeyEncoding, org, Some("bad-%zz-escape"))),
            Err((Reason::BadNotification, org, Some("from-the-future"))),
            Ok("good-two"),
            Err((Reason::BadNotification, None, None)),
            Err((Reason::BadNotification, None, None)),
            Err((Reason::BucketNotAllowed, Some("evil.example.com/"), Some("ssrf"))),
            Err((Reason::BadNotification, org, None)),
            Err((Reason::BadNotification, org, Some("typed"))),
            Ok("good-three"),
        ]
    );
}

#[test]
fn a_fault_says_what_is_wrong() {
    for (part, replacement, detail) in [
        (r#""2.1""#, r#""3.0""#, r#"the eventVersion "3.0" is not 2.x"#),
        (r#""2.1""#, r#""2.x""#, r#"the eventVersion "2.x" is not 2.x"#),
        (r#""2.1""#, "2.1", "eventVersion is a number instead of a string"),
        (r#""eventVersion":"2.1","#, "", "eventVersion is missing"),
        (
            r#""ObjectCreated:Put""#,
            r#""Object\u001bNew""#,
            r#"the eventName "Object\u{1b}New" is unknown"#,
        ),
        (r#"{"name":"org-trail"}"#, "null", "bucket is missing"),
        (r#"{"name":"org-trail"}"#, "[]", "bucket is an array instead of a JSON object"),
        (r#""key":"k""#, r#""key":["k"]"#, "key is an array instead of a string"),
        (r#""key":"k""#, r#""key":"""#, "the object key is empty"),
        (r#""key":"k""#, r#""key":"\ud800""#, "key is a string that is no text (a lone surrogate)"),
        (r#""key":"k""#, r#""key":"%""#, "a % of the key is not followed by two digits"),
        (r#""size":1"#, r#""size":1e400"#, "size is not a whole number: a number"),
        (r#""versionId":"v""#, r#""versionId":{}"#, "versionId is an object instead of a string"),
    ] {
        let notified = notified(&s3_event_with(part, replacement));
        let fault = notified.objects[0].as_ref().expect_err(replacement);
        assert_eq!(fault.detail, detail, "{replacement}");
    }
}

#[test]
fn minor_event_versions_are_accepted_whatever_they_are() {
    for version in ["2.0", "2.1", "2.5", "2.99", "2.100000000000000000000", "02.1"] {
        assert!(!objects(&s3_event_with("2.1", version)).is_empty(), "{version}");
    }
    for version in ["", "2", "2.", ".1", "1.9", "20.1", "3.0", "2.1.1", "-2.1", " 2.1", "２.1"] {
        assert!(notified(&s3_event_with("2.1", version)).objects[0].is_err(), "{version}");
    }
}

#[test]
fn an_empty_or_null_version_is_none_and_an_odd_time_is_none() {
    let object = the_object(&s3_event_with(r#""versionId":"v""#, r#""versionId":"""#));
    assert_eq!(object.version_id, None);
    let object = the_object(&s3_event_with(r#""versionId":"v""#, r#""versionId":null"#));
    assert_eq!(object.version_id, None);
    let object = the_object(&s3_event_with("2025-11-22T10:05:31Z", "yesterday"));
    assert_eq!((object.key.as_str(), object.event_time), ("k", None));
}

#[test]
fn an_entity_tag_is_taken_where_it_can_be_one_and_never_a_reason_to_refuse() {
    let long = format!("\"{}\"", "a".repeat(129));
    for (tag, etag) in [
        (r#""9c8af9a76df052144598c115ef33e511-9""#, Some("9c8af9a76df052144598c115ef33e511-9")),
        (r#""\"abc\"""#, Some("abc")),
        (r#""""#, None),
        (r#""\"""#, None),
        (r#""\"\"""#, None),
        (r#""a b""#, None),
        (r#""a\u001b""#, None),
        (r#""\ud800""#, None),
        ("null", None),
        ("7", None),
        ("[]", None),
        (&long, None),
    ] {
        let body = s3_event_with(r#""size":1"#, &format!(r#""size":1,"eTag":{tag}"#));
        assert_eq!(the_object(&body).etag.as_deref(), etag, "{tag}");
        let body = fixture!("eventbridge_object_created.json");
        let body = body.replace(r#""b1946ac92492d2347c6235b4d2611184""#, tag);
        assert_eq!(the_object(&body).etag.as_deref(), etag, "{tag}");
    }
    assert_eq!(the_object(&s3_event_with("2.1", "2.1")).etag, None);
}

#[test]
fn unrecognised_bodies_are_refused_and_never_ignored() {
    let envelope = |message: &str| format!(r#"{{"Type":"Notification","Message":{message}}}"#);
    for body in [
        "",
        " \n",
        "hello",
        "CloudTrail validation message. And more",
        "null",
        "17",
        "\"text\"",
        "[]",
        "{}",
        "{\"Records\":[]}",
        "{\"Records\":null}",
        "{\"Records\":{}}",
        "{\"Records\":[1,2,3]}",
        "{\"Records\":[{\"eventSource\":\"aws:sqs\"}]}",
        "{\"Records\":[{\"eventSource\":\"s3.amazonaws.com\"}]}",
        "{\"Records\":[{\"eventSource\":\"aws:s3\"}]} {}",
        "{\"Event\":\"s3:OtherEvent\"}",
        "{\"Event\":17}",
        "{\"s3Bucket\":\"org-trail\",\"s3ObjectKey\":[]}",
        "{\"s3Bucket\":\"org-trail\",\"s3ObjectKey\":\"k\"}",
        "{\"s3ObjectKey\":[\"k\"]}",
        "{\"s3Bucket\":\"org-trail\"}",
        "{\"detail-type\":\"Object Created\",\"detail\":{}}",
        "{\"detail-type\":\"Object Created\",\"source\":\"my.app\",\"detail\":{}}",
        "{\"detail-type\":\"AWS API Call via CloudTrail\",\"source\":\"aws.s3\",\"detail\":{}}",
        "{\"Type\":\"UnsubscribeConfirmation\",\"Message\":\"m\"}",
        "{\"Type\":\"Notification\"}",
        &envelope("{}"),
        &envelope("\"\""),
        &envelope("\"not JSON\""),
        &envelope("\"{\\\"Type\\\":\\\"SubscriptionConfirmation\\\"}\""),
        fixture!("sns_in_sns.json"),
    ] {
        refused(body);
    }
}

#[test]
fn a_body_of_two_shapes_or_with_a_key_twice_is_refused() {
    // A reader that takes the first and one that takes the last would see different objects.
    let event = s3_event_with("2.1", "2.1");
    let records = event.trim_start_matches('{').trim_end_matches('}');
    let detail = refused(&format!("{{{records},{records}}}"));
    assert!(detail.contains("\"Records\" appears twice"), "{detail}");
    let escaped = records.replacen("Records", "Record\\u0073", 1);
    let detail = refused(&format!("{{{records},{escaped}}}"));
    assert!(detail.contains("\"Records\" appears twice"), "{detail}");
    let detail = refused(&format!("{{\"Event\":\"s3:TestEvent\",{records}}}"));
    assert!(detail.starts_with("ambiguous"), "{detail}");
    let detail = refused(&format!("{{\"Type\":\"SubscriptionConfirmation\",{records}}}"));
    assert!(detail.starts_with("ambiguous"), "{detail}");
}

#[test]
fn a_bucket_named_twice_is_an_entry_fault() {
    let twice = r#"{"name":"org-trail","name":"evil-trail"}"#;
    let notified = notified(&s3_event_with(r#"{"name":"org-trail"}"#, twice));
    let fault = notified.objects[0].as_ref().expect_err("two names");
    assert_eq!((fault.reason, fault.bucket.as_deref()), (Reason::BadNotification, None));
}

#[test]
fn f115_no_shape_announces_objects_of_an_illegal_bucket_name() {
    for name in ["b.evil.com/", "arn:aws:s3:::org-trail", "169.254.169.254:80", "ORG", "a\u{1b}b"] {
        let quoted = serde_json::json!(name).to_string();
        let s3 = s3_event_with(r#""org-trail""#, &quoted);
        let eventbridge = fixture!("eventbridge_object_created.json");
        let eventbridge = eventbridge.replacen(r#""org-trail""#, &quoted, 1);
        for body in [s3, eventbridge] {
            let notified = notified(&body);
            let fault = notified.objects[0].as_ref().expect_err(name);
            assert_eq!(fault.reason, Reason::BucketNotAllowed, "{name}");
            assert_eq!(fault.bucket.as_deref(), Some(name));
            assert!(!fault.detail.contains('\u{1b}'));
        }
        // One name for many keys: it is said once.
        let keys = vec!["k"; 1000];
        let body = serde_json::json!({"s3Bucket": name, "s3ObjectKey": keys}).to_string();
        let envelope = serde_json::json!({"Type": "Notification", "Message": body}).to_string();
        for body in [body, envelope] {
            let fault = decode(&body).expect_err(name);
            assert_eq!(fault.reason, Reason::BucketNotAllowed, "{name}");
            assert!(fault.detail.len() < 200, "{fault}");
        }
    }
}

#[test]
fn a_huge_body_is_refused_without_harm() {
    const MIB: usize = 1 << 20;
    refused(&"[".repeat(MIB));
    refused(&"{\"Records\":".repeat(MIB / 11));
    refused(&format!("{{\"Records\":{}", "[".repeat(MIB)));
    refused(&format!("{{\"Records\":[{}]}}", vec!["{}"; MIB / 3].join(",")));
    let keys: Vec<_> = (0..MIB / 12).map(|n| format!("\"{n}\":0")).collect();
    refused(&format!("{{{}}}", keys.join(",")));
}

#[test]
fn what_is_not_looked_at_may_be_anything() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = s3_event_with(
        r#""eventSource""#,
        &format!(r#""later":{deep},"n":1e999,"t":"\ud800","eventSource""#),
    );
    assert_eq!(the_object(&body).key, "k");
}

#[test]
fn only_legal_bucket_names_pass() {
    for name in ["abc", "org-trail", "a.b-c.9", &"a".repeat(63)] {
        assert!(bucket_name_is_legal(name), "{name}");
    }
    for name in [
        "",
        "a",
        "ab",
        "-ab",
        "ab-",
        ".ab",
        "Org-Trail",
        "org_trail",
        "b.evil.com/",
        "http://evil.com",
        "arn:aws:s3:us-east-1:111122223333:accesspoint/x",
        "a b",
        "abc\n",
        "été",
        &"a".repeat(64),
    ] {
        assert!(!bucket_name_is_legal(name), "{name}");
    }
}

proptest! {
    /// Whatever happens to the bytes of a message, decoding answers.
    #[test]
    fn a_mutated_message_never_panics(
        fixture in prop::sample::select(&FIXTURES[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 0..8),
    ) {
        let mut bytes = fixture.as_bytes().to_vec();
        for (at, byte, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        let body = String::from_utf8_lossy(&bytes);
        if let Ok(Notification::Objects(notified)) = decode(&body) {
            for object in notified.objects.iter().flatten() {
                prop_assert!(bucket_name_is_legal(&object.bucket));
                prop_assert!(!object.key.is_empty());
            }
            prop_assert!(!notified.objects.is_empty() || notified.ignored > 0);
        }
    }

    #[test]
    fn any_text_is_decided(body in any::<String>()) {
        // No text of a message but its own words gets acknowledged unread.
        prop_assert!(decode(&body).is_err());
    }

    /// Keys of unencoded shapes come out as they went in.
    #[test]
    fn a_plain_key_is_untouched(key in "\\PC{1,40}") {
        let keys = serde_json::json!({"s3Bucket": "org-trail", "s3ObjectKey": [key]});
        prop_assert_eq!(the_object(&keys.to_string()).key, key);
    }
}
