#![doc = include_str!("../README.md")]

mod batching;
mod best_effort;
mod blame;
mod decorate;
mod file;
mod http;
mod kafka;
mod lines;
mod metrics;
mod narrow;
mod opensearch;
mod origin;
mod otlp;
mod retry;
mod secret;
mod settings;
mod settle;
mod splunk;
mod stdout;
#[cfg(test)]
mod testing;
mod timeout;
mod wire;
mod worker;

pub use batching::{BatchSettings, Batching};
pub use best_effort::{BestEffort, BufferSettings};
pub use decorate::{Decoration, decorate};
pub use file::{Compression, FileSettings, FileSink};
pub use http::{BodyShape, HttpSettings, HttpSink};
#[cfg(feature = "kafka")]
pub use kafka::KafkaSink;
pub use kafka::{KafkaCompression, KafkaKey, KafkaLogin, KafkaMechanism, KafkaSettings, KafkaUser};
pub use metrics::{Metered, SinkMetrics, Timed};
pub use opensearch::{
    BulkOp, IndexTemplate, IndexTemplateError, OpenSearchSettings, OpenSearchSink,
    SearchCredentials,
};
pub use otlp::{OtlpSettings, OtlpSink};
pub use retry::{Retry, RetrySettings};
pub use secret::{SecretError, SecretSource};
pub use settings::{BuildError, SettingsError};
pub use splunk::{SplunkSettings, SplunkSink};
pub use stdout::StdoutSink;
pub use timeout::Timeout;
pub use wire::{Connection, HeaderText};
