//! Reads blocks for a table scan: digests by hash bucket, or the rows of hash buckets that differ.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::part_digests::{MOST_PARTS, read_bucket, read_digest};
use super::task_context::{TaskContext, check_held};
use crate::chunks::{BlockContent, BlockRead, BlockResult, TablePart};
use crate::compare::{BlockQuery, BucketGroup, BucketRow};
use crate::pg::{PgError, Row};
use crate::prepare::SideError;
use crate::row::{Digest, Fingerprint, Key, KeyRange, Region, RowFields};
use crate::schema::{BySide, Side};
use crate::sql::{self, DigestSplit};

/// Reads how many blocks each side's table has; 0 for a table that is not read by blocks.
pub(crate) async fn count(context: &TaskContext<'_>) -> Result<BySide<u32>, SideError> {
    let (source, target) =
        tokio::join!(blocks(context, Side::Source), blocks(context, Side::Target));
    Ok(BySide { source: source?, target: target? })
}

async fn blocks(context: &TaskContext<'_>, side: Side) -> Result<u32, SideError> {
    let Some(statement) = sql::blocks(context.plan, side) else { return Ok(0) };
    let rows = context.query(side, statement).await?;
    let row = rows.first().ok_or_else(|| PgError::unexpected("no row"));
    let blocks: Result<i64, PgError> = row.and_then(|row| row.get(0));
    Ok(u32::try_from(blocks.map_err(|error| (Some(side), error))?).unwrap_or(u32::MAX))
}

/// Reads blocks of both sides.
pub(crate) async fn read(
    context: &TaskContext<'_>,
    read: &BlockRead,
) -> Result<BlockResult, SideError> {
    let (source, target) = tokio::join!(
        read_side(context, read, Side::Source),
        read_side(context, read, Side::Target)
    );
    let ((source, source_took), (target, target_took)) = (source?, target?);
    let took = BySide { source: source_took, target: target_took };
    Ok(BlockResult { content: BySide { source, target }, took })
}

async fn read_side(
    context: &TaskContext<'_>,
    read: &BlockRead,
    side: Side,
) -> Result<(Option<BlockContent>, Duration), SideError> {
    let Some(stretch) = read.ranges[side] else { return Ok((None, Duration::ZERO)) };
    let blocks = match stretch {
        TablePart::Whole => None,
        TablePart::Blocks(blocks) => Some(blocks),
    };
    // The range of the other side may be one that cannot be cut.
    let context = &if stretch.can_be_cut() { context.with_short_timeout() } else { *context };
    let started = Instant::now();
    let region = |buckets| Region { range: KeyRange::everything(), buckets, blocks };
    let found = match &read.query {
        BlockQuery::Digests { of, within } => {
            digests(context, side, &region(within.clone()), *of).await?
        }
        BlockQuery::Rows(buckets) => {
            BlockContent::Rows(rows(context, side, &region(Some(buckets.clone()))).await?)
        }
    };
    Ok((Some(found), started.elapsed()))
}

async fn digests(
    context: &TaskContext<'_>,
    side: Side,
    region: &Region,
    of: u32,
) -> Result<BlockContent, SideError> {
    if context.plan.group.is_some() {
        return group_digests(context, side, region, of).await;
    }
    let rows = context.query(side, sql::bucket_digests(context.plan, side, region, of)).await?;
    let read = |row: &Row| Ok((read_bucket(row, 0)?, read_digest(row, 1)?.digest));
    let digests = rows.iter().map(read).collect::<Result<_, _>>();
    digests
        .map(|digests| BlockContent::Digests(digests, Vec::new()))
        .map_err(|error| (Some(side), error))
}

/// Reads digests by hash bucket and group. Wherever digests agree, the target's groups are the
/// source's.
async fn group_digests(
    context: &TaskContext<'_>,
    side: Side,
    region: &Region,
    of: u32,
) -> Result<BlockContent, SideError> {
    let at_side = |error: PgError| (Some(side), error);
    let split = DigestSplit { buckets: Some(of), rules: false };
    let fields = split.fields(context.plan);
    let (mut digests, mut groups) = (BTreeMap::<u32, Digest>::new(), Vec::new());
    let mut rows = context.rows(side, sql::part_digests(context.plan, side, region, split)).await?;
    while let Some(row) = rows.next().await? {
        let bucket = fields.bucket.ok_or_else(|| PgError::unexpected("no hash bucket"));
        let number = bucket.and_then(|field| read_bucket(&row, field)).map_err(at_side)?;
        let digest = read_digest(&row, 0).map_err(at_side)?.digest;
        *digests.entry(number).or_default() += digest;
        if side == Side::Source {
            let group = fields.group.and_then(|field| row.field(field)).map(Into::into);
            groups.push(BucketGroup { bucket: number, group, rows: digest.rows });
        }
        if groups.len() > MOST_PARTS {
            return Err((
                Some(side),
                PgError::too_large("more groups than one range of blocks may have"),
            ));
        }
    }
    Ok(BlockContent::Digests(digests.into_iter().collect(), groups))
}

async fn rows(
    context: &TaskContext<'_>,
    side: Side,
    region: &Region,
) -> Result<Vec<BucketRow>, SideError> {
    let plan = context.plan;
    let at_side = |error: PgError| (Some(side), error);
    let mut found = Vec::new();
    let mut rows = context.rows(side, sql::key_hashes(plan, side, region)).await?;
    while let Some(row) = rows.next().await? {
        let hash: i64 = row.get(plan.key_width).map_err(at_side)?;
        let key = Key::of(&row, plan.key_width)
            .ok_or_else(|| at_side(PgError::unexpected("a key is NULL")))?;
        let group = plan.group.and_then(|_| row.field(plan.key_width + 1)).map(Into::into);
        found.push(BucketRow { key, fingerprint: Fingerprint::of_row_hash(hash), group });
        check_held(found.len())?;
    }
    Ok(found)
}
