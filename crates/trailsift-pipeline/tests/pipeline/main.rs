//! The real pipeline between the fakes of its ports, on paused time.

mod admission;
mod balances;
mod content;
mod cost;
mod delivery;
mod ending;
mod formats;
mod found_by_simulation;
mod leases;
mod ledger;
mod objects;
mod outages;
mod quirky_queue;
mod reconfigured;
mod replay;
mod rig;
mod s3_faults;
mod service;
mod sinks;
mod undeletable;
mod wholes;
