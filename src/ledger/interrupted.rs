//! Runs that were interrupted: by a signal, a deadline, a lost server, or an end that nobody saw.

use super::checksum::Table;
use super::error::LedgerError;
use super::run_row::{COLUMNS, RunRow};
use super::store::Store;
use super::value::{Record, values};
use crate::finding::{RunRecord, SummaryRecord};

/// A run that has not come to its end, or to one that left something out.
#[derive(Clone, Debug)]
pub struct Interrupted {
    pub(super) row: RunRow,
    /// Its record.
    pub record: RunRecord,
    /// What it was asked, as it was given to `Recorder::set_terms`.
    pub terms: String,
}

/// What a search for an interrupted run finds.
#[derive(Clone, Debug)]
pub enum Resumable {
    /// A run that can go on.
    Run(Box<Interrupted>),
    /// None.
    Nothing,
    /// The run with this id, whose stored values are damaged: whether it was interrupted, and where it
    /// stood, is not known.
    Damaged(String),
}

impl Store {
    /// Finds the run that is to go on: this one, or the newest of a spec. A run that came to its end
    /// is none; `supersedes` tells whether one that did was asked the same, for then nobody goes back
    /// behind it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn interrupted(
        &self,
        spec: &str,
        run: Option<&str>,
        supersedes: impl Fn(&str) -> bool,
    ) -> Result<Resumable, LedgerError> {
        let statement = include_str!("statements/interrupted.sql");
        let found = self.rows(statement, values![spec, run.unwrap_or_default()]).await?;
        for record in &found {
            let Some((ended, interrupted)) = self.read_interrupted(record)? else {
                return Ok(Resumable::Damaged(record.text(1).unwrap_or_default().to_owned()));
            };
            // What was recent then, or old then, is not any more.
            if run.is_none() && (interrupted.record.slice || interrupted.record.since.is_some()) {
                continue;
            }
            match ended {
                false => return Ok(Resumable::Run(Box::new(interrupted))),
                true if run.is_some() || supersedes(&interrupted.terms) => {
                    return Ok(Resumable::Nothing);
                }
                true => {}
            }
        }
        Ok(Resumable::Nothing)
    }

    /// Reads a run, and whether it has come to its end; `None` if it is damaged. One that has judged
    /// everything has, even if it is incomplete: to go on with it would be to look at nothing that has
    /// changed since. One whose tables changed under way has, too: what it was to read is not there any
    /// more.
    fn read_interrupted(
        &self,
        record: &Record,
    ) -> Result<Option<(bool, Interrupted)>, LedgerError> {
        let Some(interrupted) = self.begun(record)? else { return Ok(None) };
        let summary: Option<SummaryRecord> =
            interrupted.row.summary.as_deref().map(serde_json::from_str).transpose()?;
        let counts = COLUMNS + TERMS;
        let all_judged = record.int(counts)? == 0;
        let changed = record.int(counts + 1)? > 0;
        let ended = summary.is_some_and(|summary| summary.complete || all_judged || changed);
        Ok(Some((ended, interrupted)))
    }

    /// Reads a run and what it was asked; `None` if either is damaged.
    pub(super) fn begun(&self, record: &Record) -> Result<Option<Interrupted>, LedgerError> {
        let Ok(row) = RunRow::read(self.checksums(), record) else { return Ok(None) };
        let terms = Record(record.0.iter().skip(COLUMNS).take(TERMS).cloned().collect());
        if self.checksums().verify(Table::Terms, &row.id, &terms).is_err() {
            return Ok(None);
        }
        let (run, terms) = (serde_json::from_str(&row.record)?, terms.text(1)?.to_owned());
        Ok(Some(Interrupted { row, record: run, terms }))
    }
}

/// Columns of what a run was asked.
const TERMS: usize = 3;
