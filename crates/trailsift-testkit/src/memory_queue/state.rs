use std::collections::{BTreeMap, HashMap, VecDeque};
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
    hidden_until: Option<Instant>,
}

impl Held {
    fn is_visible(&self, now: Instant) -> bool {
        self.hidden_until.is_none_or(|until| until <= now)
    }
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

    pub(super) fn visible(&self, now: Instant) -> Vec<MessageId> {
        self.messages.values().filter(|held| held.is_visible(now)).map(|h| h.id.clone()).collect()
    }

    pub(super) fn in_flight(&self, now: Instant) -> Vec<MessageId> {
        self.messages.values().filter(|held| !held.is_visible(now)).map(|h| h.id.clone()).collect()
    }

    /// When the next hidden message comes back by itself.
    pub(super) fn next_visible(&self) -> Option<Instant> {
        let now = Instant::now();
        self.messages.values().filter_map(|held| held.hidden_until).filter(|at| *at > now).min()
    }

    pub(super) fn status(&self, now: Instant) -> QueueStatus {
        let visible = self.messages.values().filter(|held| held.is_visible(now)).count();
        QueueStatus {
            visibility_timeout: self.settings.visibility_timeout,
            max_receive_count: self.settings.max_receive_count,
            visible: visible as u64,
            in_flight: (self.messages.len() - visible) as u64,
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
        self.record(QueueEvent::Sent { id: id.clone() });
        id
    }

    pub(super) fn deliver_again(&mut self, id: &MessageId) -> bool {
        match self.messages.values_mut().find(|held| held.id == *id) {
            Some(held) => {
                held.hidden_until = None;
                true
            }
            None => false,
        }
    }

    /// Hands out what is visible. `asked_at` is when the caller sent its request.
    pub(super) fn receive(&mut self, max: usize, asked_at: Instant) -> Vec<Message> {
        let now = Instant::now();
        self.redrive(now);
        let mut ready: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, held)| held.is_visible(now))
            .map(|(number, _)| *number)
            .collect();
        let in_flight = self.messages.len() - ready.len();
        if let Some(order) = &mut self.order {
            order.shuffle(&mut ready);
        }
        ready.truncate(max.min(self.settings.in_flight_cap.saturating_sub(in_flight)));
        ready.into_iter().filter_map(|number| self.deliver(number, now, asked_at)).collect()
    }

    fn deliver(&mut self, number: u64, now: Instant, asked_at: Instant) -> Option<Message> {
        let visibility = self.settings.visibility_timeout;
        let held = self.messages.get_mut(&number)?;
        let receipt = Receipt(format!("receipt-{}", self.deliveries));
        self.deliveries += 1;
        held.receive_count += 1;
        held.receipt = Some(receipt.clone());
        held.received_at = Some(now);
        held.hidden_until = Some(now + visibility);
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
        let (id, receive_count) = (message.id.clone(), message.receive_count);
        self.record(QueueEvent::Received { id, receipt, receive_count });
        Some(message)
    }

    /// Moves away what would now be received once too often.
    fn redrive(&mut self, now: Instant) {
        let Some(limit) = self.settings.max_receive_count else { return };
        let spent: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, held)| held.is_visible(now) && held.receive_count >= limit)
            .map(|(number, _)| *number)
            .collect();
        for number in spent {
            let Some(Held { id, body, receive_count, .. }) = self.messages.remove(&number) else {
                continue;
            };
            self.record(QueueEvent::DeadLettered { id: id.clone() });
            self.dead_letters.push(DeadLetter { id, body, receive_count });
        }
    }

    /// The message that this receipt holds the lease of, or the error that SQS would give.
    fn leased(&mut self, op: QueueOp, receipt: &Receipt) -> Result<&mut Held, QueueError> {
        let now = Instant::now();
        let number = self
            .messages
            .iter()
            .find(|(_, held)| held.receipt.as_ref() == Some(receipt) && !held.is_visible(now))
            .map(|(number, _)| *number);
        if number.is_none() {
            self.record(QueueEvent::Stale { op, receipt: receipt.clone() });
        }
        let lost = || QueueError::LeaseLost("the message is not in flight under it".to_owned());
        number.and_then(|number| self.messages.get_mut(&number)).ok_or_else(lost)
    }

    pub(super) fn extend(&mut self, receipt: &Receipt, by: Duration) -> Result<(), QueueError> {
        let now = Instant::now();
        let held = self.leased(QueueOp::Extend, receipt)?;
        if held.received_at.is_some_and(|received| now + by > received + CEILING) {
            return Err(QueueError::Rejected("beyond the limit of 12 hours".to_owned()));
        }
        held.hidden_until = Some(now + by);
        let event =
            QueueEvent::Extended { id: held.id.clone(), receipt: receipt.clone(), until: now + by };
        self.record(event);
        Ok(())
    }

    pub(super) fn release(&mut self, receipt: &Receipt, after: Duration) -> Result<(), QueueError> {
        let now = Instant::now();
        let held = self.leased(QueueOp::Release, receipt)?;
        if held.received_at.is_some_and(|received| now + after > received + CEILING) {
            return Err(QueueError::Rejected("beyond the limit of 12 hours".to_owned()));
        }
        held.hidden_until = Some(now + after);
        let event = QueueEvent::Released { id: held.id.clone(), receipt: receipt.clone(), after };
        self.record(event);
        Ok(())
    }

    /// The newest receipt deletes even after its lease ended, as long as nobody received the
    /// message since. An older one answers success and deletes nothing.
    pub(super) fn delete(&mut self, receipt: &Receipt) -> Result<(), QueueError> {
        let found = self
            .messages
            .iter()
            .find(|(_, held)| held.receipt.as_ref() == Some(receipt))
            .map(|(number, held)| (*number, held.id.clone()));
        let Some((number, id)) = found else {
            let receipt = receipt.clone();
            self.record(QueueEvent::Stale { op: QueueOp::Delete, receipt });
            return Ok(());
        };
        if let Some(error) = self.entry_faults.get_mut(&id).and_then(VecDeque::pop_front) {
            self.record(QueueEvent::Refused { op: QueueOp::Delete });
            return Err(error);
        }
        self.messages.remove(&number);
        self.deleted.push(id.clone());
        self.record(QueueEvent::Deleted { id, receipt: receipt.clone() });
        Ok(())
    }
}
