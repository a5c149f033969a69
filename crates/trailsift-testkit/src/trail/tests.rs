use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;
use trailsift_core::Reason;
use trailsift_trail::{KeyClass, LogKind, classify};

use super::*;

fn small(seed: u64) -> FleetSpec {
    FleetSpec { seed, files: 40, records_per_file: 60, selected_one_in: 20, ..FleetSpec::default() }
}

/// The first member, and how many stored bytes follow it.
#[expect(clippy::disallowed_methods, reason = "the generator's own files, members counted here")]
fn inflate(stored: &[u8]) -> std::io::Result<(Vec<u8>, usize)> {
    let mut decoder = flate2::bufread::GzDecoder::new(stored);
    let mut json = Vec::new();
    decoder.read_to_end(&mut json)?;
    Ok((json, decoder.into_inner().len()))
}

/// The records as serde_json splits them: the slowest and plainest reading there is.
fn records(json: &[u8]) -> Vec<&[u8]> {
    let document: BTreeMap<&str, Vec<&RawValue>> = serde_json::from_slice(json).unwrap();
    document["Records"].iter().map(|record| record.get().as_bytes()).collect()
}

fn is_selected(record: &[u8]) -> bool {
    serde_json::from_slice::<Value>(record).unwrap()["eventSource"] == SELECTED_SOURCE
}

#[test]
fn the_same_seed_gives_the_same_bucket_and_another_seed_another() {
    assert_eq!(Fleet::generate(&small(7)), Fleet::generate(&small(7)));
    assert_ne!(Fleet::generate(&small(7)).objects, Fleet::generate(&small(8)).objects);
}

#[test]
fn the_answer_is_what_a_plain_parser_finds() {
    let fleet = Fleet::generate(&small(3));
    let mut found = Expected::default();
    for object in &fleet.objects {
        let Nature::Trail { .. } = object.nature else { continue };
        let (json, rest) = inflate(&object.stored).unwrap();
        assert_eq!(rest, 0, "one member only");
        assert!(!json.contains(&b'\n'), "a single line");
        found.files += 1;
        found.stored_bytes += object.stored.len() as u64;
        found.inflated_bytes += json.len() as u64;
        for record in records(&json) {
            found.records += 1;
            if is_selected(record) {
                found.selected += 1;
                found.selected_records.push(Bytes::copy_from_slice(record));
            }
        }
    }
    found.selected_records.sort_unstable();
    found.skipped = fleet.expected.skipped.clone();
    found.quarantined = fleet.expected.quarantined.clone();
    assert_eq!(found.files, 40);
    assert!(found.selected > 40);
    assert!(found == fleet.expected, "{} of {}", found.selected, fleet.expected.selected);
}

#[test]
fn every_key_is_classified_as_what_becomes_of_its_object() {
    let fleet = Fleet::generate(&small(4));
    let mut keys = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for object in &fleet.objects {
        assert!(keys.insert(&object.key), "{} is there twice", object.key);
        let found = match classify(&object.key) {
            KeyClass::Folder => "folder_marker",
            KeyClass::Foreign => "key_mismatch",
            KeyClass::Trail(parts) => {
                seen.insert((parts.organization.is_some(), parts.prefix, parts.region));
                parts.kind.as_str()
            }
        };
        let expected = match &object.nature {
            Nature::Skipped(kind) => kind,
            _ => LogKind::CloudTrail.as_str(),
        };
        assert_eq!(found, expected, "{}", object.key);
    }
    assert_eq!(fleet.expected.skipped.keys().len(), 7, "{:?}", fleet.expected.skipped);
    assert!(seen.contains(&(true, "org", "us-east-1")));
    assert!(seen.contains(&(false, "", "ap-southeast-2")));
    assert!(seen.contains(&(false, "audit logs+eu/ümlaut/AWSLogs", "eu-central-1")));
}

#[test]
fn each_damaged_file_has_the_fault_it_is_listed_under() {
    let fleet = Fleet::generate(&small(5));
    let mut reasons = BTreeSet::new();
    for object in &fleet.objects {
        let Nature::Quarantined(reason) = object.nature else { continue };
        reasons.insert(reason);
        match (reason, inflate(&object.stored)) {
            (Reason::GzipTruncated, Err(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
            }
            (Reason::GzipCrc, Err(error)) => {
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            }
            (Reason::GzipTrailingMember, Ok((_, rest))) => assert!(rest > 0),
            (reason, result) => panic!("{reason}: {:?}", result.map(|(_, rest)| rest)),
        }
    }
    assert_eq!(reasons.len(), 3);
}

#[test]
fn the_records_are_of_every_kind_that_a_reader_must_cope_with() {
    let spec = FileSpec { seed: 2, records: 20_000, ..FileSpec::default() };
    let file = TrailFile::generate(&spec);
    assert_eq!(file.records, 20_000);
    assert!((5..60).contains(&file.selected.len()), "{} selected", file.selected.len());
    assert!(file.selected_records().all(is_selected));

    let mut identities = BTreeSet::new();
    let mut sources = BTreeSet::new();
    let mut look_alikes = 0;
    for record in records(&file.json) {
        let value: Value = serde_json::from_slice(record).unwrap();
        identities.insert(value["userIdentity"]["type"].as_str().map(str::to_owned));
        let source = value["eventSource"].as_str().unwrap().to_owned();
        let named =
            record.windows(SELECTED_SOURCE.len()).any(|at| at == SELECTED_SOURCE.as_bytes());
        look_alikes += usize::from(named && source != SELECTED_SOURCE);
        sources.insert(source);
    }
    assert!(identities.len() >= 11, "{identities:?}");
    assert!(sources.contains("codeguru-profiler.amazonaws.com"), "{sources:?}");
    assert!(sources.contains("codeguru-security.amazonaws.com"), "{sources:?}");
    assert!(look_alikes > 50, "{look_alikes} look-alikes");
}

#[test]
fn some_selected_records_spell_their_source_with_escapes() {
    let file = TrailFile::generate(&FileSpec { selected_one_in: 1, ..FileSpec::default() });
    let escaped = file
        .selected_records()
        .filter(|record| !String::from_utf8_lossy(record).contains(r#""eventSource":"codeguru-"#))
        .count();
    assert!((20..150).contains(&escaped), "{escaped} of {}", file.selected.len());
}

#[test]
fn a_file_without_selected_records_can_be_had() {
    let spec = FileSpec { selected_one_in: 0, records: 2_000, ..FileSpec::default() };
    assert!(TrailFile::generate(&spec).selected.is_empty());
}

#[test]
fn a_file_is_delivered_under_a_key_of_its_own() {
    let spec = FileSpec { seed: 1, ..FileSpec::default() };
    let key = spec.key("logs/");
    assert!(key.starts_with("logs/AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/15/"), "{key}");
    assert!(matches!(classify(&key), KeyClass::Trail(parts) if parts.kind == LogKind::CloudTrail));
    assert_ne!(key, FileSpec { seed: 2, ..spec }.key("logs/"));
}

#[test]
fn a_patchwork_is_one_member_of_everything_that_was_pushed() {
    let file = TrailFile::generate(&FileSpec { records: 2_000, ..FileSpec::default() });
    let once = Patch::new(&file.json).unwrap();
    let filler = Patch::new(&vec![b' '; 1 << 20]).unwrap();
    let mut patchwork = Patchwork::default();
    let mut expected = Vec::new();
    for _ in 0..3 {
        patchwork.push(&filler);
        patchwork.push(&once);
        patchwork.push(&Patch::new(b"").unwrap());
        expected.extend(std::iter::repeat_n(b' ', 1 << 20));
        expected.extend_from_slice(&file.json);
    }
    assert_eq!(patchwork.inflated(), expected.len() as u64);
    let (json, rest) = inflate(&patchwork.finish()).unwrap();
    assert!(json == expected && rest == 0);
}
