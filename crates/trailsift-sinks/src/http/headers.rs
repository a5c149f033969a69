use std::collections::HashSet;

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue,
};
use secrecy::ExposeSecret;

use super::{BodyShape, HttpSettings};
use crate::{SecretError, SecretSource, SettingsError};

/// The value of a configured header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderText {
    /// Not secret.
    Plain(String),
    /// A secret, after a prefix that is none, such as `"Bearer "`. A file is read again whenever
    /// the collector answers 401 or 403, so rotated tokens are picked up.
    Secret {
        /// What stands before the secret, often nothing.
        prefix: String,
        /// Where the secret is.
        source: SecretSource,
    },
}

/// What the sink or the protocol sets.
const RESERVED: [&str; 6] =
    ["connection", "content-encoding", "content-length", "host", "te", "transfer-encoding"];

pub(super) fn validate(headers: &[(String, HeaderText)], problems: &mut Vec<SettingsError>) {
    let mut seen = HashSet::new();
    for (name, value) in headers {
        let shown = name.escape_debug();
        let mut problem = |text: String| problems.push(SettingsError::new("headers", text));
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            problem(format!("\"{shown}\" is no header name: use letters, digits and hyphens"));
            continue;
        };
        if RESERVED.contains(&name.as_str()) {
            problem(format!("{name} is set by the sink itself: remove it"));
        }
        if !seen.insert(name.clone()) {
            problem(format!("{name} is there twice: keep one"));
        }
        let text = match value {
            HeaderText::Plain(text) => text,
            HeaderText::Secret { prefix, .. } => prefix,
        };
        if HeaderValue::from_str(text).is_err() {
            problem(format!(
                "{name} holds a character that no header may hold, such as a line break"
            ));
        }
        if matches!(value, HeaderText::Plain(_)) && (name == AUTHORIZATION || name == COOKIE) {
            problem(format!("{name} is a secret: take it from an environment variable or a file"));
        }
    }
}

/// All headers of a request, with the secrets as they are now. Blocks while it reads secret files.
pub(super) fn build(settings: &HttpSettings) -> Result<HeaderMap, SecretError> {
    let mut headers = HeaderMap::new();
    let kind = match settings.body {
        BodyShape::Ndjson => "application/x-ndjson",
        BodyShape::JsonArray => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if settings.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    for (name, value) in &settings.headers {
        let unfit = || SecretError::NoHeaderValue { header: name.escape_debug().to_string() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let value = match value {
            HeaderText::Plain(text) => HeaderValue::from_str(text).map_err(|_| unfit())?,
            HeaderText::Secret { prefix, source } => {
                let text = format!("{prefix}{}", source.resolve()?.expose_secret());
                let mut value = HeaderValue::from_str(&text).map_err(|_| unfit())?;
                value.set_sensitive(true);
                value
            }
        };
        headers.insert(key, value);
    }
    Ok(headers)
}
