use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use trailsift_core::{Entry, SinkError};

/// What became of a caller's entries, in the caller's order: `None` is acknowledged.
pub(super) type Results = Vec<Option<SinkError>>;

/// One caller that waits until each of its entries is settled.
///
/// It holds the entries that are not on their way yet, so that they go when the caller goes: while a
/// sink is stuck, its callers come and go by the hundred.
#[derive(Debug)]
struct Ticket {
    state: Mutex<State>,
    gone: Notify,
}

#[derive(Debug)]
struct State {
    /// Those not sent yet, each at its place; none once the caller has gone.
    entries: Vec<Option<Entry>>,
    results: Results,
    open: usize,
    has_gone: bool,
    reply: Option<oneshot::Sender<Results>>,
}

impl Ticket {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No code that can panic runs under the lock, and every state in between is a valid one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the caller has gone.
    async fn gone(&self) {
        let gone = self.gone.notified();
        if !self.state().has_gone {
            gone.await;
        }
    }

    fn take(&self, place: usize) -> Option<Entry> {
        self.state().entries.get_mut(place)?.take()
    }

    fn settle(&self, place: usize, result: Option<SinkError>) {
        let mut state = self.state();
        state.results[place] = result;
        state.open -= 1;
        if state.open == 0 {
            let results = std::mem::take(&mut state.results);
            if let Some(reply) = state.reply.take() {
                // A caller that has gone has taken its obligation with it: unacknowledged.
                drop(reply.send(results));
            }
        }
    }
}

/// One entry of one caller on its way. Settled exactly once: by [`Item::settle`], or, when it is
/// dropped on the way (panic, cancel, shutdown), as not acknowledged.
#[derive(Debug)]
pub(super) struct Item {
    /// The entry's bytes.
    pub(super) size: usize,
    /// When its caller handed it in: its linger counts from here.
    pub(super) since: Instant,
    /// No other entry of its caller comes after it.
    pub(super) is_last: bool,
    place: usize,
    ticket: Option<Arc<Ticket>>,
}

impl Item {
    pub(super) fn settle(mut self, result: Option<SinkError>) {
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(self.place, result);
        }
    }

    /// Whether both are of one caller.
    pub(super) fn has_caller_of(&self, other: &Self) -> bool {
        let callers = self.ticket.as_ref().zip(other.ticket.as_ref());
        callers.is_some_and(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Returns when nobody waits for the entry any more.
    pub(super) async fn abandoned(&self) {
        if let Some(ticket) = &self.ticket {
            ticket.gone().await;
        }
    }

    /// The entry, once, if anyone still waits for it. Otherwise sending it would only make a
    /// duplicate: its message comes back.
    pub(super) fn take_entry(&self) -> Option<Entry> {
        self.ticket.as_ref()?.take(self.place)
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let error = SinkError::retry("the write was broken off, its outcome is unknown");
            ticket.settle(self.place, Some(error));
        }
    }
}

/// The caller's side. When it is dropped, so are the entries that are not on their way yet.
#[derive(Debug)]
pub(super) struct Awaited {
    ticket: Arc<Ticket>,
    results: oneshot::Receiver<Results>,
}

impl Awaited {
    /// The results, when the last entry is settled.
    pub(super) async fn results(mut self) -> Result<Results, oneshot::error::RecvError> {
        (&mut self.results).await
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let entries = {
            let mut state = self.ticket.state();
            state.has_gone = true;
            std::mem::take(&mut state.entries)
        };
        self.ticket.gone.notify_waiters();
        // Not under the lock: there may be many.
        drop(entries);
    }
}

/// Turns one caller's entries into items. There must be at least one.
pub(super) fn issue(entries: Vec<Entry>) -> (Vec<Item>, Awaited) {
    let (reply, results) = oneshot::channel();
    let open = entries.len();
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.data.len()).collect();
    let mut slots: Results = Vec::new();
    slots.resize_with(open, || None);
    let entries = entries.into_iter().map(Some).collect();
    let state =
        Mutex::new(State { entries, results: slots, open, has_gone: false, reply: Some(reply) });
    let ticket = Arc::new(Ticket { state, gone: Notify::new() });
    let since = Instant::now();
    let items = sizes
        .into_iter()
        .enumerate()
        .map(|(place, size)| Item {
            size,
            since,
            is_last: place + 1 == open,
            place,
            ticket: Some(Arc::clone(&ticket)),
        })
        .collect();
    (items, Awaited { ticket, results })
}
