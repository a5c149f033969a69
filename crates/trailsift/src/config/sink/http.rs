//! `type = "http"`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use toml::de::DeValue;
use trailsift_sinks::HttpSettings;

use super::compression_word;
use super::secret::{HeaderValue, secret};
use crate::config::findings::{At, names_a_secret};
use crate::config::kinds::{Flag, OneOf, Span, TableOf};
use crate::config::names::{ENDPOINT, judge_scheme};
use crate::config::print::{key, quoted};
use crate::config::reader::{Kind, Node, Section};
use crate::config::{BodyShape, Compression, duration_text};

/// An HTTP collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where events are posted: `https`, or `http` where that is allowed. Holds no credentials.
    pub url: String,
    /// How a batch becomes a body.
    pub body: BodyShape,
    /// Sent with each request, names in lower case.
    pub headers: BTreeMap<String, HeaderValue>,
    /// [`Compression::None`] or [`Compression::Gzip`].
    pub compression: Compression,
    /// How long one request may take, answer included.
    pub timeout: Duration,
    /// How long its connection may take, not above `timeout`.
    pub connect_timeout: Duration,
    /// Whether `http` is allowed beyond this machine.
    pub allow_http: bool,
}

pub(super) fn http(section: &mut Section<'_, '_>) -> HttpConfig {
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

impl HttpConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "type = \"http\"\nurl = {}", quoted(&self.url))?;
        let body = match self.body {
            BodyShape::Ndjson => "ndjson",
            BodyShape::JsonArray => "json_array",
        };
        writeln!(f, "body = \"{body}\"")?;
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(|(name, value)| match value {
                HeaderValue::Plain(text) => format!("{} = {}", key(name), quoted(text)),
                HeaderValue::Env(env) => {
                    format!("{} = {{ env = {} }}", key(name), quoted(env))
                }
                HeaderValue::File(path) => {
                    let path = quoted(&path.to_string_lossy());
                    format!("{} = {{ file = {path} }}", key(name))
                }
            });
            let headers: Vec<_> = headers.collect();
            writeln!(f, "headers = {{ {} }}", headers.join(", "))?;
        }
        writeln!(f, "compression = \"{}\"", compression_word(self.compression))?;
        writeln!(f, "timeout = \"{}\"", duration_text(self.timeout))?;
        writeln!(f, "connect_timeout = \"{}\"", duration_text(self.connect_timeout))?;
        writeln!(f, "allow_http = {}", self.allow_http)
    }
}
