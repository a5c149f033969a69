use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use trailsift_core::{Known, LogFile, ObjectId, Reason, Revision, Selection, Source, StoreError};
use trailsift_trail::{
    Counts, Found, NotifiedObject, ObjectFault, Progress, SiftLimits, Sifter, Traits, event_time,
};

use crate::asked::Asked;
use crate::bad_records::BadRecords;
use crate::cpu::BRIEF_BYTES;
use crate::dispatcher::{Origin, Provenance, Undelivered};
use crate::fetcher::Reading;
use crate::service::{Lane, Settings};

/// How often a read starts anew because the object was overwritten meanwhile.
const RESTARTS: u32 = 3;
/// The largest object, as stored, that is tried to be sifted without leaving the caller's thread.
const BRIEF_STORED: usize = 16 << 10;
/// How a gzip member begins. It ends with the size, inflated, that it claims to have.
const GZIP: [u8; 2] = [0x1F, 0x8B];
/// How a zstd frame begins, and how one that is to be skipped does, but for its lowest four bits.
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const ZSTD_SKIPPABLE: [u8; 3] = [0x2A, 0x4D, 0x18];
/// The least wait for an object that found no room.
const CROWDED_WAIT: Duration = Duration::from_secs(10);

/// Why a read ended without settling the object.
pub(crate) enum Broken {
    /// The ledger says of what answered that nothing of it is owed to anybody.
    Duplicate,
    Store(StoreError),
    Undelivered(Undelivered),
}

/// A read that came to its end.
pub(crate) struct Read {
    pub(crate) counts: Counts,
    pub(crate) fault: Option<ObjectFault>,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) traits: Traits,
    pub(crate) times: Times,
    pub(crate) from: Provenance,
    /// What was taken of the file on behalf of a replay of records.
    pub(crate) replayed: Replayed,
}

/// How many of the records that a replay asks for were found.
#[derive(Clone, Copy, Default)]
pub(crate) struct Replayed {
    /// Selected ones.
    pub(crate) records: u64,
    /// Ones that cannot be read, still, and are parked one by one.
    pub(crate) faulty: u64,
}

impl Replayed {
    /// What is to be delivered and parked of what was found: what is asked for.
    fn of(&mut self, mut found: Vec<Found>, from: &Provenance, bad: &mut BadRecords) -> Vec<Found> {
        let Some(asked) = &from.replay else { return bad.limit(found) };
        found.retain(|found| match found {
            Found::Record(record) => asked.has(record.index),
            Found::Fault(record) => asked.has(record.index),
        });
        let found = bad.limit(found);
        for found in &found {
            match found {
                Found::Record(_) => self.records += 1,
                Found::Fault(_) => self.faulty += 1,
            }
        }
        found
    }
}

/// From when to when the selected records of an object are, by their own `eventTime`.
#[derive(Default)]
pub(crate) struct Times(Option<(SystemTime, SystemTime)>);

impl Times {
    fn note(&mut self, found: &[Found]) {
        for found in found {
            let Found::Record(record) = found else { continue };
            let Some(time) = event_time(&record.bytes) else { continue };
            let (first, last) = self.0.unwrap_or((time, time));
            self.0 = Some((first.min(time), last.max(time)));
        }
    }

    pub(crate) fn first(&self) -> Option<SystemTime> {
        self.0.map(|(first, _)| first)
    }

    pub(crate) fn last(&self) -> Option<SystemTime> {
        self.0.map(|(_, last)| last)
    }
}

/// Tells what this configuration and version find in an object from what others would.
pub(crate) fn reading_of(selection: &dyn Selection, settings: &Settings) -> u64 {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    selection.digest().hash(&mut hasher);
    (settings.max_record, settings.max_inflated, settings.multi_member).hash(&mut hasher);
    hasher.finish()
}

impl Lane {
    /// Reads the object to its end and delivers what is selected of it; anew, where it was
    /// overwritten meanwhile and nothing of it has been delivered yet.
    pub(crate) async fn read(
        &self,
        file: &LogFile,
        object: &NotifiedObject,
        notified: Option<(ObjectId, Known)>,
        origin: Origin<'_>,
    ) -> Result<Read, Broken> {
        let mut restarts = 0;
        loop {
            let mut released = false;
            match self.read_once(file, object, notified.as_ref(), origin, &mut released).await {
                Err(Broken::Store(StoreError::Changed(_))) if !released && restarts < RESTARTS => {
                    restarts += 1;
                    tracing::info!(
                        account = self.account.name,
                        sqs.message_id = %origin.message.id,
                        s3.bucket = file.bucket,
                        s3.key = %file.key.escape_debug(),
                        "the object changed while it was read: reading it anew"
                    );
                }
                other => return other,
            }
        }
    }

    /// One pass over the object. `released` tells whether records left before the end was verified.
    async fn read_once(
        &self,
        file: &LogFile,
        object: &NotifiedObject,
        notified: Option<&(ObjectId, Known)>,
        origin: Origin<'_>,
        released: &mut bool,
    ) -> Result<Read, Broken> {
        let shared = &self.shared;
        let mut reading = Reading::open(&*self.account.store, file, &shared.metrics)
            .await
            .map_err(Broken::Store)?;
        let source = self.source(file, reading.etag.clone(), reading.version_id.clone());
        let mut from = self.provenance(file, source, notified).await;
        from.replay = self.asked_of(object, &from.source, origin);
        if from.replay.is_none() && self.is_done(&from.known) {
            return Err(Broken::Duplicate);
        }
        if let Some(size) = reading.size.filter(|size| *size > shared.settings.max_inflated) {
            let detail = format!("the object's {size} bytes exceed max_inflated before inflation");
            let fault = ObjectFault { reason: Reason::TooLarge, detail, data: Bytes::new() };
            let (counts, times) = (Counts::default(), Times::default());
            let (traits, fault) = (Traits::default(), Some(fault));
            let replayed = Replayed::default();
            return Ok(Read { counts, fault, sha256: None, traits, times, from, replayed });
        }
        let chunk = shared.budget.chunk_bytes;
        let parts = reading.next(chunk).await.map_err(Broken::Store)?;
        let mut fed = Fed { parts, is_end: reading.is_ended() };
        let brief = self.sift_briefly(file, &fed);
        // Held until the object is sifted: so long may its bytes, or its window, be there.
        let mut room = None;
        if brief.is_none() && fed.may_be_zstd() {
            let found = self.wholes.room_for_window().await;
            room = Some(found.ok_or_else(|| Broken::Undelivered(crowded(file)))?);
        } else if !fed.is_end
            && let Some(found) = self.wholes.room_for(reading.size).await
        {
            let whole = reading.whole(fed.parts, found.bytes, chunk).await;
            fed = Fed { parts: whole.map_err(Broken::Store)?, is_end: reading.is_ended() };
            room = Some(found);
        }
        let (mut sifter, mut step) = match brief {
            Some(sifter) => (sifter, Ok(Progress::Done)),
            None => Box::pin(self.sift(self.sifter(file), fed)).await,
        };
        let mut counted = Counts::default();
        let mut bad = BadRecords::default();
        let mut times = Times::default();
        let mut replayed = Replayed::default();
        let fault = loop {
            self.count_bytes(&mut counted, sifter.counts());
            fed = match step {
                Ok(Progress::Done) => break None,
                Err(fault) => {
                    // Before the object is blamed: these may not be its bytes.
                    reading.vouch().await.map_err(Broken::Store)?;
                    break Some(fault);
                }
                Ok(Progress::Full) => {
                    *released = true;
                    let found = replayed.of(sifter.take(), &from, &mut bad);
                    times.note(&found);
                    let origin = Origin { more_follows: true, ..origin };
                    self.deliver(found, &from, origin).await?;
                    Fed::default()
                }
                Ok(Progress::NeedInput) => {
                    let parts = reading.next(chunk).await.map_err(Broken::Store)?;
                    Fed { parts, is_end: reading.is_ended() }
                }
            };
            (sifter, step) = Box::pin(self.sift(sifter, fed)).await;
        };
        let (counts, sha256, traits) = (sifter.counts(), sifter.sha256(), sifter.traits());
        let found = replayed.of(sifter.take(), &from, &mut bad);
        // A sink may take its time: what the room was for goes first, and only then the room.
        drop(sifter);
        drop(room);
        times.note(&found);
        self.deliver(found, &from, origin).await?;
        let fault = match (fault, bad.fault()) {
            (Some(fault), Some(more)) => {
                let detail = format!("{}; {}", fault.detail, more.detail);
                Some(ObjectFault { detail, ..fault })
            }
            (fault, more) => fault.or(more),
        };
        Ok(Read { counts, fault, sha256, traits, times, from, replayed })
    }

    fn sifter(&self, file: &LogFile) -> Sifter {
        self.sifter_up_to(self.shared.settings.max_inflated, file)
    }

    fn sifter_up_to(&self, max_inflated: u64, file: &LogFile) -> Sifter {
        let settings = &self.shared.settings;
        let max_held = self.shared.budget.held_bytes;
        let limits = SiftLimits { max_inflated, max_record: settings.max_record, max_held };
        let sifter = Sifter::new(limits, self.judge.clone())
            .with_key(&file.key)
            .with_multi_member(settings.multi_member);
        if settings.hash_objects { sifter.with_sha256() } else { sifter }
    }

    /// Feeds what was read and sifts it where work that keeps a core busy runs. A large future, which
    /// small files do without: put it on the heap.
    async fn sift(&self, mut sifter: Sifter, fed: Fed) -> (Sifter, Result<Progress, ObjectFault>) {
        let work = move |scratch: &mut _| {
            fed.into_sifter(&mut sifter);
            let step = sifter.run(scratch);
            (sifter, step)
        };
        self.shared.cpu.run(work).await
    }

    /// Sifts a small object on this very thread: the way to another one and back costs more than
    /// the work. The sifter, if it came to the object's end.
    ///
    /// Whatever the object claims to be, this is over soon: beyond [`BRIEF_BYTES`] inflated it is
    /// given up. Only a good end counts; everything else is found out anew by [`Self::sift`].
    fn sift_briefly(&self, file: &LogFile, fed: &Fed) -> Option<Sifter> {
        if !fed.is_small() {
            return None;
        }
        let most = self.shared.settings.max_inflated.min(BRIEF_BYTES as u64);
        let mut sifter = self.sifter_up_to(most, file);
        fed.clone().into_sifter(&mut sifter);
        let step = self.shared.cpu.run_briefly(|scratch| sifter.run(scratch));
        (step == Ok(Progress::Done)).then_some(sifter)
    }

    async fn deliver(
        &self,
        found: Vec<Found>,
        from: &Provenance,
        origin: Origin<'_>,
    ) -> Result<(), Broken> {
        if found.is_empty() {
            return Ok(());
        }
        // On the heap: few files have anything for anybody, and all would carry the room for it.
        let delivering = Box::pin(self.shared.dispatcher.deliver(found, from, origin));
        delivering.await.map_err(Broken::Undelivered)
    }

    /// What is known of the revision that answered. It need not be the notified one.
    async fn provenance(
        &self,
        file: &LogFile,
        source: Arc<Source>,
        notified: Option<&(ObjectId, Known)>,
    ) -> Provenance {
        let revision = Revision::of(source.version_id.as_deref(), source.etag.as_deref());
        let id = self.object_id(file, revision);
        let recalled = match notified {
            Some((notified, known)) if id.as_ref() == Some(notified) => {
                Some((notified.clone(), known.clone()))
            }
            _ => self.recall(id).await,
        };
        let (id, known) = recalled.unzip();
        let known = known.unwrap_or_default();
        Provenance { source, id, known, reading: self.reading, replay: None }
    }

    /// The records that are asked for, if what answered is what they were in. If it was overwritten since,
    /// their places say nothing any more: then it is an object like any other.
    fn asked_of(
        &self,
        object: &NotifiedObject,
        source: &Source,
        origin: Origin<'_>,
    ) -> Option<Asked> {
        let asked = Asked::of(object.replay.as_ref()?)?;
        let is_pinned = Revision::of(object.version_id.as_deref(), None).is_some();
        let etag = |etag: &Option<String>| Revision::of(None, etag.as_deref());
        if is_pinned || object.etag.is_none() || etag(&object.etag) == etag(&source.etag) {
            return Some(asked);
        }
        tracing::warn!(
            account = self.account.name,
            sqs.message_id = %origin.message.id,
            s3.bucket = source.bucket,
            s3.key = %source.key.escape_debug(),
            replay = asked.id,
            asked = asked.count(),
            "no records replayed: the object that they were in was overwritten"
        );
        None
    }

    fn count_bytes(&self, before: &mut Counts, now: Counts) {
        let account = self.account.name.as_str();
        let bytes = &self.shared.metrics.bytes;
        bytes.with_label_values(&[account, "compressed"]).inc_by(now.stored - before.stored);
        bytes.with_label_values(&[account, "inflated"]).inc_by(now.inflated - before.inflated);
        *before = now;
    }
}

fn crowded(file: &LogFile) -> Undelivered {
    Undelivered {
        what: format!(
            "{file}: too many zstd objects are read at present: `service.memory` bounds them"
        ),
        after: CROWDED_WAIT,
        fatal: false,
    }
}

/// The next bytes of an object, and whether it ends with them.
#[derive(Clone, Default)]
struct Fed {
    parts: Vec<Bytes>,
    is_end: bool,
}

impl Fed {
    fn into_sifter(self, sifter: &mut Sifter) {
        self.parts.into_iter().for_each(|part| sifter.feed(part));
        if self.is_end {
            sifter.end();
        }
    }

    /// Whether these first bytes of an object are zstd's, or too few to tell.
    fn may_be_zstd(&self) -> bool {
        let first: Vec<u8> = self.parts.iter().flatten().copied().take(ZSTD.len()).collect();
        let is_skippable = |rest| ZSTD_SKIPPABLE.starts_with(rest);
        let begins = ZSTD.starts_with(&first) || first.get(1..).is_some_and(is_skippable);
        begins && !first.is_empty()
    }

    /// Whether this is a whole object that is soon sifted, by what it says of itself.
    fn is_small(&self) -> bool {
        let stored: usize = self.parts.iter().map(Bytes::len).sum();
        if !self.is_end || stored > BRIEF_STORED {
            return false;
        }
        let is_gzip = self.parts.first().is_some_and(|part| part.starts_with(&GZIP));
        let size = self.parts.last().and_then(|part| part.last_chunk());
        let claim = size.map_or(0, |size| u32::from_le_bytes(*size));
        !is_gzip || claim as usize <= BRIEF_BYTES
    }
}
