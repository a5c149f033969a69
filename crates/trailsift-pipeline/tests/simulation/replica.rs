//! One replica: its ledger, and one process of it after the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use prometheus::Registry;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trailsift_core::{Clock, Ledger, Queue, RouteSet, Sink};
use trailsift_delivery::{SinkMetrics, decorate};
use trailsift_pipeline::{
    Account, AllowedBucket, AllowedKeys, Cpu, Ended, Health, Outlet, PipelineMetrics, Quarantine,
    Service, Surroundings,
};
use trailsift_route::{Condition, FieldSpec, Formatter, RouteSpec, Routes, SelectorSpec, Value};
use trailsift_testkit::{FixedClock, MemoryStore};

use crate::bugs::Bug;
use crate::history::{Event, History, Life};
use crate::port::{Desk, LedgerPort, Line, QueuePort, SinkEnd, StorePort, Unpacked};
use crate::script::{ARCHIVE, BUCKET, COPY, PARKED, SIEM};
use crate::setup::Setup;
use crate::weather::Weather;

/// What all replicas of a world share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) setup: Setup,
    pub(crate) weather: Weather,
    pub(crate) history: History,
    pub(crate) store: MemoryStore,
    pub(crate) queues: Vec<Arc<dyn Queue>>,
    pub(crate) routes: Routes,
    /// Planted to see whether the oracle notices.
    pub(crate) bug: Option<Bug>,
}

#[derive(Debug)]
pub(crate) struct Replica {
    number: usize,
    lives: usize,
    shared: Shared,
    /// What the disk keeps from one process to the next.
    ledger: Arc<dyn Ledger>,
    process: Option<Process>,
}

/// A replica's process.
#[derive(Debug)]
struct Process {
    life: Life,
    stop: CancellationToken,
    registry: Registry,
    ended: JoinHandle<Ended>,
}

/// How a process ended that was told to stop.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) ended: Ended,
    /// What it counted.
    pub(crate) registry: Registry,
}

impl Replica {
    pub(crate) fn new(number: usize, shared: &Shared, ledger: Arc<dyn Ledger>) -> Self {
        Self { number, lives: 0, shared: shared.clone(), ledger, process: None }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn start(&mut self) {
        let life = Life { replica: self.number, number: self.lives };
        self.lives += 1;
        let Shared { setup, weather, history, bug, .. } = &self.shared;
        history.record(Event::Starts { life });
        let line = Line { life, weather: weather.clone(), history: history.clone() };
        let registry = Registry::new();
        let metrics = PipelineMetrics::register(&registry).expect("a fresh registry");
        let sink_metrics = SinkMetrics::register(&registry).expect("a fresh registry");
        let clock: Arc<dyn Clock> = Arc::new(FixedClock::default());
        let desk = |name: &'static str| -> Arc<dyn Sink> {
            let end = SinkEnd { line: line.clone(), name, limits: setup.limits() };
            let end = Bug::before_sink(*bug, name, Arc::new(end));
            let decoration =
                if name == COPY { Some(setup.best_effort()) } else { setup.decoration };
            let sink = match decoration {
                Some(decoration) => decorate(end, decoration, &sink_metrics),
                None => end,
            };
            Arc::new(Desk { line: line.clone(), name, sink })
        };
        let quarantine = match setup.redrive {
            true => Quarantine::redrive(Arc::clone(&clock), metrics.clone()),
            false => Quarantine::sink(desk(PARKED), Arc::clone(&clock), metrics.clone()),
        };
        let outlet = |name, routes: &[usize], required| Outlet {
            sink: Arc::new(Unpacked {
                format: setup.format,
                sink: Bug::before_desk(*bug, name, desk(name)),
            }),
            formatter: Formatter::new(setup.format, ["first", "second"].map(str::to_owned)),
            routes: route_set(routes),
            required,
        };
        let outlets = vec![
            outlet(SIEM, &[0], true),
            outlet(ARCHIVE, &[1], true),
            outlet(COPY, &[0, 1], false),
        ];
        let ledger =
            LedgerPort { line: line.clone(), ledger: Bug::behind_ledger(*bug, &self.ledger) };
        let accounts = (0..setup.accounts).map(|number| self.account(number, &line));
        let service = Service::new(
            accounts.collect(),
            outlets,
            quarantine,
            setup.settings.clone(),
            Surroundings {
                cpu: Cpu::Inline,
                clock,
                ledger: Bug::before_ledger(*bug, Arc::new(ledger)),
                metrics,
                health: Health::default(),
            },
        );
        let stop = CancellationToken::new();
        #[expect(clippy::disallowed_methods, reason = "the handle is awaited when it ends")]
        let ended = tokio::spawn(service.run(stop.clone()));
        self.process = Some(Process { life, stop, registry, ended });
    }

    fn account(&self, number: usize, line: &Line) -> Account {
        let Shared { setup, store, queues, routes, bug, .. } = &self.shared;
        let name = account_name(number);
        let queue = Arc::clone(&queues[number]);
        let queue = QueuePort { line: line.clone(), account: number, queue };
        let allowed =
            if setup.has_second_route(number) { route_set(&[0, 1]) } else { route_set(&[0]) };
        Account {
            name,
            queue: Bug::before_queue(*bug, Arc::new(queue)),
            store: Arc::new(StorePort {
                line: line.clone(),
                account: number,
                store: store.clone(),
            }),
            buckets: vec![AllowedBucket {
                name: BUCKET.into(),
                owner: None,
                prefix: "AWSLogs/".into(),
                accounts: AllowedKeys::Only(BTreeSet::from(["111122223333".to_owned()])),
            }],
            selection: Arc::new(routes.restricted_to(allowed)),
        }
    }

    /// Ends the process amid whatever it does.
    pub(crate) async fn crash(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.shared.history.record(Event::Crashes { life: process.life });
        process.ended.abort();
        drop(process.ended.await);
        // Its tasks are gone once each of them had its turn.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    /// Tells the process to stop, and waits until it has.
    pub(crate) async fn stop(&mut self) -> Option<Stopped> {
        let process = self.process.take()?;
        let life = process.life;
        self.shared.history.record(Event::Stops { life });
        process.stop.cancel();
        let ended = process.ended.await.expect("the service does not panic");
        self.shared.history.record(Event::Ended { life, how: format!("{ended:?}") });
        Some(Stopped { ended, registry: process.registry })
    }
}

pub(crate) fn account_name(number: usize) -> String {
    format!("account-{number}")
}

/// The sum of a metric's children that have these labels.
pub(crate) fn sum_of(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> f64 {
    let families = registry.gather();
    let children = families.iter().filter(|family| family.name() == name);
    let matching =
        children.flat_map(prometheus::proto::MetricFamily::get_metric).filter(|metric| {
            let has = |(name, value): &(&str, &str)| {
                metric.get_label().iter().any(|pair| pair.name() == *name && pair.value() == *value)
            };
            labels.iter().all(has)
        });
    matching.map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
}

fn route_set(routes: &[usize]) -> RouteSet {
    let mut set = RouteSet::EMPTY;
    routes.iter().for_each(|route| set.insert(*route));
    set
}

/// Two routes that overlap: everything of CodeGuru Reviewer, and every change that anybody makes.
pub(crate) fn routes() -> Routes {
    let changes = FieldSpec {
        path: "readOnly".into(),
        conditions: vec![Condition::Equals(vec![Value::Bool(false)])],
    };
    let changes = RouteSpec {
        name: "changes".into(),
        selectors: vec![SelectorSpec { fields: vec![changes] }],
    };
    Routes::compile(&[RouteSpec::codeguru_reviewer(), changes]).expect("good routes")
}
