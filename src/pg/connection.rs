//! A connection on loan for short reads, one transaction each.
//!
//! `begin`, the query and `commit` go out together, so that a small chunk costs one round trip. When
//! a read does not come to its end, the connection may hold an open transaction: it is then cancelled
//! politely and thrown away, never given back.

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
use super::row::{Row, values};
use crate::sql::Statement;

/// A connection on loan.
pub struct Connection {
    pub(super) object: Option<Object<Manager>>,
    connector: Arc<Connector>,
    longest: LongestRead,
    /// How many transactions of ours may be open or on their way.
    busy: AtomicUsize,
}

/// The longest that a read of a pool was open, in microseconds.
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

/// The rows of one statement, as they come.
pub struct RowStream<'l> {
    lease: &'l Connection,
    session: &'l ReadSettings,
    stream: Pin<Box<DriverRows>>,
    commit: Commit<'l>,
    began: Instant,
    /// When the last row must have come.
    end: Instant,
    deadline: Pin<Box<Sleep>>,
    until_clock: u32,
    stage: ReadState,
}

/// How far an answer has been read. What is known stays known when the future that waits for the rest
/// is dropped: among rows of the other side that happens at any moment, and an error that was forgotten
/// there would look like the end.
enum ReadState {
    Reading,
    /// No more rows come, for this reason; the commit is waited for.
    Ending(Result<(), PgError>),
    Over,
}

type Pending<'l, T> = Pin<Box<MaybeDone<BoxFuture<'l, Result<T, Error>>>>>;
type Commit<'l> = Pending<'l, ()>;

/// A statement on its way, with the beginning and the end of its transaction.
pub(super) struct SentQuery<'l, 's> {
    lease: &'l Connection,
    session: &'l ReadSettings,
    opening: Pending<'s, DriverRows>,
    commit: Commit<'l>,
}

/// RowStream of an answer that is read as a whole. Each takes some 250 bytes beside its own.
const MOST_ROWS: usize = 250_000;

/// Tries of one question on a standby, and the pauses between them: the vacuum of one table takes its
/// dead rows away in several steps. What is asked is small; ranges are made smaller by whoever reads
/// them.
const CONFLICTS: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(30);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The clock is asked only once in so many rows.
const ROWS_PER_CLOCK: u32 = 1024;

impl Connection {
    pub(super) fn new(
        object: Object<Manager>,
        connector: Arc<Connector>,
        longest: LongestRead,
    ) -> Connection {
        Connection { object: Some(object), connector, longest, busy: AtomicUsize::new(0) }
    }

    /// Sends one statement, in a transaction of its own, and waits for its first answer.
    ///
    /// # Errors
    /// What the server says.
    pub async fn query_stream<'l>(
        &'l self,
        session: &'l ReadSettings,
        statement: &Statement,
    ) -> Result<RowStream<'l>, PgError> {
        self.send(session, statement, true)?.open().await
    }

    /// Sends one statement, in a transaction of its own. What is sent before its answer is awaited follows
    /// it on the connection, and is answered after it. A row of an answer that is not streamed counts towards
    /// all of it.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) fn send<'l: 's, 's>(
        &'l self,
        session: &'l ReadSettings,
        statement: impl Borrow<Statement> + Send + Sync + 's,
        streams: bool,
    ) -> Result<SentQuery<'l, 's>, PgError> {
        let PooledClient { client, quota, .. } = self.connection()?;
        quota.begin_answer(streams);
        self.transaction_sent();
        let opening = async move {
            let Statement { text, binds } = statement.borrow();
            let begin = client.batch_execute(&session.begin);
            let query = client.query_typed_raw(text, values(binds));
            let (begun, stream) = tokio::join!(biased; begin, query);
            begun.and(stream)
        };
        let mut opening: Pending<'s, DriverRows> = Box::pin(maybe_done(opening.boxed()));
        let mut commit: Commit<'l> = Box::pin(maybe_done(client.batch_execute("commit").boxed()));
        // Polled in this order once, all three are on their way; their answers are awaited later.
        let _ = opening.as_mut().now_or_never();
        let _ = commit.as_mut().now_or_never();
        Ok(SentQuery { lease: self, session, opening, commit })
    }

    /// Reads all rows of a small answer. Asks again if a standby's replay was in the way.
    ///
    /// # Errors
    /// What the server says.
    pub async fn query(
        &self,
        session: &ReadSettings,
        statement: &Statement,
    ) -> Result<Vec<Row>, PgError> {
        let mut conflicts = Retries::new(CONFLICTS, FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let answer = self.query_once(session, statement).await;
            match &answer {
                // One that cost the connection is not asked again on it.
                Err(error) if error.remedy == Remedy::Conflict && !self.is_busy() => {}
                _ => return answer,
            }
            let Some(pause) = conflicts.pause() else { return answer };
            tokio::time::sleep(pause).await;
        }
    }

    async fn query_once(
        &self,
        session: &ReadSettings,
        statement: &Statement,
    ) -> Result<Vec<Row>, PgError> {
        self.send(session, statement, false)?.open().await?.read_all().await
    }

    /// The connection.
    pub(super) fn connection(&self) -> Result<&PooledClient, PgError> {
        let object = self.object.as_ref();
        object.map(|object| &**object).ok_or_else(|| PgError::unexpected("the connection is gone"))
    }

    /// What an error of the driver means here.
    pub(super) fn error(&self, error: &Error) -> PgError {
        self.connection().map_or_else(|gone| gone, |connection| connection.error(error))
    }

    /// Whether a transaction of ours may be open.
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Notes that a transaction is sent.
    pub(super) fn transaction_sent(&self) {
        self.busy.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that a transaction is over.
    pub(super) fn transaction_ended(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives the connection back. One that is in the middle of something is cancelled and dropped.
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

    /// Waits for the commit, which also ends a transaction that an error has spoilt. Once it has
    /// come, the connection is clean.
    async fn finish(
        &self,
        began: Instant,
        commit: &mut Commit<'_>,
        session: &ReadSettings,
    ) -> Result<(), PgError> {
        let in_time = tokio::time::timeout(session.patience, commit.as_mut()).await;
        self.longest.record(began);
        match (in_time, commit.as_mut().take_output()) {
            (Ok(()), Some(Ok(()))) => {
                self.transaction_ended();
                Ok(())
            }
            (Ok(()), Some(Err(error))) => Err(self.error(&error)),
            _ => Err(PgError::silent("commit")),
        }
    }
}

impl<'l> SentQuery<'l, '_> {
    /// Waits for the first answer. The time counts from now, when what was sent before is answered.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn open(mut self) -> Result<RowStream<'l>, PgError> {
        let SentQuery { lease, session, .. } = self;
        let began = Instant::now();
        let deadline = began + session.patience;
        if tokio::time::timeout_at(deadline, self.opening.as_mut()).await.is_err() {
            return Err(PgError::silent("the query"));
        }
        match self.opening.as_mut().take_output() {
            None => Err(PgError::unexpected("no answer")),
            Some(Err(error)) => {
                // The commit rolls back what the error has spoilt; the error is what counts.
                let _ = lease.finish(began, &mut self.commit, session).await;
                Err(lease.error(&error))
            }
            Some(Ok(stream)) => Ok(RowStream {
                lease,
                session,
                stream: Box::pin(stream),
                commit: self.commit,
                began,
                end: deadline + session.patience,
                deadline: Box::pin(sleep_until(deadline)),
                until_clock: ROWS_PER_CLOCK,
                stage: ReadState::Reading,
            }),
        }
    }
}

impl RowStream<'_> {
    /// The next row; nothing at the end, when the transaction has ended too. It may be dropped and
    /// called again without losing anything.
    ///
    /// # Errors
    /// What the server says, or that it says nothing. Nothing more comes after an error.
    pub async fn next(&mut self) -> Result<Option<Row>, PgError> {
        if let ReadState::Reading = self.stage {
            let next = poll_fn(|context| match self.stream.as_mut().poll_next(context) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending => self.deadline.as_mut().poll(context).map(|()| None),
            });
            match next.await {
                Some(Some(Ok(row))) => {
                    self.until_clock -= 1;
                    if self.until_clock == 0 {
                        self.until_clock = ROWS_PER_CLOCK;
                        // A server ends a statement that takes too long; what it has sent until then
                        // comes to an end as well.
                        if Instant::now() >= self.end {
                            self.stage = ReadState::Over;
                            return Err(PgError::too_much("the server's rows come to no end"));
                        }
                        self.deadline.as_mut().reset(Instant::now() + self.session.patience);
                    }
                    return Ok(Some(Row(row)));
                }
                Some(None) => self.stage = ReadState::Ending(Ok(())),
                Some(Some(Err(error))) => {
                    self.stage = ReadState::Ending(Err(self.lease.error(&error)))
                }
                None => {
                    self.stage = ReadState::Over;
                    return Err(PgError::silent("the query"));
                }
            }
        }
        if let ReadState::Over = self.stage {
            return Ok(None);
        }
        let committed = self.lease.finish(self.began, &mut self.commit, self.session).await;
        match std::mem::replace(&mut self.stage, ReadState::Over) {
            // The commit rolls back what the error has spoilt; the error is what counts.
            ReadState::Ending(outcome) => outcome.and(committed).map(|()| None),
            ReadState::Reading | ReadState::Over => Ok(None),
        }
    }
}

impl RowStream<'_> {
    /// Reads all rows that are left.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub(super) async fn read_all(mut self) -> Result<Vec<Row>, PgError> {
        let mut all = Vec::new();
        while let Some(row) = self.next().await? {
            if all.len() == MOST_ROWS {
                return Err(PgError::too_much("the server's answer has more than 250,000 rows"));
            }
            all.push(row);
        }
        Ok(all)
    }
}

impl Drop for Connection {
    /// A lease that is dropped in the middle of something takes its connection with it.
    fn drop(&mut self) {
        if self.is_busy()
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}
