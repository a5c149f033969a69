use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use trailsift_core::{Batch, Disposition, Limits, Sink, SinkError, WriteOutcome};

use crate::SinkMetrics;
use crate::metrics::Meter;
use crate::settle::{answer, settle};

mod spell;

use spell::Spell;

/// How long, and how patiently, a sink is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// From the first attempt on: no further attempt is begun after this time.
    pub deadline: Duration,
    /// The longest wait before the second attempt; it doubles with every further one.
    pub base: Duration,
    /// The longest wait of all, unless the sink itself names a longer one.
    pub cap: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5 * 60),
            base: Duration::from_millis(200),
            cap: Duration::from_secs(30),
        }
    }
}

impl RetrySettings {
    /// Full jitter: anything between nothing and an exponentially growing ceiling, so that replicas
    /// that failed together do not come back together. A time named by the sink is waited out in
    /// full, with jitter on top for the same reason.
    fn wait(&self, attempts: u32, named: Option<Duration>) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        match named {
            Some(named) => named.saturating_add(self.base.mul_f64(fastrand::f64())),
            None => ceiling.mul_f64(fastrand::f64()),
        }
    }
}

/// Sends again what failed with [`Disposition::Retry`], and only that, until the deadline.
///
/// Poison and fatal errors pass straight through. What is given up keeps the disposition `Retry`
/// and says so: the caller leaves its messages to redelivery. Nothing outside retries it again.
///
/// While attempt after attempt fails, [`Sink::check`] fails too, whatever the sink itself thinks of
/// its health: a collector may answer `HEAD` and refuse every `POST`, a disk may have room and take
/// nothing.
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn Sink>,
    settings: RetrySettings,
    meter: Meter,
    spell: Spell,
}

impl Retry {
    /// Retries `inner`.
    pub fn new(inner: Arc<dyn Sink>, settings: RetrySettings, metrics: &SinkMetrics) -> Self {
        let meter = metrics.meter(inner.name());
        Self { inner, settings, meter, spell: Spell::default() }
    }

    fn given_up(attempts: u32, started: Instant, last: SinkError) -> SinkError {
        let seconds = started.elapsed().as_secs_f64();
        let times = if attempts == 1 { "attempt" } else { "attempts" };
        let message = format!("gave up after {attempts} {times} in {seconds:.1} s");
        SinkError { disposition: last.disposition, message, source: Some(Box::new(last)) }
    }
}

#[async_trait]
impl Sink for Retry {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        // Asked first, for the spell has turned until it was: whoever watches would ask for ever.
        let trouble = self.spell.trouble();
        self.inner.check().await?;
        trouble.map_or(Ok(()), |trouble| Err(SinkError::retry(trouble)))
    }

    async fn turned(&self) {
        // Cancel safety: both only look.
        tokio::select! {
            () = self.spell.turned() => {}
            () = self.inner.turned() => {}
        }
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let started = Instant::now();
        // The first attempt takes the caller's batch as it is: the usual case copies nothing.
        let mut settled = settle(batch.entries.len(), self.inner.write(batch).await);
        self.spell.note(&settled);
        let mut attempts = 1;
        loop {
            let pending: Vec<usize> =
                (0..settled.len()).filter(|i| retryable(&settled[*i])).collect();
            let Some(first) = pending.first() else { break };
            let wait = self.settings.wait(attempts, longest_named(&settled));
            if started.elapsed().saturating_add(wait) > self.settings.deadline {
                for index in pending {
                    settled[index] =
                        settled[index].take().map(|last| Self::given_up(attempts, started, last));
                }
                break;
            }
            tracing::debug!(
                sink = self.name(),
                attempts,
                events = pending.len(),
                wait_seconds = wait.as_secs_f64(),
                error = settled[*first].as_ref().map(tracing::field::display),
                "writing again later"
            );
            tokio::time::sleep(wait).await;
            self.meter.retried(pending.len());
            let entries = pending.iter().map(|i| batch.entries[*i].clone()).collect();
            let again = Batch { entries, more_follows: batch.more_follows };
            let results = settle(again.entries.len(), self.inner.write(&again).await);
            self.spell.note(&results);
            attempts += 1;
            for (index, result) in pending.into_iter().zip(results) {
                settled[index] = result;
            }
        }
        answer(settled)
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

fn retryable(settled: &Option<SinkError>) -> bool {
    matches!(settled, Some(SinkError { disposition: Disposition::Retry { .. }, .. }))
}

/// The longest time that the sink asked for: earlier would break its word for some entry.
fn longest_named(settled: &[Option<SinkError>]) -> Option<Duration> {
    settled
        .iter()
        .filter_map(|error| match error.as_ref()?.disposition {
            Disposition::Retry { after } => after,
            Disposition::Poison { .. } | Disposition::Fatal => None,
        })
        .max()
}

#[cfg(test)]
mod tests;
