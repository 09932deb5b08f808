//! Cuts the mappings of a run of many processes into shards. The first process to come does it.

use super::work::bounds;
use super::work::task_context::with_task_context;
use crate::chunks::{bounds_between, tiles_between};
use crate::ledger::SharedRun;
use crate::plan::{MappingPlan, Partition};
use crate::prepare::{Options, Prepared, SideError};
use crate::problem::Problem;
use crate::row::{Bound, KeyRange};
use crate::schema::Side;

/// The rows of a shard: they are lost with a process that dies, and decide how evenly the work is
/// distributed.
const ROWS_OF_A_SHARD: u64 = 50_000;
/// The rows that are sampled of a shard where there is no histogram: some twenty blocks.
const SAMPLED_OF_A_SHARD: u64 = 1_000;
/// The maximum of shards of a mapping.
const MOST_SHARDS: u64 = 1_024;
/// Cuts every mapping that no process has cut yet.
pub(super) async fn cut(
    prepared: &Prepared,
    options: &Options,
    sharing: &SharedRun,
) -> Result<(), Problem> {
    let failed =
        |error: Problem| Problem::new(format!("the run cannot be divided into shards: {error}"));
    for plan in &prepared.plans {
        if !sharing.has_shards(&plan.name).await.map_err(failed)? {
            let shards = shards(prepared, plan, options).await?;
            sharing.create_shards(&plan.name, &shards).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Returns the shards of a mapping: steps of its histogram or, where there is none (a key of
/// several columns, an expression), of a sample of its keys. A table that cannot be cut by either
/// is one shard.
async fn shards(
    prepared: &Prepared,
    plan: &MappingPlan,
    options: &Options,
) -> Result<Vec<KeyRange>, Problem> {
    let rows = plan.estimated_rows().unwrap_or(0);
    let wanted = (rows / ROWS_OF_A_SHARD).clamp(1, MOST_SHARDS);
    let ranges = plan.partition == Partition::Ranges && plan.served() && plan.order.is_known();
    if wanted == 1 || !ranges || options.sample.is_some() {
        return Ok(vec![KeyRange::everything()]);
    }
    let bounds = bounds(prepared, plan, options, wanted).await.map_err(Problem::from)?;
    Ok(tiles_between(bounds, &plan.order))
}

/// Reads the keys between shards, in order.
async fn bounds(
    prepared: &Prepared,
    plan: &MappingPlan,
    options: &Options,
    wanted: u64,
) -> Result<Vec<Bound>, SideError> {
    let rows = plan.sides.as_ref().map(|side| side.estimated_rows.unwrap_or(0));
    let larger = if rows.target > rows.source { Side::Target } else { Side::Source };
    let percent = (wanted * SAMPLED_OF_A_SHARD * 100) as f64 / rows[larger].max(1) as f64;
    let percent = percent.min(100.0);
    with_task_context(prepared, plan, options, async |context| {
        let histogram = bounds::read_histogram(context, larger).await?;
        if histogram.is_empty() {
            return bounds::sample_keys(context, larger, wanted, percent).await;
        }
        Ok(bounds_between(histogram, usize::try_from(wanted).unwrap_or(1)))
    })
    .await
}
