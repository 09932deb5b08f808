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
use super::value::{Change, Record, Value};
use crate::pg::{Lease, PgError, Pool, Remedy, Row, Session, Writing};
use crate::row::Record as _;
use crate::schema::{Builtin, SchemaName};
use crate::sql::{Bind, Statement};

/// The version of the schema that this program writes.
const VERSION: i64 = 2;
const SCHEMA: &str = "pgreconcile";
const BEGIN: &str = include_str!("statements/shared_begin.sql");
const PATIENCE: Duration = Duration::from_secs(30);
/// Tries and their pauses: a server that restarts within 15 s is waited for.
const TRIES: u32 = 6;
const UNIQUE_VIOLATION: &str = "23505";
/// Of `shared_fence.sql`.
const DIVISION_BY_ZERO: &str = "22012";
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// An open ledger in a database.
pub(super) struct SharedStore {
    pool: Pool,
    session: Session,
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
        if !store.exists().await? {
            store.make().await?;
        }
        store.known().await
    }

    /// Opens the ledger of a database; nothing if there is none.
    pub(super) async fn read(url: &str) -> Result<Option<SharedStore>, LedgerError> {
        let store = SharedStore::connect(url)?;
        match store.exists().await? {
            true => store.known().await.map(Some),
            false => Ok(None),
        }
    }

    fn connect(url: &str) -> Result<SharedStore, LedgerError> {
        let pool = Pool::new(url, "pgreconcile/ledger", 2)?;
        let session = Session::new(&[SchemaName(SCHEMA.to_owned())], PATIENCE);
        Ok(SharedStore { pool, session, newer: false })
    }

    /// Asks which program has made its tables.
    async fn known(self) -> Result<SharedStore, LedgerError> {
        let version = self.rows(include_str!("statements/shared_version.sql"), &[]).await?;
        let version = version.first().map_or(Ok(0), |record| record.int(0))?;
        Ok(SharedStore { newer: version > VERSION, ..self })
    }

    async fn exists(&self) -> Result<bool, LedgerError> {
        let found = self.rows(include_str!("statements/shared_exists.sql"), &[]).await?;
        Ok(found.first().is_some_and(|record| record.0 != [Value::Null]))
    }

    async fn make(&self) -> Result<(), LedgerError> {
        let lease = self.pool.lease().await?;
        let made = written(&lease, make).await;
        lease.give_back().await;
        made.map_err(|error| match error.sqlstate.as_deref() {
            Some("42501") => LedgerError(format!(
                "{error}; let a role that may run once: create schema {SCHEMA} authorization the role \
                 that this program uses"
            )),
            _ => error.into(),
        })
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
        ranges: Vec<Vec<u8>>,
    ) -> Result<(), LedgerError> {
        let ranges = Bind::array(Builtin::Bytea, ranges.iter().map(Vec::as_slice));
        let lock = vec![Bind::int8(run)];
        let cut = vec![Bind::int8(run), Bind::text(mapping), ranges];
        let sent = [
            (include_str!("statements/shared_lock_run.sql"), lock),
            (include_str!("statements/shared_cut.sql"), cut),
        ];
        let made = async |writing: &Writing<'_>| writing.fill_all(&sent).await;
        self.tried(async |lease| written(lease, &made).await).await.map(drop)
    }

    async fn ask(&self, statement: &Statement) -> Result<Vec<Record>, LedgerError> {
        let rows = self.tried(async |lease| lease.all(&self.session, statement).await).await?;
        rows.iter().map(record).collect()
    }

    /// Makes a change and gives what it returns.
    pub(super) async fn change(
        &self,
        statement: &str,
        params: &[Value],
    ) -> Result<Vec<Record>, LedgerError> {
        let binds = binds(params);
        let made = async |writing: &Writing<'_>| writing.rows(statement, &binds).await;
        let rows = self.tried(async |lease| written(lease, &made).await).await?;
        rows.iter().map(record).collect()
    }

    /// Makes several changes, or none of them.
    pub(super) async fn together(&self, changes: &[Change]) -> Result<Vec<u64>, LedgerError> {
        let sent: Vec<(&str, Vec<Bind>)> =
            changes.iter().map(|change| (change.statement, binds(&change.params))).collect();
        let made = async |writing: &Writing<'_>| writing.fill_all(&sent).await;
        let tries = AtomicU32::new(0);
        let tried = self.tried(async |lease| {
            let again = tries.fetch_add(1, Ordering::Relaxed) > 0;
            match written(lease, &made).await {
                // What stands there is from the try before, whose answer was lost on its way.
                Err(error) if again && error.sqlstate.as_deref() == Some(UNIQUE_VIOLATION) => {
                    Ok(Ok(vec![0; sent.len()]))
                }
                Err(error) if error.sqlstate.as_deref() == Some(DIVISION_BY_ZERO) => Ok(Err(
                    LedgerError("another process has taken this run's lease over".to_owned()),
                )),
                done => done.map(Ok),
            }
        });
        tried.await?
    }

    /// Does something with a connection, and again where that helps.
    async fn tried<T>(
        &self,
        work: impl AsyncFn(&Lease) -> Result<T, PgError>,
    ) -> Result<T, LedgerError> {
        let mut tries = 0;
        loop {
            let lease = self.pool.lease().await;
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
                Err(error) if error.remedy == Remedy::Retry && tries < TRIES => {
                    tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(tries)).await;
                }
                done => return Ok(done?),
            }
        }
    }
}

/// Does something in a transaction that writes.
async fn written<T>(
    lease: &Lease,
    work: impl AsyncFn(&Writing<'_>) -> Result<T, PgError>,
) -> Result<T, PgError> {
    let writing = lease.begin_writing(BEGIN).await?;
    match work(&writing).await {
        Ok(done) => writing.commit().await.map(|()| done),
        Err(error) => {
            writing.roll_back().await;
            Err(error)
        }
    }
}

/// Makes the tables, unless another process has just done so.
async fn make(writing: &Writing<'_>) -> Result<(), PgError> {
    writing.run(include_str!("statements/shared_create.sql")).await?;
    let found = writing.rows(include_str!("statements/shared_exists.sql"), &[]).await?;
    match found.first().is_some_and(|row| row.field(0).is_some()) {
        true => Ok(()),
        false => writing.run(include_str!("statements/shared_schema.sql")).await,
    }
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
                Value::Text(String::from_utf8(field.to_vec()).map_err(|_| unknown())?)
            }
            Some(Builtin::Bytea) => Value::Bytes(field.to_vec()),
            _ => return Err(unknown()),
        })
    };
    row.types().into_iter().enumerate().map(value).collect::<Result<_, _>>().map(Record)
}
