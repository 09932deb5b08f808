//! The store of a ledger: an SQLite file, or tables in a PostgreSQL database that many machines share.
//!
//! Both run the same statements, which are in the folder `statements`. Only how a statement is run
//! differs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::file::FileStore;
use super::shared_store::SharedStore;
use super::stored_row::{Fence, LedgerWrite, StoredRow, StoredValue, values};
use crate::ledger::checksum::{ChecksummedTable, Checksums, Damaged, SECRET, secret_row};
use crate::ledger::location::Location;
use crate::ledger::problems::to_json;
use crate::ledger::run_order::in_order;
use crate::ledger::run_row::{RunRow, StoredRun};
use crate::problem::Problem;
use crate::row::random_secret;

/// The last time that a difference was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PriorSighting {
    pub(crate) first_seen: String,
    pub(crate) runs: u64,
    /// The number of the run that found it last.
    pub(crate) run: i64,
    /// The place of that run in the ledger's order.
    pub(crate) order: i64,
    /// The keyed hash of its values.
    pub(crate) image: String,
}

/// An open ledger.
#[derive(Debug)]
pub struct Store {
    kind: StoreKind,
    location: Location,
    /// Returns the ledger's own secret.
    secret: Vec<u8>,
    checksums: Checksums,
}

#[derive(Debug)]
enum StoreKind {
    File(FileStore),
    Shared(Arc<SharedStore>),
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl Store {
    /// Opens a ledger for writing. Creates its file or tables if there are none.
    ///
    /// # Errors
    /// When it cannot be reached, created or written, is damaged, or is no ledger.
    pub async fn create(location: &Location) -> Result<Store, Problem> {
        let kind = match location {
            Location::File(path) => StoreKind::File(FileStore::create(path).await?),
            Location::Database(url) => StoreKind::Shared(Arc::new(SharedStore::create(url).await?)),
        };
        Store::open(kind, location, true).await
    }

    /// Opens a ledger for reading. Returns `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be reached or read, is damaged, or is no ledger.
    pub async fn read(location: &Location) -> Result<Option<Store>, Problem> {
        let kind = match location {
            Location::File(path) => FileStore::read(path).await?.map(StoreKind::File),
            Location::Database(url) => {
                SharedStore::read(url).await?.map(|shared| StoreKind::Shared(Arc::new(shared)))
            }
        };
        match kind {
            Some(kind) => Store::open(kind, location, false).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads the secret of a store. A ledger without a run gets one if it is opened for writing.
    async fn open(kind: StoreKind, location: &Location, write: bool) -> Result<Store, Problem> {
        let (secret, checksums) = (Vec::new(), Checksums::of_secret(&[]));
        let mut store = Store { kind, location: location.clone(), secret, checksums };
        let secret = match store.find_secret().await? {
            Some(secret) => secret,
            None if store
                .first(include_str!("../statements/any_run.sql"), Vec::new())
                .await?
                .is_some() =>
            {
                return Err(Problem::new(
                    "its secret is lost, and nothing in it can be verified without",
                ));
            }
            None if write && !store.is_newer() => store.make_secret().await?,
            // It has no rows to verify.
            None => random_secret().to_vec(),
        };
        store.checksums = Checksums::of_secret(&secret);
        store.secret = secret;
        Ok(store)
    }

    /// Reads the ledger's secret, if it has one.
    async fn find_secret(&self) -> Result<Option<Vec<u8>>, Problem> {
        let find = include_str!("../statements/find_secret.sql");
        let Some(found) = self.first(find, values![SECRET]).await? else { return Ok(None) };
        let damaged =
            || Problem::new("its secret is damaged, and nothing in it can be verified without");
        let secret = found.bytes("value").map_err(|_| damaged())?;
        let checked = Checksums::of_secret(secret).verify(ChecksummedTable::Secret, "", &found);
        checked.map_err(|_| damaged())?;
        Ok(Some(secret.to_vec()))
    }

    /// Makes a secret, unless another process has just done so.
    async fn make_secret(&self) -> Result<Vec<u8>, Problem> {
        let secret = random_secret().to_vec();
        let params = secret_row(&secret);
        self.change(include_str!("../statements/add_secret.sql"), params).await?;
        Ok(self.find_secret().await?.unwrap_or(secret))
    }

    /// Returns the ledger's own secret.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Returns the checksums of its rows.
    pub(crate) fn checksums(&self) -> &Checksums {
        &self.checksums
    }

    /// Returns whether a newer program has written it. Such a ledger is read, and never written.
    pub fn is_newer(&self) -> bool {
        match &self.kind {
            StoreKind::File(file) => file.newer,
            StoreKind::Shared(shared) => shared.newer,
        }
    }

    /// Returns the store in a database, if it is one and may be written.
    pub(crate) fn shared(&self) -> Option<&Arc<SharedStore>> {
        match &self.kind {
            StoreKind::Shared(shared) if !shared.newer => Some(shared),
            StoreKind::File(_) | StoreKind::Shared(_) => None,
        }
    }

    /// Returns the rows of a query.
    pub(crate) async fn rows(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<Vec<StoredRow>, Problem> {
        match &self.kind {
            StoreKind::File(file) => file.rows(statement, &params),
            StoreKind::Shared(shared) => shared.rows(statement, &params).await,
        }
    }

    /// Returns the first row of a query.
    pub(crate) async fn first(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<Option<StoredRow>, Problem> {
        Ok(self.rows(statement, params).await?.into_iter().next())
    }

    /// Makes a change and returns its rows. Does nothing in a ledger of a newer program.
    pub(crate) async fn change(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<Vec<StoredRow>, Problem> {
        if self.is_newer() {
            return Ok(Vec::new());
        }
        match &self.kind {
            StoreKind::File(file) => file.rows(statement, &params),
            StoreKind::Shared(shared) => shared.change(statement, &params).await,
        }
    }

    /// Makes several changes, or none of them.
    pub(crate) async fn write_all(&self, changes: Vec<LedgerWrite>) -> Result<(), Problem> {
        self.write_all_under(None, changes).await
    }

    /// Makes several changes as long as a lease is held, or none of them. A ledger in a file has no
    /// leases.
    pub(crate) async fn write_all_under(
        &self,
        fence: Option<&Fence>,
        changes: Vec<LedgerWrite>,
    ) -> Result<(), Problem> {
        if self.is_newer() || changes.is_empty() {
            return Ok(());
        }
        match &self.kind {
            StoreKind::File(file) => file.write_all(&changes).map(drop),
            StoreKind::Shared(shared) => shared.write_all(fence, &changes).await,
        }
    }

    /// Makes several changes, then those that follow from the rows that the last one returns, or none of
    /// them. Returns these rows.
    pub(crate) async fn write_then(
        &self,
        fence: Option<&Fence>,
        changes: Vec<LedgerWrite>,
        then: impl Fn(&[StoredRow]) -> Result<Vec<LedgerWrite>, Problem>,
    ) -> Result<Vec<StoredRow>, Problem> {
        if self.is_newer() {
            return Ok(Vec::new());
        }
        match &self.kind {
            StoreKind::File(file) => file.write_then(&changes, then),
            StoreKind::Shared(shared) => shared.write_then(fence, &changes, then).await,
        }
    }

    /// Takes the next number of the ledger. A run gets one when it is started or resumed, and another when
    /// it ends: these numbers, and no clock, decide which of two runs is newer.
    pub(crate) async fn next_number(&self) -> Result<i64, Problem> {
        let taken = self.change(include_str!("../statements/next_number.sql"), Vec::new()).await?;
        taken.first().map_or(Ok(0), |record| record.int("last"))
    }

    /// Reads the runs of a spec in the ledger's order, also damaged ones that only their record assigns to
    /// it.
    pub(crate) async fn read_run_rows(&self, spec: &str) -> Result<Vec<StoredRun>, Problem> {
        let named = format!("%\"spec\":{}%", to_json(&spec)?);
        let statement = include_str!("../statements/runs_of_spec.sql");
        let found = self.rows(statement, values![spec, named]).await?;
        let stored = found.iter().map(|record| match RunRow::read(&self.checksums, record) {
            Ok(row) => StoredRun::Sound(row),
            Err(Damaged) => StoredRun::Damaged(RunRow::unverified(record)),
        });
        let others = |run: &StoredRun| matches!(run, StoredRun::Sound(row) if row.spec != spec);
        Ok(in_order(stored.filter(|run| !others(run))))
    }

    /// Adds a run with its checksum, and with the writes that follow from its row. Returns the row, or
    /// `None` if there is such a run already, or the ledger is of a newer program.
    pub(crate) async fn add_run(
        &self,
        begin: LedgerWrite,
        row: RunRow,
        more: impl Fn(&RunRow) -> Result<Vec<LedgerWrite>, Problem>,
    ) -> Result<Option<RunRow>, Problem> {
        let numbered = |returned: &[StoredRow]| match returned.first() {
            Some(given) => {
                let (number, began) = (given.int("number")?, given.maybe_int("began")?);
                Ok(Some(RunRow { number, began, ..row.clone() }))
            }
            None => Ok(None),
        };
        let then = |returned: &[StoredRow]| {
            let Some(row) = numbered(returned)? else { return Ok(Vec::new()) };
            let mut changes = vec![row.seal(&self.checksums)];
            changes.extend(more(&row)?);
            Ok(changes)
        };
        numbered(&self.write_then(None, vec![begin], then).await?)
    }

    /// Returns the last sighting of each of these differences before this run, by identity. For those that
    /// were not found before, returns the last one in this run. Damaged ones are left out.
    pub(crate) async fn read_prior_sightings(
        &self,
        identities: &[[u8; 16]],
        run: i64,
    ) -> Result<HashMap<[u8; 16], PriorSighting>, Problem> {
        let mut found = HashMap::new();
        let mut take = |record: &StoredRow| -> Result<(), Problem> {
            let finding = record.through("checksum");
            let verified = match record.text("run_id") {
                Ok(id) => self.checksums.verify(ChecksummedTable::Finding, id, &finding),
                Err(_) => Err(Damaged),
            };
            if verified.is_ok()
                && let Ok(identity) = finding.bytes("identity")?.try_into()
            {
                let (run, runs) = (finding.int("run")?, finding.count("runs")?);
                let image = finding.text("image")?.to_owned();
                let first_seen = finding.text("first_seen")?.to_owned();
                let order = record.int("run_order")?;
                found.insert(identity, PriorSighting { first_seen, runs, run, order, image });
            }
            Ok(())
        };
        match &self.kind {
            StoreKind::File(file) => {
                let statement = include_str!("../statements/prior_sighting.sql");
                for identity in identities {
                    let records = file.rows(statement, &[identity[..].into(), run.into()])?;
                    records.iter().try_for_each(&mut take)?;
                }
            }
            StoreKind::Shared(shared) => {
                shared
                    .read_prior_sightings(identities, run)
                    .await?
                    .iter()
                    .try_for_each(&mut take)?;
            }
        }
        Ok(found)
    }
}
