//! The records of a run, a mapping and a run's end in machine formats.
//!
//! Field names and their order are a contract with other programs: fields are only added.

use jiff::{SignedDuration, Timestamp};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use super::{
    Disposition, DivergenceKind, Finding, FindingPlace, GroupRecord, Hint, NamedValues, RangeText,
    SideCounts, ThrottleRecord, Verdict, exit_code,
};
use crate::schema::BySide;

/// The format's version, in every record.
const VERSION: u32 = 1;

/// Formats a time as records have it: UTC, to the millisecond.
pub fn format_timestamp(at: Timestamp) -> String {
    let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    at.to_string()
}

/// Returns whether neither server's clock was recorded.
pub(super) fn has_no_clock(clocks: &BySide<Option<String>>) -> bool {
    !clocks.any(Option::is_some)
}

/// What a run compares.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "run")]
pub struct RunRecord {
    version: u32,
    /// The run's id, a ULID.
    pub run: String,
    /// The spec's name.
    pub spec: String,
    /// The blake3 of the spec file.
    pub spec_hash: String,
    /// Spec and parameters together: only runs of one scope can be compared.
    pub scope: String,
    /// Parameters in effect.
    pub params: NamedValues<String>,
    /// The share of the keys that is compared, if not all of them: `1%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// The age of rows on either side up to which their keys are compared, if not all are: `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether it is a `--slice`: it compares what has gone unverified for longest, until its
    /// deadline.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slice: bool,
    /// The only mappings that are compared, if not all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<String>,
    /// When it started.
    pub started_at: String,
    /// The clocks of both servers at that time, as far as they could be read.
    #[serde(default, skip_serializing_if = "has_no_clock")]
    pub clocks: BySide<Option<String>>,
    /// When it was resumed after an interruption, each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed_at: Vec<String>,
    /// Name and version of this program.
    pub tool: String,
}

impl RunRecord {
    /// Returns whether it compares every key of every mapping.
    pub fn is_of_everything(&self) -> bool {
        let all = self.sample.is_none() && self.since.is_none() && self.mappings.is_empty();
        all && !self.slice
    }

    /// Returns when the run ended, or if it has no end, when it was started or last resumed, by the
    /// clock of its machine.
    pub fn last_time(&self, summary: Option<&SummaryRecord>) -> Option<Timestamp> {
        let started = self.resumed_at.last().unwrap_or(&self.started_at).parse().ok()?;
        summary.map_or(Some(started), |summary| summary.ended_at(started))
    }

    /// Makes the record of a run that starts now.
    pub fn new(
        run: String,
        spec: &str,
        spec_hash: String,
        scope: String,
        params: NamedValues<String>,
    ) -> RunRecord {
        RunRecord {
            version: VERSION,
            run,
            spec: spec.to_owned(),
            spec_hash,
            scope,
            params,
            sample: None,
            since: None,
            slice: false,
            mappings: Vec::new(),
            started_at: format_timestamp(Timestamp::now()),
            clocks: BySide::default(),
            resumed_at: Vec::new(),
            tool: concat!("pgreconcile ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Part of the reason of everything that is undecided because a table has changed during the run. The
/// ledger is searched for it.
pub const CHANGED: &str = " has changed under way: ";

/// A range of keys that could not be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "undecided")]
pub struct Undecided {
    version: u32,
    /// The mapping's name.
    pub mapping: String,
    /// The range.
    pub range: RangeText,
    /// Why.
    pub reason: String,
}

impl Undecided {
    /// Makes the record of a range that could not be judged.
    pub fn new(mapping: &str, range: RangeText, reason: String) -> Undecided {
        Undecided { version: VERSION, mapping: mapping.to_owned(), range, reason }
    }

    /// Returns whether a table had changed: such a run cannot be resumed.
    pub fn is_table_change(&self) -> bool {
        self.reason.contains(CHANGED)
    }
}

/// The outcome of a mapping's comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "mapping")]
pub struct MappingRecord {
    version: u32,
    /// The mapping's name.
    pub mapping: String,
    /// `digest` or `stream`.
    pub strategy: String,
    /// Rows read on each side.
    pub rows: BySide<u64>,
    /// Candidates that agreed when rechecked.
    pub healed: u64,
    /// Findings that an accept rule matches.
    pub accepted: u64,
    /// Keys confirmed as on the source only.
    pub only_in_source: u64,
    /// Keys confirmed as on the target only.
    pub only_in_target: u64,
    /// Keys confirmed as different.
    pub mismatch: u64,
    /// Rows that kept changing.
    pub unsettled: u64,
    /// Share of the rows that was judged, 0 to 1.
    pub coverage: f64,
    /// Whether everything asked was compared.
    pub complete: bool,
    /// Whether there were more findings than `max_findings`.
    pub truncated: bool,
    /// Whether neither side has a row.
    pub empty: bool,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// Wall time.
    pub elapsed_ms: u64,
    /// Row counts of each side.
    pub books: BySide<SideCounts>,
    /// The pair by whose values rows are counted in groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// The groups, one for every value that a row of either side has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupRecord>>,
    /// Rows that were read and could not be judged, so that their group is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ungrouped: Option<BySide<u64>>,
    /// Accept rules that have expired.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired_accepts: Vec<ExpiredAccept>,
    /// Findings of earlier runs that a slice could not recheck first, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_recalled: Option<NotRecalled>,
    /// What was damaged in the ledger's record of the interrupted run, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_again: Option<ReadAgain>,
    /// Explanations of its findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
    /// The first and the last key of each side, if they were read: hints need them.
    #[serde(skip)]
    pub ends: BySide<Option<[NamedValues<String>; 2]>>,
}

impl MappingRecord {
    /// Returns the rows of findings by kind, or by disposition if they are not confirmed.
    pub fn found_rows(&self) -> [(&'static str, u64); 5] {
        [
            (DivergenceKind::OnlyInSource.name(), self.only_in_source),
            (DivergenceKind::OnlyInTarget.name(), self.only_in_target),
            (DivergenceKind::Mismatch.name(), self.mismatch),
            (Disposition::Accepted.name(), self.accepted),
            (Disposition::Unsettled.name(), self.unsettled),
        ]
    }
}

/// Findings of earlier runs that could not be rechecked before their range was scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRecalled {
    /// How many.
    pub findings: u64,
    /// Why.
    pub why: String,
}

/// What was read again after an interruption because the ledger's record of it was damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAgain {
    /// Stored results that were damaged.
    pub damaged: u64,
    /// Chunks that were not read again; 0 if the mapping was read from its start.
    pub chunks_kept: u64,
}

/// An accept rule that has expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiredAccept {
    /// Its reason.
    pub reason: String,
    /// The last day on which it was valid.
    pub until: String,
}

impl MappingRecord {
    /// Makes the record of a mapping of which nothing is known yet.
    pub fn new(mapping: &str, strategy: &str) -> MappingRecord {
        MappingRecord {
            version: VERSION,
            mapping: mapping.to_owned(),
            strategy: strategy.to_owned(),
            rows: BySide::default(),
            healed: 0,
            accepted: 0,
            only_in_source: 0,
            only_in_target: 0,
            mismatch: 0,
            unsettled: 0,
            coverage: 0.0,
            complete: false,
            truncated: false,
            empty: false,
            reason: None,
            elapsed_ms: 0,
            books: BySide::default(),
            group_by: None,
            groups: None,
            ungrouped: None,
            expired_accepts: Vec::new(),
            not_recalled: None,
            read_again: None,
            hints: Vec::new(),
            ends: BySide::default(),
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "summary")]
pub struct SummaryRecord {
    version: u32,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether everything asked was compared.
    pub complete: bool,
    /// The exit code that this spec alone would give.
    pub exit_code: u8,
    /// Wall time.
    pub elapsed_ms: u64,
    /// When the run ended, by the clock of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// The clocks of both servers at that time, as far as they could be read.
    #[serde(default, skip_serializing_if = "has_no_clock")]
    pub clocks: BySide<Option<String>>,
    /// How the run was throttled, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced: Option<ThrottleRecord>,
    /// How long the longest transaction was open: the age of the oldest snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_transaction_ms: Option<u64>,
}

impl SummaryRecord {
    /// Returns when the run ended, by the clock of its machine. Older versions did not record it:
    /// then it is the start, or the last resume, plus the elapsed time.
    pub fn ended_at(&self, started: Timestamp) -> Option<Timestamp> {
        if let Some(ended) = self.ended_at.as_ref().and_then(|ended| ended.parse().ok()) {
            return Some(ended);
        }
        let took = i64::try_from(self.elapsed_ms).unwrap_or(i64::MAX);
        started.checked_add(SignedDuration::from_millis(took)).ok()
    }

    /// Makes the record of the end of a run.
    pub fn new(verdict: Verdict, elapsed_ms: u64) -> SummaryRecord {
        SummaryRecord {
            version: VERSION,
            verdict,
            complete: verdict != Verdict::Incomplete,
            exit_code: exit_code(verdict),
            elapsed_ms,
            ended_at: None,
            clocks: BySide::default(),
            paced: None,
            longest_transaction_ms: None,
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Finding", 16)?;
        record.serialize_field("type", "finding")?;
        record.serialize_field("version", &VERSION)?;
        record.serialize_field("mapping", &self.mapping)?;
        record.serialize_field("kind", &self.kind)?;
        record.serialize_field("disposition", &self.disposition())?;
        match &self.place {
            FindingPlace::Key(key) => record.serialize_field("key", key)?,
            FindingPlace::Range(range, rows) => {
                record.serialize_field("range", range)?;
                record.serialize_field("rows", rows)?;
                if let Some(all) = &self.range_rows {
                    record.serialize_field("range_rows", all)?;
                }
            }
            FindingPlace::Duplicate(side, rows, key) => {
                record.serialize_field("side", side.name())?;
                record.serialize_field("rows", rows)?;
                record.serialize_field("key", key)?;
            }
            FindingPlace::NullKey(side, rows) => {
                record.serialize_field("side", side.name())?;
                record.serialize_field("rows", rows)?;
            }
        }
        if let Some(group) = &self.group {
            record.serialize_field("group", group)?;
        }
        if self.keys_only {
            let names = self.columns.0.iter().map(|(name, _)| (name.clone(), NoValues {}));
            record.serialize_field("columns", &NamedValues(names.collect()))?;
        } else {
            record.serialize_field("columns", &self.columns)?;
            if self.changed_at.any(Option::is_some) {
                record.serialize_field("changed_at", &self.changed_at)?;
            }
        }
        record.serialize_field("first_seen", &self.first_seen)?;
        record.serialize_field("last_seen", &self.last_seen)?;
        record.serialize_field("runs", &self.runs)?;
        if let Some(recurrence) = &self.recurrence {
            record.serialize_field("recurrence", recurrence)?;
        }
        if let Some(reason) = &self.accept_reason {
            record.serialize_field("accept_reason", reason)?;
        }
        record.end()
    }
}

/// A differing column whose values are left out.
#[derive(Serialize)]
struct NoValues {}
