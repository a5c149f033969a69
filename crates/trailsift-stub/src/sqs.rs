use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use hyper::body::Incoming;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trailsift_core::{Message, Queue as _, QueueError, Receipt};
use trailsift_testkit::MemoryQueue;

use crate::counts::{add, count};
use crate::server::{Answer, body, whole};
use crate::stub::Shared;

/// How a call fails: `__type` without its namespace, and the message.
struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// SQS's words where the queue answers this error to a call.
    fn of(error: &QueueError) -> Self {
        let text = error.to_string();
        match error {
            QueueError::LeaseLost(_) => Self::new(
                "InvalidParameterValueException",
                "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or \
                 is not available for visibility timeout change.",
            ),
            QueueError::Rejected(text) if text.contains("12 hours") => Self::new(
                "InvalidParameterValueException",
                "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
            ),
            QueueError::NotFound(_) => Self::new("QueueDoesNotExist", text),
            QueueError::Denied(_) => Self::new("AccessDeniedException", text),
            QueueError::Throttled(_) => Self::new("RequestThrottled", text),
            QueueError::Rejected(_) => Self::new("InvalidParameterValueException", text),
            _ => Self::new(INTERNAL, text),
        }
    }
}

/// The one code for which SQS, and not its caller, is to blame.
const INTERNAL: &str = "InternalFailure";

type Answered = Result<String, Refusal>;

/// Answers one call of the JSON protocol.
pub(crate) async fn answer(shared: &Arc<Shared>, target: &str, request: Incoming) -> Answer {
    // A client that breaks off amid its request reads no answer.
    let request = body(request).await.unwrap_or_default();
    let counters = &shared.counters;
    let operation = target.strip_prefix("AmazonSQS.").unwrap_or_default();
    // A batch is allowed by the action of one.
    match operation {
        "" => shared.asks_for(format!("unknown {target}")),
        operation => shared.asks_for(format!("sqs:{}", operation.trim_end_matches("Batch"))),
    }
    let answered = match operation {
        "ReceiveMessage" => {
            count(&counters.receive);
            receive(shared, &request).await
        }
        "DeleteMessage" => {
            count(&counters.delete);
            delete_one(shared, &request).await
        }
        "DeleteMessageBatch" => {
            count(&counters.delete);
            delete(shared, &request).await
        }
        "ChangeMessageVisibility" => {
            count(&counters.change_visibility);
            change_one(shared, &request).await
        }
        "ChangeMessageVisibilityBatch" => {
            count(&counters.change_visibility);
            change(shared, &request).await
        }
        "GetQueueAttributes" => {
            count(&counters.get_attributes);
            attributes(shared, &request).await
        }
        "SendMessage" => {
            count(&counters.send);
            send_one(shared, &request)
        }
        "SendMessageBatch" => {
            count(&counters.send);
            send(shared, &request)
        }
        _ => {
            count(&counters.unknown);
            let text = format!("the stub does not know {target}");
            Err(Refusal::new("UnknownOperationException", text))
        }
    };
    let common = [
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amzn-requestid", "6bd2b0b8-3c6f-5e2b-9d5a-ee3b5d2b2c11"),
    ];
    match answered {
        Ok(text) => whole(200, &common, text),
        Err(Refusal { code, message }) => {
            let kind = format!("com.amazonaws.sqs#{code}");
            let text = json!({ "__type": kind, "message": message }).to_string();
            whole(if code == INTERNAL { 500 } else { 400 }, &common, text)
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(request: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(request)
        .map_err(|error| Refusal::new("SerializationException", error.to_string()))
}

/// The queue that the last part of the URL's path names.
fn queue(shared: &Shared, url: &str) -> Result<MemoryQueue, Refusal> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let missing = || Refusal::new("QueueDoesNotExist", "The specified queue does not exist.");
    shared.queue(name).ok_or_else(missing)
}

fn to_json(answer: &impl Serialize) -> Answered {
    serde_json::to_string(answer).map_err(|error| Refusal::new(INTERNAL, error.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct ReceiveRequest {
    queue_url: String,
    max_number_of_messages: Option<usize>,
    wait_time_seconds: Option<u64>,
    visibility_timeout: Option<u64>,
    message_system_attribute_names: Vec<String>,
    attribute_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReceivedMessage {
    message_id: String,
    receipt_handle: String,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: String,
    body: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    attributes: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<ReceivedMessage>,
}

async fn receive(shared: &Shared, request: &[u8]) -> Answered {
    let call: ReceiveRequest = parse(request)?;
    let queue = queue(shared, &call.queue_url)?;
    let max = call.max_number_of_messages.unwrap_or(1);
    let wait = Duration::from_secs(call.wait_time_seconds.unwrap_or(0));
    let visibility = call.visibility_timeout.map(Duration::from_secs);
    let messages = queue.receive_for(max, wait, visibility).await;
    let messages = messages.map_err(|error| Refusal::of(&error))?;
    let counters = &shared.counters;
    add(&counters.received_messages, messages.len() as u64);
    if messages.is_empty() {
        count(&counters.empty_receives);
    }
    let names = || call.message_system_attribute_names.iter().chain(&call.attribute_names);
    let wants = |name: &str| names().any(|wanted| wanted == name || wanted == "All");
    let messages = messages.into_iter().map(|message| received(message, &wants)).collect();
    to_json(&ReceiveAnswer { messages })
}

fn received(message: Message, wants: &impl Fn(&str) -> bool) -> ReceivedMessage {
    let sent_at = message.sent_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let all = [
        ("ApproximateReceiveCount", Some(message.receive_count.to_string())),
        ("SentTimestamp", sent_at.map(|since| since.as_millis().to_string())),
        ("SenderId", message.sender_id),
    ];
    let asked = all.into_iter().filter(|(name, _)| wants(name));
    let attributes: serde_json::Map<String, Value> =
        asked.filter_map(|(name, value)| Some((name.to_owned(), Value::String(value?)))).collect();
    ReceivedMessage {
        message_id: message.id.0,
        receipt_handle: message.receipt.0,
        md5_of_body: md5(&message.body),
        body: message.body,
        attributes: if attributes.is_empty() { Value::Null } else { attributes.into() },
    }
}

fn md5(text: &str) -> String {
    let digest = Md5::digest(text.as_bytes());
    digest.iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String cannot fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

/// A request about one message.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneRequest {
    queue_url: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
}

/// A request about several messages.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchRequest {
    queue_url: String,
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: String,
    #[serde(default)]
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u64,
    #[serde(default)]
    message_body: String,
}

impl BatchRequest {
    fn read(request: &[u8]) -> Result<Self, Refusal> {
        let batch: Self = parse(request)?;
        match batch.entries.len() {
            0 => Err(Refusal::new("EmptyBatchRequest", "There should be at least one entry.")),
            1..=10 => Ok(batch),
            count => Err(Refusal::new(
                "TooManyEntriesInBatchRequest",
                format!("Maximum number of entries per request are 10. You have sent {count}."),
            )),
        }
    }
}

/// The answer to a batch: one result per entry.
fn batch_answer(
    entries: &[Entry],
    results: impl IntoIterator<Item = Result<Value, Refusal>>,
) -> Answered {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, result) in entries.iter().zip(results) {
        match result {
            Ok(mut value) => {
                value["Id"] = entry.id.as_str().into();
                successful.push(value);
            }
            Err(Refusal { code, message }) => failed.push(json!({
                "Id": entry.id, "Code": code, "Message": message, "SenderFault": code != INTERNAL,
            })),
        }
    }
    let mut answer = json!({});
    if !successful.is_empty() {
        answer["Successful"] = successful.into();
    }
    if !failed.is_empty() {
        answer["Failed"] = failed.into();
    }
    to_json(&answer)
}

async fn delete_one(shared: &Shared, request: &[u8]) -> Answered {
    let call: OneRequest = parse(request)?;
    add(&shared.counters.deleted_receipts, 1);
    let queue = queue(shared, &call.queue_url)?;
    let results = queue.delete(&[Receipt(call.receipt_handle)]).await;
    let result = results.and_then(|results| results.into_iter().next().unwrap_or(Ok(())));
    result.map(|()| "{}".to_owned()).map_err(|error| Refusal::of(&error))
}

async fn delete(shared: &Shared, request: &[u8]) -> Answered {
    let BatchRequest { queue_url, entries } = BatchRequest::read(request)?;
    add(&shared.counters.deleted_receipts, entries.len() as u64);
    let queue = queue(shared, &queue_url)?;
    let receipts: Vec<_> =
        entries.iter().map(|entry| Receipt(entry.receipt_handle.clone())).collect();
    let results = queue.delete(&receipts).await.map_err(|error| Refusal::of(&error))?;
    let results = results.into_iter().map(|result| match result {
        Ok(()) => Ok(json!({})),
        Err(error) => Err(Refusal::of(&error)),
    });
    batch_answer(&entries, results)
}

async fn set_visibility(queue: &MemoryQueue, receipt: String, seconds: u64) -> Result<(), Refusal> {
    let receipt = Receipt(receipt);
    let changed = match seconds {
        0 => queue.release(&receipt, Duration::ZERO).await,
        seconds => queue.extend(&receipt, Duration::from_secs(seconds)).await.map(drop),
    };
    changed.map_err(|error| Refusal::of(&error))
}

async fn change_one(shared: &Shared, request: &[u8]) -> Answered {
    let call: OneRequest = parse(request)?;
    add(&shared.counters.changed_receipts, 1);
    let queue = queue(shared, &call.queue_url)?;
    set_visibility(&queue, call.receipt_handle, call.visibility_timeout).await?;
    Ok("{}".to_owned())
}

async fn change(shared: &Shared, request: &[u8]) -> Answered {
    let BatchRequest { queue_url, entries } = BatchRequest::read(request)?;
    add(&shared.counters.changed_receipts, entries.len() as u64);
    let queue = queue(shared, &queue_url)?;
    let mut results = Vec::with_capacity(entries.len());
    for entry in &entries {
        let receipt = entry.receipt_handle.clone();
        let changed = set_visibility(&queue, receipt, entry.visibility_timeout).await;
        results.push(changed.map(|()| json!({})));
    }
    batch_answer(&entries, results)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributesRequest {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

async fn attributes(shared: &Shared, request: &[u8]) -> Answered {
    let call: AttributesRequest = parse(request)?;
    let queue = queue(shared, &call.queue_url)?;
    let status = queue.status().await.map_err(|error| Refusal::of(&error))?;
    let name = call.queue_url.rsplit('/').next().unwrap_or_default();
    let policy = status.max_receive_count.map(|count| {
        let target = format!("arn:aws:sqs:us-east-1:000000000000:{name}-dead");
        json!({ "deadLetterTargetArn": target, "maxReceiveCount": count }).to_string()
    });
    let all = [
        ("VisibilityTimeout", Some(status.visibility_timeout.as_secs().to_string())),
        ("ApproximateNumberOfMessages", Some(status.visible.to_string())),
        ("ApproximateNumberOfMessagesNotVisible", Some(status.in_flight.to_string())),
        ("ApproximateNumberOfMessagesDelayed", Some(status.delayed.to_string())),
        ("QueueArn", Some(format!("arn:aws:sqs:us-east-1:000000000000:{name}"))),
        ("RedrivePolicy", policy),
    ];
    let wants =
        |name: &str| call.attribute_names.iter().any(|wanted| wanted == name || wanted == "All");
    let wanted = all.into_iter().filter(|(name, _)| wants(name));
    let attributes: serde_json::Map<String, Value> =
        wanted.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    to_json(&json!({ "Attributes": attributes }))
}

fn sent(queue: &MemoryQueue, body: String) -> Value {
    let digest = md5(&body);
    json!({ "MessageId": queue.send(body).0, "MD5OfMessageBody": digest })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendRequest {
    queue_url: String,
    message_body: String,
}

fn send_one(shared: &Shared, request: &[u8]) -> Answered {
    let call: SendRequest = parse(request)?;
    to_json(&sent(&queue(shared, &call.queue_url)?, call.message_body))
}

fn send(shared: &Shared, request: &[u8]) -> Answered {
    let BatchRequest { queue_url, mut entries } = BatchRequest::read(request)?;
    let queue = queue(shared, &queue_url)?;
    let bodies: Vec<_> =
        entries.iter_mut().map(|entry| std::mem::take(&mut entry.message_body)).collect();
    batch_answer(&entries, bodies.into_iter().map(|body| Ok(sent(&queue, body))))
}
