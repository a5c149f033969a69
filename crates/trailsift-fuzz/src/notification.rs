//! Whatever a message says, its answer is complete, bounded and the same in every wrapping.

use serde_json::{Value, json};
use trailsift_trail::{
    Notification, NotificationFault, Notified, Shape, bucket_name_is_legal, decode,
};

use crate::json;

/// How much may be said about one entry beyond what it says itself.
const WORDS: usize = 200;
/// What escaping makes of one byte: `\u{1f}` is the longest.
const ESCAPED: usize = 8;

/// The input is the body of a message.
pub(crate) fn check(input: &[u8]) {
    let Ok(body) = std::str::from_utf8(input) else { return };
    let plain = decode(body);
    match &plain {
        Ok(Notification::Objects(notified)) => objects_are_right(body, notified),
        Ok(Notification::Control(_)) => {}
        Err(fault) => assert!(fault.detail.len() <= WORDS + ESCAPED * body.len(), "{fault}"),
    }
    // Not the same detail: it may name a line and a column.
    let reason = |decoded: Result<_, NotificationFault>| decoded.map_err(|fault| fault.reason);
    let spaced = decode(&format!(" {body}\n"));
    assert_eq!(reason(spaced), reason(plain.clone()), "space around a body says nothing");
    an_envelope_changes_the_shape_only(body, &plain);
}

fn objects_are_right(body: &str, notified: &Notified) {
    let mut said = 0;
    for object in &notified.objects {
        said += match object {
            Ok(object) => {
                assert!(bucket_name_is_legal(&object.bucket), "{object:?}");
                assert!(!object.key.is_empty() && object.version_id.as_deref() != Some(""));
                object.bucket.len() + object.key.len()
            }
            Err(fault) => {
                let names = fault.bucket.iter().chain(&fault.key).map(String::len).sum::<usize>();
                names + fault.detail.len()
            }
        };
    }
    let bound = WORDS * notified.objects.len() + 2 * ESCAPED * body.len();
    assert!(said <= bound, "{said} bytes about a body of {}", body.len());
    if let Ok(json) = serde_json::from_str::<Value>(body) {
        let entries = notified.objects.len() as u64 + notified.ignored;
        assert_eq!(entries, announced(&json, notified.shape), "{body}");
    }
}

/// How many entries serde_json sees.
fn announced(json: &Value, shape: Shape) -> u64 {
    let count = |json: &Value, name: &str| json[name].as_array().map_or(0, Vec::len) as u64;
    let inner = |shape| {
        let message = json["Message"].as_str().unwrap_or_default();
        serde_json::from_str(message).map_or(0, |json| announced(&json, shape))
    };
    match shape {
        Shape::S3 => count(json, "Records"),
        Shape::EventBridge => 1,
        Shape::CloudTrail => count(json, "s3ObjectKey"),
        Shape::SnsS3 => inner(Shape::S3),
        Shape::SnsEventBridge => inner(Shape::EventBridge),
        Shape::SnsCloudTrail => inner(Shape::CloudTrail),
    }
}

/// In an SNS envelope the same is announced; an envelope in an envelope is refused.
fn an_envelope_changes_the_shape_only(body: &str, plain: &Result<Notification, NotificationFault>) {
    let envelope = json!({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": body});
    let wrapped = decode(&envelope.to_string());
    let in_sns = |shape| match shape {
        Shape::S3 => Some(Shape::SnsS3),
        Shape::EventBridge => Some(Shape::SnsEventBridge),
        Shape::CloudTrail => Some(Shape::SnsCloudTrail),
        _ => None,
    };
    let is_envelope =
        || json::members(body).is_ok_and(|members| members.iter().any(|(name, _)| name == b"Type"));
    match plain {
        Ok(Notification::Objects(notified)) => match in_sns(notified.shape) {
            Some(shape) => {
                let expected = Notified { shape, ..notified.clone() };
                assert_eq!(wrapped, Ok(Notification::Objects(expected)));
            }
            None => assert!(wrapped.is_err(), "{wrapped:?}"),
        },
        Ok(Notification::Control(_)) if is_envelope() => {
            assert!(wrapped.is_err(), "{wrapped:?}");
        }
        other => match (&wrapped, other) {
            // What is wrong in an envelope is not looked for in an envelope of it.
            (Err(_), Err(_)) if is_envelope() => {}
            (Err(wrapped), Err(plain)) => assert_eq!(wrapped.reason, plain.reason),
            (wrapped, plain) => assert_eq!(wrapped, plain),
        },
    }
}
