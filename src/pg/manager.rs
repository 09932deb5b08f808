//! Opens and recycles the connections of a pool.
//!
//! It replaces the manager of `deadpool-postgres`, which opens connections without a limit on what a
//! server may send. The client of that package is used.

use std::sync::Arc;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};

use super::connector::{Connector, PooledClient};
use super::error::PgError;

/// Opens connections for a pool.
pub(super) struct Manager(Arc<Connector>);

impl Manager {
    pub(super) fn new(connector: Arc<Connector>) -> Manager {
        Manager(connector)
    }
}

impl managed::Manager for Manager {
    type Type = PooledClient;
    type Error = PgError;

    async fn create(&self) -> Result<PooledClient, PgError> {
        Box::pin(self.0.open()).await
    }

    /// Checks only that the connection is open: no statement is needed, for no state outlives a transaction.
    async fn recycle(&self, connection: &mut PooledClient, _: &Metrics) -> RecycleResult<PgError> {
        match connection.client.is_closed() {
            true => Err(RecycleError::message("closed")),
            false => Ok(()),
        }
    }
}
