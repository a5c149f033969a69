use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use trailsift_pipeline::Budget;
use trailsift_route::{Format, RouteSpec};
use trailsift_trail::MultiMember;

use super::ByteSize;
use super::sink::{
    CloudWatchLogsConfig, EventBridgeConfig, FileConfig, FirehoseConfig, HttpConfig, KafkaConfig,
    KinesisConfig, OpenSearchConfig, OtlpConfig, S3Config, SnsConfig, SplunkConfig, SqsConfig,
};

/// The effective configuration: every default filled in, every reference resolved, nothing left
/// to judge. Made by [`super::load`] only, so whoever holds one may rely on what it documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The process itself.
    pub service: Service,
    /// Where what cannot be delivered is parked.
    pub quarantine: Quarantine,
    /// At least one, at most [`trailsift_core::RouteSet::MAX`]; in the order of the file.
    pub routes: Vec<Route>,
    /// By name. Every sink that a route or the quarantine names is here.
    pub sinks: BTreeMap<String, SinkConfig>,
    /// At least one; ids, names and queues are unique.
    pub accounts: Vec<Account>,
}

/// The process itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Where the health checks and metrics are served.
    pub listen: SocketAddr,
    /// The one folder that the process writes to by itself.
    pub data_dir: PathBuf,
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// The budget for objects in flight: at least what one worker needs.
    pub memory: ByteSize,
    /// How many messages may be in flight, 1 or more.
    pub workers: usize,
    /// How long `run` waits for its first queue.
    pub startup_timeout: Duration,
    /// How many attempts a failing object gets, 1 or more.
    pub max_receive: u32,
    /// What becomes of a file of more than one compressed stream.
    pub multi_member: MultiMember,
    /// A file that inflates beyond this is quarantined.
    pub max_inflated: ByteSize,
    /// A record beyond this is quarantined; not above `max_inflated`.
    pub max_record: ByteSize,
    /// Whether the ledger gets the SHA-256 of each file's inflated bytes.
    pub hash_objects: bool,
    /// How long the ledger remembers what was done.
    pub ledger_retention: Duration,
}

impl Service {
    /// The ledger's folder.
    pub fn ledger(&self) -> PathBuf {
        self.data_dir.join("ledger")
    }

    /// The least of `memory` that one worker takes, in bytes.
    pub fn memory_per_worker(&self) -> u64 {
        let max_record = usize::try_from(self.max_record.bytes()).unwrap_or(usize::MAX / 4);
        Budget::least_memory(max_record) as u64
    }

    /// How many workers the memory budget feeds: [`Service::workers`], or fewer.
    pub fn affordable_workers(&self) -> usize {
        let fed = self.memory.bytes() / self.memory_per_worker();
        usize::try_from(fed).unwrap_or(usize::MAX).clamp(1, self.workers)
    }
}

/// Where what cannot be delivered is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// JSON Lines files in this folder.
    Folder(PathBuf),
    /// This sink, which is a required one.
    Sink(String),
    /// Nowhere: the message stays for the queue's redrive policy.
    Redrive,
}

/// Which records go where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name, unique.
    pub name: String,
    /// What it selects. Known to compile.
    pub spec: RouteSpec,
    /// The sinks it feeds, at least one, each once, each in [`Config::sinks`].
    pub sinks: Vec<String>,
}

/// One sink and how it is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// What it is.
    pub kind: SinkKind,
    /// What an event looks like there.
    pub format: Format,
    /// Whether a message waits for it. `false`: best effort.
    pub required: bool,
    /// How events are gathered.
    pub batch: BatchConfig,
    /// How long a failing write is repeated.
    pub retry: RetryConfig,
}

/// What a sink is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// Standard output, one event a line.
    Stdout,
    /// A file of JSON Lines.
    File(FileConfig),
    /// An HTTP collector.
    Http(HttpConfig),
    /// Splunk's HTTP Event Collector.
    SplunkHec(SplunkConfig),
    /// An OpenSearch or Elasticsearch cluster.
    OpenSearch(OpenSearchConfig),
    /// A receiver of OpenTelemetry's logs.
    Otlp(OtlpConfig),
    /// A topic of a Kafka cluster.
    Kafka(KafkaConfig),
    /// Objects in a bucket.
    S3(S3Config),
    /// A Kinesis data stream.
    Kinesis(KinesisConfig),
    /// A Firehose stream.
    Firehose(FirehoseConfig),
    /// A queue.
    Sqs(SqsConfig),
    /// A topic.
    Sns(SnsConfig),
    /// An event bus.
    EventBridge(EventBridgeConfig),
    /// A stream of a log group.
    CloudWatchLogs(CloudWatchLogsConfig),
}

/// How events are gathered into one write: whichever of the three is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// So many events, 1 or more.
    pub events: usize,
    /// So many bytes, 1 or more.
    pub bytes: ByteSize,
    /// So long after the first event.
    pub linger: Duration,
}

/// How long a failing write is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryConfig {
    /// Counted from the first attempt; then the message is given back to the queue.
    pub deadline: Duration,
}

/// One AWS account: a queue, and what may be read because of its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits, unique.
    pub id: String,
    /// The label of logs and metrics, unique; the id where none is given.
    pub name: String,
    /// The region of its queue, and of its buckets where their entries name no other.
    pub region: String,
    /// The queue.
    pub queue_url: String,
    /// The role to take on first.
    pub role_arn: Option<String>,
    /// The external id that the role demands; only with a role.
    pub external_id: Option<String>,
    /// What may be read, at least one entry.
    pub buckets: Vec<AllowedBucket>,
    /// Where every call goes instead of AWS.
    pub endpoint_url: Option<String>,
    /// The routes its records take, at least one, each the name of one of [`Config::routes`].
    pub routes: Vec<String>,
    /// Whether `http` is allowed beyond this machine.
    pub allow_http: bool,
}

/// One entry of an account's allow-list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedBucket {
    /// A legal bucket name.
    pub name: String,
    /// The account that must own it.
    pub owner: Option<String>,
    /// Its region, the same in all of its entries, where it is not the account's.
    pub region: Option<String>,
    /// What a key must begin with; empty allows every key.
    pub prefix: String,
    /// The accounts that a key may name.
    pub accounts: AllowedAccounts,
}

/// The accounts that a key may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedAccounts {
    /// Every account.
    Any,
    /// These, at least one.
    Set(BTreeSet<String>),
}

impl Config {
    /// The folder of the quarantine where nothing else is configured.
    pub fn default_quarantine(data_dir: &Path) -> PathBuf {
        data_dir.join("quarantine")
    }

    /// Every region that is mentioned: an answer of S3 may send us to these, and to no other.
    pub fn regions(&self) -> BTreeSet<String> {
        let mentioned = |account: &Account| {
            let buckets = account.buckets.iter().filter_map(|bucket| bucket.region.clone());
            buckets.chain([account.region.clone()]).collect::<Vec<_>>()
        };
        self.accounts.iter().flat_map(mentioned).collect()
    }

    /// The routes that an account's records take, by their place in [`Config::routes`].
    pub fn routes_of(&self, account: &Account) -> Vec<usize> {
        let takes = |route: &Route| account.routes.contains(&route.name);
        (0..self.routes.len()).filter(|at| takes(&self.routes[*at])).collect()
    }
}
