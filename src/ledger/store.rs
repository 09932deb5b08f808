//! The embedded store: the only file that knows of SQLite.
//!
//! A rollback journal and short transactions, not a write-ahead log: the ledger stays one file that
//! can be copied, and lies well on every file system. Statements stand in files of their own beside this one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use rusqlite::Row;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Params};

use super::place::{make_file, make_folder};

/// The version of the schema that this program writes.
pub(super) const VERSION: u32 = 1;
/// Marks a file as a ledger: "pgrc".
const APPLICATION: u32 = 0x7067_7263;
/// How long another process's statement is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a ledger cannot be used: lowercase, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerError(pub(super) String);

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LedgerError {}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> LedgerError {
        let known = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => "it is damaged",
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::ReadOnly) => "it is read-only",
            Some(ErrorCode::CannotOpen) => "it cannot be opened",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another process is at it",
            _ => return LedgerError(error.to_string()),
        };
        LedgerError(known.to_owned())
    }
}

impl From<std::io::Error> for LedgerError {
    fn from(error: std::io::Error) -> LedgerError {
        LedgerError(error.to_string())
    }
}

impl From<serde_json::Error> for LedgerError {
    fn from(error: serde_json::Error) -> LedgerError {
        LedgerError(format!("a record in it is not understood: {error}"))
    }
}

/// An open ledger.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    newer: bool,
}

impl Store {
    /// Opens a ledger to write to, and makes it if it is not there.
    ///
    /// # Errors
    /// When it cannot be made or written, is damaged, or is no ledger.
    pub fn create(path: &Path) -> Result<Store, LedgerError> {
        make_folder(path)?;
        drop(make_file(path)?);
        let mut store = Store::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if store.newer {
            return Ok(store);
        }
        store.connection.pragma_update(None, "synchronous", "normal")?;
        if store.version()? == 0 {
            let made = store.connection.transaction()?;
            made.execute_batch(include_str!("statements/schema.sql"))?;
            made.pragma_update(None, "application_id", APPLICATION)?;
            made.pragma_update(None, "user_version", VERSION)?;
            made.commit()?;
        }
        Ok(store)
    }

    /// Opens a ledger to read; nothing if there is none.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is no ledger.
    pub fn read(path: &Path) -> Result<Option<Store>, LedgerError> {
        if !path.try_exists()? {
            return Ok(None);
        }
        let store = Store::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        // A file that no run has come to write to yet.
        Ok((store.version()? > 0).then_some(store))
    }

    fn connect(path: &Path, access: OpenFlags) -> Result<Store, LedgerError> {
        let connection =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(PATIENCE)?;
        let store = Store { connection, path: path.to_owned(), newer: false };
        let version = store.version()?;
        let tables: u32 = store.connection.pragma_query_value(None, "schema_version", value)?;
        let application: u32 =
            store.connection.pragma_query_value(None, "application_id", value)?;
        if application != APPLICATION && (tables > 0 || version > 0) {
            return Err(LedgerError("it is a database of another program".to_owned()));
        }
        Ok(Store { newer: version > VERSION, ..store })
    }

    fn version(&self) -> Result<u32, LedgerError> {
        Ok(self.connection.pragma_query_value(None, "user_version", value)?)
    }

    /// Whether a newer program has written it: it is read, and never written.
    pub fn is_newer(&self) -> bool {
        self.newer
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a statement and gives how many rows it changed.
    pub(super) fn run(&self, statement: &str, params: impl Params) -> Result<usize, LedgerError> {
        Ok(self.connection.prepare_cached(statement)?.execute(params)?)
    }

    /// Does several things at once, or none of them.
    pub(super) fn together(
        &self,
        work: impl FnOnce(&Store) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        // Rolled back when it goes without a commit.
        let all = self.connection.unchecked_transaction()?;
        work(self)?;
        Ok(all.commit()?)
    }

    /// The number of the row that was added last.
    pub(super) fn last_added(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    /// The first row of a question, if it has one.
    pub(super) fn first<T>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, LedgerError> {
        Ok(self.connection.prepare_cached(statement)?.query_row(params, read).optional()?)
    }

    /// Hands each row of a question on.
    pub(super) fn each<T>(
        &self,
        statement: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        mut take: impl FnMut(T) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut statement = self.connection.prepare_cached(statement)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            take(read(row)?)?;
        }
        Ok(())
    }
}

fn value<T: rusqlite::types::FromSql>(row: &Row<'_>) -> rusqlite::Result<T> {
    row.get(0)
}

/// A row of two numbers.
pub(super) fn two_numbers(row: &Row<'_>) -> rusqlite::Result<(i64, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// A row of one text.
pub(super) fn text(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

/// A count in a row.
pub(super) fn count(row: &Row<'_>, place: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(place).map(i64::unsigned_abs)
}
