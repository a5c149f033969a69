//! What sinks that speak HTTP have in common.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use trailsift_sinks::Connection;

use crate::config::duration_text;
use crate::config::findings::At;
use crate::config::kinds::{FilePath, Flag, OneOf, Span};
use crate::config::names::{ENDPOINT, judge_scheme};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// How bodies are compressed.
pub(super) const GZIP: OneOf<bool> =
    OneOf { words: &[("none", false), ("gzip", true)], later: &[] };

pub(super) const fn gzip_word(gzip: bool) -> &'static str {
    if gzip { "gzip" } else { "none" }
}

/// Reads the keys that every sink over HTTP has. With where the URL stands, for more to be said of it.
pub(super) fn connection(section: &mut Section<'_, '_>) -> (Connection, Option<At<String>>) {
    let findings = section.scope.findings;
    let url = section.need("url", ENDPOINT);
    let allow_http = section.get_or("allow_http", Flag, false);
    let ca_file = section.get("ca_file", FilePath);
    let timeout = section.get_or("timeout", Span::seconds(1, 600), Duration::from_secs(30));
    let connect = section.get("connect_timeout", Span::seconds(1, 600));
    if let Some(connect) = connect.as_ref().filter(|connect| connect.value > timeout) {
        findings.error(
            connect.place,
            "`connect_timeout` is above `timeout`, which includes it",
            "lower the one or raise the other",
        );
    }
    let connection = Connection {
        url: url.as_ref().map_or_else(String::new, |url| url.value.clone()),
        connect_timeout: connect.map_or(timeout.min(Duration::from_secs(5)), |at| at.value),
        timeout,
        allow_http,
        ca_file: ca_file.as_ref().map(|at: &At<PathBuf>| at.value.clone()),
    };
    let scheme = url.as_ref().map(|url| (url, judge_scheme(&url.value, allow_http)));
    if let Some((url, Err((problem, hint)))) = &scheme {
        findings.error(url.place, format!("`url` {problem}"), hint.clone());
    }
    // The sink's own judgement, so that nothing passes here that cannot run.
    for error in connection.validate() {
        let place = match (error.key, &scheme, &ca_file) {
            ("url", Some((url, Ok(()))), _) => url.place,
            ("ca_file", _, Some(file)) => file.place,
            _ => continue,
        };
        let hint = match error.key {
            "ca_file" => "name a file of certificates in PEM that the user of trailsift may read",
            _ => "mend it, or leave the key out for its default",
        };
        findings.error(place, format!("`{}` {}", error.key, error.problem), hint);
    }
    (connection, url)
}

/// As keys of TOML.
pub(super) fn print(connection: &Connection, f: &mut impl Write) -> fmt::Result {
    writeln!(f, "url = {}", quoted(&connection.url))?;
    writeln!(f, "timeout = \"{}\"", duration_text(connection.timeout))?;
    writeln!(f, "connect_timeout = \"{}\"", duration_text(connection.connect_timeout))?;
    writeln!(f, "allow_http = {}", connection.allow_http)?;
    if let Some(path) = &connection.ca_file {
        writeln!(f, "ca_file = {}", quoted(&path.to_string_lossy()))?;
    }
    Ok(())
}
