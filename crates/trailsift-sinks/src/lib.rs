#![doc = include_str!("../README.md")]

mod batching;
mod best_effort;
mod decorate;
mod file;
mod http;
mod lines;
mod metrics;
mod retry;
mod secret;
mod settings;
mod settle;
mod stdout;
#[cfg(test)]
mod testing;
mod timeout;
mod worker;

pub use batching::{BatchSettings, Batching};
pub use best_effort::{BestEffort, BufferSettings};
pub use decorate::{Decoration, decorate};
pub use file::{Compression, FileSettings, FileSink};
pub use http::{BodyShape, HeaderText, HttpSettings, HttpSink};
pub use metrics::{Metered, SinkMetrics, Timed};
pub use retry::{Retry, RetrySettings};
pub use secret::{SecretError, SecretSource};
pub use settings::{BuildError, SettingsError};
pub use stdout::StdoutSink;
pub use timeout::Timeout;
