//! D5: nothing is sent again that the ledger knows, and the ledger knows nothing that has not
//! happened.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use trailsift_core::{Entry, Known, MessageId, ObjectId, Receipt, Revision};
use trailsift_testkit::QueueOp;

use super::delivered::Delivered;
use super::{Breach, Scene};
use crate::history::{Event, Life, Note};
use crate::replica::account_name;
use crate::script::{BUCKET, COPY, File, Named, PARKED};

/// What the quarantine is called in a ledger.
const QUARANTINE: &str = "[quarantine]";

/// A question to a ledger: by the numbers of its events.
#[derive(Clone, Copy, Debug)]
struct Recall {
    asked: usize,
    answered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    /// What a replica's ledger has confirmed, and when.
    noted: HashMap<(usize, ObjectId, String), Vec<(usize, u64)>>,
    /// What is being noted.
    notes: HashMap<usize, (ObjectId, Note)>,
    /// The latest question of a process about an object.
    recalls: HashMap<(Life, ObjectId), Recall>,
    questions: HashMap<usize, ObjectId>,
    /// What a replica has told its ledger to be done, whether or not it was confirmed.
    settled: HashSet<(usize, ObjectId)>,
    /// Which message a receipt is of.
    messages: HashMap<(Life, usize, Receipt), MessageId>,
}

impl Books {
    pub(super) fn witness(
        &mut self,
        scene: &Scene<'_>,
        delivered: &Delivered,
        number: usize,
        event: &Event,
    ) -> Result<(), Breach> {
        match event {
            Event::Recalls { life, recall, object } => {
                let asked = Recall { asked: number, answered: false };
                self.recalls.insert((*life, object.clone()), asked);
                self.questions.insert(*recall, object.clone());
            }
            Event::Recalled { life, recall, what } => {
                let object = self.questions.remove(recall).expect("it was asked");
                match self.recalls.get_mut(&(*life, object)) {
                    Some(recall) if what.is_some() => recall.answered = true,
                    // A ledger that fails is left alone for a while: nobody asks it.
                    _ => self.recalls.retain(|(whose, _), _| whose != life),
                }
            }
            Event::Notes { life, call, object, note } => {
                self.notes.insert(*call, (object.clone(), note.clone()));
                if let Note::Settled(_) = note {
                    self.settled.insert((life.replica, object.clone()));
                }
                Self::has_happened(scene, delivered, object, note)?;
            }
            Event::Noted { life, call, done } => {
                let (object, note) = self.notes.remove(call).expect("it was to be noted");
                if !done {
                    self.recalls.retain(|(whose, _), _| whose != life);
                    return Ok(());
                }
                let mut confirm = |sink: String, below| {
                    let place = (life.replica, object.clone(), sink);
                    self.noted.entry(place).or_default().push((number, below));
                };
                match note {
                    Note::Acknowledged { sink, below } => confirm(sink, below),
                    Note::Settled(settlement) => {
                        settlement.sinks.into_iter().for_each(|sink| confirm(sink, Known::ALL));
                    }
                }
            }
            Event::Has { life, account, id, receipt, .. } => {
                self.messages.insert((*life, *account, receipt.clone()), id.clone());
            }
            Event::Asks { life, account, op: QueueOp::Delete, receipt } => {
                self.is_written_down(scene, delivered, *life, *account, receipt)?;
            }
            Event::Offers { life, sink, entries, .. } if *sink != PARKED => {
                entries.iter().try_for_each(|entry| self.may_offer(scene, *life, sink, entry))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A record that the ledger had confirmed before it was asked, and it has answered.
    fn may_offer(
        &self,
        scene: &Scene<'_>,
        life: Life,
        sink: &str,
        entry: &Entry,
    ) -> Result<(), Breach> {
        let Some(file) = scene.file_of(entry) else { return Ok(()) };
        let object = called(file);
        let Some(recall) = self.recalls.get(&(life, object.clone())) else { return Ok(()) };
        let noted = self.noted.get(&(life.replica, object, sink.to_owned()));
        let known = noted
            .into_iter()
            .flatten()
            .any(|(number, below)| *number < recall.asked && entry.index < *below);
        if recall.answered && known {
            let what = format!("{life} offers {}#{} to {sink} again", file.key, entry.index);
            return Err(Breach::new("D5", format!("{what}, which its ledger knows")));
        }
        Ok(())
    }

    /// A message is deleted when its objects are in the ledger, or else a redelivery would send them
    /// again. A ledger that fails is done without.
    fn is_written_down(
        &self,
        scene: &Scene<'_>,
        delivered: &Delivered,
        life: Life,
        account: usize,
        receipt: &Receipt,
    ) -> Result<(), Breach> {
        let id = self.messages.get(&(life, account, receipt.clone()));
        let letter = id.and_then(|id| scene.letters.get(&(account, id.clone())));
        let Some(letter) = letter.filter(|_| scene.setup.climate.ledger == 0) else {
            return Ok(());
        };
        for named in &letter.names {
            let Named::File(number) = named else { continue };
            let file = &scene.files[*number];
            let mut later = scene
                .revisions(&file.key)
                .filter(|other| other.number >= file.number && other.version_id == file.version_id);
            let is_settled =
                |file: &Arc<File>| self.settled.contains(&(life.replica, called(file)));
            if !later.any(is_settled) && !delivered.is_done_with(file, letter) {
                let what = format!("{life} deletes {}, and {} is not noted", letter.id, file.key);
                return Err(Breach::new("D5", what));
            }
        }
        Ok(())
    }

    /// What is noted must have happened before.
    fn has_happened(
        scene: &Scene<'_>,
        delivered: &Delivered,
        object: &ObjectId,
        note: &Note,
    ) -> Result<(), Breach> {
        let breach = |what| Err(Breach::new("D5", format!("it is noted of {object} that {what}")));
        let Some(file) = scene.file_called(object) else {
            return breach("it is known, and it never was there".to_owned());
        };
        let (sinks, below) = match note {
            Note::Acknowledged { sink, below } => (std::slice::from_ref(sink), *below),
            Note::Settled(settlement) => (&settlement.sinks[..], Known::ALL),
        };
        if let Note::Settled(settlement) = note
            && settlement.parked.is_some()
        {
            return match delivered.is_parked(file) {
                true => Ok(()),
                false => breach("it is parked, and it is not".to_owned()),
            };
        }
        for (index, row) in file.rows.iter().enumerate().filter(|(i, _)| (*i as u64) < below) {
            for sink in sinks.iter().filter(|sink| *sink != COPY) {
                let owed_to = scene.owed_to(file, index).iter();
                let has = match (sink.as_str(), owed_to.copied().find(|owed| owed == sink)) {
                    (QUARANTINE, _) => !row.is_faulty() || delivered.is_parked_row(file, index),
                    (_, Some(sink)) => delivered.is_settled(file, index, sink),
                    (_, None) => true,
                };
                if !has {
                    return breach(format!("{sink} has record {index}, and it has not"));
                }
            }
        }
        Ok(())
    }
}

/// What the ledger calls a file.
fn called(file: &File) -> ObjectId {
    let revision = Revision::of(file.version_id.as_deref(), Some(&file.etag));
    ObjectId {
        account: account_name(file.account),
        bucket: BUCKET.to_owned(),
        key: file.key.clone(),
        revision: revision.expect("an entity tag"),
    }
}
