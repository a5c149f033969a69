use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress};

/// Magic, deflate, no flags, no time, no hints, unknown system: RFC 1952, section 2.3.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The last block of a deflate stream, without content: RFC 1951, section 3.2.3.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Bytes that are compressed once, to be used any number of times.
#[derive(Debug)]
pub struct Patch {
    deflated: Vec<u8>,
    crc: Crc,
    inflated: u64,
}

impl Patch {
    /// Compresses these bytes on their own: the result refers to nothing outside of it.
    ///
    /// # Errors
    /// If the compressor fails, which memory gives it no reason to.
    pub fn new(plain: &[u8]) -> io::Result<Self> {
        let mut compress = Compress::new(Compression::new(5), false);
        let mut deflated = Vec::new();
        loop {
            deflated.reserve(64 << 10);
            let done = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            // A full flush ends on a byte's border and forgets what came before.
            compress.compress_vec(&plain[done..], &mut deflated, FlushCompress::Full)?;
            // Room left over: everything is in and out.
            if deflated.len() < deflated.capacity() {
                break;
            }
        }
        let mut crc = Crc::new();
        crc.update(plain);
        Ok(Self { deflated, crc, inflated: plain.len() as u64 })
    }
}

/// One gzip member that is sewn together from patches. What is repeated costs no compression, so
/// gigabytes take moments, and stored they are a thousandth of it.
#[derive(Debug)]
pub struct Patchwork {
    stored: Vec<u8>,
    crc: Crc,
    inflated: u64,
}

impl Default for Patchwork {
    fn default() -> Self {
        Self { stored: HEADER.to_vec(), crc: Crc::new(), inflated: 0 }
    }
}

impl Patchwork {
    /// Appends the patch.
    pub fn push(&mut self, patch: &Patch) {
        self.stored.extend_from_slice(&patch.deflated);
        self.crc.combine(&patch.crc);
        self.inflated += patch.inflated;
    }

    /// How many bytes it inflates to so far.
    pub fn inflated(&self) -> u64 {
        self.inflated
    }

    /// The whole member.
    pub fn finish(self) -> Vec<u8> {
        let Self { mut stored, crc, inflated } = self;
        stored.extend_from_slice(&LAST_BLOCK);
        stored.extend_from_slice(&crc.sum().to_le_bytes());
        // Modulo 2^32, as RFC 1952 has it.
        stored.extend_from_slice(&inflated.to_le_bytes()[..4]);
        stored
    }
}
