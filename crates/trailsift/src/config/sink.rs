//! `[sink.NAME]`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;
use trailsift_route::Format;
use trailsift_sinks::{FileSettings, HttpSettings};

use super::findings::{At, Place, names_a_secret};
use super::kinds::{FilePath, Flag, Integer, OneOf, Size, Span, TableOf};
use super::names::{ENDPOINT, is_name, judge_scheme};
use super::reader::{Kind, Node, Section};
use super::secret::{ENV_NAME, judge_env, judge_file};
use super::{
    BatchConfig, BodyShape, ByteSize, Compression, FileConfig, HeaderValue, HttpConfig,
    RetryConfig, SinkConfig, SinkKind,
};

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
/// A file does not grow for ever unless it is asked to, with an empty `rotate`.
const ROTATE_SIZE: ByteSize = ByteSize::mebibytes(256);
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
        Type::File => SinkKind::File(file(section, path)),
        Type::Http => SinkKind::Http(http(section)),
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

/// What could not be read is reported, so a value that stands in for it is never used.
fn file(section: &mut Section<'_, '_>, place: &mut Option<Place>) -> FileConfig {
    let path = section.need("path", FilePath);
    *place = path.as_ref().map(|path| path.place);
    if let Some(path) = &path {
        for error in FileSettings::new(&path.value).validate() {
            section.scope.findings.error(
                path.place,
                format!("`{}` {}", error.key, error.problem),
                "",
            );
        }
    }
    let rotate = |section: &mut Section<'_, '_>| {
        let smallest = ByteSize::new(4 << 10);
        let size = section.get("size", Size(smallest..=ByteSize::mebibytes(1 << 20)));
        let every = section.get("every", Span::seconds(1, 366 * 86_400));
        Some((size.map(|at| at.value), every.map(|at| at.value)))
    };
    let (rotate_size, rotate_every) =
        section.get_or("rotate", TableOf(rotate), (Some(ROTATE_SIZE), None));
    FileConfig {
        path: path.map_or_else(PathBuf::new, |path| path.value),
        rotate_size,
        rotate_every,
        compression: section.get_or(
            "compression",
            OneOf {
                words: &[
                    ("none", Compression::None),
                    ("gzip", Compression::Gzip),
                    ("zstd", Compression::Zstd),
                ],
                later: &[],
            },
            Compression::None,
        ),
    }
}

fn http(section: &mut Section<'_, '_>) -> HttpConfig {
    let findings = section.scope.findings;
    let url = section.need("url", ENDPOINT);
    let allow_http = section.get_or("allow_http", Flag, false);
    if let Some(url) = &url {
        if let Err((problem, hint)) = judge_scheme(&url.value, allow_http) {
            findings.error(url.place, format!("`url` {problem}"), hint);
        } else {
            // The sink's own judgement, so that nothing passes here that cannot run.
            for error in (HttpSettings { allow_http, ..HttpSettings::new(&url.value) }).validate() {
                findings.error(url.place, format!("`{}` {}", error.key, error.problem), "");
            }
        }
    }
    let timeout = section.get_or("timeout", Span::seconds(1, 600), Duration::from_secs(30));
    let connect = section.get("connect_timeout", Span::seconds(1, 600));
    if let Some(connect) = connect.as_ref().filter(|connect| connect.value > timeout) {
        findings.error(
            connect.place,
            "`connect_timeout` is above `timeout`, which includes it",
            "lower the one or raise the other",
        );
    }
    HttpConfig {
        url: url.map_or_else(String::new, |url| url.value),
        body: section.get_or(
            "body",
            OneOf {
                words: &[("ndjson", BodyShape::Ndjson), ("json_array", BodyShape::JsonArray)],
                later: &[],
            },
            BodyShape::Ndjson,
        ),
        headers: section.node("headers").map_or_else(BTreeMap::new, |node| headers(&node)),
        compression: section.get_or(
            "compression",
            OneOf {
                words: &[("none", Compression::None), ("gzip", Compression::Gzip)],
                later: &[],
            },
            Compression::None,
        ),
        timeout,
        connect_timeout: connect.map_or(timeout.min(Duration::from_secs(5)), |at| at.value),
        allow_http,
    }
}

/// Headers that the sink sets by itself.
const OWN_HEADERS: [&str; 6] =
    ["host", "connection", "content-length", "content-encoding", "transfer-encoding", "te"];

fn headers(node: &Node<'_, '_>) -> BTreeMap<String, HeaderValue> {
    let findings = node.scope.findings;
    let mut headers = BTreeMap::new();
    let Some(section) = node.section() else {
        node.wrong_type("a table of headers");
        return headers;
    };
    for (name, node) in section.entries() {
        let lower = name.value.to_ascii_lowercase();
        let legal = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.value.is_empty() || !name.value.bytes().all(legal) {
            findings.error(name.place, format!("{:?} is no header name", name.value), "");
        } else if OWN_HEADERS.contains(&lower.as_str()) {
            findings.error(
                name.place,
                format!("the header `{}` is the sink's own", name.value),
                "leave it out",
            );
        } else if let Some(value) = header(&name, &node)
            && headers.insert(lower, value).is_some()
        {
            let message = format!("the header `{}` is named twice", name.value);
            findings.error(name.place, message, "the case of its letters makes no difference");
        }
    }
    headers
}

/// Never shows the value: it may be a secret under a name that we do not know for one.
fn header(name: &At<String>, node: &Node<'_, '_>) -> Option<HeaderValue> {
    match node.value {
        DeValue::String(_) if names_a_secret(&name.value) => {
            node.error(
                format!("the header `{}` is a literal secret", name.value),
                "secrets are never literals: use { env = \"NAME\" } or { file = \"/run/secrets/x\" }",
            );
            None
        }
        DeValue::String(text) => {
            if text.bytes().any(|c| c != b'\t' && !(b' '..=b'~').contains(&c)) {
                node.error(format!("the header `{}` is not plain ASCII text", name.value), "");
                return None;
            }
            Some(HeaderValue::Plain(text.to_string()))
        }
        DeValue::Table(_) => TableOf(secret).read(node),
        _ => {
            node.wrong_type("a string, { env = \"NAME\" } or { file = \"…\" }");
            None
        }
    }
}

fn secret(section: &mut Section<'_, '_>) -> Option<HeaderValue> {
    let findings = section.scope.findings;
    let (env, file) = (section.get("env", ENV_NAME), section.get("file", FilePath));
    let (place, problem, value) = match (env, file) {
        (Some(env), None) => {
            let problem = judge_env(section.scope.environment, &env.value);
            (env.place, problem, HeaderValue::Env(env.value))
        }
        (None, Some(file)) => {
            let problem = judge_file(&file.value);
            (file.place, problem, HeaderValue::File(file.value))
        }
        (Some(_), Some(file)) => {
            findings.error(
                file.place,
                "a secret has `env` or `file`, not both",
                "keep one of them",
            );
            return None;
        }
        (None, None) => {
            // What else stands there is reported by itself.
            if section.entries().is_empty() {
                findings.missing(section.place, "a secret needs `env` or `file`", "");
            }
            return None;
        }
    };
    match problem {
        Ok(()) => Some(value),
        Err((problem, hint)) => {
            findings.error(place, problem, hint);
            None
        }
    }
}
