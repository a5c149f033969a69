//! D1, D2 and the first half of D5: what sinks and quarantine have, and what may be deleted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use trailsift_core::{Entry, LogFile, MessageId};
use trailsift_testkit::QueueEvent;

use super::{Breach, Scene};
use crate::history::{Event, Life, StoreTrouble};
use crate::script::{COPY, Damage, File, Kind, Letter, Named, PARKED};
use crate::setup::{MAX_RECORD, Play};
use crate::world::account_number;

/// A record: its file's number, and its place there.
type Place = (usize, usize);

#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// How often a sink has a record.
    stored: HashMap<(&'static str, Place), usize>,
    /// The records that a sink has acknowledged.
    acknowledged: HashSet<(&'static str, Place)>,
    /// The records that a sink will never take.
    rejected: HashSet<(&'static str, Place)>,
    /// The records that are parked because a sink refused them, or nobody can read them.
    parked_rows: HashSet<(Option<String>, Place)>,
    /// Objects that are parked as a whole: by key and version, each with the number of the event.
    parked_objects: HashMap<(String, Option<String>), Vec<usize>>,
    /// Whole messages that are parked.
    parked_messages: HashSet<(usize, MessageId)>,
    /// When each file was put.
    put: HashMap<usize, usize>,
    /// How often each message was handed out.
    received: HashMap<(usize, MessageId), usize>,
    /// Writes under way.
    offers: HashMap<usize, Vec<Entry>>,
    opens: HashMap<usize, (Life, LogFile)>,
    /// How often a process met an object that could not be read through its own fault.
    troubles: HashMap<(Life, LogFile), Vec<StoreTrouble>>,
    /// The lines that are in the quarantine, acknowledged or not.
    stored_lines: HashSet<Bytes>,
    panics: usize,
    lines: usize,
}

impl Delivered {
    pub(super) fn witness(
        &mut self,
        scene: &Scene<'_>,
        number: usize,
        event: &Event,
    ) -> Result<(), Breach> {
        match event {
            Event::Put(file) => {
                // The same bytes once more are the same revision.
                let same = |other: &&Arc<File>| other.etag == file.etag && other.key == file.key;
                let before = scene.files.iter().find(same).filter(|_| file.version_id.is_none());
                let since = before.and_then(|before| self.put.get(&before.number).copied());
                self.put.insert(file.number, since.unwrap_or(number));
            }
            Event::Opens { life, reading, file, .. } => {
                self.opens.insert(*reading, (*life, file.clone()));
            }
            Event::Opened { reading, what: Err(trouble), .. } => {
                let place = self.opens[reading].clone();
                self.troubles.entry(place).or_default().push(*trouble);
            }
            Event::Queue { account, event: QueueEvent::Received { id, .. } } => {
                *self.received.entry((*account, id.clone())).or_default() += 1;
            }
            Event::Panics { .. } => self.panics += 1,
            Event::Offers { write, entries, .. } => {
                drop(self.offers.insert(*write, entries.clone()));
            }
            Event::Stores { sink: PARKED, entries } => {
                self.stored_lines.extend(entries.iter().map(|entry| entry.data.clone()));
            }
            Event::Stores { sink, entries } => {
                for entry in entries {
                    let place = Self::authentic(scene, sink, entry)?;
                    *self.stored.entry((sink, place)).or_default() += 1;
                }
            }
            Event::Rejects { sink, entry } => {
                let place = Self::authentic(scene, sink, entry)?;
                self.rejected.insert((sink, place));
            }
            Event::Acknowledged { life, sink, write, but } => {
                let entries = self.offers.remove(write).expect("it was offered");
                let entries = entries.iter().enumerate();
                for (_, entry) in entries.filter(|(index, _)| !but.contains(index)) {
                    if *sink == PARKED && !self.stored_lines.contains(&entry.data) {
                        // What says so and has nothing is no quarantine.
                    } else if *sink == PARKED {
                        self.park(scene, *life, number, entry)?;
                    } else {
                        let place = Self::authentic(scene, sink, entry)?;
                        self.acknowledged.insert((sink, place));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// D2: what a sink is given is a record of that object, byte for byte, and one that it may get.
    fn authentic(scene: &Scene<'_>, sink: &'static str, entry: &Entry) -> Result<Place, Breach> {
        let breach = |what: &str| {
            let text = String::from_utf8_lossy(&entry.data);
            let key = &entry.source.key;
            Err(Breach::new("D2", format!("{sink}: {text}, {key}#{}, {what}", entry.index)))
        };
        let Some(file) = scene.file_of(entry) else { return breach("is of no file") };
        let index = usize::try_from(entry.index).unwrap_or(usize::MAX);
        match file.rows.get(index) {
            Some(row) if row.text.as_bytes() == entry.data => {}
            _ => return breach("is in no file"),
        }
        if !scene.may_have(file, index, sink) {
            return breach("is not selected for it");
        }
        let early = matches!(
            file.damage,
            None | Some(Damage::Truncated | Damage::Checksum | Damage::Trailing)
        );
        if !early || (file.damage.is_some() && !file.in_parts) {
            return breach("is of a damaged file that nobody had to release early");
        }
        Ok((file.number, index))
    }

    /// Something is in the quarantine now: it must be what it says, and have a cause.
    fn park(
        &mut self,
        scene: &Scene<'_>,
        life: Life,
        number: usize,
        entry: &Entry,
    ) -> Result<(), Breach> {
        self.lines += 1;
        let line: Value = serde_json::from_slice(&entry.data).expect("a line of JSON");
        let text = |name: &str| line[name].as_str().map(ToOwned::to_owned);
        let breach = |what: &str| Err(Breach::new("D1", format!("parked {what}: {line}")));
        let account = text("account").and_then(|name| account_number(&name));
        let (Some(account), Some(id)) = (account, text("message_id").map(MessageId)) else {
            return breach("for nobody");
        };
        let Some(letter) = scene.letters.get(&(account, id.clone())) else {
            return breach("for a message that there is not");
        };
        if line["body"].as_str().is_some_and(|body| body != letter.body) {
            return breach("with another message's body");
        }
        let reason = text("reason").unwrap_or_default();
        match (text("key"), line["index"].as_u64()) {
            (Some(key), Some(index)) => {
                let version = text("version_id");
                let index = usize::try_from(index).expect("small");
                let data = line["data"].as_str().unwrap_or_default();
                let is_it = |file: &&Arc<File>| {
                    file.version_id == version
                        && file.rows.get(index).is_some_and(|row| match row.kind {
                            Kind::TooLarge => {
                                row.text.starts_with(data) && data.len() >= MAX_RECORD.min(1000)
                            }
                            _ => row.text == data,
                        })
                };
                let candidates: Vec<_> = scene.revisions(&key).filter(is_it).collect();
                let refused_by = text("error").and_then(|error| {
                    let sink = error.strip_prefix("sink ")?.split([':', ' ']).next()?.to_owned();
                    (reason == "sink_rejected").then_some(sink)
                });
                let has_cause = |file: &&&Arc<File>| match &refused_by {
                    Some(sink) => {
                        self.rejected.iter().any(|(by, p)| by == sink && *p == (file.number, index))
                    }
                    None => file.rows[index].is_faulty(),
                };
                let causes: Vec<Place> =
                    candidates.iter().filter(has_cause).map(|file| (file.number, index)).collect();
                if causes.is_empty() {
                    return breach("without a cause");
                }
                let parked = causes.into_iter().map(|place| (refused_by.clone(), place));
                self.parked_rows.extend(parked);
            }
            (Some(key), None) => {
                let version = text("version_id");
                if !self.has_cause(scene, life, &key, version.as_deref(), &reason) {
                    return breach("without a cause");
                }
                self.parked_objects.entry((key, version)).or_default().push(number);
            }
            (None, _) => {
                let has_cause = match reason.as_str() {
                    "panic" => self.panics >= 2,
                    "bad_notification" => letter.unrecognised,
                    _ => false,
                };
                if !has_cause {
                    return breach("without a cause");
                }
                self.parked_messages.insert((account, id));
            }
        }
        Ok(())
    }

    /// Why an object as a whole may be parked: its content, or failures of its own.
    fn has_cause(
        &self,
        scene: &Scene<'_>,
        life: Life,
        key: &str,
        version: Option<&str>,
        reason: &str,
    ) -> bool {
        let mut named = scene.letters.values().flat_map(|letter| &letter.names);
        let max_receive = scene.setup.settings.max_receive as usize;
        let failed = |is_one: fn(&StoreTrouble) -> bool| {
            let same = |file: &LogFile| file.key == key && file.version_id.as_deref() == version;
            let troubles = self.troubles.iter();
            let mine = troubles.filter(|((whose, file), _)| *whose == life && same(file));
            let mine: Vec<_> = mine.flat_map(|(_, troubles)| troubles).collect();
            let at_last = mine.iter().any(|trouble| is_one(trouble));
            let own = mine.iter().filter(|trouble| ***trouble != StoreTrouble::Other);
            if at_last { own.count() } else { 0 }
        };
        match reason {
            "bucket_not_allowed" => named.any(|n| *n == Named::NotAllowed(key.to_owned())),
            "bad_key_encoding" => named.any(|n| *n == Named::BadKey(key.to_owned())),
            "object_missing" => failed(|t| *t == StoreTrouble::Missing) >= max_receive.min(3),
            "access_denied" | "wrong_region" => {
                failed(|t| *t == StoreTrouble::Refused) >= max_receive
            }
            "unreadable" => failed(|t| *t == StoreTrouble::Changed) >= max_receive,
            _ => {
                let mut revisions = scene.revisions(key);
                revisions.any(|file| {
                    file.version_id.as_deref() == version
                        && file.damage.is_some_and(|damage| reasons(damage).contains(&reason))
                })
            }
        }
    }

    /// D1: everything that the message names is settled.
    pub(super) fn may_delete(
        &self,
        scene: &Scene<'_>,
        account: usize,
        id: &MessageId,
    ) -> Result<(), Breach> {
        let letter = &scene.letters[&(account, id.clone())];
        let breach = |what| Err(Breach::new("D1", format!("{id} was deleted, and {what}")));
        if self.parked_messages.contains(&(account, id.clone())) {
            return Ok(());
        }
        if letter.unrecognised {
            return breach("nobody understood it, nor is it parked".to_owned());
        }
        for named in &letter.names {
            match named {
                Named::Skipped => {}
                Named::Missing(key) | Named::NotAllowed(key) | Named::BadKey(key) => {
                    if !self.parked_objects.contains_key(&(key.clone(), None)) {
                        return breach(format!("its {key} is not parked"));
                    }
                }
                Named::File(number) => {
                    let file = &scene.files[*number];
                    if self.is_parked(file) {
                        continue;
                    }
                    // What has no version may be overwritten: then what is there now is meant.
                    let later = |other: &&Arc<File>| {
                        other.number >= file.number && other.version_id == file.version_id
                    };
                    let open =
                        scene.revisions(&file.key).filter(later).map(|f| self.open(scene, f));
                    let open: Option<Vec<String>> = open.collect();
                    if let Some(open) = open {
                        return breach(format!("{} is lost", open.join(", ")));
                    }
                }
            }
        }
        Ok(())
    }

    /// What of a file is not settled yet.
    fn open(&self, scene: &Scene<'_>, file: &File) -> Option<String> {
        if file.damage.is_some() {
            return Some(format!("the damaged {}", file.key));
        }
        file.rows.iter().enumerate().find_map(|(index, row)| {
            if row.is_faulty() && !self.is_parked_row(file, index) {
                return Some(format!("{}#{index}, {}", file.key, row.text));
            }
            let mut sinks = scene.owed_to(file, index).iter();
            let sink = sinks.find(|sink| !self.is_settled(file, index, sink))?;
            Some(format!("{}#{index} for {sink}, {}", file.key, row.text))
        })
    }

    /// Whether the file, or what has overwritten it since, is parked as a whole.
    pub(super) fn is_parked(&self, file: &File) -> bool {
        let since = self.put[&file.number];
        let lines = self.parked_objects.get(&(file.key.clone(), file.version_id.clone()));
        lines.into_iter().flatten().any(|number| *number > since)
    }

    /// Whether nobody has to read the file any more: it is parked, or its message is.
    pub(super) fn is_done_with(&self, file: &File, letter: &Letter) -> bool {
        let id = (letter.account, letter.id.clone());
        self.is_parked(file) || self.parked_messages.contains(&id)
    }

    /// Whether a record that nobody can read is parked.
    pub(super) fn is_parked_row(&self, file: &File, index: usize) -> bool {
        self.parked_rows.contains(&(None, (file.number, index)))
    }

    /// Whether a sink is owed the record no more: it has it and has said so, or will never take it.
    pub(super) fn is_settled(&self, file: &File, index: usize, sink: &'static str) -> bool {
        let place = (file.number, index);
        let has =
            self.stored.contains_key(&(sink, place)) && self.acknowledged.contains(&(sink, place));
        has || self.parked_rows.contains(&(Some(sink.to_owned()), place))
    }

    /// D5: where nothing fails nothing is delivered twice, however often it is announced. Two
    /// replicas with a ledger each know nothing of each other.
    pub(super) fn judge_duplicates(&self, scene: &Scene<'_>) -> Result<(), Breach> {
        if scene.setup.play != Play::Calm {
            return Ok(());
        }
        let mut twice: Vec<_> = self.stored.iter().filter(|(_, times)| **times > 1).collect();
        twice.sort_unstable();
        for ((sink, (file, index)), times) in twice {
            let key = &scene.files[*file].key;
            let names_it = |named: &Named| match named {
                Named::File(number) => scene.files[*number].key == *key,
                _ => false,
            };
            let mut letters =
                scene.letters.iter().filter(|(_, letter)| letter.names.iter().any(names_it));
            let once = match (letters.next(), letters.next()) {
                (Some((id, _)), None) => self.received[id] == 1,
                _ => false,
            };
            if scene.setup.replicas == 1 || once {
                let what = format!("{sink} has {key}#{index} {times} times without a fault");
                return Err(Breach::new("D5", what));
            }
        }
        Ok(())
    }

    /// How many different records these sinks have, and how many besides.
    pub(super) fn count(&self, sinks: &[&str]) -> (usize, usize) {
        let mine =
            self.stored.iter().filter(|((sink, _), _)| sinks.contains(sink) && *sink != COPY);
        mine.fold((0, 0), |(once, more), (_, times)| (once + 1, more + times - 1))
    }

    /// How many lines the quarantine has acknowledged.
    pub(super) fn parked(&self) -> usize {
        self.lines
    }
}

/// The reasons that name this damage.
fn reasons(damage: Damage) -> &'static [&'static str] {
    match damage {
        Damage::Truncated => &["gzip_truncated"],
        Damage::Checksum => &["gzip_crc"],
        Damage::Trailing => &["gzip_trailing_member"],
        Damage::NotJson => &["not_json"],
        Damage::Empty => &["empty_object"],
        Damage::NoRecords => &["no_records"],
    }
}
