//! Past runs as the ledger reports them: the outcome of each, and what has changed since the one
//! before.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SummaryRecord;
use super::record::has_no_clock;
use crate::schema::BySide;

/// The runs of one spec, the oldest first.
#[derive(Debug, Serialize)]
pub struct History {
    /// The spec's name.
    pub spec: String,
    /// The runs in the ledger.
    pub runs: Vec<PastRun>,
    /// Which part of each mapping was verified since when, by runs of the newest run's scope.
    pub verified: Vec<VerifiedShare>,
}

/// A verified part of a mapping.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifiedShare {
    /// The mapping's name.
    pub mapping: String,
    /// The share of its rows, 0 to 1.
    pub share: f64,
    /// The time since which all of that part was verified.
    pub since: String,
}

/// One past run.
#[derive(Debug, Serialize)]
pub struct PastRun {
    /// Its number in the ledger, larger than that of every run that started before it.
    #[serde(skip)]
    pub number: i64,
    /// Its id.
    pub run: String,
    /// The command: `compare` or `recheck`.
    pub verb: String,
    /// The blake3 of the spec file.
    pub spec_hash: String,
    /// Spec and parameters together: only runs of one scope can be compared.
    pub scope: String,
    /// When it started.
    pub started_at: String,
    /// The clocks of both servers at that time, as far as they could be read.
    #[serde(skip_serializing_if = "has_no_clock")]
    pub clocks: BySide<Option<String>>,
    /// When it was resumed after an interruption, each time.
    #[serde(skip)]
    pub resumed_at: Vec<String>,
    /// The share of the keys that it compared, if not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// Whether it was a `--slice`: it compared what had gone unverified for longest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub slice: bool,
    /// The age of rows on either side up to which their keys were compared, if not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How it ended; `None` if it was killed or is still running.
    pub summary: Option<SummaryRecord>,
    /// Rows of each side, of all mappings that were finished.
    pub rows: BySide<u64>,
    /// The smallest share of a mapping's rows that was judged.
    pub coverage: Option<f64>,
    /// Reported findings: the confirmed ones by kind, the others as `accepted` and `unsettled`.
    pub findings: BTreeMap<String, u64>,
    /// Rows of findings, by the same names: a finding may be about a range of rows, and findings
    /// beyond `max_findings` only count here.
    pub found_rows: BTreeMap<String, u64>,
    /// Whether stored values do not match their checksums: then the other fields may be wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// The comparison with the last run of its scope before it that compared a whole mapping, if
    /// there is one.
    pub trend: Option<Trend>,
}

impl PastRun {
    /// Makes a run without further knowledge.
    pub fn new(run: &str, verb: &str, scope: &str, started_at: &str) -> PastRun {
        PastRun {
            number: 0,
            run: run.to_owned(),
            verb: verb.to_owned(),
            spec_hash: String::new(),
            scope: scope.to_owned(),
            started_at: started_at.to_owned(),
            clocks: BySide::default(),
            resumed_at: Vec::new(),
            sample: None,
            slice: false,
            since: None,
            summary: None,
            rows: BySide::default(),
            coverage: None,
            findings: BTreeMap::new(),
            found_rows: BTreeMap::new(),
            damaged: false,
            trend: None,
        }
    }

    /// Returns the number of reported findings of every kind.
    pub fn finding_count(&self) -> u64 {
        self.findings.values().sum()
    }
}

/// Findings of a run compared with those of the run before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// Those that the run before did not have.
    pub new: u64,
    /// Those that both have, with other values.
    pub changed: u64,
    /// Those that both have, with the same values.
    pub same: u64,
    /// Those that only the run before had, of mappings that were compared as a whole.
    pub gone: u64,
}
