//! Runs that were interrupted: by a signal, a deadline, a lost server, or an end that nobody saw.

use super::checksum::ChecksummedTable;
use super::history::{ReadError, RecordKind};
use super::problems::from_json;
use super::run_row::{RunRow, StoredRun};
use super::store::Store;
use super::stored_row::StoredRow;
use crate::finding::{RunRecord, Undecided};
use crate::problem::Problem;

/// A run that has not come to its end, or to one that left something out.
#[derive(Clone, Debug)]
pub struct InterruptedRun {
    pub(super) row: RunRow,
    /// Its record.
    pub record: RunRecord,
    /// What it was asked, as it was given to `Recorder::set_terms`.
    pub fingerprint: String,
}

/// What a search for an interrupted run finds.
#[derive(Clone, Debug)]
pub enum Resumable {
    /// A run that can go on.
    Run(Box<InterruptedRun>),
    /// None.
    Nothing,
    /// The run with this id, whose stored values are damaged: whether it was interrupted, and where it
    /// stood, is not known.
    Damaged(String),
}

impl Store {
    /// Finds the run that is to go on: this one, or the newest of a spec. A run that came to its end
    /// is none; `supersedes` tells whether one that did was asked the same, for then nobody goes back
    /// behind it. Nor behind one that is damaged, which may be the one that was meant.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn find_interrupted_run(
        &self,
        spec: &str,
        run: Option<&str>,
        supersedes: impl Fn(&str) -> bool,
    ) -> Result<Resumable, Problem> {
        let mut without_terms = None;
        for stored in self.read_run_rows(spec).await?.into_iter().rev() {
            if run.is_some_and(|run| run != stored.row().id) {
                continue;
            }
            let row = match stored {
                StoredRun::Damaged(row) => return Ok(Resumable::Damaged(row.id)),
                StoredRun::Sound(row) if row.verb != "compare" => continue,
                StoredRun::Sound(row) => row,
            };
            let id = row.id.clone();
            let (ended, interrupted) = match self.read_unless_ended(row).await {
                Ok(Some(read)) => read,
                Ok(None) => {
                    without_terms.get_or_insert(id);
                    continue;
                }
                Err(ReadError::Damaged) => return Ok(Resumable::Damaged(id)),
                Err(ReadError::Ledger(error)) => return Err(error),
            };
            // Only a version before all that have terms wrote none.
            if let Some(id) = without_terms {
                return Ok(Resumable::Damaged(id));
            }
            // What was recent then, or old then, is not any more.
            if run.is_none() && (interrupted.record.slice || interrupted.record.since.is_some()) {
                continue;
            }
            match ended {
                false => return Ok(Resumable::Run(Box::new(interrupted))),
                true if run.is_some() || supersedes(&interrupted.fingerprint) => {
                    return Ok(Resumable::Nothing);
                }
                true => {}
            }
        }
        Ok(Resumable::Nothing)
    }

    /// Reads what a run was asked, and whether it has come to its end; `None` if it has no terms. One
    /// that has judged everything has, even if it is incomplete: to go on with it would be to look at
    /// nothing that has changed since. One whose tables changed under way has, too: what it was to read
    /// is not there any more.
    async fn read_unless_ended(
        &self,
        row: RunRow,
    ) -> Result<Option<(bool, InterruptedRun)>, ReadError> {
        let Some(terms) = self.read_stored_fingerprint(&row.id).await? else { return Ok(None) };
        let record = row.run_record()?;
        let summary = row.summary_record()?;
        let ended = match summary {
            None => false,
            Some(summary) if summary.complete || row.undecided == 0 => true,
            Some(_) => {
                let mut changed = false;
                self.read_each(RecordKind::Undecided, &row, |text| {
                    changed |= from_json::<Undecided>(text)?.is_table_change();
                    Ok(())
                })
                .await?;
                changed
            }
        };
        Ok(Some((ended, InterruptedRun { row, record, fingerprint: terms })))
    }

    /// Reads a run and what it was asked; `None` if either is damaged.
    pub(super) fn read_shared_run(
        &self,
        record: &StoredRow,
    ) -> Result<Option<InterruptedRun>, Problem> {
        let Ok(row) = RunRow::read(self.checksums(), record) else { return Ok(None) };
        let terms = record.after("checksum");
        if self.checksums().verify(ChecksummedTable::Terms, &row.id, &terms).is_err() {
            return Ok(None);
        }
        let (run, terms) = (row.run_record()?, terms.text("terms_record")?.to_owned());
        Ok(Some(InterruptedRun { row, record: run, fingerprint: terms }))
    }
}
