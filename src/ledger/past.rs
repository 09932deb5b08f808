//! Runs of the past: what each came to, what has changed since the run before it, and a run told again.
//!
//! A run is held against one of the same scope: the same spec and parameters, or the difference would
//! be in the question. It is the last one before it that compared a mapping whole, and only of such
//! mappings is anything said: what was not looked at is neither new nor gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::error::LedgerError;
use super::store::Store;
use super::value::{Record, values};
use crate::event::Event;
use crate::finding::{
    Finding, History, MappingRecord, PastRun, RunRecord, SummaryRecord, Trend, Verified,
};
use crate::schema::BySide;

/// A run with its number in the ledger.
struct Numbered {
    number: i64,
    run: PastRun,
    /// Whether it was to look at every mapping.
    all_mappings: bool,
}

impl Numbered {
    /// Whether whatever earlier runs had found has been looked at again by then.
    fn knows_all_before(&self) -> bool {
        let PastRun { verb, sample, since, summary, .. } = &self.run;
        let part = sample.is_some() || since.is_some() || !self.all_mappings || verb != "compare";
        !part && summary.as_ref().is_some_and(|summary| summary.complete)
    }
}

/// What became of the wish to hear of a run again.
#[derive(Debug, PartialEq, Eq)]
pub enum Retold {
    /// It was told.
    Told,
    /// No such run is remembered.
    Unknown,
    /// The run has no end: it was killed, or is still under way.
    Unfinished,
}

impl Store {
    /// The runs of a spec.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn history(&self, spec: &str) -> Result<History, LedgerError> {
        let mut runs = self.runs(spec).await?;
        // Of each scope and mapping the last run that compared it whole.
        let mut before: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
        for Numbered { number, run, .. } in &mut runs {
            let mut whole = BTreeSet::new();
            let mappings = self.mappings_of(*number).await?;
            self.count(*number, &mappings, run).await?;
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
                    run.trend = Some(self.trend(*number, known, &whole).await?);
                }
                known.extend(whole.into_iter().map(|mapping| (mapping, *number)));
            }
        }
        let runs: Vec<PastRun> = runs.into_iter().map(|numbered| numbered.run).collect();
        let verified = match runs.last() {
            Some(newest) => self.verified(&newest.scope).await?,
            None => Vec::new(),
        };
        Ok(History { spec: spec.to_owned(), runs, verified })
    }

    /// The runs of a spec, the oldest first, without what each came to: only of those that have no end
    /// findings are counted.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn past_runs(&self, spec: &str) -> Result<Vec<PastRun>, LedgerError> {
        let mut runs = self.runs(spec).await?;
        for Numbered { number, run, .. } in &mut runs {
            if run.summary.is_none() {
                self.count(*number, &[], run).await?;
            }
        }
        Ok(runs.into_iter().map(|numbered| numbered.run).collect())
    }

    /// Which share of each mapping of a scope has been verified since when, in steps.
    async fn verified(&self, scope: &str) -> Result<Vec<Verified>, LedgerError> {
        let mut steps = Vec::new();
        for mapping in self.covered(scope).await? {
            let Some(coverage) = self.coverage(scope, &mapping).await? else { continue };
            for by in coverage.runs() {
                let (mapping, share) = (mapping.clone(), coverage.since(by));
                steps.push(Verified { mapping, share, since: by.at.clone() });
            }
        }
        Ok(steps)
    }

    /// Tells what the runs of a scope have found that nothing has looked at since: what the newest one
    /// found that looked at everything, or in slices, and what came after it. A difference may be told
    /// several times.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn open_findings(
        &self,
        spec: &str,
        scope: &str,
        mut hear: impl FnMut(Finding),
    ) -> Result<(), LedgerError> {
        let runs = self.runs(spec).await?.into_iter().rev();
        for known in runs.filter(|known| known.run.scope == scope) {
            self.each_finding(known.number, &mut hear).await?;
            if known.knows_all_before() {
                break;
            }
        }
        Ok(())
    }

    /// Tells what a run has found so far.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn findings_so_far(
        &self,
        spec: &str,
        run: &str,
        hear: impl FnMut(Finding),
    ) -> Result<(), LedgerError> {
        let runs = self.runs(spec).await?;
        let Some(found) = runs.iter().find(|known| known.run.run == run) else { return Ok(()) };
        self.each_finding(found.number, hear).await
    }

    /// Tells a run again as it was told: this one, or the newest that came to its end.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn retell(
        &self,
        spec: &str,
        run: Option<&str>,
        mut hear: impl FnMut(Event),
    ) -> Result<Retold, LedgerError> {
        let mut runs = self.runs(spec).await?.into_iter().rev();
        let found = match run {
            Some(id) => runs.find(|known| known.run.run == id),
            None => runs.find(|known| known.run.summary.is_some()),
        };
        let Some(found) = found else { return Ok(Retold::Unknown) };
        let Some(summary) = found.run.summary else { return Ok(Retold::Unfinished) };
        let statement = include_str!("statements/run_record.sql");
        let Some(record) = self.first(statement, values![found.number]).await? else {
            return Ok(Retold::Unknown);
        };
        let record: RunRecord = serde_json::from_str(record.text(0)?)?;
        hear(Event::RunStarted(record));
        let mappings = self.mappings_of(found.number).await?;
        for (mapping, record) in &mappings {
            let (mapping, name) = (*mapping, record.mapping.clone());
            hear(Event::MappingStarted { mapping, name, estimated_rows: None });
        }
        let place = |name: &str| {
            mappings.iter().find(|(_, record)| record.mapping == name).map_or(0, |m| m.0)
        };
        self.each_finding(found.number, |finding| {
            hear(Event::Finding { mapping: place(&finding.mapping), finding });
        })
        .await?;
        self.each_told(include_str!("statements/undecided_of_run.sql"), found.number, |text| {
            hear(Event::Undecided(serde_json::from_str(text)?));
            Ok(())
        })
        .await?;
        for (mapping, record) in mappings {
            hear(Event::MappingFinished { mapping, record: Box::new(record) });
        }
        hear(Event::RunFinished(summary));
        Ok(Retold::Told)
    }

    /// The place in the ledger's order of the last run of a scope before this one that compared all of
    /// it, and came to its end.
    pub(super) async fn whole_before(
        &self,
        scope: &str,
        run: i64,
    ) -> Result<Option<i64>, LedgerError> {
        let statement = include_str!("statements/finished_of_scope.sql");
        for row in self.rows(statement, values![scope, run]).await? {
            let record: RunRecord = serde_json::from_str(row.text(1)?)?;
            let summary: SummaryRecord = serde_json::from_str(row.text(2)?)?;
            if summary.complete && record.is_of_everything() {
                return row.int(3).map(Some);
            }
        }
        Ok(None)
    }

    /// Returns the newest run of a spec, and when it ended, or last began or went on if it has no end, by the
    /// clock of the machine that it ran on.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn newest(&self, spec: &str) -> Result<Option<(String, Timestamp)>, LedgerError> {
        let found = self.first(include_str!("statements/newest_run.sql"), values![spec]).await?;
        let Some(row) = found else { return Ok(None) };
        let record: RunRecord = serde_json::from_str(row.text(0)?)?;
        let summary: Option<SummaryRecord> =
            row.maybe_text(1)?.map(serde_json::from_str).transpose()?;
        let began = record.resumed_at.last().unwrap_or(&record.started_at).parse().ok();
        let ended = began.and_then(|began| summary.map_or(Some(began), |end| end.ended_at(began)));
        Ok(ended.map(|ended| (record.run, ended)))
    }

    /// What a run was asked, and of which databases, as it was written down when it began; nothing of a
    /// recheck, or of a run of an older version.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn terms(&self, run: &str) -> Result<Option<String>, LedgerError> {
        let statement = include_str!("statements/terms_of_run.sql");
        let found = self.first(statement, values![run]).await?;
        found.map(|record| record.text(0).map(str::to_owned)).transpose()
    }

    /// Hands on what a run has found.
    async fn each_finding(
        &self,
        run: i64,
        mut hear: impl FnMut(Finding),
    ) -> Result<(), LedgerError> {
        let statement = include_str!("statements/findings_of_run.sql");
        self.each_told(statement, run, |text| {
            hear(serde_json::from_str(text)?);
            Ok(())
        })
        .await
    }

    /// Hands on what was told during a run, in its order; a few hundred records are held at a time.
    async fn each_told(
        &self,
        statement: &'static str,
        run: i64,
        mut take: impl FnMut(&str) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut last = -1;
        loop {
            let records = self.rows(statement, values![run, last]).await?;
            let Some(end) = records.last() else { return Ok(()) };
            last = end.int(0)?;
            for record in &records {
                take(record.text(1)?)?;
            }
        }
    }

    /// The runs of a spec as they stand, in the ledger's order: one that was interrupted and went on is
    /// newer than what ran in between.
    async fn runs(&self, spec: &str) -> Result<Vec<Numbered>, LedgerError> {
        let mut runs = Vec::new();
        let found = self.rows(include_str!("statements/runs_of_spec.sql"), values![spec]).await?;
        for row in found {
            let record: RunRecord = serde_json::from_str(row.text(3)?)?;
            let summary = row.maybe_text(4)?.map(serde_json::from_str).transpose()?;
            let run = PastRun {
                number: row.int(0)?,
                run: record.run,
                verb: row.text(1)?.to_owned(),
                spec_hash: record.spec_hash,
                scope: row.text(2)?.to_owned(),
                started_at: record.started_at,
                clocks: record.clocks,
                resumed_at: record.resumed_at,
                sample: record.sample,
                slice: record.slice,
                since: record.since,
                summary,
                rows: BySide::default(),
                coverage: None,
                findings: BTreeMap::new(),
                found_rows: BTreeMap::new(),
                trend: None,
            };
            runs.push(Numbered {
                number: row.int(0)?,
                run,
                all_mappings: record.mappings.is_empty(),
            });
        }
        Ok(runs)
    }

    /// The mappings of a run that came to their end, with their places.
    async fn mappings_of(&self, run: i64) -> Result<Vec<(usize, MappingRecord)>, LedgerError> {
        let found = self.rows(include_str!("statements/mappings_of_run.sql"), values![run]).await?;
        let read = |row: &Record| {
            let place = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
            Ok((place, serde_json::from_str(row.text(1)?)?))
        };
        found.iter().map(read).collect()
    }

    /// Counts a run's findings: what is confirmed by kind, the others by what was ruled. Their rows are
    /// those of the mappings that came to their end; of others each finding counts as one.
    async fn count(
        &self,
        number: i64,
        mappings: &[(usize, MappingRecord)],
        run: &mut PastRun,
    ) -> Result<(), LedgerError> {
        for (name, rows) in mappings.iter().flat_map(|(_, mapping)| mapping.found_rows()) {
            if rows > 0 {
                *run.found_rows.entry(name.to_owned()).or_default() += rows;
            }
        }
        let statement = include_str!("statements/counts_of_run.sql");
        for row in self.rows(statement, values![number]).await? {
            let (mapping, kind, disposition) = (row.text(0)?, row.text(1)?, row.text(2)?);
            let name = if disposition == "confirmed" { kind } else { disposition };
            *run.findings.entry(name.to_owned()).or_default() += row.count(3)?;
            let of = mappings.iter().find(|(_, record)| record.mapping == mapping);
            if !of.is_some_and(|(_, record)| record.found_rows().iter().any(|(of, _)| *of == name))
            {
                *run.found_rows.entry(name.to_owned()).or_default() += row.count(3)?;
            }
        }
        Ok(())
    }

    /// Holds a run against the last one before it that compared a mapping whole, mapping by mapping.
    async fn trend(
        &self,
        run: i64,
        known: &BTreeMap<String, i64>,
        whole: &BTreeSet<String>,
    ) -> Result<Trend, LedgerError> {
        let mut trend = Trend::default();
        let statement = include_str!("statements/trend.sql");
        for earlier in known.values().collect::<BTreeSet<_>>() {
            for row in self.rows(statement, values![run, *earlier]).await? {
                let mapping = row.text(0)?;
                if known.get(mapping) == Some(earlier) {
                    trend.new += row.count(1)?;
                    trend.changed += row.count(2)?;
                    trend.same += row.count(3)?;
                    trend.gone += if whole.contains(mapping) { row.count(4)? } else { 0 };
                }
            }
        }
        Ok(trend)
    }
}
