//! `OpenSearchSink` against a cluster that checks what the bulk API checks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Disposition, Limits, Reason, Sink, WriteOutcome};
use trailsift_sinks::{
    BulkOp, Connection, OpenSearchSettings, OpenSearchSink, SearchCredentials, SecretSource,
};
use trailsift_testkit::conformance::{self, SinkWorld};

use crate::service::{Service, gateway};
use crate::{acknowledged, batch};

mod cluster;
mod signed;

use cluster::Cluster;

fn settings(cluster: &Cluster) -> OpenSearchSettings {
    OpenSearchSettings {
        connection: Connection {
            timeout: Duration::from_secs(20),
            ..Connection::new(cluster.url())
        },
        ..OpenSearchSettings::new(cluster.url())
    }
}

fn sink(settings: OpenSearchSettings) -> OpenSearchSink {
    OpenSearchSink::new("search", settings).expect("good settings")
}

fn event(n: u32) -> String {
    format!("{{\"eventID\":\"id-{n}\",\"eventTime\":\"2026-01-31T23:59:59Z\",\"n\":{n}}}")
}

fn only_retries(outcome: &WriteOutcome, count: usize) -> String {
    assert_eq!(outcome.failures.len(), count, "{outcome:?}");
    for failure in &outcome.failures {
        assert!(matches!(failure.error.disposition, Disposition::Retry { .. }), "{outcome:?}");
    }
    outcome.failures[0].error.message.clone()
}

struct World {
    cluster: Cluster,
    op: BulkOp,
}

#[async_trait]
impl SinkWorld for World {
    fn sink(&self) -> Arc<dyn Sink> {
        let connection =
            Connection { timeout: Duration::from_secs(20), ..Connection::new(self.cluster.url()) };
        Arc::new(sink(OpenSearchSettings {
            connection,
            op: self.op,
            limits: Limits { events: 100, bytes: 1 << 16, entry_bytes: 512 },
            ..OpenSearchSettings::new("")
        }))
    }

    async fn arrived(&self) -> Vec<String> {
        self.cluster.state().documents.iter().map(|(_, text)| text.clone()).collect()
    }

    fn lose_next_answer(&self) -> bool {
        self.cluster.state().lose_next = true;
        true
    }

    fn break_down(&self) {
        self.cluster.state().down = true;
    }

    fn recover(&self) {
        self.cluster.state().down = false;
    }

    fn throttle_next(&self) -> bool {
        self.cluster.state().throttle_next = true;
        true
    }

    fn take_first_only(&self) -> bool {
        self.cluster.state().first_only = true;
        true
    }

    fn refuse(&self, text: &'static str) -> bool {
        self.cluster.state().refused = Some(text);
        true
    }
}

#[tokio::test]
async fn the_opensearch_sink_conforms_with_both_operations() {
    for op in [BulkOp::Create, BulkOp::Index] {
        let world = World { cluster: Cluster::start().await, op };
        assert_eq!(conformance::sink(&world).await, []);
    }
}

#[tokio::test]
async fn an_event_is_the_document_of_its_id_in_the_index_of_its_day() {
    for gzip in [true, false] {
        let cluster = Cluster::start().await;
        let sink = sink(OpenSearchSettings { gzip, ..settings(&cluster) });
        let events = batch([event(1), "{\"a\":\r\n 1.50}".to_owned()]);
        assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
        let state = cluster.state();
        let (target, text) = &state.documents[0];
        assert_eq!((target.0.as_str(), target.1.as_str()), ("cloudtrail-2026.01.31", "id-1"));
        assert_eq!(text, &event(1));
        let (target, text) = &state.documents[1];
        assert_eq!((target.0.as_str(), target.1.len()), ("cloudtrail-0000.00.00", 64));
        assert_eq!(text, "{\"a\": 1.50}");
    }
}

#[tokio::test]
async fn what_is_there_already_is_written() {
    for (op, word) in [(BulkOp::Create, "create"), (BulkOp::Index, "index")] {
        let cluster = Cluster::start().await;
        let sink = sink(OpenSearchSettings { op, ..settings(&cluster) });
        let events = batch([event(1), event(2)]);
        for _ in 0..3 {
            assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 2);
        }
        assert_eq!(cluster.state().documents.len(), 2);
        assert_eq!(cluster.state().op, word);
    }
}

#[tokio::test]
async fn each_event_has_its_own_result() {
    let cluster = Cluster::start().await;
    cluster.state().refused = Some("\"n\":2}");
    let sink = sink(settings(&cluster));
    let events = batch([event(1), event(2), event(3)]);
    let answer = sink.write(&events).await;
    assert_eq!(acknowledged(&events, &answer), [event(1), event(3)]);
    let failure = &answer.expect("an outcome").failures[0];
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!((failure.index, failure.error.disposition), (1, poison));
    let message = &failure.error.message;
    assert_eq!(message, "the cluster answers 400 (document_parsing_exception) for the event");
    assert_eq!(cluster.state().requests, 1);
}

#[tokio::test]
async fn what_is_not_an_events_fault_is_retried_with_its_remedy() {
    for (status, kind, hint) in [
        (403, "cluster_block_exception", "the index is blocked"),
        (403, "security_exception", "the right to write"),
        (404, "index_not_found_exception", "create the index"),
        (429, "es_rejected_execution_exception", "429"),
        (400, "invalid_index_name_exception", "check index and op"),
        (503, "unavailable_shards_exception", "503"),
    ] {
        let cluster = Cluster::start().await;
        cluster.state().every_item = Some((status, kind));
        let outcome = sink(settings(&cluster)).write(&batch([event(1), event(2)])).await;
        let message = only_retries(&outcome.expect("an outcome"), 2);
        assert!(message.contains(hint) && message.contains(kind), "{message}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_add_up_acknowledges_nothing() {
    let ok = "{\"create\":{\"status\":201}}";
    let too_many = format!("{{\"errors\":false,\"items\":[{ok},{ok},{ok}]}}");
    for body in
        ["", "{}", "{\"errors\":false}", "{\"errors\":false,\"items\":[]}", "<html>", &too_many]
    {
        let cluster = Cluster::start().await;
        cluster.state().instead = Some((200, body.to_owned()));
        let outcome = sink(settings(&cluster)).write(&batch([event(1), event(2)])).await;
        only_retries(&outcome.expect("an outcome"), 2);
    }
    let cluster = Cluster::start().await;
    cluster.state().forgets = 1;
    let outcome = sink(settings(&cluster)).write(&batch([event(1), event(2)])).await;
    let message = only_retries(&outcome.expect("an outcome"), 2);
    assert!(message.contains("about 1 events, 2 were sent"), "{message}");
}

#[tokio::test]
async fn a_check_tells_a_page_for_people_from_a_cluster() {
    let proxy = Service::start(|_| gateway(200)).await;
    let sink = sink(OpenSearchSettings::new(proxy.url.clone()));
    let error = sink.check().await.expect_err("a page");
    assert!(error.message.contains("check the url"), "{error}");
}

#[tokio::test]
async fn a_mapping_that_fits_nothing_parks_ten_events_and_not_the_stream() {
    let cluster = Cluster::start().await;
    cluster.state().every_item = Some((400, "mapper_parsing_exception"));
    let sink = sink(settings(&cluster));
    let outcome = sink.write(&batch((0..40).map(event))).await.expect("an outcome");
    let is_poison = |disposition| matches!(disposition, Disposition::Poison { .. });
    let poison = outcome.failures.iter().filter(|it| is_poison(it.error.disposition)).count();
    assert_eq!((poison, outcome.failures.len()), (10, 40));
    let error = sink.check().await.expect_err("not well");
    assert!(error.message.contains("format \"ecs\""), "{error}");
    cluster.state().every_item = None;
    let events = batch([event(50)]);
    assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 1);
    sink.check().await.expect("well again");
}

#[tokio::test]
async fn what_is_too_large_together_is_sent_apart() {
    let cluster = Cluster::start().await;
    cluster.state().largest_request = 1_000;
    let text = |n: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(n));
    let events = batch([text(400), text(401), text(2_000), text(402)]);
    let answer = sink(settings(&cluster)).write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 3, "{answer:?}");
    let failures = answer.expect("an outcome").failures;
    let poison = Disposition::Poison { reason: Reason::SinkRecordTooLarge };
    assert_eq!((failures[0].index, failures[0].error.disposition), (2, poison));
}

#[tokio::test]
async fn a_request_that_is_refused_as_a_whole_is_searched_for_its_event() {
    let cluster = Cluster::start().await;
    let body =
        "{\"error\":{\"type\":\"parse_exception\",\"reason\":\"secret text\"},\"status\":400}";
    cluster.state().instead = Some((400, body.to_owned()));
    let outcome = sink(settings(&cluster)).write(&batch([event(1), event(2)])).await;
    let outcome = outcome.expect("an outcome");
    assert_eq!(cluster.state().requests, 3);
    for failure in &outcome.failures {
        let poison = Disposition::Poison { reason: Reason::SinkRejected };
        assert_eq!(failure.error.disposition, poison);
        assert!(failure.error.message.ends_with("alone: parse_exception"), "{}", failure.error);
    }
}

#[tokio::test]
async fn credentials_travel_as_the_cluster_takes_them_and_rotated_ones_are_picked_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    let secret = || SecretSource::File(path.clone());
    for (credentials, old, new) in [
        // RFC 7617's own example.
        (
            SearchCredentials::Basic { username: "Aladdin".into(), password: secret() },
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "Basic QWxhZGRpbjpmcmVzaA==",
        ),
        (SearchCredentials::ApiKey(secret()), "ApiKey open sesame", "ApiKey fresh"),
    ] {
        std::fs::write(&path, "open sesame\n").expect("written");
        let cluster = Cluster::start().await;
        cluster.state().authorization = old.into();
        let settings = OpenSearchSettings { credentials, ..settings(&cluster) };
        assert!(!format!("{settings:?}").contains("sesame"));
        let sink = sink(settings);
        assert!(!format!("{sink:?}").contains("sesame"));
        let events = batch([event(1)]);
        assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 1);
        cluster.state().authorization = new.into();
        let outcome = sink.write(&events).await.expect("an outcome");
        only_retries(&outcome, 1);
        assert!(!format!("{outcome:?}").contains("sesame"));
        sink.check().await.expect_err("the secret is wrong");
        std::fs::write(&path, "fresh").expect("written");
        only_retries(&sink.write(&events).await.expect("an outcome"), 1);
        assert_eq!(acknowledged(&events, &sink.write(&events).await).len(), 1);
        sink.check().await.expect("well");
    }
}
