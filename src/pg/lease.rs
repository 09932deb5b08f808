//! A connection on loan for short reads, one transaction each.
//!
//! `begin`, the query and `commit` go out together, so that a small chunk costs one round trip. When
//! a read does not come to its end, the connection may hold an open transaction: it is then cancelled
//! politely and thrown away, never given back.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool_postgres::Object;
use futures_util::future::{MaybeDone, maybe_done};
use futures_util::{FutureExt, Stream, TryStreamExt};
use tokio::time::{Instant, sleep_until};

use super::cancel::cancel;
use super::connector::Connector;
use super::error::PgError;
use super::pool::Session;
use super::row::{Row, values};
use crate::sql::Statement;

/// A connection on loan.
pub struct Lease {
    object: Option<Object>,
    connector: Arc<Connector>,
    /// Set while a transaction of ours may be open.
    busy: AtomicBool,
}

/// The rows of one statement, as they come.
pub trait Rows: Stream<Item = Result<Row, PgError>> + Send {}

impl<S: Stream<Item = Result<Row, PgError>> + Send> Rows for S {}

/// The clock is asked only once in so many rows.
const ROWS_PER_CLOCK: u32 = 1024;

impl Lease {
    pub(super) fn new(object: Object, connector: Arc<Connector>) -> Lease {
        Lease { object: Some(object), connector, busy: AtomicBool::new(false) }
    }

    /// Reads one statement in a transaction of its own.
    pub fn rows(&self, session: &Session, statement: Statement) -> impl Rows {
        async_stream::try_stream! {
            let Some(client) = self.object.as_ref() else {
                Err(PgError::unexpected("the connection is gone"))?;
                return;
            };
            self.busy.store(true, Ordering::Release);
            let begin = client.batch_execute(&session.begin);
            let query = client.query_typed_raw(&statement.text, values(&statement.binds));
            let mut commit = pin!(maybe_done(client.batch_execute("commit")));
            // Polled in this order once, all three are on their way; then their answers are awaited.
            let opening = async {
                let (begun, stream, _) =
                    tokio::join!(biased; begin, query, async { commit.as_mut().now_or_never() });
                begun.and(stream)
            };
            let deadline = Instant::now() + session.patience;
            let opened = tokio::time::timeout_at(deadline, opening).await;
            let stream = match opened {
                Err(_) => Err(PgError::silent("the query"))?,
                Ok(Err(error)) => {
                    // The error has ended the transaction's statements; the commit rolls it back.
                    let _ = self.ended(commit.as_mut(), session).await;
                    Err(PgError::of(&error))?
                }
                Ok(Ok(stream)) => stream,
            };
            let mut stream = pin!(stream);
            let mut deadline = pin!(sleep_until(deadline));
            let mut count = 0_u32;
            loop {
                let next = tokio::select! {
                    biased;
                    next = stream.try_next() => Some(next),
                    () = &mut deadline => None,
                };
                let Some(next) = next else {
                    Err(PgError::silent("the query"))?;
                    return;
                };
                match next {
                    Ok(Some(row)) => {
                        count += 1;
                        if count.is_multiple_of(ROWS_PER_CLOCK) {
                            deadline.as_mut().reset(Instant::now() + session.patience);
                        }
                        yield Row(row);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let _ = self.ended(commit.as_mut(), session).await;
                        Err(PgError::of(&error))?;
                        return;
                    }
                }
            }
            self.ended(commit.as_mut(), session).await?;
        }
    }

    /// Reads one statement and hands each row on.
    ///
    /// # Errors
    /// What the server or `each` says.
    pub async fn read(
        &self,
        session: &Session,
        statement: Statement,
        mut each: impl FnMut(Row) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        let mut rows = pin!(self.rows(session, statement));
        while let Some(row) = rows.try_next().await? {
            each(row)?;
        }
        Ok(())
    }

    /// Reads all rows of a small answer.
    ///
    /// # Errors
    /// What the server says.
    pub async fn all(&self, session: &Session, statement: Statement) -> Result<Vec<Row>, PgError> {
        self.rows(session, statement).try_collect().await
    }

    /// Gives the connection back. One that is in the middle of something is cancelled and dropped.
    pub async fn give_back(mut self) {
        if self.busy.load(Ordering::Acquire)
            && let Some(object) = self.object.take()
        {
            cancel(&self.connector, &object.cancel_token()).await;
            drop(Object::take(object));
        }
    }

    /// Waits for the commit, which also ends a transaction that an error has spoilt. Once it has
    /// come, the connection is clean.
    async fn ended<F>(&self, mut commit: Pin<&mut MaybeDone<F>>, session: &Session) -> Result<(), PgError>
    where
        F: Future<Output = Result<(), tokio_postgres::Error>>,
    {
        let in_time = tokio::time::timeout(session.patience, commit.as_mut()).await;
        match (in_time, commit.take_output()) {
            (Ok(()), Some(Ok(()))) => {
                self.busy.store(false, Ordering::Release);
                Ok(())
            }
            (Ok(()), Some(Err(error))) => Err(PgError::of(&error)),
            _ => Err(PgError::silent("commit")),
        }
    }
}

impl Drop for Lease {
    /// A lease that is dropped in the middle of something takes its connection with it.
    fn drop(&mut self) {
        if self.busy.load(Ordering::Acquire)
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}
