//! What a piece of work is done with: one mapping's plan, one connection of each side.

use std::sync::atomic::AtomicUsize;

use crate::pg::{Connection, PgError, ReadSettings, Row, RowStream};
use crate::plan::MappingPlan;
use crate::row::{Redactor, RowFields as _};
use crate::run::options::Options;
use crate::run::prepare::Prepared;
use crate::run::retried::{MayPass, retried};
use crate::schema::{BySide, Side};
use crate::sql::Statement;

/// An error, and the side that it came from where that is known.
pub(in crate::run) type Failed = (Option<Side>, PgError);

/// Rows of one statement, each a key and a hash, that may be held at once: twice as many as the largest
/// chunk has.
const MOST_HELD: usize = 1 << 21;

/// Refuses more rows than may be held at once.
pub(in crate::run) fn may_hold(rows: usize) -> Result<(), Failed> {
    match rows > MOST_HELD {
        true => Err((None, PgError::too_large("more rows than may be held at once"))),
        false => Ok(()),
    }
}

/// One mapping, one connection of each side.
#[derive(Clone, Copy)]
pub(in crate::run) struct Hands<'w> {
    pub(in crate::run) plan: &'w MappingPlan,
    pub(in crate::run) leases: &'w BySide<Connection>,
    pub(in crate::run) sessions: &'w BySide<ReadSettings>,
    /// For statements that are tried again in smaller ones if they take too long.
    pub(in crate::run) short: &'w BySide<ReadSettings>,
    pub(in crate::run) veil: &'w Redactor,
    /// The most groups that a range of the mapping had so far.
    pub(in crate::run) groups_seen: &'w AtomicUsize,
}

/// Does something with a plan before its run begins, again where that may help: takes a connection of each
/// side and gives it back.
pub(in crate::run) async fn with_hands<T, E: From<Failed> + MayPass>(
    prepared: &Prepared,
    plan: &MappingPlan,
    options: &Options,
    work: impl AsyncFn(&Hands<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let lease = async |side: Side| {
        prepared.pools[side].acquire().await.map_err(|error| (Some(side), error))
    };
    let path = |side: Side| &prepared.spec.sides[side].search_path;
    let sessions = BySide::new(|side| ReadSettings::new(path(side), options.statement_timeout));
    retried(async || {
        let leases =
            BySide { source: lease(Side::Source).await?, target: lease(Side::Target).await? };
        let hands = Hands {
            plan,
            leases: &leases,
            sessions: &sessions,
            short: &sessions,
            veil: &options.veil,
            groups_seen: &AtomicUsize::new(0),
        };
        let done = work(&hands).await;
        let BySide { source, target } = leases;
        tokio::join!(source.give_back(), target.give_back());
        done
    })
    .await
}

impl<'w> Hands<'w> {
    /// The same for a statement that can be tried again in smaller ones.
    pub(in crate::run) fn hurried(self) -> Hands<'w> {
        Hands { sessions: self.short, ..self }
    }

    /// Asks one side.
    pub(in crate::run) async fn ask(
        &self,
        side: Side,
        statement: Statement,
    ) -> Result<Vec<Row>, Failed> {
        let rows = self.leases[side].query(&self.sessions[side], &statement).await;
        rows.map_err(|error| (Some(side), error))
    }

    /// Opens one side's rows.
    pub(in crate::run) async fn rows(
        &self,
        side: Side,
        statement: Statement,
    ) -> Result<SideRows<'_>, Failed> {
        let rows = self.leases[side].query_stream(&self.sessions[side], &statement).await;
        rows.map(|rows| SideRows { side, rows }).map_err(|error| (Some(side), error))
    }

    /// Opens the rows of both sides at once.
    pub(in crate::run) async fn rows_of_both(
        &self,
        statement: impl Fn(Side) -> Statement,
    ) -> Result<BySide<SideRows<'_>>, Failed> {
        let (source, target) = tokio::join!(
            self.rows(Side::Source, statement(Side::Source)),
            self.rows(Side::Target, statement(Side::Target))
        );
        Ok(BySide { source: source?, target: target? })
    }

    /// Asks both sides at once.
    pub(in crate::run) async fn ask_both(
        &self,
        statement: impl Fn(Side) -> Statement,
    ) -> Result<BySide<Vec<Row>>, Failed> {
        let (source, target) = tokio::join!(
            self.ask(Side::Source, statement(Side::Source)),
            self.ask(Side::Target, statement(Side::Target))
        );
        Ok(BySide { source: source?, target: target? })
    }
}

/// One side's rows, whose errors name the side.
pub(in crate::run) struct SideRows<'h> {
    side: Side,
    rows: RowStream<'h>,
}

impl SideRows<'_> {
    pub(in crate::run) async fn next(&mut self) -> Result<Option<Row>, Failed> {
        self.rows.next().await.map_err(|error| (Some(self.side), error))
    }

    /// A row with nothing missing in its key. One with a NULL is not asked for: where it comes all the
    /// same, NOT NULL was no proof, and it must not get lost.
    pub(in crate::run) async fn next_keyed(&mut self, width: usize) -> Result<Option<Row>, Failed> {
        let row = self.next().await?;
        match &row {
            Some(row) if (0..width).any(|field| row.field(field).is_none()) => {
                Err((Some(self.side), PgError::unexpected("a key is NULL")))
            }
            _ => Ok(row),
        }
    }
}
