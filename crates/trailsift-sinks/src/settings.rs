use std::fmt;
use std::io;

use crate::{CertificateError, SecretError};

/// One mistake in the settings of a sink: which one, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    /// The setting, by the name of its field.
    pub key: &'static str,
    /// What is wrong and how to mend it. Never holds a secret.
    pub problem: String,
}

impl SettingsError {
    pub(crate) fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

/// Why a sink cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The settings do not hold, all mistakes at once.
    #[error("the settings of sink {sink} do not hold: {}", Listed(problems))]
    Settings {
        /// The sink's name.
        sink: String,
        /// Every mistake.
        problems: Vec<SettingsError>,
    },
    /// A secret that the sink needs is not there.
    #[error("a secret of sink {sink} cannot be read")]
    Secret {
        /// The sink's name.
        sink: String,
        /// Which one, and why.
        source: SecretError,
    },
    /// The thread that writes for the sink cannot be started.
    #[error("sink {sink} cannot start its thread")]
    Thread {
        /// The sink's name.
        sink: String,
        /// What the system says.
        source: io::Error,
    },
    /// The HTTP client cannot be set up, for example for want of trusted certificates.
    #[error("sink {sink} cannot set up its HTTP client")]
    Client {
        /// The sink's name.
        sink: String,
        /// What the client says.
        source: reqwest::Error,
    },
    /// The certificate by which the sink shows who it is cannot be used.
    #[error("the certificate of sink {sink} cannot be used")]
    Certificate {
        /// The sink's name.
        sink: String,
        /// Which file, and what helps.
        source: CertificateError,
    },
    /// The client of Kafka cannot be set up, for example for want of a file of certificates.
    #[cfg(feature = "kafka")]
    #[error("sink {sink} cannot set up its Kafka client: {problem}")]
    Kafka {
        /// The sink's name.
        sink: String,
        /// What librdkafka says, less any value.
        problem: String,
    },
}

/// Problems in one line.
struct Listed<'a>(&'a [SettingsError]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
