//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::allow_attributes, reason = "an expectation would fail where all of it is used")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use tempfile::TempDir;
use trailsift_core::{Known, Ledger, ObjectId, Revision, Settlement};
use trailsift_ledger::{FILE_NAME, LedgerSettings, SqliteLedger};

/// Long enough for the times that the tests make up.
pub(crate) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(crate) fn settings() -> LedgerSettings {
    LedgerSettings { retention: CENTURY }
}

pub(crate) fn open(folder: &Path) -> SqliteLedger {
    SqliteLedger::open(folder, settings()).expect("it can be opened")
}

pub(crate) fn folder() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("a temporary folder");
    let path = root.path().join("data/ledger");
    (root, path)
}

pub(crate) fn object(number: usize) -> ObjectId {
    ObjectId {
        account: "main".to_owned(),
        bucket: "trail".to_owned(),
        key: format!("AWSLogs/111122223333/CloudTrail/us-east-1/2024/05/06/{number:06}.json.gz"),
        revision: Revision::Etag(format!("{number:032x}")),
    }
}

pub(crate) fn settlement(sinks: &[&str]) -> Settlement {
    Settlement {
        etag: Some("9b2cf535f27731c974343645a3985328".to_owned()),
        version_id: None,
        sinks: sinks.iter().map(|&sink| sink.to_owned()).collect(),
        parked: None,
        inflated: 70_000,
        sha256: None,
        seen: 40,
        selected: 3,
        quarantined: 1,
        first_event: None,
        last_event: None,
        settled_at: SystemTime::now(),
    }
}

/// Settles an object, or acknowledges 7 of its records, whichever its number says.
pub(crate) async fn note(
    ledger: &SqliteLedger,
    number: usize,
) -> Result<(), trailsift_core::LedgerError> {
    match number % 3 {
        0 => ledger.acknowledged(&object(number), "siem", 7).await,
        _ => ledger.settled(&object(number), &settlement(&["siem", "archive"])).await,
    }
}

/// What [`note`] has noted.
pub(crate) fn noted(number: usize) -> Known {
    let acknowledged: &[(&str, u64)] = match number % 3 {
        0 => &[("siem", 7)],
        _ => &[("archive", Known::ALL), ("siem", Known::ALL)],
    };
    let acknowledged = acknowledged.iter().map(|&(sink, below)| (sink.to_owned(), below));
    Known { acknowledged: acknowledged.collect(), parked: None }
}

/// A ledger of this many notes, closed and complete in its one file.
pub(crate) async fn filled(folder: &Path, count: usize) {
    let ledger = open(folder);
    for number in 0..count {
        note(&ledger, number).await.expect("noted");
    }
    drop(ledger);
    until("the log is copied into the database", || wal_bytes(folder) == 0);
}

pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

pub(crate) fn wal_bytes(folder: &Path) -> u64 {
    let wal = folder.join(format!("{FILE_NAME}-wal"));
    std::fs::metadata(wal).map(|metadata| metadata.len()).unwrap_or(0)
}

/// The damaged ledgers that were moved aside, without their companions.
pub(crate) fn aside(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let is_companion = |name: &str| name.ends_with("-wal") || name.ends_with("-shm");
    let mut names: Vec<String> =
        names.filter(|name| name.contains(".corrupt-") && !is_companion(name)).collect();
    names.sort();
    names
}

/// A connection beside the ledger's, as another program would have.
pub(crate) fn beside(folder: &Path) -> Connection {
    Connection::open(database(folder)).expect("it can be opened")
}

/// Polls until it holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
