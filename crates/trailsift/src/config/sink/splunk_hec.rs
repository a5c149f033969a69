//! `type = "splunk_hec"`.

use std::fmt::{self, Write};

use trailsift_sinks::{SecretSource, SplunkSettings};

use super::connection::{self, GZIP, connection, gzip_word};
use super::secret::{Secret, printed};
use crate::config::duration_text;
use crate::config::kinds::{Flag, Span, Text};
use crate::config::print::quoted;
use crate::config::reader::Section;

/// Splunk's HTTP Event Collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplunkConfig {
    /// What is written, and where.
    pub settings: SplunkSettings,
}

const LABEL: Text = Text {
    what: "text",
    judge: |text| match !text.is_empty() && !text.chars().any(char::is_control) {
        true => Ok(()),
        false => Err((
            "is empty or holds a control character".into(),
            "write plain text, or leave it out".into(),
        )),
    },
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn splunk_hec(section: &mut Section<'_, '_>) -> SplunkConfig {
    let (connection, url) = connection(section);
    let token = section.need("token", Secret);
    let token = token.map_or_else(|| SecretSource::Env(String::new()), |at| at.value);
    let default = SplunkSettings::new("", token);
    let mut label = |key| section.get(key, LABEL).map(|at| at.value);
    let (index, source, host) = (label("index"), label("source"), label("host"));
    let settings = SplunkSettings {
        connection,
        index,
        sourcetype: section.get_or("sourcetype", LABEL, default.sourcetype.clone()),
        source,
        host,
        acknowledge: section.get_or("acknowledge", Flag, default.acknowledge),
        ack_timeout: section.get_or("ack_timeout", Span::seconds(1, 600), default.ack_timeout),
        gzip: section.get_or("compression", GZIP, default.gzip),
        ..default
    };
    // What is wrong with the connection was said.
    let known = settings.connection.validate();
    if let Some(url) = url {
        for error in settings.validate().into_iter().filter(|error| !known.contains(error)) {
            let message = format!("`{}` {}", error.key, error.problem);
            let hint = "give the service alone, such as \"https://splunk.example.com:8088\"";
            section.scope.findings.error(url.place, message, hint);
        }
    }
    SplunkConfig { settings }
}

impl SplunkConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let settings = &self.settings;
        writeln!(f, "type = \"splunk_hec\"")?;
        connection::print(&settings.connection, f)?;
        writeln!(f, "token = {}", printed(&settings.token))?;
        let labels = [
            ("index", settings.index.as_ref()),
            ("sourcetype", Some(&settings.sourcetype)),
            ("source", settings.source.as_ref()),
            ("host", settings.host.as_ref()),
        ];
        for (name, text) in labels {
            if let Some(text) = text {
                writeln!(f, "{name} = {}", quoted(text))?;
            }
        }
        writeln!(f, "acknowledge = {}", settings.acknowledge)?;
        writeln!(f, "ack_timeout = \"{}\"", duration_text(settings.ack_timeout))?;
        writeln!(f, "compression = \"{}\"", gzip_word(settings.gzip))
    }
}
