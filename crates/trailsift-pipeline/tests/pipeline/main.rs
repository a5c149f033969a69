//! The real pipeline between the fakes of its ports, on paused time.

mod delivery;
mod rig;
mod service;
