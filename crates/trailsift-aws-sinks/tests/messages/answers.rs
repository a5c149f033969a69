//! What each sink makes of answers that an emulator does not give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use trailsift_aws_sinks::EventBridgeSettings;
use trailsift_core::Limits;
use trailsift_testkit::conformance::batch;
use trailsift_testkit::{FaultProxy, Plan, ProxyAnswer, ProxyRequest};

use crate::support::{
    QUEUE_URL, TOPIC_ARN, eventbridge, every_sink, logs, records, session, sns, sqs, write,
};
use crate::wire::Wire;

async fn answering(answer: ProxyAnswer) -> FaultProxy {
    FaultProxy::alone(move |_| answer.clone()).await
}

/// What every answer of AWS bears.
pub(crate) fn by_aws(answer: ProxyAnswer) -> ProxyAnswer {
    answer.header("x-amzn-requestid", "1f6f2a3b")
}

fn sns_answer(successful: &str, failed: &str) -> ProxyAnswer {
    let body = format!(
        "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
         <PublishBatchResult><Successful>{successful}</Successful><Failed>{failed}</Failed>\
         </PublishBatchResult></PublishBatchResponse>"
    );
    ProxyAnswer::new(200, body).header("content-type", "text/xml")
}

#[tokio::test]
async fn of_a_batch_at_sqs_exactly_what_the_answer_calls_successful_is_acknowledged() {
    let failed = |id: &str, code: &str, fault: bool| json!({"Id": id, "Code": code, "SenderFault": fault, "Message": "why"});
    let taken = |id: &str| json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "x"});
    let answer = json!({
        // 3 is in neither list, 7 in both; 77 and "x" were never sent.
        "Successful": [taken("0"), taken("7"), taken("77"), taken("x")],
        "Failed": [
            failed("1", "InvalidMessageContents", true),
            failed("2", "InternalError", false),
            failed("4", "ThrottlingException", true),
            failed("5", "AccessDenied", true),
            failed("6", "SomethingNew", true),
            failed("7", "InternalError", false),
        ],
    });
    let server = answering(ProxyAnswer::new(200, answer.to_string())).await;
    let sink = sqs(&session(server.url()).await, QUEUE_URL);
    assert_eq!(write(&*sink, &records(0..8)).await, ".x????x?");
}

#[tokio::test]
async fn of_a_batch_at_sns_exactly_what_the_answer_gives_an_id_is_acknowledged() {
    let failed = |id: u32, code: &str, fault: bool| {
        format!(
            "<member><Id>{id}</Id><Code>{code}</Code><SenderFault>{fault}</SenderFault></member>"
        )
    };
    let answer = sns_answer(
        "<member><Id>0</Id><MessageId>m</MessageId></member><member><Id>1</Id></member>",
        &[
            failed(2, "InvalidParameterValue", true),
            failed(3, "InternalError", false),
            failed(4, "Throttled", true),
            failed(5, "KMSAccessDenied", true),
        ]
        .concat(),
    );
    let server = answering(answer).await;
    let sink = sns(&session(server.url()).await, TOPIC_ARN);
    assert_eq!(write(&*sink, &records(0..7)).await, ".?x????");
}

#[tokio::test]
async fn of_a_batch_at_eventbridge_exactly_the_entries_with_an_event_id_are_acknowledged() {
    let answer = json!({"FailedEntryCount": 6, "Entries": [
        {"EventId": "e"},
        {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."},
        {"ErrorCode": "InternalFailure", "ErrorMessage": "oops"},
        {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow"},
        {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "no"},
        {"EventId": "e", "ErrorCode": "InternalFailure"},
        {},
    ]});
    let server = answering(ProxyAnswer::new(200, answer.to_string())).await;
    let sink =
        eventbridge(&session(server.url()).await, "default", EventBridgeSettings::CALL_BYTES);
    assert_eq!(write(&*sink, &records(0..7)).await, ".x?????");
    // Of fewer or more events than were sent nobody can say which are meant.
    assert_eq!(write(&*sink, &records(0..6)).await, "??????");
    assert_eq!(write(&*sink, &records(0..8)).await, "????????");
}

#[tokio::test]
async fn of_a_batch_at_cloudwatch_logs_what_the_answer_rejects_is_rejected_by_time() {
    let answer = json!({"nextSequenceToken": "t", "rejectedLogEventsInfo": {
        "tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 3,
    }});
    let server = answering(by_aws(ProxyAnswer::new(200, answer.to_string()))).await;
    let sink = logs(&session(server.url()).await, "group");
    // Sent by time: the third comes first, the first comes last.
    let texts = ["04", "02", "01", "03"].map(|hour| {
        format!("{{\"eventTime\":\"2026-11-16T{hour}:00:00Z\",\"eventID\":\"{hour}\"}}")
    });
    let events = batch(&texts);
    // Whether the second in time, which is the end of those that are too old, was taken is not certain.
    assert_eq!(write(&*sink, &events).await, "x?x.");
    let outcome = sink.write(&events).await.expect("an outcome");
    let said: Vec<_> = outcome.failures.iter().map(|it| it.error.to_string()).collect();
    assert!(said[0].ends_with("its time is more than two hours ahead"), "{said:?}");
    assert!(said[2].ends_with("its time is more than 14 days ago"), "{said:?}");
}

/// Answers that say nothing about an event: in JSON and, for SNS, in XML.
fn troubles() -> Vec<(&'static str, ProxyAnswer, ProxyAnswer)> {
    let both = |name: &'static str, status, code: &str, message: &str| {
        (
            name,
            ProxyAnswer::aws_json_error(status, code, message),
            ProxyAnswer::aws_xml_error(status, code, message),
        )
    };
    let bare = |name, status| (name, ProxyAnswer::new(status, ""), ProxyAnswer::new(status, ""));
    vec![
        both("throttled", 400, "ThrottlingException", "Rate exceeded"),
        both("request throttled", 403, "RequestThrottled", "slow down"),
        both("internal", 500, "InternalFailure", "oops"),
        both("denied", 400, "AccessDeniedException", "is not authorized to perform"),
        both("denied by policy", 403, "AccessDenied", "Access is denied"),
        both("expired", 400, "ExpiredTokenException", "The security token has expired"),
        both("unknown key", 403, "InvalidClientTokenId", "The security token is invalid"),
        both("missing", 400, "ResourceNotFoundException", "it does not exist"),
        both("no queue", 400, "AWS.SimpleQueueService.NonExistentQueue", "does not exist"),
        both("no topic", 404, "NotFound", "Topic does not exist"),
        both("a wrong setting", 400, "InvalidParameterValue", "Value for QueueUrl is invalid"),
        both("kms", 400, "KMSDisabledException", "the key is disabled"),
        both("never heard of", 400, "Whatever", "?"),
        bare("unavailable", 503),
        bare("a gateway", 502),
        bare("not allowed", 405),
        bare("a redirect", 301),
        ("no answer of AWS", ProxyAnswer::new(200, "<html>"), ProxyAnswer::new(200, "{}")),
        ("no answer of AWS", ProxyAnswer::new(200, "{}"), ProxyAnswer::new(200, "<html>")),
        ("no answer of AWS", ProxyAnswer::new(200, ""), ProxyAnswer::new(200, "")),
    ]
}

#[tokio::test]
async fn what_says_nothing_about_an_event_condemns_and_acknowledges_none() {
    for (name, json, xml) in troubles() {
        let server =
            FaultProxy::alone(move |request: &ProxyRequest| match request.header("x-amz-target") {
                Some(_) => json.clone(),
                None => xml.clone(),
            })
            .await;
        for sink in every_sink(server.url()).await {
            let found = write(&*sink, &records(0..3)).await;
            assert_eq!(found, "???", "{name} at {}", sink.name());
            if name != "no answer of AWS" {
                assert!(sink.check().await.is_err(), "{name} at {}", sink.name());
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_acknowledges_nothing() {
    let server = FaultProxy::start("http://127.0.0.1:1").await;
    server.plan(|_| Plan::Cut);
    for sink in every_sink(server.url()).await {
        assert_eq!(write(&*sink, &records(0..3)).await, "???", "{}", sink.name());
        assert!(sink.check().await.is_err(), "{}", sink.name());
    }
}

#[tokio::test]
async fn an_attempt_is_one_call_for_trying_again_is_the_callers_business() {
    let server = answering(ProxyAnswer::new(503, "")).await;
    for (calls, sink) in (1..).zip(every_sink(server.url()).await) {
        write(&*sink, &records(0..3)).await;
        assert_eq!(server.requests().len(), calls, "{}", sink.name());
    }
}

#[tokio::test]
async fn a_time_that_the_service_names_is_passed_on() {
    let server = answering(ProxyAnswer::new(503, "").header("retry-after", "7")).await;
    for sink in every_sink(server.url()).await {
        let outcome = sink.write(&records(0..1)).await.expect("an outcome");
        let named =
            trailsift_core::Disposition::Retry { after: Some(std::time::Duration::from_secs(7)) };
        assert_eq!(outcome.failures[0].error.disposition, named, "{}", sink.name());
    }
}

#[tokio::test]
async fn what_is_larger_than_the_service_takes_is_never_sent() {
    let server = answering(ProxyAnswer::new(503, "")).await;
    for sink in every_sink(server.url()).await {
        let Limits { entry_bytes, .. } = sink.limits();
        let large = format!("{{\"event\":\"{}\"}}", "x".repeat(entry_bytes));
        assert_eq!(write(&*sink, &batch([large])).await, "L", "{}", sink.name());
    }
    assert!(server.requests().is_empty());
}

/// A service that takes less than it documents: a queue or a topic with a limit of its own, a region
/// that has not followed yet.
#[tokio::test]
async fn an_event_that_the_service_calls_too_large_is_found_and_its_neighbours_arrive() {
    let refusals = [
        ("BatchRequestTooLong", "Batch requests cannot be longer than 1024 bytes."),
        (
            "BatchRequestTooLong",
            "The length of all the messages put together is more than the limit.",
        ),
        ("ValidationException", "Total size of the entries in the request is over the limit."),
        ("InvalidParameterException", "Log event too large: 1100 bytes exceeds limit of 1024"),
    ];
    let wires = [Wire::Sqs, Wire::Sns, Wire::EventBridge, Wire::Logs];
    for (place, (code, message)) in refusals.into_iter().enumerate() {
        let wire = wires[place];
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let server = FaultProxy::alone(move |request: &ProxyRequest| {
            counted.fetch_add(1, Ordering::Relaxed);
            let entries = wire.entries(&request.body);
            if entries.iter().any(|(_, text)| text.contains("large")) {
                return match wire {
                    Wire::Sns => ProxyAnswer::aws_xml_error(400, code, message),
                    _ => ProxyAnswer::aws_json_error(400, code, message),
                };
            }
            took(wire, &entries)
        })
        .await;
        let sink = every_sink(server.url()).await.swap_remove(place);
        let mut texts: Vec<_> = (0..8).map(|n| format!("{{\"event\":{n}}}")).collect();
        texts[5] = "{\"event\":\"large\"}".into();
        assert_eq!(write(&*sink, &batch(texts)).await, ".....L..", "{wire:?}");
        // 8, 4 4, 2 2, 1 1.
        assert_eq!(calls.load(Ordering::Relaxed), 7, "{wire:?}");
    }
}

/// The answer of a service that took all of these.
pub(crate) fn took(wire: Wire, entries: &[(String, String)]) -> ProxyAnswer {
    let kept = vec![true; entries.len()];
    match wire {
        Wire::Sqs => {
            let taken = entries
                .iter()
                .map(|(id, _)| json!({"Id": id, "MessageId": "m", "MD5OfMessageBody": "x"}));
            let taken: Vec<_> = taken.collect();
            ProxyAnswer::new(200, json!({"Successful": taken, "Failed": []}).to_string())
        }
        Wire::Sns => {
            let taken = entries
                .iter()
                .map(|(id, _)| format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>"));
            sns_answer(&taken.collect::<String>(), "")
        }
        Wire::EventBridge => {
            let taken: Vec<_> = kept.iter().map(|_| json!({"EventId": "e"})).collect();
            ProxyAnswer::new(200, json!({"FailedEntryCount": 0, "Entries": taken}).to_string())
        }
        Wire::Logs => by_aws(ProxyAnswer::new(200, "{}")),
    }
}

#[tokio::test]
async fn a_missing_log_stream_is_made_and_a_missing_group_is_waited_for() {
    let missing =
        || ProxyAnswer::aws_json_error(400, "ResourceNotFoundException", "it does not exist");
    let target = |request: &ProxyRequest| {
        let target = request.header("x-amz-target").unwrap_or_default();
        target.rsplit('.').next().unwrap_or_default().to_owned()
    };
    let made = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&made);
    let server = FaultProxy::alone(move |request: &ProxyRequest| match &*target(request) {
        "PutLogEvents" if seen.load(Ordering::Relaxed) == 0 => missing(),
        "CreateLogStream" => {
            // As if another replica had been faster.
            seen.fetch_add(1, Ordering::Relaxed);
            ProxyAnswer::aws_json_error(400, "ResourceAlreadyExistsException", "it exists")
        }
        _ => by_aws(ProxyAnswer::new(200, "{}")),
    })
    .await;
    let sink = logs(&session(server.url()).await, "group");
    assert_eq!(write(&*sink, &records(0..3)).await, "...");
    assert_eq!(write(&*sink, &records(0..3)).await, "...");
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert_eq!(server.requests().len(), 4);

    let server = FaultProxy::alone(move |_| missing()).await;
    let sink = logs(&session(server.url()).await, "group");
    let outcome = sink.write(&records(0..1)).await.expect("an outcome");
    let error = outcome.failures[0].error.to_string();
    assert!(error.starts_with("cannot make the log stream: ResourceNotFound"), "{error}");
}

/// EventBridge acknowledges what is put on a bus that is not there, and throws it away.
#[tokio::test]
async fn nothing_is_put_on_a_bus_that_is_not_there() {
    let there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&there);
    let server = FaultProxy::alone(move |request: &ProxyRequest| {
        if Wire::EventBridge.is_write(request) {
            return took(Wire::EventBridge, &Wire::EventBridge.entries(&request.body));
        }
        match seen.load(Ordering::Relaxed) {
            true => ProxyAnswer::new(200, "{\"Name\":\"b\"}"),
            false => ProxyAnswer::aws_json_error(400, "ResourceNotFoundException", "no bus"),
        }
    })
    .await;
    let sink = eventbridge(&session(server.url()).await, "b", EventBridgeSettings::CALL_BYTES);
    let puts = || server.requests().iter().filter(|it| Wire::EventBridge.is_write(it)).count();
    assert_eq!(write(&*sink, &records(0..2)).await, "??");
    assert_eq!(puts(), 0);
    there.store(true, Ordering::Relaxed);
    assert_eq!(write(&*sink, &records(0..2)).await, "..");
    // Seen a moment ago: it is not asked for with each write.
    assert_eq!(write(&*sink, &records(0..2)).await, "..");
    assert_eq!((puts(), server.requests().len()), (2, 4));
    let default =
        eventbridge(&session(server.url()).await, "default", EventBridgeSettings::CALL_BYTES);
    assert_eq!(write(&*default, &records(0..2)).await, "..");
    assert_eq!(server.requests().len(), 5);
}

/// Whatever stands where the service should be: an answer without end is not read into memory.
#[tokio::test]
async fn an_answer_larger_than_any_of_a_service_is_broken_off_and_acknowledges_nothing() {
    let endless = " ".repeat(5 << 20);
    let server = answering(by_aws(ProxyAnswer::new(200, endless + "{}"))).await;
    for sink in every_sink(server.url()).await {
        let failed = sink.write(&records(0..2)).await;
        let said = match failed {
            Ok(outcome) => outcome.failures.iter().map(|it| it.error.to_string()).collect(),
            Err(error) => vec![error.to_string()],
        };
        let all = said.iter().all(|said| said.contains("length limit exceeded"));
        assert!(all && !said.is_empty(), "{}: {said:?}", sink.name());
    }
}
