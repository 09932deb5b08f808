//! Ranges of keys, and classes of keys within a range.
//!
//! ```text
//!   after            through
//! ────(──────────────────]────────▶ keys        half-open: chunks tile without gap or overlap,
//!   (──────────────]                            and the first and the last have open ends, so
//!                  (──────────────]             that no stale estimate ever leaves a row out
//! ```
//!
//! Drilling down does not cut a range further by order but by class: a class is the low bits of a
//! hash of the key. That works for keys of every type alike and needs no more boundaries.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Key;

/// A key at the end of a range, with its text for people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The key itself.
    pub key: Key,
    /// Its fields as PostgreSQL writes them.
    pub text: Arc<[String]>,
}

impl fmt::Debug for Bound {
    /// A key is row data: only a count of its fields is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bound({} fields)", self.text.len())
    }
}

/// The keys after one bound, up to and with another; a missing bound is an open end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRange {
    /// The last key before the range.
    pub after: Option<Bound>,
    /// The last key of the range.
    pub through: Option<Bound>,
}

impl KeyRange {
    /// Every key there is.
    pub fn everything() -> KeyRange {
        KeyRange::default()
    }

    /// Cuts the range at a key within it: what is up to and with it, and what is after it.
    pub fn cut(&self, at: Bound) -> (KeyRange, KeyRange) {
        (
            KeyRange { after: self.after.clone(), through: Some(at.clone()) },
            KeyRange { after: Some(at), through: self.through.clone() },
        )
    }
}

/// Some of the classes that keys fall into by the low bits of their hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashBuckets {
    /// How many classes there are: a power of two.
    pub of: u32,
    /// Those that are meant.
    pub chosen: Vec<u32>,
}

/// A stretch of a table's blocks, where rows are read as they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRange {
    /// The first block.
    pub from: u32,
    /// The first block behind it; nothing for the last stretch, whose end is open.
    pub until: Option<u32>,
}

/// Where a statement looks: a range of keys, perhaps only some classes of it, perhaps only where they
/// lie in some blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The range.
    pub range: KeyRange,
    /// The classes, or all.
    pub classes: Option<HashBuckets>,
    /// The blocks, or all.
    pub blocks: Option<BlockRange>,
}

impl Region {
    /// All of a range.
    pub fn whole(range: KeyRange) -> Region {
        Region { range, classes: None, blocks: None }
    }
}
