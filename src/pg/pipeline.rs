//! Several statements under way on one connection, each in a transaction of its own.
//!
//! The operator's SQL goes to the server one fragment a statement, so that nothing in one can reach into
//! another; waiting for each answer before the next is sent would cost a round trip a fragment. An error
//! ends the transaction of its own statement only, so each is attributed to the right one. A pooler keeps
//! a server connection for a client as long as answers are due.

use std::collections::VecDeque;

use super::connection::{Connection, SentQuery};
use super::error::{PgError, Remedy};
use super::read_settings::ReadSettings;
use super::row::Row;
use crate::sql::Statement;

/// Statements on their way at once.
const AT_ONCE: usize = 16;

impl Connection {
    /// Sends statements and reads all rows of each: its rows, or why the server refuses it.
    ///
    /// # Errors
    /// What concerns more than one statement: a lost connection, or anything after which to try again.
    pub(super) async fn pipeline(
        &self,
        session: &ReadSettings,
        statements: impl Iterator<Item = Statement>,
    ) -> Result<Vec<Result<Vec<Row>, PgError>>, PgError> {
        let mut statements = statements.fuse();
        let mut under_way: VecDeque<SentQuery<'_, '_>> = VecDeque::new();
        let mut answers = Vec::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some(statement) = statements.next()
            {
                under_way.push_back(self.send(session, statement, false)?);
            }
            let Some(next) = under_way.pop_front() else { return Ok(answers) };
            let answer = async { next.open().await?.read_all().await }.await;
            match answer {
                Err(error) if !is_of_one_statement(&error) => return Err(error),
                answer => answers.push(answer),
            }
        }
    }
}

/// Whether the connection is as good as before, and the statement itself is what the error is about.
fn is_of_one_statement(error: &PgError) -> bool {
    let remedies = [Remedy::GiveUp, Remedy::Isolate, Remedy::Shrink];
    error.sqlstate.is_some() && remedies.contains(&error.remedy)
}
