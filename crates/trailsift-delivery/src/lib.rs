#![doc = include_str!("../README.md")]

mod batching;
mod best_effort;
mod blame;
mod decorate;
pub mod facts;
mod metrics;
mod retry;
mod settle;
#[cfg(test)]
mod testing;
mod timeout;

pub use batching::{BatchSettings, Batching};
pub use best_effort::{BestEffort, BufferSettings};
pub use blame::Blame;
pub use decorate::{Decoration, decorate};
pub use metrics::{Metered, SinkMetrics, Timed};
pub use retry::{Retry, RetrySettings};
pub use settle::{answer, replicate};
pub use timeout::Timeout;
