use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use trailsift_core::{Clock, Message, MessageId, QueueError, QueueStatus, Receipt, SystemClock};

use super::{QueueOp, QueueSettings};

/// SQS ends a lease 12 hours after the receive, whatever was asked for since.
const CEILING: Duration = Duration::from_secs(12 * 60 * 60);

/// A message that was received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message.
    pub id: MessageId,
    /// Its body.
    pub body: String,
    /// How often it was received.
    pub receive_count: u32,
}

/// Something that happened at the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueEvent {
    /// A message came in.
    Sent {
        /// The message.
        id: MessageId,
    },
    /// A message was handed out.
    Received {
        /// The message.
        id: MessageId,
        /// This delivery.
        receipt: Receipt,
        /// Which delivery it is, from 1.
        receive_count: u32,
    },
    /// A lease was extended.
    Extended {
        /// The message.
        id: MessageId,
        /// The delivery.
        receipt: Receipt,
        /// The new end.
        until: Instant,
    },
    /// A message was given back.
    Released {
        /// The message.
        id: MessageId,
        /// The delivery.
        receipt: Receipt,
        /// When it becomes visible, from now.
        after: Duration,
    },
    /// A message is gone for good.
    Deleted {
        /// The message.
        id: MessageId,
        /// The delivery that settled it.
        receipt: Receipt,
    },
    /// A stale receipt was used, so nothing changed.
    Stale {
        /// What was tried.
        op: QueueOp,
        /// The receipt.
        receipt: Receipt,
    },
    /// A message was received too often and moved away.
    DeadLettered {
        /// The message.
        id: MessageId,
    },
    /// A scripted fault swallowed a call, or one entry of it.
    Refused {
        /// The call.
        op: QueueOp,
    },
    /// A scripted fault swallows the answer of a call that is applied.
    AnswerLost {
        /// The call.
        op: QueueOp,
    },
}

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// By tokio's clock.
    pub at: Instant,
    /// What happened.
    pub event: QueueEvent,
}

struct Held {
    id: MessageId,
    body: String,
    sent_at: SystemTime,
    receive_count: u32,
    /// The newest delivery, if there was one.
    receipt: Option<Receipt>,
    received_at: Option<Instant>,
    /// When it comes back, if it is among the hidden ones.
    hidden_until: Option<Instant>,
}

/// How long a delivery hides its message, and since when.
#[derive(Clone, Copy)]
struct Lease {
    now: Instant,
    asked_at: Instant,
    visibility: Duration,
}

/// Is told every event as it happens.
pub(super) type Watcher = Box<dyn FnMut(&QueueEvent) + Send>;

pub(super) struct State {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entry_faults: HashMap<MessageId, VecDeque<QueueError>>,
    pub(super) deleted: Vec<MessageId>,
    pub(super) dead_letters: Vec<DeadLetter>,
    pub(super) history: Vec<RecordedEvent>,
    pub(super) watcher: Option<Watcher>,
    settings: QueueSettings,
    order: Option<fastrand::Rng>,
    messages: BTreeMap<u64, Held>,
    /// Those that a receive may hand out, as of the last [`State::surface`].
    ready: BTreeSet<u64>,
    /// Those of them that were received as often as the redrive policy allows.
    spent: BTreeSet<u64>,
    /// The others, by when they come back.
    hidden: BTreeSet<(Instant, u64)>,
    /// The newest receipt of each message that has one.
    receipts: HashMap<Receipt, u64>,
    sent: u64,
    deliveries: u64,
}

impl State {
    pub(super) fn new(settings: QueueSettings) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entry_faults: HashMap::new(),
            deleted: Vec::new(),
            dead_letters: Vec::new(),
            history: Vec::new(),
            watcher: None,
            order: settings.shuffle.map(fastrand::Rng::with_seed),
            settings,
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            spent: BTreeSet::new(),
            hidden: BTreeSet::new(),
            receipts: HashMap::new(),
            sent: 0,
            deliveries: 0,
        }
    }

    pub(super) fn record(&mut self, event: QueueEvent) {
        if let Some(watcher) = &mut self.watcher {
            watcher(&event);
        }
        self.history.push(RecordedEvent { at: Instant::now(), event });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Brings back what is hidden no longer. Whoever asks what is visible calls it first.
    fn surface(&mut self, now: Instant) {
        while let Some((until, number)) = self.hidden.first().copied()
            && until <= now
        {
            self.hidden.pop_first();
            self.show(number);
        }
    }

    /// Makes a message that is no longer among the hidden ones visible.
    fn show(&mut self, number: u64) {
        let Some(held) = self.messages.get_mut(&number) else { return };
        held.hidden_until = None;
        self.ready.insert(number);
        if self.settings.max_receive_count.is_some_and(|limit| held.receive_count >= limit) {
            self.spent.insert(number);
        }
    }

    /// Hides a message until then, wherever it was before.
    fn hide(&mut self, number: u64, until: Instant) {
        self.unlist(number);
        let Some(held) = self.messages.get_mut(&number) else { return };
        held.hidden_until = Some(until);
        self.hidden.insert((until, number));
    }

    /// Takes a message out of every list but that of all messages.
    fn unlist(&mut self, number: u64) {
        self.ready.remove(&number);
        self.spent.remove(&number);
        let hidden_until = self.messages.get(&number).and_then(|held| held.hidden_until);
        if let Some(until) = hidden_until {
            self.hidden.remove(&(until, number));
        }
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        self.unlist(number);
        let held = self.messages.remove(&number)?;
        if let Some(receipt) = &held.receipt {
            self.receipts.remove(receipt);
        }
        Some(held)
    }

    pub(super) fn visible(&mut self, now: Instant) -> Vec<MessageId> {
        self.surface(now);
        self.ready.iter().filter_map(|number| self.id(*number)).collect()
    }

    pub(super) fn in_flight(&mut self, now: Instant) -> Vec<MessageId> {
        self.surface(now);
        let numbers: BTreeSet<u64> = self.hidden.iter().map(|(_, number)| *number).collect();
        numbers.into_iter().filter_map(|number| self.id(number)).collect()
    }

    fn id(&self, number: u64) -> Option<MessageId> {
        self.messages.get(&number).map(|held| held.id.clone())
    }

    /// When the next hidden message comes back by itself.
    pub(super) fn next_visible(&mut self) -> Option<Instant> {
        self.surface(Instant::now());
        self.hidden.first().map(|(until, _)| *until)
    }

    pub(super) fn status(&mut self, now: Instant) -> QueueStatus {
        self.surface(now);
        QueueStatus {
            visibility_timeout: self.settings.visibility_timeout,
            max_receive_count: self.settings.max_receive_count,
            visible: self.ready.len() as u64,
            in_flight: self.hidden.len() as u64,
            delayed: 0,
        }
    }

    pub(super) fn send(&mut self, body: String) -> MessageId {
        let number = self.sent;
        self.sent += 1;
        let id = MessageId(format!("message-{number}"));
        let held = Held {
            id: id.clone(),
            body,
            sent_at: self.clock.now(),
            receive_count: 0,
            receipt: None,
            received_at: None,
            hidden_until: None,
        };
        self.messages.insert(number, held);
        self.ready.insert(number);
        self.record(QueueEvent::Sent { id: id.clone() });
        id
    }

    pub(super) fn deliver_again(&mut self, id: &MessageId) -> bool {
        let found = self.messages.iter().find(|(_, held)| held.id == *id);
        let Some(number) = found.map(|(number, _)| *number) else { return false };
        self.unlist(number);
        self.show(number);
        true
    }

    /// Hands out what is visible, hidden from then on for `visibility` or as the settings say.
    /// `asked_at` is when the caller sent its request.
    pub(super) fn receive(
        &mut self,
        max: usize,
        visibility: Option<Duration>,
        asked_at: Instant,
    ) -> Vec<Message> {
        let now = Instant::now();
        self.surface(now);
        self.redrive();
        let max = max.min(self.settings.in_flight_cap.saturating_sub(self.hidden.len()));
        let chosen: Vec<u64> = match &mut self.order {
            Some(order) => {
                let mut ready: Vec<u64> = self.ready.iter().copied().collect();
                order.shuffle(&mut ready);
                ready.truncate(max);
                ready
            }
            None => self.ready.iter().copied().take(max).collect(),
        };
        let visibility = visibility.unwrap_or(self.settings.visibility_timeout);
        let lease = Lease { now, asked_at, visibility };
        chosen.into_iter().filter_map(|number| self.deliver(number, lease)).collect()
    }

    fn deliver(&mut self, number: u64, lease: Lease) -> Option<Message> {
        let Lease { now, asked_at, visibility } = lease;
        let held = self.messages.get_mut(&number)?;
        let receipt = Receipt(format!("receipt-{}", self.deliveries));
        self.deliveries += 1;
        held.receive_count += 1;
        if let Some(stale) = held.receipt.replace(receipt.clone()) {
            self.receipts.remove(&stale);
        }
        self.receipts.insert(receipt.clone(), number);
        held.received_at = Some(now);
        let message = Message {
            id: held.id.clone(),
            receipt: receipt.clone(),
            body: held.body.clone(),
            receive_count: held.receive_count,
            sent_at: Some(held.sent_at),
            sender_id: Some("AIDATESTSENDER".to_owned()),
            received_at: asked_at,
            lease_until: asked_at + visibility,
        };
        self.hide(number, now + visibility);
        let (id, receive_count) = (message.id.clone(), message.receive_count);
        self.record(QueueEvent::Received { id, receipt, receive_count });
        Some(message)
    }

    /// Moves away what would now be received once too often.
    fn redrive(&mut self) {
        for number in std::mem::take(&mut self.spent) {
            let Some(Held { id, body, receive_count, .. }) = self.remove(number) else {
                continue;
            };
            self.record(QueueEvent::DeadLettered { id: id.clone() });
            self.dead_letters.push(DeadLetter { id, body, receive_count });
        }
    }

    /// The message that this receipt holds the lease of, or the error that SQS would give.
    fn leased(&mut self, op: QueueOp, receipt: &Receipt) -> Result<(u64, &Held), QueueError> {
        self.surface(Instant::now());
        let number = self.receipts.get(receipt).copied();
        let number = number.filter(|number| !self.ready.contains(number));
        if number.is_none() {
            self.record(QueueEvent::Stale { op, receipt: receipt.clone() });
        }
        let lost = || QueueError::LeaseLost("the message is not in flight under it".to_owned());
        let held = number.and_then(|number| Some((number, self.messages.get(&number)?)));
        held.ok_or_else(lost)
    }

    /// Hides the message that this receipt holds the lease of for so long from now on.
    fn hide_for(
        &mut self,
        op: QueueOp,
        receipt: &Receipt,
        by: Duration,
    ) -> Result<(MessageId, Instant), QueueError> {
        let until = Instant::now() + by;
        let (number, held) = self.leased(op, receipt)?;
        if held.received_at.is_some_and(|received| until > received + CEILING) {
            return Err(QueueError::Rejected("beyond the limit of 12 hours".to_owned()));
        }
        let id = held.id.clone();
        self.hide(number, until);
        Ok((id, until))
    }

    pub(super) fn extend(&mut self, receipt: &Receipt, by: Duration) -> Result<(), QueueError> {
        let (id, until) = self.hide_for(QueueOp::Extend, receipt, by)?;
        self.record(QueueEvent::Extended { id, receipt: receipt.clone(), until });
        Ok(())
    }

    pub(super) fn release(&mut self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        let (id, _) = self.hide_for(QueueOp::Release, receipt, after)?;
        self.record(QueueEvent::Released { id, receipt: receipt.clone(), after });
        Ok(())
    }

    /// The newest receipt deletes even after its lease ended, as long as nobody received the
    /// message since. An older one answers success and deletes nothing.
    pub(super) fn delete(&mut self, receipt: &Receipt) -> Result<(), QueueError> {
        let number = self.receipts.get(receipt).copied();
        let found = number.and_then(|number| Some((number, self.id(number)?)));
        let Some((number, id)) = found else {
            let receipt = receipt.clone();
            self.record(QueueEvent::Stale { op: QueueOp::Delete, receipt });
            return Ok(());
        };
        if let Some(error) = self.entry_faults.get_mut(&id).and_then(VecDeque::pop_front) {
            self.record(QueueEvent::Refused { op: QueueOp::Delete });
            return Err(error);
        }
        self.remove(number);
        self.deleted.push(id.clone());
        self.record(QueueEvent::Deleted { id, receipt: receipt.clone() });
        Ok(())
    }
}
