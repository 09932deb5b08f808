//! A ledger's store: an SQLite file, or tables in a PostgreSQL database that many machines share.
//!
//! Both understand the same statements, which stand in files of their own beside this one, so that
//! what is remembered is written down once. What differs is how a statement is carried out.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::error::LedgerError;
use super::file::FileStore;
use super::place::Location;
use super::shared::SharedStore;
use super::value::{Change, Record, Value};

/// The last sight of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) first_seen: String,
    pub(super) runs: u64,
    /// The number of the run that saw it last.
    pub(super) run: i64,
    /// The place of that run in the ledger's order.
    pub(super) order: i64,
    /// A keyed hash of what it said of its rows.
    pub(super) image: String,
}

/// An open ledger.
#[derive(Debug)]
pub struct Store {
    kind: Kind,
    location: Location,
}

#[derive(Debug)]
enum Kind {
    File(FileStore),
    Shared(Arc<SharedStore>),
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl Store {
    /// Opens a ledger to write to, and makes its file or its tables if they are not there.
    ///
    /// # Errors
    /// When it cannot be reached, made or written, is damaged, or is no ledger.
    pub async fn create(location: &Location) -> Result<Store, LedgerError> {
        let kind = match location {
            Location::File(path) => Kind::File(FileStore::create(path).await?),
            Location::Database(url) => Kind::Shared(Arc::new(SharedStore::create(url).await?)),
        };
        Ok(Store { kind, location: location.clone() })
    }

    /// Opens a ledger to read; nothing if there is none.
    ///
    /// # Errors
    /// When it cannot be reached or read, is damaged, or is no ledger.
    pub async fn read(location: &Location) -> Result<Option<Store>, LedgerError> {
        let kind = match location {
            Location::File(path) => FileStore::read(path).await?.map(Kind::File),
            Location::Database(url) => {
                SharedStore::read(url).await?.map(|shared| Kind::Shared(Arc::new(shared)))
            }
        };
        Ok(kind.map(|kind| Store { kind, location: location.clone() }))
    }

    /// Whether a newer program has written it: it is read, and never written.
    pub fn is_newer(&self) -> bool {
        match &self.kind {
            Kind::File(file) => file.newer,
            Kind::Shared(shared) => shared.newer,
        }
    }

    /// The store that many machines share, if it is one and may be written.
    pub(super) fn shared(&self) -> Option<&Arc<SharedStore>> {
        match &self.kind {
            Kind::Shared(shared) if !shared.newer => Some(shared),
            Kind::File(_) | Kind::Shared(_) => None,
        }
    }

    /// What a question finds.
    pub(super) async fn rows(
        &self,
        statement: &'static str,
        params: Vec<Value>,
    ) -> Result<Vec<Record>, LedgerError> {
        match &self.kind {
            Kind::File(file) => file.rows(statement, &params),
            Kind::Shared(shared) => shared.rows(statement, &params).await,
        }
    }

    /// The first row of a question, if it has one.
    pub(super) async fn first(
        &self,
        statement: &'static str,
        params: Vec<Value>,
    ) -> Result<Option<Record>, LedgerError> {
        Ok(self.rows(statement, params).await?.into_iter().next())
    }

    /// Makes a change and gives what it returns; nothing in a ledger that is never written.
    pub(super) async fn change(
        &self,
        statement: &'static str,
        params: Vec<Value>,
    ) -> Result<Vec<Record>, LedgerError> {
        if self.is_newer() {
            return Ok(Vec::new());
        }
        match &self.kind {
            Kind::File(file) => file.rows(statement, &params),
            Kind::Shared(shared) => shared.change(statement, &params).await,
        }
    }

    /// Makes several changes, or none of them. Gives how many rows each has changed.
    pub(super) async fn together(&self, changes: Vec<Change>) -> Result<Vec<u64>, LedgerError> {
        if self.is_newer() || changes.is_empty() {
            return Ok(vec![0; changes.len()]);
        }
        match &self.kind {
            Kind::File(file) => file.together(&changes),
            Kind::Shared(shared) => shared.together(&changes).await,
        }
    }

    /// Takes the next number of the ledger. Runs get one when they begin or go on, and another when they
    /// end: which of two runs is the newer one is told by these numbers, not by a clock.
    pub(super) async fn next_number(&self) -> Result<i64, LedgerError> {
        let taken = self.change(include_str!("statements/next_number.sql"), Vec::new()).await?;
        taken.first().map_or(Ok(0), |record| record.int(0))
    }

    /// The last sight of each of these differences before this run, by identity; of those that were not
    /// seen before, the last one in it.
    pub(super) async fn earlier(
        &self,
        identities: &[[u8; 16]],
        run: i64,
    ) -> Result<HashMap<[u8; 16], Sight>, LedgerError> {
        let mut found = HashMap::new();
        let mut take = |record: &Record| -> Result<(), LedgerError> {
            if let Ok(identity) = record.bytes(0)?.try_into() {
                let first_seen = record.text(1)?.to_owned();
                let (runs, run) = (record.count(2)?, record.int(3)?);
                let image = record.text(4)?.to_owned();
                let order = record.int(5)?;
                found.insert(identity, Sight { first_seen, runs, run, order, image });
            }
            Ok(())
        };
        match &self.kind {
            Kind::File(file) => {
                let statement = include_str!("statements/earlier_sight.sql");
                for identity in identities {
                    let records = file.rows(statement, &[identity[..].into(), run.into()])?;
                    records.iter().try_for_each(&mut take)?;
                }
            }
            Kind::Shared(shared) => {
                shared.earlier(identities, run).await?.iter().try_for_each(&mut take)?;
            }
        }
        Ok(found)
    }
}
