use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use trailsift_core::{Known, Ledger, LedgerError, ObjectId, Settlement};

use crate::metrics::PipelineMetrics;

/// How long the ledger may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A failure that took longer than this costs more than it is worth to ask again at once.
const SLOW: Duration = Duration::from_millis(100);
/// How long the ledger is left alone after a slow failure.
const PAUSE: Duration = Duration::from_secs(10);
/// How often a ledger that goes on failing is reported anew.
const REPORT_EVERY: Duration = Duration::from_secs(300);

/// The ledger as the pipeline uses it: asked where it can answer, done without where it cannot.
///
/// Forgetting costs duplicates, waiting costs the service. So nothing here fails and nothing waits
/// for longer than a few seconds; but while the ledger is not used, metric and log say so.
#[derive(Debug)]
pub(crate) struct Books {
    ledger: Arc<dyn Ledger>,
    troubles: Mutex<Troubles>,
    metrics: PipelineMetrics,
}

/// What is wrong with the ledger. That it can be read says nothing of whether it can be written.
#[derive(Debug, Default)]
struct Troubles {
    reading: Option<Trouble>,
    writing: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    /// Nobody asks before this.
    until: Instant,
    reported: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Reading,
    Writing,
}

impl Troubles {
    fn of(&mut self, side: Side) -> &mut Option<Trouble> {
        match side {
            Side::Reading => &mut self.reading,
            Side::Writing => &mut self.writing,
        }
    }
}

impl Books {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, metrics: PipelineMetrics) -> Self {
        Self { ledger, troubles: Mutex::default(), metrics }
    }

    /// What is known of the object; nothing, where the ledger cannot say.
    pub(crate) async fn recall(&self, object: &ObjectId) -> Known {
        let known = self.ask(Side::Reading, "recall", self.ledger.recall(object)).await;
        known.unwrap_or_default()
    }

    /// Notes that the sink has acknowledged what it was owed below this place in the file.
    pub(crate) async fn acknowledged(&self, object: &ObjectId, sink: &str, below: u64) {
        let noting = self.ledger.acknowledged(object, sink, below);
        self.ask(Side::Writing, "acknowledged", noting).await;
    }

    /// Notes the end of the work on the object.
    pub(crate) async fn settled(&self, object: &ObjectId, settlement: &Settlement) {
        self.ask(Side::Writing, "settled", self.ledger.settled(object, settlement)).await;
    }

    async fn ask<T>(
        &self,
        side: Side,
        operation: &str,
        question: impl Future<Output = Result<T, LedgerError>>,
    ) -> Option<T> {
        let asked = Instant::now();
        if self.troubles().of(side).as_ref().is_some_and(|trouble| asked < trouble.until) {
            return None;
        }
        let answer = timeout(PATIENCE, question).await;
        let mut troubles = self.troubles();
        let error = match answer {
            Ok(Ok(value)) => {
                if troubles.of(side).take().is_some() {
                    tracing::info!(operation, "the ledger works again");
                }
                let well = troubles.reading.is_none() && troubles.writing.is_none();
                self.metrics.ledger_degraded.set(i64::from(!well));
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.metrics.ledger_errors.with_label_values(&[operation]).inc();
        self.metrics.ledger_degraded.set(1);
        let now = Instant::now();
        let due = |trouble: &Trouble| now.duration_since(trouble.reported) >= REPORT_EVERY;
        let reported = match troubles.of(side) {
            Some(known) if !due(known) => known.reported,
            _ => {
                tracing::warn!(
                    operation,
                    error = %error.escape_debug(),
                    "the ledger cannot be used: nothing is lost, but what is delivered again \
                     meanwhile is sent again"
                );
                now
            }
        };
        let until = if now.duration_since(asked) < SLOW { now } else { now + PAUSE };
        *troubles.of(side) = Some(Trouble { until, reported });
        None
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
