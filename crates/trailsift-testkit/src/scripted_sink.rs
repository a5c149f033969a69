use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use trailsift_core::{Batch, Entry, Failure, Limits, Sink, SinkError, WriteOutcome};

use crate::lock;

#[cfg(test)]
mod tests;

/// How a [`ScriptedSink`] answers one write.
#[derive(Debug)]
pub enum Answer {
    /// Takes every entry.
    Accept,
    /// Takes every entry but these, each named by its place in the batch.
    AcceptExcept(Vec<(usize, SinkError)>),
    /// Takes nothing and says so.
    Fail(SinkError),
    /// Takes everything, and the caller gets the error: the answer was lost.
    LoseAnswer(SinkError),
    /// Waits for [`ScriptedSink::let_go`], then takes everything.
    Hold,
    /// Never answers.
    Hang,
}

/// One write, as the sink saw it.
#[derive(Clone, Debug)]
pub struct Write {
    /// When it came, by tokio's clock.
    pub at: Instant,
    /// Every entry that was offered.
    pub entries: Vec<Entry>,
}

/// A sink that remembers what it was given and answers as it is told; otherwise it accepts.
///
/// Clones are handles to the same sink.
#[derive(Clone)]
pub struct ScriptedSink {
    shared: Arc<Shared>,
}

type Rule = Box<dyn FnMut(&Batch) -> Answer + Send>;

struct Shared {
    name: String,
    limits: Limits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    script: VecDeque<Answer>,
    rule: Option<Rule>,
    refusal: Option<String>,
    writes: Vec<Write>,
    stored: Vec<Entry>,
    acknowledged: Vec<Entry>,
    held: usize,
    let_go: u64,
    closed: bool,
}

impl fmt::Debug for ScriptedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSink").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl ScriptedSink {
    /// A sink of this name that takes whatever it is given.
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_limits(name, Limits::NONE)
    }

    /// A sink of this name with limits; a batch beyond them fails the test with a panic.
    pub fn with_limits(name: impl Into<String>, limits: Limits) -> Self {
        let (state, changed) = (Mutex::default(), Notify::new());
        Self { shared: Arc::new(Shared { name: name.into(), limits, state, changed }) }
    }

    /// Answers the next write so. Several are used up in order, before any rule.
    pub fn answer(&self, answer: Answer) {
        lock(&self.shared.state).script.push_back(answer);
    }

    /// Answers every write for which no answer is scripted by this rule.
    pub fn answer_by(&self, rule: impl FnMut(&Batch) -> Answer + Send + 'static) {
        lock(&self.shared.state).rule = Some(Box::new(rule));
    }

    /// Accepts everything from now on; forgets script, rule and refusal, and lets go of what is
    /// held.
    pub fn heal(&self) {
        {
            let mut state = lock(&self.shared.state);
            state.script.clear();
            state.rule = None;
            state.refusal = None;
        }
        self.let_go();
    }

    /// Makes [`Sink::check`] fail with this text; `None` makes it succeed again.
    pub fn refuse_checks(&self, message: Option<&str>) {
        lock(&self.shared.state).refusal = message.map(str::to_owned);
    }

    /// Lets every write that is held now go on.
    pub fn let_go(&self) {
        lock(&self.shared.state).let_go += 1;
        self.shared.changed.notify_waiters();
    }

    /// The entries that the caller was told are acknowledged, in order. A call that was dropped
    /// while it was held was told nothing.
    pub fn acknowledged(&self) -> Vec<Entry> {
        lock(&self.shared.state).acknowledged.clone()
    }

    /// The entries that the sink has, also those whose answer was lost.
    pub fn stored(&self) -> Vec<Entry> {
        lock(&self.shared.state).stored.clone()
    }

    /// Every write, whatever its answer.
    pub fn writes(&self) -> Vec<Write> {
        lock(&self.shared.state).writes.clone()
    }

    /// How many writes are held now.
    pub fn held(&self) -> usize {
        lock(&self.shared.state).held
    }

    /// Whether [`Sink::close`] was called.
    pub fn is_closed(&self) -> bool {
        lock(&self.shared.state).closed
    }

    /// Waits until this many entries are acknowledged. Put a timeout around it.
    pub async fn until_acknowledged(&self, count: usize) {
        self.until(|state| state.acknowledged.len() >= count).await;
    }

    /// Waits until this many writes were offered. Put a timeout around it.
    pub async fn until_writes(&self, count: usize) {
        self.until(|state| state.writes.len() >= count).await;
    }

    /// Waits until this many writes are held. Put a timeout around it.
    pub async fn until_held(&self, count: usize) {
        self.until(|state| state.held >= count).await;
    }

    async fn until(&self, is_met: impl Fn(&State) -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            if is_met(&lock(&self.shared.state)) {
                return;
            }
            changed.await;
        }
    }

    /// Notes the write and decides its answer.
    fn begin(&self, batch: &Batch) -> Answer {
        let limits = self.shared.limits;
        let largest = batch.entries.iter().map(|entry| entry.data.len()).max().unwrap_or(0);
        assert!(
            batch.entries.len() <= limits.events
                && batch.bytes() <= limits.bytes
                && largest <= limits.entry_bytes,
            "a batch of {} entries, {} bytes, the largest {largest}, is beyond {limits:?}",
            batch.entries.len(),
            batch.bytes(),
        );
        let answer = {
            let mut state = lock(&self.shared.state);
            state.writes.push(Write { at: Instant::now(), entries: batch.entries.clone() });
            match state.script.pop_front() {
                Some(answer) => answer,
                None => state.rule.as_mut().map_or(Answer::Accept, |rule| rule(batch)),
            }
        };
        self.shared.changed.notify_waiters();
        answer
    }

    fn take(&self, batch: &Batch, failures: Vec<Failure>) -> WriteOutcome {
        let mut state = lock(&self.shared.state);
        for (index, entry) in batch.entries.iter().enumerate() {
            if failures.iter().all(|failure| failure.index != index) {
                state.stored.push(entry.clone());
                state.acknowledged.push(entry.clone());
            }
        }
        drop(state);
        self.shared.changed.notify_waiters();
        WriteOutcome { failures }
    }

    async fn hold(&self) {
        let guard = Holding::new(self);
        let seen = guard.seen;
        self.until(|state| state.let_go > seen).await;
    }
}

/// Counts a held write, also when its caller drops it.
struct Holding<'a> {
    sink: &'a ScriptedSink,
    seen: u64,
}

impl<'a> Holding<'a> {
    fn new(sink: &'a ScriptedSink) -> Self {
        let seen = {
            let mut state = lock(&sink.shared.state);
            state.held += 1;
            state.let_go
        };
        sink.shared.changed.notify_waiters();
        Self { sink, seen }
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        lock(&self.sink.shared.state).held -= 1;
        self.sink.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl Sink for ScriptedSink {
    fn name(&self) -> &str {
        &self.shared.name
    }

    fn limits(&self) -> Limits {
        self.shared.limits
    }

    async fn check(&self) -> Result<(), SinkError> {
        match &lock(&self.shared.state).refusal {
            Some(message) => Err(SinkError::retry(message.clone())),
            None => Ok(()),
        }
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        match self.begin(batch) {
            Answer::Accept => Ok(self.take(batch, Vec::new())),
            Answer::AcceptExcept(mut failures) => {
                failures.sort_by_key(|(index, _)| *index);
                let failures =
                    failures.into_iter().map(|(index, error)| Failure { index, error }).collect();
                Ok(self.take(batch, failures))
            }
            Answer::Fail(error) => Err(error),
            Answer::LoseAnswer(error) => {
                lock(&self.shared.state).stored.extend(batch.entries.iter().cloned());
                Err(error)
            }
            Answer::Hold => {
                self.hold().await;
                Ok(self.take(batch, Vec::new()))
            }
            Answer::Hang => pending().await,
        }
    }

    async fn close(&self) {
        lock(&self.shared.state).closed = true;
    }
}
