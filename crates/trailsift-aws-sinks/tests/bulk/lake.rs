//! What the S3 sink writes, as DuckDB reads it: a reader that nobody here wrote.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use trailsift_aws_sinks::{LineCompression, ParquetCompression, S3Body, S3Sink, S3SinkSettings};
use trailsift_core::Batch;
use trailsift_testkit::conformance::batch;

use crate::s3::{settings, stored};
use crate::support::{answering, session, write};

/// Writes the batch through the sink and puts its objects into a folder, as a lake has them.
async fn lake(folder: &Path, body: S3Body, events: &Batch) {
    let server = answering(stored()).await;
    let prefix = "account={account}/region={region}/date={yyyy}-{MM}-{dd}/hour={HH}/";
    let prefix = prefix.parse().expect("a template");
    let settings = S3SinkSettings { prefix, body, ..settings("lake") };
    let sink = S3Sink::new("lake", &session(server.url()).await, settings);
    assert_eq!(write(&sink, events).await, ".".repeat(events.entries.len()));
    for request in server.requests() {
        let key = request.target.strip_prefix("/lake/").expect("a key");
        let key = key.split('?').next().expect("a key").replace("%3D", "=");
        let path = folder.join(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, &request.body).expect("written");
    }
}

/// Every row, in the order of its event.
fn read(body: &str, folder: &Path) -> Vec<Value> {
    let python = std::env::var_os("TRAILSIFT_VALIDATORS").expect(
        "TRAILSIFT_VALIDATORS names a Python with tests/validators/requirements.txt; `cargo xtask test` makes one",
    );
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/validators/read_lake.py");
    let output = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .arg(body)
        .arg(folder)
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
}

const ODD: &str = "{\n \"eventTime\": \"no time\", \"awsRegion\": \"../x\",\r\n \
                   \"userAgent\": \"é\\u0000\\\"\\ud83d\\ude00\", \"n\": 1.50, \"readOnly\": \"true\"}";

/// Three records as people write them by hand, and some thousands of all lengths.
fn events() -> Batch {
    let usual = |hour: &str| {
        format!(
            "{{\"eventTime\":\"2026-11-22T{hour}:20:30Z\",\"eventID\":\"e-{hour}\",\
             \"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"ListUsers\",\
             \"awsRegion\":\"us-east-1\",\"recipientAccountId\":\"111122223333\",\
             \"sourceIPAddress\":\"203.0.113.7\",\"userIdentity\":{{\"type\":\"Root\"}},\
             \"errorCode\":\"AccessDenied\",\"readOnly\":false}}"
        )
    };
    let mut texts = vec![usual("10"), usual("11"), ODD.to_owned()];
    texts.extend((0..3000).map(|n| {
        format!(
            "{{\"eventTime\":\"2026-11-22T1{}:00:00Z\",\"n\":{n},\"x\":\"{}\"}}",
            n % 3,
            "y".repeat(n % 977)
        )
    }));
    batch(texts)
}

fn sorted(events: &Batch, text: impl Fn(&[u8]) -> Vec<u8>) -> Vec<String> {
    let text = |data: &[u8]| String::from_utf8(text(data)).expect("text");
    let mut texts: Vec<_> = events.entries.iter().map(|entry| text(&entry.data)).collect();
    texts.sort();
    texts
}

#[tokio::test]
#[ignore = "needs the validators: cargo xtask test"]
async fn duckdb_reads_back_every_row_of_parquet_as_it_was_sent() {
    let events = events();
    for compression in
        [ParquetCompression::Snappy, ParquetCompression::Gzip, ParquetCompression::None]
    {
        let folder = tempfile::tempdir().expect("a folder");
        lake(folder.path(), S3Body::Parquet(compression), &events).await;
        let rows = read("parquet", folder.path());
        let found: Vec<_> = rows.iter().map(|row| row["event"].as_str().expect("text")).collect();
        assert!(found == sorted(&events, <[u8]>::to_vec), "{compression:?}: events differ");
        let key = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/16/1.json.gz";
        let row = rows.iter().find(|row| row["event_id"] == "e-11").expect("the row");
        let expected = json!({
            "event_time": 1_795_346_430_000_i64, "event_id": "e-11",
            "event_source": "iam.amazonaws.com", "event_name": "ListUsers",
            "aws_region": "us-east-1", "recipient_account_id": "111122223333",
            "actor_kind": "root", "actor_name": null, "actor_arn": null, "credentials": "none",
            "source_ip": "203.0.113.7", "user_agent": null, "error_code": "AccessDenied",
            "read_only": false, "source_bucket": "org-trail", "source_key": key,
            "source_version_id": null, "source_index": 1, "event": row["event"],
            "p_account": "111122223333", "p_region": "us-east-1", "p_date": "2026-11-22",
            "p_hour": "11",
        });
        assert_eq!(*row, expected);
        let odd = rows.iter().find(|row| row["source_index"] == 2).expect("the row");
        assert_eq!(odd["event"], ODD);
        assert_eq!(odd["event_time"], Value::Null);
        assert_eq!(odd["user_agent"], "é\u{0}\"😀");
        assert_eq!(odd["read_only"], true);
        assert_eq!((&odd["p_region"], &odd["p_hour"]), (&json!(".._x"), &json!("unknown")));
    }
}

#[tokio::test]
#[ignore = "needs the validators: cargo xtask test"]
async fn duckdb_reads_back_every_line_of_json_lines() {
    let events = events();
    let line = |data: &[u8]| {
        data.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect::<Vec<_>>()
    };
    for compression in [LineCompression::Gzip, LineCompression::Zstd, LineCompression::None] {
        let folder = tempfile::tempdir().expect("a folder");
        lake(folder.path(), S3Body::JsonLines(compression), &events).await;
        let rows = read("jsonl", folder.path());
        let found: Vec<_> = rows.iter().map(|row| row["event"].as_str().expect("text")).collect();
        assert!(found == sorted(&events, line), "{compression:?}: events differ");
        assert!(rows.iter().all(|row| row["p_hour"].is_string()));
    }
}
