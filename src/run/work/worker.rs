//! Does one piece of work: takes a connection of each side, tries again where that helps, and cancels
//! politely when the run is stopped.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::bounds;
use super::changed;
use super::chunk;
use super::hands::{Failed, Hands};
use super::piece;
use super::steps;
use super::{Answer, Task, Work};
use crate::event::Event;
use crate::pg::{PgError, Pool, ReadSettings, Remedy, Retries};
use crate::plan::MappingPlan;
use crate::row::{Key, Redactor};
use crate::run::options::{Options, Stop};
use crate::schema::{BySide, Side};
use crate::spec::Spec;

/// What all workers share.
pub(in crate::run) struct World {
    pub(in crate::run) plans: Vec<Arc<MappingPlan>>,
    pub(in crate::run) pools: BySide<Pool>,
    pub(in crate::run) sessions: BySide<ReadSettings>,
    /// The same for statements that can be cut into smaller ones: they end sooner.
    pub(in crate::run) short: BySide<ReadSettings>,
    /// For questions of our own: names resolve in `pg_catalog` alone.
    pub(in crate::run) own: ReadSettings,
    /// What redacted values are told under.
    pub(in crate::run) veil: Redactor,
    /// Of each mapping, the most groups that a range had so far.
    pub(in crate::run) groups_seen: Vec<AtomicUsize>,
    pub(in crate::run) stop: watch::Receiver<Stop>,
    pub(in crate::run) events: mpsc::UnboundedSender<Event>,
}

impl World {
    pub(in crate::run) fn new(
        spec: &Spec,
        pools: BySide<Pool>,
        plans: Vec<Arc<MappingPlan>>,
        options: &Options,
        stop: watch::Receiver<Stop>,
        events: mpsc::UnboundedSender<Event>,
    ) -> World {
        let timeout = options.statement_timeout;
        let sessions = |limit: Duration| {
            BySide::new(|side| ReadSettings::limited(&spec.sides[side].search_path, limit, timeout))
        };
        World {
            groups_seen: plans.iter().map(|_| AtomicUsize::new(0)).collect(),
            plans,
            pools,
            sessions: sessions(timeout),
            short: sessions(SHORT.max(options.chunk_time * 4)),
            own: ReadSettings::new(&[], timeout),
            veil: options.veil.clone(),
            stop,
            events,
        }
    }
}

/// Work with its result; nothing if it was stopped.
pub(in crate::run) struct Done {
    pub(in crate::run) work: Work,
    pub(in crate::run) result: Option<Result<Answer, PgError>>,
    /// How long the last try took.
    pub(in crate::run) took: Duration,
}

/// Answers of a server in a row that do not come in time.
const MOST_SILENCES: u32 = 2;

/// How long a statement may take that can be cut into smaller ones. As long it holds its snapshot, and
/// while it does, a busy table cannot be cleaned up: 30 s beside `pgbench` took 29 to 59% of the
/// application's throughput. With what goes before and behind it, it stays below 5 s.
const SHORT: Duration = Duration::from_secs(4);

/// Does the work, with bounded tries. What a standby's replay was in the way of is left to be done in
/// smaller pieces where there are any, like what takes too long.
pub(in crate::run) async fn perform(world: Arc<World>, work: Work) -> Done {
    let (mut faults, mut conflicts) = (Retries::against_faults(), Retries::against_conflicts());
    let mut silences = 0;
    let can_be_less = can_be_less(&world.plans[work.mapping], &work.task);
    loop {
        let began = Instant::now();
        let result = attempt(&world, &work).await;
        let took = began.elapsed();
        let (side, error) = match result {
            Some(Err(failed)) => failed,
            result => {
                return Done { work, result: result.map(|result| result.map_err(for_good)), took };
            }
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
            // The dispatcher listens as long as it waits for work.
            let _ = world.events.send(event);
            let stopped = stopped(&world, Stop::Soon);
            if tokio::time::timeout(pause, stopped).await.is_ok() {
                return Done { work, result: None, took };
            }
        }
        let in_pieces = error.remedy == Remedy::Conflict && can_be_less;
        if pause.is_none() || in_pieces {
            return Done { work, result: Some(Err(for_good((side, error)))), took };
        }
    }
}

/// Whether work that was not answered in time is done again. A server that does not answer on a new
/// connection either, or that is silent again, is given up, for this work and all other.
async fn still_answers(world: &World, side: Option<Side>, silences: &mut u32) -> bool {
    let Some(side) = side else { return false };
    let pool = &world.pools[side];
    *silences += 1;
    let answers = *silences < MOST_SILENCES && pool.is_responding().await;
    if !answers {
        pool.give_up();
    }
    answers
}

/// An error that names its side, of work that is not tried again as it is.
fn for_good((side, error): Failed) -> PgError {
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

async fn attempt(world: &World, work: &Work) -> Option<Result<Answer, Failed>> {
    let leases = tokio::join!(world.pools.source.acquire(), world.pools.target.acquire());
    let leases = match leases {
        (Ok(source), Ok(target)) => BySide { source, target },
        (Err(error), _) => return Some(Err((Some(Side::Source), error))),
        (_, Err(error)) => return Some(Err((Some(Side::Target), error))),
    };
    let plan = &world.plans[work.mapping];
    let hands = Hands {
        plan,
        leases: &leases,
        sessions: &world.sessions,
        short: &world.short,
        veil: &world.veil,
        groups_seen: &world.groups_seen[work.mapping],
    };
    let hands = if can_be_less(plan, &work.task) { hands.hurried() } else { hands };
    let result = tokio::select! {
        result = on_plan(&hands, &world.own, &work.task) => Some(result),
        () = stopped(world, Stop::Now) => None,
        error = world.pools.source.wait_until_given_up() => Some(Err((Some(Side::Source), error))),
        error = world.pools.target.wait_until_given_up() => Some(Err((Some(Side::Target), error))),
    };
    let BySide { source, target } = leases;
    tokio::join!(source.give_back(), target.give_back());
    result
}

/// Waits until the run is asked to stop at least so urgently.
async fn stopped(world: &World, urgency: Stop) {
    let mut stop = world.stop.clone();
    if stop.wait_for(|stop| *stop >= urgency).await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

/// Whether work that takes too long is tried again as less of it. What reads a range or blocks of one side
/// sees to that by itself, and a look that no index serves takes as long for one key as for many.
fn can_be_less(plan: &MappingPlan, task: &Task) -> bool {
    match task {
        Task::Scan { smallest, .. } => plan.served() && !smallest,
        Task::Rescan { smallest, .. } => plan.served() && !smallest,
        Task::Recall { keys } => plan.served() && keys.len() > 1,
        Task::Look { entries, .. } => plan.served() && entries.len() > 1,
        // It is left out then: only a hint needs it.
        Task::Ends { .. } => true,
        _ => false,
    }
}

/// Does what a task asks for; what comes of it counts if the sides are still what was planned.
async fn on_plan(hands: &Hands<'_>, own: &ReadSettings, task: &Task) -> Result<Answer, Failed> {
    let answer = carry_out(hands, task).await;
    changed::judge(hands, own, task, answer).await
}

/// Does what a task asks for.
async fn carry_out(hands: &Hands<'_>, task: &Task) -> Result<Answer, Failed> {
    match task {
        Task::Histogram { side } => bounds::histogram(hands, *side).await.map(Answer::Histogram),
        Task::Probe { side, range, rows } => {
            bounds::probe(hands, *side, range, *rows).await.map(Answer::Probed)
        }
        Task::Scan { range, expected, .. } => chunk::chunk(hands, range, *expected).await,
        Task::Measure => piece::measure(hands).await.map(Answer::Measured),
        Task::Read { piece } => piece::read(hands, piece).await.map(Answer::Read),
        Task::Rescan { range, .. } => chunk::chunk(hands, range, chunk::UNKNOWN).await,
        Task::Halve { range, rows, least, .. } => {
            bounds::middle(hands, range, *rows, *least).await.map(Answer::Halved)
        }
        Task::Gap { side, low, high } => {
            bounds::gap(hands, *side, low.as_ref(), high.as_ref()).await.map(Answer::Gap)
        }
        Task::Keys { piece } => steps::keys(hands, piece).await.map(Answer::Keys),
        Task::NullKeys | Task::LookAtNullKeys { .. } => {
            steps::null_keys(hands).await.map(Answer::NullKeys)
        }
        Task::Recall { keys } => {
            let keys: Vec<&Key> = keys.iter().collect();
            steps::look_at(hands, &keys).await.map(Answer::Recalled)
        }
        Task::Look { entries, .. } => steps::look(hands, entries).await.map(Answer::Looked),
        Task::LookAtRange { entry } => {
            steps::look_at_range(hands, entry).await.map(Answer::LookedAtRange)
        }
        Task::NameRun { run } => {
            bounds::last_key(hands, run.side, run.through.as_ref()).await.map(Answer::Named)
        }
        Task::Narrow { entry, .. } => bounds::narrow(hands, entry).await.map(Answer::Narrowed),
        Task::Ends { side } => bounds::ends(hands, *side).await.map(Answer::Ends),
    }
}
