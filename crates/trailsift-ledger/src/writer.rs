use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::{debug, warn};
use trailsift_core::{LedgerError, ObjectId, Settlement};

use crate::fault::{Fault, OpenError, Remedy};
use crate::folder::{FileId, Folder, Opened};
use crate::group::Groups;
use crate::rows;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

/// What the writer is asked for.
pub(crate) enum Request {
    Acknowledged {
        object: ObjectId,
        sink: String,
        below: u64,
        answer: Answer<()>,
    },
    Settled {
        object: ObjectId,
        settlement: Box<Settlement>,
        answer: Answer<()>,
    },
    /// The log is to be copied into the database.
    Flush {
        answer: Answer<()>,
    },
    /// The reader has no connection, or found the file damaged.
    Reopen,
}

/// How many rows of each table one transaction prunes at most.
const SLICE: u32 = 500;
/// How long nothing is pruned after everything that is old enough was.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Between two slices at least this, and at least [`PRUNE_SHARE`] times what the slice took: so
/// pruning takes a fifth of the writer's time at most, however much there is.
const PRUNE_PAUSE: Duration = Duration::from_millis(10);
const PRUNE_SHARE: u32 = 4;
/// After a failure to open, calls are refused at once for this long.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// The reader's connection. The writer takes it away before it moves a file.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    connection: Mutex<Option<Connection>>,
    /// The reader found the file to be damaged. Beside the lock, so that the writer need not wait for a
    /// query to see it.
    pub(crate) damaged: AtomicBool,
}

impl Slot {
    /// The connection, for as long as the guard is held: one query.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that owns the file: writes, commits, prunes, and opens it again where that helps.
pub(crate) struct Writer {
    folder: Folder,
    retention: Duration,
    slot: Arc<Slot>,
    open: Option<(Connection, FileId)>,
    /// Until when opening is not tried again, and why.
    refused: Option<(Instant, String)>,
    next_prune: Instant,
}

impl Writer {
    /// A writer that has opened nothing yet.
    pub(crate) fn new(folder: Folder, retention: Duration, slot: Arc<Slot>) -> Self {
        let next_prune = Instant::now();
        Self { folder, retention, slot, open: None, refused: None, next_prune }
    }

    /// Begins with what [`Folder::open`] answered.
    pub(crate) fn begin(&mut self, opened: Result<Opened, &OpenError>) {
        let slot = Arc::clone(&self.slot);
        match opened {
            Ok(opened) => self.install(&mut slot.lock(), opened),
            Err(error) => self.refuse(error),
        }
    }

    /// Serves until no sender is left, then copies the log into the database.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        let mut groups = Groups::default();
        loop {
            let idle = self.next_prune.saturating_duration_since(Instant::now());
            match requests.recv_timeout(idle) {
                Ok(first) => self.serve(groups.gather(first, requests)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= self.next_prune {
                self.prune();
            }
        }
        self.flush();
    }

    fn flush(&self) {
        if let Some((connection, _)) = &self.open {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            if let Err(error) = connection.query_row(checkpoint, [], |_| Ok(())) {
                // Whoever opens the ledger next reads the log.
                debug!(%error, "the ledger's log stays beside it");
            }
        }
    }

    fn serve(&mut self, group: Vec<Request>) {
        let mut done = self.try_serve(&group);
        if matches!(&done, Err(Failure::Fault(fault)) if fault.remedy() == Remedy::Rebuild) {
            // Once more, on the new file.
            done = self.try_serve(&group);
        }
        let done = done.map_err(|failure| failure.text());
        if group.iter().any(|request| matches!(request, Request::Flush { .. })) {
            self.flush();
        }
        for request in group {
            let (Request::Acknowledged { answer, .. }
            | Request::Settled { answer, .. }
            | Request::Flush { answer }) = request
            else {
                continue;
            };
            // Nobody hears it where the caller has given up; what is noted stays noted.
            drop(answer.send(done.clone().map_err(LedgerError)));
        }
    }

    fn try_serve(&mut self, group: &[Request]) -> Result<(), Failure> {
        let connection = self.connection()?;
        match commit(connection, group) {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.handle(&fault);
                Err(Failure::Fault(fault))
            }
        }
    }

    /// The connection to the file that has the ledger's name now.
    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        let damaged = self.slot.damaged.swap(false, Ordering::Relaxed);
        let current = self.folder.file();
        let is_current = |open: &(Connection, FileId)| current == Some(open.1);
        if self.open.as_ref().is_some_and(|open| !is_current(open)) {
            warn!(
                folder = %self.folder.path().display(),
                "the ledger was deleted, moved or replaced while it was in use. No event is lost by \
                 this, but what is delivered again by the queue may be sent again to the sinks"
            );
        }
        if damaged || !self.open.as_ref().is_some_and(is_current) {
            self.reopen(damaged)?;
        }
        match &mut self.open {
            Some((connection, _)) => Ok(connection),
            None => Err(Failure::Refused("the ledger is not open".to_owned())),
        }
    }

    fn handle(&mut self, fault: &Fault) {
        match fault.remedy() {
            Remedy::Wait => {}
            // The reader goes on: that nothing can be written need not concern it.
            Remedy::Reopen => self.open = None,
            Remedy::Rebuild => {
                // What this leads to is logged where the file is moved, and an error to open is
                // what the next caller hears.
                if let Err(failure) = self.reopen(true) {
                    debug!(failure = failure.text(), "the damaged ledger cannot be opened again");
                }
            }
        }
    }

    /// Opens the file anew, and a new one if this one is `condemned`.
    fn reopen(&mut self, condemned: bool) -> Result<(), Failure> {
        if let Some((until, why)) = &self.refused
            && Instant::now() < *until
        {
            return Err(Failure::Refused(why.clone()));
        }
        // The reader waits for its connection meanwhile. Both are closed: no file is moved while one
        // of them has it open.
        let slot = Arc::clone(&self.slot);
        let mut reader = slot.lock();
        *reader = None;
        // Said of the file that is closed here, and said under this lock.
        slot.damaged.store(false, Ordering::Relaxed);
        let file = self.open.take().map(|(_, file)| file).filter(|_| condemned);
        match self.folder.open(file) {
            Ok(opened) => {
                self.install(&mut reader, opened);
                Ok(())
            }
            Err(error) => {
                self.refuse(&error);
                Err(Failure::Refused(chain(&error)))
            }
        }
    }

    fn install(&mut self, slot: &mut Option<Connection>, opened: Opened) {
        let Opened { writer, reader, file } = opened;
        self.open = Some((writer, file));
        *slot = Some(reader);
        self.refused = None;
    }

    fn refuse(&mut self, error: &OpenError) {
        self.refused = Some((Instant::now() + REOPEN_PAUSE, chain(error)));
    }

    fn prune(&mut self) {
        let began = Instant::now();
        let more = self.prune_slice();
        let took = began.elapsed();
        let pause = if more { PRUNE_PAUSE.max(took * PRUNE_SHARE) } else { PRUNE_EVERY };
        self.next_prune = Instant::now() + pause;
    }

    fn prune_slice(&mut self) -> bool {
        let Some(cutoff) = SystemTime::now().checked_sub(self.retention) else { return false };
        let Ok(connection) = self.connection() else { return false };
        let pruned = rows::prune(connection, cutoff, SLICE);
        pruned.unwrap_or_else(|fault| {
            warn!(error = %fault, "old entries of the ledger cannot be deleted now");
            self.handle(&fault);
            false
        })
    }
}

/// Why a group was not committed.
enum Failure {
    /// It was tried.
    Fault(Fault),
    /// There is no open file to try it on.
    Refused(String),
}

impl Failure {
    fn text(&self) -> String {
        match self {
            Self::Fault(fault) => format!("the ledger cannot be written: {fault}"),
            Self::Refused(why) => why.clone(),
        }
    }
}

fn commit(connection: &mut Connection, group: &[Request]) -> Result<(), Fault> {
    let is_note = |request: &&Request| {
        matches!(request, Request::Acknowledged { .. } | Request::Settled { .. })
    };
    let notes = || group.iter().filter(is_note);
    if notes().next().is_none() {
        return Ok(());
    }
    // Immediate: a transaction that begins as a reader could fail at its first write.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for request in notes() {
        match request {
            Request::Acknowledged { object, sink, below, .. } => {
                rows::acknowledge(&transaction, object, sink, *below)?;
            }
            Request::Settled { object, settlement, .. } => {
                rows::settle(&transaction, object, settlement)?;
            }
            Request::Flush { .. } | Request::Reopen => {}
        }
    }
    transaction.commit()?;
    Ok(())
}

fn chain(error: &OpenError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
