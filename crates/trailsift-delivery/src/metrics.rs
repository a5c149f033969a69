use std::sync::Arc;

use async_trait::async_trait;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};
use tokio::time::Instant;
use trailsift_core::{Batch, Disposition, Limits, Sink, SinkError, WriteOutcome};

/// The metrics of all sinks of a process.
///
/// `trailsift_sink_events_total{sink,outcome}`: each event that is handed to a sink ends as exactly
/// one of `delivered`, `rejected` (the sink will never take it), `failed` (given up for now: the
/// message stays) or `dropped` (best effort only: it never got as far as the sink). `retried` comes
/// on top: events that were sent once more after a failed attempt.
///
/// `trailsift_sink_write_seconds{sink}`: one attempt at the sink, waits between attempts excluded.
///
/// `trailsift_sink_required{sink}`: 1 where messages wait for it, 0 where it is best effort and what it
/// fails to take is lost.
#[derive(Clone, Debug)]
pub struct SinkMetrics {
    pub(crate) events: IntCounterVec,
    pub(crate) seconds: HistogramVec,
    required: IntGaugeVec,
}

impl SinkMetrics {
    /// Creates the metrics and registers them, once per registry.
    ///
    /// # Errors
    /// If the registry already holds metrics of these names.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let events = IntCounterVec::new(
            Opts::new("trailsift_sink_events_total", "Events by what became of them at the sink."),
            &["sink", "outcome"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "trailsift_sink_write_seconds",
                "Seconds of one attempt to write a batch.",
            )
            .buckets(vec![
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
                60.0,
            ]),
            &["sink"],
        )?;
        let required = IntGaugeVec::new(
            Opts::new(
                "trailsift_sink_required",
                "1 where messages wait for the sink, 0 where it is best effort.",
            ),
            &["sink"],
        )?;
        registry.register(Box::new(events.clone()))?;
        registry.register(Box::new(required.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self { events, seconds, required })
    }

    /// Says of the sink whether messages wait for it.
    pub(crate) fn note_required(&self, sink: &str, required: bool) {
        self.required.with_label_values(&[sink]).set(i64::from(required));
    }

    /// The metrics of the sink with this name from the configuration, each series present from now
    /// on, at zero.
    pub(crate) fn meter(&self, sink: &str) -> Meter {
        let events = |outcome| self.events.with_label_values(&[sink, outcome]);
        Meter {
            delivered: events("delivered"),
            rejected: events("rejected"),
            failed: events("failed"),
            retried: events("retried"),
            dropped: events("dropped"),
            seconds: self.seconds.with_label_values(&[sink]),
        }
    }
}

/// The metrics of one sink.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    delivered: IntCounter,
    rejected: IntCounter,
    failed: IntCounter,
    retried: IntCounter,
    dropped: IntCounter,
    seconds: Histogram,
}

impl Meter {
    pub(crate) fn retried(&self, events: usize) {
        self.retried.inc_by(events as u64);
    }

    pub(crate) fn rejected(&self, events: usize) {
        self.rejected.inc_by(events as u64);
    }

    pub(crate) fn dropped(&self, events: usize) {
        self.dropped.inc_by(events as u64);
    }

    /// Counts one event by what became of it.
    fn settled(&self, error: Option<&SinkError>) {
        match error.map(|error| error.disposition) {
            None => self.delivered.inc(),
            Some(Disposition::Poison { .. }) => self.rejected.inc(),
            Some(Disposition::Retry { .. } | Disposition::Fatal) => self.failed.inc(),
        }
    }

    fn outcome(&self, count: usize, result: &Result<WriteOutcome, SinkError>) {
        match result {
            Ok(outcome) => {
                self.delivered.inc_by(count.saturating_sub(outcome.failures.len()) as u64);
                for failure in &outcome.failures {
                    self.settled(Some(&failure.error));
                }
            }
            Err(error) => (0..count).for_each(|_| self.settled(Some(error))),
        }
    }
}

/// Counts what finally became of each event. Stands outside [`Retry`](crate::Retry), so that an
/// event that took three attempts is one `delivered`.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Sink>,
    meter: Meter,
}

impl Metered {
    /// Counts what `inner` does under the name of `inner`.
    pub fn new(inner: Arc<dyn Sink>, metrics: &SinkMetrics) -> Self {
        let meter = metrics.meter(inner.name());
        Self { inner, meter }
    }
}

#[async_trait]
impl Sink for Metered {
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
        let result = self.inner.write(batch).await;
        self.meter.outcome(batch.entries.len(), &result);
        result
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// Measures each attempt. Stands inside [`Retry`](crate::Retry), so that waits between attempts do
/// not look like a slow sink, and outside [`Timeout`](crate::Timeout), so that an attempt that was
/// broken off counts with the time that it took.
#[derive(Debug)]
pub struct Timed {
    inner: Arc<dyn Sink>,
    meter: Meter,
}

impl Timed {
    /// Measures `inner` under the name of `inner`.
    pub fn new(inner: Arc<dyn Sink>, metrics: &SinkMetrics) -> Self {
        let meter = metrics.meter(inner.name());
        Self { inner, meter }
    }
}

#[async_trait]
impl Sink for Timed {
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
        let started = Instant::now();
        let result = self.inner.write(batch).await;
        self.meter.seconds.observe(started.elapsed().as_secs_f64());
        result
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
