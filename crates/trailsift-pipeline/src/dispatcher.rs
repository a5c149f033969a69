use std::error::Error;
use std::sync::Arc;

use futures::future::join_all;
use trailsift_core::{
    Batch, Disposition, Entry, Message, Record, RouteSet, Sink, SinkError, Source,
};
use trailsift_route::Format;
use trailsift_trail::{FaultyRecord, Found};

use crate::obligation::{Obligation, Obligations};
use crate::quarantine::{Parcel, Quarantine};

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

/// Some records are neither acknowledged nor parked: the message must come again.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Undelivered {
    pub(crate) what: String,
    /// A sink is gone for good: the process should end.
    pub(crate) fatal: bool,
}

/// The message and account on whose behalf something is delivered or parked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) account: &'a str,
    pub(crate) message: &'a Message,
}

/// Takes what was found in a file to the sinks and to the quarantine.
#[derive(Clone, Debug)]
pub(crate) struct Dispatcher {
    pub(crate) outlets: Arc<[Outlet]>,
    pub(crate) quarantine: Quarantine,
}

impl Dispatcher {
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
        let writes = self.outlets.iter().filter_map(|outlet| {
            let consignment = Consignment::load(outlet, &records, source, &owed);
            (!consignment.batch.entries.is_empty())
                .then(|| self.consign(outlet, consignment, origin))
        });
        let (written, parked) =
            futures::join!(join_all(writes), self.park_faulty(faulty, source, origin));
        let trouble = written.into_iter().chain([parked]).filter_map(Result::err);
        let trouble = trouble.reduce(|first, other| if other.fatal { other } else { first });
        match trouble {
            Some(trouble) => Err(trouble),
            None if owed.all_settled() => Ok(()),
            None => Err(Undelivered {
                what: "a record was neither acknowledged nor parked".into(),
                fatal: false,
            }),
        }
    }

    async fn consign(
        &self,
        outlet: &Outlet,
        consignment: Consignment,
        origin: Origin<'_>,
    ) -> Result<(), Undelivered> {
        let Consignment { batch, mut owed } = consignment;
        let outcome = outlet.sink.write(&batch).await;
        if !outlet.required {
            // Best effort: the sink counts and names what it drops; nothing waits for it.
            return Ok(());
        }
        let outcome = outcome.map_err(|error| undelivered(outlet, &error))?;
        let mut trouble: Result<(), Undelivered> = Ok(());
        for failure in outcome.failures {
            let obligation = owed.get_mut(failure.index).and_then(Option::take);
            let (Some(entry), Some(obligation)) = (batch.entries.get(failure.index), obligation)
            else {
                // A sink that names entries that it was not given is not to be believed.
                return Err(Undelivered {
                    what: format!("sink {} answered for an unknown entry", outlet.sink.name()),
                    fatal: false,
                });
            };
            let Disposition::Poison { reason } = failure.error.disposition else {
                // A fatal error among them is the one that matters.
                if !matches!(&trouble, Err(Undelivered { fatal: true, .. })) {
                    trouble = Err(undelivered(outlet, &failure.error));
                }
                continue;
            };
            let parcel = Parcel {
                reason,
                error: format!("sink {}: {}", outlet.sink.name(), chain(&failure.error)),
                index: Some(entry.index),
                data: Some(&entry.data),
                ..parcel_of(&entry.source, origin)
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
        for (obligation, record) in faulty {
            let parcel = Parcel {
                reason: record.reason,
                error: record.detail,
                index: Some(record.index),
                data: Some(&record.data),
                ..parcel_of(source, origin)
            };
            self.quarantine.park(parcel).await.map_err(|error| not_parked(&error))?;
            obligation.settle();
        }
        Ok(())
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

/// The parts of a parcel that its source and its message say.
pub(crate) fn parcel_of<'a>(source: &'a Source, origin: Origin<'a>) -> Parcel<'a> {
    Parcel {
        reason: trailsift_core::Reason::SinkRejected,
        error: String::new(),
        account: origin.account,
        message: origin.message,
        bucket: Some(&source.bucket),
        key: Some(&source.key),
        version_id: source.version_id.as_deref(),
        index: None,
        data: None,
    }
}

fn undelivered(outlet: &Outlet, error: &SinkError) -> Undelivered {
    Undelivered {
        what: format!("sink {}: {}", outlet.sink.name(), chain(error)),
        fatal: error.disposition == Disposition::Fatal,
    }
}

fn not_parked(error: &crate::quarantine::NotParked) -> Undelivered {
    Undelivered { what: chain(error), fatal: false }
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
