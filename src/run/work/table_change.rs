//! Changes during a run: a server that failed over, a table that was altered or created anew while it is
//! read.
//!
//! An answer counts only if both sides are still what was planned *after* the answer: checked in a
//! transaction of its own, since the snapshot of the one that read the rows is older than the lock that it
//! waited for, and would show the catalog from before an ALTER TABLE. A mapping with a side that has
//! changed ends with the reason, and the others go on: what was read before and what would be read now
//! cannot be compared.

use super::task_context::TaskContext;
use crate::finding::CHANGED;
use crate::pg::{PgError, ReadSettings, Remedy};
use crate::prepare::SideError;
use crate::schema::Side;

/// Returns an answer if the tables are still what was planned. `own` resolves names in `pg_catalog` only.
/// An answer that does not depend on rows always counts: boundaries only define where statements begin and
/// end.
pub(crate) async fn judge<A>(
    context: &TaskContext<'_>,
    own: &ReadSettings,
    reads_rows: bool,
    answer: Result<A, SideError>,
) -> Result<A, SideError> {
    let is_checked = match &answer {
        Ok(_) => reads_rows,
        // A column that does not exist, or a value that cannot be read, may be of another table.
        Err((_, error)) => matches!(error.remedy, Remedy::GiveUp | Remedy::Isolate),
    };
    if !is_checked {
        return answer;
    }
    match (difference(context, own).await, answer) {
        (Ok(Some(why)), _) => Err((None, PgError::changed(why))),
        (Err(error), Ok(_)) => Err(error),
        (_, answer) => answer,
    }
}

/// Returns what has changed, if anything has.
async fn difference(
    context: &TaskContext<'_>,
    own: &ReadSettings,
) -> Result<Option<String>, SideError> {
    let (source, target) =
        tokio::join!(of_side(context, own, Side::Source), of_side(context, own, Side::Target));
    Ok(source?.or(target?))
}

async fn of_side(
    context: &TaskContext<'_>,
    own: &ReadSettings,
    side: Side,
) -> Result<Option<String>, SideError> {
    let (connection, plan) = (&context.connections[side], &context.plan.sides[side]);
    // A connection that failed within a statement answers no more.
    if connection.is_busy() {
        return Ok(None);
    }
    let now = connection
        .read_shape(own, &context.sessions[side], &plan.reads, &context.plan.params)
        .await;
    let now = now.map_err(|error| (Some(side), error))?;
    let why = plan.shape.difference(&now).or_else(|| plan.shape.copied(&now));
    Ok(why.map(|why| format!("the {side}{CHANGED}{why}")))
}
