//! What must be true of a world whatever has happened in it: judged from its history alone, event
//! by event, in the order in which things happened. Each rule is one of the delivery rules D1 to D7
//! (D9, and what metrics tell, is judged where a replica ends).

mod delivered;
mod leases;
mod ledger;

use std::collections::HashMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use trailsift_core::{Entry, MessageId, ObjectId, Revision};
use trailsift_testkit::QueueEvent;

use crate::history::{Event, History, Recorded};
use crate::script::{ARCHIVE, COPY, File, Files, Letter, SIEM};
use crate::setup::Setup;
use delivered::Delivered;
use leases::Leases;
use ledger::Books;

/// A broken rule.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
    /// The event at which it shows.
    event: Option<usize>,
}

impl Breach {
    pub(crate) fn new(rule: &'static str, what: impl Into<String>) -> Self {
        Self { rule, what: what.into(), event: None }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.rule, self.what)?;
        self.event.map_or(Ok(()), |event| write!(f, " (event {event})"))
    }
}

/// All rules that were broken, each where it shows first.
#[derive(Clone, Debug)]
pub(crate) struct Broken(pub(crate) Vec<Breach>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, breach) in self.0.iter().enumerate() {
            write!(f, "{}{breach}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What was seen in worlds that kept the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) worlds: usize,
    pub(crate) sent: usize,
    pub(crate) deleted: usize,
    pub(crate) dead_lettered: usize,
    /// Different events that a required sink has.
    pub(crate) delivered: usize,
    /// What a required sink has besides.
    pub(crate) twice: usize,
    /// Lines that the quarantine has acknowledged.
    pub(crate) parked: usize,
    pub(crate) crashes: usize,
    pub(crate) redelivered: usize,
    /// Answers of a ledger that spared a sink something.
    pub(crate) spared: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worlds, sent, deleted, dead_lettered, .. } = *self;
        let Self { delivered, twice, parked, crashes, redelivered, spared, .. } = *self;
        let plural = if worlds == 1 { "" } else { "s" };
        let worlds = grouped(worlds);
        write!(f, "{worlds} world{plural}: {} messages sent, ", grouped(sent))?;
        write!(f, "{} deleted, {} dead-lettered; ", grouped(deleted), grouped(dead_lettered))?;
        write!(f, "{} events delivered, and {} ", grouped(delivered), grouped(twice))?;
        write!(f, "duplicates, which the seeded faults allow; {} parked; ", grouped(parked))?;
        write!(f, "{} crashes, {} redeliveries, ", grouped(crashes), grouped(redelivered))?;
        write!(f, "{} times a ledger spared a sink something", grouped(spared))
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.sent += other.sent;
        self.deleted += other.deleted;
        self.dead_lettered += other.dead_lettered;
        self.delivered += other.delivered;
        self.twice += other.twice;
        self.parked += other.parked;
        self.crashes += other.crashes;
        self.redelivered += other.redelivered;
        self.spared += other.spared;
    }
}

/// What a world holds, so far as it has come about.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) files: Files,
    pub(crate) letters: HashMap<(usize, MessageId), Arc<Letter>>,
}

impl Scene<'_> {
    /// The file of which this is a record.
    pub(crate) fn file_of(&self, entry: &Entry) -> Option<&Arc<File>> {
        let source = &entry.source;
        self.files.iter().rev().find(|file| {
            file.key == source.key
                && file.version_id == source.version_id
                && Some(&file.etag) == source.etag.as_ref()
        })
    }

    /// The file that the ledger calls so.
    pub(crate) fn file_called(&self, object: &ObjectId) -> Option<&Arc<File>> {
        self.files.iter().rev().find(|file| {
            file.key == object.key
                && Revision::of(file.version_id.as_deref(), Some(&file.etag)).as_ref()
                    == Some(&object.revision)
        })
    }

    /// Every revision of an object.
    pub(crate) fn revisions<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s Arc<File>> {
        self.files.iter().filter(move |file| file.key == key)
    }

    pub(crate) fn owed_to(&self, file: &File, index: usize) -> &'static [&'static str] {
        let second_route = self.setup.has_second_route(file.account);
        file.rows.get(index).map_or(&[], |row| row.owed_to(second_route))
    }

    /// Whether the sink may get this record.
    pub(crate) fn may_have(&self, file: &File, index: usize, sink: &str) -> bool {
        let owed_to = self.owed_to(file, index);
        owed_to.contains(&sink) || (sink == COPY && !owed_to.is_empty())
    }
}

/// Judges the history of a world; `told` is what its end or its metrics tell besides.
///
/// # Errors
/// Every rule that is broken.
pub(crate) fn judge(
    history: &History,
    setup: &Setup,
    told: Option<Breach>,
) -> Result<Verdict, Broken> {
    let mut judge = Judge {
        scene: Scene { setup, files: Vec::new(), letters: HashMap::new() },
        delivered: Delivered::default(),
        leases: Leases::new(setup),
        books: Books::default(),
        verdict: Verdict { worlds: 1, ..Verdict::default() },
    };
    let mut broken: Vec<Breach> = Vec::new();
    let mut note = |breach: Breach, event: Option<usize>| {
        if broken.iter().all(|known| known.rule != breach.rule) {
            broken.push(Breach { event, ..breach });
        }
    };
    for (number, recorded) in history.events().iter().enumerate() {
        for breach in judge.witness(number, recorded) {
            note(breach, Some(number));
        }
    }
    let end = judge.delivered.judge_duplicates(&judge.scene).err();
    end.into_iter().chain(told).for_each(|breach| note(breach, None));
    if !broken.is_empty() {
        return Err(Broken(broken));
    }
    let Judge { delivered, mut verdict, .. } = judge;
    (verdict.delivered, verdict.twice) = delivered.count(&[SIEM, ARCHIVE]);
    verdict.parked = delivered.parked();
    Ok(verdict)
}

struct Judge<'a> {
    scene: Scene<'a>,
    delivered: Delivered,
    leases: Leases,
    books: Books,
    verdict: Verdict,
}

impl Judge<'_> {
    /// What is broken at this event. Each part of the oracle sees every event, also those at which
    /// another part finds something.
    fn witness(&mut self, number: usize, recorded: &Recorded) -> Vec<Breach> {
        let event = &recorded.event;
        let deleted = match event {
            Event::Queue { account, event: QueueEvent::Deleted { id, .. } } => {
                self.delivered.may_delete(&self.scene, *account, id)
            }
            _ => Ok(()),
        };
        self.count(event);
        let judged = [
            deleted,
            self.leases.witness(&self.scene, recorded),
            self.delivered.witness(&self.scene, number, event),
            self.books.witness(&self.scene, &self.delivered, number, event),
        ];
        judged.into_iter().filter_map(Result::err).collect()
    }

    fn count(&mut self, event: &Event) {
        let verdict = &mut self.verdict;
        match event {
            Event::Put(file) => self.scene.files.push(Arc::clone(file)),
            Event::Sent(letter) => {
                let id = (letter.account, letter.id.clone());
                self.scene.letters.insert(id, Arc::clone(letter));
                verdict.sent += 1;
            }
            Event::Crashes { .. } => verdict.crashes += 1,
            Event::Queue { event, .. } => match event {
                QueueEvent::Deleted { .. } => verdict.deleted += 1,
                QueueEvent::DeadLettered { .. } => verdict.dead_lettered += 1,
                QueueEvent::Received { receive_count, .. } if *receive_count > 1 => {
                    verdict.redelivered += 1;
                }
                _ => {}
            },
            Event::Recalled { what: Some(known), .. } if !known.acknowledged.is_empty() => {
                verdict.spared += 1;
            }
            _ => {}
        }
    }
}
