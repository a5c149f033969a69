use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use trailsift_core::{
    Clock, Disposition, Known, Message, ObjectId, Reason, Record, RouteSet, Sink, SinkError,
    Source, WriteOutcome, chain,
};
use trailsift_route::{Format, Formatter};
use trailsift_trail::{FaultyRecord, Found, event_time};

use crate::asked::Asked;
use crate::balance::Delivering;
use crate::books::Books;
use crate::budget::Budget;
use crate::cpu::Cpu;
use crate::metrics::PipelineMetrics;
use crate::obligation::{Obligation, Obligations};
use crate::patience::{Patience, Share};
use crate::quarantine::{Parcel, Quarantine};
use crate::rendering::{Consignment, Owed, Portion, Rendering};

/// How long a best-effort sink may take to note down what it is given; it answers at once, unless
/// it is broken. As long for the room of a large event, which others may have that wait for it.
const BEST_EFFORT: Duration = Duration::from_secs(1);

/// A sink as the routes reach it.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The sink, with all its decorators.
    pub sink: Arc<dyn Sink>,
    /// How its events are written.
    pub formatter: Formatter,
    /// The routes that lead to it. A record that several of them select goes there once.
    pub routes: RouteSet,
    /// Whether a message waits for it. A best-effort sink holds nothing back.
    pub required: bool,
}

/// A sink, and how long messages have been waiting for it where it is required.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) outlet: Outlet,
    rendering: Rendering,
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
    /// The place in the message of the entry that it is about, if it is about one.
    pub(crate) entry: Option<usize>,
    /// Whether a line of the quarantine holds the message's body already.
    pub(crate) body_parked: &'a AtomicBool,
    /// The message has more to deliver, but only once this is settled.
    pub(crate) more_follows: bool,
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

/// Where records come from, and what has become of that object's records before.
#[derive(Debug)]
pub(crate) struct Provenance {
    pub(crate) source: Arc<Source>,
    /// What the ledger calls the object; `None` if it cannot be told from another revision.
    pub(crate) id: Option<ObjectId>,
    pub(crate) known: Known,
    /// Tells what is found in the object now from what another configuration would find in it.
    pub(crate) reading: u64,
    /// The records that are asked for again; `None`: whatever is owed of the object.
    pub(crate) replay: Option<Asked>,
}

impl Provenance {
    /// What the ledger calls the progress of a sink that is fed by these routes.
    ///
    /// How far a sink has come says nothing once its routes or the limits of reading have changed:
    /// then it may be owed records from before that place. So progress is noted for them together,
    /// and a changed configuration finds none, which costs duplicates and no event.
    ///
    /// A replay has a progress of its own, by everything that it says: what another one has asked for
    /// says nothing of what this one does.
    fn progress(&self, sink: &str, routes: RouteSet) -> String {
        let mut hasher = DefaultHasher::new();
        (self.reading, routes).hash(&mut hasher);
        let Some(asked) = &self.replay else {
            return format!("{sink} {:016x}", hasher.finish());
        };
        asked.digest.hash(&mut hasher);
        format!("{sink} replay-{:016x}", hasher.finish())
    }

    /// Whether the sink is to have the record in this place, if a route leads it there.
    fn is_asked_for(&self, sink: &str, index: u64) -> bool {
        self.replay.as_ref().is_none_or(|asked| asked.has_for(sink, index))
    }

    /// The place in the file from which on the sink is owed records.
    fn owed_from(&self, sink: &str, routes: RouteSet) -> u64 {
        if self.known.acknowledged.is_empty() {
            return 0;
        }
        // That a sink is owed nothing more of the object is why its records are asked for by name.
        let whole = if self.replay.is_some() { 0 } else { self.known.owed_from(sink) };
        whole.max(self.known.owed_from(&self.progress(sink, routes)))
    }
}

/// What the quarantine is called in the ledger: no sink can have this name.
pub(crate) const QUARANTINE: &str = "[quarantine]";

/// Takes what was found in a file to the sinks and to the quarantine.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    desks: Vec<Desk>,
    pub(crate) quarantine: Quarantine,
    pub(crate) books: Books,
    clock: Arc<dyn Clock>,
    metrics: PipelineMetrics,
}

impl Dispatcher {
    pub(crate) fn new(
        outlets: Vec<Outlet>,
        quarantine: Quarantine,
        books: Books,
        clock: Arc<dyn Clock>,
        metrics: PipelineMetrics,
        budget: &Budget,
        cpu: &Cpu,
    ) -> Self {
        let required = outlets.iter().filter(|outlet| outlet.required).count();
        let share = Share {
            workers: budget.workers_per_account,
            sinks: required + usize::from(quarantine.as_sink().is_some()),
        };
        let quarantine = quarantine.with_share(share);
        outlets.iter().for_each(|outlet| metrics.balance.sink(outlet.sink.name()));
        let desk = |outlet: Outlet| Desk {
            rendering: Rendering::new(outlet.formatter.clone(), budget, cpu.clone()),
            outlet,
            patience: Patience::new(share),
        };
        Self { desks: outlets.into_iter().map(desk).collect(), quarantine, books, clock, metrics }
    }

    /// Every outlet.
    pub(crate) fn outlets(&self) -> impl Iterator<Item = &Outlet> {
        self.desks.iter().map(|desk| &desk.outlet)
    }

    /// Whether nothing of an object is owed to anybody: every required sink and the quarantine have
    /// all of it. A sink that is new in the configuration is owed everything.
    pub(crate) fn owes_nothing(&self, known: &Known) -> bool {
        known.has_all(QUARANTINE)
            && self.outlets().all(|outlet| !outlet.required || known.has_all(outlet.sink.name()))
    }

    /// Who is owed nothing more of a settled object, as the ledger calls them: every sink and the
    /// quarantine, where the object was read `whole`. Nobody where it was not: what is beyond the
    /// damage is still owed, should it ever be read.
    pub(crate) fn served(&self, whole: bool) -> Vec<String> {
        let sinks = self.outlets().map(|outlet| outlet.sink.name()).chain([QUARANTINE]);
        sinks.filter(|_| whole).map(ToOwned::to_owned).collect()
    }

    /// `Ok` when every selected record is acknowledged by every required sink that it is routed
    /// to, or parked because that sink will never take it, and every faulty record is parked.
    /// What the ledger knows to be acknowledged is not sent again.
    pub(crate) async fn deliver(
        &self,
        found: Vec<Found>,
        from: &Provenance,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        let owed = Obligations::default();
        let parked_below = from.owed_from(QUARANTINE, RouteSet::EMPTY);
        let mut records = Vec::new();
        let mut faulty = Vec::new();
        for found in found {
            match found {
                Found::Record(record) => records.push(record),
                Found::Fault(record) if record.index < parked_below => {}
                Found::Fault(record) => faulty.push((owed.incur(), record)),
            }
        }
        let writes = self.desks.iter().filter_map(|desk| {
            let consignment = consignment(&desk.outlet, &records, from, &owed);
            (!consignment.is_empty()).then(|| self.consign(desk, consignment, from, origin))
        });
        let (written, parked) =
            futures::join!(join_all(writes), self.park_faulty(faulty, from, origin));
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

    /// Takes all of it to the sink, in order; a portion that is not settled ends it.
    async fn consign<'a>(
        &self,
        desk: &'a Desk,
        mut consignment: Consignment<'a>,
        from: &Provenance,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        let outlet = &desk.outlet;
        let balance = &self.metrics.balance;
        let mut delivering = balance.delivery(outlet.sink.name(), consignment.len());
        let mut is_noted = true;
        while !consignment.is_empty() {
            let events = consignment.len();
            let attempt = async {
                let room = in_time(outlet, desk.rendering.room(&consignment)).await?;
                // However long it takes: how busy this machine is says nothing of the sink.
                let portion = desk.rendering.next(&mut consignment, &from.source, room).await;
                let Portion { mut batch, owed, room: _room } = portion;
                batch.more_follows |= origin.more_follows;
                let outcome = in_time(outlet, outlet.sink.write(&batch)).await?;
                Some((owed, outcome))
            };
            // Cancel safety: a write that is given up acknowledges nothing; its events come again with
            // their message, and at worst are there twice.
            let attempted = tokio::select! {
                biased;
                attempted = attempt => attempted,
                given_up = desk.patience.run_out(), if outlet.required => {
                    let what = format!("sink {} {given_up}", outlet.sink.name());
                    return Err(Undelivered { after: given_up.pause(), ..Undelivered::new(what) });
                }
            };
            let Some((owed, outcome)) = attempted else {
                let sink = outlet.sink.name();
                tracing::warn!(sink, events, "a best-effort sink does not answer: events are lost");
                delivering.lost(events);
                return Ok(());
            };
            if outlet.required {
                let outcome = outcome.map_err(|error| undelivered(outlet, &error))?;
                self.settle(desk, owed, outcome, from, origin, &mut delivering).await?;
                continue;
            }
            // Best effort: the sink counts and names what it drops; nothing waits for it. It is not
            // offered twice either, when another sink makes the file come again.
            is_noted &= outcome.is_ok();
            match outcome {
                Ok(outcome) => {
                    let lost = outcome.failures.len().min(owed.len());
                    delivering.lost(lost);
                    delivering.acknowledged(owed.len() - lost);
                }
                Err(_) => delivering.lost(owed.len()),
            }
            if is_noted {
                self.note(from, outlet.sink.name(), outlet.routes, owed.end()).await;
            }
        }
        Ok(())
    }

    /// Settles what the sink has, and parks what it will never take: the record, not what the format
    /// made of it.
    async fn settle(
        &self,
        desk: &Desk,
        mut owed: Owed<'_>,
        outcome: WriteOutcome,
        from: &Provenance,
        origin: Origin<'_>,
        delivering: &mut Delivering<'_>,
    ) -> Result<(), Undelivered> {
        let outlet = &desk.outlet;
        if outcome.failures.len() < owed.len() {
            desk.patience.renew();
        }
        let mut trouble: Result<(), Undelivered> = Ok(());
        let mut first_open = owed.end();
        let acknowledged = owed.len().saturating_sub(outcome.failures.len());
        let (mut refused, mut parcels) = (Vec::new(), Vec::new());
        for failure in outcome.failures {
            let Some((record, obligation)) = owed.take(failure.index) else {
                // A sink that names entries that it was not given is not to be believed.
                let name = outlet.sink.name();
                return Err(Undelivered::new(format!("sink {name} answered for an unknown entry")));
            };
            let Disposition::Poison { reason } = failure.error.disposition else {
                // A fatal error among them is the one that matters.
                if !matches!(&trouble, Err(Undelivered { fatal: true, .. })) {
                    trouble = Err(undelivered(outlet, &failure.error));
                }
                first_open = first_open.min(record.index);
                continue;
            };
            let format = match outlet.formatter.format() {
                Format::Raw => String::new(),
                format => format!(" (format {})", format.name()),
            };
            let error = format!("sink {}{format}: {}", outlet.sink.name(), chain(&failure.error));
            parcels.push(Parcel {
                index: Some(record.index),
                sink: Some(outlet.sink.name()),
                data: Some(&record.bytes),
                ..parcel_of(&from.source, origin, reason, error)
            });
            refused.push((record.index, obligation));
        }
        let parked = self.quarantine.park_all(parcels).await;
        for ((index, obligation), parked) in refused.into_iter().zip(parked) {
            match parked {
                Ok(()) => {
                    obligation.settle();
                    delivering.quarantined(1);
                }
                Err(error) => {
                    first_open = first_open.min(index);
                    trouble = trouble.and(Err(not_parked(&error)));
                }
            }
        }
        self.note(from, outlet.sink.name(), outlet.routes, first_open).await;
        // Only now: what the sink did not name, it has.
        owed.settle();
        delivering.acknowledged(acknowledged);
        trouble
    }

    async fn park_faulty(
        &self,
        faulty: Vec<(Obligation, FaultyRecord)>,
        from: &Provenance,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        let Some((_, last)) = faulty.last() else { return Ok(()) };
        let end = last.index + 1;
        let parcels = faulty.iter().map(|(_, record)| Parcel {
            index: Some(record.index),
            data: Some(&record.data),
            ..parcel_of(&from.source, origin, record.reason, record.detail.clone())
        });
        let parcels = parcels.collect();
        let parked = self.quarantine.park_all(parcels).await;
        let mut first_open = None;
        // Every one that is parked is settled, also after one that is not.
        for ((obligation, record), parked) in faulty.into_iter().zip(parked) {
            match parked {
                Ok(()) => obligation.settle(),
                Err(error) => {
                    first_open.get_or_insert((record.index, not_parked(&error)));
                }
            }
        }
        let below = first_open.as_ref().map_or(end, |(index, _)| *index);
        self.note(from, QUARANTINE, RouteSet::EMPTY, below).await;
        first_open.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Tells the ledger that a sink has what it is owed below this place.
    async fn note(&self, from: &Provenance, sink: &str, routes: RouteSet, below: u64) {
        if let Some(id) = from.id.as_ref().filter(|_| below > from.owed_from(sink, routes)) {
            self.books.acknowledged(id, &from.progress(sink, routes), below).await;
        }
    }
}

/// What comes of waiting for a sink; `None` where that takes a best-effort one too long.
async fn in_time<T>(outlet: &Outlet, wait: impl Future<Output = T>) -> Option<T> {
    if outlet.required { Some(wait.await) } else { timeout(BEST_EFFORT, wait).await.ok() }
}

/// What goes to one sink, and what is owed for it.
fn consignment<'a>(
    outlet: &Outlet,
    records: &'a [Record],
    from: &Provenance,
    obligations: &Obligations,
) -> Consignment<'a> {
    let owed_from = from.owed_from(outlet.sink.name(), outlet.routes);
    let owed = records.iter().filter(|record| {
        record.index >= owed_from && from.is_asked_for(outlet.sink.name(), record.index)
    });
    let led_here = owed.map(|record| (record, record.routes.and(outlet.routes)));
    led_here
        .filter(|(_, routes)| !routes.is_empty())
        .map(|(record, routes)| (record, routes, outlet.required.then(|| obligations.incur())))
        .collect()
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
        etag: source.etag.as_deref(),
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
        etag: None,
        index: None,
        sink: None,
        data: None,
        more_follows: origin.more_follows,
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
    Undelivered { after: error.after(), ..Undelivered::new(chain(error)) }
}

#[cfg(test)]
mod tests;
