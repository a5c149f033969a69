//! `type = "file"`.

use std::fmt::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use trailsift_sinks::FileSettings;

use super::{COMPRESSION, compression_word};
use crate::config::findings::Place;
use crate::config::kinds::{FilePath, Size, Span, TableOf};
use crate::config::print::quoted;
use crate::config::reader::Section;
use crate::config::{ByteSize, Compression, duration_text};

/// A file does not grow for ever unless it is asked to, with an empty `rotate`.
const ROTATE_SIZE: ByteSize = ByteSize::mebibytes(256);

/// A file of JSON Lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// The file that is written to; rotated ones lie beside it.
    pub path: PathBuf,
    /// Start a new file beyond this size.
    pub rotate_size: Option<ByteSize>,
    /// Start a new file after this time.
    pub rotate_every: Option<Duration>,
    /// How it is compressed.
    pub compression: Compression,
}

/// What could not be read is reported, so a value that stands in for it is never used.
pub(super) fn file(section: &mut Section<'_, '_>, place: &mut Option<Place>) -> FileConfig {
    let path = section.need("path", FilePath);
    let compression = section.get_or("compression", COMPRESSION, Compression::None);
    *place = path.as_ref().map(|path| path.place);
    if let Some(path) = &path {
        let settings = FileSettings { compression, ..FileSettings::new(&path.value) };
        for error in settings.validate() {
            section.scope.findings.error(
                path.place,
                format!("`{}` {}", error.key, error.problem),
                "it looks like \"/var/lib/trailsift/events.jsonl\", or events.jsonl.gz and events.jsonl.zst with that compression",
            );
        }
    }
    let rotate = |section: &mut Section<'_, '_>| {
        let smallest = ByteSize::new(4 << 10);
        let size = section.get("size", Size(smallest..=ByteSize::mebibytes(1 << 20)));
        let every = section.get("every", Span::seconds(1, 366 * 86_400));
        Some((size.map(|at| at.value), every.map(|at| at.value)))
    };
    let (rotate_size, rotate_every) =
        section.get_or("rotate", TableOf(rotate), (Some(ROTATE_SIZE), None));
    FileConfig {
        path: path.map_or_else(PathBuf::new, |path| path.value),
        rotate_size,
        rotate_every,
        compression,
    }
}

impl FileConfig {
    /// The sink's own settings.
    pub(crate) fn settings(&self) -> FileSettings {
        FileSettings {
            path: self.path.clone(),
            compression: self.compression,
            rotate_bytes: self.rotate_size.map(ByteSize::bytes),
            rotate_every: self.rotate_every,
        }
    }

    /// As keys of TOML.
    pub(in crate::config) fn print(&self, f: &mut impl Write) -> fmt::Result {
        writeln!(f, "type = \"file\"\npath = {}", quoted(&self.path.to_string_lossy()))?;
        let size = self.rotate_size.map(|size| format!("size = \"{size}\""));
        let every = self.rotate_every.map(|every| format!("every = \"{}\"", duration_text(every)));
        let rotate: Vec<_> = size.into_iter().chain(every).collect();
        writeln!(f, "rotate = {{ {} }}", rotate.join(", "))?;
        writeln!(f, "compression = \"{}\"", compression_word(self.compression))
    }
}
