#![doc = include_str!("../README.md")]

mod chain;
mod clock;
mod disposition;
mod ledger;
mod log_file;
mod queue;
mod reason;
mod record;
mod selection;
mod sink;
mod store;

pub use chain::chain;
pub use clock::{Clock, SystemClock};
pub use disposition::Disposition;
pub use ledger::{Known, Ledger, LedgerError, ObjectId, Revision, Settlement};
pub use log_file::LogFile;
pub use queue::{Incomplete, Message, MessageId, Queue, QueueError, QueueStatus, Receipt};
pub use reason::Reason;
pub use record::{Entry, Record, Source};
pub use selection::{RecordFault, RouteSet, Selection};
pub use sink::{Batch, Failure, Limits, Sink, SinkError, WriteOutcome};
pub use store::{Body, ObjectStore, OpenObject, Resume, StoreError};
