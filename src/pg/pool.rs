//! One side's connections: a small pool.

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

/// Connections to one side, as many as the run has jobs, and one for questions aside.
pub struct Pool {
    pool: managed::Pool<Manager>,
    aside: managed::Pool<Manager>,
    longest: LongestRead,
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
        let longest = LongestRead::default();
        Ok(Pool { pool, aside, longest, connector, warnings })
    }

    /// Takes a connection; opens one if none is idle.
    ///
    /// # Errors
    /// When none can be opened; the message names the places that were tried.
    pub async fn acquire(&self) -> Result<Connection, PgError> {
        self.take(&self.pool).await
    }

    /// Takes the connection for questions that must not wait for those with the data.
    ///
    /// # Errors
    /// When none can be opened; the message names the places that were tried.
    pub async fn acquire_reserved(&self) -> Result<Connection, PgError> {
        self.take(&self.aside).await
    }

    /// The longest that a read was open so far: how old the oldest snapshot of ours was.
    pub fn longest_read(&self) -> Duration {
        self.longest.get()
    }

    /// Whether the server still answers after it has once not answered in time. One that does not is given
    /// up: nothing waits for it any more.
    pub async fn is_responding(&self) -> bool {
        self.connector.is_responding().await
    }

    /// Gives the server up.
    pub fn give_up(&self) {
        self.connector.give_up();
    }

    /// Waits until the server is given up; gives what there is to say of it.
    pub async fn wait_until_given_up(&self) -> PgError {
        self.connector.wait_until_given_up().await;
        PgError::silent(&self.connector.describe_endpoints())
    }

    async fn take(&self, pool: &managed::Pool<Manager>) -> Result<Connection, PgError> {
        if self.connector.is_given_up() {
            return Err(PgError::silent(&self.connector.describe_endpoints()));
        }
        let object = pool.get().await.map_err(|error| {
            let what = format!("cannot connect to {}", self.connector.describe_endpoints());
            match error {
                PoolError::Backend(error) => {
                    PgError { message: format!("{what}: {}", error.message), ..error }
                }
                PoolError::Timeout(_) => PgError::silent(&what),
                error => PgError::unexpected(error.to_string()),
            }
        })?;
        Ok(Connection::new(object, Arc::clone(&self.connector), self.longest.clone()))
    }
}

/// Nothing is opened yet.
fn open_pool(connector: &Arc<Connector>, size: usize) -> Result<managed::Pool<Manager>, PgError> {
    managed::Pool::builder(Manager::new(Arc::clone(connector)))
        .max_size(size)
        .create_timeout(Some(connector.patience()))
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| PgError::setting(error.to_string()))
}
