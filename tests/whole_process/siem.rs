//! Splunk, OpenSearch and OTLP beside each other: each busy at first, each gets every event once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::delivery::{KEY, selected, some_file, sorted};
use crate::stack::Stack;
use crate::trailsift::Trailsift;

/// What arrived, for each service, and how often it was asked.
#[derive(Default)]
struct Taken {
    splunk: Vec<Vec<u8>>,
    search: Vec<(String, Vec<u8>)>,
    otlp: Vec<Bytes>,
    events: usize,
    polls: usize,
    bulks: usize,
    logs: usize,
}

type Shared = Arc<Mutex<Taken>>;

async fn answer(
    State(shared): State<Shared>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut taken = shared.lock().expect("not poisoned");
    let text = |name: &str| headers.get(name).map_or("", |it| it.to_str().expect("text"));
    match uri.path() {
        "/services/collector/event" => {
            assert_eq!(text("authorization"), "Splunk very-secret-token");
            taken.events += 1;
            if taken.events == 1 {
                let busy = json!({"text": "Server is busy", "code": 9}).to_string();
                return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
            }
            for event in serde_json::Deserializer::from_slice(&body).into_iter::<&RawValue>() {
                let event: std::collections::HashMap<&str, &RawValue> =
                    serde_json::from_str(event.expect("JSON").get()).expect("an object");
                taken.splunk.push(event["event"].get().as_bytes().to_vec());
            }
            json!({"text": "Success", "code": 0, "ackId": taken.events}).to_string().into_response()
        }
        "/services/collector/ack" => {
            taken.polls += 1;
            let asked: Value = serde_json::from_slice(&body).expect("JSON");
            // The indexer takes its time.
            let has = taken.polls % 2 == 0;
            let acks = asked["acks"].as_array().expect("numbers").iter();
            let acks: Value = acks.map(|id| (id.to_string(), json!(has))).collect();
            json!({ "acks": acks }).to_string().into_response()
        }
        "/_bulk" => {
            assert_eq!(text("authorization"), "ApiKey very-secret-token");
            taken.bulks += 1;
            let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
            let mut items = Vec::new();
            for pair in lines.chunks_exact(2) {
                // Of the first request every other event is taken.
                if taken.bulks == 1 && items.len() % 2 == 1 {
                    let error = json!({"type": "es_rejected_execution_exception"});
                    items.push(json!({"create": {"status": 429, "error": error}}));
                    continue;
                }
                let action: Value = serde_json::from_slice(pair[0]).expect("an action");
                let id = action["create"]["_id"].as_str().expect("an id").to_owned();
                taken.search.push((id, pair[1].to_vec()));
                items.push(json!({"create": {"status": 201}}));
            }
            json!({"errors": taken.bulks == 1, "items": items}).to_string().into_response()
        }
        "/v1/logs" => {
            assert_eq!(text("api-key"), "very-secret-token");
            // Checks are empty.
            if !body.is_empty() {
                taken.logs += 1;
                if taken.logs == 1 {
                    return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response();
                }
                taken.otlp.push(body);
            }
            StatusCode::OK.into_response()
        }
        _ => StatusCode::OK.into_response(),
    }
}

fn sections(port: u16) -> String {
    let url = format!("http://127.0.0.1:{port}");
    let more = "compression = \"none\"\nbatch = { events = 5 }\n";
    let secret = "{ env = \"TEST_TOKEN\" }";
    format!(
        "[[route]]\nname = \"r\"\nsinks = [\"splunk\", \"search\", \"otlp\"]\n[[route.selector]]\n\
         eventSource = {{ equals = [\"codeguru-reviewer.amazonaws.com\"] }}\n\
         [sink.splunk]\ntype = \"splunk_hec\"\nurl = \"{url}\"\ntoken = {secret}\n{more}\
         [sink.search]\ntype = \"opensearch\"\nurl = \"{url}\"\napi_key = {secret}\n{more}\
         [sink.otlp]\ntype = \"otlp\"\nurl = \"{url}/v1/logs\"\nheaders = {{ api-key = {secret} }}\n{more}"
    )
}

#[tokio::test]
#[ignore = "needs LocalStack: cargo xtask test"]
async fn splunk_opensearch_and_otlp_get_every_event_once_though_each_is_busy_at_first() {
    let shared = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });

    let stack = Stack::create("siem", 30).await;
    let trailsift = Trailsift::configure(&stack, "", &sections(port));
    let file = some_file(12);
    stack.put(KEY, file.gzip()).await;
    let ended = trailsift.run_until_empty().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert!(!ended.log.contains("very-secret-token"));

    let expected = sorted(selected(&file));
    let taken = shared.lock().expect("not poisoned");
    assert_eq!(sorted(taken.splunk.clone()), expected);
    let documents = taken.search.iter().map(|(_, document)| document.clone());
    assert_eq!(sorted(documents.collect()), expected);
    for (id, document) in &taken.search {
        let event: Value = serde_json::from_slice(document).expect("JSON");
        assert_eq!(event["eventID"].as_str(), Some(id.as_str()));
    }
    // A record's bytes stand in a log record's body as they are.
    let logs = taken.otlp.concat();
    for record in &expected {
        let found = logs.windows(record.len()).filter(|window| window == record).count();
        assert_eq!(found, 1, "{}", String::from_utf8_lossy(record));
    }
    assert!(taken.events > 1 && taken.bulks > 1 && taken.logs > 1);
}
