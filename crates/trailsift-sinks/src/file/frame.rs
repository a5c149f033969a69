use std::borrow::Cow;
use std::io::{self, Write};

use flate2::write::GzEncoder;

use super::Compression;

/// The bytes of one batch as they are appended: for compressed files a whole of its own, so that
/// whatever happens later cannot make it unreadable.
pub(super) fn frame(lines: &[u8], compression: Compression) -> io::Result<Cow<'_, [u8]>> {
    match compression {
        Compression::None => Ok(Cow::Borrowed(lines)),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(lines)?;
            encoder.finish().map(Cow::Owned)
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
            encoder.include_checksum(true)?;
            encoder.write_all(lines)?;
            encoder.finish().map(Cow::Owned)
        }
    }
}
