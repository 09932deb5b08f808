//! Runs that were interrupted by a signal, a deadline, a lost server or a kill, and can be resumed.

use super::checksum::ChecksummedTable;
use super::history::{ReadError, RecordKind};
use super::problems::from_json;
use super::run_row::{RunRow, StoredRun};
use super::storage::store::Store;
use super::storage::stored_row::StoredRow;
use crate::finding::{RunRecord, Undecided};
use crate::problem::Problem;

/// A run that has no end, or an incomplete one.
#[derive(Clone, Debug)]
pub struct InterruptedRun {
    pub(super) row: RunRow,
    /// The record with which it started.
    pub record: RunRecord,
    /// Its fingerprint: what it compares, as text.
    pub fingerprint: String,
}

/// The result of a search for an interrupted run.
#[derive(Clone, Debug)]
pub enum Resumable {
    /// A run that can be resumed.
    Run(Box<InterruptedRun>),
    /// There is none.
    Nothing,
    /// The stored values of the run with this id are damaged: whether it was interrupted, and how far
    /// it had come, is not known.
    Damaged(String),
}

impl Store {
    /// Finds the run to resume: this one, or the newest of a spec that was interrupted. The search ends
    /// at a finished run whose fingerprint `supersedes` those of older ones, and at a damaged run, which
    /// may be the one that was meant.
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
            // Only the first version of the program stored no fingerprint.
            if let Some(id) = without_terms {
                return Ok(Resumable::Damaged(id));
            }
            // What was recent or old at that time is not any more.
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

    /// Reads the fingerprint of a run, and whether the run has ended. Returns `None` if it has no
    /// fingerprint. A run without undecided ranges has ended even if it is incomplete: resuming it would
    /// read nothing again. A run whose tables changed meanwhile has ended too: what it was to read does
    /// not exist any more.
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

    /// Reads a run and its fingerprint. Returns `None` if either is damaged.
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
