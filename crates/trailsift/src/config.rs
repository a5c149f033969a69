//! The configuration: TOML, in one folder or in one file.
//!
//! [`load`] reads it and finds every mistake at once; what it returns is complete and consistent.
//! It looks where secrets come from, so that a missing one is known before anything starts, but
//! keeps none: a [`Config`] holds only where they are.

mod account;
pub(crate) mod cost;
mod document;
mod files;
mod findings;
mod kinds;
mod model;
mod names;
mod print;
mod reader;
mod resolve;
mod route;
mod secret;
mod service;
mod sink;
#[cfg(test)]
mod tests;
pub(crate) mod units;

use std::path::Path;

use trailsift_trail::MultiMember;

pub use findings::{Findings, Severity};
pub use model::{
    Account, AllowedAccounts, AllowedBucket, BatchConfig, Config, Quarantine, RetryConfig, Route,
    Service, SinkConfig, SinkKind,
};
pub(crate) use reader::closest;
pub use sink::{
    AwsConfig, CloudWatchLogsConfig, EventBridgeConfig, FileConfig, FirehoseConfig, HeaderValue,
    HttpConfig, KafkaConfig, KinesisConfig, MskIam, OpenSearchConfig, OtlpConfig, S3Config,
    SearchAws, SnsConfig, SplunkConfig, SqsConfig,
};
pub use trailsift_route::{Format, RouteSpec};
pub use trailsift_sinks::{BodyShape, Compression};
pub use units::ByteSize;
pub(crate) use units::{duration_text, parse_duration};

use document::Draft;
use files::Role;
use reader::Environment;

/// Where the configuration is looked for if nobody says.
pub const DEFAULT_PATH: &str = "/etc/trailsift";

/// A configuration that can be run.
#[derive(Debug)]
pub struct Loaded {
    /// What is in effect.
    pub config: Config,
    /// What may not be meant so. Holds no errors.
    pub warnings: Findings,
}

/// What `sift` takes from a configuration: no account, no sink and no secret.
#[derive(Debug)]
pub struct SiftConfig {
    /// At least one.
    pub routes: Vec<RouteSpec>,
    /// What becomes of a file of more than one compressed stream.
    pub multi_member: MultiMember,
    /// A file that inflates beyond this is bad.
    pub max_inflated: ByteSize,
    /// A record beyond this is bad.
    pub max_record: ByteSize,
}

/// Reads the configuration at `path`: a folder with `trailsift.toml` and `accounts/*.toml`, or one
/// file with both parts. Secrets are looked for in the process environment and in their files.
///
/// # Errors
/// With every mistake that is in it, each with its place and a remedy; warnings are among them.
pub fn load(path: &Path) -> Result<Loaded, Box<Findings>> {
    load_with(path, &|name| std::env::var(name).ok())
}

fn load_with(path: &Path, environment: Environment<'_>) -> Result<Loaded, Box<Findings>> {
    let mut findings = Findings::default();
    let sources = files::sources(path, &[Role::Main, Role::Account], &findings);
    let draft = Draft::read(&sources, environment, &findings);
    if sources.complete && draft.accounts.is_empty() && !findings.has_syntax_errors() {
        let hint = match path.is_dir() {
            true => "add a file accounts/NAME.toml with an [account] for each account",
            false => "add an [account]",
        };
        findings.about_path(Severity::Error, path, "there is no account", hint);
    }
    let config = resolve::resolve(draft, &findings);
    findings.settle();
    match findings.errors() {
        0 => Ok(Loaded { config, warnings: findings }),
        _ => Err(Box::new(findings)),
    }
}

/// Reads only what `sift` needs: `[service]` and the routes. Accounts and sinks may be missing or
/// unusable here, for example because their secrets are elsewhere.
///
/// # Errors
/// As [`load`].
pub fn load_for_sift(path: &Path) -> Result<SiftConfig, Box<Findings>> {
    let mut findings = Findings::default();
    let sources = files::sources(path, &[Role::Main], &findings);
    let draft = Draft::read_for_sift(&sources, &findings);
    let Service { multi_member, max_inflated, max_record, .. } = draft.service;
    let routes = resolve::route_specs(draft.routes, &findings);
    findings.settle();
    match findings.errors() {
        0 => Ok(SiftConfig { routes, multi_member, max_inflated, max_record }),
        _ => Err(Box::new(findings)),
    }
}

impl SiftConfig {
    /// What is in effect without any configuration.
    pub fn built_in() -> Self {
        Self {
            routes: vec![RouteSpec::codeguru_reviewer()],
            multi_member: MultiMember::Reject,
            max_inflated: service::MAX_INFLATED,
            max_record: service::MAX_RECORD,
        }
    }
}
