//! Selection as its users see it: specifications in, routes for records out.
#![expect(clippy::unwrap_used, reason = "in the helpers of tests a panic is the verdict")]

mod common;
mod faults;
mod identities;
mod oracle;
mod plain;
mod selectors;
mod table;
