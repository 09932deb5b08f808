//! What a scan needs next: chunks of keys, or blocks.

use serde::{Deserialize, Serialize};

use crate::compare::{BlockQuery, Expectation};
use crate::row::{BlockRange, KeyRange};
use crate::schema::{BySide, Side};

/// What the chunk queue needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScanStep {
    /// Read the histogram of the key.
    Histogram { side: Side },
    /// Find the key at this row of a range.
    Probe { side: Side, range: KeyRange, rows: u64 },
    /// Compare a chunk.
    Scan { chunk: u64, range: KeyRange, expected: Expectation, smallest: bool },
}

/// What the table scan needs next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockStep {
    /// Read how many blocks the tables have.
    Count,
    /// Read blocks.
    Read(BlockRead),
}

/// Blocks to read: a range of each side that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockRead {
    pub(crate) number: u64,
    pub(crate) query: BlockQuery,
    /// `None` for a side that is complete.
    pub(crate) ranges: BySide<Option<TablePart>>,
}

/// The part of a table that one statement reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TablePart {
    /// The whole table.
    Whole,
    /// These blocks.
    Blocks(BlockRange),
}

impl TablePart {
    /// Returns whether it can be read in two parts if one statement takes too long.
    pub(crate) fn can_be_cut(self) -> bool {
        match self {
            TablePart::Whole => false,
            TablePart::Blocks(BlockRange { from, until }) => until.unwrap_or(u32::MAX) - from > 1,
        }
    }
}
