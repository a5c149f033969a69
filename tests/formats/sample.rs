//! The chapter "Side by side on one event" of FORMATS.md: the sample that AWS publishes, in every format.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;
use trailsift_core::{Record, RouteSet};
use trailsift_event::{Json, Kind};
use trailsift_route::Format;

use crate::{ORIGINS, formatter, records};

const HEADING: &str = "## Side by side on one event";
/// How wide a line may be before a value is broken up, in characters.
const WIDTH: usize = 110;
/// How much of a text is shown, in characters.
const LONGEST_TEXT: usize = 84;

/// Where each format has the answer to a question, in the order of [`Format::ALL`]. `-` is nowhere, `*` the whole event,
/// and a field behind `?` is there only if the call failed, which the sample did not.
const ANSWERS: &[(&str, [&str; 5])] = &[
    (
        "who, by name",
        ["userIdentity.arn", "trailsift.actor.name", "actorname", "actor.user.name", "user.name"],
    ),
    (
        "what kind of caller",
        [
            "userIdentity.type",
            "trailsift.actor.kind",
            "actorkind",
            "actor.user.type",
            "aws.cloudtrail.user_identity.type",
        ],
    ),
    (
        "with MFA",
        [
            "userIdentity.sessionContext.attributes.mfaAuthenticated",
            "trailsift.actor.mfa",
            "data.userIdentity.sessionContext.attributes.mfaAuthenticated",
            "actor.session.is_mfa",
            "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
        ],
    ),
    ("did what", ["eventName", "event.eventName", "eventname", "api.operation", "event.action"]),
    (
        "of which service",
        ["eventSource", "event.eventSource", "eventsource", "api.service.name", "event.provider"],
    ),
    (
        "to what",
        [
            "requestParameters",
            "event.requestParameters",
            "subject",
            "resources",
            "aws.cloudtrail.request_parameters",
        ],
    ),
    (
        "reading or writing",
        ["readOnly", "event.readOnly", "readonly", "activity_name", "aws.cloudtrail.read_only"],
    ),
    ("when", ["eventTime", "event.eventTime", "time", "time_dt", "@timestamp"]),
    (
        "from where",
        [
            "sourceIPAddress",
            "event.sourceIPAddress",
            "data.sourceIPAddress",
            "src_endpoint.ip",
            "source.ip",
        ],
    ),
    (
        "in which account",
        [
            "recipientAccountId",
            "event.recipientAccountId",
            "awsaccount",
            "cloud.account.uid",
            "aws.cloudtrail.recipient_account_id",
        ],
    ),
    ("did it work", ["?errorCode", "?event.errorCode", "?errorcode", "status", "event.outcome"]),
    ("in a sentence", ["-", "trailsift.summary", "-", "message", "message"]),
    (
        "of which file",
        ["-", "trailsift.key", "recordkey", "metadata.log_source", "aws.s3.object.key"],
    ),
    ("to count it once", ["eventID", "event.eventID", "id", "metadata.uid", "event.id"]),
    ("the record itself", ["*", "event", "data", "raw_data", "event.original"]),
];

#[test]
fn the_documented_events_are_what_leaves() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("FORMATS.md");
    let document = fs::read_to_string(&path).expect("FORMATS.md is there");
    let start = document.find(HEADING).unwrap_or(document.len());
    let end = document[start..].find("\n## ").map_or(document.len(), |end| start + end + 1);
    let written = chapter();
    if std::env::var_os("TRAILSIFT_UPDATE").is_some() {
        let updated = [&document[..start], &written, &document[end..]].concat();
        fs::write(&path, updated).expect("FORMATS.md is writable");
    } else {
        assert!(
            document[start..end] == written,
            "FORMATS.md shows other events than leave; `TRAILSIFT_UPDATE=1 cargo test -p trailsift-route \
             --test formats documented` writes these:\n{written}"
        );
    }
}

fn chapter() -> String {
    let mut chapter = format!(
        "{HEADING}\n\n\
         The event that AWS publishes as a sample of CodeGuru Reviewer's, read from a bucket of the account `production` and\n\
         selected by the route `codeguru-reviewer`. First where each format answers what one asks of an event, and how many\n\
         bytes this one has; then the events. A test holds this chapter to what leaves.\n\n"
    );
    let bytes = compact(&records::sample().bytes);
    let mut routes = RouteSet::EMPTY;
    routes.insert(0);
    let record = Record { index: 17, bytes, routes };
    let events = Format::ALL.map(|format| formatter(format).render(&record, routes, ORIGINS[0]));

    chapter.push_str(&row("", Format::ALL.map(|format| format!("`{}`", format.name()))));
    chapter.push_str(&format!("|---{}|\n", "|---".repeat(events.len())));
    for (question, fields) in ANSWERS {
        let mut cells = fields.map(str::to_owned);
        for (cell, event) in cells.iter_mut().zip(&events) {
            *cell = answer(cell, event);
        }
        chapter.push_str(&row(question, cells));
    }
    let sizes = events.each_ref().map(|event| format!("{}", event.len()));
    chapter.push_str(&row("bytes", sizes));

    chapter.push_str(
        "\nAn event leaves on one line, in full; below it is broken up, texts are cut at `…`, and `{ … }` is the record again,\n\
         byte for byte.\n",
    );
    for (format, event) in Format::ALL.into_iter().zip(&events) {
        let mut shown = String::new();
        Page { record: &record.bytes }.show(&mut shown, Json::new(event), 0, 0);
        chapter.push_str(&format!("\n### `{}`\n\n```json\n{shown}\n```\n", format.name()));
    }
    chapter
}

fn row(head: &str, cells: [String; 5]) -> String {
    format!("| {head} | {} |\n", cells.join(" | "))
}

/// The cell that names the field, which the event has.
fn answer(field: &str, event: &[u8]) -> String {
    let (path, is_there) = match field.strip_prefix('?') {
        Some(path) => (path, false),
        None => (field, true),
    };
    match path {
        "-" => return String::new(),
        "*" => return "all of it".to_owned(),
        _ => {}
    }
    let event: Value = serde_json::from_slice(event).expect("an event");
    let found = path.split('.').try_fold(&event, |value, name| value.get(name));
    assert_eq!(found.is_some(), is_there, "{path} in {event}");
    let note = if is_there { "" } else { ", if it failed" };
    format!("`{path}`{note}")
}

/// The record as a trail file has it: no white space between tokens.
fn compact(record: &[u8]) -> Bytes {
    let (mut inside, mut escaped) = (false, false);
    let token = record.iter().copied().filter(|byte| {
        inside ^= *byte == b'"' && !escaped;
        escaped = inside && *byte == b'\\' && !escaped;
        inside || !byte.is_ascii_whitespace()
    });
    token.collect()
}

/// A page that shows the record once.
struct Page<'a> {
    record: &'a [u8],
}

impl Page<'_> {
    /// Writes the value, on one line if it fits behind `indent` and the `name` characters that stand there.
    fn show(&self, out: &mut String, value: Json<'_>, indent: usize, name: usize) {
        let line = self.on_one_line(value);
        let parts: Vec<_> = match value.kind() {
            Kind::Object => value.members().map(|(name, value)| (quoted(&name), value)).collect(),
            Kind::Array => value.elements().map(|value| (String::new(), value)).collect(),
            _ => Vec::new(),
        };
        let fits = indent > 0 && indent + name + line.chars().count() <= WIDTH;
        if parts.is_empty() || fits {
            out.push_str(&line);
            return;
        }
        let is_object = value.kind() == Kind::Object;
        out.push(if is_object { '{' } else { '[' });
        let count = parts.len();
        for (number, (mut name, value)) in parts.into_iter().enumerate() {
            let inner = indent + 2;
            name.push_str(if is_object { ": " } else { "" });
            out.push_str(&format!("\n{:inner$}{name}", ""));
            self.show(out, value, inner, name.chars().count());
            out.push_str(if number + 1 < count { "," } else { "" });
        }
        out.push_str(&format!("\n{:indent$}{}", "", if is_object { '}' } else { ']' }));
    }

    fn on_one_line(&self, value: Json<'_>) -> String {
        match value.kind() {
            Kind::Object if value.raw() == self.record => "{ … }".to_owned(),
            Kind::Object => {
                let members = value.members();
                let members = members
                    .map(|(name, value)| format!("{}: {}", quoted(&name), self.on_one_line(value)));
                let members: Vec<_> = members.collect();
                if members.is_empty() {
                    "{}".into()
                } else {
                    format!("{{ {} }}", members.join(", "))
                }
            }
            Kind::Array => {
                let elements: Vec<_> =
                    value.elements().map(|element| self.on_one_line(element)).collect();
                format!("[{}]", elements.join(", "))
            }
            Kind::String => quoted(&value.text().expect("a text")),
            _ => String::from_utf8_lossy(value.raw()).into_owned(),
        }
    }
}

/// The text between quotes, cut if it is long.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST_TEXT).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    serde_json::to_string(&shown).expect("a text")
}
