//! Carries out one task: takes a connection of each side, retries where that helps, and cancels when the
//! run is stopped.

use std::pin::Pin;
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
use crate::candidates::{ChunkScan, KeyBatch, Probe, Rescan, Split, Task, TaskAnswer, Work};
use crate::event::Event;
use crate::pg::{PgError, Pool, ReadSettings, Remedy, Retries};
use crate::plan::MappingPlan;
use crate::prepare::{Options, SideError, Stop};
use crate::row::{Key, Redactor};
use crate::schema::{BySide, Side};
use crate::spec::Spec;

/// What all workers share.
pub(crate) struct WorkerContext {
    pub(crate) plans: Vec<Arc<MappingPlan>>,
    pub(crate) pools: BySide<Pool>,
    pub(crate) sessions: BySide<ReadSettings>,
    /// The same for statements that are split into smaller ones: they end sooner.
    pub(crate) short: BySide<ReadSettings>,
    /// For queries of our own: names resolve in `pg_catalog` only.
    pub(crate) own: ReadSettings,
    /// The redactor of values.
    pub(crate) redactor: Redactor,
    /// The maximum of groups that a range had so far, by mapping.
    pub(crate) groups_seen: Vec<AtomicUsize>,
    pub(crate) stop: watch::Receiver<Stop>,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

impl WorkerContext {
    /// Creates the context of the workers of a run.
    pub(crate) fn new(
        spec: &Spec,
        pools: BySide<Pool>,
        plans: Vec<Arc<MappingPlan>>,
        options: &Options,
        stop: watch::Receiver<Stop>,
        events: mpsc::UnboundedSender<Event>,
    ) -> WorkerContext {
        let timeout = options.statement_timeout;
        let sessions = |limit: Duration| {
            BySide::new(|side| ReadSettings::limited(&spec.sides[side].search_path, limit, timeout))
        };
        WorkerContext {
            groups_seen: plans.iter().map(|_| AtomicUsize::new(0)).collect(),
            plans,
            pools,
            sessions: sessions(timeout),
            short: sessions(SHORT_TIMEOUT.max(options.chunk_time * 4)),
            own: ReadSettings::new(&[], timeout),
            redactor: options.redactor.clone(),
            stop,
            events,
        }
    }
}

/// A task that was carried out, or could not be.
pub(crate) struct Done {
    /// The mapping's place in the run.
    pub(crate) mapping: usize,
    pub(crate) outcome: Outcome,
    /// Whether it was a recheck of keys.
    pub(crate) is_recheck: bool,
    /// Whether it was the recheck of a prior run's keys.
    pub(crate) is_prior: bool,
    /// The duration of the last attempt.
    pub(crate) took: Duration,
}

/// How a task ended.
pub(crate) enum Outcome {
    Answered(TaskAnswer),
    /// It failed, and is not tried again as it is.
    Failed(Task, PgError),
    /// The run was stopped.
    Stopped(Task),
}

/// How one attempt at a task ended.
enum Attempted {
    Answered(TaskAnswer),
    Failed(Task, SideError),
    Stopped(Task),
}

/// Why a question has no answer.
enum Unanswered {
    Failed(SideError),
    Stopped,
}

/// The number of answers in a row that do not arrive in time before a server is given up.
const MOST_TIMEOUTS: u32 = 2;

/// The maximum duration of a statement that can be split into smaller ones. It holds its snapshot
/// as long, and during that time a busy table cannot be vacuumed: 30 s beside `pgbench` took 29 to
/// 59% of the application's throughput. With what comes before and after it, it stays below 5 s.
const SHORT_TIMEOUT: Duration = Duration::from_secs(4);

/// Carries out a task, with a bounded number of attempts. What conflicts with a standby's replay is left
/// to smaller tasks where there are any, like what takes too long.
pub(crate) async fn perform(workers: Arc<WorkerContext>, work: Work) -> Done {
    let Work { mapping, mut task } = work;
    let is_recheck = matches!(task, Task::RecheckKeys(_));
    let is_prior = matches!(task, Task::RecheckPrior(_));
    let (mut faults, mut conflicts) = (Retries::against_faults(), Retries::against_conflicts());
    let mut timeouts = 0;
    let can_be_less = can_be_less(&workers.plans[mapping], &task);
    loop {
        let began = Instant::now();
        let attempted = attempt(&workers, mapping, task).await;
        let took = began.elapsed();
        let done = |outcome| Done { mapping, outcome, is_recheck, is_prior, took };
        let (back, (side, error)) = match attempted {
            Attempted::Answered(answer) => return done(Outcome::Answered(answer)),
            Attempted::Stopped(task) => return done(Outcome::Stopped(task)),
            Attempted::Failed(task, failed) => (task, failed),
        };
        let pause = match error.remedy {
            Remedy::Retry => faults.pause(),
            Remedy::Reconnect => match still_answers(&workers, side, &mut timeouts).await {
                true => faults.pause(),
                false => None,
            },
            Remedy::Conflict => conflicts.pause(),
            Remedy::Shrink | Remedy::Isolate | Remedy::Replan | Remedy::GiveUp => None,
        };
        if let Some(pause) = pause {
            let event = Event::Retried { side, reason: error.message.clone() };
            // The scheduler receives events while it waits for results.
            let _ = workers.events.send(event);
            let stopped = stopped(&workers, Stop::Soon);
            if tokio::time::timeout(pause, stopped).await.is_ok() {
                return done(Outcome::Stopped(back));
            }
        }
        let is_split = error.remedy == Remedy::Conflict && can_be_less;
        if pause.is_none() || is_split {
            return done(Outcome::Failed(back, final_error((side, error))));
        }
        task = back;
    }
}

/// Returns whether a task that was not answered in time is tried again. A server that does not
/// answer on a new connection either, or again not in time, is given up for all tasks.
async fn still_answers(workers: &WorkerContext, side: Option<Side>, timeouts: &mut u32) -> bool {
    let Some(side) = side else { return false };
    let pool = &workers.pools[side];
    *timeouts += 1;
    let answers = *timeouts < MOST_TIMEOUTS && pool.is_responding().await;
    if !answers {
        pool.give_up();
    }
    answers
}

/// Returns an error that names its side, of a task that is not tried again as it is.
fn final_error((side, error): SideError) -> PgError {
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

async fn attempt(workers: &WorkerContext, mapping: usize, task: Task) -> Attempted {
    let connections = tokio::join!(workers.pools.source.acquire(), workers.pools.target.acquire());
    let connections = match connections {
        (Ok(source), Ok(target)) => BySide { source, target },
        (Err(error), _) => return Attempted::Failed(task, (Some(Side::Source), error)),
        (_, Err(error)) => return Attempted::Failed(task, (Some(Side::Target), error)),
    };
    let plan = &workers.plans[mapping];
    let context = TaskContext {
        plan,
        connections: &connections,
        sessions: &workers.sessions,
        short: &workers.short,
        redactor: &workers.redactor,
        groups_seen: &workers.groups_seen[mapping],
    };
    let context = if can_be_less(plan, &task) { context.with_short_timeout() } else { context };
    let attempted = TaskAttempt { workers, context: &context }.carry_out(task).await;
    let BySide { source, target } = connections;
    tokio::join!(source.give_back(), target.give_back());
    attempted
}

/// Waits for a signal to stop with at least this urgency.
async fn stopped(workers: &WorkerContext, urgency: Stop) {
    let mut stop = workers.stop.clone();
    if stop.wait_for(|stop| *stop >= urgency).await.is_err() {
        // No signal can come any more.
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
struct TaskAttempt<'a> {
    workers: &'a WorkerContext,
    context: &'a TaskContext<'a>,
}

impl TaskAttempt<'_> {
    /// Carries out a task, and returns its answer with its question.
    async fn carry_out(&self, task: Task) -> Attempted {
        let context = self.context;
        match task {
            Task::ReadHistogram(side) => {
                let found = self.only_boundaries(bounds::read_histogram(context, side)).await;
                pair(side, found, TaskAnswer::ReadHistogram, Task::ReadHistogram)
            }
            Task::Probe(probe) => {
                let Probe { side, range, rows } = &probe;
                let found = self.only_boundaries(bounds::probe(context, *side, range, *rows)).await;
                pair(probe, found, TaskAnswer::Probe, Task::Probe)
            }
            Task::ScanChunk(scan) => {
                let found = self.rows(chunk::compare(context, &scan.range, scan.expected)).await;
                pair(scan, found, TaskAnswer::ScanChunk, Task::ScanChunk)
            }
            Task::CountBlocks => {
                let found = self.only_boundaries(blocks::count(context)).await;
                pair(
                    (),
                    found,
                    |(), blocks| TaskAnswer::CountBlocks(blocks),
                    |()| Task::CountBlocks,
                )
            }
            Task::ReadBlocks(read) => {
                let found = self.rows(blocks::read(context, &read)).await;
                pair(read, found, TaskAnswer::ReadBlocks, Task::ReadBlocks)
            }
            Task::Rescan(rescan) => {
                let found = self
                    .rows(chunk::compare(context, &rescan.range, chunk::NOTHING_EXPECTED))
                    .await;
                pair(rescan, found, TaskAnswer::Rescan, Task::Rescan)
            }
            Task::Split(split) => {
                let Split { range, rows, least, .. } = &split;
                let found = self.rows(bounds::find_middle(context, range, *rows, *least)).await;
                pair(split, found, TaskAnswer::Split, Task::Split)
            }
            Task::FindGap(gap) => {
                let (low, high) = (gap.low.as_ref(), gap.high.as_ref());
                let found = self.rows(bounds::find_gap(context, gap.side, low, high)).await;
                pair(gap, found, |_, gap| TaskAnswer::FindGap(gap), Task::FindGap)
            }
            Task::ReadKeys(range) => {
                let found = self.rows(rows::read_keys(context, &range)).await;
                pair(range, found, TaskAnswer::ReadKeys, Task::ReadKeys)
            }
            Task::CountNullKeys => {
                let found = self.rows(rows::count_null_keys(context)).await;
                pair(
                    (),
                    found,
                    |(), counted| TaskAnswer::CountNullKeys(counted),
                    |()| Task::CountNullKeys,
                )
            }
            Task::RecheckPrior(keys) => {
                let some: Vec<&Key> = keys.iter().collect();
                let found = self.rows(rows::recheck(context, &some)).await;
                pair(keys, found, TaskAnswer::RecheckPrior, Task::RecheckPrior)
            }
            Task::RecheckKeys(batch) => {
                let found = self.rows(rows::recheck_candidates(context, &batch.candidates)).await;
                pair(batch, found, TaskAnswer::RecheckKeys, Task::RecheckKeys)
            }
            Task::RecheckRange(candidate) => {
                let found = self.rows(rows::recheck_range(context, &candidate)).await;
                pair(candidate, found, TaskAnswer::RecheckRange, Task::RecheckRange)
            }
            Task::RecheckNullKeys(candidate) => {
                let found = self.rows(rows::count_null_keys(context)).await;
                pair(candidate, found, TaskAnswer::RecheckNullKeys, Task::RecheckNullKeys)
            }
            Task::NameRange(range) => {
                let through = range.through.as_ref();
                let found = self.rows(bounds::find_last_key(context, range.side, through)).await;
                pair(range, found, TaskAnswer::NameRange, Task::NameRange)
            }
            Task::LocateKey(key) => {
                let found = self.rows(bounds::find_single_key(context, &key.candidate)).await;
                pair(key, found, TaskAnswer::LocateKey, Task::LocateKey)
            }
            Task::FindEnds(side) => {
                let found = self.rows(bounds::find_ends(context, side)).await;
                pair(side, found, TaskAnswer::FindEnds, Task::FindEnds)
            }
        }
    }

    /// Waits for an answer that depends on rows.
    fn rows<A>(
        &self,
        work: impl Future<Output = Result<A, SideError>>,
    ) -> Pin<Box<impl Future<Output = Result<A, Unanswered>>>> {
        Box::pin(self.answer(true, work))
    }

    /// Waits for an answer that only defines where statements begin and end.
    fn only_boundaries<A>(
        &self,
        work: impl Future<Output = Result<A, SideError>>,
    ) -> Pin<Box<impl Future<Output = Result<A, Unanswered>>>> {
        Box::pin(self.answer(false, work))
    }

    /// Waits for an answer, which counts if the tables are still what was planned; or until the run is
    /// stopped, or a server is given up.
    async fn answer<A>(
        &self,
        reads_rows: bool,
        work: impl Future<Output = Result<A, SideError>>,
    ) -> Result<A, Unanswered> {
        let TaskAttempt { workers, context } = self;
        let answer = async {
            let answer = work.await;
            table_change::judge(context, &workers.own, reads_rows, answer).await
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = stopped(workers, Stop::Now) => return Err(Unanswered::Stopped),
            error = workers.pools.source.wait_until_given_up() => Err((Some(Side::Source), error)),
            error = workers.pools.target.wait_until_given_up() => Err((Some(Side::Target), error)),
        };
        answer.map_err(Unanswered::Failed)
    }
}

/// Pairs a question with its answer; without one the task is returned.
fn pair<Q, A>(
    question: Q,
    found: Result<A, Unanswered>,
    answer: fn(Q, A) -> TaskAnswer,
    task: fn(Q) -> Task,
) -> Attempted {
    match found {
        Ok(found) => Attempted::Answered(answer(question, found)),
        Err(Unanswered::Failed(failed)) => Attempted::Failed(task(question), failed),
        Err(Unanswered::Stopped) => Attempted::Stopped(task(question)),
    }
}
