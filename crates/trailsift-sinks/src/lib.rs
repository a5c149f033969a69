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
#[cfg(feature = "kafka")]
pub use kafka::KafkaSink;
pub use kafka::{KafkaCompression, KafkaKey, KafkaLogin, KafkaMechanism, KafkaSettings, KafkaUser};
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
