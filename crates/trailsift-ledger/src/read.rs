use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, Row};
use trailsift_core::ObjectId;

use crate::connection;
use crate::fault::{Fault, OpenError};
use crate::folder::FILE_NAME;
use crate::name::{Name, place, revision, time};

/// One row of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerRow {
    /// The end of the work on an object.
    Settled(Box<SettledRow>),
    /// How far a sink has come with an object that it is still owed something of.
    Progress {
        /// The object.
        object: ObjectId,
        /// The sink.
        sink: String,
        /// It has acknowledged every record whose place in the file is below this.
        below: u64,
        /// When it was noted, to the millisecond.
        noted_at: SystemTime,
    },
}

/// The end of the work on an object, as [`trailsift_core::Settlement`] has it; times to the
/// millisecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledRow {
    /// The object.
    pub object: ObjectId,
    /// The sinks that are owed nothing more, sorted.
    pub sinks: Vec<String>,
    /// Why the object as a whole is in the quarantine.
    pub parked: Option<String>,
    /// The entity tag of what was read.
    pub etag: Option<String>,
    /// The version that was read.
    pub version_id: Option<String>,
    /// Bytes after inflation.
    pub inflated: u64,
    /// SHA-256 of the inflated bytes.
    pub sha256: Option<[u8; 32]>,
    /// Records seen.
    pub seen: u64,
    /// Records selected.
    pub selected: u64,
    /// Records parked.
    pub quarantined: u64,
    /// The earliest `eventTime` of the selected records.
    pub first_event: Option<SystemTime>,
    /// The latest one.
    pub last_event: Option<SystemTime>,
    /// When the work ended.
    pub settled_at: SystemTime,
}

const SETTLED: &str = "SELECT account, bucket, key, revision_kind, revision, seal, sinks, parked, etag, \
     version_id, inflated, sha256, seen, selected, quarantined, first_event, last_event, settled_at \
     FROM settled ORDER BY id";
const PROGRESS: &str = "SELECT account, bucket, key, revision_kind, revision, seal, sink, below, noted_at \
     FROM progress";

/// Reads the ledger in this folder, row by row, while others may be writing to it: first what is
/// settled, in the order in which it was first settled, then what is not. Blocks.
///
/// # Errors
/// There is no ledger in the folder, or it cannot be read to its end.
pub fn read(folder: &Path, mut visit: impl FnMut(LedgerRow)) -> Result<(), OpenError> {
    let path = folder.join(FILE_NAME);
    read_at(&path, &mut visit).map_err(|fault| match fault {
        Fault::Sql(source) => OpenError::Database { path, source },
        Fault::Seal => OpenError::Altered { path },
    })
}

fn read_at(path: &Path, visit: &mut dyn FnMut(LedgerRow)) -> Result<(), Fault> {
    let connection = connection::open_reader(path)?;
    each(&connection, SETTLED, |row| settled(row).map(&mut *visit))?;
    each(&connection, PROGRESS, |row| progress(row).map(&mut *visit))
}

fn each(
    connection: &Connection,
    sql: &str,
    mut visit: impl FnMut(&Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        visit(row)?;
    }
    Ok(())
}

/// The object that a row of either table names.
fn object(row: &Row<'_>) -> Result<ObjectId, Fault> {
    let kind: String = row.get(3)?;
    let revision = revision(&kind, row.get(4)?).ok_or(Fault::Seal)?;
    Ok(ObjectId { account: row.get(0)?, bucket: row.get(1)?, key: row.get(2)?, revision })
}

fn settled(row: &Row<'_>) -> Result<LedgerRow, Fault> {
    let object = object(row)?;
    let (sinks, parked): (String, Option<String>) = (row.get(6)?, row.get(7)?);
    if row.get::<_, i64>(5)? != Name::of(&object).seal_of_end(&sinks, parked.as_deref()) {
        return Err(Fault::Seal);
    }
    let figure = |column| Ok::<_, Fault>(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0));
    Ok(LedgerRow::Settled(Box::new(SettledRow {
        object,
        sinks: serde_json::from_str(&sinks).map_err(|_| Fault::Seal)?,
        parked,
        etag: row.get(8)?,
        version_id: row.get(9)?,
        inflated: figure(10)?,
        sha256: row.get(11)?,
        seen: figure(12)?,
        selected: figure(13)?,
        quarantined: figure(14)?,
        first_event: row.get::<_, Option<i64>>(15)?.map(time),
        last_event: row.get::<_, Option<i64>>(16)?.map(time),
        settled_at: time(row.get(17)?),
    })))
}

fn progress(row: &Row<'_>) -> Result<LedgerRow, Fault> {
    let object = object(row)?;
    let (sink, below): (String, i64) = (row.get(6)?, row.get(7)?);
    if row.get::<_, i64>(5)? != Name::of(&object).seal_of_place(&sink, below) {
        return Err(Fault::Seal);
    }
    let noted_at = time(row.get(8)?);
    Ok(LedgerRow::Progress { object, sink, below: place(below), noted_at })
}
