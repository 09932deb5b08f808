//! Reads rows: the keys of a few rows, rechecks, counts.

use super::part_digests;
use super::range_split::RangeSplit;
use super::task_context::{TaskContext, check_held};
use crate::candidates::CountedRows;
use crate::candidates::OpenCandidate;
use crate::compare::{CandidateKey, KeyRows, OneSidedRange, RowDiff};
use crate::finding::Subject;
use crate::pg::{PgError, Row};
use crate::plan::Strategy;
use crate::prepare::SideError;
use crate::row::{Digest, Fingerprint, Fingerprinter, Key, KeyRange, Region, RowFields};
use crate::schema::{BySide, Side};
use crate::sql::{self, LookupLayout};

/// Reads keys from the display texts of one side.
pub(crate) async fn keys_of_texts(
    context: &TaskContext<'_>,
    side: Side,
    texts: &[&[String]],
) -> Result<Vec<Key>, SideError> {
    let rows = context.query(side, sql::keys_of_texts(context.plan, side, texts)).await?;
    let key = |row: &Row| {
        let key = Key::of(row, context.plan.key_width);
        key.ok_or_else(|| (Some(side), PgError::unexpected("a key is NULL")))
    };
    rows.iter().map(key).collect()
}

/// Reads the keys and digests of a one-sided range's rows.
pub(crate) async fn read_keys(
    context: &TaskContext<'_>,
    piece: &OneSidedRange,
) -> Result<Vec<CandidateKey>, SideError> {
    let mut candidates = Vec::new();
    let mut split = RangeSplit::new(context, &piece.range, piece.digest.rows);
    while let Some((context, range)) = split.next().await? {
        let found = keys_in(&context, piece.side, &range).await;
        candidates.extend(split.take(found)?.unwrap_or_default());
    }
    candidates.sort_by(|a, b| context.plan.order.compare(&a.key, &b.key));
    Ok(candidates)
}

async fn keys_in(
    context: &TaskContext<'_>,
    side: Side,
    range: &KeyRange,
) -> Result<Vec<CandidateKey>, SideError> {
    let plan = context.plan;
    let at_side = |error: PgError| (Some(side), error);
    let statement = match plan.strategy {
        Strategy::Digest => sql::key_hashes(plan, side, &Region::whole(range.clone())),
        Strategy::Stream => sql::canonical_rows(plan, side, range),
    };
    let mut fingerprinter = Fingerprinter::default();
    let mut candidates = Vec::new();
    let mut rows = context.rows(side, statement).await?;
    while let Some(row) = rows.next().await? {
        let key = Key::of(&row, plan.key_width)
            .ok_or_else(|| at_side(PgError::unexpected("a key is NULL")))?;
        let fingerprint = match plan.strategy {
            Strategy::Digest => Fingerprint::of_row_hash(row.get(plan.key_width).map_err(at_side)?),
            Strategy::Stream => fingerprinter.of(&row, 0..plan.pairs.len()),
        };
        let mut image = BySide::<Digest>::default();
        image[side].add(fingerprint);
        candidates.push(CandidateKey { key, image });
        check_held(candidates.len())?;
    }
    Ok(candidates)
}

/// Counts the rows with a NULL in their key on each side.
pub(crate) async fn count_null_keys(
    context: &TaskContext<'_>,
) -> Result<BySide<CountedRows>, SideError> {
    let rows = context.query_both(|side| sql::null_keys(context.plan, side)).await?;
    BySide::try_new(|side| {
        let mut counted = CountedRows::default();
        for row in &rows[side] {
            let digest = read_sum(row).map_err(|error| (Some(side), error))?;
            let group = context.plan.group.and_then(|_| row.field(2));
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

/// The number of keys that are diff up first where rows may be large.
const FIRST_KEYS: usize = 8;
/// The maximum of bytes that diff-up rows hold in memory.
const MOST_BYTES: usize = 16 << 20;

/// Rechecks candidates.
pub(crate) async fn recheck_candidates(
    context: &TaskContext<'_>,
    candidates: &[OpenCandidate],
) -> Result<Vec<RowDiff>, SideError> {
    let keys: Vec<&Key> = candidates
        .iter()
        .filter_map(|candidate| match &candidate.difference.subject {
            Subject::Key(key) => Some(key),
            Subject::Range(..) | Subject::NullKeys(_) => None,
        })
        .collect();
    recheck(context, &keys).await
}

/// Looks up keys, each of them different.
pub(crate) async fn recheck(
    context: &TaskContext<'_>,
    keys: &[&Key],
) -> Result<Vec<RowDiff>, SideError> {
    let plan = context.plan;
    let (mut found, mut rest) = (Vec::with_capacity(keys.len()), keys);
    // Rows may be large: a few show how many fit into memory.
    let mut at_once = if plan.hashes_large_values { FIRST_KEYS } else { keys.len() };
    while let Some((some, more)) = rest.split_at_checked(at_once.min(rest.len()))
        && !some.is_empty()
    {
        let rows = context.query_both(|side| sql::look_up(plan, side, some)).await?;
        let (layout, width) = (LookupLayout::of(plan), plan.key_width);
        let keys = some.iter().copied();
        let mut diff = KeyRows::new(layout, &plan.pairs, width, context.redactor, keys);
        let mut bytes = 0;
        for (side, rows) in [(Side::Source, rows.source), (Side::Target, rows.target)] {
            bytes += rows.iter().map(Row::size).sum::<usize>();
            rows.into_iter().for_each(|row| diff.add_row(side, row));
        }
        found.extend(diff.finish());
        at_once = (MOST_BYTES / (bytes / some.len()).max(1)).max(1);
        rest = more;
    }
    Ok(found)
}

/// Rechecks a one-sided range: counts the rows of both sides or, if it was confirmed before, only
/// those of the side that had none.
pub(crate) async fn recheck_range(
    context: &TaskContext<'_>,
    candidate: &OpenCandidate,
) -> Result<BySide<CountedRows>, SideError> {
    let Subject::Range(range, side) = &candidate.difference.subject else {
        return Ok(BySide::default());
    };
    let rows = candidate.difference.image[*side].rows;
    if candidate.confirmed.is_some() {
        let other = side.other();
        let mut counted = BySide::<CountedRows>::default();
        counted[other] = count(context, other, range, rows).await?;
        return Ok(counted);
    }
    let (source, target) = tokio::join!(
        count(context, Side::Source, range, rows),
        count(context, Side::Target, range, rows)
    );
    Ok(BySide { source: source?, target: target? })
}

/// Counts the rows of a range on one side.
async fn count(
    context: &TaskContext<'_>,
    side: Side,
    range: &KeyRange,
    rows: u64,
) -> Result<CountedRows, SideError> {
    let mut all = CountedRows::default();
    let mut split = RangeSplit::new(context, range, rows);
    while let Some((context, range)) = split.next().await? {
        let counted = part_digests::count(&context, side, &range).await;
        if let Some(CountedRows { digest, parts }) = split.take(counted)? {
            all.digest += digest;
            all.parts.add_all(parts);
        }
    }
    Ok(all)
}
