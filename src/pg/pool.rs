//! The connection pool of one side.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, PoolError};

use super::connection::{Connection, LongestRead};
use super::connector::Connector;
use super::conninfo::Conninfo;
use super::defaults::resolve;
use super::error::PgError;
use super::manager::Manager;

/// Connections to one side: as many as the run has jobs, and a reserved one, for example for monitoring.
pub struct Pool {
    pool: managed::Pool<Manager>,
    reserved: managed::Pool<Manager>,
    longest: LongestRead,
    connector: Arc<Connector>,
    /// Warnings about the connection string, as sentences.
    pub warnings: Vec<String>,
}

impl Pool {
    /// Makes a pool. No connection is opened yet.
    ///
    /// # Errors
    /// If the connection string or a file that it names cannot be used.
    pub fn new(url: &str, application_name: &str, size: usize) -> Result<Pool, PgError> {
        let info =
            Conninfo::parse(url).map_err(|error| PgError::invalid_setting(error.to_string()))?;
        let mut destination = resolve(info)?;
        let warnings = std::mem::take(&mut destination.warnings);
        let connector = Arc::new(Connector::new(destination, application_name)?);
        let pool = new_pool(&connector, size)?;
        let reserved = new_pool(&connector, 1)?;
        let longest = LongestRead::default();
        Ok(Pool { pool, reserved, longest, connector, warnings })
    }

    /// Takes a connection from the pool; opens one if none is idle.
    ///
    /// # Errors
    /// If none can be opened; the message names the endpoints that were tried.
    pub async fn acquire(&self) -> Result<Connection, PgError> {
        self.take(&self.pool).await
    }

    /// Takes the reserved connection, for queries that must not wait for those that read rows.
    ///
    /// # Errors
    /// If none can be opened; the message names the endpoints that were tried.
    pub async fn acquire_reserved(&self) -> Result<Connection, PgError> {
        self.take(&self.reserved).await
    }

    /// Returns the longest time that a read was open so far: the age of the oldest snapshot.
    pub fn longest_read(&self) -> Duration {
        self.longest.get()
    }

    /// Tests whether the server responds, after it once has not in time. A server that does not is given
    /// up: nothing waits for it any more.
    pub async fn is_responding(&self) -> bool {
        self.connector.is_responding().await
    }

    /// Gives the server up.
    pub fn give_up(&self) {
        self.connector.give_up();
    }

    /// Waits until the server is given up, and returns the error to report.
    pub async fn wait_until_given_up(&self) -> PgError {
        self.connector.wait_until_given_up().await;
        PgError::timeout(&self.connector.describe_endpoints())
    }

    async fn take(&self, pool: &managed::Pool<Manager>) -> Result<Connection, PgError> {
        if self.connector.is_given_up() {
            return Err(PgError::timeout(&self.connector.describe_endpoints()));
        }
        let object = pool.get().await.map_err(|error| {
            let what = format!("cannot connect to {}", self.connector.describe_endpoints());
            match error {
                PoolError::Backend(error) => {
                    PgError { message: format!("{what}: {}", error.message), ..error }
                }
                PoolError::Timeout(_) => PgError::timeout(&what),
                error => PgError::unexpected(error.to_string()),
            }
        })?;
        Ok(Connection::new(object, Arc::clone(&self.connector), self.longest.clone()))
    }
}

/// Makes a pool of this size. No connection is opened yet.
fn new_pool(connector: &Arc<Connector>, size: usize) -> Result<managed::Pool<Manager>, PgError> {
    managed::Pool::builder(Manager::new(Arc::clone(connector)))
        .max_size(size)
        .create_timeout(Some(connector.total_timeout()))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| PgError::invalid_setting(error.to_string()))
}
