#![doc = include_str!("../README.md")]

mod acker;
mod admission;
mod attempts;
mod backoff;
mod bad_records;
mod books;
mod budget;
mod cpu;
mod dispatcher;
mod fetcher;
mod health;
mod lease;
mod listener;
mod metrics;
mod notes;
mod object;
mod obligation;
mod parked;
mod pass;
mod patience;
mod quarantine;
mod rendering;
mod service;
mod turns;
mod watched;
mod wholes;
mod worker;

pub use admission::{AllowedBucket, AllowedKeys};
pub use budget::Budget;
pub use cpu::{Cpu, Pool};
pub use dispatcher::Outlet;
pub use health::Health;
pub use metrics::{PipelineMetrics, Totals};
pub use quarantine::Quarantine;
pub use service::{Account, Ended, Service, Settings, Surroundings};
