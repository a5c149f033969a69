//! What the ports say, counted on its way: errors by kind, incomplete messages, deceit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};
use tokio::time::Instant;
use trailsift_core::{
    Incomplete, LogFile, Message, ObjectStore, OpenObject, Queue, QueueError, QueueStatus, Receipt,
    Resume, StoreError,
};

use crate::service::Account;

/// What goes wrong between us and AWS. Labels are account names and words from closed sets.
#[derive(Clone, Debug)]
pub(crate) struct PortMetrics {
    store_errors: IntCounterVec,
    queue_errors: IntCounterVec,
    incomplete: IntCounterVec,
    pub(crate) body_timeouts: IntCounter,
    pub(crate) etag_changed: IntCounter,
    pub(crate) silent: IntGaugeVec,
    pub(crate) reachable: IntGaugeVec,
    backlog: IntGaugeVec,
}

impl PortMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        fn add<C: Collector + Clone + 'static>(registry: &Registry, c: C) -> prometheus::Result<C> {
            registry.register(Box::new(c.clone()))?;
            Ok(c)
        }
        let counters = |name: &str, help: &str, labels: &[&str]| {
            add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let counter =
            |name: &str, help: &str| add(registry, IntCounter::with_opts(Opts::new(name, help))?);
        let gauge = |name: &str, help: &str| {
            add(registry, IntGaugeVec::new(Opts::new(name, help), &["account"])?)
        };
        Ok(Self {
            store_errors: counters(
                "trailsift_s3_errors_total",
                "Reads that S3 refused or broke off, by what was wrong; one read may fail and be mended.",
                &["account", "error"],
            )?,
            queue_errors: counters(
                "trailsift_sqs_errors_total",
                "Calls of the queue that failed, by call and by what was wrong.",
                &["account", "op", "error"],
            )?,
            incomplete: counters(
                "trailsift_messages_incomplete_total",
                "Messages that the queue handed out without a receipt (left to redelivery) or without attributes.",
                &["account", "missing"],
            )?,
            body_timeouts: counter(
                "trailsift_s3_body_timeouts_total",
                "Object bodies that stalled, dripped, or took longer than their deadline.",
            )?,
            etag_changed: counter(
                "trailsift_s3_etag_changed_total",
                "Objects that were overwritten while they were read.",
            )?,
            silent: gauge(
                "trailsift_queue_silent",
                "1 while the queue says that messages are visible, but hands none out.",
            )?,
            reachable: gauge(
                "trailsift_account_reachable",
                "1 while the account's queue answers.",
            )?,
            backlog: add(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "trailsift_queue_messages",
                        "Messages of the queue by state, as it last said, approximately: asked once a minute \
                         while messages come, else every five minutes at least.",
                    ),
                    &["account", "state"],
                )?,
            )?,
        })
    }

    /// Has what an alert looks at there from now on, at zero.
    pub(crate) fn account(&self, account: &str) {
        self.silent.with_label_values(&[account]).set(0);
        self.reachable.with_label_values(&[account]).set(0);
        for missing in ["receipt", "attributes"] {
            self.incomplete.with_label_values(&[account, missing]).inc_by(0);
        }
    }

    fn note_backlog(&self, account: &str, status: &QueueStatus) {
        let QueueStatus { visible, in_flight, delayed, .. } = *status;
        for (state, count) in [("visible", visible), ("in_flight", in_flight), ("delayed", delayed)]
        {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.backlog.with_label_values(&[account, state]).set(count);
        }
    }
}

/// The account with its ports watched.
pub(crate) fn watched(account: Account, metrics: &PortMetrics) -> Account {
    let Account { name, queue, store, .. } = &account;
    let queue = Arc::new(WatchedQueue {
        account: name.clone(),
        queue: Arc::clone(queue),
        metrics: metrics.clone(),
        counted: Mutex::default(),
    });
    let store = Arc::new(WatchedStore {
        account: name.clone(),
        store: Arc::clone(store),
        metrics: metrics.clone(),
    });
    Account { queue, store, ..account }
}

#[derive(Debug)]
struct WatchedQueue {
    account: String,
    queue: Arc<dyn Queue>,
    metrics: PortMetrics,
    /// What of the queue's own count is in the metrics already.
    counted: Mutex<Incomplete>,
}

impl WatchedQueue {
    fn note<T>(&self, op: &str, answer: Result<T, QueueError>) -> Result<T, QueueError> {
        answer.inspect_err(|error| {
            let labels = &[self.account.as_str(), op, error.as_str()];
            self.metrics.queue_errors.with_label_values(labels).inc();
        })
    }

    fn count_incomplete(&self) {
        let now = self.queue.incomplete();
        let before = std::mem::replace(
            &mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        );
        for (missing, count) in [
            ("receipt", now.left.saturating_sub(before.left)),
            ("attributes", now.bare.saturating_sub(before.bare)),
        ] {
            let labels = &[self.account.as_str(), missing];
            self.metrics.incomplete.with_label_values(labels).inc_by(count);
        }
    }
}

#[async_trait]
impl Queue for WatchedQueue {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let status = self.note("status", self.queue.status().await)?;
        self.metrics.note_backlog(&self.account, &status);
        Ok(status)
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let received = self.note("receive", self.queue.receive(max, wait).await);
        self.count_incomplete();
        received
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        self.note("extend", self.queue.extend(receipt, by).await)
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        self.note("release", self.queue.release(receipt, after).await)
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let answers = self.note("delete", self.queue.delete(receipts).await)?;
        Ok(answers.into_iter().map(|answer| self.note("delete", answer)).collect())
    }

    fn incomplete(&self) -> Incomplete {
        self.queue.incomplete()
    }
}

#[derive(Debug)]
struct WatchedStore {
    account: String,
    store: Arc<dyn ObjectStore>,
    metrics: PortMetrics,
}

#[async_trait]
impl ObjectStore for WatchedStore {
    async fn open(&self, file: &LogFile, from: Option<&Resume>) -> Result<OpenObject, StoreError> {
        let count = |errors: &IntCounterVec, account: &str, error: &StoreError| {
            errors.with_label_values(&[account, error.as_str()]).inc();
        };
        let opened = self.store.open(file, from).await;
        let opened = opened.inspect_err(|error| {
            count(&self.metrics.store_errors, &self.account, error);
            if let StoreError::WrongOwner { expected, .. } = error {
                tracing::error!(
                    account = self.account,
                    s3.bucket = file.bucket,
                    s3.key = %file.key.escape_debug(),
                    expected_owner = expected,
                    "security: the bucket belongs to another account than the configured owner"
                );
            }
        })?;
        let (errors, account) = (self.metrics.store_errors.clone(), self.account.clone());
        let body = opened.body.inspect(move |part| {
            if let Err(error) = part {
                count(&errors, &account, error);
            }
        });
        Ok(OpenObject { body: body.boxed(), ..opened })
    }
}
