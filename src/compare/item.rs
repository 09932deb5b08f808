//! The differences of a chunk that may belong to a one-sided range, and the events that follow.

use std::sync::Arc;

use super::CandidateKey;
use crate::row::{Bound, Digest, Key, KeyOrder, KeyRange};
use crate::schema::{BySide, Side};

/// A range in which only one side has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneSidedRange {
    /// The range.
    pub range: KeyRange,
    /// The side with the rows.
    pub side: Side,
    /// Their count and sum.
    pub digest: Digest,
}

/// A difference that a chunk found; a chunk lists them in key order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A key that differs, with the range of its chunk.
    Key(CandidateKey, Arc<KeyRange>),
    /// A chunk in which only one side has rows.
    OneSided(OneSidedRange),
}

/// The gap in the other side's keys around some rows; a missing end is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGap {
    /// The last key of the other side before it.
    pub after: Option<Bound>,
    /// The first key of the other side behind it.
    pub until: Option<Bound>,
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeEvent {
    /// Rechecks this key of this chunk by itself.
    Candidate(CandidateKey, Arc<KeyRange>),
    /// Reads the keys of this range, and rechecks each by itself.
    ReadKeys(OneSidedRange),
    /// Finds the gap in the keys of the other side around these keys, and calls [`OneSidedRanges::add_gap`].
    FindGap {
        /// The side with the rows.
        side: Side,
        /// A key at or above the gap's lower end; `None` for an open end.
        low: Option<Key>,
        /// A key at or below the gap's upper end; `None` for an open end.
        high: Option<Key>,
    },
    /// Opens a one-sided range behind this key.
    Opened(Side, Option<Bound>),
    /// Adds a part to the range that is open.
    Part(OneSidedRange),
    /// Closes the range that is open: it is complete.
    Closed,
}

impl Item {
    /// Returns whether the item ends at or before a key.
    pub(super) fn ends_by(&self, order: &KeyOrder, bound: Option<&Bound>) -> bool {
        let Some(bound) = bound else { return false };
        match self {
            Item::Key(candidate, _) => order.compare(&candidate.key, &bound.key).is_le(),
            // A chunk that contains the bound has changed since it was read: its keys are read again.
            Item::OneSided(range) => match &range.range.after {
                Some(after) => order.compare(&after.key, &bound.key).is_lt(),
                None => true,
            },
        }
    }

    /// Returns whether the item begins at or behind a key.
    pub(super) fn begins_behind(&self, order: &KeyOrder, bound: Option<&Bound>) -> bool {
        let Some(bound) = bound else { return false };
        match self {
            Item::Key(candidate, _) => order.compare(&candidate.key, &bound.key).is_ge(),
            Item::OneSided(range) => match &range.range.after {
                Some(after) => order.compare(&after.key, &bound.key).is_ge(),
                None => false,
            },
        }
    }

    /// Returns the event for an item that belongs to no one-sided range.
    pub(super) fn into_event(self) -> RangeEvent {
        match self {
            Item::Key(candidate, chunk) => RangeEvent::Candidate(candidate, chunk),
            Item::OneSided(range) => RangeEvent::ReadKeys(range),
        }
    }

    /// Returns the only side that has the row or rows; `None` for a mismatch or a duplicate.
    pub(super) fn side(&self) -> Option<Side> {
        match self {
            Item::OneSided(range) => Some(range.side),
            Item::Key(CandidateKey { image: BySide { source, target }, .. }, _) => {
                match (source.rows, target.rows) {
                    (1, 0) => Some(Side::Source),
                    (0, 1) => Some(Side::Target),
                    _ => None,
                }
            }
        }
    }

    /// Returns the number of rows.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Item::Key(..) => 1,
            Item::OneSided(range) => range.digest.rows,
        }
    }
}
