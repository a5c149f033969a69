use std::time::{SystemTime, UNIX_EPOCH};

use trailsift_core::Entry;
use trailsift_delivery::facts;
use trailsift_event::{Event, Outcome};

use super::proto::{
    AnyValue, InstrumentationScope, KeyValue, LogRecord, Request, Resource, ResourceLogs,
    ScopeLogs, Value,
};

/// The events as log records, those of one account and region under one resource. Attributes are
/// named by OpenTelemetry's semantic conventions where these know them.
pub(super) fn request(entries: &[Entry], now: SystemTime) -> Request {
    let observed = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let observed = u64::try_from(observed).unwrap_or_default();
    let mut groups: Vec<(Place, Vec<LogRecord>)> = Vec::new();
    for entry in entries {
        let event = Event::new(&entry.record);
        let of = Place {
            account: facts::account(&event).map(|it| it.into_owned()),
            region: facts::region(&event).map(|it| it.into_owned()),
        };
        let record = log_record(entry, &event, observed);
        match groups.iter_mut().find(|(place, _)| *place == of) {
            Some((_, records)) => records.push(record),
            None => groups.push((of, vec![record])),
        }
    }
    Request { resource_logs: groups.into_iter().map(resource_logs).collect() }
}

/// Where events are from.
#[derive(PartialEq, Eq)]
struct Place {
    account: Option<String>,
    region: Option<String>,
}

fn resource_logs((place, log_records): (Place, Vec<LogRecord>)) -> ResourceLogs {
    let mut attributes = Attributes::default();
    attributes.text("service.name", Some("trailsift"));
    attributes.text("cloud.provider", Some("aws"));
    attributes.text("cloud.account.id", place.account);
    attributes.text("cloud.region", place.region);
    let scope = InstrumentationScope {
        name: "trailsift".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    ResourceLogs {
        resource: Some(Resource { attributes: attributes.0 }),
        scope_logs: vec![ScopeLogs { scope: Some(scope), log_records }],
    }
}

fn log_record(entry: &Entry, event: &Event<'_>, observed: u64) -> LogRecord {
    let time = facts::time(event).map(|time| time.unix_timestamp_nanos());
    let service = event.text("eventSource");
    // What OpenTelemetry calls `rpc.service` of a call of AWS.
    let service = service.as_deref().map(|it| it.strip_suffix(".amazonaws.com").unwrap_or(it));
    let method = event.text("eventName");
    let (severity_number, severity_text, error) = match event.outcome() {
        Outcome::Success => (9, "INFO", None),
        // `error.type` knows a word for what has no name.
        Outcome::Failure { code, .. } => (13, "WARN", Some(code.unwrap_or("_OTHER".into()))),
    };
    let mut attributes = Attributes::default();
    attributes.text("rpc.system", service.map(|_| "aws-api"));
    attributes.text("rpc.service", service);
    attributes.text("rpc.method", method.as_deref());
    attributes.text("error.type", error);
    attributes.text("aws.request_id", event.text("requestID"));
    attributes.text("client.address", event.text("sourceIPAddress"));
    attributes.text("user_agent.original", event.text("userAgent"));
    attributes.text("user.name", event.actor().name);
    attributes.text("aws.s3.bucket", Some(entry.source.bucket.as_str()));
    attributes.text("aws.s3.key", Some(entry.source.key.as_str()));
    attributes.text("trailsift.event_id", Some(facts::id(entry, event)));
    attributes.number("trailsift.index", entry.index);
    let event_name = match (service, &method) {
        (Some(service), Some(method)) => format!("{service}.{method}"),
        _ => String::new(),
    };
    LogRecord {
        // 0 is unknown.
        time_unix_nano: time.and_then(|time| u64::try_from(time).ok()).unwrap_or_default(),
        observed_time_unix_nano: observed,
        severity_number,
        severity_text: severity_text.into(),
        // Events are UTF-8: the others are quarantined as their files are read.
        body: Some(text(String::from_utf8_lossy(&entry.data))),
        attributes: attributes.0,
        event_name,
    }
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// Adds what is there and not empty.
    fn text(&mut self, key: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value.map(Into::into).filter(|value: &String| !value.is_empty()) {
            self.0.push(KeyValue { key: key.into(), value: Some(text(value)) });
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        let value = Value::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        self.0.push(KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }) });
    }
}

fn text(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::Text(text.into())) }
}

#[cfg(test)]
mod tests;
