//! In which way two sides differ, and whether the difference stayed as it was.

use serde::{Deserialize, Serialize};

use crate::schema::Side;

/// In which way the sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DivergenceKind {
    /// The row is on the source only.
    OnlyInSource,
    /// The row is on the target only.
    OnlyInTarget,
    /// The row is on both sides with different values.
    Mismatch,
    /// A side has more than one row of this key.
    DuplicateKey,
    /// A side has rows with a NULL in their key.
    NullKey,
}

impl DivergenceKind {
    /// Returns the kind of rows that only this side has.
    pub fn only_in(side: Side) -> DivergenceKind {
        match side {
            Side::Source => DivergenceKind::OnlyInSource,
            Side::Target => DivergenceKind::OnlyInTarget,
        }
    }

    /// Returns the name in machine formats.
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

/// What became of a candidate that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// It differs and did not change.
    Confirmed,
    /// It differs and kept changing.
    Unsettled,
    /// It differs and did not change, and an accept rule matches.
    Accepted,
}

impl Disposition {
    /// Returns the name in machine formats.
    pub fn name(self) -> &'static str {
        match self {
            Disposition::Confirmed => "confirmed",
            Disposition::Unsettled => "unsettled",
            Disposition::Accepted => "accepted",
        }
    }
}
