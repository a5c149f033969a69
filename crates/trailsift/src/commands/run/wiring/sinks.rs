//! Sinks from their configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trailsift_aws::{Connector, Session, SessionSettings};
use trailsift_aws_sinks::{
    CloudWatchLogsSink, EventBridgeSink, FirehoseSink, KinesisSink, LONGEST_WRITE, S3Sink, SnsSink,
    SqsSink,
};
use trailsift_core::Sink;
use trailsift_delivery::{BatchSettings, Decoration, RetrySettings, SinkMetrics, decorate};
use trailsift_pipeline::Budget;
use trailsift_route::Format;
#[cfg(feature = "kafka")]
use trailsift_sinks::KafkaSink;
use trailsift_sinks::{
    FileSink, HeaderText, HttpSettings, HttpSink, OpenSearchSink, OtlpSettings, OtlpSink,
    SecretSource, SplunkSink, StdoutSink,
};

#[cfg(feature = "kafka")]
mod msk;
mod signing;

use super::bytes;
use crate::config::{
    self, AwsConfig, BodyShape, Config, HeaderValue, HttpConfig, OpenSearchConfig, SinkConfig,
    SinkKind, SplunkConfig,
};
use crate::stdio;

/// How much longer than a sink's own patience the outermost limit of a write is.
const MARGIN: Duration = Duration::from_secs(5);

/// From here on a batch's linger keeps the workers that wait for it from much other work.
const LONG_LINGER: Duration = Duration::from_secs(1);

/// How many messages may wait for a sink to fill its batch.
///
/// Half of an account's workers may wait for all sinks together that linger for long, and as many for
/// those that do not: of these nobody waits for as much as a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lingering {
    long: usize,
    brief: usize,
}

impl Lingering {
    /// Nobody waits for anybody.
    pub(in crate::commands) const ALONE: Self = Self { long: 1, brief: 1 };

    pub(crate) fn plan(config: &Config, budget: &Budget) -> Self {
        let required = config.sinks.values().filter(|sink| sink.required);
        let (long, brief): (Vec<_>, Vec<_>) =
            required.partition(|sink| sink.batch.linger >= LONG_LINGER);
        let quarantines = usize::from(matches!(config.quarantine, config::Quarantine::Folder(_)));
        Self {
            long: budget.lingering_per_sink(long.len()),
            brief: budget.lingering_per_sink(brief.len() + quarantines),
        }
    }

    /// For a sink whose batches linger so long.
    pub(super) fn of(self, linger: Duration) -> usize {
        if linger < LONG_LINGER { self.brief } else { self.long }
    }
}

/// Every sink of the configuration with its decorators, by name. A batch goes as soon as so many
/// messages wait for it as `lingering` says.
pub(crate) async fn sinks(
    config: &Config,
    lingering: Lingering,
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
                callers: if sink.required { lingering.of(sink.batch.linger) } else { usize::MAX },
                in_flight: in_flight(sink),
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

/// How many batches of a sink are on their way at the same time.
///
/// An indexer's acknowledgement takes seconds, in which a few batches would be all that arrives; they
/// are many only as long as they are small, since each may stay in memory for as long.
fn in_flight(sink: &SinkConfig) -> usize {
    const MEMORY: usize = 32 << 20;
    let usual = BatchSettings::default().in_flight;
    match &sink.kind {
        SinkKind::SplunkHec(splunk) if splunk.settings.acknowledge => {
            (MEMORY / bytes(sink.batch.bytes)).clamp(usual, 32)
        }
        _ => usual,
    }
}

/// The sink, and how long one write of it may take at most, if it has no limit of its own.
async fn bare_sink(
    name: &str,
    sink: &SinkConfig,
    connector: &Connector,
) -> anyhow::Result<(Arc<dyn Sink>, Option<Duration>)> {
    Ok(match &sink.kind {
        SinkKind::Stdout => {
            let stdout = stdio::standard_output().and_then(|()| StdoutSink::new(name));
            let problem = || {
                format!(
                    "sink {name} cannot write to standard output: connect it, or name another sink"
                )
            };
            (Arc::new(stdout.with_context(problem)?), None)
        }
        SinkKind::File(file) => (Arc::new(FileSink::new(name, file.settings())?), None),
        SinkKind::Http(http) => {
            let settings = http_settings(http, media_type(sink, http));
            let timeout = settings.longest_write() + MARGIN;
            (Arc::new(HttpSink::new(name, settings)?), Some(timeout))
        }
        SinkKind::SplunkHec(SplunkConfig { settings }) => {
            let timeout = settings.longest_write() + MARGIN;
            (Arc::new(SplunkSink::new(name, settings.clone())?), Some(timeout))
        }
        SinkKind::OpenSearch(OpenSearchConfig { settings, aws }) => {
            let timeout = settings.longest_write() + MARGIN;
            let sink = match aws {
                Some(aws) => signing::search(name, settings.clone(), aws, connector).await?,
                None => OpenSearchSink::new(name, settings.clone())?,
            };
            (Arc::new(sink), Some(timeout))
        }
        SinkKind::Otlp(otlp) => {
            let settings = OtlpSettings {
                connection: otlp.connection.clone(),
                headers: otlp.headers.iter().map(header).collect(),
                gzip: otlp.gzip,
                ..OtlpSettings::new("")
            };
            let timeout = settings.longest_write() + MARGIN;
            (Arc::new(OtlpSink::new(name, settings)?), Some(timeout))
        }
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(kafka) => {
            let mut settings = kafka.settings.clone();
            // The client gives up before those who repeat its writes do.
            settings.timeout = settings.timeout.min(sink.retry.deadline);
            let timeout = settings.longest_write() + MARGIN;
            let sink = match &kafka.msk {
                Some(msk) => msk::sink(name, settings, msk, connector).await?,
                None => KafkaSink::new(name, settings)?,
            };
            (Arc::new(sink), Some(timeout))
        }
        #[cfg(not(feature = "kafka"))]
        SinkKind::Kafka(_) => anyhow::bail!("sink {name}: this build of trailsift has no Kafka"),
        SinkKind::S3(s3) => {
            let session = session(&s3.aws, connector).await;
            let sink = S3Sink::new(name, &session, s3.settings.clone());
            (Arc::new(sink), Some(S3Sink::LONGEST_WRITE + MARGIN))
        }
        SinkKind::Kinesis(kinesis) => {
            let session = session(&kinesis.aws, connector).await;
            let sink = KinesisSink::new(name, &session, kinesis.settings.clone());
            (Arc::new(sink), Some(LONGEST_WRITE + MARGIN))
        }
        SinkKind::Sqs(sqs) => {
            let session = session(&sqs.aws, connector).await;
            let sink = SqsSink::new(name, &session, sqs.settings.clone());
            (Arc::new(sink), Some(LONGEST_WRITE + MARGIN))
        }
        SinkKind::Sns(sns) => {
            let session = session(&sns.aws, connector).await;
            let sink = SnsSink::new(name, &session, sns.settings.clone());
            (Arc::new(sink), Some(LONGEST_WRITE + MARGIN))
        }
        SinkKind::EventBridge(bus) => {
            let session = session(&bus.aws, connector).await;
            let sink = EventBridgeSink::new(name, &session, bus.settings.clone());
            (Arc::new(sink), Some(LONGEST_WRITE + MARGIN))
        }
        SinkKind::CloudWatchLogs(logs) => {
            let session = session(&logs.aws, connector).await;
            let sink = CloudWatchLogsSink::new(name, &session, logs.settings.clone());
            (Arc::new(sink), Some(LONGEST_WRITE + MARGIN))
        }
        SinkKind::Firehose(firehose) => {
            let session = session(&firehose.aws, connector).await;
            let sink = FirehoseSink::new(name, &session, firehose.stream.clone());
            (Arc::new(sink), Some(LONGEST_WRITE + MARGIN))
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

/// A header as sinks take it.
fn header((name, value): (&String, &HeaderValue)) -> (String, HeaderText) {
    let secret = |source| HeaderText::Secret { prefix: String::new(), source };
    let text = match value {
        HeaderValue::Plain(text) => HeaderText::Plain(text.clone()),
        HeaderValue::Env(name) => secret(SecretSource::Env(name.clone())),
        HeaderValue::File(path) => secret(SecretSource::File(path.clone())),
    };
    (name.clone(), text)
}

/// Headers of the configuration stand above the `media_type`.
fn http_settings(http: &HttpConfig, media_type: Option<&str>) -> HttpSettings {
    let mut headers = BTreeMap::new();
    headers.extend(media_type.map(|it| ("content-type".into(), HeaderText::Plain(it.into()))));
    headers.extend(http.headers.iter().map(header));
    let connection = http.connection.clone();
    HttpSettings {
        body: http.body,
        headers: headers.into_iter().collect(),
        gzip: http.gzip,
        connect_timeout: connection.connect_timeout,
        timeout: connection.timeout,
        allow_http: connection.allow_http,
        ca_file: connection.ca_file,
        ..HttpSettings::new(connection.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "application/cloudevents-batch+json";

    /// A configuration whose route leads to these sinks, the first of them `[sink.siem]`.
    fn configured(names: &str, sinks: &str) -> Config {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        let text = format!(
            "[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
             queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"\n\
             buckets = [{{ name = \"org-trail\" }}]\n\
             [[route]]\nname = \"r\"\nsinks = [{names}]\n\
             selector = [{{ eventSource = {{ exists = true }} }}]\n\
             [sink.siem]\ntype = \"http\"\nurl = \"https://collector.example.com/\"\n{sinks}"
        );
        std::fs::write(&path, text).expect("written");
        config::load(&path).expect("valid").config
    }

    #[test]
    fn half_of_the_workers_wait_for_sinks_that_linger_long_and_as_many_for_the_others() {
        let budget = Budget::plan(256 << 20, 64, 1, 1 << 20);
        let plan = |names: &str, sinks: &str| {
            let config = configured(names, sinks);
            let lingering = Lingering::plan(&config, &budget);
            let of = |sink: &SinkConfig| lingering.of(sink.batch.linger);
            config.sinks.values().map(of).collect::<Vec<_>>()
        };
        let lake = |name: &str, more: &str| {
            format!(
                "[sink.{name}]\ntype = \"s3\"\nbucket = \"lake\"\nregion = \"us-east-1\"\n{more}"
            )
        };
        // The folder of the quarantine is one of those that do not linger.
        assert_eq!(plan("\"siem\"", ""), [16]);
        assert_eq!(plan("\"siem\", \"lake\"", &lake("lake", "")), [32, 16]);
        let two = lake("lake", "") + &lake("other", "batch = { bytes = \"1MiB\" }\n");
        assert_eq!(plan("\"siem\", \"lake\", \"other\"", &two), [16, 16, 16]);
        // Nobody waits for one that is best effort.
        let two = lake("lake", "") + &lake("other", "required = false\n");
        assert_eq!(plan("\"siem\", \"lake\", \"other\"", &two)[0], 32);
    }

    /// The `Content-Type` that the wiring names, if any, for this `[sink.siem]`.
    fn content_type(sink: &str) -> Option<String> {
        let config = configured("\"siem\"", sink);
        let sink = &config.sinks["siem"];
        let SinkKind::Http(http) = &sink.kind else { panic!("an http sink") };
        let headers = http_settings(http, media_type(sink, http)).headers;
        let named = headers.into_iter().find(|(name, _)| name == "content-type");
        named.map(|(_, value)| match value {
            HeaderText::Plain(text) => text,
            HeaderText::Secret { .. } | HeaderText::Basic { .. } => panic!("no secret"),
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
