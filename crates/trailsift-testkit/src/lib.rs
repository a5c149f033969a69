#![doc = include_str!("../README.md")]

pub mod conformance;
mod fault_proxy;
mod fixed_clock;
mod memory_ledger;
mod memory_queue;
mod memory_store;
mod scripted_sink;
pub mod trail;

pub use fault_proxy::{FaultProxy, Plan, ProxyAnswer, ProxyRequest};
pub use fixed_clock::FixedClock;
pub use memory_ledger::{
    LedgerEntry, LedgerEvent, LedgerFault, LedgerOp, MemoryLedger, RecordedLedgerEvent,
};
pub use memory_queue::{
    DeadLetter, MemoryQueue, QueueEvent, QueueFault, QueueOp, QueueSettings, RecordedEvent,
};
pub use memory_store::{MemoryStore, StoreFault, StoreRequest, Stored};
pub use scripted_sink::{Answer, ScriptedSink, Write};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a fake's state. A test that panicked while it held the lock has failed already; the
/// other tasks of the same test may still look.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
