use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use trailsift_core::{Batch, Limits, Reason, Sink, SinkError, WriteOutcome};

use crate::SinkMetrics;
use crate::metrics::Meter;
use crate::settle::{answer, settle};

mod ticket;

use ticket::{Item, issue};

/// When a batch is full. The sink's own limits hold besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// Entries in a batch, at least 1.
    pub events: usize,
    /// Bytes in a batch, framing not counted. A single larger entry goes alone.
    pub bytes: usize,
    /// How long an entry waits for company, at most.
    pub linger: Duration,
    /// Batches on their way at the same time, at least 1.
    pub in_flight: usize,
    /// Callers that wait for a batch to go, at least 1: with that many it goes at once, so that a
    /// linger never costs more than these many callers their time.
    pub callers: usize,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            events: 500,
            bytes: 1 << 20,
            linger: Duration::from_millis(200),
            in_flight: 4,
            callers: usize::MAX,
        }
    }
}

/// Callers that may have handed in their entries before the collector looks at them. The collector
/// looks at once unless a full batch waits, so more would not make fuller batches.
const WAITING_CALLERS: usize = 1;

/// Coalesces the writes of many callers into batches, and splits what is too large for one.
///
/// Each caller gets the outcome of its own entries, each settled exactly once, in its own order. A
/// full batch goes at once, and so does one that enough callers wait for, or one of whom more follows,
/// and whatever waits when somebody is in a [hurry](Sink::hurry);
/// others when their oldest entry has waited for `linger`. Several are on their way at the same time.
/// An entry that is larger than the sink takes is poison (`sink_record_too_large`) and never sent.
///
/// Memory: what the callers that wait hold anyway, and `in_flight` batches, which may outlive their
/// callers. Entries that are not on their way yet are dropped as soon as their caller goes, and never
/// sent: however long a sink is stuck, nothing of the callers that gave up stays.
///
/// The task that collects
/// starts with the first write and ends with [`Sink::close`] or when this is dropped; whatever was
/// not settled by then is not acknowledged.
#[derive(Debug)]
pub struct Batching {
    inner: Arc<dyn Sink>,
    room: Room,
    meter: Meter,
    /// One permit when what waits is to go.
    hurried: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    New,
    Running { queue: mpsc::Sender<Request>, task: JoinSet<()> },
    Closed,
}

/// What one caller hands in.
#[derive(Debug)]
struct Request {
    items: Vec<Item>,
    more_follows: bool,
}

impl Batching {
    /// Batches what goes to `inner`.
    pub fn new(inner: Arc<dyn Sink>, settings: BatchSettings, metrics: &SinkMetrics) -> Self {
        let meter = metrics.meter(inner.name());
        let limits = inner.limits();
        let room = Room {
            events: settings.events.min(limits.events).max(1),
            bytes: settings.bytes.min(limits.bytes),
            entry_bytes: limits.entry_bytes.min(limits.bytes),
            linger: settings.linger,
            in_flight: settings.in_flight.max(1),
            callers: settings.callers.max(1),
        };
        Self { inner, room, meter, hurried: Arc::default(), state: Mutex::new(State::New) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Each change under the lock is a single assignment, so a panic leaves no half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> Result<mpsc::Sender<Request>, SinkError> {
        let mut state = self.state();
        match &*state {
            State::Running { queue, .. } => Ok(queue.clone()),
            State::Closed => Err(SinkError::retry("the sink is closed")),
            State::New => {
                let (queue, requests) = mpsc::channel(WAITING_CALLERS);
                let collector = Collector {
                    inner: Arc::clone(&self.inner),
                    room: self.room,
                    waiting: VecDeque::new(),
                    waiting_bytes: 0,
                    callers: 0,
                    hurries: false,
                    hurried: Arc::clone(&self.hurried),
                    flushes: JoinSet::new(),
                };
                let mut task = JoinSet::new();
                task.spawn(collector.run(requests));
                *state = State::Running { queue: queue.clone(), task };
                Ok(queue)
            }
        }
    }

    fn too_large(&self, bytes: usize) -> SinkError {
        SinkError::poison(
            Reason::SinkRecordTooLarge,
            format!(
                "the event has {bytes} bytes, the sink takes at most {}",
                self.room.entry_bytes
            ),
        )
    }
}

#[async_trait]
impl Sink for Batching {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn limits(&self) -> Limits {
        // Splits and sorts out by itself.
        Limits::NONE
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.inner.check().await
    }

    async fn turned(&self) {
        self.inner.turned().await;
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let mut settled = Vec::with_capacity(batch.entries.len());
        let mut entries = Vec::with_capacity(batch.entries.len());
        for entry in &batch.entries {
            if entry.data.len() > self.room.entry_bytes {
                settled.push(Some(self.too_large(entry.data.len())));
            } else {
                settled.push(None);
                entries.push(entry.clone());
            }
        }
        let sent: Vec<usize> = (0..settled.len()).filter(|i| settled[*i].is_none()).collect();
        let too_large = settled.len() - sent.len();
        if !entries.is_empty() {
            let queue = self.queue()?;
            let (items, awaited) = issue(entries);
            let stopped = || SinkError::retry("the sink was closed before the write was done");
            let request = Request { items, more_follows: batch.more_follows };
            queue.send(request).await.map_err(|_| stopped())?;
            drop(queue);
            let results = awaited.results().await.map_err(|_| stopped())?;
            for (index, result) in sent.into_iter().zip(results) {
                settled[index] = result;
            }
        }
        // Counted only now: a caller that goes before the end comes again with the same entry.
        self.meter.rejected(too_large);
        answer(settled)
    }

    fn hurry(&self) {
        self.hurried.notify_one();
    }

    /// Writes at once what still lingers, waits until all of it is settled, then closes the sink.
    /// Dropping the future ends the waiting and the writing.
    async fn close(&self) {
        let state = std::mem::replace(&mut *self.state(), State::Closed);
        if let State::Running { queue, mut task } = state {
            drop(queue);
            while task.join_next().await.is_some() {}
        }
        self.inner.close().await;
    }
}

/// What fits into a batch: the settings within the sink's limits.
#[derive(Clone, Copy, Debug)]
struct Room {
    events: usize,
    bytes: usize,
    entry_bytes: usize,
    linger: Duration,
    in_flight: usize,
    callers: usize,
}

/// The one task that owns the batch that fills and the batches on their way.
struct Collector {
    inner: Arc<dyn Sink>,
    room: Room,
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
    /// Whose last item is among them.
    callers: usize,
    /// Somebody among them goes on only when it is done, or nobody else is to be waited for.
    hurries: bool,
    hurried: Arc<Notify>,
    flushes: JoinSet<()>,
}

impl Collector {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut open = true;
        let hurried = Arc::clone(&self.hurried);
        while open || !self.waiting.is_empty() {
            let free = self.flushes.len() < self.room.in_flight;
            if free && (self.is_due() || (!open && !self.waiting.is_empty())) {
                self.flush();
                continue;
            }
            let due = self.waiting.front().map(|item| item.since + self.room.linger);
            tokio::select! {
                biased;
                Some(done) = self.flushes.join_next(), if !self.flushes.is_empty() => {
                    // Its items were dropped with it, so their callers already know.
                    if let Err(error) = done {
                        tracing::error!(sink = self.inner.name(), %error, "writing a batch ended early");
                    }
                }
                () = until(due), if free && due.is_some() => self.flush(),
                // Cancel safety: the permit stays where it is until this arm wins.
                () = hurried.notified() => self.hurries |= !self.waiting.is_empty(),
                // Cancel safety: a receive that loses the race has taken nothing from the channel.
                // Nothing more is taken while a full batch waits, which bounds memory.
                request = requests.recv(), if open && !self.is_full() => match request {
                    Some(request) => self.take(request),
                    None => open = false,
                },
            }
        }
        while self.flushes.join_next().await.is_some() {}
    }

    fn take(&mut self, Request { items, more_follows }: Request) {
        self.hurries |= more_follows;
        self.waiting_bytes += items.iter().map(|item| item.size).sum::<usize>();
        self.callers += 1;
        self.waiting.extend(items);
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= self.room.events || self.waiting_bytes >= self.room.bytes.max(1)
    }

    /// Whether there is nothing to wait for. While too many batches are on their way more is taken
    /// all the same, until this one is full.
    fn is_due(&self) -> bool {
        let hurries = self.hurries && !self.waiting.is_empty();
        hurries || self.is_full() || self.callers >= self.room.callers
    }

    /// Sends as many of the oldest items as one batch holds, at least one.
    fn flush(&mut self) {
        let (mut items, mut entries) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            let size = next.size;
            let fits = items.len() < self.room.events && bytes + size <= self.room.bytes;
            if !fits && !items.is_empty() {
                break;
            }
            let Some(item) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= size;
            self.callers -= usize::from(item.is_last);
            if let Some(entry) = item.take_entry() {
                bytes += size;
                entries.push(entry);
                items.push(item);
            }
        }
        self.hurries &= !self.waiting.is_empty();
        if !items.is_empty() {
            let batch = Batch { entries, more_follows: false };
            self.flushes.spawn(write(Arc::clone(&self.inner), batch, items));
        }
    }
}

async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Writes one batch and tells each caller. Should this panic or be dropped, so are its items, which
/// tells the callers that nothing is acknowledged.
///
/// Broken off once nobody waits for any of it: what would still be accepted then would be there
/// twice, for its messages come again.
async fn write(inner: Arc<dyn Sink>, batch: Batch, items: Vec<Item>) {
    let callers = items.chunk_by(Item::has_caller_of);
    // Cancel safety: what is on its way to the sink at that moment may be accepted or not, which is
    // what the callers were told by giving up.
    let outcome = tokio::select! {
        biased;
        outcome = inner.write(&batch) => outcome,
        _ = join_all(callers.map(|of_one| of_one[0].abandoned())) => return,
    };
    let settled = settle(items.len(), outcome);
    for (item, result) in items.into_iter().zip(settled) {
        item.settle(result);
    }
}

#[cfg(test)]
mod tests;
