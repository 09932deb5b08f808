//! The embedded store: one SQLite file. No other file uses SQLite.
//!
//! It has a rollback journal and short transactions, not a write-ahead log: the ledger stays one file
//! that can be copied, and works on every file system.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Row, ToSql, Transaction, TransactionBehavior,
    params_from_iter,
};

use super::migration::{Tables, convert_rows};
use super::schema::{VERSION, missing};
use super::stored_row::{LedgerWrite, StoredRow, StoredValue};
use crate::ledger::location::{create_database, find_database, make_folder};
use crate::problem::Problem;

/// Marks a file as a ledger: "pgrc".
const APPLICATION: i64 = 0x7067_7263;
/// How long to wait for another process's statement.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Problem {
        let known = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => "it is damaged",
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::ReadOnly) => "it is read-only",
            Some(ErrorCode::CannotOpen) => "it cannot be opened",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another process is using it"
            }
            _ => return Problem::new(error.to_string()),
        };
        Problem::new(known)
    }
}

/// Returns the problem of a file that the system refuses.
fn of_system(error: io::Error) -> Problem {
    Problem::new(error.to_string())
}

impl ToSql for StoredValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            StoredValue::Null => ToSqlOutput::Owned(SqliteValue::Null),
            StoredValue::Int(number) => ToSqlOutput::Owned(SqliteValue::Integer(*number)),
            StoredValue::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            StoredValue::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// An open ledger file.
#[derive(Debug)]
pub(crate) struct FileStore {
    connection: Connection,
    /// Whether a newer program has written it.
    pub(crate) newer: bool,
}

impl FileStore {
    /// Opens a ledger for writing. Creates the file if there is none.
    pub(crate) async fn create(path: &Path) -> Result<FileStore, Problem> {
        make_folder(path).map_err(of_system)?;
        let path = create_database(path).map_err(of_system)?;
        let store = FileStore::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if store.newer {
            return Ok(store);
        }
        store.connection.pragma_update(None, "synchronous", "normal")?;
        // Findings arrive in random index order: pages that are written again stay in the cache.
        store.connection.pragma_update(None, "cache_size", -4096)?;
        // Deleted rows are overwritten.
        store.connection.pragma_update(None, "secure_delete", true)?;
        if store.version()? < VERSION {
            store.migrate().await?;
        }
        store.vacuum_if_due()?;
        Ok(FileStore { newer: store.version()? > VERSION, ..store })
    }

    /// Brings it to the version of this program.
    async fn migrate(&self) -> Result<(), Problem> {
        // No other process writes from here on. Without a commit it is rolled back when it is dropped.
        let all = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
        let version = self.version()?;
        for step in missing(version) {
            all.execute_batch(step.file)?;
        }
        convert_rows(self, version).await?;
        all.pragma_update(None, "application_id", APPLICATION)?;
        all.pragma_update(None, "user_version", VERSION.max(version))?;
        Ok(all.commit()?)
    }

    /// Overwrites, after a migration, what older programs deleted without overwriting it. If the
    /// process is killed in between, the ledger is in use or the disk is full, the next process that
    /// opens the ledger does so.
    fn vacuum_if_due(&self) -> Result<(), Problem> {
        if self.connection.table_exists(None, "vacuum_due")? {
            let _ = self.connection.execute_batch(include_str!("../statements/file_vacuum.sql"));
        }
        Ok(())
    }

    /// Opens a ledger for reading. Returns `None` if there is none.
    pub(crate) async fn read(path: &Path) -> Result<Option<FileStore>, Problem> {
        let Some(found) = find_database(path).map_err(of_system)? else { return Ok(None) };
        let store = FileStore::connect(&found, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        match store.version()? {
            // A file that no run has written to yet.
            0 => Ok(None),
            // A ledger of an older program is migrated first.
            1..VERSION => FileStore::create(path).await.map(Some),
            _ => Ok(Some(store)),
        }
    }

    fn connect(path: &Path, access: OpenFlags) -> Result<FileStore, Problem> {
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(path, access | flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let store = FileStore { connection, newer: false };
        let version = store.version()?;
        let pragma = |name: &str| store.connection.pragma_query_value(None, name, number);
        let (tables, application) = (pragma("schema_version")?, pragma("application_id")?);
        if application != APPLICATION && (tables > 0 || version > 0) {
            return Err(Problem::new("it is a database of another program"));
        }
        Ok(FileStore { newer: version > VERSION, ..store })
    }

    fn version(&self) -> Result<i64, Problem> {
        Ok(self.connection.pragma_query_value(None, "user_version", number)?)
    }

    /// Runs a statement and returns its rows.
    pub(crate) fn rows(
        &self,
        statement: &str,
        params: &[StoredValue],
    ) -> Result<Vec<StoredRow>, Problem> {
        let mut statement = self.connection.prepare_cached(statement)?;
        let names = statement.column_names();
        let columns: Arc<[String]> = names.into_iter().map(str::to_owned).collect();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(StoredRow::new(&columns, read_values(row)?));
        }
        Ok(found)
    }

    /// Makes several changes, or none of them. Returns how many rows each has changed.
    pub(crate) fn write_all(&self, changes: &[LedgerWrite]) -> Result<Vec<u64>, Problem> {
        // Without a commit it is rolled back when it is dropped.
        let all = self.connection.unchecked_transaction()?;
        let mut counts = Vec::with_capacity(changes.len());
        for LedgerWrite { statement, params } in changes {
            let mut statement = self.connection.prepare_cached(statement)?;
            counts.push(statement.execute(params_from_iter(params))? as u64);
        }
        all.commit()?;
        Ok(counts)
    }

    /// Makes several changes, then those that follow from the rows that the last one returns, or none.
    pub(crate) fn write_then(
        &self,
        changes: &[LedgerWrite],
        then: impl Fn(&[StoredRow]) -> Result<Vec<LedgerWrite>, Problem>,
    ) -> Result<Vec<StoredRow>, Problem> {
        let all = self.connection.unchecked_transaction()?;
        let mut returned = Vec::new();
        for LedgerWrite { statement, params } in changes {
            returned = self.rows(statement, params)?;
        }
        for LedgerWrite { statement, params } in then(&returned)? {
            self.rows(statement, &params)?;
        }
        all.commit()?;
        Ok(returned)
    }
}

impl Tables for FileStore {
    type Error = Problem;

    async fn rows(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<Vec<StoredRow>, Problem> {
        self.rows(statement, &params)
    }

    async fn change(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<(), Problem> {
        self.rows(statement, &params).map(drop)
    }

    async fn erase_deleted(&self) -> Result<(), Problem> {
        Ok(self.connection.execute_batch(include_str!("../statements/file_vacuum_due.sql"))?)
    }

    async fn write_all(&self, changes: Vec<LedgerWrite>) -> Result<(), Problem> {
        for LedgerWrite { statement, params } in &changes {
            self.rows(statement, params)?;
        }
        Ok(())
    }

    fn convert(problem: Problem) -> Problem {
        problem
    }
}

#[cfg(test)]
impl FileStore {
    /// Makes a ledger of an older version.
    pub(crate) fn of_version(path: &Path, version: i64) -> FileStore {
        let connection = Connection::open(path).unwrap();
        for step in &missing(0)[..usize::try_from(version).unwrap()] {
            connection.execute_batch(step.file).unwrap();
        }
        connection.pragma_update(None, "application_id", APPLICATION).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        FileStore { connection, newer: false }
    }
}

fn number(row: &Row<'_>) -> rusqlite::Result<i64> {
    row.get(0)
}

fn read_values(row: &Row<'_>) -> rusqlite::Result<Vec<StoredValue>> {
    let columns = row.as_ref().column_count();
    let value = |at| {
        Ok(match row.get_ref(at)? {
            ValueRef::Integer(number) => StoredValue::Int(number),
            // Damage may leave bytes that are no text: their row is rejected, and others are read.
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => StoredValue::Text(text.to_owned()),
                Err(_) => StoredValue::Bytes(text.to_owned()),
            },
            ValueRef::Blob(bytes) => StoredValue::Bytes(bytes.to_owned()),
            ValueRef::Null | ValueRef::Real(_) => StoredValue::Null,
        })
    };
    (0..columns).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite numbers parameters by their first appearance, PostgreSQL by their name: both can run a
    /// statement as long as the two agree.
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

    #[tokio::test]
    async fn changes_are_made_together_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::create(&folder.path().join("x.db")).await.unwrap();
        let add = |run: i64| LedgerWrite {
            statement: include_str!("../statements/add_undecided.sql"),
            params: vec![run.into(), 0_i64.into(), "{}".into(), StoredValue::Null],
        };
        assert_eq!(store.write_all(&[add(1), add(2)]).unwrap(), vec![1, 1]);
        assert!(store.write_all(&[add(3), add(1)]).is_err());
        let find = include_str!("../statements/undecided_of_run.sql");
        let found = |run: i64| store.rows(find, &[run.into(), StoredValue::Int(-1)]).unwrap().len();
        assert_eq!([found(1), found(2), found(3)], [1, 1, 0]);
    }

    #[tokio::test]
    async fn a_file_of_version_1_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        drop(FileStore::of_version(&path, 1));
        let store = FileStore::read(&path).await.unwrap().unwrap();
        assert_eq!(store.version().unwrap(), VERSION);
        // A second process finds it done.
        store.migrate().await.unwrap();
        assert!(!store.newer);
    }

    /// Returns whether the file or its journal contains these bytes.
    fn holds(path: &Path, bytes: &[u8]) -> bool {
        let files = [path.to_owned(), path.with_extension("db-journal")];
        let mut files = files.iter().filter_map(|file| std::fs::read(file).ok());
        files.any(|file| file.windows(bytes.len()).any(|part| part == bytes))
    }

    /// A kill between the two leaves a file of this version with what an older program deleted.
    #[tokio::test]
    async fn old_bounds_are_erased_even_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let old = Connection::open(&path).unwrap();
        missing(0)[..2].iter().for_each(|step| old.execute_batch(step.file).unwrap());
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        old.pragma_update(None, "user_version", 2).unwrap();
        let canary = b"CANARYKEY".repeat(200);
        for (mapping, place, range) in [
            ("whole", 0, b"\0\0\x02id".to_vec()),
            ("parts", 0, [b"\0\x01", &canary[..]].concat()),
            ("parts", 1, [b"\x01", &canary[..]].concat()),
        ] {
            let add = "insert into coverage values ('s', ?, ?, ?, 1, '')";
            old.execute(add, (mapping, place, range)).unwrap();
        }
        for run in 0..40 {
            let add = "insert into chunk values (?, 't', 0, ?, 1, 1, 'clean', x'')";
            old.execute(add, (run, &canary)).unwrap();
        }
        old.execute("delete from chunk where run > 3", ()).unwrap();
        drop(old);
        assert!(holds(&path, b"CANARYKEY"));
        let store = FileStore::connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        store.migrate().await.unwrap();
        drop(store);
        assert!(holds(&path, b"CANARYKEY"), "this is what a VACUUM is for");
        let store = FileStore::create(&path).await.unwrap();
        assert!(!holds(&path, b"CANARYKEY"));
        assert!(!store.connection.table_exists(None, "vacuum_due").unwrap());
        let mappings = include_str!("../statements/covered_mappings.sql");
        let left = store.rows(mappings, &["s".into()]).unwrap();
        assert_eq!(
            left.iter().map(|row| row.text("mapping").unwrap()).collect::<Vec<_>>(),
            ["whole"]
        );
    }

    #[tokio::test]
    async fn deleted_rows_are_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let store = FileStore::create(&path).await.unwrap();
        let add = include_str!("../statements/add_undecided.sql");
        for run in 0..40_i64 {
            let text = "CANARYROW".repeat(200);
            store.rows(add, &[run.into(), 0_i64.into(), text.into(), StoredValue::Null]).unwrap();
        }
        assert!(holds(&path, b"CANARYROW"));
        for run in 0..40_i64 {
            store.rows(include_str!("../statements/delete_undecided.sql"), &[run.into()]).unwrap();
        }
        assert!(!holds(&path, b"CANARYROW"));
    }
}
