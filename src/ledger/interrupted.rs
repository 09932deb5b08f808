//! Runs that were interrupted: by a signal, a deadline, a lost server, or an end that nobody saw.

use super::error::LedgerError;
use super::store::Store;
use super::value::{Record, values};
use crate::finding::{RunRecord, SummaryRecord};

/// A run that has not come to its end, or to one that left something out.
#[derive(Clone, Debug)]
pub struct Interrupted {
    pub(super) number: i64,
    /// Its record.
    pub record: RunRecord,
    /// What it was asked, as it was given to `Recorder::set_terms`.
    pub terms: String,
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
    ) -> Result<Option<Interrupted>, LedgerError> {
        let statement = include_str!("statements/interrupted.sql");
        let found = self.rows(statement, values![spec, run.unwrap_or_default()]).await?;
        for record in &found {
            let (ended, interrupted) = read(record)?;
            // What was recent then, or old then, is not any more.
            if run.is_none() && (interrupted.record.slice || interrupted.record.since.is_some()) {
                continue;
            }
            match ended {
                false => return Ok(Some(interrupted)),
                true if run.is_some() || supersedes(&interrupted.terms) => return Ok(None),
                true => {}
            }
        }
        Ok(None)
    }
}

/// A run, and whether it has come to its end. One that has judged everything has, even if it is
/// incomplete: to go on with it would be to look at nothing that has changed since. One whose tables
/// changed under way has, too: what it was to read is not there any more.
fn read(record: &Record) -> Result<(bool, Interrupted), LedgerError> {
    let summary: Option<SummaryRecord> =
        record.maybe_text(2)?.map(serde_json::from_str).transpose()?;
    let all_judged = record.int(4)? == 0;
    let changed = record.int(5)? > 0;
    let ended = summary.is_some_and(|summary| summary.complete || all_judged || changed);
    let run = serde_json::from_str(record.text(1)?)?;
    let (number, terms) = (record.int(0)?, record.text(3)?.to_owned());
    Ok((ended, Interrupted { number, record: run, terms }))
}
