//! Runs of the past: what each came to, what has changed since the run before it, and a run told again.
//!
//! A run is held against one of the same scope: the same spec and parameters, or the difference would
//! be in the question. It is the last one before it that compared a mapping whole, and only of such
//! mappings is anything said: what was not looked at is neither new nor gone.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{LedgerError, Row, Store, count, text};
use crate::event::Event;
use crate::finding::{Finding, History, MappingRecord, PastRun, RunRecord, Trend};
use crate::schema::BySide;

/// A run with its number in the ledger.
struct Numbered {
    number: i64,
    run: PastRun,
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
        // Of each scope the last run that compared a mapping whole, and those mappings.
        let mut before: BTreeMap<String, (i64, BTreeSet<String>)> = BTreeMap::new();
        for Numbered { number, run } in &mut runs {
            let mut whole = BTreeSet::new();
            self.each_mapping(*number, |_, mapping| {
                run.rows.source += mapping.rows.source;
                run.rows.target += mapping.rows.target;
                let least = run.coverage.unwrap_or(1.0).min(mapping.coverage);
                run.coverage = Some(least);
                if mapping.complete && mapping.coverage >= 1.0 {
                    whole.insert(mapping.mapping);
                }
                Ok(())
            })?;
            self.count(*number, run)?;
            if run.summary.is_some() {
                if let Some((earlier, known)) = before.get(&run.scope) {
                    run.trend = Some(self.trend(*number, *earlier, known, &whole)?);
                }
                if !whole.is_empty() {
                    before.insert(run.scope.clone(), (*number, whole));
                }
            }
        }
        let runs = runs.into_iter().map(|numbered| numbered.run).collect();
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
            Some(id) => runs.find(|known| known.run.run == id),
            None => runs.find(|known| known.run.summary.is_some()),
        };
        let Some(found) = found else { return Ok(Retold::Unknown) };
        let Some(summary) = found.run.summary else { return Ok(Retold::Unfinished) };
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
            let finding: Finding = serde_json::from_str(&text)?;
            hear(Event::Finding { mapping: place(&finding.mapping), finding });
            Ok(())
        })?;
        self.each(include_str!("statements/undecided_of_run.sql"), [found.number], text, |text| {
            hear(Event::Undecided(serde_json::from_str(&text)?));
            Ok(())
        })?;
        for (mapping, record) in mappings {
            hear(Event::MappingFinished { mapping, record: Box::new(record) });
        }
        hear(Event::RunFinished(summary));
        Ok(Retold::Told)
    }

    /// The runs of a spec as they stand, the oldest first.
    fn runs(&self, spec: &str) -> Result<Vec<Numbered>, LedgerError> {
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
            let run = PastRun {
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
            };
            runs.push(Numbered { number, run });
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
    fn count(&self, number: i64, run: &mut PastRun) -> Result<(), LedgerError> {
        let read = |row: &Row<'_>| {
            let (kind, disposition): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((kind, disposition, count(row, 2)?))
        };
        self.each(include_str!("statements/counts_of_run.sql"), [number], read, |row| {
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
        known: &BTreeSet<String>,
        whole: &BTreeSet<String>,
    ) -> Result<Trend, LedgerError> {
        let mut trend = Trend::default();
        let read = |row: &Row<'_>| {
            let counts = [count(row, 1)?, count(row, 2)?, count(row, 3)?, count(row, 4)?];
            Ok((row.get::<_, String>(0)?, counts))
        };
        self.each(include_str!("statements/trend.sql"), [run, earlier], read, |row| {
            let (mapping, [new, changed, same, gone]) = row;
            if !known.contains(&mapping) {
                return Ok(());
            }
            trend.new += new;
            trend.changed += changed;
            trend.same += same;
            trend.gone += if whole.contains(&mapping) { gone } else { 0 };
            Ok(())
        })?;
        Ok(trend)
    }
}
