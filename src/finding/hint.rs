//! A hint: an explanation of many findings of a mapping, with its evidence.

use serde::{Deserialize, Serialize};

use super::{DivergenceKind, NamedValues};

/// An explanation of findings. At least [`MIN_SHARE`] of those that it is about must fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    /// The name of the explanation, for programs.
    pub hint: String,
    /// The kind of findings that it is about; all kinds if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DivergenceKind>,
    /// The pairs that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The explanation with its evidence, for people.
    pub says: String,
    /// Confirmed findings that fit; of ranges, their rows.
    pub fit: u64,
    /// Confirmed findings of this kind in which these pairs differ.
    pub of: u64,
    /// The share of those that fit, rounded down.
    pub share: f64,
    /// Keys of some that fit.
    pub examples: Vec<NamedValues<String>>,
}

/// The smallest share of findings that must fit.
pub const MIN_SHARE: f64 = 0.8;

impl Hint {
    /// Makes a hint; `None` if too few findings fit.
    pub fn new(
        hint: &str,
        kind: Option<DivergenceKind>,
        says: String,
        fit: u64,
        of: u64,
    ) -> Option<Hint> {
        let share = fit as f64 / of as f64;
        (fit > 0 && share >= MIN_SHARE).then(|| Hint {
            hint: hint.to_owned(),
            kind,
            columns: Vec::new(),
            says,
            fit,
            of,
            share: (share * 1e4).floor() / 1e4,
            examples: Vec::new(),
        })
    }
}
