use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use trailsift_core::{Clock, Message, MessageId, Queue, QueueError, QueueStatus, Receipt};

use crate::lock;

mod state;
#[cfg(test)]
mod tests;

use state::State;
pub use state::{DeadLetter, QueueEvent, RecordedEvent};

/// How a [`MemoryQueue`] is set up.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// How long a received message stays hidden.
    pub visibility_timeout: Duration,
    /// After how many receives a message moves to the dead letters; `None` never.
    pub max_receive_count: Option<u32>,
    /// How many messages may be in flight; a receive beyond it answers nothing, and no error.
    pub in_flight_cap: usize,
    /// Hands messages out in a random order from this seed; `None` oldest first. A test that
    /// needs the order is wrong about SQS.
    pub shuffle: Option<u64>,
}

impl Default for QueueSettings {
    /// 30 s, no redrive, SQS's 120,000 in flight, oldest first.
    fn default() -> Self {
        Self {
            visibility_timeout: Duration::from_secs(30),
            max_receive_count: None,
            in_flight_cap: 120_000,
            shuffle: None,
        }
    }
}

/// One method of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// [`Queue::status`].
    Status,
    /// [`Queue::receive`].
    Receive,
    /// [`Queue::extend`].
    Extend,
    /// [`Queue::release`].
    Release,
    /// [`Queue::delete`].
    Delete,
}

/// What happens to one call.
#[derive(Debug)]
pub enum QueueFault {
    /// Nothing is applied and the caller gets the error: the request was lost.
    Refuse(QueueError),
    /// The operation is applied and the caller gets the error: the answer was lost.
    LoseAnswer(QueueError),
    /// Nothing is applied and no answer ever comes.
    Hang,
}

/// An honest queue in memory: SQS's promises and none beyond them.
///
/// Leases run on tokio's clock, so a test may pause it. Every delivery has its own receipt. Only
/// the newest receipt extends or releases, and only while its lease runs; a delete by an older one
/// reports success and deletes nothing. Visibility cannot be extended beyond 12 hours from the
/// receive. Clones are handles to the same queue.
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    changed: Notify,
}

#[derive(Default)]
struct Faults {
    calls: HashMap<QueueOp, VecDeque<QueueFault>>,
    latency: HashMap<QueueOp, Duration>,
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue").finish_non_exhaustive()
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryQueue {
    /// A queue with the default settings.
    pub fn new() -> Self {
        Self::with(QueueSettings::default())
    }

    /// A queue with these settings.
    pub fn with(settings: QueueSettings) -> Self {
        let state = Mutex::new(State::new(settings));
        let shared = Shared { state, faults: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Takes the time at which messages are sent from this clock; otherwise the machine's.
    pub fn clock(&self, clock: Arc<dyn Clock>) {
        lock(&self.shared.state).clock = clock;
    }

    /// Puts a message into the queue.
    pub fn send(&self, body: impl Into<String>) -> MessageId {
        let id = lock(&self.shared.state).send(body.into());
        self.shared.changed.notify_waiters();
        id
    }

    /// Makes a message visible although it is leased, as an at-least-once queue sometimes does.
    /// Its next delivery makes the present receipt stale. `false` if it is no longer in the queue.
    pub fn deliver_again(&self, id: &MessageId) -> bool {
        let found = lock(&self.shared.state).deliver_again(id);
        self.shared.changed.notify_waiters();
        found
    }

    /// The next call of `op` is refused with this error. Several are used up in order.
    pub fn fail_next(&self, op: QueueOp, error: QueueError) {
        self.fault(op, QueueFault::Refuse(error));
    }

    /// The next call of `op` meets this fault. Several are used up in order.
    pub fn fault(&self, op: QueueOp, fault: QueueFault) {
        lock(&self.shared.faults).calls.entry(op).or_default().push_back(fault);
    }

    /// Deleting this message fails as the one entry of its batch, once per call of this function.
    pub fn fail_delete_of(&self, id: &MessageId, error: QueueError) {
        lock(&self.shared.state).entry_faults.entry(id.clone()).or_default().push_back(error);
    }

    /// From now on every call of `op` takes this long before it is applied.
    pub fn latency(&self, op: QueueOp, latency: Duration) {
        lock(&self.shared.faults).latency.insert(op, latency);
    }

    /// Forgets all faults that are not used up, and all latencies.
    pub fn heal(&self) {
        *lock(&self.shared.faults) = Faults::default();
        lock(&self.shared.state).entry_faults.clear();
    }

    /// The messages that were deleted, in order.
    pub fn deleted(&self) -> Vec<MessageId> {
        lock(&self.shared.state).deleted.clone()
    }

    /// The messages that a receive could return now, oldest first.
    pub fn visible(&self) -> Vec<MessageId> {
        lock(&self.shared.state).visible(Instant::now())
    }

    /// The messages that are hidden now: leased, or released for later. Oldest first.
    pub fn in_flight(&self) -> Vec<MessageId> {
        lock(&self.shared.state).in_flight(Instant::now())
    }

    /// The messages that were received too often.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        lock(&self.shared.state).dead_letters.clone()
    }

    /// Everything that happened, in order: for oracles.
    pub fn history(&self) -> Vec<RecordedEvent> {
        lock(&self.shared.state).history.clone()
    }

    /// Tells every event to `watcher` as it happens, for histories of more than this queue. It must
    /// not call the queue.
    pub fn watch(&self, watcher: impl FnMut(&QueueEvent) + Send + 'static) {
        lock(&self.shared.state).watcher = Some(Box::new(watcher));
    }

    /// Waits until the queue holds no message, visible or in flight. Put a timeout around it.
    pub async fn until_empty(&self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            if lock(&self.shared.state).is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// The port's `receive`, leasing for `visibility` instead of for the queue's own timeout.
    ///
    /// # Errors
    /// As the port's.
    pub async fn receive_for(
        &self,
        max: usize,
        wait: Duration,
        visibility: Option<Duration>,
    ) -> Result<Vec<Message>, QueueError> {
        if !(1..=10).contains(&max) || wait > Duration::from_secs(20) {
            return Err(QueueError::Rejected(format!("cannot receive {max} within {wait:?}")));
        }
        let asked_at = Instant::now();
        let lost = self.enter(QueueOp::Receive).await?;
        let give_up = asked_at + wait;
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a message sent in between is not missed.
            changed.as_mut().enable();
            let (messages, next) = {
                let mut state = lock(&self.shared.state);
                let messages = state.receive(max, visibility, asked_at);
                (messages, state.next_visible())
            };
            if !messages.is_empty() || Instant::now() >= give_up {
                return self.leave(messages, lost);
            }
            let wake = next.map_or(give_up, |next| next.min(give_up));
            // Cancel safety: neither arm holds a message; both lead to another look.
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Waits out the latency of `op`, then says how the call goes on.
    async fn enter(&self, op: QueueOp) -> Result<Option<QueueError>, QueueError> {
        let latency = lock(&self.shared.faults).latency.get(&op).copied();
        if let Some(latency) = latency {
            sleep(latency).await;
        }
        let fault = lock(&self.shared.faults).calls.get_mut(&op).and_then(VecDeque::pop_front);
        match fault {
            None => Ok(None),
            Some(QueueFault::LoseAnswer(error)) => {
                lock(&self.shared.state).record(QueueEvent::AnswerLost { op });
                Ok(Some(error))
            }
            Some(QueueFault::Refuse(error)) => {
                lock(&self.shared.state).record(QueueEvent::Refused { op });
                Err(error)
            }
            Some(QueueFault::Hang) => {
                lock(&self.shared.state).record(QueueEvent::Refused { op });
                pending().await
            }
        }
    }

    fn leave<T>(&self, answer: T, lost: Option<QueueError>) -> Result<T, QueueError> {
        self.shared.changed.notify_waiters();
        lost.map_or(Ok(answer), Err)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let lost = self.enter(QueueOp::Status).await?;
        let status = lock(&self.shared.state).status(Instant::now());
        self.leave(status, lost)
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        self.receive_for(max, wait, None).await
    }

    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError> {
        let asked_at = Instant::now();
        let lost = self.enter(QueueOp::Extend).await?;
        lock(&self.shared.state).extend(receipt, by)?;
        self.leave(asked_at + by, lost)
    }

    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        let lost = self.enter(QueueOp::Release).await?;
        lock(&self.shared.state).release(receipt, after)?;
        self.leave((), lost)
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
    ) -> Result<Vec<Result<(), QueueError>>, QueueError> {
        let lost = self.enter(QueueOp::Delete).await?;
        if receipts.is_empty() || receipts.len() > 10 {
            let count = receipts.len();
            return Err(QueueError::Rejected(format!("a batch of {count} is not 1 to 10")));
        }
        let answers = {
            let mut state = lock(&self.shared.state);
            receipts.iter().map(|receipt| state.delete(receipt)).collect()
        };
        self.leave(answers, lost)
    }
}
