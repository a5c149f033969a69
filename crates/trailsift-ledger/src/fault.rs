use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The folder cannot be made, or nothing can be made in it.
    #[error("the ledger's folder cannot be used: {}", .path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file was written by a newer version of this program. It is left as it is.
    #[error(
        "the ledger {} has schema {found}, this version of trailsift knows none beyond {known}: \
         run the newer version, or move the file away to begin anew",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that is known.
        known: i64,
    },
    /// Another process keeps the file to itself.
    #[error("the ledger {} is locked by another process", .path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// SQLite cannot use the file.
    #[error("the ledger {} cannot be used", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A row of it is not as it was written.
    #[error("the ledger {} is damaged: a row is not as it was written", .path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// No thread can be started.
    #[error("no thread can be started for the ledger")]
    Thread(#[source] io::Error),
}

/// What went wrong with an open database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// SQLite says so.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A row does not say what was written: a bit of it was changed outside of SQLite.
    #[error("a row is not as it was written")]
    Seal,
}

/// What helps against a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Trying again: somebody else holds a lock, or the disk is full.
    Wait,
    /// Opening the file again.
    Reopen,
    /// A new file: what this one says cannot be trusted.
    Rebuild,
}

impl Fault {
    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Seal => Remedy::Rebuild,
            Self::Sql(error) => remedy(error),
        }
    }
}

pub(crate) fn remedy(error: &rusqlite::Error) -> Remedy {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::DiskFull => Remedy::Wait,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Remedy::Rebuild,
            _ => match failure.extended_code {
                ffi::SQLITE_IOERR_SHORT_READ
                | ffi::SQLITE_IOERR_CORRUPTFS
                | ffi::SQLITE_IOERR_DATA => Remedy::Rebuild,
                _ => Remedy::Reopen,
            },
        },
        // Tables are strict and of a fixed schema: another type or no text is damage.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => Remedy::Rebuild,
        _ => Remedy::Reopen,
    }
}
