//! From the configuration to the pipeline's parts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use trailsift_aws::{AccountSettings, Connector};
use trailsift_core::{Clock, RouteSet, Sink};
use trailsift_ledger::{LedgerSettings, SqliteLedger};
use trailsift_pipeline::{
    Account, AllowedBucket, AllowedKeys, Budget, Outlet, PipelineMetrics, Quarantine, Settings,
};
use trailsift_route::{Format, Formatter, Routes};
use trailsift_sinks::{
    BatchSettings, Decoration, FileSettings, FileSink, HeaderText, HttpSettings, HttpSink,
    RetrySettings, SecretSource, SinkMetrics, StdoutSink, decorate,
};

use crate::config::{
    self, AllowedAccounts, BodyShape, ByteSize, Compression, Config, FileConfig, HeaderValue,
    HttpConfig, SinkConfig, SinkKind,
};

/// The quarantine's file in its folder; rotated ones lie beside it.
const QUARANTINE_FILE: &str = "quarantine.jsonl";
/// How long the quarantine's own disk may trouble it before a message goes back to the queue.
const QUARANTINE_DEADLINE: Duration = Duration::from_secs(10);
/// How much longer than a sink's own patience the outermost limit of a write is.
const MARGIN: Duration = Duration::from_secs(5);

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

/// How many messages may wait for each sink, the quarantine's among them, to fill its batch.
pub(super) fn lingering(config: &Config, budget: &Budget) -> usize {
    let waited_for = config.sinks.values().filter(|sink| sink.required).count();
    let quarantines = usize::from(matches!(config.quarantine, config::Quarantine::Folder(_)));
    budget.lingering_per_sink(waited_for + quarantines)
}

/// Every sink of the configuration with its decorators, by name. A batch goes as soon as so many
/// messages as are `lingering` wait for it.
pub(super) fn sinks(
    config: &Config,
    lingering: usize,
    metrics: &SinkMetrics,
) -> anyhow::Result<BTreeMap<String, Arc<dyn Sink>>> {
    let build = |(name, sink): (&String, &SinkConfig)| {
        let (bare, timeout) = bare_sink(name, sink)?;
        let decoration = Decoration {
            batch: BatchSettings {
                events: sink.batch.events,
                bytes: bytes(sink.batch.bytes),
                linger: sink.batch.linger,
                // No message waits for a best-effort sink.
                callers: if sink.required { lingering } else { usize::MAX },
                ..BatchSettings::default()
            },
            retry: RetrySettings { deadline: sink.retry.deadline, ..RetrySettings::default() },
            timeout,
            required: sink.required,
            ..Decoration::default()
        };
        Ok((name.clone(), decorate(bare, decoration, metrics)))
    };
    config.sinks.iter().map(build).collect()
}

fn bare_sink(name: &str, sink: &SinkConfig) -> anyhow::Result<(Arc<dyn Sink>, Option<Duration>)> {
    Ok(match &sink.kind {
        SinkKind::Stdout => {
            let stdout = StdoutSink::new(name);
            (Arc::new(stdout.with_context(|| format!("sink {name} cannot be started"))?), None)
        }
        SinkKind::File(file) => (Arc::new(FileSink::new(name, file_settings(file))?), None),
        SinkKind::Http(http) => {
            let settings = http_settings(http, media_type(sink, http));
            let timeout = settings.longest_write() + MARGIN;
            (Arc::new(HttpSink::new(name, settings)?), Some(timeout))
        }
    })
}

fn file_settings(file: &FileConfig) -> FileSettings {
    FileSettings {
        path: file.path.clone(),
        compression: file.compression,
        rotate_bytes: file.rotate_size.map(ByteSize::bytes),
        rotate_every: file.rotate_every,
    }
}

/// The media type that the sink's format has in such a body, where it has one of its own: the JSON
/// batch of CloudEvents, or one event alone, which is what most of their receivers take.
fn media_type(sink: &SinkConfig, http: &HttpConfig) -> Option<&'static str> {
    match (sink.format, http.body, sink.batch.events) {
        (Format::CloudEvents, BodyShape::JsonArray, _) => {
            Some("application/cloudevents-batch+json")
        }
        (Format::CloudEvents, BodyShape::Ndjson, 1) => Some("application/cloudevents+json"),
        _ => None,
    }
}

/// Headers of the configuration stand above the `media_type`.
fn http_settings(http: &HttpConfig, media_type: Option<&str>) -> HttpSettings {
    let secret = |source| HeaderText::Secret { prefix: String::new(), source };
    let text = |value: &HeaderValue| match value {
        HeaderValue::Plain(text) => HeaderText::Plain(text.clone()),
        HeaderValue::Env(name) => secret(SecretSource::Env(name.clone())),
        HeaderValue::File(path) => secret(SecretSource::File(path.clone())),
    };
    let mut headers = BTreeMap::new();
    headers.extend(media_type.map(|it| ("content-type".into(), HeaderText::Plain(it.into()))));
    headers.extend(http.headers.iter().map(|(name, value)| (name.clone(), text(value))));
    HttpSettings {
        body: http.body,
        headers: headers.into_iter().collect(),
        gzip: http.compression == Compression::Gzip,
        connect_timeout: http.connect_timeout,
        timeout: http.timeout,
        allow_http: http.allow_http,
        ..HttpSettings::new(http.url.clone())
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
    lingering: usize,
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
                    linger: Duration::from_millis(5),
                    callers: lingering,
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

/// Every account with its clients. Nothing is contacted yet.
pub(super) async fn accounts(config: &Config) -> anyhow::Result<Vec<Account>> {
    let specs: Vec<_> = config.routes.iter().map(|route| route.spec.clone()).collect();
    let routes = Routes::compile(&specs).map_err(|errors| {
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the routes do not compile: {}", errors.join("; "))
    })?;
    let region = config.accounts.first().map_or("us-east-1", |account| &account.region);
    let connector = Connector::load(region).await;
    let mut accounts = Vec::with_capacity(config.accounts.len());
    for account in &config.accounts {
        let settings = AccountSettings {
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
        };
        let connected = connector.connect(&settings).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "application/cloudevents-batch+json";

    /// The `Content-Type` that the wiring names, if any, for this `[sink.siem]`.
    fn content_type(sink: &str) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c.toml");
        let text = format!(
            "[account]\nid = \"111122223333\"\nregion = \"us-east-1\"\n\
             queue_url = \"https://sqs.us-east-1.amazonaws.com/111122223333/trail\"\n\
             buckets = [{{ name = \"org-trail\" }}]\n\
             [[route]]\nname = \"r\"\nsinks = [\"siem\"]\n\
             selector = [{{ eventSource = {{ exists = true }} }}]\n\
             [sink.siem]\ntype = \"http\"\nurl = \"https://collector.example.com/\"\n{sink}"
        );
        std::fs::write(&path, text).expect("written");
        let config = config::load(&path).expect("valid").config;
        let sink = &config.sinks["siem"];
        let SinkKind::Http(http) = &sink.kind else { panic!("an http sink") };
        let headers = http_settings(http, media_type(sink, http)).headers;
        let named = headers.into_iter().find(|(name, _)| name == "content-type");
        named.map(|(_, value)| match value {
            HeaderText::Plain(text) => text,
            HeaderText::Secret { .. } => panic!("no secret"),
        })
    }

    #[test]
    fn cloud_events_travel_under_their_own_media_types() {
        for (sink, expected) in [
            ("format = \"cloudevents\"\nbody = \"json_array\"\n", Some(BATCH)),
            (
                "format = \"cloudevents\"\nbatch = { events = 1 }\n",
                Some("application/cloudevents+json"),
            ),
            ("format = \"cloudevents\"\n", None),
            ("format = \"envelope\"\nbody = \"json_array\"\nbatch = { events = 1 }\n", None),
            (
                "format = \"cloudevents\"\nbody = \"json_array\"\n\
                 headers = { Content-Type = \"application/json\" }\n",
                Some("application/json"),
            ),
        ] {
            assert_eq!(content_type(sink).as_deref(), expected, "{sink}");
        }
    }
}
