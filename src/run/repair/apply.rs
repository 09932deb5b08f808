//! Applies a folder of changes that was verified: batch by batch, each one transaction, in the scripts'
//! order; the first guard that refuses stops it. In the end every key that was touched is read again on
//! both sides. Every batch may run twice, so an interrupted `apply` is simply started again.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::ready::Ready;
use super::repairing::{KEYS_AT_ONCE, Reach, keys_of};
use super::target::{lease_both, sessions};
use crate::compare::LookedUp;
use crate::pg::{Lease, PgError, Remedy};
use crate::plan::MappingPlan;
use crate::repair::{self, Batch, Change, GUARD, Part, Shape, Stage};
use crate::row::{Key, Veil};
use crate::run::blocked::Blocked;
use crate::run::options::Stop;
use crate::run::pace::spacing::Spacing;
use crate::run::work::hands::{Failed, Hands};
use crate::run::work::worker::pause_after;
use crate::schema::{BySide, Side};
use crate::sql::{self, Bind, Lookup};

/// Rows that travel as one statement's parameters.
const FILL_ROWS: usize = 5_000;

/// How far it has come.
#[derive(Clone, Debug)]
pub enum Progress<'p> {
    /// So many rows of a part are done.
    Rows(&'p Part, u64),
    /// The next batch waits, for this reason.
    Held(&'p str),
    /// A part is done.
    Part(&'p Part),
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
    },
    /// A guard refused.
    Refused(Blocked),
    /// Something else stood in the way.
    Failed(Blocked),
    /// It was asked to stop between two batches.
    Stopped,
}

impl Ready<'_> {
    /// Runs every batch in order, then reads every key again.
    pub async fn execute(
        &self,
        stop: &watch::Receiver<Stop>,
        mut tell: impl FnMut(Progress<'_>),
    ) -> Applied {
        let mut spacing = Spacing::new(self.prepared, self.written);
        for part in &self.manifest.parts {
            match self.run_part(part, &mut spacing, stop, &mut tell).await {
                Ok(None) => tell(Progress::Part(part)),
                Ok(Some(ended)) => return ended,
                Err(blocked) => return Applied::Failed(blocked),
            }
        }
        tell(Progress::Looking);
        match self.look().await {
            Ok((keys, agree)) => Applied::Done { keys, agree },
            Err(blocked) => Applied::Failed(blocked),
        }
    }

    /// Runs a part; what ended it early, if anything did.
    async fn run_part(
        &self,
        part: &Part,
        spacing: &mut Spacing<'_>,
        stop: &watch::Receiver<Stop>,
        tell: &mut impl FnMut(Progress<'_>),
    ) -> Result<Option<Applied>, Blocked> {
        let mut changes = self.changes(part)?;
        let (mut number, mut rows) = (0, 0);
        let mut took = Duration::ZERO;
        while let Some(batch) = changes.next()? {
            number += 1;
            let held = |why: &str| tell(Progress::Held(why));
            let turn = spacing.turn(took, &mut stop.clone(), held).await;
            turn.map_err(|error| Blocked::from((Some(self.written), error)))?;
            let began = Instant::now();
            let stages = (changes.heading.stages.as_slice(), part.stages.as_slice());
            match self.run_batch(stages, &batch, stop).await {
                Ok(true) => {}
                Ok(false) => return Ok(Some(Applied::Stopped)),
                Err(error) => return Ok(Some(self.ended(part, number, error))),
            }
            took = began.elapsed();
            rows += batch.iter().map(|changes| changes.len() as u64).sum::<u64>();
            tell(Progress::Rows(part, rows));
        }
        Ok(None)
    }

    fn ended(&self, part: &Part, number: usize, error: PgError) -> Applied {
        let refused = error
            .sqlstate
            .as_deref()
            .is_some_and(|code| code == GUARD || code.starts_with("23") || code.starts_with("P0"));
        let file = &part.script.file;
        if refused {
            let by = match error.sqlstate.as_deref() {
                Some(GUARD) => error.message,
                code => {
                    format!("a constraint or a trigger (SQLSTATE {})", code.unwrap_or_default())
                }
            };
            let message = format!("batch {number} of {file} was refused: {by}");
            let hint = "Nothing of this batch was changed, earlier ones stand. Compare again and make a new repair; run the script with psql to see the keys.";
            return Applied::Refused(Blocked::new(message).hinted(hint));
        }
        let blocked =
            Blocked::new(format!("batch {number} of {file}: {}: {}", self.written, error.message));
        let hint = match error.sqlstate.as_deref() {
            Some("42501") => "The role needs SELECT, INSERT, UPDATE or DELETE on the tables, UPDATE also to delete, and SELECT and UPDATE on sequences.".to_owned(),
            _ => error.hint.unwrap_or_else(|| {
                "Nothing is half done; start it again when that is solved.".to_owned()
            }),
        };
        Applied::Failed(blocked.hinted(hint))
    }

    /// Runs a batch, again where that helps; false if it was asked to stop before.
    async fn run_batch(
        &self,
        stages: (&[Shape], &[Stage]),
        batch: &[Vec<Change>],
        stop: &watch::Receiver<Stop>,
    ) -> Result<bool, PgError> {
        let (mut stop, mut tries) = (stop.clone(), 0);
        loop {
            if *stop.borrow() != Stop::No {
                return Ok(false);
            }
            let result = match self.prepared.pools[self.written].lease().await {
                Ok(lease) => {
                    let result = self.write_batch(&lease, stages, batch).await;
                    lease.give_back().await;
                    result
                }
                Err(error) => Err(error),
            };
            let Err(error) = result else { return Ok(true) };
            tries += 1;
            let Some(pause) = pause_after(tries).filter(|_| error.remedy == Remedy::Retry) else {
                return Err(error);
            };
            // Whoever wants it to stop does not wait for the end of the pause.
            let _ = tokio::time::timeout(pause, stop.changed()).await;
        }
    }

    async fn write_batch(
        &self,
        lease: &Lease,
        (shapes, stages): (&[Shape], &[Stage]),
        changes: &[Vec<Change>],
    ) -> Result<(), PgError> {
        let there: Vec<((&Shape, &Stage), &[Change])> = shapes
            .iter()
            .zip(stages)
            .zip(changes.iter().map(Vec::as_slice))
            .filter(|(_, changes)| !changes.is_empty())
            .collect();
        let batch = Batch {
            place: &self.manifest.place,
            expires: Some(&self.manifest.expires_at),
            manner: self.manifest.manner,
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
            for text in batch.closing() {
                writing.run(&text).await?;
            }
            Ok(())
        };
        match work.await {
            Ok(()) => writing.commit().await,
            Err(error) => {
                writing.roll_back().await;
                Err(error)
            }
        }
    }

    /// Reads every key again: how many there are, and how many agree.
    async fn look(&self) -> Result<(u64, u64), Blocked> {
        let (mut keys, mut agree) = (0, 0);
        let mut places = self.plans.iter();
        for part in &self.manifest.parts {
            let places: Vec<usize> = places.by_ref().take(part.stages.len()).copied().collect();
            let mut changes = self.changes(part)?;
            while let Some(batch) = changes.next()? {
                let stages = changes.heading.stages.iter().zip(&places).zip(&batch);
                for ((shape, place), batch) in stages {
                    let plan = &self.prepared.plans[*place];
                    keys += batch.len() as u64;
                    for batch in batch.chunks(KEYS_AT_ONCE) {
                        agree += self.agreeing(plan, shape, batch).await?;
                    }
                }
            }
        }
        Ok((keys, agree))
    }

    /// How many of these rows agree on both sides now.
    async fn agreeing(
        &self,
        plan: &MappingPlan,
        shape: &Shape,
        batch: &[Change],
    ) -> Result<u64, Blocked> {
        let sessions = sessions(self.prepared);
        let (veil, groups) = (Veil::of_process(), AtomicUsize::new(0));
        let mut tries = 0;
        loop {
            let leases = lease_both(self.prepared).await?;
            let reach =
                Reach { leases: &leases, sessions: &sessions, veil: &veil, groups_seen: &groups };
            let result = agreeing(&reach.hands(plan), self.written, shape, batch).await;
            let BySide { source, target } = leases;
            tokio::join!(source.give_back(), target.give_back());
            tries += 1;
            let (side, error) = match result {
                Ok(agree) => return Ok(agree),
                Err(failed) => failed,
            };
            let Some(pause) = pause_after(tries).filter(|_| error.remedy == Remedy::Retry) else {
                let hint = "Every batch was applied. Started again it looks again.";
                return Err(Blocked::from((side, error)).hinted(hint));
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// How many of these rows agree on both sides now.
async fn agreeing(
    hands: &Hands<'_>,
    written: Side,
    shape: &Shape,
    batch: &[Change],
) -> Result<u64, Failed> {
    let plan: &MappingPlan = hands.plan;
    let texts: Vec<Vec<String>> = batch
        .iter()
        .filter_map(|change| {
            let image = change.keyed()?;
            Some(shape.key.iter().map(|at| image[*at].clone().unwrap_or_default()).collect())
        })
        .collect();
    let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
    let keys = keys_of(hands, written, &texts).await?;
    let asked: Vec<&Key> = keys.iter().collect();
    let rows = hands.ask_both(|side| sql::look_up(plan, side, &asked)).await?;
    let layout = Lookup::of(plan);
    let mut looked =
        LookedUp::new(layout, &plan.pairs, plan.key_width, hands.veil, asked.into_iter());
    for (side, rows) in [(Side::Source, rows.source), (Side::Target, rows.target)] {
        rows.into_iter().for_each(|row| looked.take(side, row));
    }
    Ok(looked.finish().iter().filter(|looked| looked.kind.is_none()).count() as u64)
}

/// The rows as parameters: one array of texts a field.
fn binds(shape: &Shape, rows: &[Change]) -> Vec<Bind> {
    let bind = |field| Bind::texts(rows.iter().map(|change| repair::value(change, field)));
    repair::fields(shape).map(bind).collect()
}
