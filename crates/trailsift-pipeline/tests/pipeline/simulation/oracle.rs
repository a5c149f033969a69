//! What must be true of a world whatever has happened in it, told from the outside: from what the
//! files hold, what the sink and the quarantine have, and what the queue no longer has.

use std::collections::{HashMap, HashSet};
use std::ops::Add;

use crate::rig::Rig;
use trailsift_core::MessageId;

/// A selected record: its text, which is unique in the world, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) text: String,
    pub(crate) key: String,
    pub(crate) index: u64,
}

/// What a world's messages announce.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) owed: HashMap<MessageId, Vec<Owed>>,
    /// The keys of files that nobody can read: nothing of them may be delivered.
    pub(crate) damaged: HashMap<MessageId, Vec<String>>,
}

/// What was seen in a world that kept the rules.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) sent: usize,
    pub(crate) deleted: usize,
    /// Selected records of all messages.
    pub(crate) owed: usize,
    /// Different events that the sink acknowledged.
    pub(crate) delivered: usize,
    /// Acknowledgements beyond the first of each event.
    pub(crate) delivered_twice: usize,
    pub(crate) parked: usize,
}

impl Add for Verdict {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            deleted: self.deleted + other.deleted,
            owed: self.owed + other.owed,
            delivered: self.delivered + other.delivered,
            delivered_twice: self.delivered_twice + other.delivered_twice,
            parked: self.parked + other.parked,
        }
    }
}

impl Oracle {
    /// Judges at any moment, also in the middle of faults.
    ///
    /// # Errors
    /// If a deleted message's record is neither acknowledged nor parked, or its damaged file is not
    /// parked, or if the sink or the quarantine has something that is in no file.
    pub(crate) fn judge(&self, rig: &Rig) -> Result<Verdict, String> {
        let known: HashMap<&str, &Owed> =
            self.owed.values().flatten().map(|owed| (owed.text.as_str(), owed)).collect();
        for entry in rig.sink.stored() {
            let text = String::from_utf8_lossy(&entry.data);
            let place = |owed: &&&Owed| owed.key == entry.source.key && owed.index == entry.index;
            if known.get(text.as_ref()).filter(place).is_none() {
                return Err(format!("{text}, record {} of its file, is in no file", entry.index));
            }
        }
        let parked = rig.parked();
        let mut parked_records: HashSet<&str> = HashSet::new();
        let mut parked_objects: HashSet<&str> = HashSet::new();
        let mut parked_messages: HashSet<&str> = HashSet::new();
        for line in &parked {
            match (line["index"].as_u64(), line["data"].as_str(), line["key"].as_str()) {
                (Some(_), Some(data), _) if known.contains_key(data) => {
                    parked_records.insert(data);
                }
                (Some(_), data, _) => return Err(format!("{data:?}, parked, is in no file")),
                (None, _, Some(key)) => {
                    parked_objects.insert(key);
                }
                (None, _, None) => parked_messages.extend(line["message_id"].as_str()),
            }
        }
        let events = rig.events();
        let delivered: HashSet<&str> = events.iter().map(String::as_str).collect();
        let deleted = rig.queue.deleted();
        for id in &deleted {
            let unparked = |key: &&String| {
                !parked_objects.contains(key.as_str()) && !parked_messages.contains(id.0.as_str())
            };
            if let Some(key) = self.damaged.get(id).into_iter().flatten().find(unparked) {
                return Err(format!("{id} was deleted, and its damaged {key} is lost"));
            }
            for record in &self.owed[id] {
                let settled = delivered.contains(record.text.as_str())
                    || parked_records.contains(record.text.as_str())
                    || parked_objects.contains(record.key.as_str())
                    || parked_messages.contains(id.0.as_str());
                if !settled {
                    return Err(format!("{id} was deleted, and {} is lost", record.text));
                }
            }
        }
        Ok(Verdict {
            sent: self.owed.len(),
            deleted: deleted.len(),
            owed: known.len(),
            delivered: delivered.len(),
            delivered_twice: events.len() - delivered.len(),
            parked: parked.len(),
        })
    }
}
