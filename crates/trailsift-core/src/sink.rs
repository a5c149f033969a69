use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Disposition, Entry, Reason};

/// Events for one sink, each to be written once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The events in order.
    pub entries: Vec<Entry>,
    /// Whoever writes this has more to write, but only once this is settled: it should not wait for
    /// company.
    pub more_follows: bool,
}

impl Batch {
    /// The sum of the entries' sizes in bytes, framing not counted.
    pub fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.data.len()).sum()
    }
}

/// The most that a sink takes in one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries in a batch.
    pub events: usize,
    /// Bytes in a batch, framing not counted.
    pub bytes: usize,
    /// Bytes in one entry.
    pub entry_bytes: usize,
}

impl Limits {
    /// A sink that takes whatever it is given.
    pub const NONE: Self = Self { events: usize::MAX, bytes: usize::MAX, entry_bytes: usize::MAX };
}

/// What became of a batch that was written.
///
/// Every entry that is not listed in `failures` is acknowledged: durable at the sink.
#[must_use]
#[derive(Debug, Default)]
pub struct WriteOutcome {
    /// The entries that are not acknowledged, each with its own error, in ascending order.
    pub failures: Vec<Failure>,
}

/// One entry of a batch that the sink did not take.
#[derive(Debug)]
pub struct Failure {
    /// Its place in [`Batch::entries`].
    pub index: usize,
    /// Why, and whether to send it again.
    pub error: SinkError,
}

/// A destination of events. Object-safe; decorators (batching, retry, timeout, metrics) are sinks
/// around a sink.
///
/// **Returning `Ok` is the acknowledgement**: every entry not named in the outcome is durable
/// there. Returning an error, or being dropped before returning, acknowledges nothing. Writes may
/// run concurrently; a sink that must not, serialises itself.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// The name from the configuration, for logs and metric labels.
    fn name(&self) -> &str;

    /// What one `write` takes at most. Callers split; a sink may rely on it.
    fn limits(&self) -> Limits;

    /// Whether the sink could be written to now. Decides readiness, never correctness.
    async fn check(&self) -> Result<(), SinkError>;

    /// Returns when [`Sink::check`] would answer otherwise than it did last, so that whoever watches
    /// need not wait until it asks again. Never, at a sink that learns nothing between two checks.
    async fn turned(&self) {
        std::future::pending().await
    }

    /// Writes every entry of the batch.
    ///
    /// # Errors
    /// If nothing is known to be acknowledged.
    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError>;

    /// What waits for company is written now, for nobody may be left to bring any. Returns at once and
    /// promises nothing: who still waits asks again. A sink that gathers nothing has nothing to do.
    fn hurry(&self) {}

    /// Writes out what a best-effort sink still buffers, at the end of the process. A sink that
    /// acknowledges only what is durable has nothing to do.
    async fn close(&self) {}
}

/// What went wrong at a sink.
#[derive(Debug)]
pub struct SinkError {
    /// What to do about it.
    pub disposition: Disposition,
    /// What happened, lowercase, without the cause. Never holds a secret or text of an event.
    pub message: String,
    /// The cause.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl SinkError {
    /// It may work later.
    pub fn retry(message: impl Into<String>) -> Self {
        Self { disposition: Disposition::RETRY, message: message.into(), source: None }
    }

    /// It may work after the time that the sink named.
    pub fn retry_after(after: Option<Duration>, message: impl Into<String>) -> Self {
        Self { disposition: Disposition::Retry { after }, message: message.into(), source: None }
    }

    /// The sink will never take it.
    pub fn poison(reason: Reason, message: impl Into<String>) -> Self {
        Self { disposition: Disposition::Poison { reason }, message: message.into(), source: None }
    }

    /// The sink is gone for good: nothing more can be written in this process.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { disposition: Disposition::Fatal, message: message.into(), source: None }
    }

    /// The same error with its cause.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
