//! What there is to deliver: files, and the messages that announce them.

use std::fmt;
use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use trailsift_core::MessageId;

use crate::dice::Dice;

pub(crate) const BUCKET: &str = "org-trail";
/// The required sinks, the best-effort one, and the quarantine.
pub(crate) const SIEM: &str = "siem";
pub(crate) const ARCHIVE: &str = "archive";
pub(crate) const COPY: &str = "copy";
pub(crate) const PARKED: &str = "parked";

/// What one record is, which decides where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Selected by the first route.
    Read,
    /// Selected by both routes.
    Change,
    /// Selected by the second route.
    Foreign,
    /// Selected by none, although it holds what they look for.
    Lookalike,
    /// More than `max_record`.
    TooLarge,
    /// No object.
    NoObject,
    /// Not well-formed.
    Broken,
}

/// A record as it stands in its file.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl Row {
    /// Whether it must be parked, since nobody can read it.
    pub(crate) fn is_faulty(&self) -> bool {
        matches!(self.kind, Kind::TooLarge | Kind::NoObject | Kind::Broken)
    }

    /// The sinks that it is owed to, best effort not counted.
    pub(crate) fn owed_to(&self, second_route: bool) -> &'static [&'static str] {
        match self.kind {
            Kind::Read => &[SIEM],
            Kind::Change if second_route => &[SIEM, ARCHIVE],
            Kind::Change => &[SIEM],
            Kind::Foreign if second_route => &[ARCHIVE],
            _ => &[],
        }
    }
}

/// Why a file cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Truncated,
    Checksum,
    Trailing,
    NotJson,
    Empty,
    NoRecords,
}

const DAMAGES: [Damage; 6] = [
    Damage::Truncated,
    Damage::Checksum,
    Damage::Trailing,
    Damage::NotJson,
    Damage::Empty,
    Damage::NoRecords,
];

/// One revision of an object.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Which one of all, in the order in which they were put.
    pub(crate) number: usize,
    pub(crate) account: usize,
    pub(crate) key: String,
    pub(crate) version_id: Option<String>,
    pub(crate) etag: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) damage: Option<Damage>,
    /// Whether its selected records are more than a worker may hold.
    pub(crate) in_parts: bool,
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.rows.iter().map(|row| row.kind).collect();
        let Self { number, key, version_id, etag, damage, .. } = self;
        write!(f, "file {number} {key} {version_id:?} {etag} {damage:?} {kinds:?}")
    }
}

/// What a message names, and so what must have happened before it may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The file with this number, or where it has no version, whatever has overwritten it since.
    File(usize),
    /// An object that is not there.
    Missing(String),
    /// An object of a bucket that is not allowed.
    NotAllowed(String),
    /// A key that does not decode.
    BadKey(String),
    /// None of our business.
    Skipped,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) account: usize,
    pub(crate) id: MessageId,
    pub(crate) body: String,
    pub(crate) names: Vec<Named>,
    /// It is no notification: it must be parked.
    pub(crate) unrecognised: bool,
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, id, names, unrecognised, .. } = self;
        write!(f, "{id} to queue {account}: {names:?}, unrecognised {unrecognised}")
    }
}

/// The bytes of a file with these rows and this damage.
pub(crate) fn bytes_of(rows: &[Row], damage: Option<Damage>) -> Bytes {
    let texts: Vec<_> = rows.iter().map(|row| row.text.as_str()).collect();
    let whole = gzip(format!(r#"{{"Records":[{}]}}"#, texts.join(",")).as_bytes());
    match damage {
        None => whole,
        Some(Damage::Truncated) => whole.slice(..whole.len() - 9),
        Some(Damage::Checksum) => {
            let mut flipped = whole.to_vec();
            let at = flipped.len() - 6;
            flipped[at] ^= 1;
            flipped.into()
        }
        Some(Damage::Trailing) => [&whole[..], b"\0\0\0"].concat().into(),
        Some(Damage::NotJson) => gzip(b"<html>503</html>"),
        Some(Damage::Empty) => Bytes::new(),
        Some(Damage::NoRecords) => gzip(b"{}"),
    }
}

fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything").into()
}

/// A file's rows: no two rows of a world that a route can select are equal.
pub(crate) fn rows(dice: &Dice, file: usize, large: bool, faulty: bool) -> Vec<Row> {
    let count = if large { 12 + dice.below(20) } else { dice.below(6) };
    // Now and then a file that holds nothing for anybody.
    let zero_match = dice.one_in(5);
    let row = |index| {
        let kind = match dice.below(12) {
            _ if zero_match => Kind::Lookalike,
            0..=3 => Kind::Read,
            4..=5 => Kind::Change,
            6..=7 => Kind::Foreign,
            8 if faulty => dice.among(&[Kind::TooLarge, Kind::NoObject, Kind::Broken]),
            _ => Kind::Lookalike,
        };
        Row { kind, text: text(kind, &format!("f{file}r{index}")) }
    };
    (0..count).map(row).collect()
}

fn text(kind: Kind, id: &str) -> String {
    const REVIEWER: &str = "codeguru-reviewer.amazonaws.com";
    let event = |source: &str, read_only: bool, more: &str| {
        format!(
            r#"{{"eventVersion":"1.08","eventTime":"2023-11-14T22:10:00Z","eventSource":"{source}","readOnly":{read_only},{more}"eventID":"{id}"}}"#
        )
    };
    match kind {
        Kind::Read => event(REVIEWER, true, ""),
        Kind::Change => event(REVIEWER, false, ""),
        Kind::Foreign => event("iam.amazonaws.com", false, ""),
        Kind::Lookalike => {
            event("s3.amazonaws.com", true, r#""userAgent":"codeguru-reviewer.amazonaws.com","#)
        }
        Kind::TooLarge => event(REVIEWER, true, &format!(r#""pad":"{}","#, "x".repeat(1100))),
        Kind::NoObject => "17".into(),
        Kind::Broken => format!(r#"{{"eventSource":"{REVIEWER}","eventID":"{id}",}}"#),
    }
}

/// The damage of a file, if it has one.
pub(crate) fn damage(dice: &Dice) -> Option<Damage> {
    dice.one_in(8).then(|| dice.among(&DAMAGES))
}

pub(crate) fn key(name: &str) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2023/11/14/\
         111122223333_CloudTrail_us-east-1_20231114T2210Z_{name}.json.gz"
    )
}

/// An S3 event about one object.
pub(crate) fn entry(bucket: &str, key: &str, file: Option<&File>, with_etag: bool) -> Value {
    let mut object = json!({ "key": key, "size": 1, "sequencer": "0" });
    if let Some(File { version_id: Some(version), .. }) = file {
        object["versionId"] = json!(version);
    }
    if let Some(file) = file.filter(|_| with_etag) {
        object["eTag"] = json!(file.etag.trim_matches('"'));
    }
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2023-11-14T22:13:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": { "s3SchemaVersion": "1.0", "bucket": { "name": bucket }, "object": object }
    })
}

/// The body of a message with these entries, perhaps as SNS sends it.
pub(crate) fn body(entries: &[Value], through_sns: bool) -> String {
    let event = json!({ "Records": entries }).to_string();
    if !through_sns {
        return event;
    }
    json!({ "Type": "Notification", "MessageId": "1", "Message": event }).to_string()
}

/// A body that names no objects, and whether it is one that nobody understands.
pub(crate) fn other_body(dice: &Dice) -> (String, bool) {
    match dice.below(4) {
        0 => (
            json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET })
                .to_string(),
            false,
        ),
        1 => ("CloudTrail validation message.".into(), false),
        2 => ("not a notification".into(), true),
        _ => (json!({ "Records": [{ "eventSource": "aws:ses" }] }).to_string(), true),
    }
}

/// Files by their number.
pub(crate) type Files = Vec<Arc<File>>;
