#![doc = include_str!("../README.md")]

mod admin;
pub mod cli;
pub mod commands;
pub mod config;
pub mod logging;
