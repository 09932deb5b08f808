//! The gate's judgement: a verdict with its reasons, and one for each group.

use serde::Serialize;

use super::conditions::GateInput;
use super::reason::Reason;

/// The verdict of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// Every condition holds.
    Open,
    /// A condition does not hold.
    Closed,
}

impl GateVerdict {
    fn of(open: bool) -> GateVerdict {
        if open { GateVerdict::Open } else { GateVerdict::Closed }
    }

    /// Returns the name in every format.
    pub fn name(self) -> &'static str {
        match self {
            GateVerdict::Open => "open",
            GateVerdict::Closed => "closed",
        }
    }
}

/// The verdict for one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupVerdict {
    /// The group's value.
    pub group: String,
    /// Whether its reads may be flipped.
    pub verdict: GateVerdict,
}

/// The gate's judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Every reason to keep it closed.
    pub reasons: Vec<Reason>,
    /// The complete runs that were judged, the newest first.
    pub runs: Vec<String>,
    /// The groups that were asked for.
    pub groups: Vec<GroupVerdict>,
}

impl Judgement {
    /// Returns the verdict: open if there is no reason to keep it closed.
    pub fn verdict(&self) -> GateVerdict {
        GateVerdict::of(self.reasons.is_empty())
    }
}

/// Judges an input.
pub fn judge(input: &GateInput) -> Judgement {
    let reasons = input.reasons();
    let judge_group = |group: &String| {
        let concerns = |reason: &Reason| reason.group.as_ref().is_none_or(|of| of == group);
        let verdict = GateVerdict::of(!reasons.iter().any(concerns));
        GroupVerdict { group: group.clone(), verdict }
    };
    let groups = input.groups.iter().map(judge_group).collect();
    let runs = input.counted_runs().map(|run| run.run.clone()).collect();
    Judgement { reasons, runs, groups }
}
