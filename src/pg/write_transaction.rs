//! A transaction that writes: only `apply` and a ledger in PostgreSQL open one. One batch, one
//! transaction; what is not committed is rolled back, and nothing outlives it, so that it passes a
//! pooler as reads do.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::error::PgError;
use super::row::{Row, values};
use crate::sql::Bind;

/// The server gives a statement up before this.
const PATIENCE: Duration = Duration::from_secs(11 * 60);

/// An open transaction.
pub struct WriteTransaction<'l>(&'l Connection);

impl Connection {
    /// Begins with these statements, the first of which is a BEGIN.
    ///
    /// # Errors
    /// What the server says; nothing is open then.
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
    /// Runs statements without parameters.
    ///
    /// # Errors
    /// What the server says.
    pub async fn execute_batch(&self, text: &str) -> Result<(), PgError> {
        let client = self.client()?;
        self.in_time(client.batch_execute(text)).await
    }

    /// Runs one statement with parameters.
    ///
    /// # Errors
    /// What the server says.
    pub async fn execute(&self, text: &str, binds: &[Bind]) -> Result<(), PgError> {
        let client = self.client()?;
        let values = values(binds);
        let params: Vec<_> =
            values.iter().map(|(value, oid)| (value as &(dyn ToSql + Sync), oid.clone())).collect();
        self.in_time(client.execute_typed(text, &params)).await.map(drop)
    }

    /// Runs several statements with parameters, sent together. Gives how many rows each has changed.
    ///
    /// # Errors
    /// What the server says of the first that fails.
    pub async fn execute_all(&self, statements: &[(&str, Vec<Bind>)]) -> Result<Vec<u64>, PgError> {
        let client = self.client()?;
        // Polled in this order, so sent in this order.
        let sent = statements.iter().map(|(text, binds)| async move {
            let values = values(binds);
            let params: Vec<_> = values
                .iter()
                .map(|(value, oid)| (value as &(dyn ToSql + Sync), oid.clone()))
                .collect();
            client.execute_typed(text, &params).await
        });
        self.in_time(try_join_all(sent)).await
    }

    /// Runs one statement with parameters and gives what it returns.
    ///
    /// # Errors
    /// What the server says.
    pub async fn query(&self, text: &str, binds: &[Bind]) -> Result<Vec<Row>, PgError> {
        let client = self.client()?;
        let values = values(binds);
        let params: Vec<_> =
            values.iter().map(|(value, oid)| (value as &(dyn ToSql + Sync), oid.clone())).collect();
        let rows = self.in_time(client.query_typed(text, &params)).await?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// Commits.
    ///
    /// # Errors
    /// What the server says; whether it was committed is then unknown if the connection was lost.
    pub async fn commit(self) -> Result<(), PgError> {
        self.execute_batch("commit").await?;
        self.0.transaction_ended();
        Ok(())
    }

    /// Rolls back. A connection that cannot even do that is not given back.
    pub async fn roll_back(self) {
        if self.execute_batch("rollback").await.is_ok() {
            self.0.transaction_ended();
        }
    }

    fn client(&self) -> Result<&Client, PgError> {
        let connection = self.0.client()?;
        connection.quota.begin_answer(false);
        Ok(&connection.client)
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, PgError> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.0.error(&error)),
            Err(_) => Err(PgError::silent("the statement")),
        }
    }
}
