//! The records that are formatted.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use trailsift_testkit::trail::{FileSpec, TrailFile};

const GENERATED_FILES: u64 = 20;
const GENERATED_PER_FILE: usize = 500;
const DAMAGED: usize = 2_000;

/// A record, and how a person finds it again.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) bytes: Bytes,
}

/// All: the hand-written, the generated and the damaged ones. The same in every run.
pub(crate) fn all() -> Vec<Named> {
    let mut records = fixtures();
    records.extend(generated());
    let damaged = damaged(&records);
    records.extend(damaged);
    records
}

/// The event that AWS publishes as a sample of CodeGuru Reviewer's.
pub(crate) fn sample() -> Named {
    let bytes =
        include_bytes!("../../crates/trailsift-event/tests/fixtures/associate_repository.json");
    Named { name: "the published sample".to_owned(), bytes: Bytes::from_static(bytes.trim_ascii()) }
}

/// The hand-written ones: those in the folder `records`, by name, the published sample, and those of the demo.
pub(crate) fn fixtures() -> Vec<Named> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats/records");
    let entries = fs::read_dir(&folder).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().expect("a plain name")).collect();
    names.sort_unstable();
    let read = |name: String| {
        let bytes = fs::read(folder.join(&name)).expect("the record is there");
        Named { name, bytes: Bytes::copy_from_slice(bytes.trim_ascii()) }
    };
    names.into_iter().map(read).chain([sample()]).chain(demo()).collect()
}

/// Those of the trail files that the demo with Docker shows.
fn demo() -> Vec<Named> {
    let mut folders =
        vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/localstack/sample")];
    let mut records = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                let file = fs::read(&path).expect("a file");
                records.extend(records_of(
                    &file,
                    &path.file_name().expect("a name").to_string_lossy(),
                ));
            }
        }
    }
    // Folders tell their entries in any order.
    records.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!records.is_empty(), "the demo has trail files");
    records
}

/// Ten thousand of a busy account, one in four of them CodeGuru Reviewer's.
fn generated() -> Vec<Named> {
    let records = (1..=GENERATED_FILES).flat_map(|seed| {
        let records = GENERATED_PER_FILE;
        let spec = FileSpec { seed, records, selected_one_in: 4, ..FileSpec::default() };
        records_of(&TrailFile::generate(&spec).json, &format!("seed {seed}"))
    });
    let records: Vec<_> = records.collect();
    assert_eq!(records.len(), 10_000);
    records
}

/// The records of a trail file, if it is one, as they stand there.
fn records_of(json: &[u8], file: &str) -> Vec<Named> {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow, default, rename = "Records")]
        records: Vec<&'a RawValue>,
    }
    let document: Document<'_> = serde_json::from_slice(json).expect("JSON");
    let records = document.records.iter().enumerate().map(|(index, record)| Named {
        name: format!("record {index} of {file}"),
        bytes: Bytes::copy_from_slice(record.get().as_bytes()),
    });
    records.collect()
}

/// Records of which values, anywhere, are missing, of another type, or nasty.
fn damaged(sound: &[Named]) -> Vec<Named> {
    let mut damaged = Vec::new();
    let mut rng = fastrand::Rng::with_seed(1);
    while damaged.len() < DAMAGED {
        let victim = &sound[rng.usize(..sound.len())];
        // What no second reading takes (half a surrogate pair, great depth) is nasty enough as it is.
        let Ok(mut record) = serde_json::from_slice::<Value>(&victim.bytes) else { continue };
        for _ in 0..=rng.usize(..6) {
            damage(&mut record, &mut rng);
        }
        // A record is an object whatever happens to its members.
        if record.is_object() {
            let name = format!("{}, damaged", victim.name);
            damaged.push(Named { name, bytes: Bytes::from(record.to_string()) });
        }
    }
    damaged
}

/// Changes one value, most often one near the top.
fn damage(value: &mut Value, rng: &mut fastrand::Rng) {
    let is_here = rng.usize(..4) == 0;
    match value {
        Value::Object(members) if !members.is_empty() => {
            let name = members.keys().nth(rng.usize(..members.len())).cloned().unwrap_or_default();
            if rng.usize(..12) == 0 {
                members.remove(&name);
            } else if let Some(member) = members.get_mut(&name) {
                if is_here || !(member.is_object() || member.is_array()) {
                    *member = another(rng);
                } else {
                    damage(member, rng);
                }
            }
        }
        Value::Array(elements) if !elements.is_empty() => {
            let index = rng.usize(..elements.len());
            if is_here {
                elements[index] = another(rng);
            } else {
                damage(&mut elements[index], rng);
            }
        }
        other => *other = another(rng),
    }
}

/// A value that nobody expects.
fn another(rng: &mut fastrand::Rng) -> Value {
    let texts = [
        "",
        " ",
        "\0",
        "null",
        "true",
        "0",
        "-",
        "\u{fffe}",
        "\u{1f926}\r\n\t",
        "\"\\",
        "::1",
        "1.2.3.4",
        "1.2.3",
        "999.1.1.1",
        "AWS Internal",
        "2026-01-15T09:10:11Z",
        "2026-13-45T99:99:99Z",
        "2026-01-15",
        "T",
        "arn:",
        "arn:aws:iam::",
        "arn:aws:sts::1:assumed-role/",
        "arn:::::::::",
        "/",
        ":",
        "a:b",
        "AKIA",
        "ASIA",
        "Root",
        "AssumedRole",
        "AWSService",
        "http://[",
        "%zz",
        "\u{85}\u{7f}",
        "é",
        "-1",
        "1e999",
        "Yes",
        "No",
        "Failure",
        "TLSv",
        "TLSv1.3",
        "TLS",
    ];
    match rng.usize(..14) {
        0 => Value::Null,
        1 => json!(0),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1.5e300),
        5 => json!(rng.usize(..2) == 0),
        6 => json!([]),
        7 => json!({}),
        8 => json!([null, 1, "x", [], {}]),
        9 => json!({ "type": 1, "arn": {}, "userName": [], "ARN": "x", "": null }),
        10 => Value::from("x".repeat(33_000)),
        11 => Value::Object(Map::from_iter([("k".repeat(40_000), json!({ "a.b": "\0" }))])),
        _ => Value::from(texts[rng.usize(..texts.len())]),
    }
}
