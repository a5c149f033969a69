//! One suite per port. It runs on the fake and on the real thing, so that a test on the fake says
//! something about the world.

mod ledger;
mod queue;
mod report;
mod sink;
mod store;
#[cfg(test)]
mod tests;

pub use ledger::{LedgerFactory, LedgerUnderTest, ledger};
pub use queue::{QueueFactory, QueueUnderTest, queue};
pub use report::{Gap, Report};
pub use sink::{SinkWorld, acknowledged, batch, sink, sink_report};
pub use store::{BucketUnderTest, StoreFactory, object_store};
