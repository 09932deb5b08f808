//! Applies a folder of changes that was verified: batch by batch, each one transaction, in the scripts'
//! order; the first guard that refuses stops it. In the end every key that was touched is read again on
//! both sides.
//!
//! Started again it passes over what the journal knows to be committed. A batch that was undone since, or
//! lost in a failover, runs again: that is one whose every key differs between the sides. Where it only
//! looks undone, because the application has written each of its rows since, not one is as it was before,
//! and it is passed over all the same. Any other is applied, or refused and the last.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::journal::{Journal, Place};
use super::looking::Differing;
use super::ready::Ready;
use super::verified::Verified;
use crate::pg::{Lease, PgError, Retries, Session};
use crate::prepare::{Blocked, Stop};
use crate::repair::{self, Batch, Change, GUARD, Part, Shape, Stage};
use crate::run::batch_interval::BatchInterval;
use crate::sql::{self, Bind};

/// Rows that travel as one statement's parameters.
const FILL_ROWS: usize = 5_000;

/// How far it has come.
#[derive(Clone, Debug)]
pub enum Progress<'p> {
    /// So many rows of a part are done.
    Rows(&'p Part, u64),
    /// The next batch waits, for this reason.
    Held(&'p str),
    /// A part is done; so many of its rows were before.
    Part(&'p Part, u64),
    /// What is applied cannot be written down any more.
    Unrecorded(&'p Blocked),
    /// Keys are being read again.
    Looking,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// All of it ran; so many keys were read again, of which so many agree.
    Done {
        /// Keys that were touched.
        keys: u64,
        /// Those that agree now.
        agree: u64,
        /// In which pairs of which mapping how many of the others differ.
        differing: Differing,
        /// Batches that were applied before, and not again.
        passed: u64,
    },
    /// A guard refused.
    Refused(Blocked),
    /// Something else stood in the way.
    Failed(Blocked),
    /// It was asked to stop between two batches.
    Stopped,
}

/// A batch on its way.
struct Due<'d> {
    shapes: &'d [Shape],
    stages: &'d [Stage],
    changes: &'d [Vec<Change>],
    place: Place,
    rows: u64,
}

/// An apply on its way.
struct Applying<'a, F> {
    ready: &'a Ready<'a>,
    journal: Journal,
    spacing: BatchInterval<'a>,
    stop: watch::Receiver<Stop>,
    tell: F,
    passed: u64,
}

impl Ready<'_> {
    /// Runs every batch in order, but for those that were applied before, then reads every key again.
    pub async fn execute(
        &self,
        mut journal: Journal,
        stop: &watch::Receiver<Stop>,
        mut tell: impl FnMut(Progress<'_>),
    ) -> Applied {
        if let Err(blocked) = journal.begin() {
            tell(Progress::Unrecorded(&blocked));
        }
        let spacing = BatchInterval::new(self.prepared, self.written);
        let mut applying =
            Applying { ready: self, journal, spacing, stop: stop.clone(), tell, passed: 0 };
        for (place, part, verified) in self.parts() {
            match applying.run_part(place, part, verified).await {
                Ok(None) => {}
                Ok(Some(ended)) => return ended,
                Err(blocked) => return Applied::Failed(blocked),
            }
        }
        (applying.tell)(Progress::Looking);
        match self.look().await {
            Ok((keys, agree, differing)) => {
                Applied::Done { keys, agree, differing, passed: applying.passed }
            }
            Err(blocked) => Applied::Failed(blocked),
        }
    }

    fn ended(&self, part: &Part, number: usize, error: PgError) -> Applied {
        let file = &part.script.file;
        if is_refusal(&error) {
            let code = error.sqlstate.as_deref().unwrap_or_default();
            let (by, helps) = match (code, &error.broken) {
                (GUARD, _) => (
                    error.message,
                    "Compare again and make a new repair; if that is refused as well, a trigger or another unique index stands in its way. Run the script with psql to see the keys.",
                ),
                (_, Some(broken)) => (
                    format!("{broken} (SQLSTATE {code})"),
                    "A new repair would be refused as well: look at that constraint, then repair the row that it refuses by hand, or leave it out; run the script with psql to see which one.",
                ),
                _ => (
                    format!("a constraint or a trigger (SQLSTATE {code})"),
                    "A new repair may be refused as well: run the script with psql to see what refuses which row, then repair that by hand, or leave it out.",
                ),
            };
            let message = format!("batch {number} of {file} was refused: {by}");
            let hint = format!("Nothing of this batch was changed, earlier ones stand. {helps}");
            return Applied::Refused(Blocked::new(message).with_hint(hint));
        }
        let blocked =
            Blocked::new(format!("batch {number} of {file}: {}: {}", self.written, error.message));
        let hint = match error.sqlstate.as_deref() {
            Some("42501") => "The role needs SELECT, INSERT, UPDATE or DELETE on the tables, UPDATE also to delete, and SELECT and UPDATE on sequences.".to_owned(),
            _ => error.hint.unwrap_or_else(|| {
                "Nothing is half done; start it again when that is solved.".to_owned()
            }),
        };
        Applied::Failed(blocked.with_hint(hint))
    }
}

impl<F: FnMut(Progress<'_>)> Applying<'_, F> {
    /// Runs a part; what ended it early, if anything did.
    async fn run_part(
        &mut self,
        place: usize,
        part: &Part,
        verified: &Verified,
    ) -> Result<Option<Applied>, Blocked> {
        let ready = self.ready;
        let plans = ready.plans_of(place);
        let mut changes = ready.changes(part, verified)?;
        let (mut number, mut rows, mut before) = (0, 0, 0);
        let mut took = Duration::ZERO;
        while let Some(batch) = changes.next()? {
            if *self.stop.borrow() != Stop::No {
                return Ok(Some(Applied::Stopped));
            }
            number += 1;
            let count = batch.iter().map(|changes| changes.len() as u64).sum::<u64>();
            let (shapes, stages) = (changes.heading.stages.as_slice(), part.stages.as_slice());
            let due = Due { shapes, stages, changes: &batch, place: (place, number), rows: count };
            rows += count;
            let known = match self.is_committed(&due).await {
                Ok(Some(known)) => known,
                Ok(None) => return Ok(Some(Applied::Stopped)),
                Err(error) => return Ok(Some(ready.ended(part, number, error))),
            };
            if known && !ready.is_undone(&plans, shapes, &batch).await? {
                (self.passed, before) = (self.passed + 1, before + count);
                continue;
            }
            let held = |why: &str| (self.tell)(Progress::Held(why));
            let turn = self.spacing.turn(took, &mut self.stop, held).await;
            turn.map_err(|error| Blocked::from((Some(ready.written), error)))?;
            let began = Instant::now();
            match self.run_batch(&due, known).await {
                Ok(Some(true)) => {}
                Ok(Some(false)) => (self.passed, before) = (self.passed + 1, before + count),
                Ok(None) => return Ok(Some(Applied::Stopped)),
                Err(error) => return Ok(Some(ready.ended(part, number, error))),
            }
            took = began.elapsed();
            (self.tell)(Progress::Rows(part, rows));
        }
        (self.tell)(Progress::Part(part, before));
        Ok(None)
    }

    /// Whether a batch was committed before; nothing if it was asked to stop.
    async fn is_committed(&mut self, due: &Due<'_>) -> Result<Option<bool>, PgError> {
        if self.journal.doubt(due.place).is_none() {
            return Ok(Some(self.journal.has(due.place)));
        }
        self.again(async |applying, lease| applying.ask(lease, due).await).await
    }

    /// Runs a batch, one that is `known` to have been committed before only if it was undone. Gives
    /// whether it ran; nothing if it was asked to stop before.
    async fn run_batch(&mut self, due: &Due<'_>, known: bool) -> Result<Option<bool>, PgError> {
        self.again(async |applying, lease| {
            // The try before this one may have ended at its COMMIT.
            if applying.ask(lease, due).await? {
                return Ok(true);
            }
            applying.write_batch(lease, due, known).await
        })
        .await
    }

    /// Does something, again where that helps; nothing if it was asked to stop before.
    async fn again<T>(
        &mut self,
        mut work: impl AsyncFnMut(&mut Self, &Lease) -> Result<T, PgError>,
    ) -> Result<Option<T>, PgError> {
        let (mut stop, mut faults) = (self.stop.clone(), Retries::against_faults());
        loop {
            if *stop.borrow() != Stop::No {
                return Ok(None);
            }
            let result = match self.ready.prepared.pools[self.ready.written].lease().await {
                Ok(lease) => {
                    let result = work(self, &lease).await;
                    lease.give_back().await;
                    result
                }
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            };
            let Some(pause) = faults.pause().filter(|_| error.may_pass()) else {
                return Err(error);
            };
            // Whoever wants it to stop does not wait for the end of the pause.
            let _ = tokio::time::timeout(pause, stop.changed()).await;
        }
    }

    /// What became of the transaction of a batch that is in doubt: whether it was committed.
    async fn ask(&mut self, lease: &Lease, due: &Due<'_>) -> Result<bool, PgError> {
        let Some(transaction) = self.journal.doubt(due.place) else { return Ok(false) };
        let session = Session::new(&[], self.ready.prepared.spec.compare.statement_timeout);
        let asked = lease.all(&session, &sql::transaction_status(transaction)).await;
        let status = match &asked {
            Ok(rows) => rows.first().map_or(Ok(None), |row| row.get::<Option<&str>>(0))?,
            // Never begun there: the database was put back to an earlier time.
            Err(error) if error.sqlstate.as_deref() == Some("22023") => None,
            Err(error) => return Err(error.clone()),
        };
        match status {
            Some("committed") => {
                let written = self.journal.committed();
                self.recorded(written);
                Ok(true)
            }
            Some("in progress") => Err(PgError::not_yet("the batch's last try is not over yet")),
            _ => {
                self.journal.forget();
                Ok(false)
            }
        }
    }

    /// Tells, once, that nothing is written down any more.
    fn recorded(&mut self, written: Result<(), Blocked>) {
        if let Err(blocked) = written {
            (self.tell)(Progress::Unrecorded(&blocked));
        }
    }

    /// Gives whether it was written.
    async fn write_batch(
        &mut self,
        lease: &Lease,
        due: &Due<'_>,
        known: bool,
    ) -> Result<bool, PgError> {
        let manifest = &self.ready.manifest;
        let there: Vec<((&Shape, &Stage), &[Change])> = due
            .shapes
            .iter()
            .zip(due.stages)
            .zip(due.changes.iter().map(Vec::as_slice))
            .filter(|(_, changes)| !changes.is_empty())
            .collect();
        let batch = Batch {
            place: &manifest.place,
            expires: Some(&manifest.expires_at),
            manner: manifest.manner,
            stages: there
                .iter()
                .map(|((shape, stage), changes)| (*shape, &stage.table, changes.len()))
                .collect(),
        };
        let writing = lease.begin_writing(&batch.opening()).await?;
        let work = async {
            for (stage, ((shape, _), changes)) in there.iter().enumerate() {
                let fill = batch.fill(stage);
                // A setting holds all rows or none.
                let most = if batch.manner.temporary { FILL_ROWS } else { changes.len() };
                for rows in changes.chunks(most) {
                    writing.fill(&fill, &binds(shape, rows)).await?;
                }
            }
            if known {
                let rows = writing.rows(&batch.any_as_before(), &[]).await?;
                let any = rows.first().ok_or_else(|| PgError::unexpected("no answer"))?;
                if !any.get::<bool>(0)? {
                    return Ok(None);
                }
            }
            for text in batch.closing() {
                writing.run(&text).await?;
            }
            let rows = writing.rows(&sql::transaction().text, &[]).await?;
            let transaction = rows.first().ok_or_else(|| PgError::unexpected("no transaction"))?;
            transaction.get::<String>(0).map(Some)
        };
        match work.await {
            Ok(None) => {
                writing.roll_back().await;
                Ok(false)
            }
            Ok(Some(transaction)) => {
                let written = self.journal.committing(due.place, due.rows, transaction);
                self.recorded(written);
                writing.commit().await?;
                let written = self.journal.committed();
                self.recorded(written);
                Ok(true)
            }
            Err(error) => {
                writing.roll_back().await;
                Err(error)
            }
        }
    }
}

/// Whether an error says that the rows, or what watches over them, did not let a batch pass.
fn is_refusal(error: &PgError) -> bool {
    let code = error.sqlstate.as_deref();
    code.is_some_and(|code| code == GUARD || code.starts_with("23") || code.starts_with("P0"))
}

/// The rows as parameters: one array of texts a field.
fn binds(shape: &Shape, rows: &[Change]) -> Vec<Bind> {
    let bind = |field| Bind::texts(rows.iter().map(|change| repair::value(change, field)));
    repair::fields(shape).map(bind).collect()
}
