use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use trailsift_core::{Batch, Entry, Record, RouteSet, Source};
use trailsift_route::{Format, Formatter, Origin};

use crate::budget::Budget;
use crate::cpu::Cpu;
use crate::obligation::Obligation;

/// Up to so many bytes of records are written on the caller's thread: less than a millisecond's work.
const BRIEF_BYTES: usize = 16 << 10;
/// How much larger than its record a large event can be: formats that hold the record as a string
/// double its quotes, and say parts of it again: of one long ARN the longest part six times.
pub(crate) const GROWTH: usize = 8;

/// Writes the events of one sink in its format, no more of them at once than there is room for.
///
/// A raw event shares its record's memory, so all of them go at once. Any other one takes memory of
/// its own, in every worker and for every sink: that of a portion is the worker's, so nobody waits
/// for it. The few events that are larger than a portion share a room of their own sink, and wait
/// there as they would wait for the sink: one that is stuck stops no other.
#[derive(Debug)]
pub(crate) struct Rendering {
    formatter: Formatter,
    portion_bytes: usize,
    large: Semaphore,
    large_bytes: u32,
    cpu: Cpu,
}

/// What goes to one sink: each record, the routes that lead it there, and what is owed for it, where
/// somebody waits for the sink.
pub(crate) type Consignment<'a> = VecDeque<(&'a Record, RouteSet, Option<Obligation>)>;

/// What goes there at once.
pub(crate) struct Portion<'a> {
    /// The events.
    pub(crate) batch: Batch,
    pub(crate) owed: Owed<'a>,
    /// The room of a large event, for as long as it is there.
    pub(crate) room: Option<SemaphorePermit<'a>>,
}

/// For each event of a batch its record, and what is owed for it.
pub(crate) struct Owed<'a>(Vec<(&'a Record, Option<Obligation>)>);

impl<'a> Owed<'a> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place in the file behind the last record.
    pub(crate) fn end(&self) -> u64 {
        self.0.last().map_or(0, |(record, _)| record.index + 1)
    }

    /// The record at this place of the batch, and what is owed for it; `None` if there is none, or
    /// nothing is owed any more.
    pub(crate) fn take(&mut self, index: usize) -> Option<(&'a Record, Obligation)> {
        let (record, owed) = self.0.get_mut(index)?;
        Some((record, owed.take()?))
    }

    /// Everything that was not taken out has happened.
    pub(crate) fn settle(self) {
        self.0.into_iter().filter_map(|(_, owed)| owed).for_each(Obligation::settle);
    }
}

impl Rendering {
    pub(crate) fn new(formatter: Formatter, budget: &Budget, cpu: Cpu) -> Self {
        let large_bytes = u32::try_from(budget.large_bytes).unwrap_or(u32::MAX).max(1);
        Self {
            formatter,
            portion_bytes: budget.portion_bytes,
            large: Semaphore::new(large_bytes as usize),
            large_bytes,
            cpu,
        }
    }

    /// Room for the first event of the consignment, where it needs any of the others' for it.
    pub(crate) async fn room(&self, consignment: &Consignment<'_>) -> Option<SemaphorePermit<'_>> {
        let size = consignment.front().map_or(0, |(record, ..)| record.bytes.len());
        if matches!(self.formatter.format(), Format::Raw) || !self.is_large(size) {
            return None;
        }
        let room = u32::try_from(size.saturating_mul(GROWTH)).unwrap_or(u32::MAX);
        // It is never closed.
        self.large.acquire_many(room.min(self.large_bytes)).await.ok()
    }

    /// Whether an event of a record of this size may be larger than a portion.
    fn is_large(&self, size: usize) -> bool {
        size.saturating_mul(GROWTH) > self.portion_bytes
    }

    /// The next events of the consignment, at least one if it has any, with the [`Rendering::room`]
    /// that the first of them needs.
    ///
    /// Cancel safety: what is taken out and not returned is dropped with its obligations, so it stays
    /// owed.
    pub(crate) async fn next<'a>(
        &'a self,
        consignment: &mut Consignment<'a>,
        source: &Arc<Source>,
        room: Option<SemaphorePermit<'a>>,
    ) -> Portion<'a> {
        let events = match self.formatter.format() {
            Format::Raw => None,
            _ => Some(self.render(consignment, source).await),
        };
        let count = events.as_ref().map_or(consignment.len(), Vec::len);
        let mut events = events.into_iter().flatten();
        let (mut entries, mut owed) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (record, _, obligation) in consignment.drain(..count) {
            entries.push(Entry {
                data: events.next().unwrap_or_else(|| record.bytes.clone()),
                record: record.bytes.clone(),
                index: record.index,
                source: Arc::clone(source),
            });
            owed.push((record, obligation));
        }
        // Others wait for the room of a large event, so it does not wait for company.
        let more_follows = !consignment.is_empty() || room.is_some();
        Portion { batch: Batch { entries, more_follows }, owed: Owed(owed), room }
    }

    async fn render(&self, consignment: &Consignment<'_>, source: &Arc<Source>) -> Vec<Bytes> {
        let size = |(record, ..): &(&Record, _, _)| record.bytes.len();
        let first = consignment.front().map_or(0, size);
        let (count, bytes) = if self.is_large(first) {
            (1, first)
        } else {
            let mut bytes = 0;
            let fits = |size: &usize| {
                bytes += size;
                !self.is_large(*size) && bytes <= self.portion_bytes
            };
            let count = consignment.iter().map(size).take_while(fits).count();
            (count, bytes)
        };
        let records = consignment.iter().take(count);
        if bytes <= BRIEF_BYTES {
            let records = records.map(|(record, routes, _)| (*record, *routes));
            write(&self.formatter, records, source, self.portion_bytes)
        } else {
            let records: Vec<_> =
                records.map(|(record, routes, _)| ((*record).clone(), *routes)).collect();
            let (formatter, source) = (self.formatter.clone(), Arc::clone(source));
            let most = self.portion_bytes;
            let work = move |_: &mut _| {
                let records = records.iter().map(|(record, routes)| (record, *routes));
                write(&formatter, records, &source, most)
            };
            self.cpu.run(work).await
        }
    }
}

/// The events of the first of these records, of at most so many bytes, but for the first one.
fn write<'r>(
    formatter: &Formatter,
    records: impl Iterator<Item = (&'r Record, RouteSet)>,
    source: &Source,
    most: usize,
) -> Vec<Bytes> {
    let mut events = Vec::new();
    let mut bytes = 0_usize;
    for (record, routes) in records {
        let event = formatter.render(record, routes, Origin::from(source));
        bytes = bytes.saturating_add(event.len());
        if bytes > most && !events.is_empty() {
            break;
        }
        events.push(event);
    }
    events
}
