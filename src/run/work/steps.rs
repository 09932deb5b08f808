//! The smaller steps: keys of a few rows, looks, counts.

use super::divided::Divided;
use super::hands::{Failed, Hands, may_hold};
use super::parts::{self, Counted};
use crate::compare::{Looked, LookedUp, Piece, Suspected};
use crate::finding::Subject;
use crate::pg::{PgError, Row};
use crate::plan::Strategy;
use crate::row::{Digest, Fingerprint, Fingerprinter, Key, KeyRange, Region, RowFields};
use crate::run::mapping::recheck::Entry;
use crate::schema::{BySide, Side};
use crate::sql::{self, Lookup};

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
        may_hold(suspects.len())?;
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
