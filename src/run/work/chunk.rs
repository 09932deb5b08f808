//! Compares one chunk: by digests and drill-down, or by streaming the rows of both sides.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::changed_keys;
use super::part_digests;
use super::task_context::{TaskContext, check_held};
use crate::candidates::ScanResult;
use crate::compare::{
    Advance, DrillDown, DrillStep, Expectation, MatchedGroups, RangeComparison, RangeDigest,
    RowMatcher,
};
use crate::pg::{PgError, Row};
use crate::plan::Strategy;
use crate::prepare::SideError;
use crate::row::{Fingerprint, HashBuckets, Key, KeyRange, Region};
use crate::schema::{BySide, Side};
use crate::sql;

/// The expectation of a range of which nothing is known.
pub(crate) const NOTHING_EXPECTED: Expectation = Expectation { rows: 0, differences: 0 };

/// The maximum of differences in one chunk. A chunk with more is cut in two, so that memory is
/// bounded where everything differs.
const MOST_SUSPECTS: usize = 50_000;
/// The maximum of rows in a streamed chunk that wait for their counterparts.
const MOST_WAITING: usize = 200_000;

fn too_many() -> SideError {
    (None, PgError::too_large("more differences than one chunk may have"))
}

/// Compares a range of keys.
pub(crate) async fn compare(
    context: &TaskContext<'_>,
    range: &KeyRange,
    expected: Expectation,
) -> Result<ScanResult, SideError> {
    if context.plan.has_since() {
        return changed_keys::compare(context, range, expected).await;
    }
    let started = Instant::now();
    match context.plan.strategy {
        Strategy::Digest => digest(context, range, expected, started).await,
        Strategy::Stream => {
            let compared = stream(context, range).await?;
            Ok(ScanResult { compared, statement: started.elapsed() })
        }
    }
}

async fn digest(
    context: &TaskContext<'_>,
    range: &KeyRange,
    expected: Expectation,
    started: Instant,
) -> Result<ScanResult, SideError> {
    let groups_seen = || context.groups_seen.load(Ordering::Relaxed);
    let (mut drill, mut step) = DrillDown::begin(part_digests::expect(expected, groups_seen()));
    let mut statement = None;
    let mut candidates = 0;
    let mut groups = MatchedGroups::default();
    let grouped = context.plan.group.is_some();
    loop {
        step = match step {
            DrillStep::Digest => {
                let digests = if grouped {
                    let (digests, counts) = part_digests::range_digests(context, range).await?;
                    groups.set_whole(counts);
                    digests
                } else {
                    range_digests(context, range).await?
                };
                let counts = digests.map(|side| side.digest.rows);
                let one_sided = counts.source.abs_diff(counts.target) > MOST_SUSPECTS as u64;
                if one_sided && counts.all(|rows| *rows > 0) {
                    return Err(too_many());
                }
                drill.add_digests(digests)
            }
            DrillStep::ByBucket(of) if grouped => {
                let of = part_digests::fewer_buckets(of, groups_seen());
                let (digests, counts) = part_digests::bucket_digests(context, range, of).await?;
                groups.set_buckets(counts);
                drill.add_bucket_digests(of, digests)
            }
            DrillStep::ByBucket(of) => {
                drill.add_bucket_digests(of, bucket_digests(context, range, of).await?)
            }
            DrillStep::Rows(buckets) => {
                groups.forget_read(buckets.as_ref());
                let matcher = key_hashes(context, range, buckets).await?;
                let (rows, digest) = (matcher.rows(), BySide::new(|side| matcher.digest(side)));
                let (matched, found, matched_groups) = matcher.finish();
                groups.add_matched(&matched_groups);
                candidates += found.len();
                if candidates > MOST_SUSPECTS {
                    return Err(too_many());
                }
                drill.add_rows(rows, digest, matched, found)
            }
            DrillStep::Done(mut compared) => {
                if compared.one_sided.is_none() {
                    compared.groups = groups.finish();
                }
                let statement = statement.unwrap_or_else(|| started.elapsed());
                return Ok(ScanResult { compared, statement });
            }
        };
        statement.get_or_insert_with(|| started.elapsed());
    }
}

async fn range_digests(
    context: &TaskContext<'_>,
    range: &KeyRange,
) -> Result<BySide<RangeDigest>, SideError> {
    let region = Region::whole(range.clone());
    let rows = context.query_both(|side| sql::digest(context.plan, side, &region)).await?;
    BySide::try_new(|side| {
        let row = rows[side].first().ok_or_else(|| PgError::unexpected("no row"));
        row.and_then(|row| part_digests::read_digest(row, 0)).map_err(|error| (Some(side), error))
    })
}

async fn bucket_digests(
    context: &TaskContext<'_>,
    range: &KeyRange,
    of: u32,
) -> Result<BySide<BTreeMap<u32, RangeDigest>>, SideError> {
    let region = Region::whole(range.clone());
    let rows =
        context.query_both(|side| sql::bucket_digests(context.plan, side, &region, of)).await?;
    BySide::try_new(|side| {
        let read = |row: &Row| {
            Ok((part_digests::read_bucket(row, 0)?, part_digests::read_digest(row, 1)?))
        };
        rows[side].iter().map(read).collect::<Result<_, _>>().map_err(|error| (Some(side), error))
    })
}

/// Reads keys and row hashes of a region, and pairs them as they arrive.
async fn key_hashes(
    context: &TaskContext<'_>,
    range: &KeyRange,
    buckets: Option<HashBuckets>,
) -> Result<RowMatcher, SideError> {
    let plan = context.plan;
    let region = Region { range: range.clone(), buckets, blocks: None };
    let mut rows = context.rows_of_both(|side| sql::key_hashes(plan, side, &region)).await?;
    let group = plan.group.map(|_| plan.key_width + 1);
    let mut matcher = RowMatcher::new(plan.order.clone(), plan.key_width, plan.key_proven(), group);
    let mut open = BySide::new(|_| true);
    while open.any(|open| *open) {
        let (side, row) = tokio::select! {
            row = rows.source.next(), if open.source => (Side::Source, row?),
            row = rows.target.next(), if open.target => (Side::Target, row?),
        };
        let Some(row) = row else {
            open[side] = false;
            continue;
        };
        let hash: i64 = row.get(plan.key_width).map_err(|error| (Some(side), error))?;
        let key = Key::of(&row, plan.key_width)
            .ok_or_else(|| (Some(side), PgError::unexpected("a key is NULL")))?;
        matcher.add_row(side, key, Fingerprint::of_row_hash(hash), &row);
        check_held(matcher.waiting())?;
    }
    Ok(matcher)
}

/// Streams the rows of both sides, and pairs them by key.
async fn stream(context: &TaskContext<'_>, range: &KeyRange) -> Result<RangeComparison, SideError> {
    let plan = context.plan;
    let (key, width) = (plan.key_width, plan.pairs.len());
    let rows = context.rows_of_both(|side| sql::canonical_rows(plan, side, range)).await?;
    let BySide { mut source, mut target } = rows;
    let group = plan.group.map(|_| width);
    let matcher = RowMatcher::new(plan.order.clone(), plan.key_width, plan.key_proven(), group);
    let mut matcher = matcher.with_tolerance(&plan.pairs);
    let (first, second) = tokio::join!(source.next_keyed(key), target.next_keyed(key));
    let (mut s, mut t) = (first?, second?);
    // A backfill that has not come so far: rows that only one side has need not wait.
    let one_sided = plan.key_proven() && (s.is_none() || t.is_none());
    loop {
        match (&s, &t) {
            (Some(a), Some(b)) => match matcher.step(a, b, width) {
                Advance::Both => {
                    s = source.next_keyed(key).await?;
                    t = target.next_keyed(key).await?;
                }
                Advance::Only(Side::Source) => s = source.next_keyed(key).await?,
                Advance::Only(Side::Target) => t = target.next_keyed(key).await?,
            },
            (Some(row), None) if one_sided => {
                matcher.add_one_sided(Side::Source, row, width);
                s = source.next_keyed(key).await?;
            }
            (None, Some(row)) if one_sided => {
                matcher.add_one_sided(Side::Target, row, width);
                t = target.next_keyed(key).await?;
            }
            (Some(row), None) => {
                matcher.wait(Side::Source, row, width);
                s = source.next_keyed(key).await?;
            }
            (None, Some(row)) => {
                matcher.wait(Side::Target, row, width);
                t = target.next_keyed(key).await?;
            }
            (None, None) => break,
        }
        if matcher.waiting() > MOST_WAITING {
            return Err(too_many());
        }
    }
    finish(matcher)
}

/// Returns the result of a streamed range.
fn finish(matcher: RowMatcher) -> Result<RangeComparison, SideError> {
    let rows = matcher.rows();
    let digest = BySide::new(|side| matcher.digest(side));
    let (matched, candidates, groups) = matcher.finish();
    let only = match (rows.source, rows.target) {
        (0, 1..) => Some(Side::Target),
        (1.., 0) => Some(Side::Source),
        _ => None,
    };
    let duplicates = candidates.iter().any(|row| row.image.any(|digest| digest.rows > 1));
    if let Some(side) = only.filter(|_| !duplicates) {
        let one_sided = Some((side, digest[side]));
        return Ok(RangeComparison { rows, one_sided, ..RangeComparison::default() });
    }
    if candidates.len() > MOST_SUSPECTS {
        return Err(too_many());
    }
    Ok(RangeComparison { rows, matched, candidates, one_sided: None, groups })
}
