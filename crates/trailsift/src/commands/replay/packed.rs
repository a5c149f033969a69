//! Lines that are compressed: gzip members and zstd frames, one after the other, as the sinks write them.
//!
//! A line counts once the stream that it ends in was read to its end and its checksum verified, and not before:
//! of a stream that is cut off or damaged nothing is read, of those before it everything. Every gzip member has a
//! checksum, and so have the zstd frames of the sinks and of the `zstd` tool; of a frame without one, as other
//! writers make them, damage may go unseen.

use std::io::{self, Read};

/// What the stored bytes inflate to at most: they are held in memory.
const MAX_TEXT: u64 = 1 << 30;
/// How streams begin: gzip (RFC 1952), zstd (RFC 8878), and the sixteen kinds of a frame of zstd's that
/// holds nothing, by the last of them.
const GZIP: [u8; 2] = [0x1F, 0x8B];
const ZSTD: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const SKIPPABLE: [u8; 4] = [0x5F, 0x2A, 0x4D, 0x18];

/// What was found in compressed bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// The lines of every stream that is whole.
    pub(super) text: Vec<u8>,
    /// Why the rest could not be read, and where that begins: a sentence that goes on after the name of
    /// the file. The text then ends with a line.
    pub(super) fault: Option<String>,
}

/// Unpacks every stream. `None`: this is not compressed.
pub(super) fn unpack(stored: &[u8]) -> Option<Unpacked> {
    unpack_within(stored, MAX_TEXT)
}

fn unpack_within(stored: &[u8], max_text: u64) -> Option<Unpacked> {
    Coding::of(stored)?;
    let (mut text, mut rest) = (Vec::new(), stored);
    let mut fault = None;
    while !rest.is_empty() {
        let (verified, start) = (text.len(), stored.len() - rest.len());
        let room = max_text - verified as u64;
        match next(rest, room, &mut text) {
            Ok(after) => rest = after,
            Err(problem) => {
                text.truncate(verified);
                fault = Some(described(&problem, start, stored.len(), max_text));
                break;
            }
        }
    }
    if fault.is_some() {
        // A line may go on in the next stream, and of that one nothing is known.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    }
    Some(Unpacked { text, fault })
}

#[derive(Clone, Copy, Debug)]
enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    fn of(stored: &[u8]) -> Option<Self> {
        let is_skippable = stored.first().is_some_and(|first| first | 0xF == SKIPPABLE[0])
            && stored[1..].starts_with(&SKIPPABLE[1..]);
        if stored.starts_with(&GZIP) {
            Some(Self::Gzip)
        } else if stored.starts_with(&ZSTD) || is_skippable {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

enum Problem {
    Cut,
    Damaged(io::Error),
    TooLarge,
    /// What follows the streams is none.
    Other,
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Damaged(error),
        }
    }
}

/// Appends what the first stream holds. What is stored after it, or why it cannot be read to its end.
fn next<'s>(stored: &'s [u8], room: u64, text: &mut Vec<u8>) -> Result<&'s [u8], Problem> {
    match Coding::of(stored) {
        Some(Coding::Gzip) => {
            #[expect(
                clippy::disallowed_methods,
                reason = "not for trails: stopping after each member is how the damaged one is named"
            )]
            let mut member = flate2::bufread::GzDecoder::new(stored);
            inflate(&mut member, room, text)?;
            Ok(member.into_inner())
        }
        Some(Coding::Zstd) => {
            let mut frame = zstd::stream::read::Decoder::with_buffer(stored)?.single_frame();
            inflate(&mut frame, room, text)?;
            Ok(frame.finish())
        }
        None if [&GZIP[..], &ZSTD].iter().any(|magic| magic.starts_with(stored)) => {
            Err(Problem::Cut)
        }
        None => Err(Problem::Other),
    }
}

fn inflate(from: &mut impl Read, room: u64, text: &mut Vec<u8>) -> Result<(), Problem> {
    let read = from.take(room.saturating_add(1)).read_to_end(text)?;
    if read as u64 > room { Err(Problem::TooLarge) } else { Ok(()) }
}

fn described(problem: &Problem, start: usize, end: usize, max_text: u64) -> String {
    let what = match problem {
        Problem::Cut => format!(
            "the compressed stream that begins at byte {start} is cut off by the end, byte {end}: fetch it \
             again, or wait if it is just being written"
        ),
        Problem::Damaged(error) => {
            format!(
                "the compressed stream that begins at byte {start} is damaged ({error}): fetch it again"
            )
        }
        Problem::TooLarge => format!(
            "the compressed stream that begins at byte {start} inflates beyond {} MiB in all: give its lines \
             in parts",
            max_text >> 20
        ),
        Problem::Other => format!(
            "what begins at byte {start} is neither gzip nor zstd, unlike what stands before it: give it by \
             itself"
        ),
    };
    format!("{what}. Lines before it are read, none of it is")
}

#[cfg(test)]
mod tests;
