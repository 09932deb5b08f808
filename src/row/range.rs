//! Ranges of keys, and hash buckets of keys within a range.
//!
//! ```text
//!   after            through
//! ────(──────────────────]────────▶ keys        half-open: chunks tile without gap or overlap,
//!   (──────────────]                            and the first and the last have open ends, so
//!                  (──────────────]             that no stale estimate ever leaves a row out
//! ```
//!
//! Drill-down divides a range not by order but by hash bucket: the low bits of a hash of the key. That
//! works for keys of every type and needs no further boundaries.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Key;

/// A key at the end of a range, with its display text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The key itself.
    pub key: Key,
    /// Its fields as PostgreSQL prints them.
    pub text: Arc<[String]>,
}

impl fmt::Debug for Bound {
    /// Shows only the number of fields, for a key is row data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound({} fields)", self.text.len())
    }
}

/// The keys after one bound, up to and including another; a missing bound is an open end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// The last key before the range.
    pub after: Option<Bound>,
    /// The last key of the range.
    pub through: Option<Bound>,
}

impl KeyRange {
    /// Returns the range of all keys.
    pub fn everything() -> KeyRange {
        KeyRange::default()
    }

    /// Splits the range at a key within it: the keys up to and including it, and those after it.
    pub fn cut(&self, at: Bound) -> (KeyRange, KeyRange) {
        (
            KeyRange { after: self.after.clone(), through: Some(at.clone()) },
            KeyRange { after: Some(at), through: self.through.clone() },
        )
    }
}

/// Some of the hash buckets of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashBuckets {
    /// How many buckets there are: a power of two.
    pub of: u32,
    /// The numbers of the chosen buckets.
    pub chosen: Vec<u32>,
}

/// A range of a table's blocks, whose rows are read in physical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRange {
    /// The first block.
    pub from: u32,
    /// The first block after it; `None` for the last range, whose end is open.
    pub until: Option<u32>,
}

/// The rows that a statement reads: a range of keys, or some hash buckets of it, or some blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The range.
    pub range: KeyRange,
    /// The hash buckets, or all.
    pub buckets: Option<HashBuckets>,
    /// The blocks, or all.
    pub blocks: Option<BlockRange>,
}

impl Region {
    /// Makes the region of a whole range.
    pub fn whole(range: KeyRange) -> Region {
        Region { range, buckets: None, blocks: None }
    }
}
