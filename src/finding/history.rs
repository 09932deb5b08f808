//! Runs of the past as they are told: what each came to, and what has changed since the run before.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SummaryRecord;
use super::record::none_noted;
use crate::schema::BySide;

/// The runs of one spec, the oldest first.
#[derive(Debug, Serialize)]
pub struct History {
    /// The spec's name.
    pub spec: String,
    /// The runs that are remembered.
    pub runs: Vec<PastRun>,
    /// Which part of each mapping was verified when, as far as runs of the newest one's scope go.
    pub verified: Vec<VerifiedShare>,
}

/// A part of a mapping that was verified.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifiedShare {
    /// The mapping's name.
    pub mapping: String,
    /// The share of its rows, 0 to 1.
    pub share: f64,
    /// The moment since which all of that part was verified.
    pub since: String,
}

/// One run of the past.
#[derive(Debug, Serialize)]
pub struct PastRun {
    /// Its number in the ledger, which is larger than that of every run that began before it.
    #[serde(skip)]
    pub number: i64,
    /// Its id.
    pub run: String,
    /// What it was: `compare`.
    pub verb: String,
    /// The blake3 of the spec file.
    pub spec_hash: String,
    /// Spec and parameters together: only runs of one scope can be held against each other.
    pub scope: String,
    /// When it began.
    pub started_at: String,
    /// The clocks of both servers at that moment, as far as they could be asked.
    #[serde(skip_serializing_if = "none_noted")]
    pub clocks: BySide<Option<String>>,
    /// When it went on after an interruption, each time.
    #[serde(skip)]
    pub resumed_at: Vec<String>,
    /// The share of the keys that it looked at, if not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// Whether it took what had gone unverified for longest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub slice: bool,
    /// How young a row had to be on either side for its key to be looked at, if not all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// How it ended; nothing if it was killed or is still under way.
    pub summary: Option<SummaryRecord>,
    /// Rows of each side, of all mappings that came to their end.
    pub rows: BySide<u64>,
    /// The least share of a mapping's rows that was judged.
    pub coverage: Option<f64>,
    /// Findings that were told: the confirmed ones by kind, the others as `accepted` and `unsettled`.
    pub findings: BTreeMap<String, u64>,
    /// Rows that were found, by the same names: a finding may speak of a range of them, and of more
    /// findings than were told only the rows are counted.
    pub found_rows: BTreeMap<String, u64>,
    /// Whether stored values do not match their checksums: then nothing else of it is known for sure.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Against the last run before it of its scope that compared a mapping whole, if there is one.
    pub trend: Option<Trend>,
}

impl PastRun {
    /// A run of which no more is known yet.
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

    /// Findings that were told, of every kind.
    pub fn found(&self) -> u64 {
        self.findings.values().sum()
    }
}

/// Findings of a run against those of the run before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// Those that the run before did not have.
    pub new: u64,
    /// Those of both, with other values.
    pub changed: u64,
    /// Those of both, with the same values.
    pub same: u64,
    /// Those that only the run before had, of mappings that were compared whole.
    pub gone: u64,
}
