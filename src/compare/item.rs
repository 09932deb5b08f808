//! What chunks hand on of rows that stand on one side only, and what becomes of it.

use std::sync::Arc;

use super::Suspected;
use crate::row::{Bound, Digest, Key, KeyOrder, KeyRange};
use crate::schema::{BySide, Side};

/// A range in which only one side has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The range.
    pub range: KeyRange,
    /// The side with the rows.
    pub side: Side,
    /// Their count and sum.
    pub digest: Digest,
}

/// What a chunk hands on, in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A key that differs, and the chunk that it was found in.
    Key(Suspected, Arc<KeyRange>),
    /// A chunk with rows on one side only.
    Lone(Piece),
}

/// The neighbouring keys of the other side around some rows; a missing one is an open end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last key before.
    pub after: Option<Bound>,
    /// The first key behind.
    pub until: Option<Bound>,
}

/// What becomes of the items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// This key of this chunk is a suspect by itself.
    Candidate(Suspected, Arc<KeyRange>),
    /// The rows of this range are suspects by themselves; their keys have to be read.
    ReadKeys(Piece),
    /// Ask for the gap of the side across from `side` around these keys, and call [`Runs::gap`].
    FindGap {
        /// The side with the rows.
        side: Side,
        /// At or above the gap's lower end; nothing for an open end.
        low: Option<Key>,
        /// At or below the gap's upper end; nothing for an open end.
        high: Option<Key>,
    },
    /// A run begins behind this key.
    Opened(Side, Option<Bound>),
    /// A piece of the run that is open.
    Piece(Piece),
    /// The run that is open is complete.
    Closed,
}

impl Item {
    /// Whether it ends at or before a key.
    pub(super) fn ends_by(&self, order: &KeyOrder, bound: Option<&Bound>) -> bool {
        let Some(bound) = bound else { return false };
        match self {
            Item::Key(suspect, _) => order.compare(&suspect.key, &bound.key).is_le(),
            // A chunk that the bound cuts in two has changed since it was read: it is told apart.
            Item::Lone(piece) => match &piece.range.after {
                Some(after) => order.compare(&after.key, &bound.key).is_lt(),
                None => true,
            },
        }
    }

    /// Whether it begins at or behind a key.
    pub(super) fn begins_behind(&self, order: &KeyOrder, bound: Option<&Bound>) -> bool {
        let Some(bound) = bound else { return false };
        match self {
            Item::Key(suspect, _) => order.compare(&suspect.key, &bound.key).is_ge(),
            Item::Lone(piece) => match &piece.range.after {
                Some(after) => order.compare(&after.key, &bound.key).is_ge(),
                None => false,
            },
        }
    }

    /// What it is where it belongs to no run.
    pub(super) fn release(self) -> Told {
        match self {
            Item::Key(suspect, home) => Told::Candidate(suspect, home),
            Item::Lone(piece) => Told::ReadKeys(piece),
        }
    }

    /// The only side that has exactly one row; nothing for a mismatch or a duplicate.
    pub(super) fn side(&self) -> Option<Side> {
        match self {
            Item::Lone(piece) => Some(piece.side),
            Item::Key(Suspected { image: BySide { source, target }, .. }, _) => {
                match (source.rows, target.rows) {
                    (1, 0) => Some(Side::Source),
                    (0, 1) => Some(Side::Target),
                    _ => None,
                }
            }
        }
    }

    /// Rows that it stands for.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Item::Key(..) => 1,
            Item::Lone(piece) => piece.digest.rows,
        }
    }
}
