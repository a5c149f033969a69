use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

/// Names a message across its deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageId(pub String);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

/// Proof of one delivery of a message: only the newest one of a message may settle it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// One delivery of a message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The message, the same at every delivery.
    pub id: MessageId,
    /// This delivery.
    pub receipt: Receipt,
    /// The body as received.
    pub body: String,
    /// How often the queue has handed the message out, this time included (1 or more).
    pub receive_count: u32,
    /// When it was first sent to the queue, by the queue's clock.
    pub sent_at: Option<SystemTime>,
    /// Who sent it, as the queue says.
    pub sender_id: Option<String>,
    /// When this delivery was asked for: the lease and its 12-hour ceiling count from here, which
    /// errs on the safe side by one round trip.
    pub received_at: Instant,
    /// When the lease ends unless it is extended.
    pub lease_until: Instant,
}

/// What the queue says about itself. The three counts are approximate, as the queue's own are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// How long a received message stays hidden from others.
    pub visibility_timeout: Duration,
    /// After how many receives the redrive policy moves a message away; `None` without a policy.
    pub max_receive_count: Option<u32>,
    /// Messages that could be received now.
    pub visible: u64,
    /// Messages received by someone and not yet deleted or released.
    pub in_flight: u64,
    /// Messages that wait for their delivery delay.
    pub delayed: u64,
}

/// A queue of notifications with leases: SQS, or something that keeps the same promises.
///
/// At least once, unordered. The listener calls `receive`, a lease's heartbeat `extend`, workers
/// `release`, the acker `delete`; all concurrently. No method retries for longer than a few
/// seconds by itself: waiting is the caller's decision.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync {
    /// The queue's settings and its approximate backlog. Also the reachability check.
    async fn status(&self) -> Result<QueueStatus, QueueError>;

    /// Up to `max` messages (1 to 10), waiting for the first one at most `wait` (up to 20 s).
    ///
    /// An empty answer is no error. Each message is leased for the queue's visibility timeout.
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError>;

    /// Keeps the message hidden for `by` from now on. Returns the new end of the lease, counted
    /// from before the request was sent. [`QueueError::LeaseLost`] means that the receipt is stale.
    async fn extend(&self, receipt: &Receipt, by: Duration) -> Result<Instant, QueueError>;

    /// Gives the message back: others may receive it `after` this long.
    async fn release(&self, receipt: &Receipt, after: Duration) -> Result<(), QueueError>;

    /// Deletes up to 10 messages. The answer has one result per receipt, in the same order; the
    /// outer error means that nothing is known about any of them.
    async fn delete(&self, receipts: &[Receipt])
    -> Result<Vec<Result<(), QueueError>>, QueueError>;

    /// How many messages were incomplete so far. A queue that always hands out whole ones need not
    /// count.
    fn incomplete(&self) -> Incomplete {
        Incomplete::default()
    }
}

/// Messages that the queue handed out without what belongs to them, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incomplete {
    /// Without id, receipt or body: left to the end of their lease, for nobody could settle them.
    pub left: u64,
    /// Without their attributes: handed on, as received for the first time.
    pub bare: u64,
}

/// What went wrong at the queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The receipt is no longer the message's newest, or the lease is over.
    #[error("the lease is lost: {0}")]
    LeaseLost(String),
    /// There is no such queue (yet).
    #[error("the queue does not exist: {0}")]
    NotFound(String),
    /// We may not do this.
    #[error("access to the queue is denied: {0}")]
    Denied(String),
    /// The queue asks us to slow down.
    #[error("the queue throttles: {0}")]
    Throttled(String),
    /// The queue refuses the request itself; sending it again unchanged is useless.
    #[error("the queue refuses the request: {0}")]
    Rejected(String),
    /// Everything else, also what nobody recognises: try again later.
    #[error("the queue is unavailable: {0}")]
    Unavailable(String),
}

impl QueueError {
    /// The word for it in metric labels: a closed set.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::LeaseLost(_) => "lease_lost",
            Self::NotFound(_) => "not_found",
            Self::Denied(_) => "access_denied",
            Self::Throttled(_) => "throttled",
            Self::Rejected(_) => "rejected",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
