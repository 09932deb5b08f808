//! Reads digests that come in parts: groups of a chunk, and what a look at a one-sided range tells
//! apart.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use super::hands::{Failed, Hands};
use crate::compare::{Expectation, Parts, RangeDigest};
use crate::pg::{PgError, Row};
use crate::plan::Strategy;
use crate::row::{Digest, Fingerprinter, GroupCounts, KeyRange, Region, RowFields};
use crate::schema::{BySide, Side};
use crate::sql::{self, PartFields, Parting};

/// Rows that one statement may return: parts are counted in memory.
pub(in crate::run) const MOST_PARTS: usize = 400_000;

/// What is expected of a range with so many groups. Digests by class pay by the part, which is a
/// class's share of a group: where more keys differ than classes would be worth it, every row is read
/// at once: with 100 groups and 1% of 1,000,000 rows different that takes half of the time.
pub(in crate::run) fn expect(expected: Expectation, groups: usize) -> Expectation {
    let Expectation { rows, differences } = expected;
    let dense = differences.saturating_mul(4).saturating_mul(groups as u64) >= rows;
    let differences = if groups > 1 && differences > 0 && dense { rows } else { differences };
    Expectation { rows, differences }
}

/// So many classes of a range with so many groups: parts and fetched rows are then about equally
/// many, as classes and rows are without groups, and the parts fit into hand.
pub(in crate::run) fn fewer_classes(of: u32, groups: usize) -> u32 {
    let groups = groups.max(1);
    let balanced = f64::from(of) / (groups as f64).sqrt();
    let most = (MOST_PARTS / 2 / groups).max(2);
    // the largest power of two that is not above it
    1 << (balanced as usize).clamp(2, most).ilog2()
}

/// Count, sum and distinct keys, from a field on.
pub(in crate::run) fn read_digest(row: &Row, at: usize) -> Result<RangeDigest, PgError> {
    let (rows, sum): (i64, Option<&str>) = (row.get(at)?, row.get(at + 1)?);
    let digest = Digest::read(rows, sum).map_err(|error| PgError::unexpected(error.to_string()))?;
    let distinct: i64 = row.get(at + 2)?;
    Ok(RangeDigest { digest, distinct: distinct.cast_unsigned() })
}

fn too_many_groups(side: Side) -> Failed {
    (Some(side), PgError::too_large("more groups than one chunk may bring"))
}

/// What one side's parts add up to, class by class.
#[derive(Default)]
struct Digested {
    digests: BTreeMap<u32, RangeDigest>,
    groups: HashMap<u32, GroupCounts>,
}

/// A range's digests, and the groups of the source's rows; equal digests have equal groups.
pub(in crate::run) async fn range_digests(
    hands: &Hands<'_>,
    range: &KeyRange,
) -> Result<(BySide<RangeDigest>, GroupCounts), Failed> {
    let BySide { mut source, mut target } = both(hands, range, Parting::default()).await?;
    let digest = |side: &mut Digested| side.digests.remove(&0).unwrap_or_default();
    let digests = BySide { source: digest(&mut source), target: digest(&mut target) };
    let groups = source.groups.remove(&0).unwrap_or_default();
    hands.groups_seen.fetch_max(groups.len(), Ordering::Relaxed);
    Ok((digests, groups))
}

/// The digests of each class of a range, and the groups of the source's rows in it.
pub(in crate::run) async fn class_digests(
    hands: &Hands<'_>,
    range: &KeyRange,
    of: u32,
) -> Result<(BySide<BTreeMap<u32, RangeDigest>>, HashMap<u32, GroupCounts>), Failed> {
    let parting = Parting { classes: Some(of), rules: false };
    let BySide { source, target } = both(hands, range, parting).await?;
    Ok((BySide { source: source.digests, target: target.digests }, source.groups))
}

async fn both(
    hands: &Hands<'_>,
    range: &KeyRange,
    parting: Parting,
) -> Result<BySide<Digested>, Failed> {
    let region = Region::whole(range.clone());
    let (source, target) = tokio::join!(
        one(hands, Side::Source, &region, parting),
        one(hands, Side::Target, &region, parting)
    );
    Ok(BySide { source: source?, target: target? })
}

async fn one(
    hands: &Hands<'_>,
    side: Side,
    region: &Region,
    parting: Parting,
) -> Result<Digested, Failed> {
    let fields = parting.fields(hands.plan);
    let mut rows = hands.rows(side, sql::part_digests(hands.plan, side, region, parting)).await?;
    let mut read = Digested::default();
    let mut parts = 0;
    while let Some(row) = rows.next().await? {
        parts += 1;
        if parts > MOST_PARTS {
            return Err(too_many_groups(side));
        }
        take_part(&mut read, &row, fields, hands.plan.key_proven())
            .map_err(|error| (Some(side), error))?;
    }
    Ok(read)
}

fn take_part(
    read: &mut Digested,
    row: &Row,
    fields: PartFields,
    key_proven: bool,
) -> Result<(), PgError> {
    let class = match fields.class {
        Some(field) => u32::try_from(row.get::<i64>(field)?).unwrap_or(0),
        None => 0,
    };
    let RangeDigest { digest, distinct } = read_digest(row, 0)?;
    let is_sum = row.get::<i32>(3)? == 1;
    let of_class = read.digests.entry(class).or_default();
    if is_sum {
        of_class.distinct = distinct;
        return Ok(());
    }
    of_class.digest += digest;
    if key_proven {
        of_class.distinct += distinct;
    }
    if let Some(field) = fields.group {
        let counts = read.groups.entry(class).or_default();
        let place = counts.place(row.field(field));
        counts.add(place, digest.rows);
    }
    Ok(())
}

/// What a look at rows of one side has found: their digest, and what tells them apart.
#[derive(Debug, Default)]
pub(in crate::run) struct Counted {
    pub(in crate::run) digest: Digest,
    pub(in crate::run) parts: Parts,
}

/// What one side has of a range, told apart by group and covering rule.
pub(in crate::run) async fn count(
    hands: &Hands<'_>,
    side: Side,
    range: &KeyRange,
) -> Result<Counted, Failed> {
    let plan = hands.plan;
    let mut counted = Counted::default();
    let at_side = |error: PgError| (Some(side), error);
    let parting = Parting { classes: None, rules: !plan.accepts.of_lone(side).is_empty() };
    if plan.strategy == Strategy::Digest && plan.group.is_none() && !parting.rules {
        let region = Region::whole(range.clone());
        for row in hands.ask(side, sql::digest(plan, side, &region)).await? {
            counted.digest = read_digest(&row, 0).map_err(at_side)?.digest;
            counted.parts.add(None, None, counted.digest.rows);
        }
        return Ok(counted);
    }
    if plan.strategy == Strategy::Digest {
        let fields = parting.fields(plan);
        let region = Region::whole(range.clone());
        let mut rows = hands.rows(side, sql::part_digests(plan, side, &region, parting)).await?;
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
    let rule_field = parting.rules.then_some(width + usize::from(group.is_some()));
    let statement = match parting.rules {
        true => sql::canons_with_rules(plan, side, range),
        false => sql::canons(plan, side, range),
    };
    let mut fingerprinter = Fingerprinter::default();
    let mut rows = hands.rows(side, statement).await?;
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
    fn classes_are_fewer_the_more_groups_there_are() {
        assert_eq!(fewer_classes(128, 1), 128);
        assert_eq!(fewer_classes(4096, 100), 256);
        assert_eq!(fewer_classes(4096, 100_000), 2);
        assert_eq!(fewer_classes(2, 1_000_000), 2);
    }
}
