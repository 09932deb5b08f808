//! In which way two sides differ, and whether the difference stood still.

use serde::{Deserialize, Serialize};

use crate::schema::Side;

/// In which way the sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
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

impl Kind {
    /// The kind of rows that only this side has.
    pub fn only_in(side: Side) -> Kind {
        match side {
            Side::Source => Kind::OnlyInSource,
            Side::Target => Kind::OnlyInTarget,
        }
    }

    /// The word in every machine format.
    pub fn name(self) -> &'static str {
        match self {
            Kind::OnlyInSource => "only_in_source",
            Kind::OnlyInTarget => "only_in_target",
            Kind::Mismatch => "mismatch",
            Kind::DuplicateKey => "duplicate_key",
            Kind::NullKey => "null_key",
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
