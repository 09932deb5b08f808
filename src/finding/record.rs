//! The written record: what a run, a mapping and an end look like in every machine format.
//!
//! Field names and their order are a contract with other programs; they change only by adding.

use jiff::{SignedDuration, Timestamp};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use super::{
    Books, Disposition, Finding, GroupRecord, Hint, Kind, Named, Paced, Place, RangeText, Verdict,
    exit_code,
};
use crate::schema::BySide;

/// The format's version, in every record.
const VERSION: u32 = 1;

/// A moment as records write it: UTC, to the millisecond.
pub fn timestamp(at: Timestamp) -> String {
    let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    at.to_string()
}

/// Whether no server's clock was noted.
pub(super) fn none_noted(clocks: &BySide<Option<String>>) -> bool {
    !clocks.any(Option::is_some)
}

/// What a run was asked.
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
    /// Spec and parameters together: only runs of one scope can be held against each other.
    pub scope: String,
    /// Parameters in effect.
    pub params: Named<String>,
    /// The share of the keys that is looked at, if not all of them: `1%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// How young a row has to be on either side for its key to be looked at, if not all are: `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether it took what had gone unverified for longest, as far as its deadline let it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slice: bool,
    /// The only mappings that are compared, if not all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<String>,
    /// When it started.
    pub started_at: String,
    /// The clocks of both servers at that moment, as far as they could be asked.
    #[serde(default, skip_serializing_if = "none_noted")]
    pub clocks: BySide<Option<String>>,
    /// When it went on after an interruption, each time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed_at: Vec<String>,
    /// Name and version of this program.
    pub tool: String,
}

impl RunRecord {
    /// Whether every key of every mapping was asked for.
    pub fn is_of_everything(&self) -> bool {
        let all = self.sample.is_none() && self.since.is_none() && self.mappings.is_empty();
        all && !self.slice
    }

    /// Returns when the run ended, or if it has no end, when it last began or went on, by the clock of its
    /// machine.
    pub fn last_moment(&self, summary: Option<&SummaryRecord>) -> Option<Timestamp> {
        let began = self.resumed_at.last().unwrap_or(&self.started_at).parse().ok()?;
        summary.map_or(Some(began), |summary| summary.ended_at(began))
    }

    /// The record of a run that starts now.
    pub fn new(
        run: String,
        spec: &str,
        spec_hash: String,
        scope: String,
        params: Named<String>,
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
            started_at: timestamp(Timestamp::now()),
            clocks: BySide::default(),
            resumed_at: Vec::new(),
            tool: concat!("pgreconcile ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// In the reason of whatever could not be judged since a side had changed. A ledger is searched for it
/// (src/ledger/statements/interrupted.sql).
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
    /// A range that could not be judged, and why.
    pub fn new(mapping: &str, range: RangeText, reason: String) -> Undecided {
        Undecided { version: VERSION, mapping: mapping.to_owned(), range, reason }
    }

    /// Whether a side had changed under way: such a run does not go on.
    pub fn is_of_change(&self) -> bool {
        self.reason.contains(CHANGED)
    }
}

/// What a mapping's comparison came to.
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
    /// Suspects that agreed at a later look.
    pub healed: u64,
    /// Findings under an agreed exception.
    pub accepted: u64,
    /// Keys confirmed as standing on the source only.
    pub only_in_source: u64,
    /// Keys confirmed as standing on the target only.
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
    /// The books of each side.
    pub books: BySide<Books>,
    /// The pair by whose values rows are counted and judged apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// Every value of it that a row of either side has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupRecord>>,
    /// Rows that were read and could not be judged, so that their group is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ungrouped: Option<BySide<u64>>,
    /// Accept rules that have expired and count for nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired_accepts: Vec<ExpiredAccept>,
    /// What earlier runs found and a slice could not look at first, if that is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_recalled: Option<NotRecalled>,
    /// What the ledger's record of an interrupted run had lost, if that is anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_again: Option<ReadAgain>,
    /// What many of its findings have in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<Hint>,
    /// The first and the last key of each side, where they were asked for: hints are made of them.
    #[serde(skip)]
    pub ends: BySide<Option<[Named<String>; 2]>>,
}

impl MappingRecord {
    /// Rows that were found, as far as they are counted, by kind or else by what was ruled.
    pub fn found_rows(&self) -> [(&'static str, u64); 5] {
        [
            (Kind::OnlyInSource.name(), self.only_in_source),
            (Kind::OnlyInTarget.name(), self.only_in_target),
            (Kind::Mismatch.name(), self.mismatch),
            (Disposition::Accepted.name(), self.accepted),
            (Disposition::Unsettled.name(), self.unsettled),
        ]
    }
}

/// Findings of earlier runs that could not be looked at before their stretch is scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRecalled {
    /// How many.
    pub findings: u64,
    /// Why.
    pub why: String,
}

/// What had been compared before an interruption, and was read again because the ledger's record of it
/// was damaged.
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
    /// Why it was agreed to.
    pub reason: String,
    /// The last day on which it counted.
    pub until: String,
}

impl MappingRecord {
    /// The record of a mapping about which nothing is known yet.
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
    /// What it says.
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
    /// The clocks of both servers at that moment, as far as they could be asked.
    #[serde(default, skip_serializing_if = "none_noted")]
    pub clocks: BySide<Option<String>>,
    /// What holding back cost, if the run was held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paced: Option<Paced>,
    /// The longest that a transaction of ours was open: the age of our oldest snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest_transaction_ms: Option<u64>,
}

impl SummaryRecord {
    /// Returns when the run ended, by the clock of its machine. A run that did not note it ended as long
    /// after it began, or last went on, as it took.
    pub fn ended_at(&self, began: Timestamp) -> Option<Timestamp> {
        if let Some(noted) = self.ended_at.as_ref().and_then(|noted| noted.parse().ok()) {
            return Some(noted);
        }
        let took = i64::try_from(self.elapsed_ms).unwrap_or(i64::MAX);
        began.checked_add(SignedDuration::from_millis(took)).ok()
    }

    /// The end of a run with this verdict.
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
            Place::Key(key) => record.serialize_field("key", key)?,
            Place::Range(range, rows) => {
                record.serialize_field("range", range)?;
                record.serialize_field("rows", rows)?;
                if let Some(all) = &self.range_rows {
                    record.serialize_field("range_rows", all)?;
                }
            }
            Place::Duplicate(side, rows, key) => {
                record.serialize_field("side", side.name())?;
                record.serialize_field("rows", rows)?;
                record.serialize_field("key", key)?;
            }
            Place::NullKey(side, rows) => {
                record.serialize_field("side", side.name())?;
                record.serialize_field("rows", rows)?;
            }
        }
        if let Some(group) = &self.group {
            record.serialize_field("group", group)?;
        }
        if self.keys_only {
            let names = self.columns.0.iter().map(|(name, _)| (name.clone(), NoValues {}));
            record.serialize_field("columns", &Named(names.collect()))?;
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
