//! What facts mean. No I/O here.

mod bucket;
mod files;
mod identity;
mod notification;
mod policy;
mod queue;
#[cfg(test)]
mod tests;

pub(super) use bucket::{Existence, existence, sender};
pub(super) use files::{digests, files, reading};
pub(super) use identity::{clock, credentials, endpoint, identity, role};
pub(super) use notification::{OurQueue, notification};
pub(super) use queue::{dead_letters, queue, settling};
