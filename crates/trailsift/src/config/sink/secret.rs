//! Where a secret is to be found.

use std::path::PathBuf;

use toml::de::DeValue;
use trailsift_sinks::SecretSource;

use crate::config::kinds::{FilePath, TableOf};
use crate::config::print::quoted;
use crate::config::reader::{Kind, Node, Section};
use crate::config::secret::{ENV_NAME, judge_env, judge_file};

/// The value of a header. Never a secret itself, so printing it shows none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// Written in the configuration, and no secret.
    Plain(String),
    /// Secret: the environment variable of this name.
    Env(String),
    /// Secret: the content of this file, less the line break at its end.
    File(PathBuf),
}

/// A secret: `{ env = "NAME" }` or `{ file = "/run/secrets/x" }`.
pub(super) struct Secret;

impl Kind for Secret {
    type Value = SecretSource;

    fn expected(&self) -> String {
        "{ env = \"NAME\" } or { file = \"/run/secrets/x\" }".into()
    }

    fn read(&self, node: &Node<'_, '_>) -> Option<SecretSource> {
        match node.value {
            DeValue::Table(_) => match TableOf(secret).read(node)? {
                HeaderValue::Env(name) => Some(SecretSource::Env(name)),
                HeaderValue::File(path) => Some(SecretSource::File(path)),
                HeaderValue::Plain(_) => None,
            },
            // Never shown.
            DeValue::String(_) => {
                node.error(
                    format!("`{}` is a literal secret", node.path),
                    format!("secrets are never literals: use {}", self.expected()),
                );
                None
            }
            _ => {
                node.wrong_type_with(&self.expected(), "name where the secret is");
                None
            }
        }
    }
}

/// As a value of TOML: where the secret is.
pub(super) fn printed(secret: &SecretSource) -> String {
    match secret {
        SecretSource::Env(name) => format!("{{ env = {} }}", quoted(name)),
        SecretSource::File(path) => format!("{{ file = {} }}", quoted(&path.to_string_lossy())),
    }
}

/// Reads `{ env = "NAME" }` or `{ file = "/run/secrets/x" }`.
pub(super) fn secret(section: &mut Section<'_, '_>) -> Option<HeaderValue> {
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
                let hint = "write { env = \"NAME\" } or { file = \"/run/secrets/x\" }";
                findings.missing(section.place, "a secret needs `env` or `file`", hint);
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
