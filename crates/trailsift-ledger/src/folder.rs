use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::warn;

use crate::connection::{self, Refusal};
use crate::fault::OpenError;

/// The database's name in its folder.
pub const FILE_NAME: &str = "ledger.sqlite3";
/// Held while a file is opened, made or moved away: no two processes may do that at once.
const LOCK_NAME: &str = "ledger.lock";
/// SQLite's files beside the database.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];
/// How many damaged ledgers are kept, the newest ones.
const KEPT_ASIDE: usize = 3;
const LOCK_WAIT: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// The folder of a ledger.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    database: PathBuf,
}

/// Tells a file from another one that has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// An open ledger: one connection for each thread, and which file they have open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) writer: Connection,
    pub(crate) reader: Connection,
    pub(crate) file: FileId,
}

impl Folder {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), database: path.join(FILE_NAME) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Which file has the database's name now. It is never opened for this: when a process closes
    /// any handle of a file, all its POSIX locks on that file go, SQLite's too.
    pub(crate) fn file(&self) -> Option<FileId> {
        fs::metadata(&self.database).ok().map(|metadata| FileId::of(&metadata))
    }

    /// Opens the ledger, makes it if there is none, and moves a damaged one away. `condemned` is
    /// a file that opens, but was found to be damaged: none of our connections to it is left.
    pub(crate) fn open(&self, condemned: Option<FileId>) -> Result<Opened, OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|source| OpenError::Folder { path: self.path.clone(), source })?;
        let lock = self.lock()?;
        let opened = self.open_locked(condemned);
        drop(lock);
        opened
    }

    fn lock(&self) -> Result<File, OpenError> {
        let path = self.path.join(LOCK_NAME);
        let unusable = |source| OpenError::Folder { path: path.clone(), source };
        // A pipe of that name would keep whoever opens it waiting for a reader.
        let no_wait = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let lock = File::options().create(true).append(true).custom_flags(no_wait).open(&path);
        let lock = lock.map_err(unusable)?;
        let until = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                    return Err(OpenError::Locked { path: self.database.clone() });
                }
                Err(TryLockError::WouldBlock) => thread::sleep(LOCK_POLL),
            }
        }
    }

    fn open_locked(&self, condemned: Option<FileId>) -> Result<Opened, OpenError> {
        match fs::metadata(&self.database) {
            Ok(metadata) if condemned == Some(FileId::of(&metadata)) => {
                self.move_aside("it holds what was never written to it")?;
            }
            Ok(metadata) if !metadata.is_file() || metadata.len() > 0 => {}
            Ok(_) => self.begin_anew(true)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.begin_anew(false)?,
            Err(source) => {
                return Err(OpenError::Folder { path: self.database.clone(), source });
            }
        }
        match self.connect() {
            Err(Refusal::Damaged(why)) => {
                self.move_aside(&why)?;
                self.connect().map_err(|refusal| match refusal {
                    Refusal::Unusable(error) => error,
                    Refusal::Damaged(why) => {
                        let source = io::Error::other(why);
                        OpenError::Folder { path: self.database.clone(), source }
                    }
                })
            }
            Err(Refusal::Unusable(error)) => Err(error),
            Ok(opened) => Ok(opened),
        }
    }

    fn connect(&self) -> Result<Opened, Refusal> {
        let path = &self.database;
        let writer = connection::open_writer(path)?;
        let unusable = |error| Refusal::Unusable(error);
        let reader = connection::open_reader(path)
            .map_err(|source| unusable(OpenError::Database { path: path.clone(), source }))?;
        let metadata = fs::metadata(path)
            .map_err(|source| unusable(OpenError::Folder { path: path.clone(), source }))?;
        Ok(Opened { writer, reader, file: FileId::of(&metadata) })
    }

    /// Removes what is left of a database that is gone: its log must not be read into a new one.
    fn begin_anew(&self, emptied: bool) -> Result<(), OpenError> {
        let mut was_there = emptied;
        for companion in COMPANIONS {
            let path = with_suffix(&self.database, companion);
            match fs::remove_file(&path) {
                Ok(()) => was_there = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(OpenError::Folder { path, source }),
            }
        }
        if was_there {
            warn!(
                ledger = %self.database.display(),
                "the ledger was deleted or emptied: a new one begins. No event is lost by this, \
                 but what is delivered again by the queue may be sent again to the sinks",
            );
        }
        Ok(())
    }

    fn move_aside(&self, why: &str) -> Result<(), OpenError> {
        let aside = self.new_name();
        let unusable = |source| OpenError::Folder { path: self.database.clone(), source };
        // The log goes first: found beside a new database it would be read into it.
        for companion in COMPANIONS {
            let (from, to) =
                (with_suffix(&self.database, companion), with_suffix(&aside, companion));
            match fs::rename(from, to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unusable(error));
                }
                _ => {}
            }
        }
        fs::rename(&self.database, &aside).map_err(unusable)?;
        warn!(
            ledger = %self.database.display(),
            moved_to = %aside.display(),
            why,
            "the ledger is damaged: it was moved away, and a new one begins. No event is lost by \
             this, but what is delivered again by the queue may be sent again to the sinks",
        );
        self.forget_oldest();
        Ok(())
    }

    /// A name that sorts behind all earlier ones.
    fn new_name(&self) -> PathBuf {
        let format =
            format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:6]Z");
        let now = OffsetDateTime::now_utc();
        let now = now.format(format).unwrap_or_else(|_| now.unix_timestamp_nanos().to_string());
        with_suffix(&self.database, &format!(".corrupt-{now}"))
    }

    /// Deletes all but the newest damaged ledgers. Failing to is no reason to run without one.
    fn forget_oldest(&self) {
        let prefix = format!("{FILE_NAME}.corrupt-");
        let names = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let stem = |name: &str| {
            let companion = COMPANIONS.iter().find_map(|companion| name.strip_suffix(companion));
            companion.unwrap_or(name).to_owned()
        };
        let mut stems: Vec<String> =
            names.filter(|name| name.starts_with(&prefix)).map(|name| stem(&name)).collect();
        stems.sort_unstable();
        stems.dedup();
        let excess = stems.len().saturating_sub(KEPT_ASIDE);
        for stem in &stems[..excess] {
            for suffix in ["", "-wal", "-shm"] {
                let path = self.path.join(format!("{stem}{suffix}"));
                if let Err(error) = fs::remove_file(&path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    warn!(path = %path.display(), %error, "an old damaged ledger cannot be deleted");
                }
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
