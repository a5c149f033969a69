use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use trailsift_core::{Batch, Clock, Limits, Sink, SinkError, SystemClock, WriteOutcome};

use crate::lines::ndjson;
use crate::worker::Worker;
use crate::{BuildError, SettingsError};

mod appender;
mod frame;
mod names;
mod storage;
mod torn;

use appender::Appender;
use names::Names;
use storage::Storage;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// One gzip member per batch; `zcat` reads them all.
    Gzip,
    /// One Zstandard frame per batch, with its checksum; `zstdcat` reads them all.
    Zstd,
}

impl Compression {
    /// What such a file's name ends in.
    fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// The settings of a [`FileSink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// The file that is written, such as `/var/log/trailsift/events.jsonl`. With compression its
    /// name ends in `.gz` or `.zst`, which is added where it is missing. Folders that are missing
    /// are made.
    pub path: PathBuf,
    /// The compression.
    pub compression: Compression,
    /// A file is rotated before it grows beyond this many bytes, as stored. A single larger batch
    /// gets a file of its own.
    pub rotate_bytes: Option<u64>,
    /// A file holds events that were written in the same period of this length. Periods are counted
    /// from the epoch: 24 hours end at midnight UTC. The change comes with the first write of the new
    /// period.
    pub rotate_every: Option<Duration>,
}

impl FileSettings {
    /// Plain, rotated at 256 MiB, at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            compression: Compression::None,
            rotate_bytes: Some(256 << 20),
            rotate_every: None,
        }
    }

    /// Every mistake in these settings. Touches no file.
    pub fn validate(&self) -> Vec<SettingsError> {
        let mut problems = Vec::new();
        if let Err(problem) = Names::new(&self.path, self.compression) {
            problems.push(SettingsError::new("path", problem));
        }
        if self.rotate_bytes == Some(0) {
            problems.push(SettingsError::new("rotate_bytes", "must be at least 1"));
        }
        if self.rotate_every.is_some_and(|period| period < Duration::from_secs(1)) {
            problems.push(SettingsError::new("rotate_every", "must be at least 1s"));
        }
        problems
    }

    /// The file that a sink with these settings writes, under the name that it has on the disk; none
    /// where they do not hold.
    pub fn active(&self) -> Option<PathBuf> {
        Names::new(&self.path, self.compression).ok().map(|names| names.active())
    }

    /// Every file of events that a sink with these settings has written and not removed: the full
    /// ones, the oldest first, then the one that it writes, which may not be there yet.
    ///
    /// # Errors
    /// If the folder cannot be listed, or the path names no file.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let invalid = |problem| io::Error::new(io::ErrorKind::InvalidInput, problem);
        Names::new(&self.path, self.compression).map_err(invalid)?.all()
    }
}

/// Appends JSON Lines to a file and acknowledges what has reached the disk.
///
/// Every write is one append and one `fsync`; files and renames are synced with their folder. After
/// a failed write or sync the file is cut back to its last good length before anything else is
/// written, so no torn line stays in its middle. What a crash left torn at its end is cut off at
/// the next start and kept beside it (`….torn`).
///
/// A full file is renamed to `NAME-<UTC time>-<number>.jsonl` and a new one begun. If somebody else
/// moves, deletes or truncates the file, writing goes on in a new one, or at the new end. One
/// process writes a file at a time: a lock file beside it sees to that.
///
/// Files are made with mode 0640, folders with 0750. All disk work is done on one thread of its own,
/// in the order of the writes.
pub struct FileSink {
    name: String,
    worker: Worker<Appender>,
}

impl fmt::Debug for FileSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSink").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FileSink {
    /// Prepares the sink. The file is opened, and mended, with the first check or write.
    ///
    /// # Errors
    /// If the settings do not hold or the writing thread cannot be started.
    pub fn new(name: impl Into<String>, settings: FileSettings) -> Result<Self, BuildError> {
        let clock = Arc::new(SystemClock);
        Self::with_storage(name, settings, clock, |file| Box::new(file))
    }

    /// The same with another clock for rotated names and periods.
    ///
    /// # Errors
    /// As [`FileSink::new`].
    pub fn with_clock(
        name: impl Into<String>,
        settings: FileSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BuildError> {
        Self::with_storage(name, settings, clock, |file| Box::new(file))
    }

    fn with_storage(
        name: impl Into<String>,
        settings: FileSettings,
        clock: Arc<dyn Clock>,
        storage: impl Fn(File) -> Box<dyn Storage> + Send + 'static,
    ) -> Result<Self, BuildError> {
        let name = name.into();
        let problems = settings.validate();
        let invalid = |problems| BuildError::Settings { sink: name.clone(), problems };
        if !problems.is_empty() {
            return Err(invalid(problems));
        }
        let names = Names::new(&settings.path, settings.compression)
            .map_err(|problem| invalid(vec![SettingsError::new("path", problem)]))?;
        let appender = Appender::new(name.clone(), names, settings, clock, Box::new(storage));
        let worker = Worker::start(appender)
            .map_err(|source| BuildError::Thread { sink: name.clone(), source })?;
        Ok(Self { name, worker })
    }
}

#[async_trait]
impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn limits(&self) -> Limits {
        Limits::NONE
    }

    async fn check(&self) -> Result<(), SinkError> {
        self.worker.run(Appender::check).await?
    }

    async fn write(&self, batch: &Batch) -> Result<WriteOutcome, SinkError> {
        if batch.entries.is_empty() {
            return Ok(WriteOutcome::default());
        }
        let lines = ndjson(&batch.entries);
        self.worker.run(move |appender| appender.append(&lines)).await??;
        Ok(WriteOutcome::default())
    }

    /// Lets go of the file and its lock. A later write takes them again.
    async fn close(&self) {
        if let Err(error) = self.worker.run(Appender::close).await {
            tracing::warn!(sink = self.name, %error, "cannot close the file");
        }
    }
}

#[cfg(test)]
mod tests;
