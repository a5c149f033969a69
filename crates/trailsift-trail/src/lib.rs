#![doc = include_str!("../README.md")]

mod claims;
mod event_time;
mod key;
mod notification;
mod sift;

pub use event_time::event_time;
pub use key::{KeyClass, LogKind, TrailKey, classify};
pub use notification::{
    Control, EntryFault, Notification, NotificationFault, Notified, NotifiedObject, Replay,
    ReplayedRecords, Shape, announce, bucket_name_is_legal, decode,
};
pub use sift::{
    Counts, FaultyRecord, Found, Judge, MultiMember, ObjectFault, Progress, Scratch, SiftLimits,
    Sifter, Trailing, Traits,
};
