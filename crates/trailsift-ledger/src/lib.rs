#![doc = include_str!("../README.md")]

mod connection;
mod fault;
mod folder;
mod group;
mod name;
mod read;
mod reader;
mod rows;
mod sqlite;
mod writer;

pub use fault::OpenError;
pub use folder::FILE_NAME;
pub use read::{LedgerRow, SettledRow, read};
pub use sqlite::{LedgerSettings, SqliteLedger};
