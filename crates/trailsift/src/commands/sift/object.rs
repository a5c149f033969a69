//! One file: read, sifted, and written down.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use trailsift_core::Record;
use trailsift_route::{Format, Formatter, Origin};
use trailsift_trail::{
    FaultyRecord, Found, Judge, MultiMember, ObjectFault, Progress as Sifting, Scratch, SiftLimits,
    Sifter,
};

use super::order::Turn;
use super::progress::Progress;
use super::summary::Summary;
use super::table::Table;
use super::tally::{Field, Tally};
use crate::commands::complain;

/// How much is read at once of what is read in pieces, in bytes.
const CHUNK: usize = 256 << 10;
/// The largest file that is read whole, in bytes. CloudTrail's own are far below.
const WHOLE: u64 = 4 << 20;
/// What a file that is read whole may inflate to and still be inflated in one go, in bytes: a
/// thread that meets one keeps that much memory.
const ONE_SHOT: usize = 16 << 20;
/// What all threads together may keep for that, in bytes.
const ALL_ONE_SHOTS: usize = 256 << 20;
/// What is held of one file's output before it is written, in bytes. What a format makes of an event
/// may be ten times as long.
const MAX_TEXT: usize = 8 << 20;
/// How many bad records of one file are named; the others are only counted.
const NAMED_FAULTS: u64 = 10;

/// What becomes of selected events.
pub(super) enum Shape {
    /// They are written in a format, one a line.
    Lines(Formatter),
    /// A person sees them in a table, one a line.
    Table(Table),
    /// They are counted by a field.
    Tally(Field),
    /// Only their number is of interest.
    Nothing,
}

/// What is the same for every file.
pub(super) struct Sieve {
    pub(super) judge: Judge,
    pub(super) multi_member: MultiMember,
    pub(super) limits: SiftLimits,
    pub(super) shape: Shape,
}

/// What a thread keeps from one file to the next.
#[derive(Debug)]
pub(super) struct Desk {
    scratch: Scratch,
    /// Where stored bytes are read to: the room of the last file is used again.
    room: BytesMut,
    /// What the thread has counted.
    pub(super) tally: Tally,
}

impl Desk {
    /// For one of so many threads.
    pub(super) fn new(threads: usize) -> Self {
        let scratch = Scratch::new(ONE_SHOT.min(ALL_ONE_SHOTS / threads.max(1)));
        Self { scratch, room: BytesMut::new(), tally: Tally::default() }
    }
}

impl Sieve {
    /// Whether going on would be for nothing.
    pub(super) fn is_overfull(&self) -> bool {
        matches!(&self.shape, Shape::Tally(field) if field.is_overfull())
    }

    /// Sifts the file, or standard input for `-`. What is wrong with it is named and counted.
    pub(super) fn sift(
        &self,
        path: &Path,
        desk: &mut Desk,
        turn: &mut Turn<'_>,
        summary: &mut Summary,
        progress: &Progress,
    ) {
        let name = path.display().to_string();
        let mut file =
            OneFile { sieve: self, name: &name, desk, turn, summary, progress, faults: 0 };
        let result = if path.as_os_str() == "-" {
            file.read(stdin().lock(), CHUNK)
        } else {
            File::open(path).and_then(|opened| {
                // One byte more, so that the end of the file is seen with its last bytes. The size
                // of what is no regular file, or still grows, says nothing: such is read on.
                let size = opened.metadata()?.len();
                let chunk =
                    if size > WHOLE { CHUNK } else { usize::try_from(size + 1).unwrap_or(CHUNK) };
                file.read(opened, chunk.max(4096))
            })
        };
        if let Err(error) = result {
            summary.failed("unreadable");
            progress.aside(|| complain(&format!("{name}: cannot be read: {error}")));
        }
    }
}

struct OneFile<'a, 't> {
    sieve: &'a Sieve,
    name: &'a str,
    desk: &'a mut Desk,
    turn: &'a mut Turn<'t>,
    summary: &'a mut Summary,
    progress: &'a Progress,
    faults: u64,
}

impl OneFile<'_, '_> {
    fn read(&mut self, mut from: impl Read, chunk: usize) -> io::Result<()> {
        let mut sifter = Sifter::new(self.sieve.limits, self.sieve.judge.clone())
            .with_multi_member(self.sieve.multi_member);
        let mut inflated = 0;
        let progress = self.progress;
        let mut feed = |sifter: &mut Sifter, room: &mut BytesMut| -> io::Result<()> {
            let (bytes, is_all) = next_chunk(&mut from, chunk, room)?;
            progress.read(bytes.len());
            sifter.feed(bytes);
            if is_all {
                sifter.end();
            }
            Ok(())
        };
        // What is fed whole before the first run is inflated in one go.
        feed(&mut sifter, &mut self.desk.room)?;
        let result = loop {
            match sifter.run(&mut self.desk.scratch) {
                Ok(Sifting::NeedInput) => feed(&mut sifter, &mut self.desk.room)?,
                // The end of this file may be far, and whoever feeds a pipe waits for it.
                Ok(Sifting::Full) => {
                    if !(self.keep(sifter.take()) && self.write()) {
                        return Ok(());
                    }
                }
                Ok(Sifting::Done) => break Ok(()),
                Err(fault) => break Err(fault),
            }
            let now = sifter.counts().inflated;
            self.progress.inflated(now - inflated);
            inflated = now;
        };
        self.progress.inflated(sifter.counts().inflated - inflated);
        if !self.keep(sifter.take()) {
            return Ok(());
        }
        self.summary.file(sifter.counts());
        if self.faults > NAMED_FAULTS {
            let more = self.faults - NAMED_FAULTS;
            self.complain(&format!("and {more} more bad records"));
        }
        if let Err(ObjectFault { reason, detail, .. }) = result {
            self.summary.failed(reason.as_str());
            self.complain(&format!("{reason}: {detail}"));
        }
        Ok(())
    }

    /// Whether to go on.
    fn keep(&mut self, found: Vec<Found>) -> bool {
        for found in found {
            match found {
                Found::Record(record) => self.keep_record(&record),
                Found::Fault(FaultyRecord { index, reason, detail, .. }) => {
                    self.faults += 1;
                    self.summary.bad_record(reason.as_str());
                    if self.faults <= NAMED_FAULTS {
                        self.complain(&format!("record {index}: {reason}: {detail}"));
                    }
                }
            }
            if self.turn.text.len() >= MAX_TEXT && !self.write() {
                return false;
            }
        }
        true
    }

    /// Writes what there is so far. Whether to go on: somebody still wants to know.
    fn write(&mut self) -> bool {
        self.turn.flush() && !self.sieve.is_overfull()
    }

    fn keep_record(&mut self, record: &Record) {
        let out = &mut self.turn.text;
        match &self.sieve.shape {
            Shape::Lines(formatter) if formatter.format() == Format::Raw => {
                append_line(out, &record.bytes);
            }
            Shape::Lines(formatter) => {
                let key = Some(self.name).filter(|name| *name != "-");
                let origin = Origin { key, ..Origin::default() };
                append_line(out, &formatter.render(record, record.routes, origin));
            }
            Shape::Table(table) => table.append(out, &record.bytes),
            Shape::Tally(field) => self.desk.tally.add(field, &record.bytes),
            Shape::Nothing => {}
        }
    }

    fn complain(&self, what: &str) {
        self.progress.aside(|| complain(&format!("{}: {what}", self.name)));
    }
}

/// The next bytes, and whether they are the last ones.
fn next_chunk(from: &mut impl Read, size: usize, room: &mut BytesMut) -> io::Result<(Bytes, bool)> {
    room.resize(size, 0);
    let mut filled = 0;
    // Filled up, so that a slow pipe costs no more calls to the sifter than a file.
    while filled < size {
        match from.read(&mut room[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let bytes = room.split_to(filled).freeze();
    room.clear();
    Ok((bytes, filled < size))
}

/// The event as one line: JSON allows line breaks only between its tokens, so removing them
/// changes no value.
fn append_line(out: &mut Vec<u8>, event: &[u8]) {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if event.iter().any(is_break) {
        out.extend(event.iter().filter(|byte| !is_break(byte)));
    } else {
        out.extend_from_slice(event);
    }
    out.push(b'\n');
}
