//! Counting events, and by what.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use trailsift_testkit::trail::{FileSpec, TrailFile};

use super::{file, sift, written};
use crate::text;

fn counts(output: &std::process::Output) -> Vec<(Value, u64)> {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line = |line: &str| -> (Value, u64) {
        let line: serde_json::Map<String, Value> = serde_json::from_str(line).expect("JSON");
        let count = line["count"].as_u64().expect("a number");
        let (_, value) = line.into_iter().find(|(name, _)| name != "count").expect("a value");
        (value, count)
    };
    text(&output.stdout).lines().map(line).collect()
}

#[test]
fn events_are_counted_by_a_field_over_all_files_as_another_reader_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut total = 0;
    for seed in 0..6 {
        let spec = FileSpec { seed, records: 500, selected_one_in: 10, ..FileSpec::default() };
        let file = TrailFile::generate(&spec);
        fs::write(folder.path().join(format!("{seed}.json.gz")), file.gzip()).expect("written");
        let document: Value = serde_json::from_slice(&file.json).expect("JSON");
        for record in document["Records"].as_array().expect("records") {
            let code = record["errorCode"].as_str().map(str::to_owned);
            *expected.entry(code).or_default() += 1;
            total += 1;
        }
    }
    let path = folder.path().to_str().expect("text");
    let output = sift(["--where", "eventSource=*", "--count", "by=errorCode", path], b"");
    let found = counts(&output);
    assert!(found.is_sorted_by(|(_, a), (_, b)| a >= b), "{found:?}");
    assert_eq!(found.iter().map(|(_, count)| count).sum::<u64>(), total);
    let found: BTreeMap<_, _> =
        found.into_iter().map(|(value, n)| (value.as_str().map(str::to_owned), n)).collect();
    assert_eq!(found, expected);
    assert!(text(&output.stderr).contains("selected  3,000\n"));
}

#[test]
fn a_count_leaves_the_paths_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file(3, 200);
    let path = written(folder.path(), &file);
    let path = path.to_str().expect("text");
    let all = format!("{}\n", file.selected.len());
    assert_eq!(text(&sift(["--count", path], b"").stdout), all);
    assert_eq!(text(&sift([path, "--count"], b"").stdout), all);
    let json = format!("{{\"count\":{}}}\n", file.selected.len());
    assert_eq!(text(&sift(["--count", "--json", path], b"").stdout), json);
    let by = counts(&sift(["--count", "by=eventSource", path], b""));
    let source = Value::from(trailsift_testkit::trail::SELECTED_SOURCE);
    assert_eq!(by, [(source, file.selected.len() as u64)]);
    assert_eq!(by, counts(&sift([path, "--count=by=eventSource"], b"")));
    let output = sift(["--count", "--", "by=x"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("by=x: cannot be read: "));
}

#[test]
fn a_field_that_no_event_has_is_refused_before_anything_is_read() {
    for (field, part) in [
        ("eventname", "--count by=eventname: "),
        ("a..b", "a name in the path is empty"),
        ("count", "write by=eventName"),
        ("", "write by=eventName"),
    ] {
        let output = sift(["--count", &format!("by={field}"), "/nowhere"], b"");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{field}");
        let errors = text(&output.stderr);
        assert!(errors.contains(part) && !errors.contains("/nowhere"), "{errors}");
    }
}

#[test]
fn more_values_than_memory_holds_are_a_failure_and_not_a_wrong_count() {
    let long = "x".repeat(900_000);
    let records: Vec<_> = (0..100)
        .map(|n| format!("{{\"eventSource\":\"codeguru-reviewer.amazonaws.com\",\"eventName\":\"{long}{n}\"}}"))
        .collect();
    let document = format!("{{\"Records\":[{}]}}", records.join(","));
    let stored = zstd::encode_all(document.as_bytes(), 1).expect("compressed");
    let output = sift(["--count", "by=eventName"], &stored);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let errors = text(&output.stderr);
    assert!(errors.contains("more different values than can be held"), "{errors}");
    let output = sift(["--count", "by=eventSource"], &stored);
    assert_eq!(counts(&output)[0].1, 100);
}
