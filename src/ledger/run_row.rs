//! A row of the table `run`, as its checksum covers it.
//!
//! A finished run also has the counts of its rows, so that a missing finding, undecided range or mapping
//! is detected. Findings are counted while the run is under way, in the transaction that adds them.

use super::checksum::{ChecksummedTable, Checksums, Damaged};
use super::problems::{from_json, to_json};
use super::storage::stored_row::{LedgerWrite, StoredRow, StoredValue, values};
use crate::finding::{RunRecord, SummaryRecord};
use crate::problem::Problem;

/// A row of the table `run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunRow {
    /// Its key in the ledger.
    pub(super) number: i64,
    pub(super) id: String,
    pub(super) verb: String,
    pub(super) spec: String,
    pub(super) spec_hash: String,
    pub(super) scope: String,
    pub(super) started_at: String,
    /// Its record, as JSON.
    pub(super) record: String,
    /// Its findings so far.
    pub(super) findings: u64,
    /// Its summary, as JSON, if it has ended.
    pub(super) summary: Option<String>,
    /// The numbers that the ledger gave it when it was last started or resumed, and when it ended.
    pub(super) began: Option<i64>,
    pub(super) ended: Option<i64>,
    /// Its undecided ranges; 0 until it has ended.
    pub(super) undecided: u64,
    /// Its mappings; 0 until it has ended.
    pub(super) mappings: u64,
}

/// A run with the result of its verification.
#[derive(Clone, Debug)]
pub(crate) enum StoredRun {
    /// Its checksum matches.
    Sound(RunRow),
    /// Its checksum does not match: any of its values may be wrong.
    Damaged(RunRow),
}

impl StoredRun {
    /// Returns its values.
    pub(super) fn row(&self) -> &RunRow {
        let (StoredRun::Sound(row) | StoredRun::Damaged(row)) = self;
        row
    }

    /// Returns its key in the ledger.
    pub(super) fn number(&self) -> i64 {
        self.row().number
    }
}

impl RunRow {
    /// Returns its place in the ledger's order: by its end, or if it has none, by when it was last started
    /// or resumed.
    pub(super) fn order(&self) -> i64 {
        self.ended.or(self.began).unwrap_or(0)
    }

    /// Reads its record.
    pub(super) fn run_record(&self) -> Result<RunRecord, Problem> {
        from_json(&self.record)
    }

    /// Reads its summary, if it has ended.
    pub(super) fn summary_record(&self) -> Result<Option<SummaryRecord>, Problem> {
        self.summary.as_deref().map(from_json).transpose()
    }

    /// Returns the row of a new run, which has no number yet.
    pub(super) fn new(run: &RunRecord, verb: &str) -> Result<RunRow, Problem> {
        Ok(RunRow {
            id: run.run.clone(),
            verb: verb.to_owned(),
            spec: run.spec.clone(),
            spec_hash: run.spec_hash.clone(),
            scope: run.scope.clone(),
            started_at: run.started_at.clone(),
            record: to_json(run)?,
            ..RunRow::default()
        })
    }

    /// Returns the values of a new run that the ledger has given this number.
    pub(super) fn first_values(&self, began: i64) -> Vec<StoredValue> {
        values![
            self.id.as_str(),
            self.verb.as_str(),
            self.spec.as_str(),
            self.spec_hash.as_str(),
            self.scope.as_str(),
            self.started_at.as_str(),
            self.record.as_str(),
            began,
        ]
    }

    /// Reads a run from a row, whose other columns are behind its checksum, and verifies it.
    pub(super) fn read(checksums: &Checksums, row: &StoredRow) -> Result<RunRow, Damaged> {
        let row = row.through("checksum");
        let read = RunRow::unverified(&row);
        checksums.verify(ChecksummedTable::Run, &read.id, &row).map(|()| read)
    }

    /// Reads a run without verifying it. A value of another type is left out.
    pub(super) fn unverified(row: &StoredRow) -> RunRow {
        let text = |column| row.text(column).unwrap_or_default().to_owned();
        let count = |column| row.count(column).unwrap_or_default();
        RunRow {
            number: row.int("number").unwrap_or_default(),
            id: text("id"),
            verb: text("verb"),
            spec: text("spec"),
            spec_hash: text("spec_hash"),
            scope: text("scope"),
            started_at: text("started_at"),
            record: text("record"),
            findings: count("findings"),
            summary: row.text("summary").map(str::to_owned).ok(),
            began: row.int("began").ok(),
            ended: row.int("ended").ok(),
            undecided: count("undecided"),
            mappings: count("mappings"),
        }
    }

    /// Computes its checksum.
    pub(super) fn checksum(&self, checksums: &Checksums) -> StoredValue {
        let maybe = |number: Option<i64>| number.map_or(StoredValue::Null, StoredValue::Int);
        let mut values = values![
            self.number,
            self.id.as_str(),
            self.verb.as_str(),
            self.spec.as_str(),
            self.spec_hash.as_str(),
            self.scope.as_str(),
            self.started_at.as_str(),
            self.record.as_str(),
            self.findings,
        ];
        values.extend([
            self.summary.as_deref().map_or(StoredValue::Null, StoredValue::from),
            maybe(self.began),
            maybe(self.ended),
            self.undecided.into(),
            self.mappings.into(),
        ]);
        StoredValue::Bytes(checksums.of(ChecksummedTable::Run, &self.id, &values).to_vec())
    }

    /// Returns the change that renews its stored checksum.
    pub(super) fn seal(&self, checksums: &Checksums) -> LedgerWrite {
        let params = vec![self.checksum(checksums), self.number.into()];
        LedgerWrite { statement: include_str!("statements/seal_run.sql"), params }
    }
}
