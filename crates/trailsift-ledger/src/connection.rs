//! One connection: how it is set up, and whether what it opened is a ledger.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::fault::{OpenError, Remedy, remedy};

/// Marks the file as trailsift's ledger ("tslg"). The file keeps its mark and its schema's version.
const APPLICATION_ID: i64 = 0x7473_6c67;
/// The schema that this version writes, and the newest that it knows.
const SCHEMA_VERSION: i64 = 1;
const SCHEMA: &str = include_str!("schema.sql");

/// How long a statement waits for a lock of somebody else.
pub(crate) const BUSY: Duration = Duration::from_secs(1);

/// The write-ahead log is copied into the database when it has this many pages (16 MB): a page that was
/// written often since then is copied once.
const WAL_PAGES: i64 = 4_000;
/// The write-ahead log is cut down to this whenever it has been copied into the database.
const WAL_LIMIT_BYTES: i64 = 32 << 20;

/// Why a file could not be opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is no ledger, or a damaged one.
    Damaged(String),
    /// It may be a good one, but it cannot be used now or not by this version.
    Unusable(OpenError),
}

impl Refusal {
    fn of(error: rusqlite::Error, path: &Path) -> Self {
        let path = path.to_owned();
        match remedy(&error) {
            Remedy::Rebuild => Self::Damaged(error.to_string()),
            Remedy::Wait if !is_full(&error) => Self::Unusable(OpenError::Locked { path }),
            _ => Self::Unusable(OpenError::Database { path, source: error }),
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

/// Opens the ledger for writing; makes it if the file is empty or absent.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, Refusal> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let refused = |error| Refusal::of(error, path);
    let mut connection = Connection::open_with_flags(path, flags).map_err(refused)?;
    set_up(&connection, 16).map_err(refused)?;
    identify(&mut connection, path)?;
    Ok(connection)
}

/// Opens a ledger that [`open_writer`] has found to be one, for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    // Not read-only for SQLite: a reader of a write-ahead log writes to the index beside it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection, 4)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn set_up(connection: &Connection, cache_mib: i64) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    // The last connection to close would copy the log and then delete it *by its name*. If the file
    // was moved away meanwhile and a new one begun, that would be the new one's log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Nothing that a foreign file brings along is to be run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "cache_size", -1024 * cache_mib)
}

fn identify(connection: &mut Connection, path: &Path) -> Result<(), Refusal> {
    let refused = |error| Refusal::of(error, path);
    let pragma = |name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(refused)
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let listing = "SELECT count(*) FROM sqlite_schema";
    let objects: i64 = connection.query_row(listing, [], |row| row.get(0)).map_err(refused)?;
    let is_new = application == 0 && version == 0 && objects == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(Refusal::Damaged("it is no ledger of trailsift".to_owned()));
    }
    if version > SCHEMA_VERSION {
        let (path, known) = (path.to_owned(), SCHEMA_VERSION);
        return Err(Refusal::Unusable(OpenError::Newer { path, found: version, known }));
    }
    connection.pragma_update(None, "journal_mode", "wal").map_err(refused)?;
    // A crash of the process loses nothing; a power cut may lose the last commits, never more.
    connection.pragma_update(None, "synchronous", "normal").map_err(refused)?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES).map_err(refused)?;
    connection.pragma_update(None, "journal_size_limit", WAL_LIMIT_BYTES).map_err(refused)?;
    if is_new {
        create(connection).map_err(refused)?;
    }
    verify(connection).map_err(refused)??;
    writable(connection, path)
}

/// SQLite opens for reading what it may not write to. It may also think so because of one bit of
/// the header.
fn writable(connection: &Connection, path: &Path) -> Result<(), Refusal> {
    if !connection.is_readonly("main").map_err(|error| Refusal::of(error, path))? {
        return Ok(());
    }
    match rustix::fs::access(path, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Err(Refusal::Damaged("its header says that it is read-only".to_owned())),
        Err(error) => {
            let (path, source) = (path.to_owned(), error.into());
            Err(Refusal::Unusable(OpenError::Folder { path, source }))
        }
    }
}

fn create(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

/// That the file has what this version's schema names. More is no harm: somebody's own index.
fn verify(connection: &Connection) -> Result<Result<(), Refusal>, rusqlite::Error> {
    let model = Connection::open_in_memory()?;
    model.execute_batch(SCHEMA)?;
    let found = definitions(connection)?;
    let missing = definitions(&model)?.into_iter().find(|definition| !found.contains(definition));
    Ok(match missing {
        None => Ok(()),
        Some((name, _)) => Err(Refusal::Damaged(format!("its {name} is not as it was made"))),
    })
}

fn definitions(connection: &Connection) -> Result<Vec<(String, String)>, rusqlite::Error> {
    let listing = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL";
    let mut statement = connection.prepare(listing)?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
