use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trailsift_core::{Message, MessageId, Queue, QueueError, Receipt};

use crate::metrics::PipelineMetrics;

#[cfg(test)]
mod tests;

/// SQS ends every lease 12 hours after the receive, whatever was extended. Work that long is given
/// back while that is still possible.
const CEILING: Duration = Duration::from_secs(11 * 3600 + 50 * 60);

/// Our right to settle one message: its newest receipt, and until when it holds.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: MessageId,
    /// For the log.
    account: Arc<str>,
    state: Mutex<State>,
    renewed: Notify,
}

#[derive(Debug)]
struct State {
    receipt: Receipt,
    received_at: Instant,
    until: Instant,
    lost: bool,
}

impl Lease {
    fn new(message: &Message, account: Arc<str>) -> Self {
        Self {
            id: message.id.clone(),
            account,
            state: Mutex::new(State {
                receipt: message.receipt.clone(),
                received_at: message.received_at,
                until: message.lease_until,
                lost: false,
            }),
            renewed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receipt to settle with; `None` once the lease is lost, for a stale one must not be used.
    pub(crate) fn receipt(&self) -> Option<Receipt> {
        let state = self.state();
        (!state.lost && Instant::now() < state.until).then(|| state.receipt.clone())
    }

    /// A redelivery of the message gives the running work the newer receipt.
    fn renew(&self, message: &Message) {
        let mut state = self.state();
        state.receipt = message.receipt.clone();
        state.received_at = message.received_at;
        state.until = message.lease_until;
        state.lost = false;
        drop(state);
        self.renewed.notify_one();
    }

    /// Keeps the lease for as long as it is polled; run it beside the work. Never returns.
    ///
    /// Extends by `visibility` when half of what is left has passed. When the lease is lost it
    /// waits for a redelivery to renew it.
    pub(crate) async fn keep(
        &self,
        queue: &dyn Queue,
        visibility: Duration,
        metrics: &PipelineMetrics,
    ) -> Infallible {
        loop {
            let (receipt, received_at, until, lost) = {
                let state = self.state();
                (state.receipt.clone(), state.received_at, state.until, state.lost)
            };
            if lost {
                self.renewed.notified().await;
                continue;
            }
            let now = Instant::now();
            // Cancel safety: neither arm holds anything; the loop starts from the state again.
            // A newer receipt goes first: the older one is worth nothing by then.
            tokio::select! {
                biased;
                () = self.renewed.notified() => continue,
                () = sleep_until(now + until.saturating_duration_since(now) / 2) => {}
            }
            let room = (received_at + CEILING).saturating_duration_since(Instant::now());
            let by = visibility.min(room);
            if by < Duration::from_secs(1) {
                // Given back, it is delivered anew: to us, and the running work goes on with
                // another 12 hours; or to somebody who is quicker.
                let given_back = queue.release(&receipt, Duration::ZERO).await;
                let how =
                    given_back.map_or_else(|error| error.to_string(), |()| "given back".into());
                self.lose(
                    &receipt,
                    metrics,
                    &format!("the 12-hour ceiling of a lease is near: {how}"),
                );
                continue;
            }
            // A request that hangs must leave time for another one.
            let left = until.saturating_duration_since(Instant::now());
            let answer = match timeout(left / 2, queue.extend(&receipt, by)).await {
                Ok(answer) => answer,
                Err(_) => Err(QueueError::Unavailable("no answer in time".into())),
            };
            match answer {
                Ok(extended) => {
                    metrics.lease_extensions.inc();
                    let mut state = self.state();
                    if state.receipt == receipt {
                        state.until = extended;
                    }
                }
                Err(QueueError::LeaseLost(why)) => self.lose(&receipt, metrics, &why),
                Err(error) if Instant::now() >= until => {
                    self.lose(&receipt, metrics, &error.to_string());
                }
                // Half of what is left from now: ever quicker, until it is over. The pause keeps
                // the last moments from being a busy loop.
                Err(error) => {
                    tracing::debug!(
                        account = &*self.account,
                        sqs.message_id = %self.id,
                        %error,
                        "lease not extended yet"
                    );
                    sleep(Duration::from_millis(100).min(left / 2)).await;
                    if Instant::now() + Duration::from_millis(10) >= until {
                        self.lose(&receipt, metrics, &error.to_string());
                    }
                }
            }
        }
    }

    fn lose(&self, receipt: &Receipt, metrics: &PipelineMetrics, why: &str) {
        let mut state = self.state();
        if state.receipt == *receipt && !state.lost {
            state.lost = true;
            metrics.leases_lost.inc();
            tracing::warn!(
                account = &*self.account,
                sqs.message_id = %self.id,
                error = %why.escape_debug(),
                "lease lost: the message will be delivered again"
            );
        }
    }
}

/// The messages that are being worked on, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    account: Arc<str>,
    leases: Arc<Mutex<HashMap<MessageId, Arc<Lease>>>>,
}

impl InFlight {
    /// None yet of this account's.
    pub(crate) fn of_account(name: &str) -> Self {
        Self { account: name.into(), leases: Arc::default() }
    }

    /// Registers a delivery. `None` if the message is in flight already: the running work has got
    /// the newer receipt, and this delivery is done with.
    pub(crate) fn enter(&self, message: &Message) -> Option<Ticket> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        match leases.entry(message.id.clone()) {
            Entry::Occupied(running) => {
                running.get().renew(message);
                None
            }
            Entry::Vacant(free) => {
                let lease = Arc::new(Lease::new(message, Arc::clone(&self.account)));
                free.insert(Arc::clone(&lease));
                Some(Ticket { lease, in_flight: self.clone() })
            }
        }
    }

    /// How many messages are in flight.
    pub(crate) fn len(&self) -> usize {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Keeps a message registered until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) lease: Arc<Lease>,
    in_flight: InFlight,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.in_flight.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.lease.id);
    }
}
