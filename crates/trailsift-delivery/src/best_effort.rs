use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use trailsift_core::{Batch, Entry, Limits, Sink, SinkError, WriteOutcome};

use crate::SinkMetrics;
use crate::metrics::Meter;

/// The most that a best-effort sink holds, waiting and being written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferSettings {
    /// Events.
    pub events: usize,
    /// The memory of their bytes: the event's, and the record's where a format made another one of it.
    pub bytes: usize,
}

impl Default for BufferSettings {
    fn default() -> Self {
        Self { events: 10_000, bytes: 16 << 20 }
    }
}

/// Writes that are under way at the same time.
const WRITES: usize = 4;
/// How often the sink is told at the end to wait for no company: what was handed to it may be on its way
/// still.
const HURRY: Duration = Duration::from_millis(100);
/// The least time between two log lines about losses.
const QUIET: Duration = Duration::from_secs(30);

/// Acknowledges everything at once and writes it in the background: never holds a message back.
///
/// What does not fit into the buffer is dropped, the newest first, counted as `dropped` and logged
/// at most every 30 seconds. What the sink refuses or gives up is lost too, counted as `rejected`
/// or `failed`. [`Sink::close`] writes what is buffered; what the caller's deadline cuts off counts
/// as dropped.
#[derive(Debug)]
pub struct BestEffort {
    inner: Arc<dyn Sink>,
    shared: Arc<Shared>,
    /// The writer, from the first write until it is closed.
    task: Mutex<Option<JoinSet<()>>>,
}

#[derive(Debug)]
struct Shared {
    buffer: Mutex<Buffer>,
    settings: BufferSettings,
    /// One permit when there is something for the writer to look at.
    wake: Notify,
    meter: Meter,
    sink: String,
}

#[derive(Debug, Default)]
struct Buffer {
    waiting: VecDeque<Entry>,
    /// Held altogether: waiting, or taken out and not settled yet.
    events: usize,
    bytes: usize,
    closed: bool,
    /// Lost since the last log line, and when that was.
    unreported: usize,
    reported: Option<Instant>,
}

impl BestEffort {
    /// Buffers what goes to `inner`.
    pub fn new(inner: Arc<dyn Sink>, settings: BufferSettings, metrics: &SinkMetrics) -> Self {
        let shared = Shared {
            buffer: Mutex::default(),
            settings,
            wake: Notify::new(),
            meter: metrics.meter(inner.name()),
            sink: inner.name().to_owned(),
        };
        Self { inner, shared: Arc::new(shared), task: Mutex::new(None) }
    }

    fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            let writer =
                Writer { inner: Arc::clone(&self.inner), shared: Arc::clone(&self.shared) };
            let mut tasks = JoinSet::new();
            tasks.spawn(writer.run());
            *task = Some(tasks);
        }
    }
}

#[async_trait]
impl Sink for BestEffort {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.inner.check().await
    }

    async fn turned(&self) {
        self.inner.turned().await;
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        if self.shared.put(&batch.entries) {
            self.start();
            self.shared.wake.notify_one();
        }
        // What was handed on before; the writer says the same of what it hands on from now on.
        let is_half_full = self.shared.is_half_full(&self.shared.buffer());
        if is_half_full {
            self.inner.hurry();
        }
        Ok(WriteOutcome::default())
    }

    fn hurry(&self) {
        self.inner.hurry();
    }

    async fn close(&self) {
        self.shared.buffer().closed = true;
        self.shared.wake.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task {
            // Cancel safety: a join that is cut off has taken no task's end.
            while !matches!(timeout(HURRY, task.join_next()).await, Ok(None)) {
                self.inner.hurry();
            }
        }
        self.inner.close().await;
    }
}

/// The bytes that an entry keeps alive. A raw event is its record, in the same memory.
fn held_by(entry: &Entry) -> usize {
    let is_shared = entry.data.as_ptr() == entry.record.as_ptr();
    let record = if is_shared { 0 } else { entry.record.len() };
    entry.data.len().saturating_add(record)
}

impl Shared {
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        // A panic under the lock could at worst miscount what is held; losing all would be worse.
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what waits for company keeps others out: half of the room is taken.
    fn is_half_full(&self, buffer: &Buffer) -> bool {
        buffer.events > self.settings.events / 2 || buffer.bytes > self.settings.bytes / 2
    }

    /// Takes what fits. Whether anything did.
    fn put(&self, entries: &[Entry]) -> bool {
        let mut buffer = self.buffer();
        let mut dropped = 0;
        for entry in entries {
            let bytes = held_by(entry);
            if buffer.closed
                || buffer.events >= self.settings.events
                || buffer.bytes.saturating_add(bytes) > self.settings.bytes
            {
                dropped += 1;
                continue;
            }
            buffer.events += 1;
            buffer.bytes += bytes;
            buffer.waiting.push_back(entry.clone());
        }
        if dropped > 0 {
            self.meter.dropped(dropped);
            let why = if buffer.closed { "the sink is closed" } else { "the buffer is full" };
            self.report(&mut buffer, dropped, why, None);
        }
        dropped < entries.len()
    }

    /// Says that events are lost, unless that was said a moment ago: then the next time tells both.
    fn report(&self, buffer: &mut Buffer, lost: usize, why: &str, error: Option<&SinkError>) {
        buffer.unreported += lost;
        if buffer.reported.is_some_and(|last| last.elapsed() < QUIET) {
            return;
        }
        let lost = std::mem::take(&mut buffer.unreported);
        buffer.reported = Some(Instant::now());
        let error = error.map(tracing::field::display);
        tracing::warn!(sink = self.sink, lost, why, error, "events of a best-effort sink are lost");
    }

    /// The entries of a write are no longer held.
    fn settled(&self, batch: &Batch, result: Result<WriteOutcome, SinkError>) {
        let mut buffer = self.buffer();
        buffer.events -= batch.entries.len();
        buffer.bytes -= batch.entries.iter().map(held_by).sum::<usize>();
        let (lost, error) = match result {
            Ok(outcome) => {
                (outcome.failures.len(), outcome.failures.into_iter().next().map(|f| f.error))
            }
            Err(error) => (batch.entries.len(), Some(error)),
        };
        if lost > 0 {
            self.report(&mut buffer, lost, "the sink did not take them", error.as_ref());
        }
    }
}

/// Moves entries from the buffer to the sink.
struct Writer {
    inner: Arc<dyn Sink>,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(self) {
        let mut writes: JoinSet<()> = JoinSet::new();
        loop {
            let (entries, hurries, closed) = {
                let mut buffer = self.shared.buffer();
                let hurries = buffer.closed || self.shared.is_half_full(&buffer);
                let room = writes.len() < WRITES;
                let entries =
                    if room { std::mem::take(&mut buffer.waiting) } else { VecDeque::new() };
                (entries, hurries, buffer.closed && buffer.waiting.is_empty())
            };
            if !entries.is_empty() {
                let (inner, shared) = (Arc::clone(&self.inner), Arc::clone(&self.shared));
                writes.spawn(async move {
                    let batch = Batch { entries: entries.into(), more_follows: hurries };
                    let result = inner.write(&batch).await;
                    shared.settled(&batch, result);
                });
                continue;
            }
            if closed && writes.is_empty() {
                return;
            }
            // Cancel safety: both arms only say that the buffer is worth another look.
            tokio::select! {
                biased;
                Some(done) = writes.join_next(), if !writes.is_empty() => {
                    if let Err(error) = done {
                        tracing::error!(sink = self.shared.sink, %error, "a best-effort write ended early");
                    }
                }
                () = self.shared.wake.notified() => {}
            }
        }
    }
}

impl Drop for Writer {
    /// Whatever is still held when the writer ends has no way to the sink any more.
    fn drop(&mut self) {
        let mut buffer = self.shared.buffer();
        let lost = std::mem::take(&mut buffer.events);
        buffer.closed = true;
        buffer.waiting.clear();
        if lost > 0 {
            self.shared.meter.dropped(lost);
            buffer.reported = None;
            self.shared.report(
                &mut buffer,
                lost,
                "the process ends before they were written",
                None,
            );
        }
    }
}

#[cfg(test)]
mod tests;
