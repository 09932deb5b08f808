//! How a mapping's rows are parted into statements of half a second, and why so.
//!
//! Ranges of the key need an index on both sides whose order means the same on both, and cost one
//! scan of the table where rows lie in the order of their keys. Where they lie scattered, as under
//! random uuids, an index scan fetches a page for each row (2,000,000 rows of 240 bytes: 6.0 s in
//! ranges, 1.8 s in buckets); and where no index orders keys alike on both sides, every range would
//! read the whole table. There both tables are read once, as they lie, into buckets.

use super::side::SidePlan;
use super::strategy::Strategy;
use crate::schema::{BySide, Side};

/// How rows are parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// By ranges of the key.
    Ranges,
    /// By buckets of the key's hash, read as the rows lie.
    Buckets,
}

impl Partition {
    /// The word in every output.
    pub fn name(self) -> &'static str {
        match self {
            Partition::Ranges => "ranges",
            Partition::Buckets => "buckets",
        }
    }
}

/// With fewer rows than this an index scan of scattered rows is as good as any.
const FEW_ROWS: u64 = 50_000;

/// Chooses, with the reason. `scattered` tells of each side whether rows lie far from their
/// neighbours by key.
pub(super) fn choose(
    strategy: Strategy,
    sides: &BySide<SidePlan>,
    scattered: BySide<bool>,
    fixed: bool,
    grouped: bool,
) -> (Partition, String) {
    let proven = sides.all(|side| side.key_proof.is_some());
    let unserved = Side::BOTH.into_iter().find(|side| sides[*side].served_by.is_none());
    let far = |side: &Side| {
        scattered[*side] && sides[*side].estimated_rows.is_some_and(|rows| rows >= FEW_ROWS)
    };
    match (strategy, proven, unserved, Side::BOTH.into_iter().find(far)) {
        // A class of keys is one digest; a class of each group would be as many as there are rows.
        _ if grouped => (Partition::Ranges, "groups are counted range by range".into()),
        (Strategy::Stream, ..) => (Partition::Ranges, "rows are paired in key order".into()),
        // Duplicates of a key show only in a statement that sees all of them.
        (_, false, ..) => (Partition::Ranges, "no index proves the key".into()),
        (_, true, Some(side), _) => {
            (Partition::Buckets, format!("no index of the {side} orders keys as both sides do"))
        }
        (_, true, None, Some(side)) if !fixed => {
            (Partition::Buckets, format!("the {side}'s rows do not lie in the order of their keys"))
        }
        _ => (Partition::Ranges, "indexes serve the key".into()),
    }
}
