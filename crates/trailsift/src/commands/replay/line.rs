//! A line of the quarantine, as far as a replay believes it: names and places, never what stands there.

use std::time::SystemTime;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trailsift_trail::bucket_name_is_legal;

/// The reasons of lines that name a key which is not decoded, so that only the message will do.
const KEY_AS_RECEIVED: [&str; 2] = ["bad_notification", "bad_key_encoding"];

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it stands, for a person: `FILE:NUMBER`.
    pub(super) place: String,
    /// What it is known by.
    pub(super) digest: String,
    pub(super) time: Option<SystemTime>,
    pub(super) reason: String,
    pub(super) account: String,
    pub(super) message_id: String,
    /// The message as it was received, where this line has it.
    pub(super) body: Option<String>,
    pub(super) about: About,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The message, or an entry of it that cannot be read.
    Message,
    /// An object, as a whole or one record of it.
    Object { object: Object, record: Option<Record> },
}

/// An object, as precisely as the line names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) version_id: Option<String>,
    pub(super) etag: Option<String>,
}

/// A record of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) index: u64,
    /// The sink that refused it; `None` where it could not be read at all.
    pub(super) sink: Option<String>,
}

impl Line {
    /// Reads a line without its line break.
    ///
    /// # Errors
    /// If it is no line of the quarantine: why, for a person.
    pub(super) fn parse(bytes: &[u8], place: String) -> Result<Self, String> {
        let line: Value = serde_json::from_slice(bytes)
            .map_err(|_| "it is no JSON object on a line of its own".to_owned())?;
        let text = |name: &str| match &line[name] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(format!("its `{name}` is no text")),
        };
        let required = |name: &str| {
            let missing = || format!("it is no line of the quarantine: it has no `{name}`");
            text(name)?.ok_or_else(missing)
        };
        let (reason, account) = (required("reason")?, required("account")?);
        let index = match &line["index"] {
            Value::Null => None,
            index => Some(index.as_u64().ok_or("its `index` is no place in a file")?),
        };
        let bucket = text("bucket")?.filter(|bucket| bucket_name_is_legal(bucket));
        let key = text("key")?.filter(|key| !key.is_empty());
        let about = match (bucket, key) {
            (Some(bucket), Some(key)) if !KEY_AS_RECEIVED.contains(&reason.as_str()) => {
                let etag = text("etag")?.map(|etag| etag.trim_matches('"').to_owned());
                let version_id = text("version_id")?;
                let sink = text("sink")?;
                About::Object {
                    object: Object { bucket, key, version_id, etag },
                    record: index.map(|index| Record { index, sink }),
                }
            }
            _ => About::Message,
        };
        let time = text("time")?.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
        Ok(Self {
            place,
            digest: hex(&Sha256::digest(bytes)),
            time: time.map(SystemTime::from),
            reason,
            account,
            message_id: required("message_id")?,
            body: text("body")?,
            about,
        })
    }
}

/// The bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(members: &str) -> About {
        let line = format!(r#"{{"reason":"r","account":"a","message_id":"m",{members}}}"#);
        Line::parse(line.as_bytes(), "f:1".into()).expect("a line").about
    }

    #[test]
    fn a_line_is_about_a_record_an_object_or_its_message() {
        let object = Object {
            bucket: "org-trail".into(),
            key: "k".into(),
            version_id: Some("v".into()),
            etag: Some("e".into()),
        };
        let named = r#""bucket":"org-trail","key":"k","version_id":"v","etag":"\"e\"""#;
        let of = |record| About::Object { object: object.clone(), record };
        assert_eq!(about(named), of(None));
        assert_eq!(
            about(&format!(r#"{named},"index":3,"sink":"siem""#)),
            of(Some(Record { index: 3, sink: Some("siem".into()) }))
        );
        assert_eq!(
            about(&format!(r#"{named},"index":3"#)),
            of(Some(Record { index: 3, sink: None }))
        );
        for members in [
            r#""bucket":null,"key":null"#,
            r#""bucket":"org-trail","key":null"#,
            r#""bucket":"org-trail","key":"""#,
            // No request could be made with such a name: what was received says more.
            r#""bucket":"arn:aws:s3:::org-trail","key":"k""#,
        ] {
            assert_eq!(about(members), About::Message, "{members}");
        }
        let undecoded = r#"{"reason":"bad_key_encoding","account":"a","message_id":"m","bucket":"org-trail","key":"%zz"}"#;
        let line = Line::parse(undecoded.as_bytes(), "f:1".into()).expect("a line");
        assert_eq!(line.about, About::Message);
    }

    #[test]
    fn what_is_no_line_is_refused_with_the_reason() {
        for (line, why) in [
            ("", "no JSON"),
            ("{\"reason\":", "no JSON"),
            ("[]", "has no `reason`"),
            (r#"{"eventSource":"s3.amazonaws.com"}"#, "has no `reason`"),
            (r#"{"reason":"r","message_id":"m"}"#, "has no `account`"),
            (r#"{"reason":"r","account":"a"}"#, "has no `message_id`"),
            (r#"{"reason":7,"account":"a"}"#, "`reason` is no text"),
            (r#"{"reason":"r","account":"a","message_id":"m","index":-1}"#, "`index`"),
        ] {
            let refused = Line::parse(line.as_bytes(), "f:1".into()).expect_err(line);
            assert!(refused.contains(why), "{line}: {refused}");
        }
    }
}
