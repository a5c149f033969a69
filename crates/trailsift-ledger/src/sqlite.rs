use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::timeout;
use trailsift_core::{Known, Ledger, LedgerError, ObjectId, Settlement};

use crate::fault::OpenError;
use crate::folder::Folder;
use crate::reader::{self, Question};
use crate::writer::{Answer, Request, Slot, Writer};

/// How many requests wait for each thread at most; one more is refused at once.
const QUEUE: usize = 1024;
/// No call takes longer, whatever the disk does.
const PATIENCE: Duration = Duration::from_secs(5);

/// How a ledger is kept.
#[derive(Clone, Copy, Debug)]
pub struct LedgerSettings {
    /// How long an object is remembered after its work has ended, or after the last
    /// acknowledgement for it. Shorter than the queue keeps messages it costs duplicates.
    pub retention: Duration,
}

/// The ledger in an SQLite file. What it promises is what [`Ledger`] does.
///
/// Two threads serve it, and end by themselves once it is dropped; nobody waits for them. The
/// deadline of a call runs on tokio's clock: do not pause that around this ledger, for its threads
/// work in real time.
#[derive(Debug)]
pub struct SqliteLedger {
    writer: SyncSender<Request>,
    reader: SyncSender<Question>,
}

impl SqliteLedger {
    /// Opens the ledger in this folder, and makes both where they are missing. Blocks for seconds
    /// at most. A damaged file is moved aside, with a warning, and a new one begun.
    ///
    /// # Errors
    /// The folder or the file cannot be used now, or not by this version of trailsift.
    pub fn open(folder: &Path, settings: LedgerSettings) -> Result<Self, OpenError> {
        match Self::open_or_retry(folder, settings)? {
            (ledger, None) => Ok(ledger),
            (_, Some(error)) => Err(error),
        }
    }

    /// As [`SqliteLedger::open`], but where the file cannot be used now there is a ledger all the
    /// same, and the reason beside it. Each of its calls answers an error, and tries again to open
    /// the file (once a second at most): it begins to work when the cause is gone.
    ///
    /// # Errors
    /// Only where no thread can be started.
    pub fn open_or_retry(
        folder: &Path,
        settings: LedgerSettings,
    ) -> Result<(Self, Option<OpenError>), OpenError> {
        let folder = Folder::at(folder);
        let opened = folder.open(None);
        let slot = Arc::new(Slot::default());
        let mut writer = Writer::new(folder, settings.retention, Arc::clone(&slot));
        let error = match opened {
            Ok(opened) => {
                writer.begin(Ok(opened));
                None
            }
            Err(error) => {
                writer.begin(Err(&error));
                Some(error)
            }
        };
        let (to_writer, requests) = mpsc::sync_channel(QUEUE);
        let (to_reader, questions) = mpsc::sync_channel(QUEUE);
        spawn("ledger-writer", move || writer.run(&requests))?;
        let wake = to_writer.clone();
        spawn("ledger-reader", move || reader::run(&questions, &slot, &wake))?;
        Ok((Self { writer: to_writer, reader: to_reader }, error))
    }

    /// Copies the log into the database, so that the file alone holds everything. For the end of the
    /// process: a log that stays beside the database loses nothing. Waits so long at most.
    pub async fn flush(&self, patience: Duration) {
        let flushed = ask(&self.writer, |answer| Request::Flush { answer });
        if !matches!(timeout(patience, flushed).await, Ok(Ok(()))) {
            tracing::debug!("the ledger's log stays beside it");
        }
    }

    async fn note(&self, request: impl FnOnce(Answer<()>) -> Request) -> Result<(), LedgerError> {
        ask(&self.writer, request).await
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    // Let go: it ends when the ledger is dropped, and a runtime that ends need not wait for a disk.
    thread.map(drop).map_err(OpenError::Thread)
}

async fn ask<R, T>(
    queue: &SyncSender<R>,
    request: impl FnOnce(Answer<T>) -> R,
) -> Result<T, LedgerError> {
    let (answer, answered) = oneshot::channel();
    queue.try_send(request(answer)).map_err(|error| match error {
        TrySendError::Full(_) => LedgerError(format!("{QUEUE} requests wait for the ledger")),
        TrySendError::Disconnected(_) => ended(),
    })?;
    // Cancel safety: whoever stops waiting leaves the request in the queue, and it is carried out.
    match timeout(PATIENCE, answered).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ended()),
        Err(_) => Err(LedgerError(format!("the ledger does not answer within {PATIENCE:?}"))),
    }
}

fn ended() -> LedgerError {
    LedgerError("the ledger's thread has ended".to_owned())
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn recall(&self, object: &ObjectId) -> Result<Known, LedgerError> {
        let object = object.clone();
        ask(&self.reader, |answer| Question { object, answer }).await
    }

    async fn acknowledged(
        &self,
        object: &ObjectId,
        sink: &str,
        below: u64,
    ) -> Result<(), LedgerError> {
        let (object, sink) = (object.clone(), sink.to_owned());
        self.note(|answer| Request::Acknowledged { object, sink, below, answer }).await
    }

    async fn settled(&self, object: &ObjectId, settlement: &Settlement) -> Result<(), LedgerError> {
        let (object, settlement) = (object.clone(), Box::new(settlement.clone()));
        self.note(|answer| Request::Settled { object, settlement, answer }).await
    }
}
