//! `[sink.NAME]`.

use std::time::Duration;

use trailsift_route::Format;

use super::findings::{At, Place};
use super::kinds::{Flag, Integer, OneOf, Size, Span, TableOf};
use super::names::is_name;
use super::reader::{Node, Section};
use super::{BatchConfig, ByteSize, Compression, RetryConfig, SinkConfig, SinkKind};

mod aws;
mod file;
mod http;
mod secret;

pub use aws::AwsConfig;
pub use file::FileConfig;
pub use http::HttpConfig;
pub use secret::HeaderValue;

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
/// The most seconds that an event may wait for company. Its message waits for a minute and then comes
/// again: half of that is left for the write, or healthy sinks would get duplicates.
const LONGEST_LINGER: u64 = 30;
const RETRY: RetryConfig = RetryConfig { deadline: Duration::from_secs(300) };

/// Reads the table of all sinks.
pub(super) fn sinks(node: &Node<'_, '_>) -> Vec<SinkDraft> {
    let Some(section) = node.section() else {
        node.wrong_type("a table of sinks: [sink.NAME]");
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
            node.wrong_type("a table");
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
}

const TYPE: OneOf<Type> = OneOf {
    words: &[("stdout", Type::Stdout), ("file", Type::File), ("http", Type::Http)],
    later: &["sqs", "sns", "kinesis", "firehose", "eventbridge", "kafka", "s3", "history"],
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
    let batch = section.get_or("batch", TableOf(batch), BATCH);
    let retry = section.get_or("retry", TableOf(retry), RETRY);
    let kind = match kind?.value {
        Type::Stdout => SinkKind::Stdout,
        Type::File => SinkKind::File(file::file(section, path)),
        Type::Http => SinkKind::Http(http::http(section)),
    };
    Some(SinkConfig { kind, format, required, batch, retry })
}

fn batch(section: &mut Section<'_, '_>) -> Option<BatchConfig> {
    Some(BatchConfig {
        events: section.get_or("events", Integer(1..=100_000), 500) as usize,
        bytes: section.get_or(
            "bytes",
            Size(ByteSize::new(1 << 10)..=ByteSize::mebibytes(64)),
            BATCH.bytes,
        ),
        linger: section.get_or("linger", Span::seconds(0, LONGEST_LINGER), BATCH.linger),
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
