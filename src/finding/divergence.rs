//! A finding: what differs, where, and whether it stood still. A fact without blame: neither side
//! is right until an authority is named.

use serde::{Deserialize, Serialize};

use super::{Disposition, Kind, Named, Ruling};
use crate::row::Group;
use crate::schema::{BySide, Side};

/// What became of a difference since the run before it that saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recurrence {
    /// It is there still, with the same values: no lag, something is wrong.
    Same,
    /// It is there still, with other values.
    Changed,
    /// A whole run between the two did not find it: it comes and goes, as lag does.
    Returned,
}

/// A key range as people read it; `None` is an open end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeText {
    /// The last key before the range.
    pub after: Option<Named<String>>,
    /// The last key of the range.
    pub through: Option<Named<String>>,
}

/// Which rows a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The row of this key.
    Key(Named<String>),
    /// So many rows of a range in which only one side has any; all of them, unless the finding says
    /// how many there are.
    Range(RangeText, u64),
    /// Several rows of one key on one side.
    Duplicate(Side, u64, Named<String>),
    /// Rows of one side with a NULL in their key.
    NullKey(Side, u64),
}

/// One confirmed or unsettled divergence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The mapping's name.
    pub mapping: String,
    /// In which way the sides differ.
    pub kind: Kind,
    /// Private, so that a finding can only be made from a ruling.
    disposition: Disposition,
    /// Which rows.
    pub place: Place,
    /// Of a range, how many rows there are, if rows of other groups or under another agreement are
    /// told in findings of their own.
    pub range_rows: Option<u64>,
    /// The group of the rows, where there are groups: the source's, if the row stands there.
    pub group: Option<Group>,
    /// Why it was agreed to.
    pub accept_reason: Option<String>,
    /// The columns that differ, with the values of both sides; empty where a side has no row.
    pub columns: Named<BySide<Option<String>>>,
    /// When each side's row was last changed, where the spec names a column that says so.
    pub changed_at: BySide<Option<String>>,
    /// Whether values are left out and only column names are given (`--keys-only`).
    pub keys_only: bool,
    /// When it was first seen.
    pub first_seen: String,
    /// When it was last seen.
    pub last_seen: String,
    /// In how many runs it was seen.
    pub runs: u64,
    /// What became of it since the last of them before this one, if there was one.
    pub recurrence: Option<Recurrence>,
}

impl Finding {
    /// Makes the finding that a ruling allows. `seen` is first and last sight.
    pub fn new(
        ruling: &Ruling,
        mapping: &str,
        kind: Kind,
        place: Place,
        columns: Named<BySide<Option<String>>>,
        seen: (String, String),
    ) -> Finding {
        Finding {
            mapping: mapping.to_owned(),
            kind,
            disposition: ruling.disposition(),
            place,
            range_rows: None,
            group: None,
            accept_reason: None,
            columns,
            changed_at: BySide::default(),
            keys_only: false,
            first_seen: seen.0,
            last_seen: seen.1,
            runs: 1,
            recurrence: None,
        }
    }

    /// The same finding, ruled as it was when it was written down: a record says what a ruling has
    /// said, and reading it back rules on nothing anew.
    pub(super) fn written(
        disposition: Disposition,
        mapping: String,
        kind: Kind,
        place: Place,
    ) -> Finding {
        Finding {
            mapping,
            kind,
            disposition,
            place,
            range_rows: None,
            group: None,
            accept_reason: None,
            columns: Named::default(),
            changed_at: BySide::default(),
            keys_only: false,
            first_seen: String::new(),
            last_seen: String::new(),
            runs: 1,
            recurrence: None,
        }
    }

    /// Whether it stood still or kept changing.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// How many rows of a side it speaks of.
    pub fn rows(&self) -> u64 {
        match &self.place {
            Place::Key(_) => 1,
            Place::Range(_, rows) | Place::Duplicate(_, rows, _) | Place::NullKey(_, rows) => *rows,
        }
    }
}
