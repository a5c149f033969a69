//! Known bugs, to be planted between the pipeline and its ports: the oracle must notice each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use trailsift_core::{
    Batch, Entry, Known, Ledger, LedgerError, Limits, Message, MessageId, ObjectId, Queue,
    QueueError, QueueStatus, Receipt, Settlement, Sink, SinkError, WriteOutcome,
};

use crate::script::{PARKED, SIEM};

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A message is deleted as soon as it has been received.
    DeletesAtReceive,
    /// Messages are deleted with the receipt of their first delivery.
    UsesStaleReceipts,
    /// More messages are asked for than there are workers.
    ReceivesTooMany,
    /// Deleting says that it did, and does not.
    DeletesNothing,
    /// A write that fails, or is broken off, counts as delivered.
    DropMeansDelivered,
    /// A sink acknowledges without storing, now and then.
    SinkForgets,
    /// A sink gets its events altered.
    Alters,
    /// A sink gets its events as if they stood elsewhere in their file.
    Misplaces,
    /// A sink gets its events twice.
    Repeats,
    /// The quarantine acknowledges without storing.
    QuarantineForgets,
    /// A ledger remembers acknowledgements that never were.
    LedgerRemembersTooMuch,
    /// A ledger has forgotten, now and then, what it had confirmed.
    LedgerForgets,
    /// An acknowledgement is noted before it is there.
    NotesTooEarly,
    /// The end of the work on an object is not noted.
    NotesNothing,
}

impl Bug {
    /// Between the pipeline and a queue.
    pub(crate) fn before_queue(bug: Option<Self>, queue: Arc<dyn Queue>) -> Arc<dyn Queue> {
        match bug {
            Some(
                bug @ (Self::DeletesAtReceive
                | Self::UsesStaleReceipts
                | Self::ReceivesTooMany
                | Self::DeletesNothing),
            ) => Arc::new(BuggyQueue { queue, bug, first: Mutex::default() }),
            _ => queue,
        }
    }

    /// Between the pipeline and what it believes to be a sink.
    pub(crate) fn before_desk(bug: Option<Self>, name: &str, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        match bug {
            Some(bug @ Self::DropMeansDelivered) if name == SIEM => BuggySink::around(sink, bug),
            _ => sink,
        }
    }

    /// Between a sink's decorators and the sink.
    pub(crate) fn before_sink(bug: Option<Self>, name: &str, sink: Arc<dyn Sink>) -> Arc<dyn Sink> {
        match bug {
            Some(bug @ (Self::SinkForgets | Self::Alters | Self::Misplaces | Self::Repeats))
                if name == SIEM =>
            {
                BuggySink::around(sink, bug)
            }
            Some(bug @ Self::QuarantineForgets) if name == PARKED => BuggySink::around(sink, bug),
            _ => sink,
        }
    }

    /// Between the pipeline and its ledger.
    pub(crate) fn before_ledger(bug: Option<Self>, ledger: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        match bug {
            Some(bug @ (Self::NotesTooEarly | Self::NotesNothing)) => {
                BuggyLedger::around(ledger, bug)
            }
            _ => ledger,
        }
    }

    /// Between a ledger's port and its disk.
    pub(crate) fn behind_ledger(bug: Option<Self>, ledger: &Arc<dyn Ledger>) -> Arc<dyn Ledger> {
        let ledger = Arc::clone(ledger);
        match bug {
            Some(bug @ (Self::LedgerRemembersTooMuch | Self::LedgerForgets)) => {
                BuggyLedger::around(ledger, bug)
            }
            _ => ledger,
        }
    }
}

#[derive(Debug)]
struct BuggyQueue {
    queue: Arc<dyn Queue>,
    bug: Bug,
    /// The first receipt of each message, and which message a receipt is of.
    first: Mutex<(HashMap<MessageId, Receipt>, HashMap<Receipt, MessageId>)>,
}

#[async_trait::async_trait]
impl Queue for BuggyQueue {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        self.queue.status().await
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let max = if self.bug == Bug::ReceivesTooMany { 10 } else { max };
        let messages = self.queue.receive(max, wait).await?;
        if self.bug == Bug::DeletesAtReceive && !messages.is_empty() {
            let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
            drop(self.queue.delete(&receipts).await);
        }
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        for message in &messages {
            first.0.entry(message.id.clone()).or_insert_with(|| message.receipt.clone());
            first.1.insert(message.receipt.clone(), message.id.clone());
        }
        Ok(messages)
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        self.queue.extend(receipt, by).await
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        self.queue.release(receipt, after).await
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        match self.bug {
            Bug::DeletesNothing => Ok(receipts.iter().map(|_| Ok(())).collect()),
            Bug::UsesStaleReceipts => {
                let first: Vec<Receipt> = {
                    let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                    receipts.iter().map(|receipt| first.0[&first.1[receipt]].clone()).collect()
                };
                self.queue.delete(&first).await
            }
            _ => self.queue.delete(receipts).await,
        }
    }
}

#[derive(Debug)]
struct BuggySink {
    sink: Arc<dyn Sink>,
    bug: Bug,
    writes: AtomicUsize,
}

impl BuggySink {
    fn around(sink: Arc<dyn Sink>, bug: Bug) -> Arc<dyn Sink> {
        Arc::new(Self { sink, bug, writes: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl Sink for BuggySink {
    fn name(&self) -> &str {
        self.sink.name()
    }

    fn limits(&self) -> Limits {
        self.sink.limits()
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.sink.check().await
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        let every_third = self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        let each = |change: fn(Entry) -> Entry| Batch {
            entries: batch.entries.iter().cloned().map(change).collect(),
            ..Batch::default()
        };
        match self.bug {
            Bug::DropMeansDelivered => {
                drop(self.sink.write(batch).await);
                Ok(WriteOutcome::default())
            }
            Bug::SinkForgets | Bug::QuarantineForgets if every_third => Ok(WriteOutcome::default()),
            Bug::Alters if every_third => {
                let altered = |entry: Entry| Entry { data: entry.data.slice(1..), ..entry };
                self.sink.write(&each(altered)).await
            }
            Bug::Misplaces if every_third => {
                let misplaced = |entry: Entry| Entry { index: entry.index + 1, ..entry };
                self.sink.write(&each(misplaced)).await
            }
            Bug::Repeats if every_third => {
                drop(self.sink.write(batch).await);
                self.sink.write(batch).await
            }
            _ => self.sink.write(batch).await,
        }
    }

    async fn close(&self) {
        self.sink.close().await;
    }
}

#[derive(Debug)]
struct BuggyLedger {
    ledger: Arc<dyn Ledger>,
    bug: Bug,
    recalls: AtomicUsize,
}

impl BuggyLedger {
    fn around(ledger: Arc<dyn Ledger>, bug: Bug) -> Arc<dyn Ledger> {
        Arc::new(Self { ledger, bug, recalls: AtomicUsize::new(0) })
    }
}

#[async_trait::async_trait]
impl Ledger for BuggyLedger {
    async fn recall(&self, object: &ObjectId) -> Result<Known, LedgerError> {
        let every_third = self.recalls.fetch_add(1, Ordering::Relaxed).is_multiple_of(3);
        let mut known = self.ledger.recall(object).await?;
        match self.bug {
            Bug::LedgerRemembersTooMuch if every_third => {
                known.acknowledged.insert(SIEM.to_owned(), Known::ALL);
            }
            Bug::LedgerForgets => known = Known::default(),
            Bug::NotesTooEarly => self.ledger.acknowledged(object, SIEM, Known::ALL).await?,
            _ => {}
        }
        Ok(known)
    }

    async fn acknowledged(
        &self,
        object: &ObjectId,
        sink: &str,
        below: u64,
    ) -> Result<(), LedgerError> {
        self.ledger.acknowledged(object, sink, below).await
    }

    async fn settled(&self, object: &ObjectId, settlement: &Settlement) -> Result<(), LedgerError> {
        match self.bug {
            Bug::NotesNothing => Ok(()),
            _ => self.ledger.settled(object, settlement).await,
        }
    }
}
