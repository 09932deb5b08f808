//! Change under way: a server that was failed over, a table that was altered or made anew while it is
//! read.
//!
//! An answer counts only if each side is still what was planned *after* the answer came: asked in a
//! transaction of its own, since the snapshot of the one that read the rows is older than the lock that
//! it waited for, and would show the catalog from before an ALTER TABLE. A mapping one of whose sides
//! has changed is ended with the reason, and the others go on: what was read before and what would be
//! read now are two things, and nothing is said by comparing them.

use super::hands::{Failed, Hands};
use super::{Answer, Task};
use crate::finding::CHANGED;
use crate::pg::{PgError, ReadSettings, Remedy};
use crate::schema::Side;

/// A task's answer, if the sides are still what was planned. `own` resolves names in `pg_catalog` alone.
pub(in crate::run) async fn judge(
    hands: &Hands<'_>,
    own: &ReadSettings,
    task: &Task,
    answer: Result<Answer, Failed>,
) -> Result<Answer, Failed> {
    let asks = match &answer {
        Ok(_) => reads_rows(task),
        // A column that is not there, a value that cannot be read: it may be of another table.
        Err((_, error)) => matches!(error.remedy, Remedy::GiveUp | Remedy::Isolate),
    };
    if !asks {
        return answer;
    }
    match (difference(hands, own).await, answer) {
        (Ok(Some(why)), _) => Err((None, PgError::changed(why))),
        (Err(error), Ok(_)) => Err(error),
        (_, answer) => answer,
    }
}

/// Whether rows are told apart by the answer. Boundaries are only where statements begin and end.
fn reads_rows(task: &Task) -> bool {
    !matches!(task, Task::Histogram { .. } | Task::Probe { .. } | Task::Measure)
}

/// What has changed, if anything has.
async fn difference(hands: &Hands<'_>, own: &ReadSettings) -> Result<Option<String>, Failed> {
    let (source, target) =
        tokio::join!(of_side(hands, own, Side::Source), of_side(hands, own, Side::Target));
    Ok(source?.or(target?))
}

async fn of_side(
    hands: &Hands<'_>,
    own: &ReadSettings,
    side: Side,
) -> Result<Option<String>, Failed> {
    let (lease, plan) = (&hands.leases[side], &hands.plan.sides[side]);
    // One that failed in the middle of something answers nothing more.
    if lease.is_busy() {
        return Ok(None);
    }
    let now = lease.read_shape(own, &hands.sessions[side], &plan.reads, &hands.plan.params).await;
    let now = now.map_err(|error| (Some(side), error))?;
    let why = plan.shape.difference(&now).or_else(|| plan.shape.copied(&now));
    Ok(why.map(|why| format!("the {side}{CHANGED}{why}")))
}
