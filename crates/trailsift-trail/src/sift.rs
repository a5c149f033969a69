//! One object's bytes in, its selected records out.

mod inflate;
mod judge;
mod key;
mod scalar;
mod scratch;
mod split;
mod traits;
mod window;

use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use trailsift_core::{Reason, Record};

use inflate::{InflateFault, Inflater, Step};
use split::{ElementKind, Event, SplitFault, Splitter};
use window::{PREFIX, Window};

pub use judge::Judge;
pub use scratch::Scratch;
pub use traits::{MultiMember, Trailing, Traits};

use crate::claims::Claims;

/// What one object may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiftLimits {
    /// Bytes that the object may inflate to; one more and it is [`Reason::TooLarge`].
    pub max_inflated: u64,
    /// Bytes of one record; a longer one is [`Reason::RecordTooLarge`] and never held in memory.
    pub max_record: usize,
    /// Bytes of what was found that are held before [`Progress::Full`] asks to take them early.
    pub max_held: usize,
}

/// Why [`Sifter::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All that was fed is used: [`Sifter::feed`] more, or [`Sifter::end`] the object.
    NeedInput,
    /// [`SiftLimits::max_held`] is reached: [`Sifter::take`] what was found, then run again. What
    /// is taken now is taken before the object is verified to its end.
    Full,
    /// The object is read and verified to its end.
    Done,
}

/// Something found in `Records`, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A record that routes want.
    Record(Record),
    /// An element that cannot be read; its neighbours can.
    Fault(FaultyRecord),
}

/// An element of `Records` to be parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyRecord {
    /// Its place in `Records`, counted from 0.
    pub index: u64,
    /// The name of the fault.
    pub reason: Reason,
    /// What exactly is wrong. May quote the record: escape it before showing it.
    pub detail: String,
    /// The element as it stands in the file, or its first KiB if it is longer than
    /// [`SiftLimits::max_record`].
    pub data: Bytes,
}

/// The object, or the rest of it, cannot be read, now or ever.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct ObjectFault {
    /// The name of the fault.
    pub reason: Reason,
    /// What exactly is wrong, and where. Quotes no more than one byte of the object, escaped.
    pub detail: String,
    /// The first KiB: of the object as stored, or for [`Reason::StructureLost`] of the inflated
    /// part that could not be split.
    pub data: Bytes,
}

/// What a sifter has seen. Always `seen = selected + filtered + quarantined`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes fed.
    pub stored: u64,
    /// Bytes inflated.
    pub inflated: u64,
    /// Elements of `Records`. Those that a fault of the whole object took back do not count.
    pub seen: u64,
    /// Records found for a route.
    pub selected: u64,
    /// Records that no route wants.
    pub filtered: u64,
    /// Elements that cannot be read.
    pub quarantined: u64,
    /// Selected records whose `eventVersion` is not 1.x.
    pub unknown_major: u64,
    /// Selected records whose `recipientAccountId` is not the account that the key names.
    pub other_account: u64,
    /// Selected records whose `awsRegion` is not the region that the key names.
    pub other_region: u64,
}

/// Reads one object: inflates it, splits its `Records`, selects.
///
/// It does no I/O and starts no thread: the caller feeds it, runs it where CPU work belongs, and
/// takes what it found. What it finds depends on the object's bytes only, not on how they are cut (but
/// see [`Scratch`]).
///
/// ```
/// # use trailsift_core::{RecordFault, RouteSet, Selection};
/// # use trailsift_trail::{Found, Judge, Progress, Scratch, SiftLimits, Sifter};
/// # #[derive(Debug)]
/// # struct Everything;
/// # impl Selection for Everything {
/// #     fn digest(&self) -> u64 { 0 }
/// #     fn literals(&self) -> &[Vec<u8>] { &[] }
/// #     fn select(&self, _: &[u8]) -> Result<RouteSet, RecordFault> {
/// #         let mut routes = RouteSet::EMPTY;
/// #         routes.insert(0);
/// #         Ok(routes)
/// #     }
/// # }
/// let judge = Judge::new(std::sync::Arc::new(Everything));
/// let mut scratch = Scratch::new(16 << 20);
/// let limits = SiftLimits { max_inflated: 1 << 30, max_record: 1 << 20, max_held: 8 << 20 };
/// let mut sifter = Sifter::new(limits, judge);
/// sifter.feed(br#"{"Records":[{"eventName":"ListCode"#.as_slice().into());
/// assert_eq!(sifter.run(&mut scratch)?, Progress::NeedInput);
/// sifter.feed(br#"Reviews"}]}"#.as_slice().into());
/// sifter.end();
/// assert_eq!(sifter.run(&mut scratch)?, Progress::Done);
/// let found = sifter.take();
/// assert!(matches!(&found[..], [Found::Record(record)]
///     if record.bytes.as_ref() == br#"{"eventName":"ListCodeReviews"}"#));
/// # Ok::<(), trailsift_trail::ObjectFault>(())
/// ```
pub struct Sifter {
    max_record: usize,
    max_held: usize,
    judge: Judge,
    claims: Claims,
    inflater: Inflater,
    splitter: Splitter,
    window: Window,
    /// The object's first [`PREFIX`] bytes as stored.
    head: Vec<u8>,
    found: Vec<Found>,
    held_bytes: usize,
    counts: Counts,
    /// The counts when something was last taken early: what a fault of the whole object leaves.
    released: Counts,
    /// The document broke a rule. It is reported once the stream is verified to its end: a damaged
    /// stream is the truer name for broken JSON, and delivers nothing.
    broken: Option<SplitFault>,
    /// The stream cannot be read. It is reported once there is a whole KiB of it to show.
    damaged: Option<InflateFault>,
    hasher: Option<Sha256>,
    sha256: Option<[u8; 32]>,
    outcome: Option<Result<Progress, ObjectFault>>,
}

impl Sifter {
    /// A sifter for one object.
    pub fn new(limits: SiftLimits, judge: Judge) -> Self {
        Self {
            max_record: limits.max_record,
            max_held: limits.max_held,
            judge,
            claims: Claims::default(),
            inflater: Inflater::new(limits.max_inflated),
            splitter: Splitter::new(),
            window: Window::new(),
            head: Vec::new(),
            found: Vec::new(),
            held_bytes: 0,
            counts: Counts::default(),
            released: Counts::default(),
            broken: None,
            damaged: None,
            hasher: None,
            sha256: None,
            outcome: None,
        }
    }

    /// Compares the selected records with what the object's (decoded) key says, and counts those that
    /// differ. Call it before the first feed.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        self.claims = Claims::of_key(key);
        self
    }

    /// What to do with several compressed streams in a row; without it they are rejected. Call it
    /// before the first feed.
    #[must_use]
    pub fn with_multi_member(mut self, multi_member: MultiMember) -> Self {
        self.inflater.set_multi_member(multi_member);
        self
    }

    /// Takes the SHA-256 of the inflated bytes on the way. Call it before the first feed.
    #[must_use]
    pub fn with_sha256(mut self) -> Self {
        self.hasher = Some(Sha256::new());
        self
    }

    /// Adds the next bytes of the object as stored: gzip, zstd or plain JSON, told apart by the
    /// bytes alone. They are held until [`Self::run`] has used them, so feed no more than memory
    /// allows at once.
    pub fn feed(&mut self, stored: Bytes) {
        let wanted = PREFIX - self.head.len();
        self.head.extend_from_slice(&stored[..wanted.min(stored.len())]);
        self.inflater.feed(stored);
    }

    /// Says that the object has no more bytes. Call it only for an object that was read whole: what
    /// is missing will be called truncated.
    pub fn end(&mut self) {
        self.inflater.end();
    }

    /// Works until it needs something. An object that was fed whole before the first run, and
    /// [ended](Self::end), is inflated at once where the scratch's limit allows. After
    /// [`Progress::Done`] or an error the object is over, and running again says the same.
    ///
    /// # Errors
    /// If the object cannot be read. [`Self::take`] then yields what may still be delivered: for
    /// [`Reason::StructureLost`] what stands before that place, for every other reason nothing.
    pub fn run(&mut self, scratch: &mut Scratch) -> Result<Progress, ObjectFault> {
        loop {
            if let Some(outcome) = &self.outcome {
                return outcome.clone();
            }
            if self.damaged.is_some() && self.head.len() < PREFIX && !self.inflater.is_ended() {
                return Ok(Progress::NeedInput);
            }
            if let Some(InflateFault { reason, detail }) = self.damaged.take() {
                self.outcome = Some(Err(self.object_fault(reason, detail)));
                continue;
            }
            self.inflate_whole(scratch);
            if self.broken.is_none() {
                if let Err(fault) = self.split() {
                    self.window.remember(fault.from);
                    self.broken = Some(fault);
                } else if self.is_full() {
                    if self.inflater.is_whole() {
                        // While somebody takes what was found, the core's memory is for others.
                        scratch.take_back(self.window.release());
                        self.restart_in_pieces();
                        continue;
                    }
                    return Ok(Progress::Full);
                }
            }
            if self.inflater.is_whole() {
                self.finish();
                scratch.take_back(self.window.release());
                continue;
            }
            let keep = self.keep();
            match self.inflater.step(self.window.room(keep)) {
                Ok(Step::Output(count)) => {
                    let inflated = self.window.fill(count);
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(inflated);
                    }
                }
                Ok(Step::NeedInput) => return Ok(Progress::NeedInput),
                Ok(Step::End) => self.finish(),
                Err(fault) => self.damaged = Some(fault),
            }
        }
    }

    /// Hands over what was found and not yet taken, in file order.
    ///
    /// Call it at the end of the object, so that nothing is delivered from one that is damaged
    /// further on; earlier only when told [`Progress::Full`].
    pub fn take(&mut self) -> Vec<Found> {
        self.held_bytes = 0;
        if !self.found.is_empty() {
            self.released = self.counts;
        }
        std::mem::take(&mut self.found)
    }

    /// The memory that is taken by what was found and not yet taken, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// What was seen so far.
    pub fn counts(&self) -> Counts {
        let (stored, inflated) = (self.inflater.stored(), self.inflater.inflated());
        Counts { stored, inflated, ..self.counts }
    }

    /// How the object is stored, as far as it was read.
    pub fn traits(&self) -> Traits {
        Traits { has_mark: self.splitter.has_mark(), ..self.inflater.traits() }
    }

    /// The SHA-256 of all inflated bytes, as `gzip -dc` writes them, where it was asked for and the
    /// stream was read and verified to its end: also of a document that broke a rule.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256
    }

    fn is_full(&self) -> bool {
        !self.found.is_empty() && self.held_bytes >= self.max_held
    }

    /// Inflates the object in one go, where that can be done.
    fn inflate_whole(&mut self, scratch: &mut Scratch) {
        // Where every record may be selected, what is too much to be held is read in pieces at once.
        let limit = if self.judge.reads_all() { self.max_held } else { usize::MAX };
        let Some(inflated) = self.inflater.inflate_whole(scratch, limit) else { return };
        self.window.adopt(scratch.lend(), inflated);
        if let Some(mut hasher) = self.hasher.take() {
            hasher.update(self.window.since(0));
            self.sha256 = Some(hasher.finalize().into());
        }
    }

    /// Begins anew with an object that was inflated at once and of which nothing was taken yet.
    fn restart_in_pieces(&mut self) {
        self.inflater.restart_in_pieces();
        self.splitter = Splitter::new();
        self.window = Window::new();
        self.found.clear();
        self.held_bytes = 0;
        self.counts = Counts::default();
        self.hasher = self.sha256.take().map(|_| Sha256::new());
    }

    /// Judges the document: the stream is verified to its end.
    fn finish(&mut self) {
        if let Some(hasher) = self.hasher.take() {
            self.sha256 = Some(hasher.finalize().into());
        }
        let result = match self.broken.take() {
            Some(fault) => Err(fault),
            None => self.splitter.finish(),
        };
        self.outcome = Some(result.map(|()| Progress::Done).map_err(|fault| {
            self.window.remember(fault.from);
            self.document_fault(fault)
        }));
    }

    /// Splits and judges what the window holds.
    fn split(&mut self) -> Result<(), SplitFault> {
        while !self.is_full() {
            let bytes = self.window.since(self.splitter.offset());
            match self.splitter.next(bytes)? {
                Event::More => break,
                Event::Element { start, end, kind, has_backslash } => {
                    self.element(start, end, kind, has_backslash);
                }
                Event::RecordsEnd { end } => self.window.remember(end),
            }
        }
        Ok(())
    }

    /// From where on the window must hold its bytes: an unfinished record is kept while it may
    /// still turn out short enough.
    fn keep(&mut self) -> u64 {
        let offset = self.splitter.offset();
        if self.broken.is_some() {
            return self.window.end();
        }
        match self.splitter.open_element() {
            Some(start) if self.is_too_large(offset - start) => {
                self.window.remember(start);
                offset
            }
            Some(start) => start,
            None => offset,
        }
    }

    fn is_too_large(&self, length: u64) -> bool {
        length > self.max_record as u64
    }

    fn element(&mut self, start: u64, end: u64, kind: ElementKind, has_backslash: bool) {
        let index = self.counts.seen;
        self.counts.seen += 1;
        let length = end - start;
        let fault = |reason, detail: String, data: &[u8]| {
            let data = Bytes::copy_from_slice(data);
            Found::Fault(FaultyRecord { index, reason, detail, data })
        };
        let record = self.window.span(start, end).filter(|_| !self.is_too_large(length));
        let found = match (record, kind) {
            (Some(record), ElementKind::Object) => {
                match self.judge.judge(record, has_backslash, &self.claims) {
                    Ok((routes, _)) if routes.is_empty() => {
                        self.counts.filtered += 1;
                        return;
                    }
                    Ok((routes, odd)) => {
                        self.counts.unknown_major += u64::from(odd.unknown_major);
                        self.counts.other_account += u64::from(odd.other_account);
                        self.counts.other_region += u64::from(odd.other_region);
                        let bytes = Bytes::copy_from_slice(record);
                        Found::Record(Record { index, bytes, routes })
                    }
                    Err(error) => fault(error.reason, error.detail, record),
                }
            }
            (Some(record), ElementKind::NotObject) => {
                fault(Reason::RecordType, "the record is not an object".into(), record)
            }
            (Some(record), ElementKind::Garbage) => {
                fault(Reason::RecordSyntax, "the record is no JSON value".into(), record)
            }
            (None, _) => {
                let detail = format!("the record has {length} bytes, over {}", self.max_record);
                self.window.remember(start);
                let prefix = self.window.remembered(start);
                let shown = usize::try_from(length).map_or(prefix.len(), |n| n.min(prefix.len()));
                fault(Reason::RecordTooLarge, detail, &prefix[..shown])
            }
        };
        let (count, bytes) = match &found {
            Found::Record(record) => (&mut self.counts.selected, record.bytes.len()),
            Found::Fault(fault) => {
                (&mut self.counts.quarantined, fault.data.len() + fault.detail.len())
            }
        };
        *count += 1;
        self.held_bytes += bytes + size_of::<Found>();
        self.found.push(found);
    }

    fn document_fault(&mut self, fault: SplitFault) -> ObjectFault {
        let SplitFault { reason, detail, from } = fault;
        if reason == Reason::StructureLost {
            let data = Bytes::copy_from_slice(self.window.remembered(from));
            ObjectFault { reason, detail, data }
        } else {
            self.object_fault(reason, detail)
        }
    }

    /// The object as a whole is at fault: nothing of it counts but what was released before.
    fn object_fault(&mut self, reason: Reason, detail: String) -> ObjectFault {
        self.found.clear();
        self.held_bytes = 0;
        self.counts = self.released;
        ObjectFault { reason, detail, data: Bytes::copy_from_slice(&self.head) }
    }
}

impl fmt::Debug for Sifter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sifter")
            .field("counts", &self.counts())
            .field("held_bytes", &self.held_bytes)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
