#![doc = include_str!("../README.md")]

mod collector;
mod counts;
mod notification;
mod s3;
mod server;
mod sqs;
mod stub;

pub use collector::Collector;
pub use counts::Counts;
pub use notification::notification;
pub use stub::{Checksum, Stub};
