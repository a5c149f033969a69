//! From the configuration to the pipeline's parts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trailsift_aws::{AccountSettings, Connector};
use trailsift_core::{Clock, RouteSet, Sink};
use trailsift_delivery::{BatchSettings, Decoration, RetrySettings, SinkMetrics, decorate};
use trailsift_ledger::{LedgerSettings, SqliteLedger};
use trailsift_pipeline::{
    Account, AllowedBucket, AllowedKeys, Outlet, PipelineMetrics, Quarantine, Settings,
};
use trailsift_route::{Formatter, Routes};
use trailsift_sinks::{FileSettings, FileSink};

use crate::config::{self, AllowedAccounts, ByteSize, Config, SinkConfig};

/// The quarantine's file in its folder; rotated ones lie beside it.
const QUARANTINE_FILE: &str = "quarantine.jsonl";
/// How long the quarantine's own disk may trouble it before a message goes back to the queue.
const QUARANTINE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a line for the folder waits for others.
const QUARANTINE_LINGER: Duration = Duration::from_millis(5);

mod sinks;

pub(in crate::commands) use sinks::Lingering;
pub(in crate::commands) use sinks::sinks;

pub(super) fn settings(service: &config::Service, until_empty: bool) -> Settings {
    Settings {
        memory: bytes(service.memory),
        workers: service.workers,
        startup_timeout: service.startup_timeout,
        drain_timeout: service.drain_timeout,
        max_receive: service.max_receive,
        max_inflated: service.max_inflated.bytes(),
        max_record: bytes(service.max_record),
        hash_objects: service.hash_objects,
        multi_member: service.multi_member,
        until_empty,
    }
}

/// The sinks that routes lead to, each with the routes that do.
pub(super) fn outlets(config: &Config, sinks: &BTreeMap<String, Arc<dyn Sink>>) -> Vec<Outlet> {
    let names: Arc<[String]> = config.routes.iter().map(|route| route.name.clone()).collect();
    let outlet = |(name, sink): (&String, &SinkConfig)| {
        let mut routes = RouteSet::EMPTY;
        for (number, route) in config.routes.iter().enumerate() {
            if route.sinks.contains(name) {
                routes.insert(number);
            }
        }
        let built = sinks.get(name).filter(|_| !routes.is_empty())?;
        Some(Outlet {
            sink: Arc::clone(built),
            formatter: Formatter::new(sink.format, Arc::clone(&names)),
            routes,
            required: sink.required,
        })
    };
    config.sinks.iter().filter_map(outlet).collect()
}

/// Where to park. A folder that cannot be written to is found now, not with the first bad file.
pub(super) async fn quarantine(
    config: &Config,
    sinks: &BTreeMap<String, Arc<dyn Sink>>,
    lingering: Lingering,
    clock: Arc<dyn Clock>,
    metrics: PipelineMetrics,
    sink_metrics: &SinkMetrics,
) -> anyhow::Result<Quarantine> {
    let sink = match &config.quarantine {
        config::Quarantine::Redrive => return Ok(Quarantine::redrive(clock, metrics)),
        config::Quarantine::Sink(name) => {
            Arc::clone(sinks.get(name).with_context(|| format!("no sink {name} to park in"))?)
        }
        config::Quarantine::Folder(folder) => {
            let file = FileSettings::new(folder.join(QUARANTINE_FILE));
            let decoration = Decoration {
                batch: BatchSettings {
                    linger: QUARANTINE_LINGER,
                    callers: lingering.of(QUARANTINE_LINGER),
                    ..BatchSettings::default()
                },
                retry: RetrySettings { deadline: QUARANTINE_DEADLINE, ..RetrySettings::default() },
                ..Decoration::default()
            };
            let sink = FileSink::new("quarantine", file)?;
            sink.check().await.map_err(|error| {
                let cause =
                    std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
                let remedy = remedy(cause, ", or name a `sink` in [quarantine]");
                anyhow::Error::new(error).context(format!(
                    "the quarantine in {} cannot be written{remedy}",
                    folder.display()
                ))
            })?;
            decorate(Arc::new(sink), decoration, sink_metrics)
        }
    };
    Ok(Quarantine::sink(sink, clock, metrics))
}

/// The ledger in the data folder. One that cannot be opened now costs duplicates, not the service:
/// it goes on trying.
pub(super) async fn ledger(
    service: &config::Service,
    metrics: &PipelineMetrics,
) -> anyhow::Result<Arc<SqliteLedger>> {
    let folder = service.ledger();
    let settings = LedgerSettings { retention: service.ledger_retention };
    let open = move || SqliteLedger::open_or_retry(&folder, settings);
    let (ledger, trouble) = tokio::task::spawn_blocking(open).await??;
    if let Some(error) = trouble {
        metrics.ledger_unusable();
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
        let remedy = remedy(cause, "");
        tracing::warn!(
            error = format!("{:#}", anyhow::Error::new(error)),
            "the ledger cannot be opened yet{remedy}. Nothing is lost, but what is delivered again \
             meanwhile is sent again"
        );
    }
    Ok(Arc::new(ledger))
}

/// What to do where the system refuses this user a folder. Other causes name their own remedy.
fn remedy(cause: Option<&io::Error>, or: &str) -> String {
    use io::ErrorKind as Kind;
    match cause.map(io::Error::kind) {
        Some(Kind::AlreadyExists | Kind::NotADirectory) => format!(
            ": a file stands where a folder is wanted: move it away, or set `service.data_dir` to \
             another folder{or}"
        ),
        Some(Kind::NotFound | Kind::PermissionDenied | Kind::ReadOnlyFilesystem) => {
            format!(": set `service.data_dir` to a folder that this user may write to{or}")
        }
        _ => String::new(),
    }
}

/// What every client of AWS is made from.
pub(in crate::commands) async fn connector(config: &Config) -> Connector {
    let region = config.accounts.first().map_or("us-east-1", |account| &account.region);
    Connector::load(region).await
}

/// Every account with its clients. Nothing is contacted yet.
pub(super) async fn accounts(
    config: &Config,
    connector: &Connector,
) -> anyhow::Result<Vec<Account>> {
    let specs: Vec<_> = config.routes.iter().map(|route| route.spec.clone()).collect();
    let routes = Routes::compile(&specs).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the routes do not compile: {}", errors.join("; "))
    })?;
    let mut accounts = Vec::with_capacity(config.accounts.len());
    for account in &config.accounts {
        let connected = connector.connect(&account_settings(config, account)).await;
        let mut allowed = RouteSet::EMPTY;
        config.routes_of(account).into_iter().for_each(|route| allowed.insert(route));
        accounts.push(Account {
            name: account.name.clone(),
            queue: Arc::new(connected.queue),
            store: Arc::new(connected.store),
            buckets: account.buckets.iter().map(bucket).collect(),
            selection: Arc::new(routes.restricted_to(allowed)),
        });
    }
    Ok(accounts)
}

/// Where an account is and how to get in.
pub(in crate::commands) fn account_settings(
    config: &Config,
    account: &config::Account,
) -> AccountSettings {
    AccountSettings {
        id: account.id.clone(),
        region: account.region.clone(),
        bucket_regions: account
            .buckets
            .iter()
            .filter_map(|bucket| Some((bucket.name.clone(), bucket.region.clone()?)))
            .collect(),
        known_regions: config.regions(),
        queue_url: account.queue_url.clone(),
        role_arn: account.role_arn.clone(),
        external_id: account.external_id.clone(),
        endpoint_url: account.endpoint_url.clone(),
    }
}

fn bucket(bucket: &config::AllowedBucket) -> AllowedBucket {
    AllowedBucket {
        name: bucket.name.clone(),
        owner: bucket.owner.clone(),
        prefix: bucket.prefix.clone(),
        accounts: match &bucket.accounts {
            AllowedAccounts::Any => AllowedKeys::Any,
            AllowedAccounts::Set(accounts) => AllowedKeys::Only(accounts.clone()),
        },
    }
}

fn bytes(size: ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}
