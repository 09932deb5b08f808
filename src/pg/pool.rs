//! One side's connections: a small pool.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime};

use super::connector::{Connector, PoolConnect};
use super::conninfo::Conninfo;
use super::defaults::resolve;
use super::error::PgError;
use super::lease::{Lease, Longest};

/// Connections to one side, as many as the run has jobs, and one for questions aside.
pub struct Pool {
    pool: deadpool_postgres::Pool,
    aside: deadpool_postgres::Pool,
    longest: Longest,
    connector: Arc<Connector>,
    /// What is worth knowing about the connection string, as sentences.
    pub warnings: Vec<String>,
}

impl Pool {
    /// Prepares to connect; nothing is opened yet.
    ///
    /// # Errors
    /// When the connection string or a file that it names cannot be used.
    pub fn new(url: &str, application_name: &str, size: usize) -> Result<Pool, PgError> {
        let info = Conninfo::parse(url).map_err(|error| PgError::setting(error.to_string()))?;
        let mut destination = resolve(info)?;
        let warnings = std::mem::take(&mut destination.warnings);
        let connector = Arc::new(Connector::new(destination, application_name)?);
        let pool = open_pool(&connector, size)?;
        let aside = open_pool(&connector, 1)?;
        let longest = Longest::default();
        Ok(Pool { pool, aside, longest, connector, warnings })
    }

    /// Takes a connection; opens one if none is idle.
    ///
    /// # Errors
    /// When none can be opened; the message names the places that were tried.
    pub async fn lease(&self) -> Result<Lease, PgError> {
        self.take(&self.pool).await
    }

    /// Takes the connection for questions that must not wait for those with the data.
    ///
    /// # Errors
    /// When none can be opened; the message names the places that were tried.
    pub async fn lease_aside(&self) -> Result<Lease, PgError> {
        self.take(&self.aside).await
    }

    /// The longest that a read was open so far: how old the oldest snapshot of ours was.
    pub fn longest_read(&self) -> Duration {
        self.longest.so_far()
    }

    async fn take(&self, pool: &deadpool_postgres::Pool) -> Result<Lease, PgError> {
        let object = pool.get().await.map_err(|error| {
            let what = format!("cannot connect to {}", self.connector.places());
            match error {
                PoolError::Backend(error) => {
                    let error = PgError::of(&error);
                    PgError { message: format!("{what}: {}", error.message), ..error }
                }
                PoolError::Timeout(_) => PgError::silent(&what),
                error => PgError::unexpected(error.to_string()),
            }
        })?;
        Ok(Lease::new(object, Arc::clone(&self.connector), self.longest.clone()))
    }
}

/// Nothing is opened yet.
fn open_pool(connector: &Arc<Connector>, size: usize) -> Result<deadpool_postgres::Pool, PgError> {
    // Fast: no statement is run when a connection comes back; nothing of ours is left on it.
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let connect = PoolConnect(Arc::clone(connector));
    let manager = Manager::from_connect(tokio_postgres::Config::new(), connect, config);
    deadpool_postgres::Pool::builder(manager)
        .max_size(size)
        .create_timeout(Some(connector.patience()))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| PgError::setting(error.to_string()))
}
