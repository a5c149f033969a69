use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

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
    /// A name and a secret password, as RFC 7617 joins them.
    Basic {
        /// The name, without a colon.
        username: String,
        /// Where the password is.
        password: SecretSource,
    },
}

impl HeaderText {
    /// Whether it can change while the process runs.
    pub(super) fn may_rotate(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Secret { source, .. } => source.may_rotate(),
            Self::Basic { password, .. } => password.may_rotate(),
        }
    }

    /// The text, with the secret as it is now.
    fn resolve(&self) -> Result<SecretString, SecretError> {
        Ok(match self {
            Self::Plain(text) => text.clone().into(),
            Self::Secret { prefix, source } => {
                format!("{prefix}{}", source.resolve()?.expose_secret()).into()
            }
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.resolve()?.expose_secret());
                format!("Basic {}", STANDARD.encode(pair)).into()
            }
        })
    }
}

/// What the sink or the protocol sets.
const RESERVED: [&str; 6] =
    ["connection", "content-encoding", "content-length", "host", "te", "transfer-encoding"];

pub(crate) fn validate(headers: &[(String, HeaderText)], problems: &mut Vec<SettingsError>) {
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
            HeaderText::Basic { .. } => continue,
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

/// All headers of a request, with the secrets as they are now; `texts` stand above `fixed`. Blocks
/// while it reads secret files.
pub(super) fn build(
    fixed: &HeaderMap,
    texts: &[(String, HeaderText)],
) -> Result<HeaderMap, SecretError> {
    let mut headers = fixed.clone();
    for (name, text) in texts {
        let unfit = || SecretError::NoHeaderValue { header: name.escape_debug().to_string() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let resolved = text.resolve()?;
        let mut value = HeaderValue::from_str(resolved.expose_secret()).map_err(|_| unfit())?;
        value.set_sensitive(!matches!(text, HeaderText::Plain(_)));
        headers.insert(key, value);
    }
    Ok(headers)
}
