//! A transaction that writes. Only `apply` and a ledger in PostgreSQL begin one, for one batch each. It is
//! committed or rolled back, and no state outlives it, so that it works through a pooler as reads do.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::connection::Connection;
use super::error::PgError;
use super::row::{Parameter, Row, parameters};
use crate::sql::Bind;

/// The client's timeout. The server's statement timeout is shorter.
const TIMEOUT: Duration = Duration::from_secs(11 * 60);

/// An open transaction.
pub struct WriteTransaction<'l>(&'l Connection);

impl Connection {
    /// Begins a transaction with these statements, the first of which is a BEGIN.
    ///
    /// # Errors
    /// The server's error; then no transaction is open.
    pub async fn begin_write(&self, opening: &str) -> Result<WriteTransaction<'_>, PgError> {
        self.transaction_sent();
        let writing = WriteTransaction(self);
        match writing.execute_batch(opening).await {
            Ok(()) => Ok(writing),
            Err(error) => {
                writing.roll_back().await;
                Err(error)
            }
        }
    }
}

impl WriteTransaction<'_> {
    /// Executes statements without parameters.
    ///
    /// # Errors
    /// The server's error.
    pub async fn execute_batch(&self, text: &str) -> Result<(), PgError> {
        let client = self.client()?;
        self.in_time(client.batch_execute(text)).await
    }

    /// Executes one statement with parameters.
    ///
    /// # Errors
    /// The server's error.
    pub async fn execute(&self, text: &str, binds: &[Bind]) -> Result<(), PgError> {
        let client = self.client()?;
        let values = parameters(binds);
        self.in_time(client.execute_typed(text, &by_reference(&values))).await.map(drop)
    }

    /// Executes several statements with parameters, sent together. Returns how many rows each has changed.
    ///
    /// # Errors
    /// The server's error about the first that fails.
    pub async fn execute_all(&self, statements: &[(&str, Vec<Bind>)]) -> Result<Vec<u64>, PgError> {
        let client = self.client()?;
        // They are polled in this order, so sent in this order.
        let sent = statements.iter().map(|(text, binds)| async move {
            let values = parameters(binds);
            client.execute_typed(text, &by_reference(&values)).await
        });
        self.in_time(try_join_all(sent)).await
    }

    /// Executes one statement with parameters and returns its rows.
    ///
    /// # Errors
    /// The server's error.
    pub async fn query(&self, text: &str, binds: &[Bind]) -> Result<Vec<Row>, PgError> {
        let client = self.client()?;
        let values = parameters(binds);
        let rows = self.in_time(client.query_typed(text, &by_reference(&values))).await?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// Commits.
    ///
    /// # Errors
    /// The server's error. If the connection was lost, whether it was committed is unknown.
    pub async fn commit(self) -> Result<(), PgError> {
        self.execute_batch("commit").await?;
        self.0.transaction_ended();
        Ok(())
    }

    /// Rolls back. If that fails, the connection is not returned to the pool.
    pub async fn roll_back(self) {
        if self.execute_batch("rollback").await.is_ok() {
            self.0.transaction_ended();
        }
    }

    fn client(&self) -> Result<&Client, PgError> {
        let connection = self.0.client()?;
        connection.quota.begin_result(false);
        Ok(&connection.client)
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, PgError> {
        match tokio::time::timeout(TIMEOUT, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.0.error(&error)),
            Err(_) => Err(PgError::timeout("the statement")),
        }
    }
}

/// Borrows parameters in the form that the driver takes.
fn by_reference<'v>(values: &'v [(Parameter<'v>, Type)]) -> Vec<(&'v (dyn ToSql + Sync), Type)> {
    values.iter().map(|(value, oid)| (value as &(dyn ToSql + Sync), oid.clone())).collect()
}
