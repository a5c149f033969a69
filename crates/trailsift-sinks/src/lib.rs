#![doc = include_str!("../README.md")]

mod file;
mod http;
mod kafka;
mod lines;
mod narrow;
mod opensearch;
mod otlp;
mod secret;
mod settings;
mod splunk;
mod stdout;
mod wire;
mod worker;

pub use file::{Compression, FileSettings, FileSink};
pub use http::{BodyShape, HttpSettings, HttpSink};
pub use kafka::{
    CertificateError, KafkaCertificate, KafkaCompression, KafkaKey, KafkaLogin, KafkaMechanism,
    KafkaPair, KafkaSettings, KafkaUser,
};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaSink, KafkaToken, KafkaTokens};
pub use opensearch::{
    BulkOp, DocumentId, IndexTemplate, IndexTemplateError, OpenSearchSettings, OpenSearchSink,
    SearchCredentials, SearchService,
};
pub use otlp::{OtlpSettings, OtlpSink};
pub use secret::{SecretError, SecretSource};
pub use settings::{BuildError, SettingsError};
pub use splunk::{SplunkSettings, SplunkSink};
pub use stdout::StdoutSink;
pub use wire::{Connection, HeaderText, Refused, Sign, ToSign};
