//! Every format over every kind of record, judged by validators that others wrote (`tests/validators`): the
//! hand-written records in `records/`, ten thousand of the generator's, and two thousand damaged ones.

mod planted;
mod records;
mod sample;
mod validator;

use std::collections::{BTreeMap, HashSet};
use std::thread;

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;
use trailsift_core::{Record, RouteSet};
use trailsift_route::{Format, Formatter, Origin};

use records::Named;

/// A read of an object as S3 tells it, one of a file that tells nothing, and one whose names are out to break things.
const ORIGINS: [Origin<'static>; 3] = [
    Origin {
        account: Some("production"),
        bucket: Some("org-trail"),
        key: Some(
            "AWSLogs/123456789012/CloudTrail/us-west-2/2019/11/27/123456789012_CloudTrail_us-west-2_20191127T0350Z_Qm4tVx8LrWc2KdNp.json.gz",
        ),
        version_id: Some("3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY"),
        etag: Some("9b2cf535f27731c974343645a3985328"),
    },
    Origin { account: None, bucket: None, key: None, version_id: None, etag: None },
    Origin {
        account: Some("p\u{e9}\"\\"),
        bucket: Some(""),
        key: Some("a b+c%20/\u{202e}\u{fffe}\n\u{0}\u{7f}\u{85}/\u{1f926}.json"),
        version_id: Some("null"),
        etag: Some("\"quoted\"-2"),
    },
];

fn formatter(format: Format) -> Formatter {
    Formatter::new(format, ["codeguru-reviewer", "writes"].map(str::to_owned))
}

/// What leaves: the record at this place in its file, as `number` decides selected by one route or two.
fn render(format: Format, named: &Named, number: usize) -> Bytes {
    let mut routes = RouteSet::EMPTY;
    routes.insert(number % 2);
    routes.insert(1);
    let index = u64::try_from(number).expect("a small number");
    let record = Record { index, bytes: named.bytes.clone(), routes };
    formatter(format).render(&record, routes, ORIGINS[number % ORIGINS.len()])
}

#[test]
#[ignore = "needs the validators: cargo xtask test"]
fn every_record_is_a_valid_event_in_every_format() {
    let records = records::all();
    let judged = |format: Format| {
        let events = records.iter().enumerate().map(|(number, it)| render(format, it, number));
        validator::judge(format, events)
    };
    let found = thread::scope(|scope| {
        let threads =
            validator::FORMATS.map(|format| scope.spawn(move || (format, judged(format))));
        threads.map(|thread| thread.join().expect("a verdict"))
    });
    let mut report = String::new();
    for (format, violations) in found {
        // One line for each kind of violation, with the first record that shows it.
        let mut kinds: BTreeMap<_, (usize, &Named)> = BTreeMap::new();
        for violation in &violations {
            let kind = (violation.path.as_str(), violation.message.as_str());
            kinds.entry(kind).or_insert((0, &records[violation.line - 1])).0 += 1;
        }
        for ((path, message), (count, first)) in kinds.iter().take(40) {
            let cut = |text: &str, count| text.chars().take(count).collect::<String>();
            let record = cut(&String::from_utf8_lossy(&first.bytes), 2_000);
            let (format, message, first) = (format.name(), cut(message, 240), &first.name);
            report.push_str(&format!(
                "{format} {path}: {message}\n    {count} times, such as {first}: {record}\n"
            ));
        }
    }
    assert!(report.is_empty(), "violations over {} records:\n{report}", records.len());
}

#[test]
fn every_format_carries_the_record_byte_for_byte() {
    for (number, named) in records::all().iter().enumerate() {
        let record = named.bytes.as_ref();
        assert_eq!(render(Format::Raw, named, number), record, "{}", named.name);
        for format in [Format::Envelope, Format::CloudEvents] {
            let event = render(format, named, number);
            let (name, format) = (&named.name, format.name());
            assert!(memmem::find(&event, record).is_some(), "{format} has no {name}");
        }
        for (format, names) in
            [(Format::Ocsf, &["raw_data"][..]), (Format::Ecs, &["event", "original"])]
        {
            let event = render(format, named, number);
            // Half a surrogate pair or a number beyond a double, in a value that was taken over, is where readers give up.
            let read = serde_json::from_slice::<Value>(&event).err();
            assert!(read.is_none(), "{} of {}: {read:?}", format.name(), named.name);
            let held = validator::text_at(&event, names);
            let (name, format) = (&named.name, format.name());
            assert_eq!(held.as_deref(), std::str::from_utf8(record).ok(), "{format} of {name}");
        }
    }
}

#[test]
fn an_event_is_the_same_however_often_it_is_written() {
    for (number, named) in records::fixtures().iter().enumerate() {
        for format in Format::ALL {
            let (once, again) = (render(format, named, number), render(format, named, number));
            assert_eq!(once, again, "{} of {}", format.name(), named.name);
        }
    }
}

/// Everything that a record says stands in its OCSF event besides `raw_data`: what the schema has no place for is unmapped.
#[test]
fn no_text_of_a_record_is_lost_in_ocsf() {
    let mut lost = Vec::new();
    for (number, named) in records::all().iter().enumerate() {
        // What serde_json does not read as a whole is taken over as a text.
        let Ok(record) = serde_json::from_slice::<Value>(&named.bytes) else { continue };
        let event = render(Format::Ocsf, named, number);
        let mut event: Value = serde_json::from_slice(&event).expect("JSON");
        event.as_object_mut().and_then(|event| event.remove("raw_data")).expect("the record");
        let (mut said, mut kept) = (Vec::new(), Vec::new());
        texts(&record, &mut said);
        texts(&event, &mut kept);
        let kept: HashSet<_> = kept.into_iter().collect();
        // Times and booleans have types of their own there.
        said.retain(|text| !kept.contains(text) && !matches!(*text, "" | "true" | "false"));
        said.retain(|text| !(text.contains('T') && text.ends_with('Z')));
        lost.extend(said.iter().map(|text| format!("{text:.200} of {}", named.name)));
    }
    assert!(lost.is_empty(), "{} texts, such as {:#?}", lost.len(), &lost[..lost.len().min(20)]);
}

fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(elements) => elements.iter().for_each(|element| texts(element, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}
