//! `type = "opensearch"`, Elasticsearch included.

use std::fmt::{self, Write};

use trailsift_sinks::{BulkOp, IndexTemplate, OpenSearchSettings, SearchCredentials};

use super::connection::{self, GZIP, connection, gzip_word};
use super::secret::{Secret, printed};
use crate::config::findings::At;
use crate::config::kinds::{OneOf, Parsed, Text};
use crate::config::print::quoted;
use crate::config::reader::{Kind, Node, Section};

/// An OpenSearch or Elasticsearch cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSearchConfig {
    /// What is written, and where.
    pub settings: OpenSearchSettings,
}

const INDEX: Parsed<IndexTemplate> =
    Parsed::new("the name of an index, which may hold {yyyy}, {MM}, {dd}, {account} and {region}");

const OP: OneOf<BulkOp> =
    OneOf { words: &[("create", BulkOp::Create), ("index", BulkOp::Index)], later: &[] };

const USERNAME: Text = Text {
    what: "the name of a user",
    judge: |text| match !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_control()) {
        true => Ok(()),
        false => Err(("is empty, or holds a colon or a control character".into(), String::new())),
    },
};

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn opensearch(section: &mut Section<'_, '_>) -> OpenSearchConfig {
    let (connection, url) = connection(section);
    let default = OpenSearchSettings::new("");
    let settings = OpenSearchSettings {
        connection,
        index: section.get_or("index", INDEX, default.index),
        op: section.get_or("op", OP, default.op),
        credentials: credentials(section),
        gzip: section.get_or("compression", GZIP, default.gzip),
        limits: default.limits,
    };
    // What is wrong with the connection was said.
    let known = settings.connection.validate();
    if let Some(url) = url {
        for error in settings.validate().into_iter().filter(|error| !known.contains(error)) {
            let message = format!("`{}` {}", error.key, error.problem);
            section.scope.findings.error(url.place, message, "");
        }
    }
    OpenSearchConfig { settings }
}

fn credentials(section: &mut Section<'_, '_>) -> SearchCredentials {
    let findings = section.scope.findings;
    // A key that is there and cannot be read is one mistake, not two.
    let (user, pass) = (section.node("username"), section.node("password"));
    let (has_username, has_password) = (user.is_some(), pass.is_some());
    let username = user.and_then(|node| read(USERNAME, &node));
    let password = pass.and_then(|node| read(Secret, &node));
    let api_key = section.get("api_key", Secret);
    if let Some(key) = &api_key
        && (has_username || has_password)
    {
        findings.error(
            key.place,
            "`api_key` is given beside `username` or `password`",
            "keep the one or the other",
        );
    }
    for (found, other, name, missing) in [
        (username.as_ref().map(|at| at.place), has_password, "username", "password"),
        (password.as_ref().map(|at| at.place), has_username, "password", "username"),
    ] {
        if let (Some(place), false) = (found, other) {
            findings.error(
                place,
                format!("`{name}` is given without `{missing}`"),
                "give both, or api_key",
            );
        }
    }
    match (username, password, api_key) {
        (Some(username), Some(password), None) => {
            SearchCredentials::Basic { username: username.value, password: password.value }
        }
        (_, _, Some(key)) => SearchCredentials::ApiKey(key.value),
        _ => SearchCredentials::None,
    }
}

fn read<K: Kind>(kind: K, node: &Node<'_, '_>) -> Option<At<K::Value>> {
    Some(At { value: kind.read(node)?, place: node.place })
}

impl OpenSearchConfig {
    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        let settings = &self.settings;
        writeln!(f, "type = \"opensearch\"")?;
        connection::print(&settings.connection, f)?;
        writeln!(f, "index = {}", quoted(&settings.index.to_string()))?;
        let op = match settings.op {
            BulkOp::Create => "create",
            BulkOp::Index => "index",
        };
        writeln!(f, "op = \"{op}\"")?;
        match &settings.credentials {
            SearchCredentials::None => {}
            SearchCredentials::Basic { username, password } => {
                writeln!(f, "username = {}", quoted(username))?;
                writeln!(f, "password = {}", printed(password))?;
            }
            SearchCredentials::ApiKey(key) => writeln!(f, "api_key = {}", printed(key))?,
        }
        writeln!(f, "compression = \"{}\"", gzip_word(settings.gzip))
    }
}
