//! Reads one piece of a pass over both tables: digests by bucket, or the rows of dirty buckets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::hands::{Failed, Hands, may_hold};
use super::parts::MOST_PARTS;
use super::parts::read_digest;
use crate::compare::{Ask, BucketGroup, BucketRow};
use crate::pg::{PgError, Row};
use crate::row::{Digest, Fingerprint, Key, KeyRange, Region, RowFields};
use crate::run::scan::pass::{Found, Piece, Read, Stretch};
use crate::schema::{BySide, Side};
use crate::sql::{self, Parting};

/// How many blocks each side's table has; none for what is not read by blocks.
pub(in crate::run) async fn measure(hands: &Hands<'_>) -> Result<BySide<u32>, Failed> {
    let (source, target) = tokio::join!(blocks(hands, Side::Source), blocks(hands, Side::Target));
    Ok(BySide { source: source?, target: target? })
}

async fn blocks(hands: &Hands<'_>, side: Side) -> Result<u32, Failed> {
    let Some(statement) = sql::blocks(hands.plan, side) else { return Ok(0) };
    let rows = hands.ask(side, statement).await?;
    let row = rows.first().ok_or_else(|| PgError::unexpected("no row"));
    let blocks: Result<i64, PgError> = row.and_then(|row| row.get(0));
    Ok(u32::try_from(blocks.map_err(|error| (Some(side), error))?).unwrap_or(u32::MAX))
}

/// Reads a piece.
pub(in crate::run) async fn read(hands: &Hands<'_>, piece: &Piece) -> Result<Read, Failed> {
    let (source, target) =
        tokio::join!(read_side(hands, piece, Side::Source), read_side(hands, piece, Side::Target));
    let ((source, source_took), (target, target_took)) = (source?, target?);
    let took = BySide { source: source_took, target: target_took };
    Ok(Read { found: BySide { source, target }, took })
}

async fn read_side(
    hands: &Hands<'_>,
    piece: &Piece,
    side: Side,
) -> Result<(Option<Found>, Duration), Failed> {
    let Some(stretch) = piece.stretch[side] else { return Ok((None, Duration::ZERO)) };
    let blocks = match stretch {
        Stretch::Whole => None,
        Stretch::Blocks(blocks) => Some(blocks),
    };
    // The other side's may be one that cannot be cut.
    let hands = &if stretch.can_be_cut() { hands.hurried() } else { *hands };
    let started = Instant::now();
    let region = |classes| Region { range: KeyRange::everything(), classes, blocks };
    let found = match &piece.ask {
        Ask::Digests { of, within } => digests(hands, side, &region(within.clone()), *of).await?,
        Ask::Rows(classes) => Found::Rows(rows(hands, side, &region(Some(classes.clone()))).await?),
    };
    Ok((Some(found), started.elapsed()))
}

async fn digests(hands: &Hands<'_>, side: Side, region: &Region, of: u32) -> Result<Found, Failed> {
    if hands.plan.group.is_some() {
        return group_digests(hands, side, region, of).await;
    }
    let rows = hands.ask(side, sql::class_digests(hands.plan, side, region, of)).await?;
    let read = |row: &Row| {
        let class: i64 = row.get(0)?;
        Ok((u32::try_from(class).unwrap_or(0), read_digest(row, 1)?.digest))
    };
    let digests = rows.iter().map(read).collect::<Result<_, _>>();
    digests.map(|digests| Found::Digests(digests, Vec::new())).map_err(|error| (Some(side), error))
}

/// The same where there are groups: a row for each group in each bucket. The target's groups are the
/// source's wherever digests agree.
async fn group_digests(
    hands: &Hands<'_>,
    side: Side,
    region: &Region,
    of: u32,
) -> Result<Found, Failed> {
    let at_side = |error: PgError| (Some(side), error);
    let parting = Parting { classes: Some(of), rules: false };
    let fields = parting.fields(hands.plan);
    let (mut digests, mut groups) = (BTreeMap::<u32, Digest>::new(), Vec::new());
    let mut rows = hands.rows(side, sql::part_digests(hands.plan, side, region, parting)).await?;
    while let Some(row) = rows.next().await? {
        let class: i64 = row.get(fields.class.unwrap_or(0)).map_err(at_side)?;
        let class = u32::try_from(class).unwrap_or(0);
        let digest = read_digest(&row, 0).map_err(at_side)?.digest;
        *digests.entry(class).or_default() += digest;
        if side == Side::Source {
            let group = fields.group.and_then(|field| row.field(field)).map(Into::into);
            groups.push(BucketGroup { class, group, rows: digest.rows });
        }
        if groups.len() > MOST_PARTS {
            return Err((Some(side), PgError::too_large("more groups than one piece may bring")));
        }
    }
    Ok(Found::Digests(digests.into_iter().collect(), groups))
}

async fn rows(hands: &Hands<'_>, side: Side, region: &Region) -> Result<Vec<BucketRow>, Failed> {
    let plan = hands.plan;
    let at_side = |error: PgError| (Some(side), error);
    let mut found = Vec::new();
    let mut rows = hands.rows(side, sql::key_hashes(plan, side, region)).await?;
    while let Some(row) = rows.next().await? {
        let hash: i64 = row.get(plan.key_width).map_err(at_side)?;
        let key = Key::of(&row, plan.key_width)
            .ok_or_else(|| at_side(PgError::unexpected("a key is NULL")))?;
        let group = plan.group.and_then(|_| row.field(plan.key_width + 1)).map(Into::into);
        found.push(BucketRow { key, fingerprint: Fingerprint::of_row_hash(hash), group });
        may_hold(found.len())?;
    }
    Ok(found)
}
