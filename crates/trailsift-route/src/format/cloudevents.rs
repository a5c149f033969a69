//! [CloudEvents 1.0.2](https://github.com/cloudevents/spec/tree/v1.0.2) in structured mode: the
//! record is the event's data, and what consumers filter by stands beside it.
//!
//! There is no adapter specification for CloudTrail; the names follow those that the project has for
//! S3 and SNS (`com.amazonaws.s3.` and the kind of event).

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use trailsift_event::{Event, Json};

use super::Context;
use super::moment::Moment;
use super::writer::Object;

/// What every type begins with; the record's `eventType` follows.
const TYPE: &str = "com.amazonaws.cloudtrail";

pub(super) fn write(out: &mut Object<'_>, context: &Context<'_>) {
    let Context { event, origin, .. } = context;
    out.text("specversion", "1.0");
    out.text("id", &id(context));
    out.text("source", &source(event));
    out.text("type", &kind(event));
    let operation = event.operation();
    let resource = operation.resources.first();
    attribute(out, "subject", resource.and_then(|it| it.arn.as_deref().or(it.name.as_deref())));
    let time = event.text("eventTime").and_then(|time| Moment::parse(&time));
    out.text_if("time", time.map(|time| time.to_string()));
    out.text("datacontenttype", "application/json");

    attribute(out, "eventsource", event.text("eventSource").as_deref());
    attribute(out, "eventname", event.text("eventName").as_deref());
    attribute(out, "awsregion", event.text("awsRegion").as_deref());
    attribute(out, "awsaccount", account(event).as_deref());
    if let Some(read_only) = operation.read_only {
        out.flag("readonly", read_only);
    }
    attribute(out, "errorcode", event.text("errorCode").as_deref());
    let actor = event.actor();
    out.text("actorkind", actor.kind.as_str());
    attribute(out, "actorname", actor.name.as_deref());
    attribute(out, "actorarn", actor.arn.as_deref());
    attribute(out, "route", context.routes.first().copied());
    attribute(out, "recordbucket", origin.bucket);
    attribute(out, "recordkey", origin.key);
    attribute(out, "recordversion", origin.version_id);
    // An integer of CloudEvents has 32 bits.
    if let Ok(index) = i32::try_from(context.index) {
        out.integer("recordindex", index.into());
    }
    out.text("recordsha256", &context.sha256());

    out.raw("data", Json::new(context.record));
}

/// `eventID`, or where there is none that may stand here, an id of the place where the record was
/// read: the same whenever it is read again.
fn id<'a>(context: &Context<'a>) -> Cow<'a, str> {
    if let Some(id) = context.event.text("eventID").filter(|id| id.chars().all(may_stand)) {
        return id;
    }
    let origin = context.origin;
    let mut hasher = Sha256::new();
    for part in [origin.bucket, origin.key, origin.version_id, origin.etag] {
        let part = part.unwrap_or_default();
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(context.index.to_le_bytes());
    hasher.update(context.record);
    super::hex(&hasher.finalize()).into()
}

/// The trail's region and the account whose trail it is. Together with the id it is unique: two
/// accounts get records of one call under different ids.
fn source(event: &Event<'_>) -> String {
    let mut source = String::from("urn:aws:cloudtrail");
    for part in [event.text("awsRegion"), account(event)] {
        source.push(':');
        for byte in part.unwrap_or_default().bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    source.push(char::from(byte));
                }
                other => drop(write!(source, "%{other:02X}")),
            }
        }
    }
    source
}

/// The account whose trail the record is of. Records before version 1.02 do not say; most calls are
/// an account's own.
fn account<'r>(event: &Event<'r>) -> Option<Cow<'r, str>> {
    event.text("recipientAccountId").or_else(|| event.actor().account_id)
}

fn kind(event: &Event<'_>) -> Cow<'static, str> {
    match event.text("eventType") {
        Some(kind) => format!("{TYPE}.{}", clean(&kind)).into(),
        None => TYPE.into(),
    }
}

/// An attribute, if it has a value.
fn attribute(out: &mut Object<'_>, name: &str, value: Option<&str>) {
    out.text_if(name, value.filter(|value| !value.is_empty()).map(clean));
}

/// The text as an attribute may hold it.
fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(may_stand) {
        return text.into();
    }
    let replace = |c| if may_stand(c) { c } else { char::REPLACEMENT_CHARACTER };
    text.chars().map(replace).collect()
}

/// Whether an attribute may hold this character: no control, no noncharacter (section "Type System";
/// lone surrogates are none of Rust's characters).
fn may_stand(c: char) -> bool {
    let code = u32::from(c);
    !c.is_control() && !(0xFDD0..=0xFDEF).contains(&code) && code & 0xFFFE != 0xFFFE
}
