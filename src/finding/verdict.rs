//! The verdict of a run, and its exit code.

use serde::{Deserialize, Serialize};

/// The verdict of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything requested was compared, and agrees.
    Clean,
    /// Everything requested was compared; confirmed divergence exists.
    Diverged,
    /// Not everything requested was compared.
    Incomplete,
}

impl Verdict {
    /// Returns the name in every format.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Diverged => "diverged",
            Verdict::Incomplete => "incomplete",
        }
    }
}

/// Returns the exit code for a verdict.
pub fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Clean => 0,
        Verdict::Diverged => 1,
        Verdict::Incomplete => 3,
    }
}
