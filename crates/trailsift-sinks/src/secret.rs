use std::io;
use std::path::PathBuf;

use secrecy::SecretString;

/// Where a secret is to be found. Never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The environment variable of this name.
    Env(String),
    /// The content of this file, without the line break at its end.
    File(PathBuf),
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is missing, empty, or no text.
    #[error("the environment variable {name} is {problem}: set it for this process")]
    Env {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file cannot be read as text.
    #[error("the secret file {} cannot be read", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is empty.
    #[error("the secret file {} is empty", path.display())]
    EmptyFile {
        /// Its path.
        path: PathBuf,
    },
    /// The secret cannot stand in an HTTP header.
    #[error(
        "the value for header {header} holds a character that no header may hold, such as a line break"
    )]
    NoHeaderValue {
        /// The header's name.
        header: String,
    },
}

impl SecretSource {
    /// The secret as it is now. Blocks while it reads a file.
    ///
    /// # Errors
    /// If there is none, or an empty one. The error names the place, never the content.
    pub fn resolve(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Env(name) => {
                let error = |problem| SecretError::Env { name: name.clone(), problem };
                match std::env::var(name) {
                    Ok(value) if value.is_empty() => Err(error("empty")),
                    Ok(value) => Ok(value.into()),
                    Err(std::env::VarError::NotPresent) => Err(error("not set")),
                    Err(std::env::VarError::NotUnicode(_)) => Err(error("not UTF-8")),
                }
            }
            Self::File(path) => {
                let mut value = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::File { path: path.clone(), source })?;
                while value.ends_with(['\n', '\r']) {
                    value.pop();
                }
                if value.is_empty() {
                    return Err(SecretError::EmptyFile { path: path.clone() });
                }
                Ok(value.into())
            }
        }
    }

    /// Whether the secret can change while the process runs.
    pub(crate) fn may_rotate(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_file_loses_its_last_line_break() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n").expect("written");
        let secret = SecretSource::File(path).resolve().expect("a secret");
        assert_eq!(secret.expose_secret(), "s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_missing_or_empty_is_named_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "\n").expect("written");
        let error = SecretSource::File(empty).resolve().expect_err("empty");
        assert!(error.to_string().ends_with("/empty is empty"), "{error}");
        let error = SecretSource::File(folder.path().join("none")).resolve().expect_err("missing");
        assert!(error.to_string().contains("/none cannot be read"), "{error}");
        let error =
            SecretSource::Env("TRAILSIFT_NO_SUCH_VARIABLE".into()).resolve().expect_err("unset");
        assert!(error.to_string().contains("TRAILSIFT_NO_SUCH_VARIABLE is not set"), "{error}");
    }
}
