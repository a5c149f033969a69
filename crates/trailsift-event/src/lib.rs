#![doc = include_str!("../README.md")]

mod actor;
mod event;
mod json;
mod operation;
mod reviewer;
mod sentence;
pub mod text;

pub use actor::{Actor, ActorKind, ActorValue, Credentials, Identity};
pub use event::{Event, Outcome};
pub use json::{Elements, Flat, Json, Kind, Members};
pub use operation::{Activity, Operation, Resource};
