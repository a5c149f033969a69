//! The sifter against the catalogue of faults, against serde_json, and against itself.

mod damage;
mod deflate;
mod faults;
mod gzip;
mod members;
mod oracle;
mod streams;
mod support;
