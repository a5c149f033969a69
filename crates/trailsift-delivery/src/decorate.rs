use std::sync::Arc;
use std::time::Duration;

use trailsift_core::Sink;

use crate::{
    BatchSettings, Batching, BestEffort, BufferSettings, Metered, Retry, RetrySettings,
    SinkMetrics, Timed, Timeout,
};

/// What stands around a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoration {
    /// How single events become batches.
    pub batch: BatchSettings,
    /// How failed attempts are repeated.
    pub retry: RetrySettings,
    /// How long one attempt may take; `None` waits as long as it takes. Longer than anything the
    /// sink itself waits for (its `longest_write`),
    /// or an answer that is about to come is thrown away and its events are sent twice. Standard
    /// output and files need none: giving up on a blocked pipe or disk frees nothing.
    pub timeout: Option<Duration>,
    /// Whether an event counts as done only once this sink has it. If not, it is best effort.
    pub required: bool,
    /// What a best-effort sink buffers; without meaning for a required one.
    pub buffer: BufferSettings,
}

impl Default for Decoration {
    fn default() -> Self {
        Self {
            batch: BatchSettings::default(),
            retry: RetrySettings::default(),
            timeout: None,
            required: true,
            buffer: BufferSettings::default(),
        }
    }
}

/// Puts the decorators around a sink in their one right order, from the outside in:
///
/// 1. [`BestEffort`], unless the sink is required: outermost, since it answers before anything else
///    happens;
/// 2. [`Batching`]: outside the retry, so that a batch that fails in part is retried alone while
///    the next ones go on;
/// 3. [`Metered`]: outside the retry, one final outcome per event;
/// 4. [`Retry`];
/// 5. [`Timed`]: inside the retry, one observation per attempt;
/// 6. [`Timeout`]: innermost, since each attempt has its own time.
///
/// The background tasks start with the first write, inside the runtime of the caller.
pub fn decorate(sink: Arc<dyn Sink>, settings: Decoration, metrics: &SinkMetrics) -> Arc<dyn Sink> {
    metrics.note_required(sink.name(), settings.required);
    let attempt: Arc<dyn Sink> = match settings.timeout {
        Some(after) => Arc::new(Timeout::new(sink, after)),
        None => sink,
    };
    let timed = Arc::new(Timed::new(attempt, metrics));
    let retried = Arc::new(Retry::new(timed, settings.retry, metrics));
    let metered = Arc::new(Metered::new(retried, metrics));
    let batched = Arc::new(Batching::new(metered, settings.batch, metrics));
    if settings.required {
        batched
    } else {
        Arc::new(BestEffort::new(batched, settings.buffer, metrics))
    }
}
