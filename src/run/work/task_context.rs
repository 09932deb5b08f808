//! What a task is carried out with: the plan of a mapping, and one connection of each side.

use std::sync::atomic::AtomicUsize;

use crate::pg::{Connection, PgError, ReadSettings, Row, RowStream};
use crate::plan::MappingPlan;
use crate::prepare::{Options, Prepared, SideError, Transient, retry};
use crate::row::{Redactor, RowFields as _};
use crate::schema::{BySide, Side};
use crate::sql::Statement;

/// The maximum of rows of one statement, each a key and a hash, that are in memory: twice as many
/// as the largest chunk has.
const MOST_HELD: usize = 1 << 21;

/// Returns an error if more rows are in memory than may be.
pub(crate) fn check_held(rows: usize) -> Result<(), SideError> {
    match rows > MOST_HELD {
        true => Err((None, PgError::too_large("more rows than fit into memory"))),
        false => Ok(()),
    }
}

/// One mapping, and one connection of each side.
#[derive(Clone, Copy)]
pub(crate) struct TaskContext<'w> {
    pub(crate) plan: &'w MappingPlan,
    pub(crate) connections: &'w BySide<Connection>,
    pub(crate) sessions: &'w BySide<ReadSettings>,
    /// For statements that are split if they take too long.
    pub(crate) short: &'w BySide<ReadSettings>,
    pub(crate) redactor: &'w Redactor,
    /// The maximum of groups that a range of the mapping had so far.
    pub(crate) groups_seen: &'w AtomicUsize,
}

/// Queries something about a plan before its run begins, with retries: takes a connection of each
/// side and returns it.
pub(crate) async fn with_task_context<T, E: From<SideError> + Transient>(
    prepared: &Prepared,
    plan: &MappingPlan,
    options: &Options,
    work: impl AsyncFn(&TaskContext<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let connection = async |side: Side| {
        prepared.pools[side].acquire().await.map_err(|error| (Some(side), error))
    };
    let path = |side: Side| &prepared.spec.sides[side].search_path;
    let sessions = BySide::new(|side| ReadSettings::new(path(side), options.statement_timeout));
    retry(async || {
        let connections = BySide {
            source: connection(Side::Source).await?,
            target: connection(Side::Target).await?,
        };
        let context = TaskContext {
            plan,
            connections: &connections,
            sessions: &sessions,
            short: &sessions,
            redactor: &options.redactor,
            groups_seen: &AtomicUsize::new(0),
        };
        let done = work(&context).await;
        let BySide { source, target } = connections;
        tokio::join!(source.give_back(), target.give_back());
        done
    })
    .await
}

impl<'w> TaskContext<'w> {
    /// Returns the same context for a statement that is split if it takes too long.
    pub(crate) fn with_short_timeout(self) -> TaskContext<'w> {
        TaskContext { sessions: self.short, ..self }
    }

    /// Queries one side.
    pub(crate) async fn query(
        &self,
        side: Side,
        statement: Statement,
    ) -> Result<Vec<Row>, SideError> {
        let rows = self.connections[side].query(&self.sessions[side], &statement).await;
        rows.map_err(|error| (Some(side), error))
    }

    /// Opens the rows of one side.
    pub(crate) async fn rows(
        &self,
        side: Side,
        statement: Statement,
    ) -> Result<SideRows<'_>, SideError> {
        let rows = self.connections[side].query_stream(&self.sessions[side], &statement).await;
        rows.map(|rows| SideRows { side, rows }).map_err(|error| (Some(side), error))
    }

    /// Opens the rows of both sides at the same time.
    pub(crate) async fn rows_of_both(
        &self,
        statement: impl Fn(Side) -> Statement,
    ) -> Result<BySide<SideRows<'_>>, SideError> {
        let (source, target) = tokio::join!(
            self.rows(Side::Source, statement(Side::Source)),
            self.rows(Side::Target, statement(Side::Target))
        );
        Ok(BySide { source: source?, target: target? })
    }

    /// Queries both sides at the same time.
    pub(crate) async fn query_both(
        &self,
        statement: impl Fn(Side) -> Statement,
    ) -> Result<BySide<Vec<Row>>, SideError> {
        let (source, target) = tokio::join!(
            self.query(Side::Source, statement(Side::Source)),
            self.query(Side::Target, statement(Side::Target))
        );
        Ok(BySide { source: source?, target: target? })
    }
}

/// The rows of one side, whose errors name the side.
pub(crate) struct SideRows<'h> {
    side: Side,
    rows: RowStream<'h>,
}

impl SideRows<'_> {
    /// Returns the next row.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, SideError> {
        self.rows.next().await.map_err(|error| (Some(self.side), error))
    }

    /// Returns the next row, none of whose key fields is NULL. Rows with a NULL are not requested:
    /// if one arrives all the same, NOT NULL was no proof, and the row must not get lost.
    pub(crate) async fn next_keyed(&mut self, width: usize) -> Result<Option<Row>, SideError> {
        let row = self.next().await?;
        match &row {
            Some(row) if (0..width).any(|field| row.field(field).is_none()) => {
                Err((Some(self.side), PgError::unexpected("a key is NULL")))
            }
            _ => Ok(row),
        }
    }
}
