use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use trailsift_core::{Queue, QueueError, Receipt};

use crate::lease::Lease;

#[cfg(test)]
mod tests;

/// How many messages one delete request takes.
const BATCH: usize = 10;
/// How long the first message of a batch waits for company.
const LINGER: Duration = Duration::from_millis(20);
/// How long to wait before what failed is sent again.
const RETRY: Duration = Duration::from_millis(500);

/// Why a settled message was not deleted. It will be delivered again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDeleted {
    /// Only the newest receipt may delete, and it is gone.
    #[error("the lease was lost before the message could be deleted")]
    LeaseLost,
    /// The queue refuses for good.
    #[error("the queue refuses to delete the message: {0}")]
    Refused(String),
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
    /// The handle, and the work that somebody must poll for as long as the handle is used.
    pub(crate) fn new(queue: Arc<dyn Queue>) -> (Self, impl Future<Output = Infallible> + Send) {
        let (sender, receiver) = mpsc::channel(BATCH * 10);
        (Self(sender), run(queue, receiver))
    }

    /// Deletes the message, retrying for as long as its lease holds. Keep the lease meanwhile.
    pub(crate) async fn delete(&self, lease: Arc<Lease>) -> Result<(), NotDeleted> {
        let gone = || NotDeleted::Refused("the process is ending".into());
        let (answer, answered) = oneshot::channel();
        self.0.send(Request { lease, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn run(queue: Arc<dyn Queue>, mut requests: mpsc::Receiver<Request>) -> Infallible {
    // What failed waits here for its time; new requests go first, so that a message that cannot be
    // deleted keeps no other one waiting.
    let mut again: VecDeque<(Instant, Request)> = VecDeque::new();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let first = match again.front() {
            None => Ok(requests.recv_many(&mut batch, BATCH).await),
            Some((due, _)) => timeout_at(*due, requests.recv_many(&mut batch, BATCH)).await,
        };
        if first == Ok(0) {
            // No handle is left, and with it nobody who waits for an answer.
            return pending().await;
        }
        let full_at = Instant::now() + LINGER;
        while !batch.is_empty() && batch.len() < BATCH {
            let room = BATCH - batch.len();
            match timeout_at(full_at, requests.recv_many(&mut batch, room)).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        while batch.len() < BATCH
            && let Some((_, request)) = again.pop_front_if(|(due, _)| *due <= Instant::now())
        {
            batch.push(request);
        }
        let failed = delete(&*queue, std::mem::take(&mut batch)).await;
        let due = Instant::now() + RETRY;
        again.extend(failed.into_iter().map(|request| (due, request)));
    }
}

/// Sends one request and answers whoever can be answered. Returns those to try again.
async fn delete(queue: &dyn Queue, batch: Vec<Request>) -> Vec<Request> {
    let mut held: Vec<(Request, Receipt)> = Vec::with_capacity(batch.len());
    for request in batch {
        // The newest receipt, read as late as possible: an older one "succeeds" and deletes nothing.
        match request.lease.receipt() {
            // Nobody waits any more: a drain gave the message back.
            Some(_) if request.answer.is_closed() => {}
            Some(receipt) => held.push((request, receipt)),
            None => answer(request, Err(NotDeleted::LeaseLost)),
        }
    }
    if held.is_empty() {
        return Vec::new();
    }
    let receipts: Vec<Receipt> = held.iter().map(|(_, receipt)| receipt.clone()).collect();
    let results = match queue.delete(&receipts).await {
        Ok(results) => results,
        Err(error) => {
            tracing::warn!(%error, messages = held.len(), "messages not deleted yet");
            return held.into_iter().map(|(request, _)| request).collect();
        }
    };
    let mut again = Vec::new();
    let mut results = results.into_iter();
    for (request, _) in held {
        match results.next() {
            Some(Ok(())) => answer(request, Ok(())),
            Some(Err(QueueError::LeaseLost(_))) => answer(request, Err(NotDeleted::LeaseLost)),
            Some(Err(QueueError::Rejected(why))) => answer(request, Err(NotDeleted::Refused(why))),
            // Not answered at all is not deleted.
            Some(Err(_)) | None => again.push(request),
        }
    }
    again
}

fn answer(request: Request, result: Result<(), NotDeleted>) {
    // Whoever asked was cancelled by a drain: the outcome is the queue's to keep.
    drop(request.answer.send(result));
}
