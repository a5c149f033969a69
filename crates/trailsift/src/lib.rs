#![doc = include_str!("../README.md")]

mod admin;
pub mod cli;
pub mod commands;
pub mod config;
mod descriptors;
pub mod logging;
mod memory;
mod process;
mod stdio;
#[cfg(feature = "otlp-traces")]
mod traces;
