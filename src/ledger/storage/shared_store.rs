//! The shared store: tables of the schema `pgreconcile` in a PostgreSQL database, for runs on many
//! machines.
//!
//! It uses `pg` like every other connection, so it works behind PgBouncer too. Each change is a
//! transaction of its own. A change that failed because of the network is tried again: a second time it
//! does no harm, or its error says that it was already made.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::migration::{Tables, convert_rows};
use super::schema::{VERSION, missing};
use super::stored_row::{Fence, LedgerWrite, StoredRow, StoredValue};
use crate::pg::{Connection, PgError, Pool, ReadSettings, Retries, Row, WriteTransaction};
use crate::problem::Problem;
use crate::row::RowFields as _;
use crate::schema::{Builtin, SchemaName};
use crate::sql::{Bind, Statement};

const SCHEMA: &str = "pgreconcile";
const BEGIN: &str = include_str!("../statements/shared_begin.sql");
const PATIENCE: Duration = Duration::from_secs(30);
/// How often an action is tried, with growing pauses: a server may take 15 s to restart.
const TRIES: u32 = 6;
const UNIQUE_VIOLATION: &str = "23505";
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An open ledger in a database.
pub(crate) struct SharedStore {
    pool: Pool,
    session: ReadSettings,
    /// Whether a newer program has made its tables.
    pub(crate) newer: bool,
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStore")
    }
}

/// Returns the problem of a server.
fn of_server(error: PgError) -> Problem {
    Problem::new(match &error.hint {
        Some(hint) => format!("{error} ({hint})"),
        None => error.message,
    })
}

impl SharedStore {
    /// Opens the ledger of a database. Creates the tables if there are none.
    pub(crate) async fn create(url: &str) -> Result<SharedStore, Problem> {
        let store = SharedStore::connect(url)?;
        let version = store.version().await?;
        store.migrated(version).await
    }

    /// Opens the ledger of a database. Returns `None` if there is none.
    pub(crate) async fn read(url: &str) -> Result<Option<SharedStore>, Problem> {
        let store = SharedStore::connect(url)?;
        match store.version().await? {
            0 => Ok(None),
            version => store.migrated(version).await.map(Some),
        }
    }

    fn connect(url: &str) -> Result<SharedStore, Problem> {
        let pool = Pool::new(url, "pgreconcile/ledger", 2).map_err(of_server)?;
        let session = ReadSettings::new(&[SchemaName(SCHEMA.to_owned())], PATIENCE);
        Ok(SharedStore { pool, session, newer: false })
    }

    /// Returns the version of its tables; 0 if it has none.
    async fn version(&self) -> Result<i64, Problem> {
        let found = self.rows(include_str!("../statements/shared_exists.sql"), &[]).await?;
        if found.first().is_none_or(|record| record.values() == [StoredValue::Null]) {
            return Ok(0);
        }
        let found = self.rows(include_str!("../statements/shared_version.sql"), &[]).await?;
        found.first().map_or(Ok(0), |record| record.int("version"))
    }

    /// Migrates tables of an older version. Those of a newer one stay unchanged.
    async fn migrated(self, version: i64) -> Result<SharedStore, Problem> {
        if missing(version).is_empty() {
            return Ok(SharedStore { newer: version > VERSION, ..self });
        }
        let migrated = self.retry(async |lease| match in_transaction(lease, migrate).await {
            Err(TransactionError::Server(error))
                if error.sqlstate.as_deref() == Some(INSUFFICIENT_PRIVILEGE) =>
            {
                Ok(Err(not_permitted(version, &error.message)))
            }
            done => done.map(Ok),
        });
        let version = migrated.await??;
        Ok(SharedStore { newer: version > VERSION, ..self })
    }

    /// Returns the rows of a query.
    pub(crate) async fn rows(
        &self,
        statement: &str,
        params: &[StoredValue],
    ) -> Result<Vec<StoredRow>, Problem> {
        let statement = Statement { text: statement.to_owned(), binds: binds(params) };
        self.query(&statement).await
    }

    /// Returns the prior sightings of these differences.
    pub(crate) async fn read_prior_sightings(
        &self,
        identities: &[[u8; 16]],
        run: i64,
    ) -> Result<Vec<StoredRow>, Problem> {
        let text = include_str!("../statements/shared_prior_sightings.sql").to_owned();
        let identities = identities.iter().map(|identity| &identity[..]);
        self.query(&Statement {
            text,
            binds: vec![Bind::array(Builtin::Bytea, identities), Bind::int8(run)],
        })
        .await
    }

    /// Divides a mapping into shards, unless that has been done. Of two processes, one waits for the other
    /// at the run's row.
    pub(crate) async fn create_shards(
        &self,
        run: i64,
        mapping: &str,
        ranges: Vec<(Vec<u8>, [u8; 16])>,
    ) -> Result<(), Problem> {
        let checksums = ranges.iter().map(|(_, checksum)| &checksum[..]);
        let checksums = Bind::array(Builtin::Bytea, checksums);
        let ranges = Bind::array(Builtin::Bytea, ranges.iter().map(|(range, _)| range.as_slice()));
        let lock = vec![Bind::int8(run)];
        let cut = vec![Bind::int8(run), Bind::text(mapping), ranges, checksums];
        let sent = [
            (include_str!("../statements/shared_lock_run.sql"), lock),
            (include_str!("../statements/shared_create_shards.sql"), cut),
        ];
        let made = async |writing: &WriteTransaction<'_>| Ok(writing.execute_all(&sent).await?);
        self.retry(async |lease| in_transaction(lease, &made).await).await.map(drop)
    }

    async fn query(&self, statement: &Statement) -> Result<Vec<StoredRow>, Problem> {
        // The rows of a run may be more than fit into one message.
        let rows = self.retry(async |lease| {
            let (mut all, mut rows) =
                (Vec::new(), lease.query_stream(&self.session, statement).await?);
            while let Some(row) = rows.next().await? {
                all.push(row);
            }
            Ok(all)
        });
        stored_rows(&rows.await?)
    }

    /// Makes a change and returns its rows.
    pub(crate) async fn change(
        &self,
        statement: &str,
        params: &[StoredValue],
    ) -> Result<Vec<StoredRow>, Problem> {
        let binds = binds(params);
        let made =
            async |writing: &WriteTransaction<'_>| Ok(writing.query(statement, &binds).await?);
        let rows = self.retry(async |lease| in_transaction(lease, &made).await).await?;
        stored_rows(&rows)
    }

    /// Makes several changes as long as a lease is held, or none of them.
    pub(crate) async fn write_all(
        &self,
        fence: Option<&Fence>,
        changes: &[LedgerWrite],
    ) -> Result<(), Problem> {
        let sent: Vec<(&str, Vec<Bind>)> =
            changes.iter().map(|change| (change.statement, binds(&change.params))).collect();
        let made = async |writing: &WriteTransaction<'_>| {
            check_fence(writing, fence).await?;
            Ok(writing.execute_all(&sent).await.map(drop)?)
        };
        let tries = AtomicU32::new(0);
        self.retry(async |lease| {
            let again = tries.fetch_add(1, Ordering::Relaxed) > 0;
            match in_transaction(lease, &made).await {
                // The rows are from the previous try, whose answer was lost.
                Err(TransactionError::Server(error))
                    if again && error.sqlstate.as_deref() == Some(UNIQUE_VIOLATION) =>
                {
                    Ok(())
                }
                done => done,
            }
        })
        .await
    }

    /// Makes several changes as long as a lease is held, then those that follow from the rows that the last
    /// one returns, or none of them.
    pub(crate) async fn write_then(
        &self,
        fence: Option<&Fence>,
        changes: &[LedgerWrite],
        then: impl Fn(&[StoredRow]) -> Result<Vec<LedgerWrite>, Problem>,
    ) -> Result<Vec<StoredRow>, Problem> {
        let made = async |writing: &WriteTransaction<'_>| {
            check_fence(writing, fence).await?;
            let mut returned = Vec::new();
            for LedgerWrite { statement, params } in changes {
                returned = Tables::rows(writing, statement, params.clone()).await?;
            }
            let following = then(&returned).map_err(TransactionError::Ledger)?;
            Tables::write_all(writing, following).await.map(|()| returned)
        };
        self.retry(async |lease| in_transaction(lease, &made).await).await
    }

    /// Runs an action on a connection, and retries it while its error is transient.
    async fn retry<T>(
        &self,
        work: impl AsyncFn(&Connection) -> Result<T, TransactionError>,
    ) -> Result<T, Problem> {
        let retries = Retries::new(TRIES, FIRST_PAUSE, LONGEST_PAUSE);
        let done = retries.run(TransactionError::is_transient, || self.try_once(&work)).await;
        Ok(done?)
    }

    async fn try_once<T>(
        &self,
        work: &impl AsyncFn(&Connection) -> Result<T, TransactionError>,
    ) -> Result<T, TransactionError> {
        let connection = self.pool.acquire().await?;
        let done = work(&connection).await;
        connection.give_back().await;
        done
    }
}

/// Why a transaction was rolled back.
pub(crate) enum TransactionError {
    /// An error of the server or of the connection.
    Server(PgError),
    /// Another process has taken the lease over.
    LeaseLost,
    /// A row that cannot be read.
    Ledger(Problem),
}

impl TransactionError {
    /// Returns whether the same transaction may succeed a moment later.
    fn is_transient(&self) -> bool {
        matches!(self, TransactionError::Server(error) if error.is_transient())
    }
}

impl From<PgError> for TransactionError {
    fn from(error: PgError) -> TransactionError {
        TransactionError::Server(error)
    }
}

impl From<TransactionError> for Problem {
    fn from(failure: TransactionError) -> Problem {
        match failure {
            TransactionError::Server(error) => of_server(error),
            TransactionError::LeaseLost => {
                Problem::new("another process has taken this run's lease over")
            }
            TransactionError::Ledger(error) => error,
        }
    }
}

/// Fails if another process has taken a lease over.
async fn check_fence(
    writing: &WriteTransaction<'_>,
    fence: Option<&Fence>,
) -> Result<(), TransactionError> {
    let Some(LedgerWrite { statement, params }) = fence.map(|Fence(query)| query) else {
        return Ok(());
    };
    match writing.query(statement, &binds(params)).await?.is_empty() {
        true => Err(TransactionError::LeaseLost),
        false => Ok(()),
    }
}

/// Runs an action in a transaction that writes.
async fn in_transaction<T>(
    connection: &Connection,
    work: impl AsyncFn(&WriteTransaction<'_>) -> Result<T, TransactionError>,
) -> Result<T, TransactionError> {
    let writing = connection.begin_write(BEGIN).await?;
    match work(&writing).await {
        Ok(done) => Ok(writing.commit().await.map(|()| done)?),
        Err(error) => {
            writing.roll_back().await;
            Err(error)
        }
    }
}

/// Creates the tables that are missing, unless another process has just done so. Returns the version
/// after that.
async fn migrate(writing: &WriteTransaction<'_>) -> Result<i64, TransactionError> {
    writing.execute_batch(include_str!("../statements/shared_create.sql")).await?;
    let found = writing.query(include_str!("../statements/shared_exists.sql"), &[]).await?;
    let version = match found.first().is_some_and(|row| row.field(0).is_some()) {
        true => {
            let found =
                writing.query(include_str!("../statements/shared_version.sql"), &[]).await?;
            found.first().map_or(Ok(0), |row| row.get::<i64>(0))?
        }
        false => 0,
    };
    let steps = missing(version);
    if steps.is_empty() {
        return Ok(version);
    }
    writing.execute_batch(include_str!("../statements/shared_become_table_owner.sql")).await?;
    for step in steps {
        writing.execute_batch(step.shared).await?;
    }
    convert_rows(writing, version).await?;
    let add = include_str!("../statements/shared_add_version.sql");
    Ok(writing.execute(add, &[Bind::int8(VERSION)]).await.map(|()| VERSION)?)
}

impl Tables for WriteTransaction<'_> {
    type Error = TransactionError;

    async fn rows(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<Vec<StoredRow>, TransactionError> {
        let rows = self.query(statement, &binds(&params)).await?;
        stored_rows(&rows).map_err(TransactionError::Ledger)
    }

    async fn change(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<(), TransactionError> {
        Ok(self.execute(statement, &binds(&params)).await?)
    }

    async fn erase_deleted(&self) -> Result<(), TransactionError> {
        Ok(self.execute_batch(include_str!("../statements/shared_erase_deleted.sql")).await?)
    }

    async fn write_all(&self, changes: Vec<LedgerWrite>) -> Result<(), TransactionError> {
        let sent: Vec<(&str, Vec<Bind>)> =
            changes.iter().map(|change| (change.statement, binds(&change.params))).collect();
        Ok(self.execute_all(&sent).await.map(drop)?)
    }

    fn convert(problem: Problem) -> TransactionError {
        TransactionError::Ledger(problem)
    }
}

/// Returns the problem of a role that may not migrate the tables, with what their owner has to do.
fn not_permitted(version: i64, why: &str) -> Problem {
    Problem::new(match version {
        0 => format!(
            "{why}; let a role that may run once: create schema {SCHEMA} authorization the role that \
             this program uses"
        ),
        _ => format!(
            "its tables are of version {version}, this program needs those of version {VERSION}, and \
             its role may not add them: {why}; let the owner of the tables run once: pgreconcile \
             history SPEC --ledger URL, with the owner's URL, and then: grant select, insert, update, \
             delete on all tables in schema {SCHEMA} to the role that this program uses"
        ),
    })
}

fn binds(params: &[StoredValue]) -> Vec<Bind> {
    let bind = |value: &StoredValue| match value {
        StoredValue::Int(number) => Bind::int8(*number),
        StoredValue::Text(text) => Bind::text(text),
        StoredValue::Bytes(bytes) => Bind::bytes(bytes),
        // No statement is given a NULL.
        StoredValue::Null => Bind::text(""),
    };
    params.iter().map(bind).collect()
}

/// Reads rows of int8, text and bytea fields.
fn stored_rows(rows: &[Row]) -> Result<Vec<StoredRow>, Problem> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let columns: Arc<[String]> = first.names().into_iter().map(str::to_owned).collect();
    let types = first.types();
    let read = |row| Ok(StoredRow::new(&columns, read_values(row, &types)?));
    rows.iter().map(read).collect()
}

fn read_values(row: &Row, types: &[Option<Builtin>]) -> Result<Vec<StoredValue>, Problem> {
    let unknown = || Problem::new("a record in it is not understood");
    let value = |(at, type_of): (usize, &Option<Builtin>)| {
        let Some(field) = row.field(at) else { return Ok(StoredValue::Null) };
        Ok(match type_of {
            Some(Builtin::Int8) => {
                StoredValue::Int(i64::from_be_bytes(field.try_into().map_err(|_| unknown())?))
            }
            Some(Builtin::Text) => {
                // Damage may leave bytes that are no text: their row is rejected, and others are read.
                match std::str::from_utf8(field) {
                    Ok(text) => StoredValue::Text(text.to_owned()),
                    Err(_) => StoredValue::Bytes(field.to_vec()),
                }
            }
            Some(Builtin::Bytea) => StoredValue::Bytes(field.to_vec()),
            _ => return Err(unknown()),
        })
    };
    types.iter().enumerate().map(value).collect()
}
