//! A connection taken from the pool, for short reads of one transaction each.
//!
//! `begin`, the query and `commit` are sent together, so that a small chunk costs one round trip. When
//! a read is abandoned, the connection may have an open transaction: its query is then cancelled and the
//! connection closed, never returned to the pool.

use std::borrow::Borrow;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use deadpool::managed::Object;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use futures_util::{FutureExt, Stream};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_postgres::{Error, RowStream as DriverRows};

use super::cancel::cancel;
use super::connector::{Connector, PooledClient};
use super::error::{PgError, Remedy};
use super::manager::Manager;
use super::read_settings::ReadSettings;
use super::retry::Retries;
use super::row::{Row, parameters};
use crate::sql::Statement;

/// A connection taken from the pool.
pub struct Connection {
    pub(super) object: Option<Object<Manager>>,
    connector: Arc<Connector>,
    longest: LongestRead,
    /// How many transactions may be open or sent.
    busy: AtomicUsize,
}

/// The longest time that a read of a pool was open, in microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct LongestRead(Arc<AtomicU64>);

impl LongestRead {
    fn record(&self, began: Instant) {
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_max(micros, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// The rows of one statement, as they arrive.
pub struct RowStream<'l> {
    connection: &'l Connection,
    settings: &'l ReadSettings,
    stream: Pin<Box<DriverRows>>,
    commit: Commit<'l>,
    began: Instant,
    /// When the last row must have arrived.
    end: Instant,
    deadline: Pin<Box<Sleep>>,
    until_clock: u32,
    state: ReadState,
}

/// How far a result has been read. It is stored in the stream, not in the future that waits for the next
/// row: while two sides are merged, that future is dropped at any moment, and an error that was lost with
/// it would look like the end of the rows.
enum ReadState {
    Reading,
    /// No more rows arrive, for this reason; the commit is awaited.
    Ending(Result<(), PgError>),
    Finished,
}

type Pending<'l, T> = Pin<Box<MaybeDone<BoxFuture<'l, Result<T, Error>>>>>;
type Commit<'l> = Pending<'l, ()>;

/// A statement that was sent with the `begin` and the `commit` of its transaction.
pub(super) struct SentQuery<'l, 's> {
    connection: &'l Connection,
    settings: &'l ReadSettings,
    opening: Pending<'s, DriverRows>,
    commit: Commit<'l>,
}

/// The most rows of a result that is read as a whole. Each takes some 250 bytes beside its own.
const MAX_ROWS: usize = 250_000;

/// Tries of one small query on a standby, and the pauses between them: the vacuum of one table removes its
/// dead rows in several steps, each of which may conflict. Chunks of rows are retried by the run.
const CONFLICTS: Retries = Retries::new(5, Duration::from_millis(30), Duration::from_millis(500));

/// The clock is read once in so many rows.
const ROWS_PER_CLOCK: u32 = 1024;

impl Connection {
    pub(super) fn new(
        object: Object<Manager>,
        connector: Arc<Connector>,
        longest: LongestRead,
    ) -> Connection {
        Connection { object: Some(object), connector, longest, busy: AtomicUsize::new(0) }
    }

    /// Sends one statement, in a transaction of its own, and waits until the server has begun its result.
    ///
    /// # Errors
    /// The server's error.
    pub async fn query_stream<'l>(
        &'l self,
        settings: &'l ReadSettings,
        statement: &Statement,
    ) -> Result<RowStream<'l>, PgError> {
        self.send(settings, statement, true)?.open().await
    }

    /// Sends one statement, in a transaction of its own. Statements that are sent before its result is
    /// awaited follow it on the connection. `streams` says that rows are read one by one, so that each
    /// has a byte limit of its own; else the limit is one for the whole result.
    ///
    /// # Errors
    /// If the connection is closed.
    pub(super) fn send<'l: 's, 's>(
        &'l self,
        settings: &'l ReadSettings,
        statement: impl Borrow<Statement> + Send + Sync + 's,
        streams: bool,
    ) -> Result<SentQuery<'l, 's>, PgError> {
        let PooledClient { client, quota, .. } = self.client()?;
        quota.begin_result(streams);
        self.transaction_sent();
        let opening = async move {
            let Statement { text, binds } = statement.borrow();
            let begin = client.batch_execute(&settings.begin);
            let query = client.query_typed_raw(text, parameters(binds));
            let (begun, stream) = tokio::join!(biased; begin, query);
            begun.and(stream)
        };
        let mut opening: Pending<'s, DriverRows> = Box::pin(maybe_done(opening.boxed()));
        let mut commit: Commit<'l> = Box::pin(maybe_done(client.batch_execute("commit").boxed()));
        // One poll each, in this order, sends all three; their results are awaited later.
        let _ = opening.as_mut().now_or_never();
        let _ = commit.as_mut().now_or_never();
        Ok(SentQuery { connection: self, settings, opening, commit })
    }

    /// Sends one statement and reads all its rows. Retries a conflict with a standby's replay.
    ///
    /// # Errors
    /// The server's error.
    pub async fn query(
        &self,
        settings: &ReadSettings,
        statement: &Statement,
    ) -> Result<Vec<Row>, PgError> {
        // After an abandoned transaction the connection cannot be used again.
        let is_conflict = |error: &PgError| error.remedy == Remedy::Conflict && !self.is_busy();
        CONFLICTS.run(is_conflict, || self.query_once(settings, statement)).await
    }

    async fn query_once(
        &self,
        settings: &ReadSettings,
        statement: &Statement,
    ) -> Result<Vec<Row>, PgError> {
        self.send(settings, statement, false)?.open().await?.read_all().await
    }

    /// Returns the driver's client.
    pub(super) fn client(&self) -> Result<&PooledClient, PgError> {
        let object = self.object.as_ref();
        object
            .map(|object| &**object)
            .ok_or_else(|| PgError::unexpected("the connection is closed"))
    }

    /// Converts an error of the driver.
    pub(super) fn error(&self, error: &Error) -> PgError {
        self.client().map_or_else(|gone| gone, |connection| connection.error(error))
    }

    /// Returns whether a transaction may be open.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Counts a transaction as open.
    pub(super) fn transaction_sent(&self) {
        self.busy.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts a transaction as finished.
    pub(super) fn transaction_ended(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }

    /// Returns the connection to the pool. If a transaction may be open, cancels its query and closes the
    /// connection.
    pub async fn give_back(mut self) {
        if self.is_busy()
            && let Some(object) = self.object.take()
        {
            if !self.connector.is_given_up() {
                cancel(&self.connector, &object.client.cancel_token()).await;
            }
            drop(Object::take(object));
        }
    }

    /// Waits for the commit, which rolls back if the transaction has failed. Then no transaction is open.
    async fn finish(
        &self,
        began: Instant,
        commit: &mut Commit<'_>,
        settings: &ReadSettings,
    ) -> Result<(), PgError> {
        let in_time = tokio::time::timeout(settings.timeout, commit.as_mut()).await;
        self.longest.record(began);
        match (in_time, commit.as_mut().take_output()) {
            (Ok(()), Some(Ok(()))) => {
                self.transaction_ended();
                Ok(())
            }
            (Ok(()), Some(Err(error))) => Err(self.error(&error)),
            _ => Err(PgError::timeout("commit")),
        }
    }
}

impl<'l> SentQuery<'l, '_> {
    /// Waits until the server has begun the result. The timeout starts now: what was sent before is
    /// finished.
    ///
    /// # Errors
    /// The server's error.
    pub(super) async fn open(mut self) -> Result<RowStream<'l>, PgError> {
        let SentQuery { connection, settings, .. } = self;
        let began = Instant::now();
        let deadline = began + settings.timeout;
        if tokio::time::timeout_at(deadline, self.opening.as_mut()).await.is_err() {
            return Err(PgError::timeout("the query"));
        }
        match self.opening.as_mut().take_output() {
            None => Err(PgError::unexpected("no answer")),
            Some(Err(error)) => {
                // The error is the cause; the commit only rolls back.
                let _ = connection.finish(began, &mut self.commit, settings).await;
                Err(connection.error(&error))
            }
            Some(Ok(stream)) => Ok(RowStream {
                connection,
                settings,
                stream: Box::pin(stream),
                commit: self.commit,
                began,
                end: deadline + settings.timeout,
                deadline: Box::pin(sleep_until(deadline)),
                until_clock: ROWS_PER_CLOCK,
                state: ReadState::Reading,
            }),
        }
    }
}

impl RowStream<'_> {
    /// Returns the next row; `None` at the end, when the transaction is finished too. Cancel safe: if the
    /// future is dropped, no row is lost.
    ///
    /// # Errors
    /// The server's error, or a timeout. There are no more rows after an error.
    pub async fn next(&mut self) -> Result<Option<Row>, PgError> {
        if let ReadState::Reading = self.state {
            let next = poll_fn(|context| match self.stream.as_mut().poll_next(context) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending => self.deadline.as_mut().poll(context).map(|()| None),
            });
            match next.await {
                Some(Some(Ok(row))) => {
                    self.until_clock -= 1;
                    if self.until_clock == 0 {
                        self.until_clock = ROWS_PER_CLOCK;
                        // The server's statement timeout ends the statement, but rows that it has sent
                        // before may still arrive, for a limited time.
                        if Instant::now() >= self.end {
                            self.state = ReadState::Finished;
                            return Err(PgError::too_large("the server's rows do not end"));
                        }
                        self.deadline.as_mut().reset(Instant::now() + self.settings.timeout);
                    }
                    return Ok(Some(Row(row)));
                }
                Some(None) => self.state = ReadState::Ending(Ok(())),
                Some(Some(Err(error))) => {
                    self.state = ReadState::Ending(Err(self.connection.error(&error)))
                }
                None => {
                    self.state = ReadState::Finished;
                    return Err(PgError::timeout("the query"));
                }
            }
        }
        if let ReadState::Finished = self.state {
            return Ok(None);
        }
        let committed = self.connection.finish(self.began, &mut self.commit, self.settings).await;
        match std::mem::replace(&mut self.state, ReadState::Finished) {
            // The error is the cause; the commit then only rolls back.
            ReadState::Ending(outcome) => outcome.and(committed).map(|()| None),
            ReadState::Reading | ReadState::Finished => Ok(None),
        }
    }

    /// Reads all remaining rows.
    ///
    /// # Errors
    /// The server's error, a timeout, or too many rows.
    pub(super) async fn read_all(mut self) -> Result<Vec<Row>, PgError> {
        let mut all = Vec::new();
        while let Some(row) = self.next().await? {
            if all.len() == MAX_ROWS {
                return Err(PgError::too_large("the server's answer has more than 250,000 rows"));
            }
            all.push(row);
        }
        Ok(all)
    }
}

impl Drop for Connection {
    /// Closes the connection if a transaction may be open.
    fn drop(&mut self) {
        if self.is_busy()
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}
