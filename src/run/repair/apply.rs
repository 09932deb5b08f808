//! Applies a verified folder: batch by batch, each one transaction, in the order of the scripts; the first
//! guard that rejects a batch stops it. At the end every changed key is read again on both sides.
//!
//! A second `apply` skips the batches that the journal lists as committed. A batch that was undone since,
//! or lost in a failover, runs again: that is one whose every key differs between the sides. If it only
//! appears to be undone, because the application has written each of its rows since, no row is as it was
//! before the repair, and the batch is skipped, too. Any other batch is applied; if it is rejected, it is
//! the last one.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::apply_outcome::{ApplyOutcome, ApplyProgress, failed_batch};
use super::verify_applied::AppliedState;
use super::verify_folder::VerifiedFolder;
use crate::pg::{Connection, PgError, ReadSettings, Retries};
use crate::prepare::Stop;
use crate::problem::Problem;
use crate::repair::{self, Batch, ChangeShape, RepairPart, RepairStage, RowChange};
use crate::repair_folder::{BatchNumber, Journal, SealedFile};
use crate::run::batch_interval::BatchInterval;
use crate::sql::{self, Bind};

/// Rows that one statement has as parameters.
const FILL_ROWS: usize = 5_000;

/// A batch that is to be applied.
struct DueBatch<'d> {
    shapes: &'d [ChangeShape],
    stages: &'d [RepairStage],
    changes: &'d [Vec<RowChange>],
    number: BatchNumber,
    rows: u64,
}

/// Applies a folder.
struct Applier<'a, F> {
    folder: &'a VerifiedFolder<'a>,
    journal: Journal,
    interval: BatchInterval<'a>,
    stop: watch::Receiver<Stop>,
    report: F,
    /// Batches that were applied before.
    skipped: u64,
}

impl VerifiedFolder<'_> {
    /// Runs every batch in order, except those that were applied before, then reads every key again.
    pub async fn apply(
        &self,
        mut journal: Journal,
        stop: &watch::Receiver<Stop>,
        mut report: impl FnMut(ApplyProgress<'_>),
    ) -> ApplyOutcome {
        if let Err(problem) = journal.open() {
            report(ApplyProgress::JournalFailed(&problem));
        }
        let interval = BatchInterval::new(self.prepared, self.written());
        let stop = stop.clone();
        let mut applier = Applier { folder: self, journal, interval, stop, report, skipped: 0 };
        for (number, part, changes) in self.parts() {
            match applier.apply_part(number, part, changes).await {
                Ok(None) => {}
                Ok(Some(outcome)) => return outcome,
                Err(problem) => return ApplyOutcome::Failed(problem),
            }
        }
        (applier.report)(ApplyProgress::Verifying);
        match self.verify_applied().await {
            Ok(AppliedState { keys, agree, differing }) => {
                ApplyOutcome::Done { keys, agree, differing, skipped: applier.skipped }
            }
            Err(problem) => ApplyOutcome::Failed(problem),
        }
    }
}

impl<F: FnMut(ApplyProgress<'_>)> Applier<'_, F> {
    /// Applies a part. Returns the outcome if that ends `apply`.
    async fn apply_part(
        &mut self,
        part_number: usize,
        part: &RepairPart,
        changes: &SealedFile,
    ) -> Result<Option<ApplyOutcome>, Problem> {
        let folder = self.folder;
        let plans = folder.plans_of(part_number);
        let mut changes = folder.open_changes(part, changes)?;
        let (mut number, mut rows, mut before) = (0, 0, 0);
        let mut took = Duration::ZERO;
        while let Some(batch) = changes.next()? {
            if *self.stop.borrow() != Stop::No {
                return Ok(Some(ApplyOutcome::Stopped));
            }
            number += 1;
            let failed = |error: PgError| -> Result<Option<ApplyOutcome>, Problem> {
                let outcome = failed_batch((&part.script.file, number), folder.written(), error);
                Ok(Some(outcome))
            };
            let count = batch.iter().map(|changes| changes.len() as u64).sum::<u64>();
            let (shapes, stages) = (changes.header.stages.as_slice(), part.stages.as_slice());
            let due = DueBatch {
                shapes,
                stages,
                changes: &batch,
                number: (part_number, number),
                rows: count,
            };
            rows += count;
            let was_committed = match self.was_committed(&due).await {
                Ok(Some(committed)) => committed,
                Ok(None) => return Ok(Some(ApplyOutcome::Stopped)),
                Err(error) => return failed(error),
            };
            if was_committed && !folder.is_undone(&plans, shapes, &batch).await? {
                (self.skipped, before) = (self.skipped + 1, before + count);
                continue;
            }
            let throttled = |reason: &str| (self.report)(ApplyProgress::Throttled(reason));
            let turn = self.interval.turn(took, &mut self.stop, throttled).await;
            turn.map_err(|error| Problem::from((Some(folder.written()), error)))?;
            let began = Instant::now();
            match self.run_batch(&due, was_committed).await {
                Ok(Some(true)) => {}
                Ok(Some(false)) => (self.skipped, before) = (self.skipped + 1, before + count),
                Ok(None) => return Ok(Some(ApplyOutcome::Stopped)),
                Err(error) => return failed(error),
            }
            took = began.elapsed();
            (self.report)(ApplyProgress::Rows(part, rows));
        }
        (self.report)(ApplyProgress::Part(part, before));
        Ok(None)
    }

    /// Returns whether a batch was committed before; `None` if `apply` was stopped.
    async fn was_committed(&mut self, due: &DueBatch<'_>) -> Result<Option<bool>, PgError> {
        if self.journal.in_doubt(due.number).is_none() {
            return Ok(Some(self.journal.is_committed(due.number)));
        }
        self.retry(async |applier, connection| applier.resolve_doubt(connection, due).await).await
    }

    /// Runs a batch; one that was committed before only if it was undone. Returns whether it ran; `None` if
    /// `apply` was stopped before.
    async fn run_batch(
        &mut self,
        due: &DueBatch<'_>,
        was_committed: bool,
    ) -> Result<Option<bool>, PgError> {
        self.retry(async |applier, connection| {
            // The connection may have been lost during the COMMIT of the attempt before.
            if applier.resolve_doubt(connection, due).await? {
                return Ok(true);
            }
            applier.write_batch(connection, due, was_committed).await
        })
        .await
    }

    /// Carries out work on a connection, and retries it after errors that may pass. Returns `None` if
    /// `apply` was stopped before.
    async fn retry<T>(
        &mut self,
        mut work: impl AsyncFnMut(&mut Self, &Connection) -> Result<T, PgError>,
    ) -> Result<Option<T>, PgError> {
        let (mut stop, mut faults) = (self.stop.clone(), Retries::against_faults());
        let pool = &self.folder.prepared.pools[self.folder.written()];
        loop {
            if *stop.borrow() != Stop::No {
                return Ok(None);
            }
            let result = match pool.acquire().await {
                Ok(connection) => {
                    let result = work(self, &connection).await;
                    connection.give_back().await;
                    result
                }
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            let Some(pause) = faults.pause().filter(|_| error.is_transient()) else {
                return Err(error);
            };
            // A signal to stop ends the pause.
            let _ = tokio::time::timeout(pause, stop.changed()).await;
        }
    }

    /// Queries whether the transaction of a batch in doubt was committed.
    async fn resolve_doubt(
        &mut self,
        connection: &Connection,
        due: &DueBatch<'_>,
    ) -> Result<bool, PgError> {
        let Some(transaction) = self.journal.in_doubt(due.number) else { return Ok(false) };
        let session = ReadSettings::new(&[], self.folder.prepared.spec.compare.statement_timeout);
        let rows = connection.query(&session, &sql::transaction_status(transaction)).await;
        let status = match &rows {
            Ok(rows) => rows.first().map_or(Ok(None), |row| row.get::<Option<&str>>(0))?,
            // The server has not begun it: the database was restored to an earlier time.
            Err(error) if error.sqlstate.as_deref() == Some("22023") => None,
            Err(error) => return Err(error.clone()),
        };
        match status {
            Some("committed") => {
                let recorded = self.journal.record_commit();
                self.report_journal(recorded);
                Ok(true)
            }
            Some("in progress") => Err(PgError::transient("the batch's last try is not over yet")),
            _ => {
                self.journal.clear_doubt();
                Ok(false)
            }
        }
    }

    /// Reports that the journal cannot be written. It is not written again afterwards.
    fn report_journal(&mut self, recorded: Result<(), Problem>) {
        if let Err(problem) = recorded {
            (self.report)(ApplyProgress::JournalFailed(&problem));
        }
    }

    /// Runs the transaction of a batch. Returns whether it was committed: a batch that was committed
    /// before is rolled back if no row is as it was before the repair.
    async fn write_batch(
        &mut self,
        connection: &Connection,
        due: &DueBatch<'_>,
        was_committed: bool,
    ) -> Result<bool, PgError> {
        let manifest = self.folder.manifest();
        let stages = due.stages();
        let batch = Batch {
            written: &manifest.written,
            expires: Some(&manifest.expires_at),
            mode: manifest.mode,
            stages: stages
                .iter()
                .map(|(shape, stage, changes)| (*shape, &stage.table, changes.len()))
                .collect(),
        };
        let writing = connection.begin_write(&batch.opening()).await?;
        let work = async {
            for (index, (shape, _, changes)) in stages.iter().enumerate() {
                let fill = batch.fill(index);
                // A setting contains all rows or none.
                let most = if batch.mode.temporary { FILL_ROWS } else { changes.len() };
                for rows in changes.chunks(most) {
                    writing.execute(&fill, &binds(shape, rows)).await?;
                }
            }
            if was_committed {
                let rows = writing.query(&batch.any_as_before(), &[]).await?;
                let any = rows.first().ok_or_else(|| PgError::unexpected("no answer"))?;
                if !any.get::<bool>(0)? {
                    return Ok(None);
                }
            }
            for text in batch.closing() {
                writing.execute_batch(&text).await?;
            }
            let rows = writing.query(&sql::transaction().text, &[]).await?;
            let transaction = rows.first().ok_or_else(|| PgError::unexpected("no transaction"))?;
            transaction.get::<String>(0).map(Some)
        };
        match work.await {
            Ok(None) => {
                writing.roll_back().await;
                Ok(false)
            }
            Ok(Some(transaction)) => {
                let recorded = self.journal.record_commit_begin(due.number, due.rows, transaction);
                self.report_journal(recorded);
                writing.commit().await?;
                let recorded = self.journal.record_commit();
                self.report_journal(recorded);
                Ok(true)
            }
            Err(error) => {
                writing.roll_back().await;
                Err(error)
            }
        }
    }
}

impl DueBatch<'_> {
    /// Returns the stages that have changes.
    fn stages(&self) -> Vec<(&ChangeShape, &RepairStage, &[RowChange])> {
        let stages = self.shapes.iter().zip(self.stages).zip(self.changes);
        let stages = stages.map(|((shape, stage), changes)| (shape, stage, changes.as_slice()));
        stages.filter(|(_, _, changes)| !changes.is_empty()).collect()
    }
}

/// Returns rows as parameters: for each field an array of texts.
fn binds(shape: &ChangeShape, rows: &[RowChange]) -> Vec<Bind> {
    let bind = |field| Bind::texts(rows.iter().map(|change| repair::field_value(change, field)));
    repair::fields(shape).map(bind).collect()
}
