//! The chapter "Side by side on one event" of FORMATS.md: the sample that AWS publishes, in every format.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use trailsift_core::{Record, RouteSet};
use trailsift_event::{Json, Kind};
use trailsift_route::Format;

use crate::{ORIGINS, formatter, records};

const HEADING: &str = "## Side by side on one event";
/// How wide a line may be before a value is broken up, in characters.
const WIDTH: usize = 110;
/// How much of a text is shown, in characters.
const LONGEST_TEXT: usize = 84;

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
         selected by the route `codeguru-reviewer`. An event leaves on one line, in full; here it is broken up, texts are cut\n\
         at `…`, and `{{ … }}` is the record again, byte for byte. A test holds this chapter to what leaves.\n"
    );
    let bytes = compact(&records::sample().bytes);
    for format in Format::ALL {
        let mut routes = RouteSet::EMPTY;
        routes.insert(0);
        let record = Record { index: 17, bytes: bytes.clone(), routes };
        let event = formatter(format).render(&record, routes, ORIGINS[0]);
        let mut shown = String::new();
        Page { record: &record.bytes }.show(&mut shown, Json::new(&event), 0, 0);
        chapter.push_str(&format!("\n### `{}`\n\n```json\n{shown}\n```\n", format.name()));
    }
    chapter
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
