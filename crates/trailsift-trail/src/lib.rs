#![doc = include_str!("../README.md")]

mod key;
mod notification;

pub use key::{KeyClass, LogKind, TrailKey, classify};
pub use notification::{
    Control, EntryFault, Notification, NotificationFault, Notified, NotifiedObject, Shape,
    bucket_name_is_legal, decode,
};
