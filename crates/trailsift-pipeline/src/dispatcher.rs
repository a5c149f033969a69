use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;
use trailsift_core::{
    Batch, Clock, Disposition, Entry, Message, Reason, Record, RouteSet, Sink, SinkError, Source,
};
use trailsift_route::Format;
use trailsift_trail::{FaultyRecord, Found, event_time};

use crate::metrics::PipelineMetrics;
use crate::obligation::{Obligation, Obligations};
use crate::patience::Patience;
use crate::quarantine::{Parcel, Quarantine};

/// How long a best-effort sink may take to note down what it is given; it answers at once, unless
/// it is broken.
const BEST_EFFORT: Duration = Duration::from_secs(1);

/// A sink as the routes reach it.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The sink, with all its decorators.
    pub sink: Arc<dyn Sink>,
    /// How its events are written.
    pub format: Format,
    /// The routes that lead to it. A record that several of them select goes there once.
    pub routes: RouteSet,
    /// Whether a message waits for it. A best-effort sink holds nothing back.
    pub required: bool,
}

/// A sink, and how long messages have been waiting for it where it is required.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) outlet: Outlet,
    patience: Patience,
}

/// Some records are neither acknowledged nor parked: the message must come again.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Undelivered {
    pub(crate) what: String,
    /// The least wait that the other side asks for.
    pub(crate) after: Duration,
    /// A sink is gone for good: the process should end.
    pub(crate) fatal: bool,
}

/// The message and account on whose behalf something is delivered or parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) account: &'a str,
    pub(crate) message: &'a Message,
    /// Whether a line of the quarantine holds the message's body already.
    pub(crate) body_parked: &'a AtomicBool,
}

/// Up to this size every line of the quarantine holds the body of its message. Of a larger one only
/// the first line does: a message can name a thousand objects.
const SMALL_BODY: usize = 16 * 1024;

impl<'a> Origin<'a> {
    /// The message's body, for the next line of the quarantine.
    pub(crate) fn body(self) -> Option<&'a str> {
        let body = self.message.body.as_str();
        let parked = self.body_parked.swap(true, Ordering::Relaxed);
        (body.len() <= SMALL_BODY || !parked).then_some(body)
    }
}

/// Takes what was found in a file to the sinks and to the quarantine.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    desks: Vec<Desk>,
    pub(crate) quarantine: Quarantine,
    clock: Arc<dyn Clock>,
    metrics: PipelineMetrics,
}

impl Dispatcher {
    pub(crate) fn new(
        outlets: Vec<Outlet>,
        quarantine: Quarantine,
        clock: Arc<dyn Clock>,
        metrics: PipelineMetrics,
    ) -> Self {
        let desk = |outlet| Desk { outlet, patience: Patience::default() };
        Self { desks: outlets.into_iter().map(desk).collect(), quarantine, clock, metrics }
    }

    /// Every outlet.
    pub(crate) fn outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.desks.iter().map(|desk| &desk.outlet)
    }

    /// `Ok` when every selected record is acknowledged by every required sink that it is routed
    /// to, or parked because that sink will never take it, and every faulty record is parked.
    pub(crate) async fn deliver(
        &self,
        found: Vec<Found>,
        source: &Arc<Source>,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        let owed = Obligations::default();
        let mut records = Vec::new();
        let mut faulty = Vec::new();
        for found in found {
            match found {
                Found::Record(record) => records.push(record),
                Found::Fault(record) => faulty.push((owed.incur(), record)),
            }
        }
        let writes = self.desks.iter().filter_map(|desk| {
            let consignment = Consignment::load(&desk.outlet, &records, source, &owed);
            (!consignment.batch.entries.is_empty()).then(|| self.consign(desk, consignment, origin))
        });
        let (written, parked) =
            futures::join!(join_all(writes), self.park_faulty(faulty, source, origin));
        let trouble = written.into_iter().chain([parked]).filter_map(Result::err);
        let trouble = trouble.reduce(|first, other| if other.fatal { other } else { first });
        match trouble {
            Some(trouble) => Err(trouble),
            None if owed.all_settled() => {
                records.iter().for_each(|record| self.observe_lag(record));
                Ok(())
            }
            None => Err(Undelivered::new("a record was neither acknowledged nor parked")),
        }
    }

    fn observe_lag(&self, record: &Record) {
        let lag = event_time(&record.bytes).map(|time| self.clock.now().duration_since(time));
        // A clock that stands before the event says nothing.
        if let Some(Ok(lag)) = lag {
            self.metrics.event_lag.observe(lag.as_secs_f64());
        }
    }

    async fn consign(
        &self,
        desk: &Desk,
        consignment: Consignment,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        let Consignment { batch, mut owed } = consignment;
        let outlet = &desk.outlet;
        // Cancel safety: a write that is given up acknowledges nothing; its events come again with
        // their message, and at worst are there twice.
        let outcome = tokio::select! {
            outcome = outlet.sink.write(&batch) => outcome,
            () = sleep(BEST_EFFORT), if !outlet.required => {
                let (sink, events) = (outlet.sink.name(), batch.entries.len());
                tracing::warn!(sink, events, "a best-effort sink does not answer: events are lost");
                return Ok(());
            }
            () = desk.patience.run_out(), if outlet.required => {
                let name = outlet.sink.name();
                return Err(Undelivered::new(format!(
                    "sink {name} acknowledges nothing: waiting for it with one message only"
                )));
            }
        };
        if !outlet.required {
            // Best effort: the sink counts and names what it drops; nothing waits for it.
            return Ok(());
        }
        let outcome = outcome.map_err(|error| undelivered(outlet, &error))?;
        if outcome.failures.len() < batch.entries.len() {
            desk.patience.renew();
        }
        let mut trouble: Result<(), Undelivered> = Ok(());
        for failure in outcome.failures {
            let obligation = owed.get_mut(failure.index).and_then(Option::take);
            let (Some(entry), Some(obligation)) = (batch.entries.get(failure.index), obligation)
            else {
                // A sink that names entries that it was not given is not to be believed.
                let name = outlet.sink.name();
                return Err(Undelivered::new(format!("sink {name} answered for an unknown entry")));
            };
            let Disposition::Poison { reason } = failure.error.disposition else {
                // A fatal error among them is the one that matters.
                if !matches!(&trouble, Err(Undelivered { fatal: true, .. })) {
                    trouble = Err(undelivered(outlet, &failure.error));
                }
                continue;
            };
            let error = format!("sink {}: {}", outlet.sink.name(), chain(&failure.error));
            let parcel = Parcel {
                index: Some(entry.index),
                data: Some(&entry.data),
                ..parcel_of(&entry.source, origin, reason, error)
            };
            match self.quarantine.park(parcel).await {
                Ok(()) => obligation.settle(),
                Err(error) => trouble = trouble.and(Err(not_parked(&error))),
            }
        }
        // Only now: what the sink did not name, it has.
        owed.into_iter().flatten().for_each(Obligation::settle);
        trouble
    }

    async fn park_faulty(
        &self,
        faulty: Vec<(Obligation, FaultyRecord)>,
        source: &Source,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        // Side by side, so that the quarantine's sink writes them as one batch.
        let parking = faulty.into_iter().map(|(obligation, record)| async move {
            let parcel = Parcel {
                index: Some(record.index),
                data: Some(&record.data),
                ..parcel_of(source, origin, record.reason, record.detail)
            };
            self.quarantine.park(parcel).await.map_err(|error| not_parked(&error))?;
            obligation.settle();
            Ok(())
        });
        join_all(parking).await.into_iter().collect()
    }
}

/// What goes to one sink, and what is owed for each entry of it.
struct Consignment {
    batch: Batch,
    owed: Vec<Option<Obligation>>,
}

impl Consignment {
    fn load(
        outlet: &Outlet,
        records: &[Record],
        source: &Arc<Source>,
        obligations: &Obligations,
    ) -> Self {
        let mut load = Self { batch: Batch::default(), owed: Vec::new() };
        for record in records {
            if record.routes.iter().any(|route| outlet.routes.contains(route)) {
                load.batch.entries.push(Entry {
                    data: outlet.format.render(record),
                    index: record.index,
                    source: Arc::clone(source),
                });
                load.owed.push(outlet.required.then(|| obligations.incur()));
            }
        }
        load
    }
}

/// What is parked of a source: the whole object, unless the caller adds a record.
pub(crate) fn parcel_of<'a>(
    source: &'a Source,
    origin: Origin<'a>,
    reason: Reason,
    error: String,
) -> Parcel<'a> {
    Parcel {
        bucket: Some(&source.bucket),
        key: Some(&source.key),
        version_id: source.version_id.as_deref(),
        ..parcel_of_message(origin, reason, error)
    }
}

/// What is parked of a message that names no object.
pub(crate) fn parcel_of_message(origin: Origin<'_>, reason: Reason, error: String) -> Parcel<'_> {
    Parcel {
        reason,
        error,
        account: origin.account,
        message: origin.message,
        body: origin.body(),
        bucket: None,
        key: None,
        version_id: None,
        index: None,
        data: None,
    }
}

impl Undelivered {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), after: Duration::ZERO, fatal: false }
    }
}

fn undelivered(outlet: &Outlet, error: &SinkError) -> Undelivered {
    Undelivered {
        what: format!("sink {}: {}", outlet.sink.name(), chain(error)),
        after: match error.disposition {
            Disposition::Retry { after } => after.unwrap_or_default(),
            Disposition::Poison { .. } | Disposition::Fatal => Duration::ZERO,
        },
        fatal: error.disposition == Disposition::Fatal,
    }
}

fn not_parked(error: &crate::quarantine::NotParked) -> Undelivered {
    Undelivered::new(chain(error))
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
