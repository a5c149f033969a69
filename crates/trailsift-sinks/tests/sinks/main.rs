//! Sinks as the service uses them: decorated, against real files, pipes and HTTP servers.

#![expect(clippy::unwrap_used, reason = "a test may panic, and says where")]

mod certificates;
mod collector;
mod conformance;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod opensearch;
mod otlp;
mod service;
mod splunk;

use trailsift_testkit::conformance::{acknowledged, batch};
