//! The shared store: tables of the schema `pgreconcile` in a PostgreSQL database, for runs that are
//! remembered by many machines.
//!
//! It goes through `pg` like everything that talks to a server, so it passes PgBouncer too. Each
//! change is a transaction of its own. What the network swallows is tried again; changes are written
//! so that a second time does no harm, or say that they have been made.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::error::LedgerError;
use super::migration::{Tables, convert_rows};
use super::schema::{VERSION, missing};
use super::value::{Change, Record, Value};
use crate::pg::{Connection, PgError, Pool, ReadSettings, Row, WriteTransaction};
use crate::row::RowFields as _;
use crate::schema::{Builtin, SchemaName};
use crate::sql::{Bind, Statement};

const SCHEMA: &str = "pgreconcile";
const BEGIN: &str = include_str!("statements/shared_begin.sql");
const PATIENCE: Duration = Duration::from_secs(30);
/// Tries and their pauses: a server that restarts within 15 s is waited for.
const TRIES: u32 = 6;
const UNIQUE_VIOLATION: &str = "23505";
const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// Of `shared_fence.sql`.
const DIVISION_BY_ZERO: &str = "22012";
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// An open ledger in a database.
pub(super) struct SharedStore {
    pool: Pool,
    session: ReadSettings,
    /// Whether a newer program has made its tables.
    pub(super) newer: bool,
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStore")
    }
}

impl From<PgError> for LedgerError {
    fn from(error: PgError) -> LedgerError {
        LedgerError(match &error.hint {
            Some(hint) => format!("{error} ({hint})"),
            None => error.message,
        })
    }
}

impl SharedStore {
    /// Opens the ledger of a database, and makes its tables if they are not there.
    pub(super) async fn create(url: &str) -> Result<SharedStore, LedgerError> {
        let store = SharedStore::connect(url)?;
        let version = store.version().await?;
        store.brought_forward(version).await
    }

    /// Opens the ledger of a database; nothing if there is none.
    pub(super) async fn read(url: &str) -> Result<Option<SharedStore>, LedgerError> {
        let store = SharedStore::connect(url)?;
        match store.version().await? {
            0 => Ok(None),
            version => store.brought_forward(version).await.map(Some),
        }
    }

    fn connect(url: &str) -> Result<SharedStore, LedgerError> {
        let pool = Pool::new(url, "pgreconcile/ledger", 2)?;
        let session = ReadSettings::new(&[SchemaName(SCHEMA.to_owned())], PATIENCE);
        Ok(SharedStore { pool, session, newer: false })
    }

    /// The version of its tables; 0 if it has none.
    async fn version(&self) -> Result<i64, LedgerError> {
        let found = self.rows(include_str!("statements/shared_exists.sql"), &[]).await?;
        if found.first().is_none_or(|record| record.0 == [Value::Null]) {
            return Ok(0);
        }
        let found = self.rows(include_str!("statements/shared_version.sql"), &[]).await?;
        found.first().map_or(Ok(0), |record| record.int(0))
    }

    /// What an older program has made gets the tables that it lacks; what a newer one has, stays.
    async fn brought_forward(self, version: i64) -> Result<SharedStore, LedgerError> {
        if missing(version).is_empty() {
            return Ok(SharedStore { newer: version > VERSION, ..self });
        }
        let migrated = self.tried(async |lease| match written(lease, migrate).await {
            Err(error) if error.sqlstate.as_deref() == Some(INSUFFICIENT_PRIVILEGE) => {
                Ok(Err(not_permitted(version, &error.message)))
            }
            done => done.map(Ok),
        });
        let version = migrated.await??;
        Ok(SharedStore { newer: version > VERSION, ..self })
    }

    /// What a question finds.
    pub(super) async fn rows(
        &self,
        statement: &str,
        params: &[Value],
    ) -> Result<Vec<Record>, LedgerError> {
        let statement = Statement { text: statement.to_owned(), binds: binds(params) };
        self.ask(&statement).await
    }

    /// Earlier sights of these differences.
    pub(super) async fn earlier(
        &self,
        identities: &[[u8; 16]],
        run: i64,
    ) -> Result<Vec<Record>, LedgerError> {
        let text = include_str!("statements/shared_earlier_sights.sql").to_owned();
        let identities = identities.iter().map(|identity| &identity[..]);
        self.ask(&Statement {
            text,
            binds: vec![Bind::array(Builtin::Bytea, identities), Bind::int8(run)],
        })
        .await
    }

    /// Cuts a mapping into shards, unless that has been done. The run's row makes one of two processes
    /// wait for the other.
    pub(super) async fn cut(
        &self,
        run: i64,
        mapping: &str,
        ranges: Vec<(Vec<u8>, [u8; 16])>,
    ) -> Result<(), LedgerError> {
        let checksums = ranges.iter().map(|(_, checksum)| &checksum[..]);
        let checksums = Bind::array(Builtin::Bytea, checksums);
        let ranges = Bind::array(Builtin::Bytea, ranges.iter().map(|(range, _)| range.as_slice()));
        let lock = vec![Bind::int8(run)];
        let cut = vec![Bind::int8(run), Bind::text(mapping), ranges, checksums];
        let sent = [
            (include_str!("statements/shared_lock_run.sql"), lock),
            (include_str!("statements/shared_cut.sql"), cut),
        ];
        let made = async |writing: &WriteTransaction<'_>| writing.execute_all(&sent).await;
        self.tried(async |lease| written(lease, &made).await).await.map(drop)
    }

    async fn ask(&self, statement: &Statement) -> Result<Vec<Record>, LedgerError> {
        // What a run has written may be more than an answer to one question.
        let rows = self.tried(async |lease| {
            let (mut all, mut rows) =
                (Vec::new(), lease.query_stream(&self.session, statement).await?);
            while let Some(row) = rows.next().await? {
                all.push(row);
            }
            Ok(all)
        });
        rows.await?.iter().map(record).collect()
    }

    /// Makes a change and gives what it returns.
    pub(super) async fn change(
        &self,
        statement: &str,
        params: &[Value],
    ) -> Result<Vec<Record>, LedgerError> {
        let binds = binds(params);
        let made = async |writing: &WriteTransaction<'_>| writing.query(statement, &binds).await;
        let rows = self.tried(async |lease| written(lease, &made).await).await?;
        rows.iter().map(record).collect()
    }

    /// Makes several changes, or none of them.
    pub(super) async fn together(&self, changes: &[Change]) -> Result<Vec<u64>, LedgerError> {
        let sent: Vec<(&str, Vec<Bind>)> =
            changes.iter().map(|change| (change.statement, binds(&change.params))).collect();
        let made = async |writing: &WriteTransaction<'_>| writing.execute_all(&sent).await;
        let tries = AtomicU32::new(0);
        let tried = self.tried(async |lease| {
            let again = tries.fetch_add(1, Ordering::Relaxed) > 0;
            match written(lease, &made).await {
                // What stands there is from the try before, whose answer was lost on its way.
                Err(error) if again && error.sqlstate.as_deref() == Some(UNIQUE_VIOLATION) => {
                    Ok(Ok(vec![0; sent.len()]))
                }
                Err(error) if error.sqlstate.as_deref() == Some(DIVISION_BY_ZERO) => {
                    Ok(Err(taken_over()))
                }
                done => done.map(Ok),
            }
        });
        tried.await?
    }

    /// Makes several changes, then those that follow from what the last one returns, or none of them.
    pub(super) async fn followed(
        &self,
        changes: &[Change],
        then: impl Fn(&[Record]) -> Result<Vec<Change>, LedgerError>,
    ) -> Result<Vec<Record>, LedgerError> {
        let made = async |writing: &WriteTransaction<'_>| {
            let mut returned = Vec::new();
            for Change { statement, params } in changes {
                returned = Tables::rows(writing, statement, params.clone()).await?;
            }
            let following = then(&returned).map_err(WriteTransaction::not_understood)?;
            Tables::change_all(writing, following).await.map(|()| returned)
        };
        let tried = self.tried(async |lease| match written(lease, &made).await {
            Err(error) if error.sqlstate.as_deref() == Some(DIVISION_BY_ZERO) => {
                Ok(Err(taken_over()))
            }
            done => done.map(Ok),
        });
        tried.await?
    }

    /// Does something with a connection, and again where that helps.
    async fn tried<T>(
        &self,
        work: impl AsyncFn(&Connection) -> Result<T, PgError>,
    ) -> Result<T, LedgerError> {
        let mut tries = 0;
        loop {
            let lease = self.pool.acquire().await;
            let done = match lease {
                Ok(lease) => {
                    let done = work(&lease).await;
                    lease.give_back().await;
                    done
                }
                Err(error) => Err(error),
            };
            tries += 1;
            match done {
                Err(error) if error.is_transient() && tries < TRIES => {
                    tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(tries)).await;
                }
                done => return Ok(done?),
            }
        }
    }
}

fn taken_over() -> LedgerError {
    LedgerError("another process has taken this run's lease over".to_owned())
}

/// Does something in a transaction that writes.
async fn written<T>(
    lease: &Connection,
    work: impl AsyncFn(&WriteTransaction<'_>) -> Result<T, PgError>,
) -> Result<T, PgError> {
    let writing = lease.begin_write(BEGIN).await?;
    match work(&writing).await {
        Ok(done) => writing.commit().await.map(|()| done),
        Err(error) => {
            writing.roll_back().await;
            Err(error)
        }
    }
}

/// Makes the tables that are missing, unless another process has just done so. Gives the version that
/// is there then.
async fn migrate(writing: &WriteTransaction<'_>) -> Result<i64, PgError> {
    writing.execute_batch(include_str!("statements/shared_create.sql")).await?;
    let found = writing.query(include_str!("statements/shared_exists.sql"), &[]).await?;
    let version = match found.first().is_some_and(|row| row.field(0).is_some()) {
        true => {
            let found = writing.query(include_str!("statements/shared_version.sql"), &[]).await?;
            found.first().map_or(Ok(0), |row| row.get::<i64>(0))?
        }
        false => 0,
    };
    let steps = missing(version);
    if steps.is_empty() {
        return Ok(version);
    }
    writing.execute_batch(include_str!("statements/shared_own.sql")).await?;
    for step in steps {
        writing.execute_batch(step.shared).await?;
    }
    convert_rows(writing, version).await?;
    let add = include_str!("statements/shared_add_version.sql");
    writing.execute(add, &[Bind::int8(VERSION)]).await.map(|()| VERSION)
}

impl Tables for WriteTransaction<'_> {
    type Error = PgError;

    async fn rows(
        &self,
        statement: &'static str,
        params: Vec<Value>,
    ) -> Result<Vec<Record>, PgError> {
        let rows = self.query(statement, &binds(&params)).await?;
        rows.iter().map(record).collect::<Result<_, _>>().map_err(Self::not_understood)
    }

    async fn change(&self, statement: &'static str, params: Vec<Value>) -> Result<(), PgError> {
        self.execute(statement, &binds(&params)).await
    }

    async fn erase_deleted(&self) -> Result<(), PgError> {
        self.execute_batch(include_str!("statements/shared_erase_deleted.sql")).await
    }

    async fn change_all(&self, changes: Vec<Change>) -> Result<(), PgError> {
        let sent: Vec<(&str, Vec<Bind>)> =
            changes.iter().map(|change| (change.statement, binds(&change.params))).collect();
        self.execute_all(&sent).await.map(drop)
    }

    fn not_understood(why: LedgerError) -> PgError {
        PgError::unexpected(why.0)
    }
}

/// What a role has to do that may, instead of ours.
fn not_permitted(version: i64, why: &str) -> LedgerError {
    LedgerError(match version {
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

fn binds(params: &[Value]) -> Vec<Bind> {
    let bind = |value: &Value| match value {
        Value::Int(number) => Bind::int8(*number),
        Value::Text(text) => Bind::text(text),
        Value::Bytes(bytes) => Bind::bytes(bytes),
        // No statement of ours has a NULL to give.
        Value::Null => Bind::text(""),
    };
    params.iter().map(bind).collect()
}

/// Reads a row of int8, text and bytea fields.
fn record(row: &Row) -> Result<Record, LedgerError> {
    let value = |(at, type_of): (usize, Option<Builtin>)| {
        let Some(field) = row.field(at) else { return Ok(Value::Null) };
        let unknown = || LedgerError("a record in it is not understood".to_owned());
        Ok(match type_of {
            Some(Builtin::Int8) => {
                Value::Int(i64::from_be_bytes(field.try_into().map_err(|_| unknown())?))
            }
            Some(Builtin::Text) => {
                // Damage may leave a text that is none: its row is refused, and others are read.
                match std::str::from_utf8(field) {
                    Ok(text) => Value::Text(text.to_owned()),
                    Err(_) => Value::Bytes(field.to_vec()),
                }
            }
            Some(Builtin::Bytea) => Value::Bytes(field.to_vec()),
            _ => return Err(unknown()),
        })
    };
    row.types().into_iter().enumerate().map(value).collect::<Result<_, _>>().map(Record)
}
