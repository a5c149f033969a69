use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use trailsift_core::{Queue, QueueError, Receipt, chain};

use crate::health::AccountHealth;
use crate::lease::Lease;

#[cfg(test)]
mod tests;

/// How many messages one delete request takes.
const BATCH: usize = 10;
/// How long the first message of a batch waits for company.
const LINGER: Duration = Duration::from_millis(20);
/// How long to wait before what failed is sent again.
const RETRY: Duration = Duration::from_millis(500);
/// How much of a batch what failed may take from new requests.
const AGAIN: usize = BATCH / 2;
/// How long one delete request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a worker waits for its message's delete: it has others to see to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a settled message was not deleted. It will be delivered again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDeleted {
    /// Only the newest receipt may delete, and it is gone.
    #[error("the lease was lost before the message could be deleted")]
    LeaseLost,
    /// The queue refuses for good.
    #[error("the queue refuses to delete the message: {0}")]
    Refused(String),
    /// The queue deletes nothing at present; what it says is in the account's health.
    #[error("the queue did not delete the message in time")]
    TimedOut,
}

/// Deletes settled messages in batches. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Acker(mpsc::Sender<Request>);

#[derive(Debug)]
struct Request {
    lease: Arc<Lease>,
    answer: oneshot::Sender<Result<(), NotDeleted>>,
}

impl Acker {
    /// The handle, and the work that somebody must poll for as long as the handle is used. What
    /// becomes of the deletes is noted in `health`.
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        health: Arc<AccountHealth>,
    ) -> (Self, impl Future<Output = Infallible> + Send) {
        let (sender, receiver) = mpsc::channel(BATCH * 10);
        (Self(sender), Deleter { queue, health, failing: None }.run(receiver))
    }

    /// Deletes the message, retrying for half a minute while its lease holds; where the queue has
    /// deleted nothing for that long already, it is asked once. Keep the lease meanwhile.
    pub(crate) async fn delete(&self, lease: Arc<Lease>) -> Result<(), NotDeleted> {
        let gone = || NotDeleted::Refused("the process is ending".into());
        let (answer, answered) = oneshot::channel();
        let deleting = async {
            self.0.send(Request { lease, answer }).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        };
        // Cancel safety: a delete that is on its way was earned, and nobody asks for another one.
        timeout(PATIENCE, deleting).await.unwrap_or(Err(NotDeleted::TimedOut))
    }
}

/// What an acker does.
struct Deleter {
    queue: Arc<dyn Queue>,
    health: Arc<AccountHealth>,
    /// Since when the queue deletes nothing.
    failing: Option<Instant>,
}

impl Deleter {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) -> Infallible {
        // What failed waits here for its time. It and new requests share each batch: neither keeps
        // the other waiting.
        let mut again = Again::default();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            again.fill(&mut batch, AGAIN);
            if batch.is_empty() {
                let first = match again.0.front() {
                    None => Ok(requests.recv_many(&mut batch, BATCH).await),
                    Some((due, _)) => timeout_at(*due, requests.recv_many(&mut batch, BATCH)).await,
                };
                if first == Ok(0) {
                    // No handle is left, and with it nobody who waits for an answer.
                    return pending().await;
                }
            }
            let full_at = Instant::now() + LINGER;
            while !batch.is_empty() && batch.len() < BATCH {
                let room = BATCH - batch.len();
                match timeout_at(full_at, requests.recv_many(&mut batch, room)).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            again.fill(&mut batch, BATCH);
            let failed = self.delete(std::mem::take(&mut batch)).await;
            let due = Instant::now() + RETRY;
            again.0.extend(failed.into_iter().map(|request| (due, request)));
        }
    }

    /// Sends one request and answers whoever can be answered. Returns those to try again.
    async fn delete(&mut self, batch: Vec<Request>) -> Vec<Request> {
        let mut held: Vec<(Request, Receipt)> = Vec::with_capacity(batch.len());
        for request in batch {
            // The newest receipt, read as late as possible: an older one "succeeds" and deletes
            // nothing.
            match request.lease.receipt() {
                // Nobody waits any more: a drain gave the message back, or the worker gave up.
                Some(_) if request.answer.is_closed() => {}
                Some(receipt) => held.push((request, receipt)),
                None => answer(request, Err(NotDeleted::LeaseLost)),
            }
        }
        if held.is_empty() {
            return Vec::new();
        }
        let receipts: Vec<Receipt> = held.iter().map(|(_, receipt)| receipt.clone()).collect();
        let results = match timeout(REQUEST, self.queue.delete(&receipts)).await {
            Ok(Ok(results)) => results,
            Ok(Err(error)) => {
                return self.failed(&error, held.into_iter().map(|(request, _)| request));
            }
            Err(_) => {
                let error = QueueError::Unavailable("no answer in time".into());
                return self.failed(&error, held.into_iter().map(|(request, _)| request));
            }
        };
        let (mut again, mut trouble, mut deleted) = (Vec::new(), None, false);
        let mut results = results.into_iter();
        for (request, _) in held {
            match results.next() {
                Some(Ok(())) => {
                    deleted = true;
                    answer(request, Ok(()));
                }
                Some(Err(QueueError::LeaseLost(_))) => answer(request, Err(NotDeleted::LeaseLost)),
                Some(Err(QueueError::Rejected(why))) => {
                    answer(request, Err(NotDeleted::Refused(why)));
                }
                Some(Err(error)) => {
                    trouble = Some(error);
                    again.push(request);
                }
                // Not answered at all is not deleted.
                None => {
                    trouble = Some(QueueError::Unavailable("its answer is incomplete".into()));
                    again.push(request);
                }
            }
        }
        if deleted {
            self.failing = None;
            self.health.deletes(None);
        }
        match trouble {
            // One message's own trouble, as long as others are deleted.
            Some(error) if deleted => {
                tracing::debug!(%error, messages = again.len(), "messages not deleted yet");
                again
            }
            Some(error) => self.failed(&error, again),
            None => again,
        }
    }

    /// Notes that a request deleted nothing. Returns those to try again: a queue that has deleted
    /// nothing for long is asked once for each message, so that the workers are free for others.
    fn failed(
        &mut self,
        error: &QueueError,
        requests: impl IntoIterator<Item = Request>,
    ) -> Vec<Request> {
        let remedy = match error {
            QueueError::Denied(_) => " (grant the right to delete messages)",
            _ => "",
        };
        let trouble = format!("no message can be deleted: {}{remedy}", chain(error));
        self.health.deletes(Some(trouble));
        if self.failing.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
            return requests.into_iter().collect();
        }
        requests.into_iter().for_each(|request| answer(request, Err(NotDeleted::TimedOut)));
        Vec::new()
    }
}

/// What failed, each with the time from which it may be sent again.
#[derive(Default)]
struct Again(VecDeque<(Instant, Request)>);

impl Again {
    /// Fills the batch up to this size with what is due and still waited for.
    fn fill(&mut self, batch: &mut Vec<Request>, size: usize) {
        let now = Instant::now();
        while batch.len() < size
            && let Some((_, request)) = self.0.pop_front_if(|(due, _)| *due <= now)
        {
            if !request.answer.is_closed() {
                batch.push(request);
            }
        }
    }
}

fn answer(request: Request, result: Result<(), NotDeleted>) {
    // Whoever asked was cancelled by a drain: the outcome is the queue's to keep.
    drop(request.answer.send(result));
}
