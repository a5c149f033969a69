//! `OtlpSink` against a receiver that decodes what it is sent.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Disposition, Limits, Reason, Sink, WriteOutcome};
use trailsift_sinks::{Connection, HeaderText, OtlpSettings, OtlpSink, SecretSource};
use trailsift_testkit::conformance::{self, Gap, SinkWorld};

use crate::service::{Answer, Received, Service, gateway};
use crate::{acknowledged, batch};

type Headers = Vec<(&'static str, String)>;

#[derive(Default)]
struct State {
    down: bool,
    lose_next: bool,
    throttle_next: bool,
    refused: Option<&'static str>,
    /// Refused records are counted in a partial success, the others taken.
    partial: bool,
    /// What is answered instead, after the records were taken.
    instead: Option<(Headers, Vec<u8>)>,
    /// The same with a status, and nothing taken.
    status: Option<u16>,
    largest_request: Option<usize>,
    /// The body of each log record.
    bodies: Vec<String>,
    requests: usize,
    api_key: String,
}

struct Receiver {
    state: Arc<Mutex<State>>,
    service: Service,
}

impl Receiver {
    async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let service = Service::start(move |request| answer(&mut shared.lock().unwrap(), &request));
        Self { state, service: service.await }
    }

    fn settings(&self) -> OtlpSettings {
        let url = format!("{}/v1/logs", self.service.url);
        let connection = Connection { timeout: Duration::from_secs(20), ..Connection::new(url) };
        OtlpSettings { connection, ..OtlpSettings::new("") }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// Protobuf as anything can be read: the fields of one message with their wire types checked.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a number of more than 64 bits")
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            other => panic!("wire type {other}"),
        };
        let (field, rest) = bytes.split_at(length);
        fields.push((tag >> 3, field));
        bytes = rest;
    }
    fields
}

fn all(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).into_iter().filter(move |(found, _)| *found == number).map(|(_, field)| field)
}

/// The bodies of all records: request.resource_logs(1).scope_logs(2).log_records(2).body(5).string(1).
fn bodies(request: &[u8]) -> Vec<String> {
    all(request, 1)
        .flat_map(|resource_logs| {
            assert_eq!(all(resource_logs, 1).count(), 1, "a resource");
            all(resource_logs, 2).collect::<Vec<_>>()
        })
        .flat_map(|scope_logs| all(scope_logs, 2).collect::<Vec<_>>())
        .flat_map(|record| all(record, 5).collect::<Vec<_>>())
        .flat_map(|body| all(body, 1).collect::<Vec<_>>())
        .map(|text| String::from_utf8(text.to_vec()).expect("UTF-8"))
        .collect()
}

fn protobuf(status: u16, body: Vec<u8>) -> Answer {
    let headers = vec![("content-type", "application/x-protobuf".to_owned())];
    Answer::Reply { status, headers, body }
}

fn answer(state: &mut State, request: &Received) -> Answer {
    if request.uri.path() != "/v1/logs" {
        return gateway(404);
    }
    if request.header("api-key") != state.api_key {
        return protobuf(401, Vec::new());
    }
    if request.method != "POST" {
        return gateway(405);
    }
    if request.header("content-type") != "application/x-protobuf" {
        return gateway(415);
    }
    let bodies = bodies(&request.body);
    if state.down {
        return gateway(503);
    }
    if bodies.is_empty() {
        return protobuf(200, Vec::new());
    }
    state.requests += 1;
    if std::mem::take(&mut state.throttle_next) {
        return gateway(429);
    }
    if let Some(status) = state.status {
        return gateway(status);
    }
    if state.largest_request.is_some_and(|most| request.body.len() > most) {
        return gateway(413);
    }
    let is_refused = |body: &String| state.refused.is_some_and(|text| body.contains(text));
    let (refused, taken): (Vec<_>, Vec<_>) = bodies.into_iter().partition(is_refused);
    if !refused.is_empty() && !state.partial {
        // google.rpc.Status { code: 3, message: "bad" }
        return protobuf(400, b"\x08\x03\x12\x03bad".to_vec());
    }
    state.bodies.extend(taken);
    if std::mem::take(&mut state.lose_next) {
        return Answer::Lost;
    }
    if let Some((headers, body)) = &state.instead {
        return Answer::Reply { status: 200, headers: headers.clone(), body: body.clone() };
    }
    match u8::try_from(refused.len()).unwrap() {
        0 => protobuf(200, Vec::new()),
        // partial_success { rejected_log_records, error_message: "bad" }
        rejected => protobuf(200, [b"\x0a\x07\x08", &[rejected][..], b"\x12\x03bad"].concat()),
    }
}

fn sink(settings: OtlpSettings) -> OtlpSink {
    OtlpSink::new("otlp", settings).expect("good settings")
}

fn only_retries(outcome: &WriteOutcome, count: usize) -> String {
    assert_eq!(outcome.failures.len(), count, "{outcome:?}");
    for failure in &outcome.failures {
        assert!(matches!(failure.error.disposition, Disposition::Retry { .. }), "{outcome:?}");
    }
    outcome.failures[0].error.message.clone()
}

#[async_trait]
impl SinkWorld for Receiver {
    fn sink(&self) -> Arc<dyn Sink> {
        let settings = self.settings();
        Arc::new(sink(OtlpSettings {
            limits: Limits { events: 100, bytes: 1 << 16, entry_bytes: 512 },
            ..settings
        }))
    }

    async fn arrived(&self) -> Vec<String> {
        self.state().bodies.clone()
    }

    fn lose_next_answer(&self) -> bool {
        self.state().lose_next = true;
        true
    }

    fn break_down(&self) {
        self.state().down = true;
    }

    fn recover(&self) {
        self.state().down = false;
    }

    fn throttle_next(&self) -> bool {
        self.state().throttle_next = true;
        true
    }

    fn take_first_only(&self) -> bool {
        // A partial success does not name its records.
        false
    }

    fn refuse(&self, text: &'static str) -> bool {
        self.state().refused = Some(text);
        true
    }
}

#[tokio::test]
async fn the_otlp_sink_conforms() {
    let receiver = Receiver::start().await;
    assert_eq!(conformance::sink(&receiver).await, [Gap::NeverTakesInPart]);
}

#[tokio::test]
async fn records_that_are_rejected_without_names_are_found_and_the_others_arrive() {
    let receiver = Receiver::start().await;
    {
        let mut state = receiver.state();
        (state.refused, state.partial) = (Some("bad"), true);
    }
    let events = batch(["1", "2", "\"bad\"", "4", "5"]);
    let answer = sink(receiver.settings()).write(&events).await;
    assert_eq!(acknowledged(&events, &answer), ["1", "2", "4", "5"]);
    let failure = &answer.expect("an outcome").failures[0];
    let poison = Disposition::Poison { reason: Reason::SinkRejected };
    assert_eq!((failure.index, failure.error.disposition), (2, poison));
    assert!(!failure.error.message.contains("bad"), "{}", failure.error);
    for event in ["1", "2", "4", "5"] {
        assert!(receiver.state().bodies.iter().any(|body| body == event), "{event} is lost");
    }
}

#[tokio::test]
async fn answers_in_the_forms_that_receivers_give_are_understood_and_others_acknowledge_nothing() {
    let json = || vec![("content-type", "application/json".to_owned())];
    for (headers, body, taken) in [
        (Vec::new(), "", true),
        (json(), "", true),
        (json(), "{}", true),
        (json(), "{\"partialSuccess\":{}}", true),
        (
            json(),
            "{\"partialSuccess\":{\"rejectedLogRecords\":\"0\",\"errorMessage\":\"x\"}}",
            true,
        ),
        (json(), "[", false),
        (Vec::new(), "<html>welcome</html>", false),
    ] {
        let receiver = Receiver::start().await;
        receiver.state().instead = Some((headers, body.into()));
        let events = batch(["1", "2"]);
        let answer = sink(receiver.settings()).write(&events).await;
        assert_eq!(acknowledged(&events, &answer).len(), if taken { 2 } else { 0 }, "{body}");
        if !taken {
            let message = only_retries(&answer.expect("an outcome"), 2);
            assert!(message.contains("check the url"), "{message}");
        }
    }
}

#[tokio::test]
async fn what_is_not_about_the_records_is_retried_with_the_time_that_was_named() {
    for status in [301, 401, 403, 404, 405, 429, 500, 502, 503, 504] {
        let receiver = Receiver::start().await;
        receiver.state().status = Some(status);
        let outcome = sink(receiver.settings()).write(&batch(["1", "2"])).await;
        let outcome = outcome.expect("an outcome");
        let named = Disposition::Retry { after: Some(Duration::from_secs(1)) };
        assert!(outcome.failures.iter().all(|it| it.error.disposition == named), "{outcome:?}");
        assert_eq!(receiver.state().requests, 1);
    }
}

#[tokio::test]
async fn what_is_too_large_together_is_sent_apart() {
    let receiver = Receiver::start().await;
    receiver.state().largest_request = Some(1_500);
    let text = |n: usize| format!("\"{}\"", "x".repeat(n));
    let events = batch([text(400), text(401), text(3_000), text(402)]);
    let answer = sink(receiver.settings()).write(&events).await;
    assert_eq!(acknowledged(&events, &answer).len(), 3, "{answer:?}");
    let failures = answer.expect("an outcome").failures;
    let poison = Disposition::Poison { reason: Reason::SinkRecordTooLarge };
    assert_eq!((failures[0].index, failures[0].error.disposition), (2, poison));
}

#[tokio::test]
async fn a_check_finds_a_wrong_path_and_wrong_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, "s3cret").expect("written");
    let receiver = Receiver::start().await;
    receiver.state().api_key = "s3cret".into();
    let text = HeaderText::Secret { prefix: String::new(), source: SecretSource::File(path) };
    let settings = OtlpSettings { headers: vec![("api-key".into(), text)], ..receiver.settings() };
    assert!(!format!("{settings:?}").contains("s3cret"));
    let well = sink(settings.clone());
    well.check().await.expect("well");
    assert_eq!(receiver.state().requests, 0, "nothing is written to find out");
    receiver.state().api_key = "another".into();
    let error = well.check().await.expect_err("401");
    assert!(error.message.contains("check the credentials"), "{error}");
    receiver.state().api_key = "s3cret".into();
    let connection = Connection::new(format!("{}/v1/traces", receiver.service.url));
    let error = sink(OtlpSettings { connection, ..settings }).check().await.expect_err("404");
    assert!(error.message.contains("check the path"), "{error}");
    receiver.state().down = true;
    well.check().await.expect_err("503");
    let proxy = Service::start(|_| gateway(200)).await;
    let error = sink(OtlpSettings::new(proxy.url.clone())).check().await.expect_err("a page");
    assert!(error.message.contains("check the url"), "{error}");
}

#[test]
fn the_content_type_is_the_sinks_own() {
    let settings = OtlpSettings {
        headers: vec![("Content-Type".into(), HeaderText::Plain("text/plain".into()))],
        ..OtlpSettings::new("https://h/v1/logs")
    };
    assert_eq!(settings.validate()[0].key, "headers");
}
