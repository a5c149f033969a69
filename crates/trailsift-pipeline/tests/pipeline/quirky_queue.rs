//! Queues that keep their promises, but not those that nobody made.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use trailsift_core::{Message, Queue, QueueError, QueueStatus, Receipt};
use trailsift_testkit::MemoryQueue;

/// What is odd about a queue.
#[derive(Debug)]
pub(crate) enum Quirk {
    /// It is far away, as a real one is: a poll that its caller drops goes on at the queue's side,
    /// and what it takes is hidden although nobody has it. That it has received or released
    /// something is known only so long afterwards.
    Far {
        /// The way back of what was received.
        receive: Duration,
        /// The way back of a release's answer.
        release: Duration,
    },
    /// Its client panics at this receive, counted from 1.
    PanicsAtReceive(usize),
    /// Its approximate counts are wrong once: it looks empty at this status, counted from 1.
    LooksEmptyAt(usize),
}

/// A [`MemoryQueue`] with a quirk.
#[derive(Debug)]
pub(crate) struct QuirkyQueue {
    queue: MemoryQueue,
    quirk: Quirk,
    calls: AtomicUsize,
}

impl QuirkyQueue {
    pub(crate) fn new(queue: &MemoryQueue, quirk: Quirk) -> Self {
        Self { queue: queue.clone(), quirk, calls: AtomicUsize::new(0) }
    }

    fn call(&self) -> usize {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[async_trait::async_trait]
impl Queue for QuirkyQueue {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let status = self.queue.status().await?;
        match self.quirk {
            Quirk::LooksEmptyAt(call) if call == self.call() => {
                Ok(QueueStatus { visible: 0, in_flight: 0, delayed: 0, ..status })
            }
            _ => Ok(status),
        }
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        match self.quirk {
            Quirk::Far { receive: way_back, .. } => {
                let queue = self.queue.clone();
                #[expect(clippy::disallowed_methods, reason = "it must outlive its caller")]
                let poll = tokio::spawn(async move { queue.receive(max, wait).await });
                let received = poll.await.expect("it does not panic");
                sleep(way_back).await;
                received
            }
            Quirk::PanicsAtReceive(call) if call == self.call() => panic!("a bug in a client"),
            _ => self.queue.receive(max, wait).await,
        }
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        self.queue.extend(receipt, by).await
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        let released = self.queue.release(receipt, after).await;
        if let Quirk::Far { release: way_back, .. } = self.quirk {
            sleep(way_back).await;
        }
        released
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        self.queue.delete(receipts).await
    }
}
