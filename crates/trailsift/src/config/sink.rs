//! `[sink.NAME]`.

use std::time::Duration;

use trailsift_route::Format;

use super::findings::{At, Place};
use super::kinds::{Flag, Integer, OneOf, Size, Span, TableOf};
use super::names::is_name;
use super::reader::{Node, Section};
use super::{BatchConfig, ByteSize, Compression, RetryConfig, SinkConfig, SinkKind};

mod aws;
mod cloudwatch_logs;
mod connection;
mod eventbridge;
mod file;
mod firehose;
mod http;
mod kafka;
mod kinesis;
mod opensearch;
mod otlp;
mod s3;
mod secret;
mod sns;
mod splunk_hec;
mod sqs;

pub use aws::AwsConfig;
pub use cloudwatch_logs::CloudWatchLogsConfig;
pub use eventbridge::EventBridgeConfig;
pub use file::FileConfig;
pub use firehose::FirehoseConfig;
pub use http::HttpConfig;
pub use kafka::{KafkaConfig, MskIam};
pub use kinesis::KinesisConfig;
pub use opensearch::{OpenSearchConfig, SearchAws};
pub use otlp::OtlpConfig;
pub use s3::S3Config;
pub use secret::HeaderValue;
pub use sns::SnsConfig;
pub use splunk_hec::SplunkConfig;
pub use sqs::SqsConfig;

/// A sink as written.
pub(super) struct SinkDraft {
    pub(super) name: At<String>,
    /// Absent if a part of it could not be read.
    pub(super) config: Option<SinkConfig>,
    /// Where a file sink's path stands.
    pub(super) path: Option<Place>,
}

/// Standard output with every default.
pub(super) fn stdout() -> SinkConfig {
    SinkConfig {
        kind: SinkKind::Stdout,
        format: Format::Raw,
        required: true,
        batch: BATCH,
        retry: RETRY,
    }
}

const BATCH: BatchConfig =
    BatchConfig { events: 500, bytes: ByteSize::mebibytes(1), linger: Duration::from_millis(200) };
/// A sink that writes objects: each costs a request, and whoever reads them opens every one. Its
/// messages keep their workers meanwhile, so it waits for less than it may.
const BATCH_OF_OBJECTS: BatchConfig = BatchConfig {
    events: MOST_EVENTS as usize,
    bytes: ByteSize::mebibytes(8),
    linger: Duration::from_secs(10),
};
const MOST_EVENTS: u32 = 100_000;
/// The most seconds that an event may wait for company. Its message waits for a minute and then comes
/// again: half of that is left for the write, or healthy sinks would get duplicates.
const LONGEST_LINGER: u64 = 30;
const RETRY: RetryConfig = RetryConfig { deadline: Duration::from_secs(300) };

/// Reads the table of all sinks.
pub(super) fn sinks(node: &Node<'_, '_>) -> Vec<SinkDraft> {
    let Some(section) = node.section() else {
        node.wrong_type_with(
            "a table of sinks: [sink.NAME]",
            "give each sink a heading with its name",
        );
        return Vec::new();
    };
    let entries = section.entries();
    entries.into_iter().map(|(name, node)| sink(name, &node)).collect()
}

fn sink(name: At<String>, node: &Node<'_, '_>) -> SinkDraft {
    let findings = node.scope.findings;
    let before = findings.errors();
    if !is_name(&name.value) {
        findings.error(
            name.place,
            format!("{:?} is no name of a sink", name.value),
            "use 1 to 64 letters, digits, `-`, `_` and `.`",
        );
    }
    if name.value == "history" {
        findings.error(
            name.place,
            "the sink `history` is not available in this version",
            "the name is reserved: choose another one",
        );
    }
    let mut path = None;
    let config = match node.section() {
        Some(mut section) => {
            let config = known(&mut section, &mut path);
            match config {
                Some(_) => section.finish(),
                // Without its type, which keys belong to it is unknown.
                None => section.finish_in_doubt(),
            }
            config
        }
        None => {
            let hint = format!(
                "write a heading, [sink.{}], and its keys below",
                name.value.escape_debug()
            );
            node.wrong_type_with("a table", &hint);
            None
        }
    };
    SinkDraft { name, config: config.filter(|_| findings.errors() == before), path }
}

#[derive(Clone, Copy)]
enum Type {
    Stdout,
    File,
    Http,
    SplunkHec,
    OpenSearch,
    Otlp,
    Kafka,
    S3,
    Kinesis,
    Firehose,
    Sqs,
    Sns,
    EventBridge,
    CloudWatchLogs,
}

const TYPE: OneOf<Type> = OneOf {
    words: &[
        ("stdout", Type::Stdout),
        ("file", Type::File),
        ("http", Type::Http),
        ("splunk_hec", Type::SplunkHec),
        ("opensearch", Type::OpenSearch),
        ("otlp", Type::Otlp),
        ("kafka", Type::Kafka),
        ("s3", Type::S3),
        ("kinesis", Type::Kinesis),
        ("firehose", Type::Firehose),
        ("sqs", Type::Sqs),
        ("sns", Type::Sns),
        ("eventbridge", Type::EventBridge),
        ("cloudwatch_logs", Type::CloudWatchLogs),
    ],
    later: &["history"],
};

const FORMAT: OneOf<Format> = OneOf { words: &FORMATS, later: &[] };
const FORMATS: [(&str, Format); Format::ALL.len()] = {
    let mut words = [("", Format::Raw); Format::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = (Format::ALL[at].name(), Format::ALL[at]);
        at += 1;
    }
    words
};

fn known(section: &mut Section<'_, '_>, path: &mut Option<Place>) -> Option<SinkConfig> {
    let kind = section.need("type", TYPE);
    let format = section.get_or("format", FORMAT, Format::Raw);
    let required = section.get_or("required", Flag, true);
    let usual = match &kind {
        Some(kind) if matches!(kind.value, Type::S3) => BATCH_OF_OBJECTS,
        _ => BATCH,
    };
    let batch = section.get_or(
        "batch",
        TableOf(|section: &mut Section<'_, '_>| batch(section, usual)),
        usual,
    );
    let retry = section.get_or("retry", TableOf(retry), RETRY);
    let kind = kind?;
    let kind = match kind.value {
        Type::Stdout => SinkKind::Stdout,
        Type::File => SinkKind::File(file::file(section, path)),
        Type::Http => SinkKind::Http(http::http(section)),
        Type::SplunkHec => SinkKind::SplunkHec(splunk_hec::splunk_hec(section)),
        Type::OpenSearch => SinkKind::OpenSearch(opensearch::opensearch(section)),
        Type::Otlp => SinkKind::Otlp(otlp::otlp(section)),
        Type::Kafka => SinkKind::Kafka(kafka::kafka(section, kind.place)),
        Type::S3 => SinkKind::S3(s3::s3(section)),
        Type::Kinesis => SinkKind::Kinesis(kinesis::kinesis(section)),
        Type::Firehose => SinkKind::Firehose(firehose::firehose(section)),
        Type::Sqs => SinkKind::Sqs(sqs::sqs(section)),
        Type::Sns => SinkKind::Sns(sns::sns(section)),
        Type::EventBridge => SinkKind::EventBridge(eventbridge::eventbridge(section)),
        Type::CloudWatchLogs => SinkKind::CloudWatchLogs(cloudwatch_logs::cloudwatch_logs(section)),
    };
    Some(SinkConfig { kind, format, required, batch, retry })
}

/// What is not said is as usual for this type of sink.
fn batch(section: &mut Section<'_, '_>, usual: BatchConfig) -> Option<BatchConfig> {
    let events = section.get("events", Integer(1..=MOST_EVENTS));
    Some(BatchConfig {
        events: events.map_or(usual.events, |events| events.value as usize),
        bytes: section.get_or(
            "bytes",
            Size(ByteSize::new(1 << 10)..=ByteSize::mebibytes(64)),
            usual.bytes,
        ),
        linger: section.get_or("linger", Span::seconds(0, LONGEST_LINGER), usual.linger),
    })
}

fn retry(section: &mut Section<'_, '_>) -> Option<RetryConfig> {
    let deadline = section.get_or("deadline", Span::seconds(1, 6 * 3600), RETRY.deadline);
    Some(RetryConfig { deadline })
}

/// How a sink's files or bodies are compressed.
const COMPRESSION: OneOf<Compression> = OneOf {
    words: &[("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)],
    later: &[],
};

pub(super) const fn compression_word(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Zstd => "zstd",
    }
}
