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
    trouble: Mutex<Option<Trouble>>,
    metrics: PipelineMetrics,
}

#[derive(Debug)]
struct Trouble {
    /// Nobody asks before this.
    until: Instant,
    reported: Instant,
}

impl Books {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, metrics: PipelineMetrics) -> Self {
        Self { ledger, trouble: Mutex::new(None), metrics }
    }

    /// What is known of the object; nothing, where the ledger cannot say.
    pub(crate) async fn recall(&self, object: &ObjectId) -> Known {
        let Some(ledger) = self.ledger() else { return Known::default() };
        self.ask("recall", ledger.recall(object)).await.unwrap_or_default()
    }

    /// Notes that the sink has acknowledged what it was owed below this place in the file.
    pub(crate) async fn acknowledged(&self, object: &ObjectId, sink: &str, below: u64) {
        let Some(ledger) = self.ledger() else { return };
        self.ask("acknowledged", ledger.acknowledged(object, sink, below)).await;
    }

    /// Notes the end of the work on the object.
    pub(crate) async fn settled(&self, object: &ObjectId, settlement: &Settlement) {
        let Some(ledger) = self.ledger() else { return };
        self.ask("settled", ledger.settled(object, settlement)).await;
    }

    /// The ledger, unless it has just failed slowly.
    fn ledger(&self) -> Option<&dyn Ledger> {
        let left_alone = self.trouble().as_ref().is_some_and(|t| Instant::now() < t.until);
        (!left_alone).then_some(&*self.ledger)
    }

    async fn ask<T>(
        &self,
        operation: &str,
        question: impl Future<Output = Result<T, LedgerError>>,
    ) -> Option<T> {
        let asked = Instant::now();
        let error = match timeout(PATIENCE, question).await {
            Ok(Ok(value)) => {
                if self.trouble().take().is_some() {
                    self.metrics.ledger_degraded.set(0);
                    tracing::info!("the ledger works again");
                }
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        self.metrics.ledger_errors.with_label_values(&[operation]).inc();
        self.metrics.ledger_degraded.set(1);
        let now = Instant::now();
        let mut trouble = self.trouble();
        let due = |trouble: &Trouble| now.duration_since(trouble.reported) >= REPORT_EVERY;
        let reported = match trouble.as_ref() {
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
        *trouble = Some(Trouble { until, reported });
        None
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
