//! The embedded store: one SQLite file. The only file that knows of SQLite.
//!
//! A rollback journal and short transactions, not a write-ahead log: the ledger stays one file that
//! can be copied, and lies well on every file system.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Row, ToSql, Transaction, TransactionBehavior,
    params_from_iter,
};

use super::error::LedgerError;
use super::place::{create_database, find_database, make_folder};
use super::schema::{VERSION, missing};
use super::value::{Change, Record, Value};

/// Marks a file as a ledger: "pgrc".
const APPLICATION: i64 = 0x7067_7263;
/// How long another process's statement is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

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

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Owned(SqliteValue::Null),
            Value::Int(number) => ToSqlOutput::Owned(SqliteValue::Integer(*number)),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// An open ledger file.
#[derive(Debug)]
pub(super) struct FileStore {
    connection: Connection,
    /// Whether a newer program has written it.
    pub(super) newer: bool,
}

impl FileStore {
    /// Opens a ledger to write to, and makes it if it is not there.
    pub(super) fn create(path: &Path) -> Result<FileStore, LedgerError> {
        make_folder(path)?;
        let path = create_database(path)?;
        let store = FileStore::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if store.newer {
            return Ok(store);
        }
        store.connection.pragma_update(None, "synchronous", "normal")?;
        // Findings come in no order that an index likes: pages that are written again stay at hand.
        store.connection.pragma_update(None, "cache_size", -4096)?;
        if store.version()? < VERSION {
            store.migrate()?;
        }
        Ok(FileStore { newer: store.version()? > VERSION, ..store })
    }

    /// Makes what it lacks of this program's version.
    fn migrate(&self) -> Result<(), LedgerError> {
        // Nobody else writes from here on; rolled back when it goes without a commit.
        let all = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        for step in missing(self.version()?) {
            all.execute_batch(step.file)?;
        }
        all.pragma_update(None, "application_id", APPLICATION)?;
        all.pragma_update(None, "user_version", VERSION.max(self.version()?))?;
        Ok(all.commit()?)
    }

    /// Opens a ledger to read; nothing if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<FileStore>, LedgerError> {
        let Some(found) = find_database(path)? else { return Ok(None) };
        let store = FileStore::connect(&found, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match store.version()? {
            // A file that no run has come to write to yet.
            0 => Ok(None),
            // What an older program has written gets the tables that it lacks first.
            1..VERSION => FileStore::create(path).map(Some),
            _ => Ok(Some(store)),
        }
    }

    fn connect(path: &Path, access: OpenFlags) -> Result<FileStore, LedgerError> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, access | flags)?;
        connection.busy_timeout(PATIENCE)?;
        let store = FileStore { connection, newer: false };
        let version = store.version()?;
        let pragma = |name: &str| store.connection.pragma_query_value(None, name, number);
        let (tables, application) = (pragma("schema_version")?, pragma("application_id")?);
        if application != APPLICATION && (tables > 0 || version > 0) {
            return Err(LedgerError("it is a database of another program".to_owned()));
        }
        Ok(FileStore { newer: version > VERSION, ..store })
    }

    fn version(&self) -> Result<i64, LedgerError> {
        Ok(self.connection.pragma_query_value(None, "user_version", number)?)
    }

    /// Runs a statement and gives what it returns.
    pub(super) fn rows(
        &self,
        statement: &str,
        params: &[Value],
    ) -> Result<Vec<Record>, LedgerError> {
        let mut statement = self.connection.prepare_cached(statement)?;
        let mut rows = statement.query(params_from_iter(params))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(record(row)?);
        }
        Ok(found)
    }

    /// Makes several changes, or none of them. Gives how many rows each has changed.
    pub(super) fn together(&self, changes: &[Change]) -> Result<Vec<u64>, LedgerError> {
        // Rolled back when it goes without a commit.
        let all = self.connection.unchecked_transaction()?;
        let mut counts = Vec::with_capacity(changes.len());
        for Change { statement, params } in changes {
            let mut statement = self.connection.prepare_cached(statement)?;
            counts.push(statement.execute(params_from_iter(params))? as u64);
        }
        all.commit()?;
        Ok(counts)
    }
}

fn number(row: &Row<'_>) -> rusqlite::Result<i64> {
    row.get(0)
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let columns = row.as_ref().column_count();
    let value = |at| {
        Ok(match row.get::<_, SqliteValue>(at)? {
            SqliteValue::Integer(number) => Value::Int(number),
            SqliteValue::Text(text) => Value::Text(text),
            SqliteValue::Blob(bytes) => Value::Bytes(bytes),
            SqliteValue::Null | SqliteValue::Real(_) => Value::Null,
        })
    };
    (0..columns).map(value).collect::<rusqlite::Result<_>>().map(Record)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite numbers parameters by their first appearance, PostgreSQL by their name: statements serve
    /// both as long as the two agree.
    #[test]
    fn parameters_appear_in_the_order_of_their_numbers() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ledger/statements");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("--"));
            let code: String = code.collect::<Vec<_>>().join("\n");
            let mut known = 0;
            for (at, _) in code.match_indices('$') {
                let digits: String =
                    code[at + 1..].chars().take_while(char::is_ascii_digit).collect();
                let Ok(number) = digits.parse::<usize>() else { continue };
                assert!(number <= known + 1, "{}: ${number}", path.display());
                known = known.max(number);
            }
        }
    }

    #[test]
    fn changes_are_made_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::create(&folder.path().join("x.db")).unwrap();
        let add = |run: i64| Change {
            statement: include_str!("statements/add_undecided.sql"),
            params: vec![run.into(), 0_i64.into(), "{}".into()],
        };
        assert_eq!(store.together(&[add(1), add(2)]), Ok(vec![1, 1]));
        assert!(store.together(&[add(3), add(1)]).is_err());
        let find = include_str!("statements/undecided_of_run.sql");
        let found = |run: i64| store.rows(find, &[run.into(), Value::Int(-1)]).unwrap().len();
        assert_eq!([found(1), found(2), found(3)], [1, 1, 0]);
    }

    #[test]
    fn a_file_of_version_1_is_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(missing(0)[0].file).unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        drop(old);
        let store = FileStore::read(&path).unwrap().unwrap();
        assert_eq!(store.version(), Ok(VERSION));
        // Who comes second finds it done.
        assert_eq!(store.migrate(), Ok(()));
        assert!(!store.newer);
    }
}
