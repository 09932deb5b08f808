//! Change under way: a server that was failed over, a table that was altered or made anew while it is
//! read.
//!
//! An answer counts only if each side is still what was planned *after* the answer came: asked in a
//! transaction of its own, since the snapshot of the one that read the rows is older than the lock that
//! it waited for, and would show the catalog from before an ALTER TABLE. A mapping one of whose sides
//! has changed is ended with the reason, and the others go on: what was read before and what would be
//! read now are two things, and nothing is said by comparing them.

use super::task_context::TaskContext;
use crate::finding::CHANGED;
use crate::pg::{PgError, Remedy, Session};
use crate::prepare::SideError;
use crate::schema::Side;

/// Returns an answer if the tables are still what was planned. `own` resolves names in `pg_catalog` only.
/// An answer that does not depend on rows always counts: boundaries only tell where statements begin and
/// end.
pub(in crate::run) async fn judge<A>(
    hands: &TaskContext<'_>,
    own: &Session,
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
    match (difference(hands, own).await, answer) {
        (Ok(Some(why)), _) => Err((None, PgError::changed(why))),
        (Err(error), Ok(_)) => Err(error),
        (_, answer) => answer,
    }
}

/// What has changed, if anything has.
async fn difference(hands: &TaskContext<'_>, own: &Session) -> Result<Option<String>, SideError> {
    let (source, target) =
        tokio::join!(of_side(hands, own, Side::Source), of_side(hands, own, Side::Target));
    Ok(source?.or(target?))
}

async fn of_side(
    hands: &TaskContext<'_>,
    own: &Session,
    side: Side,
) -> Result<Option<String>, SideError> {
    let (lease, plan) = (&hands.leases[side], &hands.plan.sides[side]);
    // One that failed in the middle of something answers nothing more.
    if lease.is_busy() {
        return Ok(None);
    }
    let now = lease.shape(own, &hands.sessions[side], &plan.reads, &hands.plan.params).await;
    let now = now.map_err(|error| (Some(side), error))?;
    let why = plan.shape.difference(&now).or_else(|| plan.shape.copied(&now));
    Ok(why.map(|why| format!("the {side}{CHANGED}{why}")))
}
