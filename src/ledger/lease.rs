//! A lease: who may run a spec whose runs many machines share, until when.
//!
//! Times are the ledger server's own, so that machines need not agree on one.

use std::sync::Arc;
use std::time::Duration;

use super::error::LedgerError;
use super::shared::SharedStore;
use super::store::Store;
use super::value::{Change, values};

/// How often it is put off; it lasts a few times as long (`shared_take_lease.sql`).
pub const RENEWED_EVERY: Duration = Duration::from_secs(8);

/// Held until it is given back, or not renewed for half a minute.
#[derive(Clone, Debug)]
pub struct Lease {
    store: Arc<SharedStore>,
    spec: String,
    holder: String,
}

impl Store {
    /// Takes the lease of a spec for a holder; who holds it already holds it still. If another does,
    /// gives what that one calls itself. Nothing of a ledger in a file.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn lease(
        &self,
        spec: &str,
        holder: &str,
    ) -> Result<Option<Result<Lease, String>>, LedgerError> {
        match self.shared() {
            Some(store) => Lease::take(store, spec, holder).await.map(Some),
            None => Ok(None),
        }
    }

    /// Who holds the lease of a spec, if anyone does.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn leased_to(&self, spec: &str) -> Result<Option<String>, LedgerError> {
        let statement = include_str!("statements/shared_leased_to.sql");
        let found = self.first(statement, values![spec]).await?;
        found.map(|record| record.text(0).map(str::to_owned)).transpose()
    }
}

impl Lease {
    pub(super) async fn take(
        store: &Arc<SharedStore>,
        spec: &str,
        holder: &str,
    ) -> Result<Result<Lease, String>, LedgerError> {
        let (store, spec, holder) = (Arc::clone(store), spec.to_owned(), holder.to_owned());
        let lease = Lease { store, spec, holder };
        if lease.renew().await? {
            return Ok(Ok(lease));
        }
        let statement = include_str!("statements/shared_leased_to.sql");
        let found = lease.store.rows(statement, &[lease.spec.as_str().into()]).await?;
        let holder = found.first().map(|record| record.text(0).map(str::to_owned)).transpose()?;
        Ok(Err(holder.unwrap_or_default()))
    }

    /// Puts its end off. False if another has it by now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn renew(&self) -> Result<bool, LedgerError> {
        let statement = include_str!("statements/shared_take_lease.sql");
        let params = values![self.spec.as_str(), self.holder.as_str()];
        Ok(!self.store.change(statement, &params).await?.is_empty())
    }

    /// Puts its end off as long as it has been this holder's all along. False if another has had it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn hold(&self) -> Result<bool, LedgerError> {
        let statement = include_str!("statements/shared_hold_lease.sql");
        let params = values![self.spec.as_str(), self.holder.as_str()];
        Ok(!self.store.change(statement, &params).await?.is_empty())
    }

    /// The name of the lease that says of one process of many that it lives: no spec's name has a blank.
    pub fn of_member(run: &str, process: &str) -> String {
        format!("{run} {process}")
    }

    /// Gives it back if it is a member's, and with it the lease of the spec that all members of the run
    /// hold together, if it was the last one.
    ///
    /// # Errors
    /// When the ledger cannot be written; both end by themselves then.
    pub async fn leave(self, spec: &Lease) -> Result<(), LedgerError> {
        let members = Lease::of_member(&spec.holder, "");
        // One that comes now waits for the spec's lease, and makes it anew.
        let lock = include_str!("statements/shared_lock_lease.sql");
        let leave = include_str!("statements/shared_leave_lease.sql");
        let give_back = include_str!("statements/shared_give_last_lease_back.sql");
        let (of, holder) = (spec.spec.as_str(), spec.holder.as_str());
        let changes = [
            Change { statement: lock, params: values![of, holder] },
            Change { statement: leave, params: values![self.spec.as_str(), members.as_str()] },
            Change { statement: give_back, params: values![of, holder, members.as_str()] },
        ];
        self.store.together(&changes).await.map(drop)
    }

    /// A change that fails where another has taken the lease over, and what is written with it.
    pub(super) fn fence(&self) -> Change {
        let statement = include_str!("statements/shared_fence.sql");
        Change { statement, params: values![self.spec.as_str(), self.holder.as_str()] }
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When the ledger cannot be written; it ends by itself then.
    pub async fn give_back(self) -> Result<(), LedgerError> {
        let statement = include_str!("statements/shared_give_lease_back.sql");
        let params = values![self.spec.as_str(), self.holder.as_str()];
        self.store.change(statement, &params).await.map(drop)
    }
}
