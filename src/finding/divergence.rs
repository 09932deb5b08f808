//! A finding: what differs, where, and whether it stood still. A fact without blame: neither side
//! is right until an authority is named.

use serde::{Deserialize, Serialize};

use super::{NamedValues, Ruling};
use crate::row::Group;
use crate::schema::{BySide, Side};

/// In which way the sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DivergenceKind {
    /// The row stands on the source only.
    OnlyInSource,
    /// The row stands on the target only.
    OnlyInTarget,
    /// The row stands on both sides with different values.
    Mismatch,
    /// A side has more than one row of this key.
    DuplicateKey,
    /// A side has rows with a NULL in their key.
    NullKey,
}

impl DivergenceKind {
    /// The kind of rows that only this side has.
    pub fn only_in(side: Side) -> DivergenceKind {
        match side {
            Side::Source => DivergenceKind::OnlyInSource,
            Side::Target => DivergenceKind::OnlyInTarget,
        }
    }

    /// The word in every machine format.
    pub fn name(self) -> &'static str {
        match self {
            DivergenceKind::OnlyInSource => "only_in_source",
            DivergenceKind::OnlyInTarget => "only_in_target",
            DivergenceKind::Mismatch => "mismatch",
            DivergenceKind::DuplicateKey => "duplicate_key",
            DivergenceKind::NullKey => "null_key",
        }
    }
}

/// What became of a suspect that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// It stood still and differs.
    Confirmed,
    /// It differs and kept changing.
    Unsettled,
    /// It stood still and differs, and that is agreed to.
    Accepted,
}

impl Disposition {
    /// The word in every machine format.
    pub fn name(self) -> &'static str {
        match self {
            Disposition::Confirmed => "confirmed",
            Disposition::Unsettled => "unsettled",
            Disposition::Accepted => "accepted",
        }
    }
}

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
    pub after: Option<NamedValues<String>>,
    /// The last key of the range.
    pub through: Option<NamedValues<String>>,
}

/// Which rows a finding speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingPlace {
    /// The row of this key.
    Key(NamedValues<String>),
    /// So many rows of a range in which only one side has any; all of them, unless the finding says
    /// how many there are.
    Range(RangeText, u64),
    /// Several rows of one key on one side.
    Duplicate(Side, u64, NamedValues<String>),
    /// Rows of one side with a NULL in their key.
    NullKey(Side, u64),
}

/// One confirmed or unsettled divergence.
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
    /// Of a range, how many rows there are, if rows of other groups or under another agreement are
    /// told in findings of their own.
    pub range_rows: Option<u64>,
    /// The group of the rows, where there are groups: the source's, if the row stands there.
    pub group: Option<Group>,
    /// Why it was agreed to.
    pub accept_reason: Option<String>,
    /// The columns that differ, with the values of both sides; empty where a side has no row.
    pub columns: NamedValues<BySide<Option<String>>>,
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

    /// The same finding, ruled as it was when it was written down: a record says what a ruling has
    /// said, and reading it back rules on nothing anew.
    pub(super) fn written(
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

    /// Whether it stood still or kept changing.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// How many rows of a side it speaks of.
    pub fn rows(&self) -> u64 {
        match &self.place {
            FindingPlace::Key(_) => 1,
            FindingPlace::Range(_, rows)
            | FindingPlace::Duplicate(_, rows, _)
            | FindingPlace::NullKey(_, rows) => *rows,
        }
    }
}
