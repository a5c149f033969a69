//! The ports of one replica: between it and the world lies the weather, and everything that passes
//! is written down.

mod ledger;
mod queue;
mod sink;
mod store;
mod unpacked;

pub(crate) use ledger::LedgerPort;
pub(crate) use queue::QueuePort;
pub(crate) use sink::{Desk, SinkEnd};
pub(crate) use store::StorePort;
pub(crate) use unpacked::Unpacked;

use crate::history::{Event, History, Life};
use crate::weather::Weather;

/// What every port of a replica needs.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) life: Life,
    pub(crate) weather: Weather,
    pub(crate) history: History,
}

impl Line {
    fn record(&self, event: Event) -> usize {
        self.history.record(event)
    }
}
