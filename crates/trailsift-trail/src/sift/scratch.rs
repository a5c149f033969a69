//! Memory that a core keeps from one object to the next.

use std::fmt;

use libdeflater::Decompressor;
use memchr::memmem;

/// A gzip member's header and trailer: RFC 1952, section 2.3.
const FRAME: usize = 18;
/// The flag of a header that has a checksum of its own, which the one-shot library does not look at.
const HAS_HEADER_CHECKSUM: u8 = 1 << 1;
/// Deflate makes nothing more than this many times as large.
const BEST_RATIO: usize = 1032;

/// What inflating a whole object at once takes, kept for the next one: one per thread that sifts.
///
/// An object that is fed whole before the first [`Sifter::run`](super::Sifter::run), and that inflates
/// to no more than the limit, is inflated by a library that is faster but cannot stop half-way. All
/// others, and all that it does not find sound, are read piece by piece; what is found is the same. One
/// exception: it reads some streams that RFC 1951 forbids, with a right checksum, which are refused piece by
/// piece.
pub struct Scratch {
    limit: usize,
    decompressor: Option<Decompressor>,
    buffer: Vec<u8>,
}

impl Scratch {
    /// Inflates objects of up to `limit` bytes, inflated, at once; 0 for none. That many bytes are
    /// what it holds at most, and keeps.
    pub fn new(limit: usize) -> Self {
        Self { limit, decompressor: None, buffer: Vec::new() }
    }

    /// How many bytes it keeps.
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// The largest object that is inflated at once, in bytes inflated.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Inflates `stored` if it is exactly one sound gzip member of `size` bytes inflated, which are
    /// then the first ones of [`Self::lend`].
    pub(super) fn inflate(&mut self, stored: &[u8], size: usize) -> Option<usize> {
        let is_plausible = size > 0 && size / BEST_RATIO < stored.len() && size <= self.limit;
        if !is_plausible || stored.len() < FRAME || stored[3] & HAS_HEADER_CHECKSUM != 0 {
            return None;
        }
        if self.buffer.len() < size {
            // A quarter more, so that it is not made anew for every file that is a little larger. The
            // old one goes first: nothing of it is needed, and both would be more than the limit.
            self.buffer = Vec::new();
            self.buffer = vec![0; (size + size / 4).min(self.limit)];
        }
        let decompressor = self.decompressor.get_or_insert_with(Decompressor::new);
        let out = &mut self.buffer[..size];
        let inflated = decompressor.gzip_decompress(stored, out).ok()?;
        // The library does not tell where the member ended. It has seen its size in the member's last
        // four bytes: if these stand nowhere but at the end, so does the member's end.
        let trailer = u32::try_from(size).ok()?.to_le_bytes();
        let is_all = memmem::find(&stored[..stored.len() - 1], &trailer).is_none();
        (inflated == size && is_all).then_some(size)
    }

    /// Lends the buffer out; [`Self::take_back`] returns it.
    pub(super) fn lend(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    pub(super) fn take_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("limit", &self.limit)
            .field("held_bytes", &self.held_bytes())
            .finish_non_exhaustive()
    }
}
