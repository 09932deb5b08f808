//! Runs of the past: what each came to, what has changed since the run before it, and a run told again.
//!
//! A run is held against the last one before it of the same scope that came to its end: the same spec
//! and parameters, or the difference would be in the question. What is gone is only said of mappings
//! that were compared whole, for what was not looked at may still be there.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::store::{LedgerError, Row, Store, count, text};
use crate::event::Event;
use crate::finding::{MappingRecord, RunRecord, SummaryRecord};
use crate::schema::BySide;

/// The runs of one spec, the oldest first.
#[derive(Debug, Serialize)]
pub struct History {
    /// The spec's name.
    pub spec: String,
    /// The runs that are remembered.
    pub runs: Vec<PastRun>,
}

/// One run of the past.
#[derive(Debug, Serialize)]
pub struct PastRun {
    /// Its id.
    pub run: String,
    /// What it was.
    pub verb: String,
    /// Spec and parameters together.
    pub scope: String,
    /// When it began.
    pub started_at: String,
    /// The share of the keys that it looked at, if not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// How it ended; nothing if it was killed or is still under way.
    pub summary: Option<SummaryRecord>,
    /// Rows of each side, of all mappings.
    pub rows: BySide<u64>,
    /// The least share of a mapping's rows that was judged.
    pub coverage: Option<f64>,
    /// Findings that were told, by kind; those under an accept rule and those that kept changing apart.
    pub findings: BTreeMap<String, u64>,
    /// Against the run before it, if there is one.
    pub trend: Option<Trend>,
    #[serde(skip)]
    number: i64,
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

impl PastRun {
    /// Findings that were told, of every kind.
    pub fn found(&self) -> u64 {
        self.findings.values().sum()
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
    pub fn history(&self, spec: &str) -> Result<History, LedgerError> {
        let mut runs = self.runs(spec)?;
        // Of each scope the last run that came to its end.
        let mut before: BTreeMap<String, i64> = BTreeMap::new();
        for run in &mut runs {
            let mut whole = BTreeSet::new();
            self.each_mapping(run.number, |_, mapping| {
                run.rows.source += mapping.rows.source;
                run.rows.target += mapping.rows.target;
                let least = run.coverage.unwrap_or(1.0).min(mapping.coverage);
                run.coverage = Some(least);
                if mapping.complete && mapping.coverage >= 1.0 {
                    whole.insert(mapping.mapping);
                }
                Ok(())
            })?;
            self.count(run)?;
            if run.summary.is_some() {
                if let Some(earlier) = before.get(&run.scope) {
                    run.trend = Some(self.trend(run.number, *earlier, &whole)?);
                }
                before.insert(run.scope.clone(), run.number);
            }
        }
        Ok(History { spec: spec.to_owned(), runs })
    }

    /// Tells a run again as it was told: this one, or the newest that came to its end.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn retell(
        &self,
        spec: &str,
        run: Option<&str>,
        mut hear: impl FnMut(Event),
    ) -> Result<Retold, LedgerError> {
        let mut runs = self.runs(spec)?.into_iter().rev();
        let found = match run {
            Some(id) => runs.find(|known| known.run == id),
            None => runs.find(|known| known.summary.is_some()),
        };
        let Some(found) = found else { return Ok(Retold::Unknown) };
        let Some(summary) = found.summary else { return Ok(Retold::Unfinished) };
        let statement = include_str!("statements/run_record.sql");
        let Some(record) = self.first(statement, [found.number], text)? else {
            return Ok(Retold::Unknown);
        };
        let record: RunRecord = serde_json::from_str(&record)?;
        hear(Event::RunStarted(record));
        let mut mappings = Vec::new();
        self.each_mapping(found.number, |place, mapping| {
            mappings.push((usize::try_from(place).unwrap_or(usize::MAX), mapping));
            Ok(())
        })?;
        for (mapping, record) in &mappings {
            let (mapping, name) = (*mapping, record.mapping.clone());
            hear(Event::MappingStarted { mapping, name, estimated_rows: None });
        }
        let place = |name: &str| {
            mappings.iter().find(|(_, record)| record.mapping == name).map_or(0, |m| m.0)
        };
        self.each(include_str!("statements/findings_of_run.sql"), [found.number], text, |text| {
            let finding: crate::finding::Finding = serde_json::from_str(&text)?;
            hear(Event::Finding { mapping: place(&finding.mapping), finding });
            Ok(())
        })?;
        self.each(include_str!("statements/undecided_of_run.sql"), [found.number], text, |text| {
            hear(Event::Undecided(serde_json::from_str(&text)?));
            Ok(())
        })?;
        for (mapping, record) in mappings {
            hear(Event::MappingFinished { mapping, record });
        }
        hear(Event::RunFinished(summary));
        Ok(Retold::Told)
    }

    /// The runs of a spec as they stand, the oldest first.
    fn runs(&self, spec: &str) -> Result<Vec<PastRun>, LedgerError> {
        let mut runs = Vec::new();
        let read = |row: &Row<'_>| {
            let (number, verb, scope): (i64, String, String) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            let (record, summary): (String, Option<String>) = (row.get(3)?, row.get(4)?);
            Ok((number, verb, scope, record, summary))
        };
        self.each(include_str!("statements/runs_of_spec.sql"), [spec], read, |row| {
            let (number, verb, scope, record, summary) = row;
            let record: RunRecord = serde_json::from_str(&record)?;
            runs.push(PastRun {
                run: record.run,
                verb,
                scope,
                started_at: record.started_at,
                sample: record.sample,
                summary: summary.map(|text| serde_json::from_str(&text)).transpose()?,
                rows: BySide::default(),
                coverage: None,
                findings: BTreeMap::new(),
                trend: None,
                number,
            });
            Ok(())
        })?;
        Ok(runs)
    }

    fn each_mapping(
        &self,
        run: i64,
        mut take: impl FnMut(i64, MappingRecord) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        self.each(include_str!("statements/mappings_of_run.sql"), [run], read, |(place, text)| {
            take(place, serde_json::from_str(&text)?)
        })
    }

    /// Counts a run's findings: what is confirmed by kind, the others by what was ruled.
    fn count(&self, run: &mut PastRun) -> Result<(), LedgerError> {
        let read = |row: &Row<'_>| {
            let (kind, disposition): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((kind, disposition, count(row, 2)?))
        };
        self.each(include_str!("statements/counts_of_run.sql"), [run.number], read, |row| {
            let (kind, disposition, count) = row;
            let name = if disposition == "confirmed" { kind } else { disposition };
            *run.findings.entry(name).or_default() += count;
            Ok(())
        })
    }

    fn trend(
        &self,
        run: i64,
        earlier: i64,
        whole: &BTreeSet<String>,
    ) -> Result<Trend, LedgerError> {
        let mut trend = Trend::default();
        let read = |row: &Row<'_>| {
            let counts = [count(row, 1)?, count(row, 2)?, count(row, 3)?, count(row, 4)?];
            Ok((row.get::<_, String>(0)?, counts))
        };
        self.each(include_str!("statements/trend.sql"), [run, earlier], read, |row| {
            let (mapping, [new, changed, same, gone]) = row;
            trend.new += new;
            trend.changed += changed;
            trend.same += same;
            trend.gone += if whole.contains(&mapping) { gone } else { 0 };
            Ok(())
        })?;
        Ok(trend)
    }
}
