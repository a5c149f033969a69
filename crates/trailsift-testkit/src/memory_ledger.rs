use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use trailsift_core::{Known, Ledger, LedgerError, ObjectId, Settlement};

use crate::lock;

#[cfg(test)]
mod tests;

/// One method of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LedgerOp {
    /// [`Ledger::recall`].
    Recall,
    /// [`Ledger::acknowledged`].
    Acknowledged,
    /// [`Ledger::settled`].
    Settled,
}

/// What happens to one call.
#[derive(Debug)]
pub enum LedgerFault {
    /// Nothing is applied and the caller gets the error.
    Refuse(LedgerError),
    /// The fact is noted and the caller gets the error: the answer was lost.
    LoseAnswer(LedgerError),
    /// No answer ever comes. When the caller gives up, a coin decides whether the fact is noted.
    Hang,
}

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerEvent {
    /// The caller was told that this is known.
    Recalled(Known),
    /// It is noted that the sink has acknowledged.
    Acknowledged {
        /// The sink.
        sink: String,
        /// As the caller said.
        below: u64,
        /// Whether the caller knows that it is noted: not where the answer was lost, or where
        /// the call was dropped.
        told: bool,
    },
    /// The end of the work is noted.
    Settled {
        /// As the caller said.
        settlement: Settlement,
        /// Whether the caller knows that it is noted.
        told: bool,
    },
    /// Nothing is noted or told: the call was refused, or dropped before it was carried out.
    Failed(LedgerOp),
}

/// One line of a [`MemoryLedger`]'s history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLedgerEvent {
    /// When, by tokio's clock.
    pub at: Instant,
    /// The object that the call was about.
    pub object: ObjectId,
    /// What became of the call.
    pub event: LedgerEvent,
}

/// What a [`MemoryLedger`] holds of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerEntry {
    /// What a recall would tell.
    pub known: Known,
    /// The end of the work, once there was one; its sinks are those of all settlements, sorted.
    pub settlement: Option<Settlement>,
}

/// An honest ledger in memory. Clones are handles to the same ledger.
///
/// A test that lets the code under test "crash" keeps a handle and gives it to the successor: that
/// is the ledger as the disk left it. A call that is dropped before it was carried out (amid its
/// latency, or while it hangs) is carried out or not, as a seeded coin says: the port allows either.
#[derive(Clone)]
pub struct MemoryLedger {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    changed: Notify,
}

struct State {
    entries: BTreeMap<ObjectId, LedgerEntry>,
    history: Vec<RecordedLedgerEvent>,
    coin: Rng,
}

type Rule = Box<dyn FnMut(LedgerOp, &ObjectId) -> Option<LedgerFault> + Send>;

#[derive(Default)]
struct Faults {
    calls: HashMap<LedgerOp, VecDeque<LedgerFault>>,
    rule: Option<Rule>,
    latency: HashMap<LedgerOp, Duration>,
}

impl Faults {
    fn next(&mut self, op: LedgerOp, object: &ObjectId) -> Option<LedgerFault> {
        match self.calls.get_mut(&op).and_then(VecDeque::pop_front) {
            None => self.rule.as_mut().and_then(|rule| rule(op, object)),
            fault => fault,
        }
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLedger").finish_non_exhaustive()
    }
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLedger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::seeded(0)
    }

    /// An empty ledger whose coin for dropped calls starts from this seed.
    pub fn seeded(seed: u64) -> Self {
        let (entries, history) = (BTreeMap::new(), Vec::new());
        let state = Mutex::new(State { entries, history, coin: Rng::with_seed(seed) });
        let shared = Shared { state, faults: Mutex::default(), changed: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// The next call of `op` is refused with this text. Several are used up in order.
    pub fn fail_next(&self, op: LedgerOp, message: &str) {
        self.fault(op, LedgerFault::Refuse(LedgerError(message.to_owned())));
    }

    /// The next call of `op` meets this fault. Several are used up in order, before any rule.
    pub fn fault(&self, op: LedgerOp, fault: LedgerFault) {
        lock(&self.shared.faults).calls.entry(op).or_default().push_back(fault);
    }

    /// Every call for which no fault is scripted meets what this rule says; `None` is no fault.
    pub fn fault_by(
        &self,
        rule: impl FnMut(LedgerOp, &ObjectId) -> Option<LedgerFault> + Send + 'static,
    ) {
        lock(&self.shared.faults).rule = Some(Box::new(rule));
    }

    /// From now on every call of `op` takes this long before it is carried out.
    pub fn latency(&self, op: LedgerOp, latency: Duration) {
        lock(&self.shared.faults).latency.insert(op, latency);
    }

    /// Forgets all faults that are not used up, the rule and all latencies. A call that hangs
    /// already goes on hanging.
    pub fn heal(&self) {
        *lock(&self.shared.faults) = Faults::default();
    }

    /// Forgets everything that is known, as a ledger does whose file was lost. The history stays.
    pub fn forget(&self) {
        lock(&self.shared.state).entries.clear();
    }

    /// Everything that is held, by object.
    pub fn entries(&self) -> BTreeMap<ObjectId, LedgerEntry> {
        lock(&self.shared.state).entries.clone()
    }

    /// What is held of one object; of an unknown one, nothing.
    pub fn entry(&self, object: &ObjectId) -> LedgerEntry {
        lock(&self.shared.state).entries.get(object).cloned().unwrap_or_default()
    }

    /// Everything that happened, in order: for oracles.
    pub fn history(&self) -> Vec<RecordedLedgerEvent> {
        lock(&self.shared.state).history.clone()
    }

    /// Waits until this many objects are settled. Put a timeout around it.
    pub async fn until_settled(&self, count: usize) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a change in between is not missed.
            changed.as_mut().enable();
            let settled = |entry: &&LedgerEntry| entry.settlement.is_some();
            if lock(&self.shared.state).entries.values().filter(settled).count() >= count {
                return;
            }
            changed.await;
        }
    }

    /// Waits out latency and faults, then carries the call out and says what it told.
    async fn call(&self, object: &ObjectId, request: Request) -> Result<Known, LedgerError> {
        let op = request.op();
        let mut pending_call = PendingCall { ledger: self, object, request: Some(request) };
        let latency = lock(&self.shared.faults).latency.get(&op).copied();
        if let Some(latency) = latency {
            sleep(latency).await;
        }
        let fault = lock(&self.shared.faults).next(op, object);
        // Nothing is awaited from here on but for ever, so the call can no longer be dropped
        // between being carried out and being answered.
        match fault {
            None => Ok(pending_call.carry_out(true)),
            Some(LedgerFault::LoseAnswer(error)) => {
                pending_call.carry_out(false);
                Err(error)
            }
            Some(LedgerFault::Refuse(error)) => {
                pending_call.fail();
                Err(error)
            }
            Some(LedgerFault::Hang) => pending().await,
        }
    }
}

enum Request {
    Recall,
    Acknowledged { sink: String, below: u64 },
    Settled(Settlement),
}

impl Request {
    fn op(&self) -> LedgerOp {
        match self {
            Self::Recall => LedgerOp::Recall,
            Self::Acknowledged { .. } => LedgerOp::Acknowledged,
            Self::Settled(_) => LedgerOp::Settled,
        }
    }
}

/// A call that is not carried out yet. Dropped so, its coin is tossed.
struct PendingCall<'a> {
    ledger: &'a MemoryLedger,
    object: &'a ObjectId,
    request: Option<Request>,
}

impl PendingCall<'_> {
    fn carry_out(&mut self, told: bool) -> Known {
        let Some(request) = self.request.take() else { return Known::default() };
        let mut state = lock(&self.ledger.shared.state);
        let (known, event) = state.apply(self.object, request, told);
        state.record(self.object, event);
        drop(state);
        self.ledger.shared.changed.notify_waiters();
        known
    }

    fn fail(&mut self) {
        let Some(request) = self.request.take() else { return };
        lock(&self.ledger.shared.state).record(self.object, LedgerEvent::Failed(request.op()));
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        if self.request.is_none() {
            return;
        }
        let carried_out = lock(&self.ledger.shared.state).coin.bool();
        if carried_out {
            self.carry_out(false);
        } else {
            self.fail();
        }
    }
}

impl State {
    fn apply(&mut self, object: &ObjectId, request: Request, told: bool) -> (Known, LedgerEvent) {
        match request {
            Request::Recall => {
                let known =
                    self.entries.get(object).map(|entry| entry.known.clone()).unwrap_or_default();
                let event = match told {
                    true => LedgerEvent::Recalled(known.clone()),
                    false => LedgerEvent::Failed(LedgerOp::Recall),
                };
                (known, event)
            }
            Request::Acknowledged { sink, below } => {
                self.entries.entry(object.clone()).or_default().raise(&sink, below);
                (Known::default(), LedgerEvent::Acknowledged { sink, below, told })
            }
            Request::Settled(settlement) => {
                self.entries.entry(object.clone()).or_default().settle(settlement.clone());
                (Known::default(), LedgerEvent::Settled { settlement, told })
            }
        }
    }

    fn record(&mut self, object: &ObjectId, event: LedgerEvent) {
        let at = Instant::now();
        self.history.push(RecordedLedgerEvent { at, object: object.clone(), event });
    }
}

impl LedgerEntry {
    fn raise(&mut self, sink: &str, below: u64) {
        let place = self.known.acknowledged.entry(sink.to_owned()).or_default();
        *place = below.max(*place);
    }

    fn settle(&mut self, mut settlement: Settlement) {
        if let Some(before) = self.settlement.take() {
            settlement.sinks.extend(before.sinks);
        }
        settlement.sinks.sort_unstable();
        settlement.sinks.dedup();
        for sink in &settlement.sinks {
            let fed =
                |name: &str| name.strip_prefix(sink.as_str()).is_some_and(|n| n.starts_with(' '));
            self.known.acknowledged.retain(|name, _| !fed(name));
            self.raise(sink, Known::ALL);
        }
        self.known.parked = settlement.parked.map(|reason| reason.as_str().to_owned());
        self.settlement = Some(settlement);
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn recall(&self, object: &ObjectId) -> Result<Known, LedgerError> {
        self.call(object, Request::Recall).await
    }

    async fn acknowledged(
        &self,
        object: &ObjectId,
        sink: &str,
        below: u64,
    ) -> Result<(), LedgerError> {
        let request = Request::Acknowledged { sink: sink.to_owned(), below };
        self.call(object, request).await.map(drop)
    }

    async fn settled(&self, object: &ObjectId, settlement: &Settlement) -> Result<(), LedgerError> {
        self.call(object, Request::Settled(settlement.clone())).await.map(drop)
    }
}
