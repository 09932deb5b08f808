//! A chunk of a comparison of what changed lately: the keys whose row is young enough on either side,
//! each of which is then read on both sides, however old its row is there.
//!
//! ```text
//!              chunk: keys after a, through b
//!  source   ─·──x─────·────·──x──      · young row
//!  target   ────x─────·───────o──      x key that is looked at, o its old row
//! ```
//!
//! A chunk is a range of keys, so each key is met once, whichever side's row is young, and no list of
//! keys is larger than a chunk's. Where an index of each side finds young rows, chunks are cut by them;
//! where none does, all rows have to be passed over, and chunks are cut as for a whole comparison.

use std::time::Instant;

use hashbrown::HashSet;

use super::Answer;
use super::hands::{Failed, Hands};
use super::steps;
use crate::compare::{CandidateKey, Expectation, RangeComparison};
use crate::pg::PgError;
use crate::row::{Key, KeyRange};
use crate::schema::{BySide, Side};
use crate::sql;

/// Keys of one side that a chunk may bring; a chunk with more is cut in two.
pub(in crate::run) const MOST_KEYS: u64 = 50_000;
/// Keys that are looked up at once.
const AT_ONCE: usize = 1_000;

/// Compares the keys of a range whose rows changed lately.
pub(in crate::run) async fn chunk(
    hands: &Hands<'_>,
    range: &KeyRange,
    expected: Expectation,
) -> Result<Answer, Failed> {
    let started = Instant::now();
    let (source, target) =
        tokio::join!(keys(hands, Side::Source, range), keys(hands, Side::Target, range));
    let mut keys = source?;
    keys.extend(target?);
    let keys: Vec<Key> = keys.into_iter().collect();
    let mut compared = RangeComparison::default();
    for keys in keys.chunks(AT_ONCE) {
        look(hands, keys, &mut compared).await?;
    }
    if !hands.plan.since_indexed() {
        // How far it is through the table, and how large the next chunk is, all rows say.
        compared.rows = BySide::new(|_| expected.rows);
    }
    Ok(Answer::Scanned { compared, statement: started.elapsed() })
}

/// The keys of one side's young rows.
async fn keys(hands: &Hands<'_>, side: Side, range: &KeyRange) -> Result<HashSet<Key>, Failed> {
    let plan = hands.plan;
    let mut keys = HashSet::new();
    let mut rows = hands.rows(side, sql::changed_keys(plan, side, range)).await?;
    while let Some(row) = rows.next().await? {
        let key = Key::of(&row, plan.key_width);
        keys.insert(key.ok_or_else(|| (Some(side), PgError::unexpected("a key is NULL")))?);
        if keys.len() as u64 > MOST_KEYS {
            return Err((Some(side), PgError::too_much("more keys than one chunk may bring")));
        }
    }
    Ok(keys)
}

/// Looks keys up on both sides.
async fn look(
    hands: &Hands<'_>,
    keys: &[Key],
    compared: &mut RangeComparison,
) -> Result<(), Failed> {
    let keys: Vec<&Key> = keys.iter().collect();
    for (key, looked) in keys.iter().zip(steps::look_at(hands, &keys).await?) {
        let rows = looked.image.map(|digest| digest.rows);
        for side in Side::BOTH {
            compared.rows[side] += rows[side];
        }
        if looked.kind.is_some() {
            let (key, image) = ((*key).clone(), looked.image);
            compared.candidates.push(CandidateKey { key, image });
            continue;
        }
        // Of a row that is gone from both sides nothing is left to count.
        compared.matched += rows.source;
        if hands.plan.group.is_some() {
            for group in &looked.groups.source {
                let place = compared.groups.place(group.as_deref().map(str::as_bytes));
                compared.groups.add(place, 1);
            }
        }
    }
    Ok(())
}
