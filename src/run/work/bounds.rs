//! Where ranges begin, end and are cut: keys that the servers find by their indexes.

use super::hands::{Failed, Hands};
use crate::compare::{KeyGap, display_text};
use crate::finding::Subject;
use crate::pg::{PgError, Row};
use crate::plan::Pair;
use crate::row::{Bound, Key, KeyRange};
use crate::run::mapping::recheck::Entry;
use crate::schema::Side;
use crate::sql::{self, Neighbour};

/// The boundaries of the key's histogram, if there is one.
pub(in crate::run) async fn histogram(hands: &Hands<'_>, side: Side) -> Result<Vec<Bound>, Failed> {
    let Some(statement) = sql::histogram(hands.plan, side) else { return Ok(Vec::new()) };
    let rows = hands.ask(side, statement).await?;
    rows.iter().map(|row| bound(hands, side, row)).collect()
}

/// Keys that part a side's table into so many stretches of about equally many rows, from a sample of it;
/// none where none can be taken.
pub(in crate::run) async fn sampled_keys(
    hands: &Hands<'_>,
    side: Side,
    stretches: u64,
    percent: f64,
) -> Result<Vec<Bound>, Failed> {
    let statement = sql::sampled_keys(hands.plan, side, stretches, percent);
    let Some(statement) = statement else { return Ok(Vec::new()) };
    let rows = hands.ask(side, statement).await?;
    rows.iter().map(|row| bound(hands, side, row)).collect()
}

/// The key that stands so many rows into a range, if it has that many.
pub(in crate::run) async fn probe(
    hands: &Hands<'_>,
    side: Side,
    range: &KeyRange,
    rows: u64,
) -> Result<Option<Bound>, Failed> {
    let rows = hands.ask(side, sql::probe(hands.plan, side, range, rows)).await?;
    rows.first().map(|row| bound(hands, side, row)).transpose()
}

/// A key that cuts a range of about so many rows in two, near its middle if the number is right, and
/// about how many rows lie up to it, no fewer than `least`; nothing if it cannot be cut so.
pub(in crate::run) async fn middle(
    hands: &Hands<'_>,
    range: &KeyRange,
    rows: u64,
    least: u64,
) -> Result<Option<(Bound, u64)>, Failed> {
    let ends = |bound: &Bound| range.through.as_ref().is_some_and(|end| end.key == bound.key);
    let mut at = rows.div_ceil(2).max(least);
    loop {
        for side in Side::BOTH {
            let found = probe(hands, side, range, at).await?;
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

/// The keys of the side across from `side` next to its rows between `low` and `high`.
pub(in crate::run) async fn gap(
    hands: &Hands<'_>,
    side: Side,
    low: Option<&Key>,
    high: Option<&Key>,
) -> Result<KeyGap, Failed> {
    let other = side.other();
    let after = match low {
        Some(low) => neighbour(hands, other, Some(low), Neighbour::UpTo).await?,
        None => None,
    };
    let until = match high {
        Some(high) => neighbour(hands, other, Some(high), Neighbour::Behind).await?,
        None => None,
    };
    Ok(KeyGap { after, until })
}

/// The last key of a side up to a bound.
pub(in crate::run) async fn last_key(
    hands: &Hands<'_>,
    side: Side,
    through: Option<&Bound>,
) -> Result<Option<Bound>, Failed> {
    neighbour(hands, side, through.map(|bound| &bound.key), Neighbour::UpTo).await
}

/// The range that holds a candidate's key and no other; nothing if no side has it any more.
pub(in crate::run) async fn narrow(
    hands: &Hands<'_>,
    entry: &Entry,
) -> Result<Option<KeyRange>, Failed> {
    let Subject::Key(key) = &entry.candidate.subject else { return Ok(None) };
    let (mut through, mut after): (Option<Bound>, Option<Bound>) = (None, None);
    for side in Side::BOTH {
        let found = neighbour(hands, side, Some(key), Neighbour::UpTo).await?;
        through = through.or(found.filter(|bound| bound.key == *key));
        let before = neighbour(hands, side, Some(key), Neighbour::Before).await?;
        let order = &hands.plan.order;
        let nearer = |known: &Bound| {
            before.as_ref().is_some_and(|b| order.compare(&b.key, &known.key).is_gt())
        };
        if after.as_ref().is_none_or(nearer) {
            after = before.or(after);
        }
    }
    Ok(through.map(|through| KeyRange { after, through: Some(through) }))
}

/// The first and the last key of a side, if it has any.
pub(in crate::run) async fn ends(
    hands: &Hands<'_>,
    side: Side,
) -> Result<Option<[Bound; 2]>, Failed> {
    let first = neighbour(hands, side, None, Neighbour::Behind).await?;
    let last = neighbour(hands, side, None, Neighbour::UpTo).await?;
    Ok(first.zip(last).map(|(first, last)| [first, last]))
}

async fn neighbour(
    hands: &Hands<'_>,
    side: Side,
    of: Option<&Key>,
    which: Neighbour,
) -> Result<Option<Bound>, Failed> {
    let rows = hands.ask(side, sql::neighbour(hands.plan, side, of, which)).await?;
    rows.first().map(|row| bound(hands, side, row)).transpose()
}

/// A key and its texts, as probes return them.
fn bound(hands: &Hands<'_>, side: Side, row: &Row) -> Result<Bound, Failed> {
    let width = hands.plan.key_width;
    let at_side = |error: PgError| (Some(side), error);
    let key = Key::of(row, width).ok_or_else(|| at_side(PgError::unexpected("a key is NULL")))?;
    // A rule may make a key of a NULL; its text is empty then.
    let text = |(index, pair): (usize, &Pair)| {
        let text: Option<&str> = row.get(width + index)?;
        Ok(text.map_or(String::new(), |text| display_text(pair, text, hands.veil)))
    };
    let text: Result<_, PgError> = hands.plan.key().iter().enumerate().map(text).collect();
    Ok(Bound { key, text: text.map_err(at_side)? })
}
