//! The configuration.

mod model;
mod route_spec;
mod units;

pub use model::{
    Account, AllowedAccounts, AllowedBucket, BatchConfig, Compression, Config, FileConfig, Format,
    HeaderValue, HttpBody, HttpConfig, Quarantine, RetryConfig, Route, Secret, SecretOrigin,
    Service, SinkConfig, SinkKind,
};
pub use route_spec::{Condition, FieldSpec, RouteSpec, SelectorSpec, Value};
pub use units::ByteSize;
