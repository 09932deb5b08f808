//! Past runs: their results, what has changed since the run before, and the replay of a run's events.
//!
//! A run is compared with one of the same scope, that is of the same spec and parameters: otherwise the
//! change could be one of the spec. It is the last one before it that compared a mapping as a whole, and
//! only such mappings are counted: a row that was not read is neither new nor gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::checksum::{ChecksummedTable, Damaged};
use super::problems::{damaged_run, from_json};
use super::run_order::OrderedRun;
use super::run_row::{RunRow, StoredRun};
use super::storage::store::Store;
use super::storage::stored_row::{StoredRow, values};
use crate::event::Event;
use crate::finding::{Finding, History, MappingRecord, PastRun, Trend, VerifiedShare};
use crate::problem::Problem;

/// Why a part of a run cannot be read.
pub(super) enum ReadError {
    /// A row of it is damaged.
    Damaged,
    /// The ledger cannot be read, or this program cannot decode it.
    Ledger(Problem),
}

impl From<Damaged> for ReadError {
    fn from(_: Damaged) -> ReadError {
        ReadError::Damaged
    }
}

impl From<Problem> for ReadError {
    fn from(error: Problem) -> ReadError {
        ReadError::Ledger(error)
    }
}

/// Marks a run as damaged.
fn mark_damaged(run: &mut PastRun, unread: ReadError) -> Result<(), Problem> {
    match unread {
        ReadError::Ledger(error) => Err(error),
        ReadError::Damaged => {
            run.damaged = true;
            run.summary = None;
            Ok(())
        }
    }
}

/// The result of a replay.
#[derive(Debug, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The events were reported.
    Replayed,
    /// No such run is stored.
    Unknown,
    /// The run has no end: it was killed, or is running.
    Unfinished,
    /// Stored values of the run with this id do not match their checksums.
    Damaged(String),
}

impl Store {
    /// Reads the runs of a spec, with what has changed from run to run.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_history(&self, spec: &str) -> Result<History, Problem> {
        let mut runs = self.read_ordered_runs(spec).await?;
        // For each scope and mapping, the last run that compared it as a whole.
        let mut before: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for OrderedRun { row, run, .. } in runs.iter_mut().filter(|known| !known.run.damaged) {
            let mut whole = BTreeSet::new();
            let mappings = match self.read_mappings(row).await {
                Ok(mappings) => mappings,
                Err(unread) => {
                    mark_damaged(run, unread)?;
                    continue;
                }
            };
            if let Err(unread) = self.count_findings(row, &mappings, run).await {
                mark_damaged(run, unread)?;
                continue;
            }
            for (_, mapping) in mappings {
                run.rows.source += mapping.rows.source;
                run.rows.target += mapping.rows.target;
                let least = run.coverage.unwrap_or(1.0).min(mapping.coverage);
                run.coverage = Some(least);
                if mapping.complete && mapping.coverage >= 1.0 {
                    whole.insert(mapping.mapping);
                }
            }
            if run.summary.is_some() {
                let known = before.entry(run.scope.clone()).or_default();
                if !known.is_empty() {
                    run.trend = Some(self.read_trend(row.number, known, &whole).await?);
                }
                known.extend(whole.into_iter().map(|mapping| (mapping, row.number)));
            }
        }
        let runs: Vec<PastRun> = runs.into_iter().map(|numbered| numbered.run).collect();
        let verified = match runs.last() {
            Some(newest) => self.read_verified_shares(&newest.scope).await?,
            None => Vec::new(),
        };
        Ok(History { spec: spec.to_owned(), runs, verified })
    }

    /// Reads the runs of a spec, the oldest first, without their history. Findings are only counted of
    /// runs without an end.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_runs(&self, spec: &str) -> Result<Vec<PastRun>, Problem> {
        let mut runs = self.read_ordered_runs(spec).await?;
        for OrderedRun { row, run, .. } in runs.iter_mut().filter(|known| !known.run.damaged) {
            if run.summary.is_none()
                && let Err(unread) = self.count_findings(row, &[], run).await
            {
                mark_damaged(run, unread)?;
            }
        }
        Ok(runs.into_iter().map(|numbered| numbered.run).collect())
    }

    /// Returns which share of each mapping of a scope has been verified since when, in steps.
    async fn read_verified_shares(&self, scope: &str) -> Result<Vec<VerifiedShare>, Problem> {
        let mut steps = Vec::new();
        for mapping in self.read_covered_mappings(scope).await? {
            let Some(shares) = self.read_shares(scope, &mapping).await? else { continue };
            for by in shares.runs() {
                let (mapping, share) = (mapping.clone(), shares.since(by));
                steps.push(VerifiedShare { mapping, share, since: by.at.clone() });
            }
        }
        Ok(steps)
    }

    /// Reports the findings of a scope that no later run has checked: those of the newest run that checked
    /// all earlier ones, and of the runs after it. A difference may be reported several times. A damaged
    /// one is left out, since its keys are read again with their range.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_open_findings(
        &self,
        spec: &str,
        scope: &str,
        mut report: impl FnMut(Finding),
    ) -> Result<(), Problem> {
        let runs = self.read_ordered_runs(spec).await?.into_iter().rev();
        for known in runs.filter(|known| known.run.scope == scope) {
            let sound = self.read_sound_findings(&known.row, &mut report).await?;
            if sound && known.compared_all_prior() {
                break;
            }
        }
        Ok(())
    }

    /// Reports what a run has found so far. Returns whether all of it could be read: damaged findings are
    /// left out.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_findings(
        &self,
        spec: &str,
        run: &str,
        report: impl FnMut(Finding),
    ) -> Result<bool, Problem> {
        let runs = self.read_ordered_runs(spec).await?;
        let Some(found) = runs.iter().find(|known| known.run.run == run) else { return Ok(true) };
        self.read_sound_findings(&found.row, report).await
    }

    /// Reports the events of a run as they were recorded: of this run, or of the newest finished one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn replay(
        &self,
        spec: &str,
        run: Option<&str>,
        mut report: impl FnMut(Event),
    ) -> Result<ReplayOutcome, Problem> {
        let mut runs = self.read_ordered_runs(spec).await?.into_iter().rev();
        let found = match run {
            Some(id) => runs.find(|known| known.run.run == id),
            // Whether a damaged one has ended is not known.
            None => runs.find(|known| known.run.summary.is_some() || known.run.damaged),
        };
        let Some(found) = found else { return Ok(ReplayOutcome::Unknown) };
        let damaged = || Ok(ReplayOutcome::Damaged(found.run.run.clone()));
        if found.run.damaged {
            return damaged();
        }
        let Some(summary) = found.run.summary else { return Ok(ReplayOutcome::Unfinished) };
        // All of it is verified before anything is reported.
        let mappings = match self.verify_run(&found.row).await {
            Ok(mappings) => mappings,
            Err(ReadError::Damaged) => return damaged(),
            Err(ReadError::Ledger(error)) => return Err(error),
        };
        report(Event::RunStarted(found.row.run_record()?));
        for (mapping, record) in &mappings {
            let (mapping, name) = (*mapping, record.mapping.clone());
            report(Event::MappingStarted { mapping, name, estimated_rows: None });
        }
        let place = |name: &str| {
            mappings.iter().find(|(_, record)| record.mapping == name).map_or(0, |m| m.0)
        };
        let findings = self.read_each(RecordKind::Findings, &found.row, |text| {
            let finding: Finding = from_json(text)?;
            report(Event::Finding { mapping: place(&finding.mapping), finding });
            Ok(())
        });
        let rest = match findings.await {
            Ok(_) => self
                .read_each(RecordKind::Undecided, &found.row, |text| {
                    report(Event::Undecided(from_json(text)?));
                    Ok(())
                })
                .await
                .map(drop),
            Err(unread) => Err(unread),
        };
        match rest {
            Ok(()) => {}
            Err(ReadError::Damaged) => return damaged(),
            Err(ReadError::Ledger(error)) => return Err(error),
        }
        for (mapping, record) in mappings {
            report(Event::MappingFinished { mapping, record: Box::new(record) });
        }
        report(Event::RunFinished(summary));
        Ok(ReplayOutcome::Replayed)
    }

    /// Verifies all rows of a finished run, and returns its mappings.
    async fn verify_run(&self, row: &RunRow) -> Result<Vec<(usize, MappingRecord)>, ReadError> {
        let mappings = self.read_mappings(row).await?;
        self.read_stored_fingerprint(&row.id).await?;
        let findings = self.read_each(RecordKind::Findings, row, |_| Ok(())).await?;
        self.read_each(RecordKind::Undecided, row, |_| Ok(())).await?;
        if findings != row.findings {
            return Err(ReadError::Damaged);
        }
        Ok(mappings)
    }

    /// Returns the place in the ledger's order of the last complete run of a scope before this one that
    /// compared all of it.
    pub(super) async fn find_whole_before(
        &self,
        scope: &str,
        run: i64,
    ) -> Result<Option<i64>, Problem> {
        let statement = include_str!("statements/finished_of_scope.sql");
        for found in self.rows(statement, values![scope, run]).await? {
            let Ok(row) = RunRow::read(self.checksums(), &found) else { continue };
            let record = row.run_record()?;
            let summary = row.summary_record()?;
            if summary.is_some_and(|summary| summary.complete) && record.is_of_everything() {
                return Ok(Some(row.order()));
            }
        }
        Ok(None)
    }

    /// Returns the newest run of a spec, and when it ended, or if it has no end, when it was started or
    /// resumed, by the clock of its machine. Returns `None` if that run is damaged.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_newest_run(
        &self,
        spec: &str,
    ) -> Result<Option<(String, Timestamp)>, Problem> {
        let newest = self.read_run_rows(spec).await?.pop();
        let Some(StoredRun::Sound(row)) = newest else { return Ok(None) };
        let record = row.run_record()?;
        let summary = row.summary_record()?;
        Ok(record.last_time(summary.as_ref()).map(|moment| (row.id, moment)))
    }

    /// Returns the fingerprint of a run. A recheck, or a run of the first version of the program, has
    /// none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_run_fingerprint(&self, run: &str) -> Result<Option<String>, Problem> {
        self.read_stored_fingerprint(run).await.map_err(|unread| match unread {
            ReadError::Damaged => damaged_run(run),
            ReadError::Ledger(error) => error,
        })
    }

    pub(super) async fn read_stored_fingerprint(
        &self,
        run: &str,
    ) -> Result<Option<String>, ReadError> {
        let statement = include_str!("statements/terms_of_run.sql");
        let found = self.first(statement, values![run]).await?;
        let Some(found) = found else { return Ok(None) };
        self.checksums().verify(ChecksummedTable::Terms, run, &found)?;
        Ok(Some(found.text("record")?.to_owned()))
    }

    /// Reports the findings of a run that can be read. Returns whether these are all.
    async fn read_sound_findings(
        &self,
        row: &RunRow,
        mut report: impl FnMut(Finding),
    ) -> Result<bool, Problem> {
        let (mut last, mut sound) = (i64::MIN, 0);
        loop {
            let records =
                self.rows(RecordKind::Findings.statement(), values![row.number, last]).await?;
            let Some(end) = records.last() else { return Ok(sound == row.findings) };
            last = end.int("place")?;
            for record in &records {
                if self.checksums().verify(ChecksummedTable::Finding, &row.id, record).is_ok() {
                    report(from_json(record.text("record")?)?);
                    sound += 1;
                }
            }
        }
    }

    /// Passes on the records of a run in their order. A few hundred are in memory at a time. Returns how
    /// many there are.
    pub(super) async fn read_each(
        &self,
        what: RecordKind,
        row: &RunRow,
        mut take: impl FnMut(&str) -> Result<(), Problem>,
    ) -> Result<u64, ReadError> {
        let (mut last, mut count) = (i64::MIN, 0);
        loop {
            let records = self.rows(what.statement(), values![row.number, last]).await?;
            let Some(end) = records.last() else { return Ok(count) };
            last = end.int("place")?;
            count += records.len() as u64;
            for record in &records {
                self.checksums().verify(what.table(), &row.id, record)?;
                take(record.text("record")?)?;
            }
        }
    }

    /// Reads the runs of a spec in the ledger's order: a resumed run is newer than those that ran before
    /// it was resumed.
    async fn read_ordered_runs(&self, spec: &str) -> Result<Vec<OrderedRun>, Problem> {
        self.read_run_rows(spec).await?.into_iter().map(OrderedRun::of).collect()
    }

    /// Reads the finished mappings of a run, with their places.
    async fn read_mappings(&self, row: &RunRow) -> Result<Vec<(usize, MappingRecord)>, ReadError> {
        let statement = include_str!("statements/mappings_of_run.sql");
        let found = self.rows(statement, values![row.number]).await?;
        let read = |record: &StoredRow| {
            self.checksums().verify(ChecksummedTable::Mapping, &row.id, record)?;
            let place = usize::try_from(record.int("place")?).unwrap_or(usize::MAX);
            Ok((place, from_json(record.text("record")?)?))
        };
        found.iter().map(read).collect()
    }

    /// Counts the findings of a run: confirmed ones by kind, the others by disposition. Their rows are
    /// those of the finished mappings; in other mappings each finding counts as one row.
    async fn count_findings(
        &self,
        row: &RunRow,
        mappings: &[(usize, MappingRecord)],
        run: &mut PastRun,
    ) -> Result<(), ReadError> {
        for (name, rows) in mappings.iter().flat_map(|(_, mapping)| mapping.found_rows()) {
            if rows > 0 {
                *run.found_rows.entry(name.to_owned()).or_default() += rows;
            }
        }
        let statement = include_str!("statements/counts_of_run.sql");
        let mut findings = 0;
        for counted in self.rows(statement, values![row.number]).await? {
            let (mapping, kind) = (counted.text("mapping")?, counted.text("kind")?);
            let (disposition, rows) = (counted.text("disposition")?, counted.count("findings")?);
            findings += rows;
            let name = if disposition == "confirmed" { kind } else { disposition };
            *run.findings.entry(name.to_owned()).or_default() += rows;
            let of = mappings.iter().find(|(_, record)| record.mapping == mapping);
            if !of.is_some_and(|(_, record)| record.found_rows().iter().any(|(of, _)| *of == name))
            {
                *run.found_rows.entry(name.to_owned()).or_default() += rows;
            }
        }
        if findings == row.findings { Ok(()) } else { Err(ReadError::Damaged) }
    }

    /// Compares a run with the last one before it that compared a mapping as a whole, mapping by mapping.
    async fn read_trend(
        &self,
        run: i64,
        known: &BTreeMap<String, i64>,
        whole: &BTreeSet<String>,
    ) -> Result<Trend, Problem> {
        let mut trend = Trend::default();
        let statement = include_str!("statements/trend.sql");
        for earlier in known.values().collect::<BTreeSet<_>>() {
            for row in self.rows(statement, values![run, *earlier]).await? {
                let mapping = row.text("mapping")?;
                if known.get(mapping) == Some(earlier) {
                    trend.new += row.count("fresh")?;
                    trend.changed += row.count("changed")?;
                    trend.same += row.count("same")?;
                    trend.gone += if whole.contains(mapping) { row.count("gone")? } else { 0 };
                }
            }
        }
        Ok(trend)
    }
}

/// A kind of records of a run.
#[derive(Clone, Copy)]
pub(super) enum RecordKind {
    Findings,
    Undecided,
}

impl RecordKind {
    fn statement(self) -> &'static str {
        match self {
            RecordKind::Findings => include_str!("statements/findings_of_run.sql"),
            RecordKind::Undecided => include_str!("statements/undecided_of_run.sql"),
        }
    }

    fn table(self) -> ChecksummedTable {
        match self {
            RecordKind::Findings => ChecksummedTable::Finding,
            RecordKind::Undecided => ChecksummedTable::Undecided,
        }
    }
}
