//! The smaller steps: boundaries, gaps, keys of a few rows, looks.

use super::divided::Divided;
use super::hands::{Failed, Hands};
use super::parts::{self, Counted};
use crate::compare::{Gap, Looked, LookedUp, Piece, Suspected, shown};
use crate::finding::Subject;
use crate::pg::{PgError, Row};
use crate::plan::{Pair, Strategy};
use crate::row::{Bound, Digest, Fingerprint, Fingerprinter, Key, KeyRange, Record, Region};
use crate::run::mapping::recheck::Entry;
use crate::schema::{BySide, Side};
use crate::sql::{self, Lookup, Neighbour};

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
) -> Result<Gap, Failed> {
    let other = side.other();
    let after = match low {
        Some(low) => neighbour(hands, other, Some(low), Neighbour::UpTo).await?,
        None => None,
    };
    let until = match high {
        Some(high) => neighbour(hands, other, Some(high), Neighbour::Behind).await?,
        None => None,
    };
    Ok(Gap { after, until })
}

/// The last key of a side up to a bound.
pub(in crate::run) async fn last_key(
    hands: &Hands<'_>,
    side: Side,
    through: Option<&Bound>,
) -> Result<Option<Bound>, Failed> {
    neighbour(hands, side, through.map(|bound| &bound.key), Neighbour::UpTo).await
}

/// The range that holds a suspect's key and no other; nothing if no side has it any more.
pub(in crate::run) async fn narrow(
    hands: &Hands<'_>,
    entry: &Entry,
) -> Result<Option<KeyRange>, Failed> {
    let Subject::Key(key) = &entry.suspect.subject else { return Ok(None) };
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
        Ok(text.map_or(String::new(), |text| shown(pair, text, hands.veil)))
    };
    let text: Result<_, PgError> = hands.plan.key().iter().enumerate().map(text).collect();
    Ok(Bound { key, text: text.map_err(at_side)? })
}

/// Keys from the texts by which a side tells them.
pub(in crate::run) async fn told_keys(
    hands: &Hands<'_>,
    side: Side,
    texts: &[&[String]],
) -> Result<Vec<Key>, Failed> {
    let rows = hands.ask(side, sql::told_keys(hands.plan, side, texts)).await?;
    let key = |row: &Row| {
        let key = Key::of(row, hands.plan.key_width);
        key.ok_or_else(|| (Some(side), PgError::unexpected("a key is NULL")))
    };
    rows.iter().map(key).collect()
}

/// The keys and images of a one-sided range's rows.
pub(in crate::run) async fn keys(
    hands: &Hands<'_>,
    piece: &Piece,
) -> Result<Vec<Suspected>, Failed> {
    let mut suspects = Vec::new();
    let mut divided = Divided::new(hands, &piece.range, piece.digest.rows);
    while let Some((hands, range)) = divided.next().await? {
        let found = keys_in(&hands, piece.side, &range).await;
        suspects.extend(divided.take(found)?.unwrap_or_default());
    }
    suspects.sort_by(|a, b| hands.plan.order.compare(&a.key, &b.key));
    Ok(suspects)
}

async fn keys_in(
    hands: &Hands<'_>,
    side: Side,
    range: &KeyRange,
) -> Result<Vec<Suspected>, Failed> {
    let plan = hands.plan;
    let at_side = |error: PgError| (Some(side), error);
    let statement = match plan.strategy {
        Strategy::Digest => sql::key_hashes(plan, side, &Region::whole(range.clone())),
        Strategy::Stream => sql::canons(plan, side, range),
    };
    let mut fingerprinter = Fingerprinter::default();
    let mut suspects = Vec::new();
    let mut rows = hands.rows(side, statement).await?;
    while let Some(row) = rows.next().await? {
        let key = Key::of(&row, plan.key_width)
            .ok_or_else(|| at_side(PgError::unexpected("a key is NULL")))?;
        let fingerprint = match plan.strategy {
            Strategy::Digest => Fingerprint::of_row_hash(row.get(plan.key_width).map_err(at_side)?),
            Strategy::Stream => fingerprinter.of(&row, 0..plan.pairs.len()),
        };
        let mut image = BySide::<Digest>::default();
        image[side].add(fingerprint);
        suspects.push(Suspected { key, image });
    }
    Ok(suspects)
}

/// Rows with a NULL in their key, on each side.
pub(in crate::run) async fn null_keys(hands: &Hands<'_>) -> Result<BySide<Counted>, Failed> {
    let rows = hands.ask_both(|side| sql::null_keys(hands.plan, side)).await?;
    BySide::try_new(|side| {
        let mut counted = Counted::default();
        for row in &rows[side] {
            let digest = read_sum(row).map_err(|error| (Some(side), error))?;
            let group = hands.plan.group.and_then(|_| row.field(2));
            counted.digest += digest;
            counted.parts.add(group, None, digest.rows);
        }
        Ok(counted)
    })
}

fn read_sum(row: &Row) -> Result<Digest, PgError> {
    let (rows, sum): (i64, Option<&str>) = (row.get(0)?, row.get(1)?);
    Digest::read(rows, sum).map_err(|error| PgError::unexpected(error.to_string()))
}

/// Keys that are looked at first where rows may be large.
const FIRST_LOOKED_AT: usize = 8;
/// Bytes of looked-up rows that may be held.
const BYTES_IN_HAND: usize = 16 << 20;

/// Looks at some keys again.
pub(in crate::run) async fn look(
    hands: &Hands<'_>,
    entries: &[Entry],
) -> Result<Vec<Looked>, Failed> {
    let keys: Vec<&Key> = entries
        .iter()
        .filter_map(|entry| match &entry.suspect.subject {
            Subject::Key(key) => Some(key),
            Subject::Range(..) | Subject::NullKeys(_) => None,
        })
        .collect();
    look_at(hands, &keys).await
}

/// Looks at some keys, each of them another.
pub(in crate::run) async fn look_at(
    hands: &Hands<'_>,
    keys: &[&Key],
) -> Result<Vec<Looked>, Failed> {
    let plan = hands.plan;
    let (mut found, mut rest) = (Vec::with_capacity(keys.len()), keys);
    // Rows may be large: a few tell how many can be held.
    let mut several = if plan.folds { FIRST_LOOKED_AT } else { keys.len() };
    while let Some((some, more)) = rest.split_at_checked(several.min(rest.len()))
        && !some.is_empty()
    {
        let rows = hands.ask_both(|side| sql::look_up(plan, side, some)).await?;
        let (layout, width) = (Lookup::of(plan), plan.key_width);
        let keys = some.iter().copied();
        let mut looked = LookedUp::new(layout, &plan.pairs, width, hands.veil, keys);
        let mut bytes = 0;
        for (side, rows) in [(Side::Source, rows.source), (Side::Target, rows.target)] {
            bytes += rows.iter().map(Row::size).sum::<usize>();
            rows.into_iter().for_each(|row| looked.take(side, row));
        }
        found.extend(looked.finish());
        several = (BYTES_IN_HAND / (bytes / some.len()).max(1)).max(1);
        rest = more;
    }
    Ok(found)
}

/// Looks at a one-sided range again: what each side has of it now, or only the side that had nothing
/// if the rest is known.
pub(in crate::run) async fn look_at_range(
    hands: &Hands<'_>,
    entry: &Entry,
) -> Result<BySide<Counted>, Failed> {
    let Subject::Range(range, side) = &entry.suspect.subject else { return Ok(BySide::default()) };
    let rows = entry.suspect.image[*side].rows;
    if entry.ruled.is_some() {
        let other = side.other();
        let mut counted = BySide::<Counted>::default();
        counted[other] = count(hands, other, range, rows).await?;
        return Ok(counted);
    }
    let (source, target) = tokio::join!(
        count(hands, Side::Source, range, rows),
        count(hands, Side::Target, range, rows)
    );
    Ok(BySide { source: source?, target: target? })
}

/// What one side has of a range of about so many rows.
async fn count(
    hands: &Hands<'_>,
    side: Side,
    range: &KeyRange,
    rows: u64,
) -> Result<Counted, Failed> {
    let mut all = Counted::default();
    let mut divided = Divided::new(hands, range, rows);
    while let Some((hands, range)) = divided.next().await? {
        let counted = parts::count(&hands, side, &range).await;
        if let Some(Counted { digest, parts }) = divided.take(counted)? {
            all.digest += digest;
            all.parts.add_all(parts);
        }
    }
    Ok(all)
}
