//! The verdict of a run, and the exit code that it stands for.

use serde::{Deserialize, Serialize};

/// What a run says in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything asked was compared, and agrees.
    Clean,
    /// Everything asked was compared; confirmed divergence exists.
    Diverged,
    /// Not everything asked was compared.
    Incomplete,
}

impl Verdict {
    /// The word in every format.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Diverged => "diverged",
            Verdict::Incomplete => "incomplete",
        }
    }
}

/// The exit code that a verdict stands for.
pub fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Clean => 0,
        Verdict::Diverged => 1,
        Verdict::Incomplete => 3,
    }
}
