//! Stored bytes in, inflated bytes out: which coding it is, and whether the stream is whole.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use trailsift_core::Reason;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::scratch::Scratch;
use super::traits::{MultiMember, Traits};

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes, 1 or more, were written.
    Output(usize),
    /// The stored bytes are used up and more may come.
    NeedInput,
    /// The object is over, verified to its end.
    End,
}

/// The object cannot be inflated, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InflateFault {
    pub(super) reason: Reason,
    pub(super) detail: String,
}

/// The largest window of a zstd frame, as a power of two: 8 MiB, what RFC 8878 (section 3.1.1.1.2)
/// asks every decoder to support. It bounds the memory of one object.
const ZSTD_WINDOW_LOG: u32 = 23;
const ZSTD_WINDOW: &str = "zstd with a window of more than 8 MiB";
/// As many bytes as the longest magic number has, and a zstd frame's window.
const MAGIC: usize = 6;
/// How a gzip member begins.
const GZIP: [u8; 2] = [0x1F, 0x8B];

enum Codec {
    /// Not enough bytes seen yet.
    Unknown,
    Plain,
    Gzip(Box<Decompress>),
    Zstd(Box<Decoder<'static>>),
    /// A compressed stream is over; another one may only follow where that is allowed. Setting up a
    /// zstd decoder costs more than a small frame: it is kept for the next one.
    Over(Option<Box<Decoder<'static>>>),
    /// Zeros pad the object; nothing else may follow.
    Padding,
}

/// One object's inflater.
pub(super) struct Inflater {
    input: VecDeque<Bytes>,
    is_ended: bool,
    codec: Codec,
    multi_member: MultiMember,
    traits: Traits,
    /// The codec may still hold output for which there was no room.
    has_more: bool,
    /// What the codec said after it had written what came before.
    failed: Option<InflateFault>,
    stored: u64,
    inflated: u64,
    max_inflated: u64,
    whole: Whole,
}

/// Whether the object may be inflated in one go, which is twice as fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    /// Nothing was tried yet.
    Untried,
    /// It is read piece by piece.
    No,
    /// All of it is given out; the input is kept for [`Inflater::restart_in_pieces`].
    Yes,
}

impl Inflater {
    pub(super) fn new(max_inflated: u64) -> Self {
        Self {
            input: VecDeque::new(),
            is_ended: false,
            codec: Codec::Unknown,
            multi_member: MultiMember::Reject,
            traits: Traits::default(),
            has_more: false,
            failed: None,
            stored: 0,
            inflated: 0,
            max_inflated,
            whole: Whole::Untried,
        }
    }

    pub(super) fn set_multi_member(&mut self, multi_member: MultiMember) {
        self.multi_member = multi_member;
    }

    /// How the object is stored, but for what only the inflated bytes show.
    pub(super) fn traits(&self) -> Traits {
        self.traits
    }

    pub(super) fn feed(&mut self, stored: Bytes) {
        self.stored += stored.len() as u64;
        if !stored.is_empty() {
            self.input.push_back(stored);
        }
    }

    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Bytes fed.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// Bytes given out.
    pub(super) fn inflated(&self) -> u64 {
        self.inflated
    }

    /// Inflates all of an object in one go, if it was fed whole and is one sound gzip member; the
    /// bytes are then the first ones of the scratch's buffer. `None`, for whatever reason: nothing
    /// has happened, and [`Self::step`] says what is what.
    ///
    /// Both ways give the same answer because this one only ever says yes: what it does not take for
    /// sound is judged by the other.
    pub(super) fn inflate_whole(&mut self, scratch: &mut Scratch, limit: usize) -> Option<usize> {
        let is_untouched = self.whole == Whole::Untried && matches!(self.codec, Codec::Unknown);
        if !is_untouched || !self.is_ended {
            return None;
        }
        self.whole = Whole::No;
        // The size that the member claims stands in its last four bytes.
        let claimed = claimed_size(self.input.back()?)?;
        let limit = self.max_inflated.min(limit.min(scratch.limit()) as u64);
        if !self.input.front()?.starts_with(&GZIP) || u64::from(claimed) > limit {
            return None;
        }
        if self.input.len() > 1 {
            let mut joined = Vec::with_capacity(usize::try_from(self.stored).ok()?);
            self.input.iter().for_each(|part| joined.extend_from_slice(part));
            self.input = VecDeque::from([Bytes::from(joined)]);
        }
        let inflated = scratch.inflate(self.input.front()?, usize::try_from(claimed).ok()?)?;
        self.inflated = inflated as u64;
        self.whole = Whole::Yes;
        Some(inflated)
    }

    /// Whether all of the object was given out by [`Self::inflate_whole`].
    pub(super) fn is_whole(&self) -> bool {
        self.whole == Whole::Yes
    }

    /// Takes back what [`Self::inflate_whole`] gave out: [`Self::step`] begins at the object's start.
    pub(super) fn restart_in_pieces(&mut self) {
        self.whole = Whole::No;
        self.inflated = 0;
    }

    /// Inflates into `out`, which is not empty.
    ///
    /// The output up to a fault is given out before the fault, so that what is found does not
    /// depend on how the object was cut when it was fed.
    pub(super) fn step(&mut self, out: &mut [u8]) -> Result<Step, InflateFault> {
        if let Some(fault) = self.failed.take() {
            return Err(fault);
        }
        // One byte above the limit is enough to know that it is exceeded.
        let left = (self.max_inflated - self.inflated).saturating_add(1);
        let room = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        let step = self.decode(&mut out[..room])?;
        if let Step::Output(written) = step {
            self.inflated += written as u64;
            if self.inflated > self.max_inflated {
                return Err(InflateFault {
                    reason: Reason::TooLarge,
                    detail: format!("it inflates beyond {} bytes", self.max_inflated),
                });
            }
        }
        Ok(step)
    }

    fn decode(&mut self, out: &mut [u8]) -> Result<Step, InflateFault> {
        loop {
            let is_starved = self.input.is_empty() && !self.has_more;
            match &mut self.codec {
                Codec::Unknown => match self.sniff()? {
                    Some(codec) => self.codec = codec,
                    None => return Ok(Step::NeedInput),
                },
                Codec::Plain => return Ok(self.copy(out)),
                Codec::Over(_) => match self.beyond()? {
                    Beyond::Codec(codec) => self.codec = codec,
                    Beyond::NeedInput => return Ok(Step::NeedInput),
                    Beyond::End => return Ok(Step::End),
                },
                Codec::Padding => return self.padding(),
                Codec::Gzip(_) | Codec::Zstd(_) if is_starved => {
                    if !self.is_ended {
                        return Ok(Step::NeedInput);
                    }
                    return Err(truncated(self.stored));
                }
                Codec::Gzip(gzip) => {
                    let input = self.input.front().map_or(&[][..], Bytes::as_ref);
                    let (read, written) = (gzip.total_in(), gzip.total_out());
                    let result = gzip.decompress(input, out, FlushDecompress::None);
                    let (read, written) = (gzip.total_in() - read, gzip.total_out() - written);
                    let failed = result.as_ref().err().map(|error| gzip_fault(error.message()));
                    let is_over = matches!(result, Ok(Status::StreamEnd));
                    if let Some(step) = self.decoded(out, read, written, is_over, failed)? {
                        return Ok(step);
                    }
                }
                Codec::Zstd(zstd) => {
                    let input = self.input.front().map_or(&[][..], Bytes::as_ref);
                    let (read, written, is_over, failed) = match zstd.run_on_buffers(input, out) {
                        Ok(status) => {
                            let is_over = status.remaining == 0;
                            (status.bytes_read, status.bytes_written, is_over, None)
                        }
                        Err(error) => (0, 0, false, Some(zstd_fault(&error.to_string()))),
                    };
                    let (read, written) = (read as u64, written as u64);
                    if let Some(step) = self.decoded(out, read, written, is_over, failed)? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    /// Books what a codec did. `None`: nothing came out yet, go on.
    fn decoded(
        &mut self,
        out: &[u8],
        read: u64,
        written: u64,
        is_over: bool,
        failed: Option<InflateFault>,
    ) -> Result<Option<Step>, InflateFault> {
        // A codec never reads more than the chunk it was given, nor writes more than its room.
        let count = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let (read, written) = (count(read), count(written));
        let had_input = !self.input.is_empty();
        self.skip(read);
        if is_over {
            self.codec = match std::mem::replace(&mut self.codec, Codec::Over(None)) {
                Codec::Zstd(zstd) => Codec::Over(Some(zstd)),
                _ => Codec::Over(None),
            };
        }
        self.has_more = !is_over && written == out.len();
        self.failed = failed;
        if written > 0 {
            return Ok(Some(Step::Output(written)));
        }
        match self.failed.take() {
            Some(fault) => Err(fault),
            None if had_input && read == 0 && !is_over => Err(damaged("no progress")),
            None => Ok(None),
        }
    }

    /// Takes `count` bytes off the first chunk.
    fn skip(&mut self, count: usize) {
        if let Some(front) = self.input.front_mut() {
            if count >= front.len() {
                self.input.pop_front();
            } else {
                *front = front.slice(count..);
            }
        }
    }

    fn copy(&mut self, out: &mut [u8]) -> Step {
        let Some(front) = self.input.front() else {
            return if self.is_ended { Step::End } else { Step::NeedInput };
        };
        let count = front.len().min(out.len());
        out[..count].copy_from_slice(&front[..count]);
        self.skip(count);
        Step::Output(count)
    }

    /// The next bytes, up to `N`, or `None` if fewer are there and more may come.
    fn peek<const N: usize>(&self) -> Option<([u8; N], usize)> {
        let mut bytes = [0; N];
        let mut count = 0;
        for byte in self.input.iter().flatten().take(N) {
            bytes[count] = *byte;
            count += 1;
        }
        (count == N || self.is_ended).then_some((bytes, count))
    }

    /// What the object is, from its first bytes: neither its name nor its headers are asked.
    fn sniff(&mut self) -> Result<Option<Codec>, InflateFault> {
        let Some((bytes, count)) = self.peek::<MAGIC>() else { return Ok(None) };
        let codec = match &bytes[..count] {
            [] => {
                let detail = "the object has no bytes".into();
                return Err(InflateFault { reason: Reason::EmptyObject, detail });
            }
            [0x1F, 0x8B, ..] => gzip_codec(),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => zstd_codec(&bytes[..count])?,
            [0x1F] | [0x28] | [0x28, 0xB5] | [0x28, 0xB5, 0x2F] => {
                return Err(truncated(self.stored));
            }
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => {
                self.traits.has_members = true;
                self.admit_members("the object begins with a skippable zstd frame")?;
                zstd_codec(&bytes[..count])?
            }
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => return Err(unsupported("bzip2")),
            [0xFD, b'7', b'z', b'X', b'Z', 0x00] => return Err(unsupported("xz")),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => return Err(unsupported("zip")),
            [0x04, 0x22, 0x4D, 0x18, ..] => return Err(unsupported("lz4")),
            [0xFF, 0x06, 0x00, 0x00, b's', b'N'] => return Err(unsupported("snappy")),
            [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C] => return Err(unsupported("7z")),
            [0x1F, 0x9D, ..] => return Err(unsupported("compress")),
            [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, _, ..] | [_, 0, ..] => {
                let detail = "the object is text in UTF-16 or UTF-32, or binary".into();
                return Err(InflateFault { reason: Reason::NotJson, detail });
            }
            _ => Codec::Plain,
        };
        self.traits.is_plain = matches!(codec, Codec::Plain);
        self.traits.is_zstd = matches!(codec, Codec::Zstd(_));
        Ok(Some(codec))
    }

    /// Behind the end of a compressed stream.
    fn beyond(&mut self) -> Result<Beyond, InflateFault> {
        let Some((bytes, count)) = self.peek::<MAGIC>() else { return Ok(Beyond::NeedInput) };
        let (what, is_member) = match &bytes[..count] {
            [] => return Ok(Beyond::End),
            [0x1F, 0x8B, ..] => ("another gzip member", !self.traits.is_zstd),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => ("another zstd frame", self.traits.is_zstd),
            [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => ("a skippable zstd frame", self.traits.is_zstd),
            _ => ("garbage", false),
        };
        if is_member {
            self.traits.has_members = true;
        } else {
            self.traits.has_garbage = true;
        }
        let fault = format!("{what} follows the compressed stream");
        if !is_member && bytes[0] != 0 {
            return Err(trailing(&fault));
        }
        self.admit_members(&fault)?;
        Ok(Beyond::Codec(match is_member {
            true if self.traits.is_zstd => self.next_frame(&bytes[..count])?,
            true => gzip_codec(),
            false => Codec::Padding,
        }))
    }

    /// The codec for one more frame, which begins with these bytes.
    fn next_frame(&mut self, start: &[u8]) -> Result<Codec, InflateFault> {
        match std::mem::replace(&mut self.codec, Codec::Over(None)) {
            Codec::Over(Some(mut zstd)) => {
                check_zstd_window(start)?;
                zstd.reinit().map_err(|error| zstd_setup_fault(&error))?;
                Ok(Codec::Zstd(zstd))
            }
            _ => zstd_codec(start),
        }
    }

    /// Whether more than one compressed stream may be read.
    fn admit_members(&mut self, fault: &str) -> Result<(), InflateFault> {
        match self.multi_member {
            MultiMember::Reject => return Err(trailing(fault)),
            MultiMember::Flag => self.traits.is_suspect = true,
            MultiMember::Accept => {}
        }
        Ok(())
    }

    /// Zeros, to the end.
    fn padding(&mut self) -> Result<Step, InflateFault> {
        while let Some(chunk) = self.input.pop_front() {
            if chunk.iter().any(|byte| *byte != 0) {
                return Err(trailing("garbage follows the zeros behind the compressed stream"));
            }
        }
        Ok(if self.is_ended { Step::End } else { Step::NeedInput })
    }
}

/// What a gzip member says that it inflates to, modulo 2^32: RFC 1952, section 2.3.1.
fn claimed_size(last: &Bytes) -> Option<u32> {
    last.last_chunk::<4>().map(|size| u32::from_le_bytes(*size))
}

/// What stands behind the end of a compressed stream.
enum Beyond {
    Codec(Codec),
    NeedInput,
    End,
}

fn gzip_codec() -> Codec {
    Codec::Gzip(Box::new(Decompress::new_gzip(15)))
}

/// The codec for a frame that begins with these bytes.
fn zstd_codec(start: &[u8]) -> Result<Codec, InflateFault> {
    check_zstd_window(start)?;
    Ok(Codec::Zstd(Box::new(zstd_decoder()?)))
}

fn check_zstd_window(start: &[u8]) -> Result<(), InflateFault> {
    match start {
        [0x28, 0xB5, 0x2F, 0xFD, descriptor, window] if zstd_window(*descriptor, *window) => {
            Err(unsupported(ZSTD_WINDOW))
        }
        _ => Ok(()),
    }
}

fn trailing(detail: &str) -> InflateFault {
    InflateFault { reason: Reason::GzipTrailingMember, detail: detail.into() }
}

fn truncated(stored: u64) -> InflateFault {
    InflateFault {
        reason: Reason::GzipTruncated,
        detail: format!("the object ends after {stored} bytes, before its compressed stream does"),
    }
}

fn damaged(what: &str) -> InflateFault {
    let detail = format!("the compressed stream is damaged: {what}");
    InflateFault { reason: Reason::GzipCrc, detail }
}

/// The library's words on header, checksum and length are kept. Those on what lies between depend
/// on how much it saw at once.
fn gzip_fault(error: Option<&str>) -> InflateFault {
    damaged(error.filter(|error| error.starts_with("incorrect")).unwrap_or("bad deflate coding"))
}

fn unsupported(codec: &str) -> InflateFault {
    InflateFault {
        reason: Reason::UnsupportedCodec,
        detail: format!("the object is {codec}: store it as gzip, zstd or plain JSON"),
    }
}

fn zstd_decoder() -> Result<Decoder<'static>, InflateFault> {
    let decoder = Decoder::new().and_then(|mut decoder| {
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(decoder)
    });
    decoder.map_err(|error| zstd_setup_fault(&error))
}

fn zstd_setup_fault(error: &io::Error) -> InflateFault {
    let detail = format!("no zstd decoder could be set up: {error}");
    InflateFault { reason: Reason::UnsupportedCodec, detail }
}

/// Whether a frame says that it needs too large a window: RFC 8878, sections 3.1.1.1.1 and 2.
///
/// The library looks at this only when it cannot decode the frame in one go, which depends on how
/// the object is cut. A frame in a single segment has no window byte, and goes through the library.
fn zstd_window(descriptor: u8, window: u8) -> bool {
    let is_single_segment = descriptor & 0x20 != 0;
    let (exponent, mantissa) = (u32::from(window >> 3), u32::from(window & 7));
    let log = 10 + exponent;
    !is_single_segment && (log > ZSTD_WINDOW_LOG || log == ZSTD_WINDOW_LOG && mantissa > 0)
}

/// The library names its errors only in words. Which one it gives for damage, a wrong checksum
/// included, depends on how much it saw at once.
fn zstd_fault(error: &str) -> InflateFault {
    if error.contains("too much memory") {
        unsupported(ZSTD_WINDOW)
    } else if error.contains("Dictionary") {
        unsupported("zstd with a dictionary")
    } else {
        damaged("bad zstd coding or checksum")
    }
}
