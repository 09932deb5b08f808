//! The shards of a run of many processes: ranges of keys that tile each mapping, with about equally many
//! rows. Whichever process comes first cuts them; that they hold what they are said to hold decides
//! nothing but how evenly the work is spread.

use super::blocked::Blocked;
use super::options::Options;
use super::prepare::Prepared;
use super::work::bounds;
use super::work::hands::{Failed, with_hands};
use crate::ledger::Sharing;
use crate::plan::{MappingPlan, Partition};
use crate::problem::Problem;
use crate::row::{Bound, KeyOrder, KeyRange};
use crate::schema::Side;

/// Rows of a shard, about: what a dead process leaves undone, and how evenly the work is spread.
const ROWS_OF_A_SHARD: u64 = 50_000;
/// Rows that are sampled of a shard where there is no histogram: some twenty blocks.
const SAMPLED_OF_A_SHARD: u64 = 1_000;
/// Shards of a mapping.
const MOST_SHARDS: u64 = 1_024;
/// Cuts every mapping that no process has cut yet.
pub(super) async fn cut(
    prepared: &Prepared,
    options: &Options,
    sharing: &Sharing,
) -> Result<(), Blocked> {
    let failed = |error: Problem| Blocked::new(format!("the run cannot be cut: {error}"));
    for plan in &prepared.plans {
        if !sharing.is_cut(&plan.name).await.map_err(failed)? {
            let shards = shards(prepared, plan, options).await?;
            sharing.cut(&plan.name, &shards).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// The shards of a mapping: stretches of its histogram or, where there is none (a key of several
/// columns, an expression), of a sample of its keys. What cannot be cut by either is one.
async fn shards(
    prepared: &Prepared,
    plan: &MappingPlan,
    options: &Options,
) -> Result<Vec<KeyRange>, Blocked> {
    let rows = plan.estimated_rows().unwrap_or(0);
    let wanted = (rows / ROWS_OF_A_SHARD).clamp(1, MOST_SHARDS);
    let ranges = plan.partition == Partition::Ranges && plan.served() && plan.order.is_known();
    if wanted == 1 || !ranges || options.sample.is_some() {
        return Ok(vec![KeyRange::everything()]);
    }
    let bounds = bounds(prepared, plan, options, wanted).await.map_err(Blocked::from)?;
    Ok(tiles(bounds, &plan.order))
}

/// Keys between shards, in order.
async fn bounds(
    prepared: &Prepared,
    plan: &MappingPlan,
    options: &Options,
    wanted: u64,
) -> Result<Vec<Bound>, Failed> {
    let rows = plan.sides.as_ref().map(|side| side.estimated_rows.unwrap_or(0));
    let larger = if rows.target > rows.source { Side::Target } else { Side::Source };
    let percent = (wanted * SAMPLED_OF_A_SHARD * 100) as f64 / rows[larger].max(1) as f64;
    let percent = percent.min(100.0);
    with_hands(prepared, plan, options, async |hands| {
        let histogram = bounds::histogram(hands, larger).await?;
        if histogram.is_empty() {
            return bounds::sampled_keys(hands, larger, wanted, percent).await;
        }
        Ok(between(histogram, usize::try_from(wanted).unwrap_or(1)))
    })
    .await
}

/// Bounds of a histogram between so many stretches of about equally many rows.
fn between(bounds: Vec<Bound>, wanted: usize) -> Vec<Bound> {
    // The first and the last bound are the least and the greatest key.
    let inner = bounds.len().saturating_sub(2);
    let every = (inner + 1).div_ceil(wanted).max(1);
    bounds.into_iter().take(inner + 1).skip(every).step_by(every).collect()
}

/// The ranges between bounds, the first and the last with open ends.
fn tiles(bounds: Vec<Bound>, order: &KeyOrder) -> Vec<KeyRange> {
    let mut ranges = Vec::new();
    let mut rest = KeyRange::everything();
    for bound in bounds {
        // Where nothing proves the key, a sample may have one twice.
        let ahead = |after: &Bound| order.compare(&bound.key, &after.key).is_gt();
        if rest.after.as_ref().is_none_or(ahead) {
            let (range, behind) = rest.cut(bound);
            ranges.push(range);
            rest = behind;
        }
    }
    ranges.push(rest);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Key, KeyField};

    #[test]
    fn a_key_that_was_sampled_twice_is_one_bound() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let ranges = tiles([1, 1, 2].map(bound).into(), &order);
        let ends: Vec<_> = ranges.iter().map(|range| range.through.clone()).collect();
        assert_eq!(ends, [Some(bound(1)), Some(bound(2)), None]);
    }

    fn bound(number: u8) -> Bound {
        Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() }
    }

    #[test]
    fn shards_tile_and_are_about_as_many_as_wanted() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        for (count, wanted, expected) in [
            (0, 4, 1),
            (2, 4, 1),
            (3, 4, 2),
            (101, 10, 10),
            (101, 7, 7),
            (101, 1, 1),
            (11, 100, 10),
        ] {
            let bounds = between((0..count).map(bound).collect(), wanted);
            let ranges = tiles(bounds, &order);
            assert_eq!(ranges.len(), expected, "{count} {wanted}");
            assert_eq!(ranges[0].after, None);
            assert_eq!(ranges[ranges.len() - 1].through, None);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].through, pair[1].after);
                assert!(pair[0].through.is_some());
            }
        }
    }
}
