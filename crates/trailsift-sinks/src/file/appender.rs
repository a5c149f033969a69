use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use trailsift_core::{Clock, SinkError};

use super::FileSettings;
use super::frame::frame;
use super::names::Names;
use super::storage::{Storage, create_folder, sync_folder};
use super::torn::{keep, whole_length};

type Wrap = Box<dyn Fn(File) -> Box<dyn Storage> + Send>;

/// Everything that the writing thread knows of its file.
///
/// What it works on is taken out of `active` and put back only when all went well: after any
/// error, or a panic, the file is opened anew and cut back to `durable`.
pub(super) struct Appender {
    sink: String,
    names: Names,
    settings: FileSettings,
    clock: Arc<dyn Clock>,
    wrap: Wrap,
    lock: Option<Held>,
    active: Option<Active>,
    /// How much of which file is known to have reached the disk. What stands behind was never
    /// acknowledged, and after a failed sync it may read well now and be gone after a power cut.
    durable: Option<(FileId, u64)>,
}

struct Active {
    storage: Box<dyn Storage>,
    file: File,
    id: FileId,
    length: u64,
    last_write: SystemTime,
}

struct Held {
    /// Locked as long as it is open.
    _file: File,
    id: FileId,
}

/// Which file it is, whatever its name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId(u64, u64);

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

impl Appender {
    pub(super) fn new(
        sink: String,
        names: Names,
        settings: FileSettings,
        clock: Arc<dyn Clock>,
        wrap: Wrap,
    ) -> Self {
        Self { sink, names, settings, clock, wrap, lock: None, active: None, durable: None }
    }

    pub(super) fn close(&mut self) {
        self.active = None;
        self.lock = None;
    }

    /// Whether the file is open, ours, and on a disk with room.
    pub(super) fn check(&mut self) -> Result<(), SinkError> {
        let active = self.ready()?;
        let space = rustix::fs::fstatvfs(&active.file);
        self.active = Some(active);
        let space =
            space.map_err(|error| self.cannot("ask for the free space beside", error.into()))?;
        if space.f_bavail == 0 {
            let folder = self.names.folder().display();
            return Err(SinkError::retry(format!("no space is left on the disk of {folder}")));
        }
        Ok(())
    }

    /// Appends whole lines. On return they are durable.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let bytes = frame(lines, self.settings.compression)
            .map_err(|error| self.cannot("compress a batch for", error))?;
        let mut active = self.ready()?;
        let now = self.clock.now();
        if self.is_over(&active, bytes.len() as u64, now) {
            drop(active);
            self.rotate(now)?;
            active = self.ready()?;
        }
        self.durable = Some((active.id, active.length));
        if let Err(error) = active.storage.append(&bytes) {
            self.cut_back(&mut active);
            return Err(self.cannot("write to", error));
        }
        if let Err(error) = active.storage.sync() {
            self.cut_back(&mut active);
            return Err(self.cannot("make durable what was written to", error));
        }
        active.length += bytes.len() as u64;
        active.last_write = now;
        self.durable = Some((active.id, active.length));
        self.active = Some(active);
        Ok(())
    }

    /// Frees the space that a failed write took at once, and with it the chance that the next one
    /// gets through. If even this fails, opening the file again will do it, or fail too.
    fn cut_back(&self, active: &mut Active) {
        if let Err(error) = active.storage.truncate(active.length) {
            let path = self.names.active();
            tracing::warn!(sink = self.sink, path = %path.display(), %error, "cannot cut back a failed write yet");
        }
    }

    /// The file, open at its end, if it is still the one under its name and as long as we left it.
    fn ready(&mut self) -> Result<Active, SinkError> {
        if let Some(active) = self.active.take() {
            let path = self.names.active();
            let same = path.metadata().is_ok_and(|there| {
                FileId::from(&there) == active.id && there.len() == active.length
            });
            if same {
                return Ok(active);
            }
            tracing::info!(sink = self.sink, path = %path.display(), "the file was moved, deleted or changed; opening it again");
            self.durable = None;
        }
        self.open()
    }

    fn open(&mut self) -> Result<Active, SinkError> {
        create_folder(self.names.folder())
            .map_err(|error| self.cannot("make the folder of", error))?;
        self.hold_lock()?;
        let path = self.names.active();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&path)
            .map_err(|error| self.cannot("open", error))?;
        sync_folder(self.names.folder())
            .map_err(|error| self.cannot("make durable the name of", error))?;
        let metadata = file.metadata().map_err(|error| self.cannot("look at", error))?;
        if !metadata.is_file() {
            let path = path.display();
            return Err(SinkError::retry(format!(
                "{path} is no regular file: set path to another name"
            )));
        }
        let id = FileId::from(&metadata);
        let (length, whole) = self.mend(&file, id, metadata.len())?;
        let mut storage =
            (self.wrap)(file.try_clone().map_err(|error| self.cannot("open", error))?);
        if whole < length {
            storage
                .truncate(whole)
                .and_then(|()| storage.sync())
                .map_err(|error| self.cannot("cut back", error))?;
        }
        self.durable = Some((id, whole));
        let last_write = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Active { storage, file, id, length: whole, last_write })
    }

    /// The file's length, and how much of it may stay. What a crash tore is kept beside it.
    fn mend(&self, file: &File, id: FileId, length: u64) -> Result<(u64, u64), SinkError> {
        if let Some((known, durable)) = self.durable
            && known == id
            && durable <= length
        {
            return Ok((length, durable));
        }
        let whole = whole_length(file, length, self.settings.compression)
            .map_err(|error| self.cannot("read the end of", error))?;
        if whole < length {
            let beside = self.names.torn(self.clock.now());
            keep(file, whole, &beside, self.names.folder())
                .map_err(|error| self.cannot("keep the torn end of", error))?;
            tracing::warn!(
                sink = self.sink,
                path = %self.names.active().display(),
                torn_bytes = length - whole,
                kept = %beside.display(),
                "the file ended in an incomplete write, never acknowledged; it is cut off"
            );
        }
        Ok((length, whole))
    }

    fn hold_lock(&mut self) -> Result<(), SinkError> {
        let path = self.names.lock();
        let there = path.metadata().ok().map(|metadata| FileId::from(&metadata));
        if self.lock.as_ref().is_some_and(|held| Some(held.id) == there) {
            return Ok(());
        }
        self.lock = None;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path)
            .map_err(|error| self.cannot_at(&path, "open the lock", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SinkError::retry(format!(
                    "another process writes {}: stop it, or give each a path of its own",
                    self.names.active().display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(self.cannot_at(&path, "lock", error)),
        }
        let metadata = file.metadata().map_err(|error| self.cannot_at(&path, "look at", error))?;
        self.lock = Some(Held { id: FileId::from(&metadata), _file: file });
        Ok(())
    }

    fn is_over(&self, active: &Active, more: u64, now: SystemTime) -> bool {
        if active.length == 0 {
            return false;
        }
        let full = |most| active.length.saturating_add(more) > most;
        let ended = |period| number(active.last_write, period) != number(now, period);
        self.settings.rotate_bytes.is_some_and(full)
            || self.settings.rotate_every.is_some_and(ended)
    }

    fn rotate(&mut self, now: SystemTime) -> Result<(), SinkError> {
        let to = self.names.rotated(now);
        std::fs::rename(self.names.active(), &to).map_err(|error| self.cannot("rotate", error))?;
        self.durable = None;
        sync_folder(self.names.folder())
            .map_err(|error| self.cannot("make durable the rotation of", error))?;
        tracing::info!(sink = self.sink, path = %to.display(), "a file is complete");
        Ok(())
    }

    fn cannot(&self, what: &str, error: io::Error) -> SinkError {
        self.cannot_at(&self.names.active(), what, error)
    }

    fn cannot_at(&self, path: &Path, what: &str, error: io::Error) -> SinkError {
        SinkError::retry(format!("cannot {what} {}", path.display())).because(error)
    }
}

/// Which period since the epoch a time is in. Before the epoch everything is the first.
fn number(time: SystemTime, period: Duration) -> u128 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() / period.as_nanos().max(1)
}
