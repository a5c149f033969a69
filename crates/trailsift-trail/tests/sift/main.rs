//! The sifter against the catalogue of faults, against serde_json, and against itself.

mod faults;
mod oracle;
mod streams;
mod support;
