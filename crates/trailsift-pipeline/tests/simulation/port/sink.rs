use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use trailsift_core::{Batch, Entry, Failure, Limits, Reason, Sink, SinkError, WriteOutcome};

use super::Line;
use crate::history::Event;
use crate::script::PARKED;
use crate::weather::{Port, Stuck};

/// A sink as the pipeline sees it, with all its decorators behind it.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) line: Line,
    pub(crate) name: &'static str,
    pub(crate) sink: Arc<dyn Sink>,
}

#[async_trait::async_trait]
impl Sink for Desk {
    fn name(&self) -> &str {
        self.name
    }

    fn limits(&self) -> Limits {
        self.sink.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.sink.check().await
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let Line { life, ref history, .. } = self.line;
        let (sink, write) = (self.name, history.len());
        history.record(Event::Offers { life, sink, write, entries: batch.entries.clone() });
        let answer = self.sink.write(batch).await;
        history.record(match &answer {
            Ok(outcome) => {
                let but = outcome.failures.iter().map(|failure| failure.index).collect();
                Event::Acknowledged { life, sink, write, but }
            }
            Err(_) => Event::Refused { life, sink, write },
        });
        answer
    }

    async fn close(&self) {
        self.sink.close().await;
    }
}

/// The innermost sink: what it stores is durable, and outlives the replica.
#[derive(Debug)]
pub(crate) struct SinkEnd {
    pub(crate) line: Line,
    pub(crate) name: &'static str,
    pub(crate) limits: Limits,
}

impl SinkEnd {
    fn port(&self) -> Port {
        if self.name == PARKED { Port::Quarantine } else { Port::Sink }
    }

    /// What the sink takes of a batch, decided when the batch arrives there.
    fn judge(&self, batch: &Batch) -> Vec<Failure> {
        let Line { ref weather, ref history, .. } = self.line;
        let mut failures = Vec::new();
        for (index, entry) in batch.entries.iter().enumerate() {
            if !weather.strikes(self.port()) {
                continue;
            }
            // A quarantine takes everything, sooner or later.
            let error = match weather.dice.below(4) {
                0 if self.name != PARKED => {
                    history.record(Event::Rejects { sink: self.name, entry: entry.clone() });
                    SinkError::poison(Reason::SinkRejected, "refused")
                }
                1 => SinkError::retry_after(Some(Duration::from_secs(8)), "slow down"),
                _ => SinkError::retry("refused for now"),
            };
            failures.push(Failure { index, error });
        }
        failures
    }
}

#[async_trait::async_trait]
impl Sink for SinkEnd {
    fn name(&self) -> &str {
        self.name
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn check(&self) -> Result<(), SinkError> {
        match self.line.weather.strikes(self.port()) {
            true => Err(SinkError::retry("not well")),
            false => Ok(()),
        }
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let Line { life, ref weather, ref history } = self.line;
        let largest = batch.entries.iter().map(|entry| entry.data.len()).max().unwrap_or(0);
        assert!(
            batch.entries.len() <= self.limits.events && largest <= self.limits.entry_bytes,
            "a batch is beyond the limits of its sink"
        );
        if weather.is_stuck(&Stuck::Sink(self.name)) {
            weather.until_clear().await;
        }
        if weather.strikes(self.port()) && weather.dice.one_in(25) {
            history.record(Event::Panics { life, sink: self.name });
            // Without the hook, which would print every one of them.
            resume_unwind(Box::new("a bug in a sink"));
        }
        let failures = self.judge(batch);
        let is_taken = |index: usize| failures.iter().all(|failure| failure.index != index);
        let entries = batch.entries.iter().enumerate();
        let taken: Vec<Entry> =
            entries.filter(|(index, _)| is_taken(*index)).map(|(_, entry)| entry.clone()).collect();
        let (history, sink) = (history.clone(), self.name);
        let arrive = async move {
            history.record(Event::Stores { sink, entries: taken });
        };
        match weather.carry(self.port(), arrive).await {
            Some(()) => Ok(WriteOutcome { failures }),
            None => Err(SinkError::retry("connection reset")),
        }
    }
}
