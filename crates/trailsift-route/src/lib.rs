#![doc = include_str!("../README.md")]

mod check;
mod format;
mod literals;
mod plan;
mod reader;
mod routes;
mod spec;
mod text;

pub use check::RouteError;
pub use format::Format;
pub use reader::MAX_DEPTH;
pub use routes::Routes;
pub use spec::{Condition, FieldSpec, RouteSpec, SelectorSpec, Value};
