//! The real pipeline between fakes, on paused time.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use trailsift_core::{Clock, Queue, RouteSet, Sink};
use trailsift_pipeline::{
    Account, AllowedBucket, AllowedKeys, Cpu, Ended, Health, Outlet, PipelineMetrics, Quarantine,
    Service, Settings, Surroundings, Totals,
};
use trailsift_route::{Format, Formatter, RouteSpec, Routes};
use trailsift_testkit::{
    FixedClock, MemoryLedger, MemoryQueue, MemoryStore, QueueSettings, ScriptedSink,
};
use trailsift_trail::MultiMember;

pub(crate) const BUCKET: &str = "org-trail";
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One account with a queue and a store, a required sink and a quarantine, ready to run.
pub(crate) struct Rig {
    pub(crate) queue: MemoryQueue,
    pub(crate) store: MemoryStore,
    pub(crate) sink: ScriptedSink,
    pub(crate) parked: ScriptedSink,
    pub(crate) ledger: MemoryLedger,
    pub(crate) settings: Settings,
    pub(crate) redrive: bool,
    pub(crate) selection: Arc<Routes>,
    pub(crate) extra: Vec<Outlet>,
    pub(crate) more_accounts: Vec<Account>,
    pub(crate) health: Health,
    /// What the pipeline gets instead of `queue`, where a test puts something in front of it.
    pub(crate) queue_front: Option<Arc<dyn Queue>>,
    /// The same for `sink`.
    pub(crate) sink_front: Option<Arc<dyn Sink>>,
    /// The same for `parked`.
    pub(crate) parked_front: Option<Arc<dyn Sink>>,
    registry: Registry,
}

/// A rig at work.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) metrics: PipelineMetrics,
    ended: JoinHandle<Ended>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_queue(QueueSettings { max_receive_count: Some(1000), ..Default::default() })
    }

    pub(crate) fn with_queue(queue: QueueSettings) -> Self {
        Self {
            queue: MemoryQueue::with(queue),
            store: MemoryStore::new(),
            sink: ScriptedSink::new("siem"),
            parked: ScriptedSink::new("parked"),
            ledger: MemoryLedger::new(),
            settings: Settings {
                memory: 64 << 20,
                workers: 8,
                startup_timeout: 60 * SECOND,
                drain_timeout: 25 * SECOND,
                max_receive: 5,
                max_inflated: 1 << 30,
                max_record: 1 << 20,
                hash_objects: false,
                multi_member: MultiMember::Reject,
                until_empty: false,
            },
            redrive: false,
            selection: built_in(),
            extra: Vec::new(),
            more_accounts: Vec::new(),
            health: Health::default(),
            queue_front: None,
            sink_front: None,
            parked_front: None,
            registry: Registry::new(),
        }
    }

    /// Puts a trail file into the bucket and its notification into the queue. Returns its key.
    pub(crate) fn deliver(&self, name: &str, records: &[&str]) -> String {
        let key = key(name);
        self.store.put(BUCKET, &key, trail_file(records));
        self.queue.send(notification(&[&key]));
        key
    }

    pub(crate) fn start(&self) -> Running {
        let metrics = PipelineMetrics::register(&self.registry).expect("a fresh registry");
        let clock: Arc<dyn Clock> = Arc::new(FixedClock::default());
        let quarantine = if self.redrive {
            Quarantine::redrive(Arc::clone(&clock), metrics.clone())
        } else {
            let parked = self.parked_front.clone();
            let parked = parked.unwrap_or_else(|| Arc::new(self.parked.clone()));
            Quarantine::sink(parked, Arc::clone(&clock), metrics.clone())
        };
        let queue = self.queue_front.clone().unwrap_or_else(|| Arc::new(self.queue.clone()));
        let mut production = account("production", queue, self.store.clone());
        production.selection = Arc::clone(&self.selection) as _;
        let mut accounts = vec![production];
        accounts.extend(self.more_accounts.iter().cloned());
        let sink = self.sink_front.clone().unwrap_or_else(|| Arc::new(self.sink.clone()));
        let mut outlets = vec![outlet(sink, true)];
        outlets.extend(self.extra.iter().cloned());
        let service = Service::new(
            accounts,
            outlets,
            quarantine,
            self.settings.clone(),
            Surroundings {
                cpu: Cpu::Inline,
                clock,
                ledger: Arc::new(self.ledger.clone()),
                metrics: metrics.clone(),
                health: self.health.clone(),
            },
        );
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited in `ended`")]
        let ended = tokio::spawn(service.run(stop.clone()));
        Running { stop, metrics, ended }
    }

    /// Runs until the queue is empty, an hour of paused time at most, and checks the balances.
    pub(crate) async fn run_until_empty(&mut self) -> Totals {
        self.settings.until_empty = true;
        let running = self.start();
        let metrics = running.metrics.clone();
        assert_eq!(running.ended().await, Ended::Empty);
        assert_eq!(self.unbalanced(), None);
        metrics.totals()
    }

    /// The sum of a metric's children that have these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let families = self.registry.gather();
        let children = families.iter().filter(|family| family.name() == name);
        let matching = children.flat_map(prometheus::proto::MetricFamily::get_metric).filter(|m| {
            let has = |(name, value): &(&str, &str)| {
                m.get_label().iter().any(|pair| pair.name() == *name && pair.value() == *value)
            };
            labels.iter().all(has)
        });
        matching.map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
    }

    /// The count and the sum of a histogram.
    pub(crate) fn histogram(&self, name: &str) -> (u64, f64) {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name).expect("a histogram");
        let histogram = family.get_metric()[0].get_histogram();
        (histogram.get_sample_count(), histogram.get_sample_sum())
    }

    /// What does not add up now that nothing is in flight: every object notified is done, skipped,
    /// quarantined or put off, every record seen selected, filtered or quarantined, every event owed
    /// to a sink acknowledged, quarantined, left or lost.
    pub(crate) fn unbalanced(&self) -> Option<String> {
        let records = |outcome| self.metric("trailsift_records_total", &[("outcome", outcome)]);
        let seen = records("seen");
        let judged = records("selected") + records("filtered") + records("quarantined");
        let notified = self.metric("trailsift_objects_notified_total", &[]);
        let settled = self.metric("trailsift_objects_total", &[]);
        let owed = self.metric("trailsift_deliveries_total", &[("outcome", "owed")]);
        let delivered = self.metric("trailsift_deliveries_total", &[]) - owed;
        for (whole, parts, what) in [
            (notified, settled, "objects notified"),
            (seen, judged, "records seen"),
            (owed, delivered, "events owed"),
        ] {
            if (whole - parts).abs() > 0.5 {
                return Some(format!("{whole} {what}, but {parts} accounted for"));
            }
        }
        let in_flight = self.metric("trailsift_messages_in_flight", &[]);
        (in_flight != 0.0).then(|| format!("{in_flight} messages counted in flight at the end"))
    }

    /// The events that the required sink acknowledged, as text.
    pub(crate) fn events(&self) -> Vec<String> {
        texts(&self.sink)
    }

    /// The quarantine's lines.
    pub(crate) fn parked(&self) -> Vec<serde_json::Value> {
        let lines = texts(&self.parked);
        lines.iter().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

impl Running {
    pub(crate) async fn ended(self) -> Ended {
        within(Duration::from_secs(3600), self.ended).await.expect("the service does not panic")
    }

    pub(crate) async fn stop(self) -> Ended {
        self.stop.cancel();
        self.ended().await
    }
}

/// Waits for `what`, on paused time, and fails the test rather than hang.
pub(crate) async fn within<T>(limit: Duration, what: impl Future<Output = T>) -> T {
    timeout(limit, what).await.expect("it happens in time")
}

pub(crate) fn texts(sink: &ScriptedSink) -> Vec<String> {
    let text = |data: Bytes| String::from_utf8(data.to_vec()).expect("UTF-8");
    sink.acknowledged().into_iter().map(|entry| text(entry.data)).collect()
}

pub(crate) fn account(name: &str, queue: Arc<dyn Queue>, store: MemoryStore) -> Account {
    Account {
        name: name.into(),
        queue,
        store: Arc::new(store),
        buckets: vec![AllowedBucket {
            name: BUCKET.into(),
            // Checked only where a test gives the bucket an owner.
            owner: Some("111122223333".into()),
            prefix: String::new(),
            accounts: AllowedKeys::Any,
        }],
        selection: built_in(),
    }
}

fn built_in() -> Arc<Routes> {
    Arc::new(Routes::compile(&[RouteSpec::codeguru_reviewer()]).expect("the built-in route"))
}

pub(crate) fn outlet(sink: Arc<dyn Sink>, required: bool) -> Outlet {
    let mut routes = RouteSet::EMPTY;
    routes.insert(0);
    Outlet { sink, formatter: Formatter::new(Format::Raw, []), routes, required }
}

pub(crate) fn key(name: &str) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/20/\
         111122223333_CloudTrail_us-east-1_20261120T1005Z_{name}.json.gz"
    )
}

pub(crate) fn selected(id: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventSource":"codeguru-reviewer.amazonaws.com","eventName":"ListCodeReviews","eventID":"{id}"}}"#
    )
}

pub(crate) fn filtered(id: &str) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","userAgent":"codeguru-reviewer.amazonaws.com","eventID":"{id}"}}"#
    )
}

pub(crate) fn trail_file(records: &[&str]) -> Bytes {
    gzip(format!(r#"{{"Records":[{}]}}"#, records.join(",")).as_bytes())
}

pub(crate) fn gzip(text: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything").into()
}

/// An S3 notification of these keys in the allowed bucket, keys form-encoded as S3 does.
pub(crate) fn notification(keys: &[&str]) -> String {
    notification_in(BUCKET, keys)
}

pub(crate) fn notification_in(bucket: &str, keys: &[&str]) -> String {
    let records: Vec<_> = keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1",
                "eventTime": "2023-11-14T22:13:00.000Z", "eventName": "ObjectCreated:Put",
                "s3": {
                    "s3SchemaVersion": "1.0", "bucket": { "name": bucket },
                    "object": { "key": key, "size": 1, "sequencer": "0" }
                }
            })
        })
        .collect();
    serde_json::json!({ "Records": records }).to_string()
}
