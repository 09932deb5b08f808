//! The partition of a mapping's rows into statements of half a second, with its reason.
//!
//! Key ranges need an index on both sides with the same order, and cost one scan of the table where rows
//! are stored in the order of their keys. Where rows are scattered, as with random uuids, an index scan
//! fetches a page for each row (2,000,000 rows of 240 bytes: 6.0 s in ranges, 1.8 s in buckets); and
//! where no index has the same order on both sides, every range would read the whole table. There both
//! tables are read once, in the order of their blocks, into hash buckets.

use serde::{Deserialize, Serialize};

use super::column_pairs::ColumnPair;
use super::pair::Expression;
use super::side::SidePlan;
use super::strategy::Strategy;
use crate::schema::{BySide, Relation, Side};
use crate::spec::Mapping;

/// How rows are divided into statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// By ranges of the key.
    Ranges,
    /// By buckets of the key's hash; tables are read in the order of their blocks.
    Buckets,
}

impl Partition {
    /// Returns the word that every output uses.
    pub fn name(self) -> &'static str {
        match self {
            Partition::Ranges => "ranges",
            Partition::Buckets => "buckets",
        }
    }
}

/// With fewer rows than this an index scan of scattered rows is fast enough.
const FEW_ROWS: u64 = 50_000;

/// The most groups that are counted in buckets: with more, a bucket of few rows has as many parts as rows.
const MOST_GROUPS: u64 = 4_096;

/// What the statistics say about a mapping's groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Groups {
    /// There are none.
    None,
    /// About this many.
    About(u64),
    /// Their number is not known.
    Unknown,
}

/// Returns what the statistics say about a mapping's groups.
pub(super) fn count_groups(
    mapping: &Mapping,
    pairs: &[ColumnPair],
    relations: BySide<&Relation>,
) -> Groups {
    let Some(name) = &mapping.group_by else { return Groups::None };
    let Some(pair) = pairs.iter().find(|pair| pair.name == name.value) else {
        return Groups::Unknown;
    };
    let distinct = |side: Side| match &pair.sides[side] {
        Expression::Column(column) => relations[side].column(column)?.distinct,
        Expression::Sql(_) => None,
    };
    match distinct(Side::Source).max(distinct(Side::Target)) {
        Some(groups) => Groups::About(groups),
        None => Groups::Unknown,
    }
}

/// Chooses the partition, with the reason. `scattered` says for each side whether rows are stored far
/// from their neighbours by key.
pub(super) fn choose(
    strategy: Strategy,
    sides: &BySide<SidePlan>,
    scattered: BySide<bool>,
    fixed: bool,
    groups: Groups,
) -> (Partition, String) {
    let proven = sides.all(|side| side.key_proof.is_some());
    let unserved = Side::BOTH.into_iter().find(|side| sides[*side].served_by.is_none());
    let far = |side: &Side| {
        scattered[*side] && sides[*side].estimated_rows.is_some_and(|rows| rows >= FEW_ROWS)
    };
    match (strategy, proven, unserved, Side::BOTH.into_iter().find(far)) {
        (Strategy::Stream, ..) => (Partition::Ranges, "rows are paired in key order".into()),
        // Duplicates of a key are seen only by a statement that reads all of them.
        (_, false, ..) => (Partition::Ranges, "no index proves the key".into()),
        (_, true, Some(side), _) => {
            (Partition::Buckets, format!("no index of the {side} orders keys as both sides do"))
        }
        (_, true, None, Some(_)) if !fixed && groups == Groups::Unknown => {
            (Partition::Ranges, "no statistics tell how many groups there are".into())
        }
        (_, true, None, Some(_)) if !fixed && matches!(groups, Groups::About(MOST_GROUPS..)) => {
            (Partition::Ranges, "there are too many groups to count them in buckets".into())
        }
        (_, true, None, Some(side)) if !fixed => {
            (Partition::Buckets, format!("the {side}'s rows do not lie in the order of their keys"))
        }
        _ => (Partition::Ranges, "indexes serve the key".into()),
    }
}
