use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::Compression;
use super::storage::sync_folder;

/// How many of the file's bytes are whole: up to the last line break, or the last complete gzip
/// member or Zstandard frame. For a compressed file this reads and checks all of it.
pub(super) fn whole_length(file: &File, length: u64, compression: Compression) -> io::Result<u64> {
    match compression {
        Compression::None => last_line_break(file, length),
        Compression::Gzip => last_complete(file, length, gzip_member),
        Compression::Zstd => last_complete(file, length, zstd_frame),
    }
}

/// Copies what stands from `whole` on into a new file, durably, before it is cut off.
pub(super) fn keep(file: &File, whole: u64, beside: &Path, folder: &Path) -> io::Result<()> {
    let mut tail = file.try_clone()?;
    tail.seek(SeekFrom::Start(whole))?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o640).open(beside)?;
    io::copy(&mut tail, &mut copy)?;
    copy.sync_all()?;
    sync_folder(folder)
}

fn last_line_break(file: &File, length: u64) -> io::Result<u64> {
    const STEP: usize = 64 << 10;
    let mut buffer = vec![0; STEP];
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(STEP as u64);
        let piece = &mut buffer[..usize::try_from(end - start).unwrap_or(STEP)];
        file.read_exact_at(piece, start)?;
        if let Some(place) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads one unit after the other until one is not complete.
fn last_complete(
    file: &File,
    length: u64,
    unit: impl Fn(&mut dyn BufRead) -> io::Result<()>,
) -> io::Result<u64> {
    let mut start = file.try_clone()?;
    start.seek(SeekFrom::Start(0))?;
    let mut input =
        Counted { input: BufReader::with_capacity(64 << 10, start), taken: 0, failed: None };
    let mut whole = 0;
    while whole < length {
        let result = unit(&mut input);
        // What the disk refuses to read is not torn.
        if let Some(failure) = input.failed.take() {
            return Err(failure);
        }
        if result.is_err() {
            break;
        }
        if input.taken == whole {
            break;
        }
        whole = input.taken;
    }
    Ok(whole)
}

fn gzip_member(input: &mut dyn BufRead) -> io::Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "not for trails: walks a file that this sink wrote, and stopping after each member is the point"
    )]
    let mut member = flate2::bufread::GzDecoder::new(input);
    io::copy(&mut member, &mut io::sink()).map(drop)
}

fn zstd_frame(input: &mut dyn BufRead) -> io::Result<()> {
    let mut frame = zstd::stream::read::Decoder::with_buffer(input)?.single_frame();
    io::copy(&mut frame, &mut io::sink()).map(drop)
}

/// Counts what is taken from the input and remembers an error of the disk, which a decoder's own
/// errors could hide.
struct Counted<R> {
    input: R,
    taken: u64,
    failed: Option<io::Error>,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.input.fill_buf() {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), "the disk failed");
                self.failed = Some(error);
                Err(copy)
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.taken += count as u64;
        self.input.consume(count);
    }
}
