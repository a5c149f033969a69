use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use serde::Serialize;
use trailsift_core::Reason;

use crate::balance::Balance;
use crate::watched::PortMetrics;

/// What the pipeline counts. Labels are account names from the configuration and words from closed
/// sets: nothing that a file or a message says ever becomes a label.
///
/// Three balances hold in every scrape, and tests check them: objects notified = done + skipped +
/// quarantined + retried; records seen = selected + filtered + quarantined; deliveries owed =
/// acknowledged + quarantined + left + lost. Each name is explained in `METRICS.md` of the program.
#[derive(Clone, Debug)]
pub struct PipelineMetrics {
    pub(crate) messages: IntCounterVec,
    pub(crate) balance: Balance,
    pub(crate) bytes: IntCounterVec,
    pub(crate) in_flight: IntGaugeVec,
    pub(crate) lease_extensions: IntCounter,
    pub(crate) leases_lost: IntCounter,
    pub(crate) duplicates_suppressed: IntCounter,
    pub(crate) quarantined: IntCounterVec,
    pub(crate) object_lag: Histogram,
    pub(crate) event_lag: Histogram,
    pub(crate) resumes: IntCounter,
    pub(crate) panics: IntCounter,
    pub(crate) ports: PortMetrics,
    pub(crate) ledger_degraded: IntGauge,
    pub(crate) ledger_errors: IntCounterVec,
    pub(crate) files_noted: IntCounterVec,
    pub(crate) gzip_trailing: IntCounterVec,
    pub(crate) mismatches: IntCounterVec,
}

/// What the ledger is asked for.
const LEDGER_CALLS: [&str; 3] = ["recall", "acknowledged", "settled"];
/// From half a second to an hour and a half, doubling: the time from S3's event to our acknowledgement.
const LAG_BUCKETS: (f64, f64, usize) = (0.5, 2.0, 14);

impl PipelineMetrics {
    /// Creates the metrics in `registry`.
    ///
    /// # Errors
    /// If the registry already has metrics of these names.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        fn add<C: Collector + Clone + 'static>(registry: &Registry, c: C) -> prometheus::Result<C> {
            registry.register(Box::new(c.clone()))?;
            Ok(c)
        }
        let counters = |name: &str, help: &str, labels: &[&str]| {
            add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let counter =
            |name: &str, help: &str| add(registry, IntCounter::with_opts(Opts::new(name, help))?);
        let lag = |name: &str, help: &str| {
            let (start, factor, count) = LAG_BUCKETS;
            let buckets = prometheus::exponential_buckets(start, factor, count)?;
            let options = HistogramOpts::new(name, help).buckets(buckets);
            add(registry, Histogram::with_opts(options)?)
        };
        Ok(Self {
            messages: counters(
                "trailsift_messages_total",
                "Queue messages by what they hold and what became of them.",
                &["account", "kind", "outcome"],
            )?,
            balance: add(registry, Balance::new()?)?,
            bytes: counters(
                "trailsift_bytes_total",
                "Bytes read from S3 (compressed) and after inflation (inflated).",
                &["account", "stage"],
            )?,
            in_flight: add(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "trailsift_messages_in_flight",
                        "Messages received and not yet settled.",
                    ),
                    &["account"],
                )?,
            )?,
            lease_extensions: counter(
                "trailsift_lease_extensions_total",
                "Visibility timeouts extended while work went on.",
            )?,
            leases_lost: counter(
                "trailsift_leases_lost_total",
                "Messages whose lease ended before they were settled: they will be delivered again.",
            )?,
            duplicates_suppressed: counter(
                "trailsift_duplicates_suppressed_total",
                "Redeliveries that joined work already going on, and objects that the ledger knew to be done.",
            )?,
            quarantined: counters(
                "trailsift_quarantined_total",
                "Messages, objects and records parked, by reason.",
                &["reason"],
            )?,
            object_lag: lag(
                "trailsift_object_lag_seconds",
                "Time from the S3 event to the object being settled.",
            )?,
            event_lag: lag(
                "trailsift_event_lag_seconds",
                "Time from a selected event's eventTime to its acknowledgement by every required sink.",
            )?,
            resumes: counter(
                "trailsift_s3_resumes_total",
                "Object bodies that broke off and were resumed with a range request.",
            )?,
            panics: counter(
                "trailsift_panics_total",
                "Workers that panicked: a bug. The message was given back.",
            )?,
            ports: PortMetrics::register(registry)?,
            ledger_degraded: add(
                registry,
                IntGauge::with_opts(Opts::new(
                    "trailsift_ledger_degraded",
                    "1 while the ledger cannot be used: what is delivered again is sent again.",
                ))?,
            )?,
            ledger_errors: counters(
                "trailsift_ledger_errors_total",
                "Calls of the ledger that failed or did not answer in time.",
                &["operation"],
            )?,
            files_noted: counters(
                "trailsift_files_noted_total",
                "Files that were read although something about them is unusual.",
                &["account", "note"],
            )?,
            gzip_trailing: counters(
                "trailsift_gzip_trailing_total",
                "Files in which something follows the first compressed stream: a member, or garbage.",
                &["kind"],
            )?,
            mismatches: counters(
                "trailsift_mismatches_total",
                "Selected records whose account or region is not the one that their file's key names.",
                &["account", "field"],
            )?,
        }
        .everywhere())
    }

    /// Has every series of the account there from now on, at zero, that an alert may compare with what
    /// it was before: a counter that appears with its first event has not grown by it.
    pub(crate) fn account(&self, account: &str) {
        self.balance.account(account);
        self.in_flight.with_label_values(&[account]).set(0);
        for stage in ["compressed", "inflated"] {
            self.bytes.with_label_values(&[account, stage]).inc_by(0);
        }
        self.ports.account(account);
    }

    /// The same for every reason to park something, and every call of the ledger.
    fn everywhere(self) -> Self {
        for reason in Reason::ALL {
            self.quarantined.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        for operation in LEDGER_CALLS {
            self.ledger_errors.with_label_values(&[operation]).inc_by(0);
        }
        self
    }

    /// Says that the ledger cannot be used from the start. Its first good answer says otherwise.
    pub fn ledger_unusable(&self) {
        self.ledger_degraded.set(1);
    }

    /// The counts so far, over all accounts.
    pub fn totals(&self) -> Totals {
        let skipped = by_label(self.balance.objects(), "reason", &[("outcome", "skipped")]);
        let objects = by_label(self.balance.objects(), "outcome", &[]);
        let records = by_label(self.balance.records(), "outcome", &[]);
        let bytes = by_label(&self.bytes, "stage", &[]);
        let of =
            |counts: &BTreeMap<String, u64>, word: &str| counts.get(word).copied().unwrap_or(0);
        Totals {
            messages: by_label(&self.messages, "outcome", &[]),
            files: of(&objects, "done"),
            objects_retried: of(&objects, "retried"),
            skipped,
            quarantined: by_label(&self.quarantined, "reason", &[]),
            records: of(&records, "seen"),
            selected: of(&records, "selected"),
            compressed_bytes: of(&bytes, "compressed"),
            inflated_bytes: of(&bytes, "inflated"),
        }
    }
}

/// What a run has done so far: the summary that ends its log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Messages by what became of them.
    pub messages: BTreeMap<String, u64>,
    /// Trail files read to their end and settled.
    pub files: u64,
    /// Reads that were put off to a later delivery.
    pub objects_retried: u64,
    /// Objects that were none of our business, by kind.
    pub skipped: BTreeMap<String, u64>,
    /// Messages, objects and records parked, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Records seen in settled files.
    pub records: u64,
    /// Records that a route selected.
    pub selected: u64,
    /// Bytes read from S3.
    pub compressed_bytes: u64,
    /// Bytes after inflation.
    pub inflated_bytes: u64,
}

/// Sums a counter's children by one label, over those whose other labels match. Zeros are left out.
fn by_label(counters: &IntCounterVec, label: &str, only: &[(&str, &str)]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for metric in counters.collect().iter().flat_map(prometheus::proto::MetricFamily::get_metric) {
        let value_of = |name: &str| {
            metric.get_label().iter().find(|pair| pair.name() == name).map(|pair| pair.value())
        };
        if only.iter().any(|(name, value)| value_of(name) != Some(value)) {
            continue;
        }
        let Some(key) = value_of(label) else { continue };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an IntCounter, exact below 2^53"
        )]
        let count = metric.get_counter().get_value() as u64;
        if count > 0 {
            *sums.entry(key.to_owned()).or_default() += count;
        }
    }
    sums
}
