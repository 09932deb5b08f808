//! Pipelining: several statements in flight on one connection, each in a transaction of its own.
//!
//! The operator's SQL is sent with one fragment in each statement, so that none can change the meaning of
//! another. Waiting for each result before the next is sent would cost a round trip for each fragment. An
//! error ends the transaction of its own statement only, so it belongs to the right one. A pooler keeps a
//! server connection assigned to a client as long as results are due.

use std::collections::VecDeque;

use super::connection::{Connection, SentQuery};
use super::error::{PgError, Remedy};
use super::read_settings::ReadSettings;
use super::row::Row;
use crate::sql::Statement;

/// The most statements in flight.
const MAX_IN_FLIGHT: usize = 16;

impl Connection {
    /// Sends statements and reads all rows of each; the server's error where it refuses one.
    ///
    /// # Errors
    /// An error that concerns more than one statement: a lost connection, or one that a retry helps against.
    pub(super) async fn pipeline(
        &self,
        settings: &ReadSettings,
        statements: impl Iterator<Item = Statement>,
    ) -> Result<Vec<Result<Vec<Row>, PgError>>, PgError> {
        let mut statements = statements.fuse();
        let mut in_flight: VecDeque<SentQuery<'_, '_>> = VecDeque::new();
        let mut results = Vec::new();
        loop {
            while in_flight.len() < MAX_IN_FLIGHT
                && let Some(statement) = statements.next()
            {
                in_flight.push_back(self.send(settings, statement, false)?);
            }
            let Some(next) = in_flight.pop_front() else { return Ok(results) };
            let result = async { next.open().await?.read_all().await }.await;
            match result {
                Err(error) if !is_of_one_statement(&error) => return Err(error),
                result => results.push(result),
            }
        }
    }
}

/// Returns whether the error is about the statement itself, and the connection can still be used.
fn is_of_one_statement(error: &PgError) -> bool {
    let remedies = [Remedy::GiveUp, Remedy::Isolate, Remedy::Shrink];
    error.sqlstate.is_some() && remedies.contains(&error.remedy)
}
