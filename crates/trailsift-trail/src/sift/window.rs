//! The only bytes of an object that are kept while it is read.

/// How much of something parked is shown where it is too large to be shown whole.
pub(super) const PREFIX: usize = 1024;
/// The first room, enough for most small files.
const FIRST: usize = 32 << 10;
/// The usual room: large enough that its handling costs nothing, small enough to stay in a cache.
pub(super) const STEP: usize = 128 << 10;

/// A stretch of the inflated bytes: those of the record that is not yet at its end, then room.
/// Offsets count inflated bytes from the document's start.
pub(super) struct Window {
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    base: u64,
    filled: usize,
    /// The last room was used up: a larger one pays.
    was_full: bool,
    /// The start of something that may not stay in the buffer.
    prefix: Option<Prefix>,
}

struct Prefix {
    from: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { buffer: Vec::new(), base: 0, filled: 0, was_full: false, prefix: None }
    }

    /// Takes a buffer of which the first `filled` bytes are the whole document.
    pub(super) fn adopt(&mut self, buffer: Vec<u8>, filled: usize) {
        (self.buffer, self.base, self.filled) = (buffer, 0, filled);
    }

    /// Gives the adopted buffer up, and with it all of the document but what is remembered.
    pub(super) fn release(&mut self) -> Vec<u8> {
        (self.base, self.filled) = (0, 0);
        std::mem::take(&mut self.buffer)
    }

    /// The bytes from `offset` on, which must not be given up yet.
    pub(super) fn since(&self, offset: u64) -> &[u8] {
        &self.buffer[self.index(offset)..self.filled]
    }

    /// The bytes of a span, unless its start was given up.
    pub(super) fn span(&self, start: u64, end: u64) -> Option<&[u8]> {
        (start >= self.base).then(|| &self.buffer[self.index(start)..self.index(end)])
    }

    /// Gives up everything before `keep` where that makes room, and returns the room: never empty,
    /// at most [`STEP`] bytes. The buffer grows only with what is kept.
    pub(super) fn room(&mut self, keep: u64) -> &mut [u8] {
        let kept = self.filled - self.index(keep);
        let is_short = self.buffer.len() - self.filled < STEP / 2;
        if kept == 0 || is_short {
            self.buffer.copy_within(self.filled - kept..self.filled, 0);
            self.base = keep;
            self.filled = kept;
        }
        let room = self.buffer.len() - self.filled;
        if self.buffer.is_empty() {
            self.buffer.resize(FIRST, 0);
        } else if room == 0 || room < STEP / 2 && self.was_full {
            let size = (self.filled + STEP).max(self.buffer.len() * 5 / 4);
            self.buffer.reserve_exact(size - self.buffer.len());
            self.buffer.resize(size, 0);
        }
        let end = self.buffer.len().min(self.filled + STEP);
        &mut self.buffer[self.filled..end]
    }

    /// The first `count` bytes of the room are written: these.
    pub(super) fn fill(&mut self, count: usize) -> &[u8] {
        let from = self.filled;
        let written = &self.buffer[from..from + count];
        if let Some(prefix) = &mut self.prefix {
            let wanted = PREFIX - prefix.bytes.len();
            prefix.bytes.extend_from_slice(&written[..wanted.min(count)]);
        }
        self.filled += count;
        self.was_full = self.filled == self.buffer.len();
        &self.buffer[from..self.filled]
    }

    /// The offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.base + self.filled as u64
    }

    /// Remembers the first [`PREFIX`] bytes from `from` on, also those that come later.
    pub(super) fn remember(&mut self, from: u64) {
        let is_remembered = self.prefix.as_ref().is_some_and(|prefix| prefix.from == from);
        if !is_remembered && from >= self.base {
            let bytes = self.since(from);
            let bytes = bytes[..bytes.len().min(PREFIX)].to_vec();
            self.prefix = Some(Prefix { from, bytes });
        }
    }

    /// What is remembered from `from` on.
    pub(super) fn remembered(&self, from: u64) -> &[u8] {
        match &self.prefix {
            Some(prefix) if prefix.from == from => &prefix.bytes,
            _ => &[],
        }
    }

    /// The bytes allocated, for tests of the bound.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffer.capacity() + self.prefix.as_ref().map_or(0, |prefix| prefix.bytes.capacity())
    }

    /// Where in the buffer an offset is that is still held.
    fn index(&self, offset: u64) -> usize {
        usize::try_from(offset - self.base).unwrap_or(usize::MAX)
    }
}
