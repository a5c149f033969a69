//! What Kinesis and Firehose are asked, and what is made of answers that an emulator does not give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use trailsift_aws_sinks::{FirehoseSink, KinesisSettings, KinesisSink, PartitionKey};
use trailsift_core::{Disposition, Sink};
use trailsift_testkit::conformance::batch;
use trailsift_testkit::{FaultProxy, Plan, ProxyAnswer};

use crate::support::{answering, error, records, session, some, write};

pub(crate) async fn kinesis(endpoint: &str, stream: &str) -> Arc<dyn Sink> {
    let settings = KinesisSettings {
        stream: stream.to_owned(),
        partition_key: PartitionKey::EventId,
        record_bytes: KinesisSettings::USUAL_RECORD,
    };
    Arc::new(KinesisSink::new("kinesis", &session(endpoint).await, settings))
}

pub(crate) async fn firehose(endpoint: &str, stream: &str) -> Arc<dyn Sink> {
    Arc::new(FirehoseSink::new("firehose", &session(endpoint).await, stream))
}

async fn both(endpoint: &str) -> [Arc<dyn Sink>; 2] {
    [kinesis(endpoint, "trail").await, firehose(endpoint, "trail").await]
}

/// An answer that is right for both: each reads its own list.
fn taken(records: &[Value]) -> ProxyAnswer {
    let body = json!({
        "FailedRecordCount": 1, "Records": records,
        "FailedPutCount": 1, "RequestResponses": records,
    });
    ProxyAnswer::new(200, body.to_string())
}

fn ok() -> Value {
    json!({"SequenceNumber": "495", "ShardId": "shardId-0", "RecordId": "r"})
}

fn failed(code: &str) -> Value {
    json!({"ErrorCode": code, "ErrorMessage": "why"})
}

#[tokio::test]
async fn exactly_the_records_that_the_answer_names_as_taken_are_acknowledged() {
    let answer = taken(&[
        failed("ProvisionedThroughputExceededException"),
        ok(),
        failed("InternalFailure"),
        failed("ServiceUnavailableException"),
        ok(),
        json!({}),
    ]);
    let server = answering(answer).await;
    for sink in both(server.url()).await {
        assert_eq!(write(&*sink, &some(6)).await, "?.??.?", "{}", sink.name());
        // Of fewer or more records than were sent nobody can say which are meant.
        assert_eq!(write(&*sink, &some(5)).await, "?????", "{}", sink.name());
        assert_eq!(write(&*sink, &some(7)).await, "???????", "{}", sink.name());
    }
}

#[tokio::test]
async fn an_answer_about_the_whole_call_condemns_no_event_and_is_not_tried_again() {
    for (status, code) in [
        (400, "ProvisionedThroughputExceededException"),
        (400, "LimitExceededException"),
        (400, "ThrottlingException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailableException"),
        (400, "ResourceNotFoundException"),
        (400, "AccessDeniedException"),
        (400, "KMSAccessDeniedException"),
        (400, "KMSDisabledException"),
        (400, "InvalidKMSResourceException"),
        (400, "InvalidSourceException"),
        (400, "ExpiredTokenException"),
        (403, "UnrecognizedClientException"),
        (400, "InvalidArgumentException"),
        (400, "NeverHeardOf"),
    ] {
        let server = answering(ProxyAnswer::aws_json_error(status, code, "why")).await;
        for (calls, sink) in (1..).step_by(2).zip(both(server.url()).await) {
            let found = error(&*sink, &some(3)).await;
            assert_eq!(found.disposition, Disposition::RETRY, "{found}");
            assert!(found.message.contains(code), "{found}");
            assert_eq!(server.requests().len(), calls, "{code}");
            assert!(sink.check().await.is_err(), "{code} at {}", sink.name());
        }
    }
    let server = FaultProxy::start("http://127.0.0.1:1").await;
    server.plan(|_| Plan::Cut);
    for sink in both(server.url()).await {
        assert_eq!(write(&*sink, &some(3)).await, "???", "{}", sink.name());
    }
}

/// A stream that takes less than it is configured to.
#[tokio::test]
async fn a_record_that_the_service_calls_too_large_is_found_and_its_neighbours_arrive() {
    let server = FaultProxy::alone(|request| {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let records = body["Records"].as_array().expect("records").clone();
        let size = |record: &Value| record["Data"].as_str().expect("data").len();
        if records.iter().any(|record| size(record) > 1000) {
            let message = "1 validation error detected: record data size exceeds limit of 1000";
            return ProxyAnswer::aws_json_error(400, "InvalidArgumentException", message);
        }
        taken(&vec![ok(); records.len()])
    })
    .await;
    let mut texts: Vec<_> = (0..8).map(|n| format!("{{\"n\":{n}}}")).collect();
    texts[5] = format!("{{\"n\":\"{}\"}}", "x".repeat(1000));
    for sink in both(server.url()).await {
        assert_eq!(write(&*sink, &batch(&texts)).await, ".....L..", "{}", sink.name());
    }
}

/// A stream whose limit is below all events: ten are parked, and then it is the stream.
#[tokio::test]
async fn a_stream_that_refuses_whatever_it_is_sent_has_ten_events_parked_and_not_the_stream() {
    let describe = json!({
        "StreamDescriptionSummary": {
            "StreamName": "trail", "StreamARN": "arn", "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1, "OpenShardCount": 1,
            "EnhancedMonitoring": [],
        },
        "DeliveryStreamDescription": {
            "DeliveryStreamName": "trail", "DeliveryStreamARN": "arn",
            "DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut",
            "VersionId": "1", "Destinations": [], "HasMoreDestinations": false,
        },
    });
    let refuses = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&refuses);
    let server = FaultProxy::alone(move |request| {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        match body["Records"].as_array() {
            None => ProxyAnswer::new(200, describe.to_string()),
            Some(_) if seen.load(Ordering::SeqCst) => {
                let message = "record data size exceeds limit of 10";
                ProxyAnswer::aws_json_error(400, "InvalidArgumentException", message)
            }
            Some(records) => taken(&vec![ok(); records.len()]),
        }
    })
    .await;
    for sink in both(server.url()).await {
        refuses.store(true, Ordering::SeqCst);
        assert_eq!(write(&*sink, &some(9)).await, "LLLLLLLLL", "{}", sink.name());
        sink.check().await.expect("nine events may be wrong");
        let found = write(&*sink, &some(20)).await;
        assert_eq!((found.matches('L').count(), found.matches('?').count()), (1, 19), "{found}");
        let trouble = sink.check().await.expect_err("it takes nothing").to_string();
        assert!(trouble.contains("one after the other and accepted none: check"), "{trouble}");
        refuses.store(false, Ordering::SeqCst);
        assert_eq!(write(&*sink, &some(20)).await, ".".repeat(20), "{}", sink.name());
        sink.check().await.expect("it takes events");
    }
}

/// The records of each call, by their data, and their partition keys.
fn sent(server: &FaultProxy) -> Vec<Vec<(String, String)>> {
    let records = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let record = |record: &Value| (text(&record["Data"]), text(&record["PartitionKey"]));
        body["Records"].as_array().expect("records").iter().map(record).collect::<Vec<_>>()
    };
    server.requests().iter().map(|request| records(&request.body)).collect()
}

#[tokio::test]
async fn calls_hold_no_more_than_the_services_take() {
    let server = answering(ProxyAnswer::new(503, "")).await;
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(700_000));
    for (sink, calls) in both(server.url()).await.into_iter().zip([vec![7, 3], vec![5, 5]]) {
        let before = server.requests().len();
        write(&*sink, &some(1201)).await;
        // Some of them are on their way at the same time.
        let counts = || {
            let mut counts: Vec<_> = sent(&server).iter().skip(before).map(Vec::len).collect();
            counts.sort_unstable_by(|one, other| other.cmp(one));
            counts
        };
        assert_eq!(counts(), [500, 500, 201], "{}", sink.name());
        write(&*sink, &batch(vec![&large; 10])).await;
        let larger = [vec![500, 500, 201], calls].concat();
        assert_eq!(counts(), larger, "{}", sink.name());
    }
}

#[tokio::test]
async fn the_partition_key_is_the_events_own() {
    let server = answering(ProxyAnswer::new(503, "")).await;
    let events = records([(7, "us-east-1"), (8, "us-east-1")]);
    let session = session(server.url()).await;
    for (partition_key, stream, keys) in [
        (PartitionKey::EventId, "trail", ["id-7", "id-8"]),
        (
            PartitionKey::Account,
            "arn:aws:kinesis:us-east-1:111122223333:stream/trail",
            ["111122223333"; 2],
        ),
    ] {
        let record_bytes = KinesisSettings::USUAL_RECORD;
        let settings = KinesisSettings { stream: stream.into(), partition_key, record_bytes };
        write(&KinesisSink::new("kinesis", &session, settings), &events).await;
        let records = sent(&server).pop().expect("a call");
        assert_eq!([&*records[0].1, &*records[1].1], keys);
        let requests = server.requests();
        let body: Value = serde_json::from_slice(&requests[requests.len() - 1].body).expect("JSON");
        let named = if stream.starts_with("arn:") { "StreamARN" } else { "StreamName" };
        assert_eq!(body[named], stream);
    }
}

#[tokio::test]
async fn a_stream_that_is_not_active_is_not_ready() {
    let describe = |status: &str| {
        let body = json!({
            "StreamDescriptionSummary": {
                "StreamName": "trail", "StreamARN": "arn", "StreamStatus": status,
                "RetentionPeriodHours": 24, "StreamCreationTimestamp": 1, "OpenShardCount": 1,
                "EnhancedMonitoring": [],
            },
            "DeliveryStreamDescription": {
                "DeliveryStreamName": "trail", "DeliveryStreamARN": "arn",
                "DeliveryStreamStatus": status, "DeliveryStreamType": "DirectPut",
                "VersionId": "1", "Destinations": [], "HasMoreDestinations": false,
            },
        });
        ProxyAnswer::new(200, body.to_string())
    };
    for (status, ready) in [("ACTIVE", true), ("CREATING", false), ("DELETING", false)] {
        let server = answering(describe(status)).await;
        for sink in both(server.url()).await {
            let found = sink.check().await;
            assert_eq!(found.is_ok(), ready, "{status} at {}: {found:?}", sink.name());
        }
    }
    let server = answering(ProxyAnswer::new(200, "{}")).await;
    for sink in both(server.url()).await {
        assert!(sink.check().await.is_err(), "{}", sink.name());
    }
}
