//! One side's connections: a small pool.

use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime};

use super::connector::{Connector, PoolConnect};
use super::conninfo::Conninfo;
use super::defaults::resolve;
use super::error::PgError;
use super::lease::Lease;

/// Connections to one side, as many as the run has jobs.
pub struct Pool {
    pool: deadpool_postgres::Pool,
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
        // Fast: no statement is run when a connection comes back; nothing of ours is left on it.
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(),
            PoolConnect(Arc::clone(&connector)),
            config,
        );
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .create_timeout(Some(connector.patience()))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| PgError::setting(error.to_string()))?;
        Ok(Pool { pool, connector, warnings })
    }

    /// Takes a connection; opens one if none is idle.
    ///
    /// # Errors
    /// When none can be opened; the message names the places that were tried.
    pub async fn lease(&self) -> Result<Lease, PgError> {
        let object = self.pool.get().await.map_err(|error| {
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
        Ok(Lease::new(object, Arc::clone(&self.connector)))
    }
}
