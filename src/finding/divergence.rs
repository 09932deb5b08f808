//! A finding: what differs, where, and whether it is confirmed. It does not say which side is
//! right: that is decided when a repair names the source of truth.

use serde::{Deserialize, Serialize};

use super::{Disposition, DivergenceKind, NamedValues, Ruling};
use crate::row::Group;
use crate::schema::{BySide, Side};

/// What became of a difference since the last run that found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recurrence {
    /// It is still there with the same values, so it is not lag.
    Same,
    /// It is still there with other values.
    Changed,
    /// A complete run between the two did not find it: it comes and goes, as lag does.
    Returned,
}

/// A key range as text; `None` is an open end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeText {
    /// The last key before the range.
    pub after: Option<NamedValues<String>>,
    /// The last key of the range.
    pub through: Option<NamedValues<String>>,
}

/// Which rows a finding is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingPlace {
    /// The row of this key.
    Key(NamedValues<String>),
    /// Rows of a range in which only one side has any: how many the finding is about.
    Range(RangeText, u64),
    /// Several rows of one key on one side.
    Duplicate(Side, u64, NamedValues<String>),
    /// Rows of one side with a NULL in their key.
    NullKey(Side, u64),
}

/// One difference: confirmed, unsettled or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The mapping's name.
    pub mapping: String,
    /// In which way the sides differ.
    pub kind: DivergenceKind,
    /// Private, so that a finding can only be made from a ruling.
    disposition: Disposition,
    /// Which rows.
    pub place: FindingPlace,
    /// The number of all rows of a range, if some have findings of their own because of another
    /// group or accept rule.
    pub range_rows: Option<u64>,
    /// The group of the rows, if there are groups: the source's, if the row is there.
    pub group: Option<Group>,
    /// The reason of the accept rule.
    pub accept_reason: Option<String>,
    /// The columns that differ, with the values of both sides; empty where a side has no row.
    pub columns: NamedValues<BySide<Option<String>>>,
    /// When each side's row was last changed, if the spec names a column for it.
    pub changed_at: BySide<Option<String>>,
    /// Whether values are left out and only column names are given (`--keys-only`).
    pub keys_only: bool,
    /// When it was first seen.
    pub first_seen: String,
    /// When it was last seen.
    pub last_seen: String,
    /// In how many runs it was seen.
    pub runs: u64,
    /// What became of it since the last of these runs, if there was one.
    pub recurrence: Option<Recurrence>,
}

impl Finding {
    /// Makes the finding that a ruling allows. `seen` is when it was first and last seen.
    pub fn new(
        ruling: &Ruling,
        mapping: &str,
        kind: DivergenceKind,
        place: FindingPlace,
        columns: NamedValues<BySide<Option<String>>>,
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

    /// Makes a finding from its stored parts, with the disposition that its ruling had.
    pub(super) fn from_stored(
        disposition: Disposition,
        mapping: String,
        kind: DivergenceKind,
        place: FindingPlace,
    ) -> Finding {
        Finding {
            mapping,
            kind,
            disposition,
            place,
            range_rows: None,
            group: None,
            accept_reason: None,
            columns: NamedValues::default(),
            changed_at: BySide::default(),
            keys_only: false,
            first_seen: String::new(),
            last_seen: String::new(),
            runs: 1,
            recurrence: None,
        }
    }

    /// Returns whether it is confirmed, unsettled or accepted.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// Returns how many rows of a side it is about.
    pub fn rows(&self) -> u64 {
        match &self.place {
            FindingPlace::Key(_) => 1,
            FindingPlace::Range(_, rows)
            | FindingPlace::Duplicate(_, rows, _)
            | FindingPlace::NullKey(_, rows) => *rows,
        }
    }
}
