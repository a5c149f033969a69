#![doc = include_str!("../README.md")]

mod connector;
pub mod diagnosis;
mod fault;
mod keys;
mod limit;
mod msk;
mod s3;
mod session;
mod sessions;
mod signer;
mod sqs;
#[cfg(test)]
mod test_server;
#[cfg(test)]
mod tls_tests;

pub use connector::{Account, AccountSettings, Connector, queue_url_at};
pub use fault::Fault;
pub use limit::AnswerLimit;
pub use msk::{MskToken, MskTokens};
pub use s3::S3Store;
pub use session::{Session, SessionSettings};
pub use signer::{Presigned, Refusal, Signer, SigningError, Unsigned};
pub use sqs::{Outgoing, SqsQueue};
