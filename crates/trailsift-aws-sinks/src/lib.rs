#![doc = include_str!("../README.md")]

mod answer;
mod calls;
mod facts;

pub use calls::LONGEST_WRITE;
