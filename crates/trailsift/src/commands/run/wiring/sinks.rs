//! Sinks from their configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trailsift_aws::{Connector, Session, SessionSettings};
use trailsift_core::Sink;
use trailsift_pipeline::Budget;
use trailsift_route::Format;
use trailsift_sinks::{
    BatchSettings, Decoration, FileSettings, FileSink, HeaderText, HttpSettings, HttpSink,
    RetrySettings, SecretSource, SinkMetrics, StdoutSink, decorate,
};

use super::bytes;
use crate::config::{
    self, AwsConfig, BodyShape, ByteSize, Compression, Config, FileConfig, HeaderValue, HttpConfig,
    SinkConfig, SinkKind,
};

/// How much longer than a sink's own patience the outermost limit of a write is.
const MARGIN: Duration = Duration::from_secs(5);

/// How many messages may wait for each sink, the quarantine's among them, to fill its batch.
pub(crate) fn lingering(config: &Config, budget: &Budget) -> usize {
    let waited_for = config.sinks.values().filter(|sink| sink.required).count();
    let quarantines = usize::from(matches!(config.quarantine, config::Quarantine::Folder(_)));
    budget.lingering_per_sink(waited_for + quarantines)
}

/// Every sink of the configuration with its decorators, by name. A batch goes as soon as so many
/// messages as are `lingering` wait for it.
pub(crate) async fn sinks(
    config: &Config,
    lingering: usize,
    connector: &Connector,
    metrics: &SinkMetrics,
) -> anyhow::Result<BTreeMap<String, Arc<dyn Sink>>> {
    let mut built = BTreeMap::new();
    for (name, sink) in &config.sinks {
        let (bare, timeout) = bare_sink(name, sink, connector).await?;
        let decoration = Decoration {
            batch: BatchSettings {
                events: sink.batch.events,
                bytes: bytes(sink.batch.bytes),
                linger: sink.batch.linger,
                // No message waits for a best-effort sink.
                callers: if sink.required { lingering } else { usize::MAX },
                ..BatchSettings::default()
            },
            retry: RetrySettings { deadline: sink.retry.deadline, ..RetrySettings::default() },
            timeout,
            required: sink.required,
            ..Decoration::default()
        };
        built.insert(name.clone(), decorate(bare, decoration, metrics));
    }
    Ok(built)
}

/// The sink, and how long one write of it may take at most, if it has no limit of its own.
async fn bare_sink(
    name: &str,
    sink: &SinkConfig,
    connector: &Connector,
) -> anyhow::Result<(Arc<dyn Sink>, Option<Duration>)> {
    Ok(match &sink.kind {
        SinkKind::Stdout => {
            let stdout = StdoutSink::new(name);
            (Arc::new(stdout.with_context(|| format!("sink {name} cannot be started"))?), None)
        }
        SinkKind::File(file) => (Arc::new(FileSink::new(name, file_settings(file))?), None),
        SinkKind::Http(http) => {
            let settings = http_settings(http, media_type(sink, http));
            let timeout = settings.longest_write() + MARGIN;
            (Arc::new(HttpSink::new(name, settings)?), Some(timeout))
        }
    })
}

/// The region and credentials of a sink at AWS.
async fn session(aws: &AwsConfig, connector: &Connector) -> Session {
    let settings = SessionSettings {
        region: aws.region.clone(),
        role_arn: aws.role_arn.clone(),
        external_id: aws.external_id.clone(),
        endpoint_url: aws.endpoint_url.clone(),
    };
    connector.session(&settings).await
}

fn file_settings(file: &FileConfig) -> FileSettings {
    FileSettings {
        path: file.path.clone(),
        compression: file.compression,
        rotate_bytes: file.rotate_size.map(ByteSize::bytes),
        rotate_every: file.rotate_every,
    }
}

/// The media type that the sink's format has in such a body, where it has one of its own: the JSON
/// batch of CloudEvents, or one event alone, which is what most of their receivers take.
fn media_type(sink: &SinkConfig, http: &HttpConfig) -> Option<&'static str> {
    match (sink.format, http.body, sink.batch.events) {
        (Format::CloudEvents, BodyShape::JsonArray, _) => {
            Some("application/cloudevents-batch+json")
        }
        (Format::CloudEvents, BodyShape::Ndjson, 1) => Some("application/cloudevents+json"),
        _ => None,
    }
}

/// Headers of the configuration stand above the `media_type`.
fn http_settings(http: &HttpConfig, media_type: Option<&str>) -> HttpSettings {
    let secret = |source| HeaderText::Secret { prefix: String::new(), source };
    let text = |value: &HeaderValue| match value {
        HeaderValue::Plain(text) => HeaderText::Plain(text.clone()),
        HeaderValue::Env(name) => secret(SecretSource::Env(name.clone())),
        HeaderValue::File(path) => secret(SecretSource::File(path.clone())),
    };
    let mut headers = BTreeMap::new();
    headers.extend(media_type.map(|it| ("content-type".into(), HeaderText::Plain(it.into()))));
    headers.extend(http.headers.iter().map(|(name, value)| (name.clone(), text(value))));
    HttpSettings {
        body: http.body,
        headers: headers.into_iter().collect(),
        gzip: http.compression == Compression::Gzip,
        connect_timeout: http.connect_timeout,
        timeout: http.timeout,
        allow_http: http.allow_http,
        ..HttpSettings::new(http.url.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "application/cloudevents-batch+json";

    /// The `Content-Type` that the wiring names, if any, for this `[sink.siem]`.
    fn content_type(sink: &str) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        let text = format!(
            "[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
             queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"\n\
             buckets = [{{ name = \"org-trail\" }}]\n\
             [[route]]\nname = \"r\"\nsinks = [\"siem\"]\n\
             selector = [{{ eventSource = {{ exists = true }} }}]\n\
             [sink.siem]\ntype = \"http\"\nurl = \"https://collector.example.com/\"\n{sink}"
        );
        std::fs::write(&path, text).expect("written");
        let config = config::load(&path).expect("valid").config;
        let sink = &config.sinks["siem"];
        let SinkKind::Http(http) = &sink.kind else { panic!("an http sink") };
        let headers = http_settings(http, media_type(sink, http)).headers;
        let named = headers.into_iter().find(|(name, _)| name == "content-type");
        named.map(|(_, value)| match value {
            HeaderText::Plain(text) => text,
            HeaderText::Secret { .. } => panic!("no secret"),
        })
    }

    #[test]
    fn cloud_events_travel_under_their_own_media_types() {
        for (sink, expected) in [
            ("format = \"cloudevents\"\nbody = \"json_array\"\n", Some(BATCH)),
            (
                "format = \"cloudevents\"\nbatch = { events = 1 }\n",
                Some("application/cloudevents+json"),
            ),
            ("format = \"cloudevents\"\n", None),
            ("format = \"envelope\"\nbody = \"json_array\"\nbatch = { events = 1 }\n", None),
            (
                "format = \"cloudevents\"\nbody = \"json_array\"\n\
                 headers = { Content-Type = \"application/json\" }\n",
                Some("application/json"),
            ),
        ] {
            assert_eq!(content_type(sink).as_deref(), expected, "{sink}");
        }
    }
}
