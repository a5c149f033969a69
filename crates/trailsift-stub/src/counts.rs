use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked of a [`Stub`](crate::Stub) so far: requests by operation, refused ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `GetObject`.
    pub get_object: u64,
    /// `HeadObject`.
    pub head_object: u64,
    /// Bytes of the bodies of objects that were handed to the network.
    pub object_bytes: u64,
    /// `ReceiveMessage`, counted when it arrives.
    pub receive: u64,
    /// Messages handed out.
    pub received_messages: u64,
    /// `ReceiveMessage` answered without a message.
    pub empty_receives: u64,
    /// `DeleteMessage` and `DeleteMessageBatch`.
    pub delete: u64,
    /// Receipts in them.
    pub deleted_receipts: u64,
    /// `ChangeMessageVisibility` and its batch: extensions and releases.
    pub change_visibility: u64,
    /// Receipts in them.
    pub changed_receipts: u64,
    /// `GetQueueAttributes`.
    pub get_attributes: u64,
    /// `SendMessage` and `SendMessageBatch`.
    pub send: u64,
    /// What the stub does not know.
    pub unknown: u64,
}

impl Counts {
    /// Requests of all kinds.
    pub const fn requests(&self) -> u64 {
        self.get_object
            + self.head_object
            + self.receive
            + self.delete
            + self.change_visibility
            + self.get_attributes
            + self.send
            + self.unknown
    }
}

macro_rules! counters {
    ($($field:ident),*) => {
        /// [`Counts`] that are still counting.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $field: AtomicU64),*
        }

        impl Counters {
            pub(crate) fn now(&self) -> Counts {
                Counts { $($field: self.$field.load(Ordering::Relaxed)),* }
            }
        }

        /// What came between two looks, the earlier one on the right.
        impl Sub for Counts {
            type Output = Self;

            fn sub(self, earlier: Self) -> Self {
                Self { $($field: self.$field.saturating_sub(earlier.$field)),* }
            }
        }
    };
}

counters!(
    get_object,
    head_object,
    object_bytes,
    receive,
    received_messages,
    empty_receives,
    delete,
    deleted_receipts,
    change_visibility,
    changed_receipts,
    get_attributes,
    send,
    unknown
);

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// So many more.
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
