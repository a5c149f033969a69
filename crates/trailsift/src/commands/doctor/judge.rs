//! What facts mean. No I/O here.

mod bucket;
mod files;
mod identity;
mod notification;
mod pattern;
mod policy;
mod queue;
mod sender;
#[cfg(test)]
mod tests;
mod ways;

pub(super) use bucket::{Existence, existence};
pub(super) use files::{digests, files, reading};
pub(super) use identity::{clock, credentials, endpoint, identity, role};
pub(super) use notification::{OurQueue, notification};
pub(super) use pattern::About;
pub(super) use queue::{dead_letters, queue, settling};
pub(super) use ways::{Topic, Wanted, Ways, wanted};
