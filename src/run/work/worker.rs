//! Does one piece of work: takes a connection of each side, tries again where that helps, and cancels
//! politely when the run is stopped.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::blocks;
use super::bounds;
use super::chunk;
use super::rows;
use super::table_change;
use super::task_context::TaskContext;
use crate::candidates::{Answer, ChunkScan, KeyBatch, Probe, Rescan, Split, Task, Work};
use crate::event::Event;
use crate::pg::{PgError, Pool, Remedy, Retries, Session};
use crate::plan::MappingPlan;
use crate::prepare::{Options, SideError, Stop};
use crate::row::{Key, Veil};
use crate::schema::{BySide, Side};
use crate::spec::Spec;

/// What all workers share.
pub(in crate::run) struct WorkerContext {
    pub(in crate::run) plans: Vec<Arc<MappingPlan>>,
    pub(in crate::run) pools: BySide<Pool>,
    pub(in crate::run) sessions: BySide<Session>,
    /// The same for statements that can be cut into smaller ones: they end sooner.
    pub(in crate::run) short: BySide<Session>,
    /// For questions of our own: names resolve in `pg_catalog` alone.
    pub(in crate::run) own: Session,
    /// What redacted values are told under.
    pub(in crate::run) veil: Veil,
    /// Of each mapping, the most groups that a range had so far.
    pub(in crate::run) groups_seen: Vec<AtomicUsize>,
    pub(in crate::run) stop: watch::Receiver<Stop>,
    pub(in crate::run) events: mpsc::UnboundedSender<Event>,
}

impl WorkerContext {
    pub(in crate::run) fn new(
        spec: &Spec,
        pools: BySide<Pool>,
        plans: Vec<Arc<MappingPlan>>,
        options: &Options,
        stop: watch::Receiver<Stop>,
        events: mpsc::UnboundedSender<Event>,
    ) -> WorkerContext {
        let timeout = options.statement_timeout;
        let sessions = |timeout: Duration| {
            BySide::new(|side| Session::new(&spec.sides[side].search_path, timeout))
        };
        WorkerContext {
            groups_seen: plans.iter().map(|_| AtomicUsize::new(0)).collect(),
            plans,
            pools,
            sessions: sessions(timeout),
            short: sessions(timeout.min(SHORT.max(options.chunk_time * 4))),
            own: Session::new(&[], timeout),
            veil: options.veil.clone(),
            stop,
            events,
        }
    }
}

/// A task that was carried out, or could not be.
pub(in crate::run) struct Done {
    /// The mapping's place in the run.
    pub(in crate::run) mapping: usize,
    pub(in crate::run) outcome: Outcome,
    /// Whether it was a recheck of keys.
    pub(in crate::run) is_recheck: bool,
    /// Whether it was the recheck of a prior run's keys.
    pub(in crate::run) is_prior: bool,
    /// The duration of the last attempt.
    pub(in crate::run) took: Duration,
}

/// How a task ended.
pub(in crate::run) enum Outcome {
    Answered(Answer),
    /// It failed, and is not tried again as it is.
    Failed(Task, PgError),
    /// The run was stopped.
    Stopped(Task),
}

/// How one attempt at a task ended.
enum Attempted {
    Answered(Answer),
    Failed(Task, SideError),
    Stopped(Task),
}

/// Why a question has no answer.
enum Unanswered {
    Failed(SideError),
    Stopped,
}

/// Answers of a server in a row that do not come in time.
const MOST_SILENCES: u32 = 2;

/// How long a statement may take that can be cut into smaller ones. As long it holds its snapshot, and
/// while it does, a busy table cannot be cleaned up: 30 s beside `pgbench` took 29 to 59% of the
/// application's throughput. With what goes before and behind it, it stays below 5 s.
const SHORT: Duration = Duration::from_secs(4);

/// Carries out a task, with a bounded number of attempts. What conflicts with a standby's replay is left
/// to smaller tasks where there are any, like what takes too long.
pub(in crate::run) async fn perform(world: Arc<WorkerContext>, work: Work) -> Done {
    let Work { mapping, mut task } = work;
    let is_recheck = matches!(task, Task::RecheckKeys(_));
    let is_prior = matches!(task, Task::RecheckPrior(_));
    let (mut faults, mut conflicts) = (Retries::against_faults(), Retries::against_conflicts());
    let mut silences = 0;
    let can_be_less = can_be_less(&world.plans[mapping], &task);
    loop {
        let began = Instant::now();
        let attempted = attempt(&world, mapping, task).await;
        let took = began.elapsed();
        let done = |outcome| Done { mapping, outcome, is_recheck, is_prior, took };
        let (back, (side, error)) = match attempted {
            Attempted::Answered(answer) => return done(Outcome::Answered(answer)),
            Attempted::Stopped(task) => return done(Outcome::Stopped(task)),
            Attempted::Failed(task, failed) => (task, failed),
        };
        let pause = match error.remedy {
            Remedy::Retry => faults.pause(),
            Remedy::Reconnect => match still_answers(&world, side, &mut silences).await {
                true => faults.pause(),
                false => None,
            },
            Remedy::Conflict => conflicts.pause(),
            Remedy::Shrink | Remedy::Isolate | Remedy::Replan | Remedy::GiveUp => None,
        };
        if let Some(pause) = pause {
            let event = Event::Retried { side, reason: error.message.clone() };
            // The scheduler receives events while it waits for results.
            let _ = world.events.send(event);
            let stopped = stopped(&world, Stop::Soon);
            if tokio::time::timeout(pause, stopped).await.is_ok() {
                return done(Outcome::Stopped(back));
            }
        }
        let is_split = error.remedy == Remedy::Conflict && can_be_less;
        if pause.is_none() || is_split {
            return done(Outcome::Failed(back, for_good((side, error))));
        }
        task = back;
    }
}

/// Whether work that was not answered in time is done again. A server that does not answer on a new
/// connection either, or that is silent again, is given up, for this work and all other.
async fn still_answers(world: &WorkerContext, side: Option<Side>, silences: &mut u32) -> bool {
    let Some(side) = side else { return false };
    let pool = &world.pools[side];
    *silences += 1;
    let answers = *silences < MOST_SILENCES && pool.answers().await;
    if !answers {
        pool.give_up();
    }
    answers
}

/// An error that names its side, of work that is not tried again as it is.
fn for_good((side, error): SideError) -> PgError {
    let error = at_side(side, error);
    match error.remedy {
        Remedy::Conflict => PgError { remedy: Remedy::Shrink, ..error },
        Remedy::Reconnect => PgError { remedy: Remedy::Retry, ..error },
        _ => error,
    }
}

fn at_side(side: Option<Side>, error: PgError) -> PgError {
    match side {
        Some(side) => PgError { message: format!("{side}: {}", error.message), ..error },
        None => error,
    }
}

async fn attempt(world: &WorkerContext, mapping: usize, task: Task) -> Attempted {
    let leases = tokio::join!(world.pools.source.lease(), world.pools.target.lease());
    let leases = match leases {
        (Ok(source), Ok(target)) => BySide { source, target },
        (Err(error), _) => return Attempted::Failed(task, (Some(Side::Source), error)),
        (_, Err(error)) => return Attempted::Failed(task, (Some(Side::Target), error)),
    };
    let plan = &world.plans[mapping];
    let hands = TaskContext {
        plan,
        leases: &leases,
        sessions: &world.sessions,
        short: &world.short,
        veil: &world.veil,
        groups_seen: &world.groups_seen[mapping],
    };
    let hands = if can_be_less(plan, &task) { hands.hurried() } else { hands };
    let attempted = Attempt { world, hands: &hands }.carry_out(task).await;
    let BySide { source, target } = leases;
    tokio::join!(source.give_back(), target.give_back());
    attempted
}

/// Waits until the run is asked to stop at least so urgently.
async fn stopped(world: &WorkerContext, urgency: Stop) {
    let mut stop = world.stop.clone();
    if stop.wait_for(|stop| *stop >= urgency).await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

/// Returns whether a task that takes too long is split into smaller tasks. Tasks that read a range or
/// blocks of one side split them by themselves, and a recheck without an index takes as long for one key
/// as for many.
fn can_be_less(plan: &MappingPlan, task: &Task) -> bool {
    match task {
        Task::ScanChunk(ChunkScan { smallest, .. }) | Task::Rescan(Rescan { smallest, .. }) => {
            plan.served() && !smallest
        }
        Task::RecheckPrior(keys) => plan.served() && keys.len() > 1,
        Task::RecheckKeys(KeyBatch { candidates, .. }) => plan.served() && candidates.len() > 1,
        // It is left out then: only a hint needs it.
        Task::FindEnds(_) => true,
        _ => false,
    }
}

/// One attempt at a task.
struct Attempt<'a> {
    world: &'a WorkerContext,
    hands: &'a TaskContext<'a>,
}

impl Attempt<'_> {
    /// Carries out a task, and returns its answer with its question.
    async fn carry_out(&self, task: Task) -> Attempted {
        let hands = self.hands;
        match task {
            Task::ReadHistogram(side) => {
                let found = self.only_boundaries(bounds::histogram(hands, side)).await;
                pair(side, found, Answer::ReadHistogram, Task::ReadHistogram)
            }
            Task::Probe(probe) => {
                let Probe { side, range, rows } = &probe;
                let found = self.only_boundaries(bounds::probe(hands, *side, range, *rows)).await;
                pair(probe, found, Answer::Probe, Task::Probe)
            }
            Task::ScanChunk(scan) => {
                let found = self.rows(chunk::chunk(hands, &scan.range, scan.expected)).await;
                pair(scan, found, Answer::ScanChunk, Task::ScanChunk)
            }
            Task::CountBlocks => {
                let found = self.only_boundaries(blocks::measure(hands)).await;
                pair((), found, |(), blocks| Answer::CountBlocks(blocks), |()| Task::CountBlocks)
            }
            Task::ReadBlocks(read) => {
                let found = self.rows(blocks::read(hands, &read)).await;
                pair(read, found, Answer::ReadBlocks, Task::ReadBlocks)
            }
            Task::Rescan(rescan) => {
                let found = self.rows(chunk::chunk(hands, &rescan.range, chunk::UNKNOWN)).await;
                pair(rescan, found, Answer::Rescan, Task::Rescan)
            }
            Task::Split(split) => {
                let Split { range, rows, least, .. } = &split;
                let found = self.rows(bounds::middle(hands, range, *rows, *least)).await;
                pair(split, found, Answer::Split, Task::Split)
            }
            Task::FindGap(gap) => {
                let (low, high) = (gap.low.as_ref(), gap.high.as_ref());
                let found = self.rows(bounds::gap(hands, gap.side, low, high)).await;
                pair(gap, found, |_, gap| Answer::FindGap(gap), Task::FindGap)
            }
            Task::ReadKeys(range) => {
                let found = self.rows(rows::keys(hands, &range)).await;
                pair(range, found, Answer::ReadKeys, Task::ReadKeys)
            }
            Task::CountNullKeys => {
                let found = self.rows(rows::null_keys(hands)).await;
                pair(
                    (),
                    found,
                    |(), counted| Answer::CountNullKeys(counted),
                    |()| Task::CountNullKeys,
                )
            }
            Task::RecheckPrior(keys) => {
                let some: Vec<&Key> = keys.iter().collect();
                let found = self.rows(rows::look_at(hands, &some)).await;
                pair(keys, found, Answer::RecheckPrior, Task::RecheckPrior)
            }
            Task::RecheckKeys(batch) => {
                let found = self.rows(rows::look(hands, &batch.candidates)).await;
                pair(batch, found, Answer::RecheckKeys, Task::RecheckKeys)
            }
            Task::RecheckRange(candidate) => {
                let found = self.rows(rows::look_at_range(hands, &candidate)).await;
                pair(candidate, found, Answer::RecheckRange, Task::RecheckRange)
            }
            Task::RecheckNullKeys(candidate) => {
                let found = self.rows(rows::null_keys(hands)).await;
                pair(candidate, found, Answer::RecheckNullKeys, Task::RecheckNullKeys)
            }
            Task::NameRange(range) => {
                let through = range.through.as_ref();
                let found = self.rows(bounds::last_key(hands, range.side, through)).await;
                pair(range, found, Answer::NameRange, Task::NameRange)
            }
            Task::LocateKey(key) => {
                let found = self.rows(bounds::narrow(hands, &key.candidate)).await;
                pair(key, found, Answer::LocateKey, Task::LocateKey)
            }
            Task::FindEnds(side) => {
                let found = self.rows(bounds::ends(hands, side)).await;
                pair(side, found, Answer::FindEnds, Task::FindEnds)
            }
        }
    }

    /// Waits for an answer that depends on rows.
    async fn rows<A>(
        &self,
        work: impl Future<Output = Result<A, SideError>>,
    ) -> Result<A, Unanswered> {
        self.answer(true, work).await
    }

    /// Waits for an answer that only tells where statements begin and end.
    async fn only_boundaries<A>(
        &self,
        work: impl Future<Output = Result<A, SideError>>,
    ) -> Result<A, Unanswered> {
        self.answer(false, work).await
    }

    /// Waits for an answer, which counts if the tables are still what was planned; or until the run is
    /// stopped, or a server is given up.
    async fn answer<A>(
        &self,
        reads_rows: bool,
        work: impl Future<Output = Result<A, SideError>>,
    ) -> Result<A, Unanswered> {
        let Attempt { world, hands } = self;
        let answer = async {
            let answer = Box::pin(work).await;
            table_change::judge(hands, &world.own, reads_rows, answer).await
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = stopped(world, Stop::Now) => return Err(Unanswered::Stopped),
            error = world.pools.source.given_up() => Err((Some(Side::Source), error)),
            error = world.pools.target.given_up() => Err((Some(Side::Target), error)),
        };
        answer.map_err(Unanswered::Failed)
    }
}

/// Pairs a question with its answer; without one the task is returned.
fn pair<Q, A>(
    question: Q,
    found: Result<A, Unanswered>,
    answer: fn(Q, A) -> Answer,
    task: fn(Q) -> Task,
) -> Attempted {
    match found {
        Ok(found) => Attempted::Answered(answer(question, found)),
        Err(Unanswered::Failed(failed)) => Attempted::Failed(task(question), failed),
        Err(Unanswered::Stopped) => Attempted::Stopped(task(question)),
    }
}
