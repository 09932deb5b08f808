//! The types of a condition and of a reason. `conditions` and `run` word the reasons.

use serde::Serialize;

/// Which condition does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// The spec is the one that the runs compared.
    SpecChange,
    /// The tables are those that the runs compared.
    SchemaChange,
    /// The last runs were complete and clean, and there are enough of them.
    CleanRuns,
    /// No row is unsettled.
    Unsettled,
    /// Every mapping has rows.
    Empty,
    /// Everything was verified within the window.
    Coverage,
    /// The newest run is recent enough.
    Age,
    /// No run is in the future.
    Clock,
    /// Every accept rule is still valid.
    ExpiredAccept,
    /// The target's sequences are ahead of its keys.
    Sequence,
    /// Runs have rows of the group.
    Group,
}

/// One reason, on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The condition.
    pub condition: Condition,
    /// The mapping that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// The group that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The run that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What does not hold: lowercase, without a full stop.
    pub message: String,
}

impl Reason {
    /// Makes a reason.
    pub(super) fn new(condition: Condition, message: impl Into<String>) -> Reason {
        Reason { condition, mapping: None, group: None, run: None, message: message.into() }
    }

    pub(super) fn of_mapping(self, mapping: &str) -> Reason {
        Reason { mapping: Some(mapping.to_owned()), ..self }
    }

    pub(super) fn of_group(self, group: Option<&String>) -> Reason {
        Reason { group: group.cloned(), ..self }
    }

    pub(super) fn of_run(self, run: &str) -> Reason {
        Reason { run: Some(run.to_owned()), ..self }
    }
}
