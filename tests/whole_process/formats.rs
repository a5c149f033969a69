//! Each sink gets every event once, in its own format, however many routes lead it there.

use axum::http::StatusCode;
use serde_json::Value;

use crate::delivery::{KEY, selected, some_file, sorted};
use crate::http_sink::Collector;
use crate::stack::Stack;
use crate::trailsift::Trailsift;

/// The events of CodeGuru Reviewer by two routes, to these sinks.
fn routes(sinks: &str) -> String {
    let route = |name: &str, field: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nsinks = [{sinks}]\n[[route.selector]]\n\
             eventSource = {{ {field} = [\"codeguru-reviewer.amazonaws.com\"] }}\n"
        )
    };
    route("reviewer", "equals") + &route("again", "starts_with")
}

/// File sinks in this folder, each named as its format.
fn file_sinks(folder: &str, formats: &[&str]) -> String {
    let sink = |format: &&str| {
        format!(
            "[sink.{format}]\ntype = \"file\"\npath = \"{folder}/{format}.jsonl\"\n\
             format = \"{format}\"\n"
        )
    };
    formats.iter().map(sink).collect()
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn every_format_arrives_once_with_where_it_was_read() {
    let stack = Stack::create("formats", 30).await.versioned().await;
    let collector = Collector::start(|_, _| Some(StatusCode::OK)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["raw", "envelope", "ocsf", "ecs"];
    let sections = routes("\"raw\", \"envelope\", \"ocsf\", \"ecs\", \"broker\"")
        + &file_sinks(&folder.path().display().to_string(), &names)
        + &format!(
            "[sink.broker]\ntype = \"http\"\nurl = \"{}\"\nformat = \"cloudevents\"\n\
             body = \"json_array\"\n",
            collector.url()
        );
    let trailsift = Trailsift::configure(&stack, "", &sections);
    let file = some_file(11);
    let stored = stack.put(KEY, file.gzip()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);

    let expected = selected(&file);
    let lines = |name: &str| {
        trailsift.lines(&folder.path().join(format!("{name}.jsonl")).display().to_string())
    };
    assert_eq!(lines("raw"), expected);
    let envelopes = lines("envelope");
    assert_eq!(envelopes.len(), expected.len());
    for (envelope, record) in envelopes.iter().zip(&expected) {
        let inside = envelope.strip_prefix(b"{\"event\":").expect("the record comes first");
        assert!(inside.starts_with(record));
        let envelope: Value = serde_json::from_slice(envelope).expect("JSON");
        let about = &envelope["trailsift"];
        assert_eq!(about["bucket"], stack.bucket.as_str());
        assert_eq!(about["key"], KEY);
        assert_eq!(about["etag"], stored.etag.as_str());
        assert_eq!(about["version_id"].as_str(), stored.version_id.as_deref());
        assert_eq!(about["account"], "production");
        assert_eq!(about["route"], "reviewer");
        assert_eq!(about["routes"], serde_json::json!(["reviewer", "again"]));
    }
    for format in ["ocsf", "ecs"] {
        let lines = lines(format);
        assert_eq!(lines.len(), expected.len());
        for (line, record) in lines.iter().zip(&expected) {
            let event: Value = serde_json::from_slice(line).expect("JSON");
            let original = match format {
                "ocsf" => &event["raw_data"],
                _ => &event["event"]["original"],
            };
            assert_eq!(original.as_str().map(str::as_bytes), Some(record.as_slice()));
        }
    }
    let bodies = collector.bodies();
    let mut events = Vec::new();
    for (headers, body) in bodies {
        assert_eq!(headers["content-type"], "application/cloudevents-batch+json");
        let batch: Vec<Value> = serde_json::from_slice(&body).expect("a JSON array");
        events.extend(batch.into_iter().map(|event| event["data"].to_string().into_bytes()));
    }
    let data = |record: &Vec<u8>| {
        let value: Value = serde_json::from_slice(record).expect("JSON");
        value.to_string().into_bytes()
    };
    assert_eq!(sorted(events), sorted(expected.iter().map(data).collect()));
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn what_a_collector_refuses_of_a_format_is_parked_as_the_record() {
    let stack = Stack::create("refused-format", 30).await;
    let file = some_file(12);
    let expected = selected(&file);
    let refused = expected[expected.len() / 2].clone();
    let begin = [b"{\"event\":".as_slice(), &refused].concat();
    let collector = Collector::start(move |_, lines| {
        let is_bad = lines.iter().any(|line| line.starts_with(&begin));
        Some(if is_bad { StatusCode::BAD_REQUEST } else { StatusCode::OK })
    })
    .await;
    let sections = routes("\"siem\"")
        + &format!(
            "[sink.siem]\ntype = \"http\"\nurl = \"{}\"\nformat = \"envelope\"\n",
            collector.url()
        );
    let trailsift = Trailsift::configure(&stack, "", &sections);
    stack.put(KEY, file.gzip()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let parked = trailsift.parked();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0]["reason"], "sink_rejected");
    assert_eq!(parked[0]["data"].as_str().map(str::as_bytes), Some(refused.as_slice()));
    let accepted: usize = collector.accepted().len();
    assert_eq!(accepted, expected.len() - 1);
}
