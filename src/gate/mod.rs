//! May reads be flipped? From what was agreed, the runs of the past and what both servers say now:
//! open, or closed with every reason.
//!
//! Everything that is not known closes. A run counts if it looked at every mapping as a whole; runs
//! that looked at a part of the keys, of the mappings or of earlier findings make nothing surer, but
//! what they found closes the gate as well. All of it is judged here, without I/O; who asks the ledger
//! and the servers hands the answers over as a [`GateInput`].

#[cfg(test)]
mod clock_tests;
mod clocks;
#[cfg(test)]
mod group_tests;
mod judge;
#[cfg(test)]
mod judgement_tests;
mod reason;
mod run;
mod sequence;

pub use clocks::Clocks;
pub use judge::{CatalogChange, GateInput, GateMapping, enough, verified};
pub use reason::{Condition, Reason};
pub use run::{GateRun, RunEnd, UnsettledRow};
pub use sequence::Sequence;

use serde::Serialize;

/// What the gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// Every condition holds.
    Open,
    /// One does not.
    Closed,
}

impl GateVerdict {
    fn of(open: bool) -> GateVerdict {
        if open { GateVerdict::Open } else { GateVerdict::Closed }
    }

    /// The word in every format.
    pub fn name(self) -> &'static str {
        match self {
            GateVerdict::Open => "open",
            GateVerdict::Closed => "closed",
        }
    }
}

/// What the gate says of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupVerdict {
    /// Its value.
    pub group: String,
    /// Whether its reads may be flipped.
    pub verdict: GateVerdict,
}

/// The judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Every reason to keep it closed.
    pub reasons: Vec<Reason>,
    /// The whole runs that were judged, the newest first.
    pub runs: Vec<String>,
    /// The groups that were asked for.
    pub groups: Vec<GroupVerdict>,
}

impl Gate {
    /// Open only if there is no reason against it.
    pub fn answer(&self) -> GateVerdict {
        GateVerdict::of(self.reasons.is_empty())
    }
}

/// Judges a case.
pub fn judge(case: &GateInput) -> Gate {
    let reasons = case.reasons();
    let answer = |group: &String| {
        let concerns = |reason: &Reason| reason.group.as_ref().is_none_or(|of| of == group);
        let verdict = GateVerdict::of(!reasons.iter().any(concerns));
        GroupVerdict { group: group.clone(), verdict }
    };
    let groups = case.groups.iter().map(answer).collect();
    let runs = case.whole_runs().map(|run| run.run.clone()).collect();
    Gate { reasons, runs, groups }
}
