//! Documents as no service writes them: every spelling that JSON allows, and a few that it does not.

use fastrand::Rng;
use serde_json::Value as Json;
use trailsift_testkit::trail::{FileSpec, SELECTED_SOURCE, TrailFile};

use crate::judge::{elements, members};

/// A document and its elements, each with the name of what was done to it.
pub(crate) struct Document {
    pub(crate) plain: Vec<u8>,
    pub(crate) elements: Vec<(Vec<u8>, &'static str)>,
}

impl Document {
    /// Up to `most` elements: generated records, most of them rewritten in some way.
    pub(crate) fn generate(rng: &mut Rng, most: usize) -> Self {
        let file = TrailFile::generate(&FileSpec {
            seed: rng.u64(..),
            records: rng.usize(0..=most),
            selected_one_in: [1, 3, 10, 50, 0][rng.usize(..5)],
            ..FileSpec::default()
        });
        let text = str::from_utf8(&file.json).expect("it is JSON");
        let records = elements(members(text)[0].1);
        let elements: Vec<_> = records.into_iter().map(|record| element(rng, record)).collect();
        let plain = around(rng, &elements);
        Self { plain, elements }
    }
}

/// The elements as a document's `Records`.
fn around(rng: &mut Rng, elements: &[(Vec<u8>, &'static str)]) -> Vec<u8> {
    const BESIDE: [&str; 6] = [
        r#""records":[{"eventSource":"codeguru-reviewer.amazonaws.com"}]"#,
        r#""digest":{"Records":[{"eventSource":"codeguru-reviewer.amazonaws.com"}]}"#,
        r#""a\"Records\":[":"]}","b":-1.5e+3"#,
        r#""Records ":null"#,
        r#""":[[],{},"\\"]"#,
        r#""note":"\"Records\":[{\"eventSource\":\"codeguru-reviewer.amazonaws.com\"}]""#,
    ];
    let spaces = if rng.u8(..3) == 0 { Spaces::Any } else { Spaces::None };
    let mut out = Vec::new();
    if rng.u8(..4) == 0 {
        out.extend("\u{feff}".bytes());
    }
    let beside = |rng: &mut Rng| BESIDE[rng.usize(..BESIDE.len())].to_owned();
    let mut parts: Vec<Option<String>> = (0..rng.usize(..3)).map(|_| Some(beside(rng))).collect();
    parts.insert(rng.usize(..=parts.len()), None);
    spaces.write(rng, &mut out);
    out.push(b'{');
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        spaces.write(rng, &mut out);
        let Some(part) = part else {
            let name = if rng.u8(..8) == 0 { r#""R\u0065cords""# } else { r#""Records""# };
            out.extend(name.bytes());
            spaces.write(rng, &mut out);
            out.push(b':');
            spaces.write(rng, &mut out);
            out.push(b'[');
            for (at, (element, _)) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                spaces.write(rng, &mut out);
                out.extend(element);
                spaces.write(rng, &mut out);
            }
            out.push(b']');
            continue;
        };
        out.extend(part.bytes());
    }
    spaces.write(rng, &mut out);
    out.push(b'}');
    spaces.write(rng, &mut out);
    out
}

/// What is written between tokens.
#[derive(Clone, Copy)]
enum Spaces {
    None,
    Any,
    Crlf,
}

impl Spaces {
    fn write(self, rng: &mut Rng, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Any if rng.u8(..3) > 0 => {}
            Self::Any => (0..rng.usize(1..4)).for_each(|_| out.push(b" \t\r\n"[rng.usize(..4)])),
            Self::Crlf => out.extend(b"\r\n  "),
        }
    }
}

/// How a record is written.
struct Style {
    spaces: Spaces,
    is_shuffled: bool,
    /// One character in so many is written as an escape; 0 for none but where JSON asks for it.
    escapes: usize,
    /// Whether an object may get one of its names once more, or one like those that are looked at.
    additions: bool,
}

/// One element made of a record.
fn element(rng: &mut Rng, record: &str) -> (Vec<u8>, &'static str) {
    let plain = Style { spaces: Spaces::None, is_shuffled: false, escapes: 0, additions: false };
    let (what, style) = match rng.u8(..100) {
        0..25 => return (record.as_bytes().to_vec(), "as it is"),
        25..37 => ("shuffled", Style { is_shuffled: true, ..plain }),
        37..47 => ("spaced", Style { spaces: Spaces::Any, ..plain }),
        47..52 => ("broken into lines", Style { spaces: Spaces::Crlf, ..plain }),
        52..64 => ("escaped here and there", Style { escapes: 20, ..plain }),
        64..67 => ("escaped throughout", Style { escapes: 1, ..plain }),
        67..79 => ("with names added", Style { additions: true, ..plain }),
        79..86 => (
            "all of it",
            Style { spaces: Spaces::Any, is_shuffled: true, escapes: 5, additions: true },
        ),
        86..93 => return broken(rng, record),
        _ => return (no_record(rng, record), "no object"),
    };
    let value: Json = serde_json::from_str(record).expect("it is JSON");
    let mut out = Vec::with_capacity(record.len() * 2);
    style.value(rng, &value, &mut out);
    (out, what)
}

fn no_record(rng: &mut Rng, record: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(record).to_string();
    let all = ["null", "{}", "[]", "-0.5E+7", "true", "\"\"", &format!("[{record}]"), &quoted];
    all[rng.usize(..all.len())].as_bytes().to_vec()
}

/// A record that balances and is still no JSON.
fn broken(rng: &mut Rng, record: &str) -> (Vec<u8>, &'static str) {
    let mut out = record.as_bytes().to_vec();
    let end = out.len() - 1;
    let text = out.windows(3).position(|it| it == b":\"A").map_or(2, |at| at + 3);
    match rng.u8(..6) {
        0 => out.insert(end, b','),
        1 => drop(out.splice(1..1, *b",")),
        2 => drop(out.splice(end..end, br#","x":nul"#.iter().copied())),
        3 => drop(out.splice(end..end, br#","x" 1"#.iter().copied())),
        4 => out.insert(text, b'\n'),
        _ => {
            let bad: &[u8] =
                [&b"\xFF"[..], b"\xC0\x80", b"\xED\xA0\x80", b"\xE2\x82"][rng.usize(..4)];
            drop(out.splice(text..text, bad.iter().copied()));
        }
    }
    (out, "broken")
}

impl Style {
    fn value(&self, rng: &mut Rng, value: &Json, out: &mut Vec<u8>) {
        match value {
            Json::String(text) => self.text(rng, text, out),
            Json::Array(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    self.comma(rng, at, out);
                    self.value(rng, value, out);
                    self.spaces.write(rng, out);
                }
                out.push(b']');
            }
            Json::Object(members) => self.object(rng, members, out),
            other => out.extend(other.to_string().bytes()),
        }
    }

    fn object(&self, rng: &mut Rng, members: &serde_json::Map<String, Json>, out: &mut Vec<u8>) {
        let mut members: Vec<(String, Json)> =
            members.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if self.is_shuffled {
            rng.shuffle(&mut members);
        }
        if self.additions && rng.u8(..5) == 0 {
            let at = rng.usize(..=members.len());
            members.insert(at, addition(rng, &members));
        }
        out.push(b'{');
        for (at, (name, value)) in members.iter().enumerate() {
            self.comma(rng, at, out);
            self.text(rng, name, out);
            self.spaces.write(rng, out);
            out.push(b':');
            self.spaces.write(rng, out);
            self.value(rng, value, out);
            self.spaces.write(rng, out);
        }
        out.push(b'}');
    }

    fn comma(&self, rng: &mut Rng, at: usize, out: &mut Vec<u8>) {
        if at > 0 {
            out.push(b',');
        }
        self.spaces.write(rng, out);
    }

    fn text(&self, rng: &mut Rng, text: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        for char in text.chars() {
            if self.escapes > 0 && rng.usize(..self.escapes) == 0 {
                escape(rng, char, out);
                continue;
            }
            match char {
                '"' | '\\' => out.extend([b'\\', char as u8]),
                '\0'..' ' => unicode(rng, char, out),
                _ => out.extend(char.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        if self.escapes == 20 && rng.u8(..100) == 0 {
            // Half a surrogate pair: JSON's grammar allows it.
            out.extend(br"\uD83D");
        }
        out.push(b'"');
    }
}

/// One of the ways to escape the character.
fn escape(rng: &mut Rng, char: char, out: &mut Vec<u8>) {
    let short = match char {
        '"' | '\\' | '/' => char,
        '\n' => 'n',
        '\t' => 't',
        '\r' => 'r',
        _ => return unicode(rng, char, out),
    };
    if rng.bool() { out.extend([b'\\', short as u8]) } else { unicode(rng, char, out) }
}

fn unicode(rng: &mut Rng, char: char, out: &mut Vec<u8>) {
    let is_upper = rng.bool();
    for unit in char.encode_utf16(&mut [0; 2]) {
        let digits = if is_upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
        out.extend(digits.bytes());
    }
}

/// A member beside the others: one of them again, or something like what is looked for.
fn addition(rng: &mut Rng, members: &[(String, Json)]) -> (String, Json) {
    let like = |name: &str, value: Json| (name.to_owned(), value);
    match rng.u8(..8) {
        0..3 if !members.is_empty() => members[rng.usize(..members.len())].clone(),
        3 => like("eventSource", Json::Null),
        4 => like("eventSource", Json::from([SELECTED_SOURCE].as_slice())),
        5 => like("errorCode", "Client.UnauthorizedOperation".into()),
        6 => like("bucketName", "payroll".into()),
        _ => like("note", format!("\"eventSource\":\"{SELECTED_SOURCE}\"").into()),
    }
}
