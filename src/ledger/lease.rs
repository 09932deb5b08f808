//! Leases of a ledger in a database: which run holds a spec, which processes take part in a shared run, and
//! which of them reports it. A lease lasts 30 seconds and is renewed every 8; when it has expired, the next
//! process that requests it gets it, and the former holder can write no more. The leases of shards are columns
//! of the table `shard` (`shared_run`).
//!
//! Times are those of the ledger's server, so that the machines' clocks need not agree.

use std::sync::Arc;
use std::time::Duration;

use super::lock::Acquisition;
use super::storage::shared_store::SharedStore;
use super::storage::store::Store;
use super::storage::stored_row::{Fence, LedgerWrite, StoredValue, values};
use crate::problem::Problem;

/// How often a lease must be renewed. It lasts a few times as long (`shared_take_lease.sql`).
pub const RENEWED_EVERY: Duration = Duration::from_secs(8);

/// What a lease is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseKind {
    /// A spec, of which one run may be under way at a time.
    Spec,
    /// A process of a shared run, which is alive as long as it renews its lease.
    Process,
    /// The right to report a shared run.
    Report,
}

impl LeaseKind {
    /// Returns its name in the table `lease`.
    fn name(self) -> &'static str {
        match self {
            LeaseKind::Spec => "spec",
            LeaseKind::Process => "process",
            LeaseKind::Report => "report",
        }
    }
}

/// Which lease, and whose it is to be.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// What it is of.
    pub kind: LeaseKind,
    /// The name of the spec, or the id of the process or of the run.
    pub name: String,
    /// The id of the run that the holder runs, if it is known.
    pub run: Option<String>,
    /// The holder, as messages name it.
    pub holder: String,
}

/// A lease that this process holds until it releases it, or has not renewed it for half a minute.
#[derive(Clone, Debug)]
pub struct Lease {
    store: Arc<SharedStore>,
    request: LeaseRequest,
}

impl Store {
    /// Takes a lease. If another holder has it, returns the name of that one. Returns `None` for a
    /// ledger in a file, which has locks instead.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn take_lease(
        &self,
        request: LeaseRequest,
    ) -> Result<Option<Acquisition<Lease>>, Problem> {
        match self.shared() {
            Some(store) => Lease::take(store, request).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the holder of the lease of a spec, if there is one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn spec_holder(&self, spec: &str) -> Result<Option<String>, Problem> {
        let statement = include_str!("statements/shared_lease_holder.sql");
        let found = self.first(statement, values![LeaseKind::Spec.name(), spec]).await?;
        found.map(|record| record.text("holder").map(str::to_owned)).transpose()
    }
}

impl Lease {
    /// Takes a lease. A holder that has it already keeps it. If another holder has it, returns the name
    /// of that one.
    pub(super) async fn take(
        store: &Arc<SharedStore>,
        request: LeaseRequest,
    ) -> Result<Acquisition<Lease>, Problem> {
        let (kind, name) = (request.kind.name(), request.name.as_str());
        let run = request.run.as_deref().unwrap_or_default();
        let statement = include_str!("statements/shared_take_lease.sql");
        let params = values![kind, name, run, request.holder.as_str()];
        if !store.change(statement, &params).await?.is_empty() {
            return Ok(Acquisition::Acquired(Lease { store: Arc::clone(store), request }));
        }
        let statement = include_str!("statements/shared_lease_holder.sql");
        let found = store.rows(statement, &[kind.into(), name.into()]).await?;
        let holder =
            found.first().map(|record| record.text("holder").map(str::to_owned)).transpose()?;
        Ok(Acquisition::HeldBy(holder.unwrap_or_default()))
    }

    /// Renews the lease. Returns `false` if another holder has taken it over.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn renew(&self) -> Result<bool, Problem> {
        let statement = include_str!("statements/shared_renew_lease.sql");
        Ok(!self.store.change(statement, &self.key()).await?.is_empty())
    }

    /// Releases the lease.
    ///
    /// # Errors
    /// When the ledger cannot be written; the lease expires then.
    pub async fn release(self) -> Result<(), Problem> {
        let statement = include_str!("statements/shared_release_lease.sql");
        self.store.change(statement, &self.key()).await.map(drop)
    }

    /// Releases the lease of a process that leaves a shared run, and if it was the last one, also the
    /// lease of the spec, which the processes of the run hold together.
    ///
    /// # Errors
    /// When the ledger cannot be written; both leases expire then.
    pub async fn leave_run(self, spec: &Lease) -> Result<(), Problem> {
        let run = self.request.run.as_deref().unwrap_or_default();
        let mut last = spec.key();
        last.push(run.into());
        let changes = [
            // A process that joins now waits for this row, and then takes a new lease of the spec.
            LedgerWrite {
                statement: include_str!("statements/shared_lock_lease.sql"),
                params: spec.key(),
            },
            LedgerWrite {
                statement: include_str!("statements/shared_release_process.sql"),
                params: values![self.request.name.as_str(), run],
            },
            LedgerWrite {
                statement: include_str!("statements/shared_release_last_lease.sql"),
                params: last,
            },
        ];
        self.store.write_all(None, &changes).await.map(drop)
    }

    /// Returns what is to be checked in a transaction that writes under the lease.
    pub(super) fn fence(&self) -> Fence {
        Fence(LedgerWrite {
            statement: include_str!("statements/shared_fence.sql"),
            params: self.key(),
        })
    }

    /// Returns the parameters that identify the lease and its holder.
    fn key(&self) -> Vec<StoredValue> {
        let LeaseRequest { kind, name, holder, .. } = &self.request;
        values![kind.name(), name.as_str(), holder.as_str()]
    }
}
