//! `type = "http"`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use toml::de::DeValue;
use trailsift_sinks::Connection;

use super::connection::{self, GZIP, connection, gzip_word};
use super::secret::{HeaderValue, secret};
use crate::config::BodyShape;
use crate::config::findings::{At, is_a_credential, names_a_secret};
use crate::config::kinds::{OneOf, TableOf};
use crate::config::print::{key, quoted};
use crate::config::reader::{Kind, Node, Section};

/// An HTTP collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// How the collector is reached. Its URL holds no credentials.
    pub connection: Connection,
    /// How a batch becomes a body.
    pub body: BodyShape,
    /// Sent with each request, names in lower case.
    pub headers: BTreeMap<String, HeaderValue>,
    /// Whether bodies are compressed.
    pub gzip: bool,
}

pub(super) fn http(section: &mut Section<'_, '_>) -> HttpConfig {
    HttpConfig {
        connection: connection(section).0,
        body: section.get_or(
            "body",
            OneOf {
                words: &[("ndjson", BodyShape::Ndjson), ("json_array", BodyShape::JsonArray)],
                later: &[],
            },
            BodyShape::Ndjson,
        ),
        headers: section.node("headers").map_or_else(BTreeMap::new, |node| headers(&node)),
        gzip: section.get_or("compression", GZIP, false),
    }
}

/// Headers that the sink sets by itself.
const OWN_HEADERS: [&str; 6] =
    ["host", "connection", "content-length", "content-encoding", "transfer-encoding", "te"];

pub(super) fn headers(node: &Node<'_, '_>) -> BTreeMap<String, HeaderValue> {
    let findings = node.scope.findings;
    let mut headers = BTreeMap::new();
    let Some(section) = node.section() else {
        node.wrong_type_with("a table of headers", "write { Name = \"value\" }");
        return headers;
    };
    for (name, node) in section.entries() {
        let lower = name.value.to_ascii_lowercase();
        let legal = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.value.is_empty() || !name.value.bytes().all(legal) {
            let message = format!("{:?} is no header name", name.value);
            findings.error(name.place, message, "letters, digits and `-` make one");
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
        DeValue::String(text) if names_a_secret(&name.value) || is_a_credential(text) => {
            node.error(
                format!("the header `{}` is a literal secret", name.value),
                "secrets are never literals: use { env = \"NAME\" } or { file = \"/run/secrets/x\" }",
            );
            None
        }
        DeValue::String(text) => {
            if text.bytes().any(|c| c != b'\t' && !(b' '..=b'~').contains(&c)) {
                let message = format!("the header `{}` is not plain ASCII text", name.value);
                node.error(message, "HTTP carries nothing else: encode it as the receiver expects");
                return None;
            }
            Some(HeaderValue::Plain(text.to_string()))
        }
        DeValue::Table(_) => TableOf(secret).read(node),
        _ => {
            let expected = "a string, { env = \"NAME\" } or { file = \"…\" }";
            node.wrong_type_with(expected, "write it in quotes");
            None
        }
    }
}

impl HttpConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "type = \"http\"")?;
        connection::print(&self.connection, f)?;
        let body = match self.body {
            BodyShape::Ndjson => "ndjson",
            BodyShape::JsonArray => "json_array",
        };
        writeln!(f, "body = \"{body}\"")?;
        print_headers(&self.headers, f)?;
        writeln!(f, "compression = \"{}\"", gzip_word(self.gzip))
    }
}

/// As a key of TOML, if there are any.
pub(super) fn print_headers(
    headers: &BTreeMap<String, HeaderValue>,
    f: &mut impl Write,
) -> fmt::Result {
    if headers.is_empty() {
        return Ok(());
    }
    let headers = headers.iter().map(|(name, value)| match value {
        HeaderValue::Plain(text) => format!("{} = {}", key(name), quoted(text)),
        HeaderValue::Env(env) => format!("{} = {{ env = {} }}", key(name), quoted(env)),
        HeaderValue::File(path) => {
            format!("{} = {{ file = {} }}", key(name), quoted(&path.to_string_lossy()))
        }
    });
    let headers: Vec<_> = headers.collect();
    writeln!(f, "headers = {{ {} }}", headers.join(", "))
}
