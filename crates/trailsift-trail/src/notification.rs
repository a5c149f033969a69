//! What a queue message announces: objects, a control message, or nothing that is known.

mod form;
mod members;
mod replay;

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trailsift_core::Reason;

use members::Members;
pub use replay::{Replay, ReplayedRecords, announce};

/// What CloudTrail sends, as plain text, when it checks that it may publish to a topic.
const CLOUDTRAIL_VALIDATION: &str = "CloudTrail validation message.";

/// The families of S3 event names that announce no new object. `ObjectCreated` is the one that does.
const OTHER_S3_EVENTS: [&str; 9] = [
    "IntelligentTiering",
    "LifecycleExpiration",
    "LifecycleTransition",
    "ObjectAcl",
    "ObjectRemoved",
    "ObjectRestore",
    "ObjectTagging",
    "ReducedRedundancyLostObject",
    "Replication",
];

/// The detail types of S3's EventBridge events that announce no new object.
const OTHER_EVENTBRIDGE_EVENTS: [&str; 9] = [
    "Object ACL Updated",
    "Object Access Tier Changed",
    "Object Deleted",
    "Object Restore Completed",
    "Object Restore Expired",
    "Object Restore Initiated",
    "Object Storage Class Changed",
    "Object Tags Added",
    "Object Tags Deleted",
];

/// S3's own are 32 hexadecimal digits, with up to six characters behind them for a multipart upload.
const MAX_ETAG: usize = 128;

/// A message body that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// It announces nothing and may be acknowledged.
    Control(Control),
    /// It announces objects.
    Objects(Notified),
}

/// Messages that AWS sends about the notifications themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// S3 tries a new bucket notification: `{"Event":"s3:TestEvent",…}`.
    S3Test,
    /// CloudTrail tries a topic: the text `CloudTrail validation message.`.
    CloudTrailValidation,
    /// SNS asks for a subscription to be confirmed. A person does that; no URL of a message is
    /// ever fetched.
    SnsSubscription,
}

impl Control {
    /// The word used as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3Test => "test",
            Self::CloudTrailValidation => "ct_validation",
            Self::SnsSubscription => "sns_subscription",
        }
    }
}

/// The objects that one message announces, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notified {
    /// How the message is written.
    pub shape: Shape,
    /// One result per announced object. A fault stands for itself alone: its neighbours are good.
    pub objects: Vec<Result<NotifiedObject, EntryFault>>,
    /// Well-formed events that create no object (removed, tagged, restored…): nothing to read.
    pub ignored: u64,
}

/// The ways in which notifications are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// An S3 event notification, straight or through a raw SNS delivery.
    S3,
    /// An S3 event notification in an SNS envelope.
    SnsS3,
    /// S3's `Object Created` through EventBridge.
    EventBridge,
    /// The same in an SNS envelope.
    SnsEventBridge,
    /// CloudTrail's own notification through a raw SNS delivery.
    CloudTrail,
    /// CloudTrail's own notification in its SNS envelope.
    SnsCloudTrail,
}

impl Shape {
    /// The word used as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::SnsS3 => "sns_s3",
            Self::EventBridge => "eventbridge",
            Self::SnsEventBridge => "sns_eventbridge",
            Self::CloudTrail => "cloudtrail",
            Self::SnsCloudTrail => "sns_cloudtrail",
        }
    }

    const fn in_sns(self) -> Self {
        match self {
            Self::S3 | Self::SnsS3 => Self::SnsS3,
            Self::EventBridge | Self::SnsEventBridge => Self::SnsEventBridge,
            Self::CloudTrail | Self::SnsCloudTrail => Self::SnsCloudTrail,
        }
    }
}

/// One object that a message announces. Nothing of it is trusted yet but its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifiedObject {
    /// The bucket, a legal name.
    pub bucket: String,
    /// The key as S3 stores it: decoded where the shape encodes it, not empty.
    pub key: String,
    /// The version that was written, on a versioned bucket.
    pub version_id: Option<String>,
    /// The entity tag without its quotes, where the shape tells one that can be one.
    pub etag: Option<String>,
    /// The object's size in bytes, where the shape tells it.
    pub size: Option<u64>,
    /// When the object was written, where the shape tells it in a form that can be read.
    pub event_time: Option<SystemTime>,
    /// What of it is announced anew, where `trailsift replay` is who announces it.
    pub replay: Option<Replay>,
}

/// One entry of a message that cannot be read. The message's other entries still can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct EntryFault {
    /// The name of the fault.
    pub reason: Reason,
    /// The bucket as received, where there is one. Escape it before showing it.
    pub bucket: Option<String>,
    /// The key as received, not decoded, where there is one. Escape it before showing it.
    pub key: Option<String>,
    /// What exactly is wrong, for a person. Text of the message in it is escaped.
    pub detail: String,
}

/// A message body that is no notification: never to be acknowledged as if it were read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a notification: {detail}")]
pub struct NotificationFault {
    /// The name of the fault.
    pub reason: Reason,
    /// What exactly is wrong, for a person. Text of the message in it is escaped.
    pub detail: String,
}

/// Reads the body of a queue message, whichever of the known shapes it has.
///
/// Total and bounded: no body makes it panic, recurse deeply or take more than linear space. It
/// decides anew for every message, since shapes mix on one queue. One level of SNS is unwrapped.
///
/// # Errors
/// If the body as a whole is not understood. An entry that is not understood is an `Err` among the
/// [`Notified::objects`] instead, so that it hides none of its neighbours.
pub fn decode(body: &str) -> Result<Notification, NotificationFault> {
    read(body, false).map_err(|Refusal { reason, detail }| NotificationFault { reason, detail })
}

/// Why a body as a whole is refused: text alone means that it is no notification.
struct Refusal {
    reason: Reason,
    detail: String,
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(detail: T) -> Self {
        Self { reason: Reason::BadNotification, detail: detail.into() }
    }
}

/// Whether the name can be a bucket's: `[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]`.
///
/// Anything else (a URL, an ARN, an access point, a name with a slash) could direct a request to
/// another host, and is refused before one is built.
pub fn bucket_name_is_legal(name: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match name.as_bytes() {
        [first, middle @ .., last] => {
            (1..=61).contains(&middle.len())
                && alphanumeric(*first)
                && alphanumeric(*last)
                && middle.iter().all(|byte| alphanumeric(*byte) || matches!(byte, b'.' | b'-'))
        }
        _ => false,
    }
}

impl Refusal {
    fn in_sns(self) -> Self {
        Self { detail: format!("in the SNS envelope: {}", self.detail), ..self }
    }
}

/// Reads one level of a message; `enveloped` if it is the `Message` of an SNS envelope.
fn read(text: &str, enveloped: bool) -> Result<Notification, Refusal> {
    if text.trim() == CLOUDTRAIL_VALIDATION {
        return Ok(Notification::Control(Control::CloudTrailValidation));
    }
    if text.trim().is_empty() {
        return Err("the body is empty".into());
    }
    let members = Members::parse(text)?;
    // A body that bears the marks of two shapes is nobody's: two readers could take it for two
    // different announcements, which is what a forger would want.
    let marks = ["Records", "detail-type", "s3ObjectKey", "Event", "Type"];
    let mut present = marks.into_iter().filter(|mark| members.has(mark));
    let mark = present.next().ok_or("none of the known shapes")?;
    if let Some(second) = present.next() {
        return Err(format!("ambiguous: it has both {mark:?} and {second:?}").into());
    }
    match mark {
        "Records" => Ok(Notification::Objects(s3_event(&members)?)),
        "detail-type" => Ok(Notification::Objects(eventbridge(&members)?)),
        "s3ObjectKey" => cloudtrail(&members).map(Notification::Objects),
        "Event" => match members.required_text("Event")?.as_str() {
            "s3:TestEvent" => Ok(Notification::Control(Control::S3Test)),
            other => Err(format!("the event \"{}\" is unknown", other.escape_debug()).into()),
        },
        _ if enveloped => Err("an SNS message in an SNS message".into()),
        _ => sns(&members),
    }
}

/// An SNS envelope, and what is in it: one level only.
fn sns(members: &Members<'_>) -> Result<Notification, Refusal> {
    match members.required_text("Type")?.as_str() {
        "Notification" => {
            let message = members.required_text("Message")?;
            let inner = read(&message, true);
            match inner.map_err(Refusal::in_sns)? {
                Notification::Control(control) => Ok(Notification::Control(control)),
                Notification::Objects(Notified { shape, objects, ignored }) => {
                    let shape = shape.in_sns();
                    Ok(Notification::Objects(Notified { shape, objects, ignored }))
                }
            }
        }
        "SubscriptionConfirmation" => Ok(Notification::Control(Control::SnsSubscription)),
        other => {
            Err(format!("the SNS message type \"{}\" is unknown", other.escape_debug()).into())
        }
    }
}

/// An S3 event notification: `Records`, each an event of its own, perhaps of another bucket.
fn s3_event(members: &Members<'_>) -> Result<Notified, String> {
    let records = members.array("Records")?;
    let mut notified = Notified { shape: Shape::S3, objects: Vec::new(), ignored: 0 };
    // What has no single S3 event in it is not an S3 notification at all: one fault says so,
    // instead of one for each of what may be a hundred thousand entries.
    let mut first_stranger = None;
    let mut recognised = false;
    for record in records {
        match s3_members(record) {
            Ok(entry) => {
                recognised = true;
                match s3_object(&entry) {
                    Ok(Some(object)) => notified.objects.push(Ok(object)),
                    Ok(None) => notified.ignored += 1,
                    Err((reason, detail)) => {
                        let (bucket, key) = s3_names(&entry);
                        notified.objects.push(Err(EntryFault { reason, bucket, key, detail }));
                    }
                }
            }
            Err(detail) => {
                first_stranger.get_or_insert_with(|| detail.clone());
                let reason = Reason::BadNotification;
                notified.objects.push(Err(EntryFault { reason, bucket: None, key: None, detail }));
            }
        }
    }
    if recognised {
        return Ok(notified);
    }
    Err(first_stranger.unwrap_or_else(|| "its Records are empty".to_owned()))
}

/// The members of an entry of `Records`, if it is an event of S3.
fn s3_members(record: &str) -> Result<Members<'_>, String> {
    let entry = Members::parse(record)?;
    match entry.text("eventSource")?.as_deref() {
        Some("aws:s3") => Ok(entry),
        Some(other) => Err(format!("a record of \"{}\", not of aws:s3", other.escape_debug())),
        None => Err("a record without an eventSource".to_owned()),
    }
}

/// The object that the entry announces; `None` if it announces something else.
fn s3_object(entry: &Members<'_>) -> Result<Option<NotifiedObject>, (Reason, String)> {
    let bad = |detail| (Reason::BadNotification, detail);
    let version = entry.required_text("eventVersion").map_err(bad)?;
    if !is_known_version(&version) {
        let detail = format!("the eventVersion \"{}\" is not 2.x", version.escape_debug());
        return Err(bad(detail));
    }
    let name = entry.required_text("eventName").map_err(bad)?;
    let family = name.split(':').next().unwrap_or_default();
    if OTHER_S3_EVENTS.contains(&family) {
        return Ok(None);
    }
    if family != "ObjectCreated" {
        return Err(bad(format!("the eventName \"{}\" is unknown", name.escape_debug())));
    }
    let s3 = entry.object("s3").map_err(bad)?;
    let object = s3.object("object").map_err(bad)?;
    let bucket = s3.object("bucket").and_then(|it| it.required_text("name")).map_err(bad)?;
    let key = object.required_text("key").map_err(bad)?;
    let key = form::decode(&key).map_err(|detail| (Reason::BadKeyEncoding, detail))?;
    Ok(Some(NotifiedObject {
        bucket: legal_bucket(bucket)?,
        key: not_empty(key)?,
        version_id: version_id(&object, "versionId").map_err(bad)?,
        etag: etag(&object, "eTag"),
        size: object.count("size").map_err(bad)?,
        event_time: instant(entry.text("eventTime").map_err(bad)?),
        replay: replay::of_entry(entry).map_err(bad)?,
    }))
}

/// `2.` and a number: minor versions only add fields, by S3's own rule.
fn is_known_version(version: &str) -> bool {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.trim_start_matches('0').to_owned())
    };
    match version.split_once('.') {
        Some((major, minor)) => number(major).as_deref() == Some("2") && number(minor).is_some(),
        None => false,
    }
}

/// Whatever names can still be read in an entry that is at fault.
fn s3_names(entry: &Members<'_>) -> (Option<String>, Option<String>) {
    let Ok(s3) = entry.object("s3") else { return (None, None) };
    let bucket = s3.object("bucket").and_then(|it| it.required_text("name")).ok();
    let key = s3.object("object").and_then(|it| it.required_text("key")).ok();
    (bucket, key)
}

/// An event of S3 through EventBridge: one object, its key as it is.
fn eventbridge(members: &Members<'_>) -> Result<Notified, String> {
    let source = members.required_text("source")?;
    if source != "aws.s3" {
        return Err(format!("an EventBridge event of \"{}\"", source.escape_debug()));
    }
    let mut notified = Notified { shape: Shape::EventBridge, objects: Vec::new(), ignored: 0 };
    let kind = members.required_text("detail-type")?;
    if OTHER_EVENTBRIDGE_EVENTS.contains(&kind.as_str()) {
        notified.ignored = 1;
    } else if kind == "Object Created" {
        let object = eventbridge_object(members).map_err(|(reason, detail)| {
            let (bucket, key) = eventbridge_names(members);
            EntryFault { reason, bucket, key, detail }
        });
        notified.objects.push(object);
    } else {
        return Err(format!("the detail-type \"{}\" is unknown", kind.escape_debug()));
    }
    Ok(notified)
}

fn eventbridge_object(members: &Members<'_>) -> Result<NotifiedObject, (Reason, String)> {
    let bad = |detail| (Reason::BadNotification, detail);
    let detail = members.object("detail").map_err(bad)?;
    let object = detail.object("object").map_err(bad)?;
    let bucket = detail.object("bucket").and_then(|it| it.required_text("name")).map_err(bad)?;
    Ok(NotifiedObject {
        bucket: legal_bucket(bucket)?,
        key: not_empty(object.required_text("key").map_err(bad)?)?,
        version_id: version_id(&object, "version-id").map_err(bad)?,
        etag: etag(&object, "etag"),
        size: object.count("size").map_err(bad)?,
        event_time: instant(members.text("time").map_err(bad)?),
        replay: None,
    })
}

fn eventbridge_names(members: &Members<'_>) -> (Option<String>, Option<String>) {
    let Ok(detail) = members.object("detail") else { return (None, None) };
    let bucket = detail.object("bucket").and_then(|it| it.required_text("name")).ok();
    let key = detail.object("object").and_then(|it| it.required_text("key")).ok();
    (bucket, key)
}

/// CloudTrail's own notification: one bucket, several keys as they are.
fn cloudtrail(members: &Members<'_>) -> Result<Notified, Refusal> {
    let bucket = members.required_text("s3Bucket")?;
    let keys = members.array("s3ObjectKey")?;
    if keys.is_empty() {
        return Err("its s3ObjectKey is empty".into());
    }
    // One name for all: if it is bad, repeating it with each key would take more than linear space.
    let bucket = legal_bucket(bucket).map_err(|(reason, detail)| Refusal { reason, detail })?;
    let objects = keys.into_iter().map(|key| {
        let fault = |key, detail| {
            let (reason, bucket) = (Reason::BadNotification, Some(bucket.clone()));
            EntryFault { reason, bucket, key, detail }
        };
        let key = members::text(key)
            .map_err(|detail| fault(None, format!("an s3ObjectKey is {detail}")))?;
        let key = not_empty(key).map_err(|(_, detail)| fault(Some(String::new()), detail))?;
        Ok(NotifiedObject {
            bucket: bucket.clone(),
            key,
            version_id: None,
            etag: None,
            size: None,
            event_time: None,
            replay: None,
        })
    });
    let objects = objects.collect();
    Ok(Notified { shape: Shape::CloudTrail, objects, ignored: 0 })
}

fn legal_bucket(name: String) -> Result<String, (Reason, String)> {
    if bucket_name_is_legal(&name) {
        return Ok(name);
    }
    let detail = format!("\"{}\" is not a legal bucket name", name.escape_debug());
    Err((Reason::BucketNotAllowed, detail))
}

fn not_empty(key: String) -> Result<String, (Reason, String)> {
    if key.is_empty() {
        return Err((Reason::BadNotification, "the object key is empty".to_owned()));
    }
    Ok(key)
}

/// An empty version is how some senders say "none"; asking S3 for it would be refused.
fn version_id(object: &Members<'_>, name: &str) -> Result<Option<String>, String> {
    Ok(object.text(name)?.filter(|version| !version.is_empty()))
}

/// The entity tag without its quotes. It only spares a read of what is known to be done: one of an
/// odd form is as good as none, and never a reason to leave an object unread.
fn etag(object: &Members<'_>, name: &str) -> Option<String> {
    let etag = object.text(name).ok()??;
    let etag = etag.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(&etag);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_one = (1..=MAX_ETAG).contains(&etag.len()) && etag.bytes().all(is_plain);
    is_one.then(|| etag.to_owned())
}

/// The time only feeds a lag metric: one that cannot be read is as good as none.
fn instant(text: Option<String>) -> Option<SystemTime> {
    OffsetDateTime::parse(&text?, &Rfc3339).ok().map(SystemTime::from)
}
