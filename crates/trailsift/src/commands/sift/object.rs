//! One file: read, sifted, and written down.

use std::fs::File;
use std::io::{self, Read, stdin};
use std::path::Path;

use bytes::Bytes;
use trailsift_trail::{
    FaultyRecord, Found, Judge, MultiMember, ObjectFault, Progress as Sifting, Scratch, SiftLimits,
    Sifter,
};

use super::human;
use super::order::Turn;
use super::progress::Progress;
use super::summary::Summary;
use crate::commands::complain;

/// How much of a file is read at once, in bytes.
const CHUNK: usize = 256 << 10;
/// How many bad records of one file are named; the others are only counted.
const NAMED_FAULTS: u64 = 10;

/// How selected events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// The record's bytes, one a line.
    Lines,
    /// What a person wants to see of it, one a line.
    Human,
    /// Not at all.
    Nothing,
}

/// What is the same for every file.
#[derive(Clone)]
pub(super) struct Sieve {
    pub(super) judge: Judge,
    pub(super) multi_member: MultiMember,
    pub(super) limits: SiftLimits,
    pub(super) shape: Shape,
}

impl Sieve {
    /// Sifts the file, or standard input for `-`. What is wrong with it is named and counted.
    pub(super) fn sift(
        &self,
        path: &Path,
        turn: &mut Turn<'_>,
        summary: &mut Summary,
        progress: &Progress,
    ) {
        let name = path.display().to_string();
        let mut file = OneFile { sieve: self, name: &name, turn, summary, progress, faults: 0 };
        let result = if path.as_os_str() == "-" {
            file.read(stdin().lock(), CHUNK)
        } else {
            File::open(path).and_then(|opened| {
                // One byte more, so that the end of a small file is seen without growing.
                let size = opened.metadata()?.len().saturating_add(1);
                file.read(opened, usize::try_from(size).unwrap_or(CHUNK).clamp(4096, CHUNK))
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
        let mut scratch = Scratch::new(0);
        let result = loop {
            match sifter.run(&mut scratch) {
                Ok(Sifting::NeedInput) => {
                    let bytes = next_chunk(&mut from, chunk)?;
                    self.progress.read(bytes.len());
                    match bytes.is_empty() {
                        true => sifter.end(),
                        false => sifter.feed(bytes),
                    }
                }
                Ok(Sifting::Full) => {
                    self.keep(sifter.take());
                    self.turn.flush();
                }
                Ok(Sifting::Done) => break Ok(()),
                Err(fault) => break Err(fault),
            }
            let now = sifter.counts().inflated;
            self.progress.inflated(now - inflated);
            inflated = now;
        };
        self.keep(sifter.take());
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

    fn keep(&mut self, found: Vec<Found>) {
        for found in found {
            match found {
                Found::Record(record) => match self.sieve.shape {
                    Shape::Lines => append_line(&mut self.turn.text, &record.bytes),
                    Shape::Human => human::append(&mut self.turn.text, &record.bytes),
                    Shape::Nothing => {}
                },
                Found::Fault(FaultyRecord { index, reason, detail, .. }) => {
                    self.faults += 1;
                    self.summary.bad_record(reason.as_str());
                    if self.faults <= NAMED_FAULTS {
                        self.complain(&format!("record {index}: {reason}: {detail}"));
                    }
                }
            }
        }
    }

    fn complain(&self, what: &str) {
        self.progress.aside(|| complain(&format!("{}: {what}", self.name)));
    }
}

fn next_chunk(from: &mut impl Read, size: usize) -> io::Result<Bytes> {
    let mut chunk = vec![0; size];
    let mut filled = 0;
    // Filled up, so that a slow pipe costs no more calls to the sifter than a file.
    while filled < size {
        match from.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    chunk.truncate(filled);
    Ok(chunk.into())
}

/// The record as one line: JSON allows line breaks only between its tokens, so removing them
/// changes no value.
fn append_line(out: &mut Vec<u8>, record: &[u8]) {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if record.iter().any(is_break) {
        out.extend(record.iter().filter(|byte| !is_break(byte)));
    } else {
        out.extend_from_slice(record);
    }
    out.push(b'\n');
}
