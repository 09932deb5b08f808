//! Reads digests in parts: by group and hash bucket of a chunk, or by group and rule of a one-sided range.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use super::task_context::TaskContext;
use crate::candidates::CountedRows;
use crate::compare::{Expectation, RangeDigest};
use crate::pg::{PgError, Row};
use crate::plan::Strategy;
use crate::prepare::SideError;
use crate::row::{Digest, Fingerprinter, GroupCounts, KeyRange, Region, RowFields};
use crate::schema::{BySide, Side};
use crate::sql::{self, DigestSplit, PartFields};

/// The maximum of rows that one statement returns: parts are counted in memory.
pub(crate) const MOST_PARTS: usize = 400_000;

/// Returns what is expected of a range with this many groups. The cost of digests by hash bucket
/// grows with the parts, one for each bucket and group. Where more keys differ than buckets are
/// worth, all rows are read at once: with 100 groups and 1% of 1,000,000 rows different that takes
/// half the time.
pub(crate) fn expect(expected: Expectation, groups: usize) -> Expectation {
    let Expectation { rows, differences } = expected;
    let is_dense = differences.saturating_mul(4).saturating_mul(groups as u64) >= rows;
    let differences = if groups > 1 && differences > 0 && is_dense { rows } else { differences };
    Expectation { rows, differences }
}

/// Returns how many hash buckets a range with this many groups is divided into. Parts and fetched
/// rows are then about equally many, as buckets and rows are without groups, and all parts fit into
/// memory.
pub(crate) fn fewer_buckets(of: u32, groups: usize) -> u32 {
    let groups = groups.max(1);
    let balanced = f64::from(of) / (groups as f64).sqrt();
    let most = (MOST_PARTS / 2 / groups).max(2);
    // the largest power of two that is not above it
    1 << (balanced as usize).clamp(2, most).ilog2()
}

/// Reads count, sum and distinct keys, from a field on.
pub(crate) fn read_digest(row: &Row, at: usize) -> Result<RangeDigest, PgError> {
    let (rows, sum): (i64, Option<&str>) = (row.get(at)?, row.get(at + 1)?);
    let digest = Digest::read(rows, sum).map_err(|error| PgError::unexpected(error.to_string()))?;
    let distinct = row.get_count(at + 2)?;
    Ok(RangeDigest { digest, distinct })
}

/// Reads the number of a hash bucket.
pub(crate) fn read_bucket(row: &Row, at: usize) -> Result<u32, PgError> {
    row.get_u32(at)
}

fn too_many_groups(side: Side) -> SideError {
    (Some(side), PgError::too_large("more groups than one chunk may have"))
}

/// The digests of one side by hash bucket.
#[derive(Default)]
struct SideDigests {
    digests: BTreeMap<u32, RangeDigest>,
    groups: HashMap<u32, GroupCounts>,
}

/// Reads a range's digests, and the groups of the source's rows. Equal digests have equal groups.
pub(crate) async fn range_digests(
    context: &TaskContext<'_>,
    range: &KeyRange,
) -> Result<(BySide<RangeDigest>, GroupCounts), SideError> {
    let BySide { mut source, mut target } = both(context, range, DigestSplit::default()).await?;
    let digest = |side: &mut SideDigests| side.digests.remove(&0).unwrap_or_default();
    let digests = BySide { source: digest(&mut source), target: digest(&mut target) };
    let groups = source.groups.remove(&0).unwrap_or_default();
    context.groups_seen.fetch_max(groups.len(), Ordering::Relaxed);
    Ok((digests, groups))
}

/// Reads the digests of each hash bucket of a range, and the groups of the source's rows in it.
pub(crate) async fn bucket_digests(
    context: &TaskContext<'_>,
    range: &KeyRange,
    of: u32,
) -> Result<(BySide<BTreeMap<u32, RangeDigest>>, HashMap<u32, GroupCounts>), SideError> {
    let split = DigestSplit { buckets: Some(of), rules: false };
    let BySide { source, target } = both(context, range, split).await?;
    Ok((BySide { source: source.digests, target: target.digests }, source.groups))
}

async fn both(
    context: &TaskContext<'_>,
    range: &KeyRange,
    split: DigestSplit,
) -> Result<BySide<SideDigests>, SideError> {
    let region = Region::whole(range.clone());
    let (source, target) = tokio::join!(
        one(context, Side::Source, &region, split),
        one(context, Side::Target, &region, split)
    );
    Ok(BySide { source: source?, target: target? })
}

async fn one(
    context: &TaskContext<'_>,
    side: Side,
    region: &Region,
    split: DigestSplit,
) -> Result<SideDigests, SideError> {
    let fields = split.fields(context.plan);
    let mut rows = context.rows(side, sql::part_digests(context.plan, side, region, split)).await?;
    let mut read = SideDigests::default();
    let mut parts = 0;
    while let Some(row) = rows.next().await? {
        parts += 1;
        if parts > MOST_PARTS {
            return Err(too_many_groups(side));
        }
        take_part(&mut read, &row, fields, context.plan.key_proven())
            .map_err(|error| (Some(side), error))?;
    }
    Ok(read)
}

fn take_part(
    read: &mut SideDigests,
    row: &Row,
    fields: PartFields,
    key_proven: bool,
) -> Result<(), PgError> {
    let bucket = fields.bucket.map_or(Ok(0), |field| read_bucket(row, field))?;
    let RangeDigest { digest, distinct } = read_digest(row, 0)?;
    let is_sum = row.get::<i32>(3)? == 1;
    let of_bucket = read.digests.entry(bucket).or_default();
    if is_sum {
        of_bucket.distinct = distinct;
        return Ok(());
    }
    of_bucket.digest += digest;
    if key_proven {
        of_bucket.distinct += distinct;
    }
    if let Some(field) = fields.group {
        let counts = read.groups.entry(bucket).or_default();
        let place = counts.place(row.field(field));
        counts.add(place, digest.rows);
    }
    Ok(())
}

/// Counts the rows of a range on one side, by group and covering rule.
pub(crate) async fn count(
    context: &TaskContext<'_>,
    side: Side,
    range: &KeyRange,
) -> Result<CountedRows, SideError> {
    let plan = context.plan;
    let mut counted = CountedRows::default();
    let at_side = |error: PgError| (Some(side), error);
    let split = DigestSplit { buckets: None, rules: !plan.accepts.of_one_sided(side).is_empty() };
    if plan.strategy == Strategy::Digest && plan.group.is_none() && !split.rules {
        let region = Region::whole(range.clone());
        for row in context.query(side, sql::digest(plan, side, &region)).await? {
            counted.digest = read_digest(&row, 0).map_err(at_side)?.digest;
            counted.parts.add(None, None, counted.digest.rows);
        }
        return Ok(counted);
    }
    if plan.strategy == Strategy::Digest {
        let fields = split.fields(plan);
        let region = Region::whole(range.clone());
        let mut rows = context.rows(side, sql::part_digests(plan, side, &region, split)).await?;
        while let Some(row) = rows.next().await? {
            if row.get::<i32>(3).map_err(at_side)? == 1 {
                continue;
            }
            let digest = read_digest(&row, 0).map_err(at_side)?.digest;
            let rule = rule(&row, fields.rule).map_err(at_side)?;
            counted.digest += digest;
            counted.parts.add(field(&row, fields.group), rule, digest.rows);
            if counted.parts.len() > MOST_PARTS {
                return Err(too_many_groups(side));
            }
        }
        return Ok(counted);
    }
    let width = plan.pairs.len();
    let group = plan.group.map(|_| width);
    let rule_field = split.rules.then_some(width + usize::from(group.is_some()));
    let statement = match split.rules {
        true => sql::canonical_rows_with_rules(plan, side, range),
        false => sql::canonical_rows(plan, side, range),
    };
    let mut fingerprinter = Fingerprinter::default();
    let mut rows = context.rows(side, statement).await?;
    while let Some(row) = rows.next().await? {
        counted.digest.add(fingerprinter.of(&row, 0..width));
        let rule = rule(&row, rule_field).map_err(at_side)?;
        counted.parts.add(field(&row, group), rule, 1);
        if counted.parts.len() > MOST_PARTS {
            return Err(too_many_groups(side));
        }
    }
    Ok(counted)
}

fn field(row: &Row, at: Option<usize>) -> Option<&[u8]> {
    at.and_then(|at| row.field(at))
}

fn rule(row: &Row, at: Option<usize>) -> Result<Option<usize>, PgError> {
    let Some(at) = at else { return Ok(None) };
    let place: Option<i32> = row.get(at)?;
    Ok(place.and_then(|place| usize::try_from(place).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_many_groups_even_few_differences_are_dense() {
        let expect = |differences, groups| {
            expect(Expectation { rows: 10_000, differences }, groups).differences
        };
        assert_eq!([expect(100, 1), expect(10, 100), expect(0, 100)], [100, 10, 0]);
        assert_eq!(expect(100, 100), 10_000);
    }

    #[test]
    fn more_groups_need_fewer_buckets() {
        assert_eq!(fewer_buckets(128, 1), 128);
        assert_eq!(fewer_buckets(4096, 100), 256);
        assert_eq!(fewer_buckets(4096, 100_000), 2);
        assert_eq!(fewer_buckets(2, 1_000_000), 2);
    }
}
