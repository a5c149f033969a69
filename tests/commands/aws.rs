//! As much of SQS and S3 as the service asks for, on loopback, and a collector of events beside them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The bucket that the service may read.
pub(crate) const BUCKET: &str = "org-trail";

/// The server. It ends when dropped.
pub(crate) struct Aws {
    pub(crate) endpoint: String,
    shared: Shared,
    _runtime: Runtime,
}

type Shared = Arc<Mutex<World>>;

#[derive(Default)]
struct World {
    messages: Vec<Queued>,
    /// By bucket and key, with a slash between.
    objects: HashMap<String, Vec<u8>>,
    /// The events that were posted to `/collect`, one per line.
    collected: Vec<String>,
    /// What the collector answers instead of taking events.
    refusal: Option<StatusCode>,
    receipts: u64,
}

struct Queued {
    id: String,
    body: String,
    receipt: String,
    receives: u64,
    hidden_until: Instant,
}

impl Aws {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Shared::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { endpoint, shared, _runtime: runtime }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.lock().expect("no panic while it is held")
    }

    /// Puts a message with this body into the queue.
    pub(crate) fn send(&self, body: impl Into<String>) {
        let mut world = self.world();
        let id = format!("message-{}", world.messages.len() + 1);
        let (receipt, hidden_until) = (String::new(), Instant::now());
        world.messages.push(Queued { id, body: body.into(), receipt, receives: 0, hidden_until });
    }

    /// Stores an object and notifies of it.
    pub(crate) fn deliver(&self, key: &str, stored: Vec<u8>) {
        self.world().objects.insert(format!("{BUCKET}/{key}"), stored);
        self.send(notification(BUCKET, key));
    }

    /// How many messages are not deleted.
    pub(crate) fn left(&self) -> usize {
        self.world().messages.len()
    }

    /// Has the collector answer every post with this status and take nothing; `None` mends it.
    pub(crate) fn refuse(&self, status: Option<u16>) {
        self.world().refusal = status.map(|code| StatusCode::from_u16(code).expect("a status"));
    }

    /// What the collector took, sorted.
    pub(crate) fn collected(&self) -> Vec<String> {
        let mut collected = self.world().collected.clone();
        collected.sort();
        collected
    }
}

/// What S3 says of a new object whose key needs no encoding.
pub(crate) fn notification(bucket: &str, key: &str) -> String {
    let record = json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
        "eventTime": "2026-01-15T00:07:00.000Z", "eventName": "ObjectCreated:Put",
        "s3": { "s3SchemaVersion": "1.0", "bucket": { "name": bucket }, "object": { "key": key } }
    });
    json!({ "Records": [record] }).to_string()
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(target) = headers.get("x-amz-target") else {
        return plain(&shared, &method, uri.path(), &body);
    };
    let call: Value = serde_json::from_slice(&body).expect("JSON");
    let answer = match target.to_str().expect("text") {
        "AmazonSQS.GetQueueAttributes" => attributes(&shared),
        "AmazonSQS.ReceiveMessage" => receive(&shared, &call).await,
        "AmazonSQS.ChangeMessageVisibility" => {
            let seconds = call["VisibilityTimeout"].as_u64().expect("seconds");
            let mut world = shared.lock().expect("no panic while it is held");
            let held = world.messages.iter_mut().find(|m| call["ReceiptHandle"] == m.receipt);
            if let Some(message) = held {
                message.hidden_until = Instant::now() + Duration::from_secs(seconds);
            }
            json!({})
        }
        "AmazonSQS.DeleteMessageBatch" => {
            let mut world = shared.lock().expect("no panic while it is held");
            let entries = call["Entries"].as_array().expect("entries");
            for entry in entries {
                world.messages.retain(|message| entry["ReceiptHandle"] != message.receipt);
            }
            let done: Vec<_> = entries.iter().map(|entry| json!({ "Id": entry["Id"] })).collect();
            json!({ "Successful": done, "Failed": [] })
        }
        other => panic!("nobody should ask for {other}"),
    };
    let json = [("content-type", "application/x-amz-json-1.0")];
    (json, answer.to_string()).into_response()
}

/// The collector, or an object.
fn plain(shared: &Shared, method: &Method, path: &str, body: &Bytes) -> Response {
    let mut world = shared.lock().expect("no panic while it is held");
    if path == "/collect" {
        // It has nothing against being asked whether it is there.
        if let Some(status) = world.refusal.filter(|_| method == Method::POST) {
            return status.into_response();
        }
        let text = std::str::from_utf8(body).expect("text");
        world.collected.extend(text.lines().map(str::to_owned));
        return StatusCode::NO_CONTENT.into_response();
    }
    assert_eq!(method, Method::GET, "{path}");
    match world.objects.get(path.trim_start_matches('/')) {
        Some(stored) => ([("etag", "\"1\"")], stored.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>").into_response(),
    }
}

fn attributes(shared: &Shared) -> Value {
    let world = shared.lock().expect("no panic while it is held");
    let now = Instant::now();
    let visible = world.messages.iter().filter(|message| message.hidden_until <= now).count();
    json!({ "Attributes": {
        "VisibilityTimeout": "30",
        "ApproximateNumberOfMessages": visible.to_string(),
        "ApproximateNumberOfMessagesNotVisible": (world.messages.len() - visible).to_string(),
        "ApproximateNumberOfMessagesDelayed": "0",
    } })
}

async fn receive(shared: &Shared, call: &Value) -> Value {
    let most = usize::try_from(call["MaxNumberOfMessages"].as_u64().unwrap_or(1)).expect("few");
    let end = Instant::now() + Duration::from_secs(call["WaitTimeSeconds"].as_u64().unwrap_or(0));
    let lease = Duration::from_secs(call["VisibilityTimeout"].as_u64().unwrap_or(30));
    loop {
        let taken = take(&mut shared.lock().expect("no panic while it is held"), most, lease);
        if !taken.is_empty() || Instant::now() >= end {
            return json!({ "Messages": taken });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn take(world: &mut World, most: usize, lease: Duration) -> Vec<Value> {
    let now = Instant::now();
    let mut receipts = world.receipts;
    let visible = world.messages.iter_mut().filter(|message| message.hidden_until <= now);
    let taken = visible
        .take(most)
        .map(|message| {
            receipts += 1;
            message.receives += 1;
            message.hidden_until = now + lease;
            message.receipt = format!("receipt-{receipts}");
            json!({
                "MessageId": message.id, "ReceiptHandle": message.receipt, "Body": message.body,
                "Attributes": {
                    "ApproximateReceiveCount": message.receives.to_string(),
                    "SentTimestamp": "1768435620000", "SenderId": "AIDA\u{1b}[31m\nforged"
                }
            })
        })
        .collect();
    world.receipts = receipts;
    taken
}
