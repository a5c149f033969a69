use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::adversary::Arrived;

/// What a sink holds: every copy of every event (or of every parked file).
#[derive(Debug, Default)]
pub(crate) struct Copies(HashMap<Vec<u8>, Vec<Copy>>);

#[derive(Clone, Copy, Debug)]
struct Copy {
    /// The run of the service that wrote it.
    run: u32,
    /// Whether that run can have known that it was written.
    answered: bool,
}

/// What is right and wrong with a sink.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    /// Owed, but not there.
    pub(crate) missing: usize,
    /// There, but in no file.
    pub(crate) foreign: usize,
    /// Copies beyond the first.
    pub(crate) duplicates: usize,
    /// Copies that no kill and no lost answer explains.
    pub(crate) unexcused: Vec<String>,
    /// By run: the objects (or messages, as they were judged by) of which it wrote something that a
    /// later run has written again.
    pub(crate) redone: BTreeMap<u32, BTreeSet<usize>>,
}

impl Copies {
    pub(crate) fn add(&mut self, run: u32, what: Vec<u8>) {
        self.0.entry(what).or_default().push(Copy { run, answered: true });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the copies that another run has written.
    pub(crate) fn append(&mut self, other: Self) {
        for (what, copies) in other.0 {
            self.0.entry(what).or_default().extend(copies);
        }
    }

    /// What a collector has.
    pub(crate) fn of(arrived: Vec<Arrived>) -> Self {
        let mut copies = Self::default();
        for Arrived { run, lines, answered } in arrived {
            for line in lines {
                copies.0.entry(line).or_default().push(Copy { run, answered });
            }
        }
        copies
    }

    /// Judges by what is owed, each with the number of its object or of its message.
    pub(crate) fn judge(&self, owed: &HashMap<&[u8], usize>) -> Holdings {
        let missing = owed.keys().filter(|what| !self.0.contains_key(**what)).count();
        let mut holdings = Holdings { missing, ..Holdings::default() };
        for (what, copies) in &self.0 {
            let Some(object) = owed.get(what.as_slice()) else {
                holdings.foreign += copies.len();
                continue;
            };
            // A batch of a killed run may arrive late.
            let mut copies = copies.clone();
            copies.sort_by_key(|copy| copy.run);
            for pair in copies.windows(2) {
                holdings.duplicates += 1;
                if pair[0].run != pair[1].run {
                    holdings.redone.entry(pair[0].run).or_default().insert(*object);
                } else if pair[0].answered {
                    holdings.unexcused.push(format!("number {object} in run {}", pair[0].run));
                }
            }
        }
        holdings
    }
}

impl Holdings {
    /// Nothing is missing, nothing was invented, and what is there twice has an excuse.
    ///
    /// A run that was cut short (`cut`) may have written what it could not note down: of what was in
    /// flight at that moment, and that is at most one object (of one message) for each of its
    /// `workers`. What was noted down is never written again, and a run that ended in peace leaves
    /// nothing half done.
    pub(crate) fn faults(&self, workers: usize, cut: &BTreeSet<u32>) -> Vec<String> {
        let mut faults = self.unexcused.clone();
        if self.missing + self.foreign > 0 {
            faults.push(format!("{} missing, {} foreign", self.missing, self.foreign));
        }
        for (run, objects) in &self.redone {
            let most = if cut.contains(run) { workers } else { 0 };
            if objects.len() > most {
                faults.push(format!("run {run} left {objects:?} half done, {most} were in flight"));
            }
        }
        faults
    }

    /// How many objects were done in part once more.
    fn redone(&self) -> usize {
        self.redone.values().map(BTreeSet::len).sum()
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.redone.values().map(BTreeSet::len).max().unwrap_or(0);
        let Self { duplicates, .. } = self;
        write!(f, "{duplicates} duplicates ({} redone, {most} of a run at most)", self.redone())
    }
}
