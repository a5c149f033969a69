//! The real binary, real signals and a real S3 and SQS: LocalStack's, at `AWS_ENDPOINT_URL`.
//!
//! Every test makes its own bucket and queue, so they run side by side and leave nothing that the
//! next one could see.

mod delivery;
mod http_sink;
mod signals;
mod stack;
mod trailsift;
