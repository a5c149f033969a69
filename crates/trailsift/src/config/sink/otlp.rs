//! `type = "otlp"`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use trailsift_sinks::Connection;

use super::connection::{self, GZIP, connection, gzip_word};
use super::http::{headers, print_headers};
use super::secret::HeaderValue;
use crate::config::reader::Section;

/// A receiver of OpenTelemetry's logs over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// How it is reached.
    pub connection: Connection,
    /// Sent with each request, names in lower case.
    pub headers: BTreeMap<String, HeaderValue>,
    /// Whether bodies are compressed.
    pub gzip: bool,
}

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn otlp(section: &mut Section<'_, '_>) -> OtlpConfig {
    let (connection, _) = connection(section);
    let node = section.node("headers");
    let headers = node.as_ref().map_or_else(BTreeMap::new, headers);
    if let Some(node) = node
        && headers.contains_key("content-type")
    {
        node.error("the header `content-type` is the sink's own", "leave it out");
    }
    OtlpConfig { connection, headers, gzip: section.get_or("compression", GZIP, true) }
}

impl OtlpConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "type = \"otlp\"")?;
        connection::print(&self.connection, f)?;
        print_headers(&self.headers, f)?;
        writeln!(f, "compression = \"{}\"", gzip_word(self.gzip))
    }
}
