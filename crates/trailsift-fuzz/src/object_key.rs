//! A key is told apart rightly, and comes through a notification as it is.

use serde_json::json;
use trailsift_trail::{KeyClass, LogKind, Notification, TrailKey, classify, decode};

/// The input is a key.
pub(crate) fn check(input: &[u8]) {
    let Ok(key) = std::str::from_utf8(input) else { return };
    let class = classify(key);
    assert_eq!(class, expected(key), "{key:?}");
    if let KeyClass::Trail(parts) = class {
        assert!(is_made_of(key, &parts), "{key:?} is not made of {parts:?}");
    }
    if !key.is_empty() {
        comes_through_a_notification(key);
    }
}

/// The documented layout, read as a list of segments.
fn expected(key: &str) -> KeyClass<'_> {
    if key.ends_with('/') {
        return KeyClass::Folder;
    }
    parts(key).map_or(KeyClass::Foreign, KeyClass::Trail)
}

fn parts(key: &str) -> Option<TrailKey<'_>> {
    let segments: Vec<&str> = key.split('/').collect();
    if key.len() > 1024 || key.chars().any(char::is_control) {
        return None;
    }
    let [head @ .., account, folder, region, year, month, day, file] = segments.as_slice() else {
        return None;
    };
    let (head, organization) = match head {
        [prefix @ .., "AWSLogs"] => (prefix, None),
        [prefix @ .., "AWSLogs", organization] => (prefix, Some(*organization)),
        _ => return None,
    };
    // One empty segment ends the prefix if it was configured with a slash at its end.
    let usual = head.strip_suffix(&[""]).unwrap_or(head);
    let behind = &segments[head.len()..];
    if usual.iter().chain(behind).any(|segment| matches!(*segment, "" | "." | "..")) {
        return None;
    }
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_organization = |text: &str| match text.strip_prefix("o-") {
        Some(id) => (10..=32).contains(&id.len()) && id.chars().all(lower),
        None => false,
    };
    let number = |text: &str, width| {
        let fits = text.len() == width && text.chars().all(|c| c.is_ascii_digit());
        fits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let small = |text: &str, most: u8| {
        let number = number(text, 2).and_then(|number| u8::try_from(number).ok());
        number.filter(|number| (1..=most).contains(number))
    };
    let kind = match *folder {
        "CloudTrail" => LogKind::CloudTrail,
        "CloudTrail-Digest" => LogKind::Digest,
        "CloudTrail-Insight" => LogKind::Insight,
        "CloudTrail-NetworkActivity" => LogKind::NetworkActivity,
        "CloudTrail-Aggregated" => LogKind::Aggregated,
        _ => LogKind::Unknown,
    };
    let fits = account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && region.chars().all(|c| lower(c) || c == '-')
        && organization.is_none_or(is_organization)
        && (kind == LogKind::Unknown || file.contains(".json"));
    let length = head.iter().map(|segment| segment.len() + 1).sum::<usize>();
    let prefix = &key[..length.saturating_sub(1)];
    let date = (number(year, 4)?, small(month, 12)?, small(day, 31)?);
    fits.then_some(TrailKey { prefix, organization, account, kind, region, date, file })
}

/// Nothing of the key is lost in its parts but the name of a folder that is of no known kind, and
/// that the prefix was configured as a slash.
fn is_made_of(key: &str, parts: &TrailKey<'_>) -> bool {
    let slash = if parts.prefix.is_empty() && !key.starts_with('/') { "" } else { "/" };
    let organization = parts.organization.map(|it| format!("{it}/")).unwrap_or_default();
    let head = format!("{}{slash}AWSLogs/{organization}{}/", parts.prefix, parts.account);
    let (year, month, day) = parts.date;
    let tail = format!("/{}/{year:04}/{month:02}/{day:02}/{}", parts.region, parts.file);
    let folder = key.strip_prefix(head.as_str()).and_then(|rest| rest.strip_suffix(tail.as_str()));
    folder.is_some_and(|folder| !folder.contains('/'))
}

/// S3 encodes the key as a form, EventBridge and CloudTrail send it as it is.
fn comes_through_a_notification(key: &str) {
    let s3 = |key: String| {
        let s3 = json!({"bucket": {"name": "trail"}, "object": {"key": key}});
        let event = json!({
            "eventSource": "aws:s3", "eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": s3,
        });
        json!({"Records": [event]})
    };
    let everything = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let sparingly = key.chars().map(|c| match c {
        ' ' => "+".to_owned(),
        '+' | '%' => format!("%{:02x}", u32::from(c)),
        c => c.to_string(),
    });
    let plainly = json!({
        "source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "trail"}, "object": {"key": key}},
    });
    let cloudtrail = json!({"s3Bucket": "trail", "s3ObjectKey": [key]});
    for body in [s3(everything), s3(sparingly.collect()), plainly, cloudtrail] {
        let notification = decode(&body.to_string());
        let Ok(Notification::Objects(notified)) = notification else {
            panic!("{body}: {notification:?}")
        };
        let [Ok(object)] = notified.objects.as_slice() else { panic!("{body}: {notified:?}") };
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("trail", key));
    }
}
