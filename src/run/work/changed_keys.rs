//! A chunk of a comparison of recent changes: the keys whose row is recent on either side, each of which is
//! read on both sides, however old its row is there.
//!
//! ```text
//!              chunk: keys after a, through b
//!  source   ─·──x─────·────·──x──      · recent row
//!  target   ────x─────·───────o──      x key that is diff up, o its old row
//! ```
//!
//! A chunk is a range of keys, so each key is seen once, whichever side's row is recent, and no list of
//! keys is larger than that of a chunk. Where an index of each side finds recent rows, chunks are cut by
//! them; without one, all rows have to be read, and chunks are cut as for a whole comparison.

use std::time::Instant;

use hashbrown::HashSet;

use super::rows;
use super::task_context::TaskContext;
use crate::candidates::ScanResult;
use crate::chunks::MOST_CHANGED_KEYS;
use crate::compare::{CandidateKey, Expectation, RangeComparison};
use crate::pg::PgError;
use crate::prepare::SideError;
use crate::row::{Key, KeyRange};
use crate::schema::{BySide, Side};
use crate::sql;

/// The number of keys that are diff up together.
const AT_ONCE: usize = 1_000;

/// Compares the keys of a range whose rows changed recently.
pub(crate) async fn compare(
    context: &TaskContext<'_>,
    range: &KeyRange,
    expected: Expectation,
) -> Result<ScanResult, SideError> {
    let started = Instant::now();
    let (source, target) =
        tokio::join!(keys(context, Side::Source, range), keys(context, Side::Target, range));
    let mut keys = source?;
    keys.extend(target?);
    let keys: Vec<Key> = keys.into_iter().collect();
    let mut compared = RangeComparison::default();
    for keys in keys.chunks(AT_ONCE) {
        look_up(context, keys, &mut compared).await?;
    }
    if !context.plan.since_indexed() {
        // Progress and the size of the next chunk depend on all rows.
        compared.rows = BySide::new(|_| expected.rows);
    }
    Ok(ScanResult { compared, statement: started.elapsed() })
}

/// Reads the keys of one side's recent rows.
async fn keys(
    context: &TaskContext<'_>,
    side: Side,
    range: &KeyRange,
) -> Result<HashSet<Key>, SideError> {
    let plan = context.plan;
    let mut keys = HashSet::new();
    let mut rows = context.rows(side, sql::changed_keys(plan, side, range)).await?;
    while let Some(row) = rows.next().await? {
        let key = Key::of(&row, plan.key_width);
        keys.insert(key.ok_or_else(|| (Some(side), PgError::unexpected("a key is NULL")))?);
        if keys.len() as u64 > MOST_CHANGED_KEYS {
            return Err((Some(side), PgError::too_large("more keys than one chunk may have")));
        }
    }
    Ok(keys)
}

/// Looks keys up on both sides.
async fn look_up(
    context: &TaskContext<'_>,
    keys: &[Key],
    compared: &mut RangeComparison,
) -> Result<(), SideError> {
    let keys: Vec<&Key> = keys.iter().collect();
    for (key, diff) in keys.iter().zip(rows::recheck(context, &keys).await?) {
        let rows = diff.image.map(|digest| digest.rows);
        for side in Side::BOTH {
            compared.rows[side] += rows[side];
        }
        if diff.kind.is_some() {
            let (key, image) = ((*key).clone(), diff.image);
            compared.candidates.push(CandidateKey { key, image });
            continue;
        }
        // A row that was deleted on both sides is not counted.
        compared.matched += rows.source;
        if context.plan.group.is_some() {
            for group in &diff.groups.source {
                let place = compared.groups.place(group.as_deref().map(str::as_bytes));
                compared.groups.add(place, 1);
            }
        }
    }
    Ok(())
}
