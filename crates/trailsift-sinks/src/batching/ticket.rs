use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;
use trailsift_core::{Entry, SinkError};

/// What became of a caller's entries, in the caller's order: `None` is acknowledged.
pub(super) type Results = Vec<Option<SinkError>>;

/// One caller that waits until each of its entries is settled.
#[derive(Debug)]
struct Ticket {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    results: Results,
    open: usize,
    reply: Option<oneshot::Sender<Results>>,
}

impl Ticket {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No code that can panic runs under the lock, and every state in between is a valid one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    pub(super) entry: Entry,
    /// When its caller handed it in: its linger counts from here.
    pub(super) since: Instant,
    place: usize,
    ticket: Option<Arc<Ticket>>,
}

impl Item {
    pub(super) fn settle(mut self, result: Option<SinkError>) {
        if let Some(ticket) = self.ticket.take() {
            ticket.settle(self.place, result);
        }
    }

    /// Whether anyone still waits for it. Otherwise sending it would only make a duplicate: its
    /// message comes back.
    pub(super) fn is_awaited(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| {
            ticket.state().reply.as_ref().is_some_and(|reply| !reply.is_closed())
        })
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

/// Turns one caller's entries into items. The results arrive when the last of them is settled.
/// There must be at least one.
pub(super) fn issue(entries: Vec<Entry>) -> (Vec<Item>, oneshot::Receiver<Results>) {
    let (reply, results) = oneshot::channel();
    let open = entries.len();
    let mut slots: Results = Vec::new();
    slots.resize_with(open, || None);
    let state = Mutex::new(State { results: slots, open, reply: Some(reply) });
    let ticket = Arc::new(Ticket { state });
    let since = Instant::now();
    let items = entries
        .into_iter()
        .enumerate()
        .map(|(place, entry)| Item { entry, since, place, ticket: Some(Arc::clone(&ticket)) })
        .collect();
    (items, results)
}
