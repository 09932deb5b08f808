//! `[compare]`: the settings of a comparison. Flags of the command line override each of them.

use std::time::Duration;

use super::reader::Reader;

/// The choices for `strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyChoice {
    /// The plan chooses.
    Auto,
    /// The servers hash their rows.
    Digest,
    /// The client reads the rows and compares them.
    Stream,
}

impl StrategyChoice {
    /// The words in a spec and on the command line.
    pub const WORDS: [(&'static str, StrategyChoice); 3] = [
        ("auto", StrategyChoice::Auto),
        ("digest", StrategyChoice::Digest),
        ("stream", StrategyChoice::Stream),
    ];
}

/// What happens with a column that is neither mapped nor ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapped {
    /// It is an error, before any row is read.
    Error,
    /// It is a warning.
    Warn,
    /// It is not reported.
    Ignore,
}

impl Unmapped {
    /// The words in a spec.
    pub const WORDS: [(&'static str, Unmapped); 3] =
        [("error", Unmapped::Error), ("warn", Unmapped::Warn), ("ignore", Unmapped::Ignore)];
}

/// `[compare]`, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareSettings {
    /// The strategy.
    pub strategy: StrategyChoice,
    /// The time for which a difference must not change before it is reported.
    pub settle: Duration,
    /// The number of connections to a side, for scan, drill-down and recheck.
    pub jobs: usize,
    /// The time that the statement of a chunk should take.
    pub chunk_time: Duration,
    /// The most time that a statement may take.
    pub statement_timeout: Duration,
    /// The most time that a run may take, if there is a limit.
    pub deadline: Option<Duration>,
    /// The number of findings that are reported for a mapping; the others are only counted.
    pub max_findings: u64,
    /// The number of rows that may keep changing without making the run incomplete.
    pub max_unsettled: u64,
    /// Whether columns of the same name are paired by default.
    pub pair_by_name: bool,
    /// What happens with a column that is neither mapped nor ignored.
    pub unmapped: Unmapped,
}

impl Default for CompareSettings {
    fn default() -> Self {
        CompareSettings {
            strategy: StrategyChoice::Auto,
            settle: Duration::from_secs(15),
            jobs: 2,
            chunk_time: Duration::from_millis(500),
            statement_timeout: Duration::from_secs(60),
            deadline: None,
            max_findings: 100_000,
            max_unsettled: 0,
            pair_by_name: true,
            unmapped: Unmapped::Error,
        }
    }
}

/// The most connections to a side: more do not make a run faster.
const MOST_JOBS: u64 = 64;

pub(super) fn read_compare(document: &mut Reader<'_>) -> CompareSettings {
    let mut settings = CompareSettings::default();
    let Some(mut table) = document.table("compare", "[compare]") else { return settings };
    if let Some(strategy) = table.choice("strategy", &StrategyChoice::WORDS) {
        settings.strategy = strategy;
    }
    if let Some(settle) = table.duration("settle") {
        settings.settle = settle;
    }
    if let Some(jobs) = table.number_within("jobs", 1, MOST_JOBS) {
        settings.jobs = usize::try_from(jobs).unwrap_or(1);
    }
    if let Some(time) = table.time("chunk_time") {
        settings.chunk_time = time;
    }
    if let Some(time) = table.time("statement_timeout") {
        settings.statement_timeout = time;
    }
    if let Some(most) = table.number("max_findings", 1) {
        settings.max_findings = most;
    }
    if let Some(most) = table.number("max_unsettled", 0) {
        settings.max_unsettled = most;
    }
    if let Some(pair) = table.boolean("pair_by_name") {
        settings.pair_by_name = pair;
    }
    if let Some(unmapped) = table.choice("unmapped", &Unmapped::WORDS) {
        settings.unmapped = unmapped;
    }
    settings.deadline = table.time("deadline");
    table.finish();
    settings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::spec::{SpecText, read};

    #[test]
    fn a_setting_out_of_its_range_is_refused() {
        for (setting, why) in [
            ("jobs = 65", "\"jobs\" must be at most 64"),
            ("jobs = 0", "\"jobs\" must be at least 1"),
            ("chunk_time = \"0s\"", "\"chunk_time\" must be more than zero"),
            ("deadline = \"0s\"", "\"deadline\" must be more than zero"),
            ("statement_timeout = \"0ms\"", "\"statement_timeout\" must be more than zero"),
        ] {
            let text = format!("[compare]\n{setting}\n");
            let text = SpecText { path: "x.toml".into(), text };
            let problems = read(text, &BTreeMap::new(), &|_| None).unwrap_err();
            assert!(problems.first.iter().any(|problem| problem.message == why), "{setting}");
        }
    }
}
