//! Compares one chunk: by digests and drill-down, or by streaming the rows of both sides.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Answer;
use super::hands::{Failed, Hands, may_hold};
use super::parts;
use super::since;
use crate::compare::{
    Advance, DrillDown, DrillStep, Expectation, MatchedGroups, RangeComparison, RangeDigest,
    RowMatcher,
};
use crate::pg::{PgError, Row};
use crate::plan::Strategy;
use crate::row::{Classes, Fingerprint, Key, KeyRange, Region};
use crate::schema::{BySide, Side};
use crate::sql;

/// Nothing is expected of a range.
pub(in crate::run) const UNKNOWN: Expectation = Expectation { rows: 0, differences: 0 };

/// Differences that one chunk may bring; a chunk with more is cut in two, so that memory stays flat
/// where everything differs.
const MOST_SUSPECTS: usize = 50_000;
/// Rows of a streamed chunk that may wait for their counterparts.
const MOST_WAITING: usize = 200_000;

fn too_many() -> Failed {
    (None, PgError::too_much("more differences than one chunk may bring"))
}

/// Compares a range of keys.
pub(in crate::run) async fn chunk(
    hands: &Hands<'_>,
    range: &KeyRange,
    expected: Expectation,
) -> Result<Answer, Failed> {
    if hands.plan.has_since() {
        return since::chunk(hands, range, expected).await;
    }
    let started = Instant::now();
    match hands.plan.strategy {
        Strategy::Digest => digest(hands, range, expected, started).await,
        Strategy::Stream => {
            let compared = stream(hands, range).await?;
            Ok(Answer::Scanned { compared, statement: started.elapsed() })
        }
    }
}

async fn digest(
    hands: &Hands<'_>,
    range: &KeyRange,
    expected: Expectation,
    started: Instant,
) -> Result<Answer, Failed> {
    let groups_seen = || hands.groups_seen.load(Ordering::Relaxed);
    let (mut drill, mut step) = DrillDown::begin(parts::expect(expected, groups_seen()));
    let mut statement = None;
    let mut candidates = 0;
    let mut groups = MatchedGroups::default();
    let grouped = hands.plan.group.is_some();
    loop {
        step = match step {
            DrillStep::Digest => {
                let digests = if grouped {
                    let (digests, counts) = parts::range_digests(hands, range).await?;
                    groups.set_whole(counts);
                    digests
                } else {
                    range_digests(hands, range).await?
                };
                let counts = digests.map(|side| side.digest.rows);
                let one_sided = counts.source.abs_diff(counts.target) > MOST_SUSPECTS as u64;
                if one_sided && counts.all(|rows| *rows > 0) {
                    return Err(too_many());
                }
                drill.add_digests(digests)
            }
            DrillStep::ByBucket(of) if grouped => {
                let of = parts::fewer_classes(of, groups_seen());
                let (digests, counts) = parts::class_digests(hands, range, of).await?;
                groups.set_buckets(counts);
                drill.add_bucket_digests(of, digests)
            }
            DrillStep::ByBucket(of) => {
                drill.add_bucket_digests(of, class_digests(hands, range, of).await?)
            }
            DrillStep::Rows(classes) => {
                groups.forget_read(classes.as_ref());
                let pairing = key_hashes(hands, range, classes).await?;
                let (rows, digest) = (pairing.rows(), BySide::new(|side| pairing.digest(side)));
                let (matched, found, matched_groups) = pairing.finish();
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
                return Ok(Answer::Scanned { compared, statement });
            }
        };
        statement.get_or_insert_with(|| started.elapsed());
    }
}

async fn range_digests(hands: &Hands<'_>, range: &KeyRange) -> Result<BySide<RangeDigest>, Failed> {
    let region = Region::whole(range.clone());
    let rows = hands.ask_both(|side| sql::digest(hands.plan, side, &region)).await?;
    BySide::try_new(|side| {
        let row = rows[side].first().ok_or_else(|| PgError::unexpected("no row"));
        row.and_then(|row| parts::read_digest(row, 0)).map_err(|error| (Some(side), error))
    })
}

async fn class_digests(
    hands: &Hands<'_>,
    range: &KeyRange,
    of: u32,
) -> Result<BySide<BTreeMap<u32, RangeDigest>>, Failed> {
    let region = Region::whole(range.clone());
    let rows = hands.ask_both(|side| sql::bucket_digests(hands.plan, side, &region, of)).await?;
    BySide::try_new(|side| {
        let read = |row: &Row| {
            let class: i64 = row.get(0)?;
            Ok((u32::try_from(class).unwrap_or(0), parts::read_digest(row, 1)?))
        };
        rows[side].iter().map(read).collect::<Result<_, _>>().map_err(|error| (Some(side), error))
    })
}

/// Keys and row hashes of a region, paired as they come.
async fn key_hashes(
    hands: &Hands<'_>,
    range: &KeyRange,
    classes: Option<Classes>,
) -> Result<RowMatcher, Failed> {
    let plan = hands.plan;
    let region = Region { range: range.clone(), classes, blocks: None };
    let mut rows = hands.rows_of_both(|side| sql::key_hashes(plan, side, &region)).await?;
    let group = plan.group.map(|_| plan.key_width + 1);
    let mut pairing = RowMatcher::new(plan.order.clone(), plan.key_width, plan.key_proven(), group);
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
        pairing.add_row(side, key, Fingerprint::of_row_hash(hash), &row);
        may_hold(pairing.waiting())?;
    }
    Ok(pairing)
}

/// Streams the rows of both sides against each other.
async fn stream(hands: &Hands<'_>, range: &KeyRange) -> Result<RangeComparison, Failed> {
    let plan = hands.plan;
    let (key, width) = (plan.key_width, plan.pairs.len());
    let rows = hands.rows_of_both(|side| sql::canonical_rows(plan, side, range)).await?;
    let BySide { mut source, mut target } = rows;
    let group = plan.group.map(|_| width);
    let pairing = RowMatcher::new(plan.order.clone(), plan.key_width, plan.key_proven(), group);
    let mut pairing = pairing.with_tolerance(&plan.pairs);
    let (first, second) = tokio::join!(source.next_keyed(key), target.next_keyed(key));
    let (mut s, mut t) = (first?, second?);
    // A backfill that has not come by: rows of one side alone need not wait for anybody.
    let one_sided = plan.key_proven() && (s.is_none() || t.is_none());
    loop {
        match (&s, &t) {
            (Some(a), Some(b)) => match pairing.step(a, b, width) {
                Advance::Both => {
                    s = source.next_keyed(key).await?;
                    t = target.next_keyed(key).await?;
                }
                Advance::Only(Side::Source) => s = source.next_keyed(key).await?,
                Advance::Only(Side::Target) => t = target.next_keyed(key).await?,
            },
            (Some(row), None) if one_sided => {
                pairing.add_one_sided(Side::Source, row, width);
                s = source.next_keyed(key).await?;
            }
            (None, Some(row)) if one_sided => {
                pairing.add_one_sided(Side::Target, row, width);
                t = target.next_keyed(key).await?;
            }
            (Some(row), None) => {
                pairing.wait(Side::Source, row, width);
                s = source.next_keyed(key).await?;
            }
            (None, Some(row)) => {
                pairing.wait(Side::Target, row, width);
                t = target.next_keyed(key).await?;
            }
            (None, None) => break,
        }
        if pairing.waiting() > MOST_WAITING {
            return Err(too_many());
        }
    }
    finish(pairing)
}

/// What a streamed range came to.
fn finish(pairing: RowMatcher) -> Result<RangeComparison, Failed> {
    let rows = pairing.rows();
    let digest = BySide::new(|side| pairing.digest(side));
    let (matched, candidates, groups) = pairing.finish();
    let only = match (rows.source, rows.target) {
        (0, 1..) => Some(Side::Target),
        (1.., 0) => Some(Side::Source),
        _ => None,
    };
    let duplicates =
        candidates.iter().any(|candidate| candidate.image.any(|digest| digest.rows > 1));
    if let Some(side) = only.filter(|_| !duplicates) {
        let one_sided = Some((side, digest[side]));
        return Ok(RangeComparison { rows, one_sided, ..RangeComparison::default() });
    }
    if candidates.len() > MOST_SUSPECTS {
        return Err(too_many());
    }
    Ok(RangeComparison { rows, matched, candidates, one_sided: None, groups })
}
