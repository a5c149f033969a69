//! Whose fault it is that a service refuses what it is sent: an event's only while it takes others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use trailsift_testkit::conformance::batch;
use trailsift_testkit::{FaultProxy, ProxyAnswer, ProxyRequest};

use crate::answers::{by_aws, took};
use crate::support::{every_sink, logs, records, session, write};
use crate::wire::Wire;

/// A service that is well when it is asked, takes events or refuses every one of them, and calls it the
/// sender's fault.
async fn service(wire: Wire, refuses: &Arc<AtomicBool>) -> FaultProxy {
    let refuses = Arc::clone(refuses);
    FaultProxy::alone(move |request: &ProxyRequest| {
        if !wire.is_write(request) {
            return match wire {
                Wire::Sns => ProxyAnswer::new(
                    200,
                    "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes/>\
                     </GetTopicAttributesResult></GetTopicAttributesResponse>",
                ),
                _ => by_aws(ProxyAnswer::new(200, "{}")),
            };
        }
        let entries = wire.entries(&request.body);
        if !refuses.load(Ordering::SeqCst) {
            return took(wire, &entries);
        }
        match wire {
            Wire::Logs => {
                let message = "Log event too large: 90 bytes exceeds limit of 10";
                ProxyAnswer::aws_json_error(400, "InvalidParameterException", message)
            }
            _ => wire.answer(wire.took_nothing(), &entries, &vec![false; entries.len()], true),
        }
    })
    .await
}

/// How many events are parked, and how many are to be sent again.
fn counts(verdict: &str) -> (usize, usize) {
    (verdict.matches(['x', 'L']).count(), verdict.matches('?').count())
}

#[tokio::test]
async fn a_service_that_refuses_whatever_it_is_sent_has_ten_events_parked_and_not_the_stream() {
    for (place, wire) in
        [Wire::Sqs, Wire::Sns, Wire::EventBridge, Wire::Logs].into_iter().enumerate()
    {
        let refuses = Arc::new(AtomicBool::new(true));
        let server = service(wire, &refuses).await;
        let sink = every_sink(server.url()).await.swap_remove(place);
        assert_eq!(counts(&write(&*sink, &records(0..8)).await), (8, 0), "{wire:?}");
        sink.check().await.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        assert_eq!(counts(&write(&*sink, &records(8..20)).await), (2, 10), "{wire:?}");
        let trouble = sink.check().await.expect_err("it takes nothing").to_string();
        assert!(trouble.contains("refused 20 events one after the other"), "{trouble}");
        assert_eq!(counts(&write(&*sink, &records(0..10)).await), (0, 10), "{wire:?}");

        let large = format!("{{\"event\":\"{}\"}}", "x".repeat(sink.limits().entry_bytes));
        assert_eq!(write(&*sink, &batch([large])).await, "L", "what nobody has to be asked for");

        refuses.store(false, Ordering::SeqCst);
        assert_eq!(write(&*sink, &records(0..10)).await, "..........", "{wire:?}");
        sink.check().await.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        refuses.store(true, Ordering::SeqCst);
        assert_eq!(counts(&write(&*sink, &records(0..1)).await), (1, 0), "{wire:?}");
    }
}

#[tokio::test]
async fn however_many_events_are_too_old_it_is_their_own_fault() {
    let answer = json!({"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 30}}).to_string();
    let server = FaultProxy::alone(move |_| by_aws(ProxyAnswer::new(200, answer.clone()))).await;
    let sink = logs(&session(server.url()).await, "group");
    for _ in 0..2 {
        assert_eq!(write(&*sink, &records(0..30)).await, "x".repeat(30));
    }
    sink.check().await.expect("the service is not to blame");
}
