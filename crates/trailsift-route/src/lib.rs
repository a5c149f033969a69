#![doc = include_str!("../README.md")]

mod actor;
mod asked;
mod bits;
mod check;
mod cidr;
mod fields;
mod format;
mod frequency;
mod literals;
mod plan;
mod reader;
mod routes;
mod sources;
mod spec;
mod table;
mod warnings;
mod words;

pub use check::RouteError;
pub use cidr::parse_network;
pub use format::{Format, Formatter, Origin};
pub use literals::{Cost, Share};
pub use reader::MAX_DEPTH;
pub use routes::Routes;
pub use spec::{Condition, FieldSpec, IpNet, RouteSpec, SelectorSpec, Value};
pub use warnings::RouteWarning;
