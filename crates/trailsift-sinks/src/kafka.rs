//! The settings of Kafka, which every build reads, and the sink, which only some have.

use std::path::PathBuf;
use std::time::Duration;

use crate::{SecretSource, SettingsError};

mod certificate;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod sink;
#[cfg(feature = "kafka")]
mod token;
#[cfg(feature = "kafka")]
mod verdict;

pub use certificate::{CertificateError, KafkaCertificate, KafkaPair};
#[cfg(feature = "kafka")]
pub use sink::KafkaSink;
#[cfg(feature = "kafka")]
pub use token::{KafkaToken, KafkaTokens};

/// The settings of a Kafka sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Some brokers of the cluster, `host:port`; the others are found through them.
    pub brokers: Vec<String>,
    /// Where events go. It is not created.
    pub topic: String,
    /// What decides the partition.
    pub key: KafkaKey,
    /// How batches of messages are compressed.
    pub compression: KafkaCompression,
    /// The largest message, its key and framing included; not above the topic's `max.message.bytes`.
    pub max_message_bytes: usize,
    /// How long the brokers have to acknowledge a message. Until then it is sent again as often as need
    /// be, and is there once all the same.
    pub timeout: Duration,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to brokers which ask for one.
    pub certificate: Option<KafkaCertificate>,
    /// Who we are, where the brokers ask by SASL.
    pub login: Option<KafkaLogin>,
}

/// What decides the partition of an event, and is the key of its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaKey {
    /// The account whose event it is: the events of one account stay in one partition.
    #[default]
    Account,
    /// The event's own identifier: partitions fill evenly, and a compacted topic keeps each event once.
    EventId,
}

/// How batches of messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaCompression {
    /// Not at all.
    None,
    /// As every broker and client understands it.
    Gzip,
    /// Fast.
    #[default]
    Lz4,
    /// Small. Brokers from 2.1 on.
    Zstd,
}

/// A user of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLogin {
    /// How the password is shown to the brokers.
    pub mechanism: KafkaMechanism,
    /// The user's name.
    pub username: KafkaUser,
    /// The user's password.
    pub password: SecretSource,
}

/// The name of a user, which some keep as a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaUser {
    /// As it is.
    Plain(String),
    /// Where it is to be found.
    Secret(SecretSource),
}

/// How a password is shown to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaMechanism {
    /// In the clear, within the encrypted connection.
    Plain,
    /// By a proof of knowing it.
    ScramSha256,
    /// The same with a longer hash.
    ScramSha512,
}

impl KafkaSettings {
    /// The defaults, for this topic.
    pub fn new(brokers: Vec<String>, topic: impl Into<String>) -> Self {
        Self {
            brokers,
            topic: topic.into(),
            key: KafkaKey::default(),
            compression: KafkaCompression::default(),
            max_message_bytes: 1_000_000,
            timeout: Duration::from_secs(30),
            tls: true,
            ca_file: None,
            certificate: None,
            login: None,
        }
    }

    /// Every mistake in these settings. Touches no network and reads no secret.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems = Vec::new();
        let mut wrong = |key, problem: &str| problems.push(SettingsError::new(key, problem));
        let odd = |c: char| c == ',' || c.is_whitespace() || c.is_control();
        if self.brokers.is_empty() {
            wrong("brokers", "names no broker");
        }
        if self.brokers.iter().any(|broker| broker.is_empty() || broker.contains(odd)) {
            wrong("brokers", "each is one host:port");
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.topic.is_empty() || self.topic.len() > 249 || !self.topic.chars().all(legal) {
            wrong("topic", "has 1 to 249 letters, digits, `.`, `_` and `-`");
        }
        if !(1_024..=64 << 20).contains(&self.max_message_bytes) {
            wrong("max_message_bytes", "is between 1KiB and 64MiB");
        }
        if !(100..=600_000).contains(&self.timeout.as_millis()) {
            wrong("timeout", "is between 100ms and 10m");
        }
        if self.ca_file.is_some() && !self.tls {
            wrong("ca_file", "has no meaning without tls");
        }
        if self.certificate.is_some() && !self.tls {
            wrong("certificate", "has no meaning without tls");
        }
        problems
    }

    /// The longest time that one write can take. A [`Timeout`](trailsift_delivery::Timeout) around the sink must be
    /// longer.
    pub fn longest_write(&self) -> Duration {
        // Each wait has this one's length at most: for the first token, for the topic, for those who send
        // alone; two for handing over, which may begin at the end of the first; another until one may send
        // alone, and three for doing it.
        self.timeout.saturating_mul(9)
    }
}

#[cfg(all(test, feature = "kafka"))]
mod tests;
