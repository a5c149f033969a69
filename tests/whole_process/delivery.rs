use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::json;
use trailsift_testkit::trail::{FileSpec, Fleet, FleetSpec, TrailFile};

use crate::stack::{Stack, eventually};
use crate::trailsift::Trailsift;

pub(crate) const KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/20/\
                              111122223333_CloudTrail_us-east-1_20261120T1005Z_abcdefghijklmnop.json.gz";

/// To a file, where every line is an event.
pub(crate) fn file_sink(folder: &str) -> String {
    format!(
        "[[route]]\nname = \"codeguru-reviewer\"\nsinks = [\"events\"]\n[[route.selector]]\n\
         eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\
         [sink.events]\ntype = \"file\"\npath = \"{folder}/events.jsonl\"\n"
    )
}

/// A file of 200 records, some of them selected.
pub(crate) fn some_file(seed: u64) -> TrailFile {
    TrailFile::generate(&FileSpec {
        seed,
        records: 200,
        selected_one_in: 20,
        ..FileSpec::default()
    })
}

pub(crate) fn sorted(mut lines: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    lines.sort();
    lines
}

pub(crate) fn selected(file: &TrailFile) -> Vec<Vec<u8>> {
    file.selected_records().map(<[u8]>::to_vec).collect()
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn events_come_out_byte_for_byte_and_nothing_else_does() {
    let stack = Stack::create("bytes", 30).await.versioned().await;
    let folder = tempfile::tempdir().expect("a folder");
    let trailsift =
        Trailsift::configure(&stack, "", &file_sink(&folder.path().display().to_string()));
    let fleet = Fleet::generate(&FleetSpec {
        seed: 20,
        bucket: stack.bucket.clone(),
        files: 40,
        selected_one_in: 50,
        ..FleetSpec::default()
    });
    stack.put_fleet(&fleet).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);

    let expected = &fleet.expected;
    assert!(expected.selected > 20 && !expected.skipped.is_empty());
    let events = std::fs::read(folder.path().join("events.jsonl")).expect("events");
    let events = events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events = sorted(events.map(<[u8]>::to_vec).collect());
    let slices = expected.selected_records.iter().map(|record| record.to_vec()).collect();
    assert!(events == sorted(slices), "the events are not the slices of the files");

    let totals = ended.totals();
    assert_eq!(totals["files"], expected.files);
    assert_eq!(totals["records"], expected.records);
    assert_eq!(totals["selected"], expected.selected);
    assert_eq!(totals["skipped"], json!(expected.skipped));
    assert_eq!(totals["quarantined"], json!(expected.quarantined));
    let mut reasons = BTreeMap::<String, u64>::new();
    for line in trailsift.parked() {
        *reasons.entry(line["reason"].as_str().expect("a reason").to_owned()).or_default() += 1;
        assert_eq!(line["bucket"], stack.bucket);
        assert!(line["version_id"].is_string() && line["body"].is_string(), "{line}");
    }
    assert_eq!(json!(reasons), json!(expected.quarantined));
    assert_eq!(stack.backlog().await, (0, 0));
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn without_any_route_reviewer_events_go_to_standard_output() {
    let stack = Stack::create("stdout", 30).await;
    let trailsift = Trailsift::configure(&stack, "", "");
    let file = some_file(3);
    stack.put(KEY, file.gzip()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let mut expected = selected(&file).join(&b'\n');
    expected.push(b'\n');
    assert!(expected.len() > 100 && ended.stdout == expected);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn what_is_not_understood_is_parked_with_its_body_and_the_run_ends_well() {
    let stack = Stack::create("parked", 30).await;
    let trailsift = Trailsift::configure(&stack, "", "");
    stack.send("no notification at all").await;
    let other = json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-20T10:05:00.000Z", "awsRegion": "us-east-1",
        "s3": { "bucket": { "name": "somebody-elses" }, "object": { "key": KEY, "size": 1 } }
    }] });
    stack.send(&other.to_string()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(ended.log.contains("quarantined"), "{}", ended.log);
    let mut parked = trailsift.parked();
    parked.sort_by_key(|line| line["reason"].to_string());
    assert_eq!(parked.len(), 2);
    assert_eq!(parked[0]["reason"], "bad_notification");
    assert_eq!(parked[0]["body"], "no notification at all");
    assert_eq!(
        (&parked[1]["reason"], &parked[1]["key"]),
        (&"bucket_not_allowed".into(), &KEY.into())
    );
    assert_eq!(stack.backlog().await, (0, 0));
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_closed_standard_output_ends_the_service_and_keeps_the_message() {
    let stack = Stack::create("epipe", 30).await;
    let trailsift = Trailsift::configure(&stack, "drain_timeout = \"5s\"", "");
    stack.put(KEY, some_file(4).gzip()).await;
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ended = trailsift.run_with(&["--until-empty"], Stdio::from(writer)).ended().await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.logged("failed").is_some(), "{}", ended.log);
    let kept = || async { (stack.backlog().await == (1, 0)).then_some(()) };
    eventually("the message is back", kept).await;
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn without_its_queue_the_service_says_so_and_ends_with_3() {
    let mut stack = Stack::create("missing", 30).await;
    stack.queue_url = stack.queue_url.replace("missing", "no-such-queue");
    let trailsift = Trailsift::configure(&stack, "startup_timeout = \"2s\"", "");
    let ended = trailsift.run(&[]).ended().await;
    assert_eq!(ended.code, Some(3), "{}", ended.log);
    let said = ended
        .log
        .lines()
        .any(|line| line.contains("production") && line.contains("queue does not exist"));
    assert!(said, "{}", ended.log);
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn a_run_ends_only_when_what_others_hold_is_done_too() {
    let stack = Stack::create("elsewhere", 6).await;
    let folder = tempfile::tempdir().expect("a folder");
    let sink = file_sink(&folder.path().display().to_string());
    let file = some_file(5);
    stack.put(KEY, file.gzip()).await;
    // Somebody else takes the message and dies with it.
    let other = Trailsift::configure(
        &stack,
        "",
        "[sink.stuck]\ntype = \"http\"\nurl = \"http://127.0.0.1:9/\"\n[[route]]\nname = \"r\"\n\
         sinks = [\"stuck\"]\n[[route.selector]]\n\
         eventSource = { equals = [\"codeguru-reviewer.amazonaws.com\"] }\n",
    );
    let mut dying = other.run(&[]);
    let taken = || async { (stack.backlog().await == (0, 1)).then_some(()) };
    eventually("the message is taken", taken).await;
    let trailsift = Trailsift::configure(&stack, "", &sink);
    let waiting = trailsift.run(&["--until-empty"]);
    dying.child.kill().await.expect("kill -9");
    let ended = waiting.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ended.totals()["selected"], selected(&file).len());
}
