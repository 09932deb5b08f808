//! Finds where ranges begin, end and are cut: keys that the servers find with their indexes.

use super::task_context::TaskContext;
use crate::candidates::OpenCandidate;
use crate::compare::{KeyGap, display_text};
use crate::finding::Subject;
use crate::pg::{PgError, Row};
use crate::plan::Pair;
use crate::prepare::SideError;
use crate::row::{Bound, Key, KeyRange};
use crate::schema::Side;
use crate::sql::{self, Neighbour};

/// Reads the boundaries of the key's histogram, if there is one.
pub(crate) async fn read_histogram(
    context: &TaskContext<'_>,
    side: Side,
) -> Result<Vec<Bound>, SideError> {
    let Some(statement) = sql::histogram(context.plan, side) else { return Ok(Vec::new()) };
    let rows = context.query(side, statement).await?;
    rows.iter().map(|row| bound(context, side, row)).collect()
}

/// Reads keys that cut a side's table into ranges of about equally many rows, from a sample of it;
/// none where no sample can be taken.
pub(crate) async fn sample_keys(
    context: &TaskContext<'_>,
    side: Side,
    stretches: u64,
    percent: f64,
) -> Result<Vec<Bound>, SideError> {
    let statement = sql::sampled_keys(context.plan, side, stretches, percent);
    let Some(statement) = statement else { return Ok(Vec::new()) };
    let rows = context.query(side, statement).await?;
    rows.iter().map(|row| bound(context, side, row)).collect()
}

/// Finds the key at this row of a range; `None` if the range has fewer rows.
pub(crate) async fn probe(
    context: &TaskContext<'_>,
    side: Side,
    range: &KeyRange,
    rows: u64,
) -> Result<Option<Bound>, SideError> {
    let rows = context.query(side, sql::probe(context.plan, side, range, rows)).await?;
    rows.first().map(|row| bound(context, side, row)).transpose()
}

/// Finds a key that cuts a range in two, near its middle if the estimated rows are right, and
/// returns it with the estimated rows up to it, at least `least`; `None` if the range cannot be
/// cut.
pub(crate) async fn find_middle(
    context: &TaskContext<'_>,
    range: &KeyRange,
    rows: u64,
    least: u64,
) -> Result<Option<(Bound, u64)>, SideError> {
    let ends = |bound: &Bound| range.through.as_ref().is_some_and(|end| end.key == bound.key);
    let mut at = rows.div_ceil(2).max(least);
    loop {
        for side in Side::BOTH {
            let found = probe(context, side, range, at).await?;
            if let Some(bound) = found.filter(|bound| !ends(bound)) {
                return Ok(Some((bound, at)));
            }
        }
        if at == least {
            return Ok(None);
        }
        at = at.div_ceil(2).max(least);
    }
}

/// Finds the keys of the side across from `side` next to its rows between `low` and `high`.
pub(crate) async fn find_gap(
    context: &TaskContext<'_>,
    side: Side,
    low: Option<&Key>,
    high: Option<&Key>,
) -> Result<KeyGap, SideError> {
    let other = side.other();
    let after = match low {
        Some(low) => neighbour(context, other, Some(low), Neighbour::UpTo).await?,
        None => None,
    };
    let until = match high {
        Some(high) => neighbour(context, other, Some(high), Neighbour::Behind).await?,
        None => None,
    };
    Ok(KeyGap { after, until })
}

/// Finds the last key of a side up to a bound.
pub(crate) async fn find_last_key(
    context: &TaskContext<'_>,
    side: Side,
    through: Option<&Bound>,
) -> Result<Option<Bound>, SideError> {
    neighbour(context, side, through.map(|bound| &bound.key), Neighbour::UpTo).await
}

/// Finds the range that holds a candidate's key and no other; `None` if no side has the key any
/// more.
pub(crate) async fn find_single_key(
    context: &TaskContext<'_>,
    entry: &OpenCandidate,
) -> Result<Option<KeyRange>, SideError> {
    let Subject::Key(key) = &entry.difference.subject else { return Ok(None) };
    let (mut through, mut after): (Option<Bound>, Option<Bound>) = (None, None);
    for side in Side::BOTH {
        let found = neighbour(context, side, Some(key), Neighbour::UpTo).await?;
        through = through.or(found.filter(|bound| bound.key == *key));
        let before = neighbour(context, side, Some(key), Neighbour::Before).await?;
        let order = &context.plan.order;
        let is_nearer = |known: &Bound| {
            before.as_ref().is_some_and(|b| order.compare(&b.key, &known.key).is_gt())
        };
        if after.as_ref().is_none_or(is_nearer) {
            after = before.or(after);
        }
    }
    Ok(through.map(|through| KeyRange { after, through: Some(through) }))
}

/// Finds the first and the last key of a side, if it has any.
pub(crate) async fn find_ends(
    context: &TaskContext<'_>,
    side: Side,
) -> Result<Option<[Bound; 2]>, SideError> {
    let first = neighbour(context, side, None, Neighbour::Behind).await?;
    let last = neighbour(context, side, None, Neighbour::UpTo).await?;
    Ok(first.zip(last).map(|(first, last)| [first, last]))
}

async fn neighbour(
    context: &TaskContext<'_>,
    side: Side,
    of: Option<&Key>,
    which: Neighbour,
) -> Result<Option<Bound>, SideError> {
    let rows = context.query(side, sql::neighbour(context.plan, side, of, which)).await?;
    rows.first().map(|row| bound(context, side, row)).transpose()
}

/// Reads a key and its display texts.
fn bound(context: &TaskContext<'_>, side: Side, row: &Row) -> Result<Bound, SideError> {
    let width = context.plan.key_width;
    let at_side = |error: PgError| (Some(side), error);
    let key = Key::of(row, width).ok_or_else(|| at_side(PgError::unexpected("a key is NULL")))?;
    // A rule may make a key of a NULL; its text is empty then.
    let text = |(index, pair): (usize, &Pair)| {
        let text: Option<&str> = row.get(width + index)?;
        Ok(text.map_or(String::new(), |text| display_text(pair, text, context.redactor)))
    };
    let text: Result<_, PgError> = context.plan.key().iter().enumerate().map(text).collect();
    Ok(Bound { key, text: text.map_err(at_side)? })
}
