//! The real binary, real signals and a real S3 and SQS: LocalStack's, at `AWS_ENDPOINT_URL`. Where
//! the number of files or their size is the point, S3 and SQS are served from memory
//! (`trailsift-stub`), and the test needs nothing else.
//!
//! Every test makes its own bucket and queue, so they run side by side and leave nothing that the
//! next one could see.

mod adversary;
mod copies;
mod delivery;
mod disk;
mod drain;
mod formats;
mod http_sink;
mod kill;
mod ledger;
mod memory;
mod once;
mod outage;
mod replicas;
mod scale;
mod siem;
mod signals;
mod stack;
mod stalling_proxy;
mod traffic;
mod trailsift;
