//! One run of many processes: each compares shards until none is left, and the last one settles what
//! differs, balances the books and tells the whole.
//!
//! ```text
//! process 1   ──shard──shard──────────────shard──┐
//! process 2   ──shard──shard──shard──✗ (killed)  ├─ all compared ─▶ one of them: restore, recheck, tell
//! process 3   ──shard──shard──shard──(taken over)┘                  the others wait, and say the same
//! ```
//!
//! Until all is compared nothing is settled: candidates stand among the chunks in the ledger. Telling
//! the whole is then what a run that goes on does, with nothing left to scan. A process that is to do
//! that and is stopped leaves it to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::blocked::Blocked;
use super::clock::{self, server_clocks};
use super::conduct::{Audience, BLIND, OUT_OF_TIME, new_record, works};
use super::desk::{Desk, out_of_time, reached};
use super::dispatcher::Dispatcher;
use super::mapping::MappingState;
use super::options::{Options, Stop};
use super::pace::watch::Watch;
use super::prepare::Prepared;
use super::redacted;
use super::resume::FIRST_OF_PASS;
use super::scan::pass::Pass;
use super::scan::slots::Outcome;
use super::shards::cut;
use super::terms;
use super::work::worker::World;
use crate::diagnosis::Diagnosis;
use crate::event::Event;
use crate::finding::SummaryRecord;
use crate::ledger::{Checked, Kept, LedgerError, Left, RENEWED_EVERY, Recorder, Shard, Sharing};
use crate::plan::MappingPlan;
use crate::row::KeyRange;

/// How often a process that has nothing to do asks whether that has changed.
const ASKS_EVERY: Duration = Duration::from_millis(500);

/// How long a process that is to stop may take to hand on what it has compared.
const LAST_WORK: Duration = Duration::from_secs(8);

/// What became of a process's part in a run.
#[derive(Debug)]
pub enum Shared {
    /// It told the whole.
    Told(SummaryRecord),
    /// Another process has told it.
    Elsewhere(SummaryRecord),
    /// It was stopped; the others go on. How much is left to compare, if the ledger says so.
    Left(Option<Left>),
}

/// Until when a process may take part.
#[derive(Clone, Copy)]
struct Deadline {
    /// Its work ends.
    works: Option<Instant>,
    /// Its time is over.
    ends: Option<Instant>,
}

/// Why a process takes no part, or no more.
#[derive(Debug)]
pub enum Parted {
    /// Nothing was read.
    Refused(Blocked),
    /// The ledger failed under way.
    Lost(Blocked),
}

impl From<Blocked> for Parted {
    fn from(blocked: Blocked) -> Parted {
        Parted::Refused(blocked)
    }
}

/// How a process's scanning ended.
enum Scanned {
    /// Every shard of the run is compared.
    All,
    /// It was stopped.
    Stopped,
}

/// Takes part in a run. `holder` is what this process calls itself.
///
/// # Errors
/// When the run was begun to answer another question, or the ledger fails.
pub async fn share(
    mut prepared: Prepared,
    (run_id, holder): (String, &str),
    options: Options,
    audience: Audience<'_>,
    mut stop: watch::Receiver<Stop>,
) -> Result<Shared, Parted> {
    let Audience { recorder, observer } = audience;
    let Some(recorder) = recorder else { return Err(no_ledger().into()) };
    terms::set(&prepared, &options, recorder);
    let mut record = new_record(&prepared.spec, run_id, &options);
    record.clocks = server_clocks(&prepared.pools, clock::PATIENCE).await;
    let joined = recorder.join(&record, holder).await;
    let joined = joined.map_err(|error| lost(recorder, &error));
    let Some(sharing) = joined? else {
        return Err(no_ledger().into());
    };
    terms::adopt(&mut prepared, &options, &sharing.begun);
    // Whoever tells the whole writes down what it was asked, as a process that goes on does.
    terms::set(&prepared, &options, recorder);
    if let Some(why) = terms::difference(&prepared, &options, &sharing.begun) {
        let message = format!("run {} was begun to answer another question: {why}", record.run);
        let hint = "Start every process of a run alike, or give this one another --run-id.";
        return Err(Blocked::new(message).hinted(hint).into());
    }
    if let Some(blocked) = redacted::other_secret(&options, &sharing.begun) {
        return Err(blocked.into());
    }
    if let Some(summary) = sharing.ended().await.map_err(gone)? {
        return Ok(Shared::Elsewhere(summary));
    }
    cut(&prepared, &options, &sharing).await?;
    let Prepared { spec, servers, pools, mut plans, .. } = prepared;
    let (stop_work, stop_workers) = watch::channel(Stop::No);
    let (events, mut retries) = mpsc::unbounded_channel();
    let desk = Desk::new(options.clone(), Diagnosis::new(&plans), None, observer, stop.clone());
    plans.iter_mut().for_each(|plan| plan.accepts.expire(desk.clock.today()));
    let plans = plans.into_iter().map(Arc::new).collect();
    let world = Arc::new(World::new(&spec, pools, plans, &options, stop_workers, events));
    let watch = Watch::new(Arc::clone(&world), &servers, &spec.pace, options.settle);
    let mut dispatcher = Dispatcher::new(world, desk, watch, stop_work);
    dispatcher.mappings.iter_mut().for_each(MappingState::wait_for_a_shard);
    let (now, all) = (Instant::now(), options.deadline);
    let deadline =
        Deadline { works: all.map(|all| now + works(all)), ends: all.map(|all| now + all) };
    let part = take_part(&mut dispatcher, &sharing, recorder, deadline, (&mut retries, &mut stop));
    let part = Box::pin(part).await;
    // Whoever tells nothing of the run has still said what it did itself.
    dispatcher.desk.tell_all().await;
    part.map_err(gone)
}

/// Compares shards until there is none left, and then tells the whole unless another process does.
async fn take_part<'o>(
    dispatcher: &mut Dispatcher<'o>,
    sharing: &Sharing,
    recorder: &'o mut Recorder,
    deadline: Deadline,
    (retries, stop): (&mut mpsc::UnboundedReceiver<Event>, &mut watch::Receiver<Stop>),
) -> Result<Shared, LedgerError> {
    let mut shift = Shift { sharing, deadline: deadline.works, held: None, beat: Instant::now() };
    let stopped = out_of_time(stop.clone(), LAST_WORK, None);
    let worked = tokio::select! {
        worked = Box::pin(shift.work(dispatcher, retries, stop)) => worked?,
        // What it holds is taken over when its lease ends.
        () = stopped => return Ok(Shared::Left(None)),
    };
    match worked {
        Scanned::Stopped => return Ok(left(sharing).await),
        Scanned::All => {}
    }
    loop {
        if let Some(summary) = sharing.ended().await? {
            return Ok(Shared::Elsewhere(summary));
        }
        if let Some(lease) = sharing.settle().await? {
            // Whoever had it may have told the whole between the two questions.
            if let Some(summary) = sharing.ended().await? {
                let _ = lease.give_back().await;
                return Ok(Shared::Elsewhere(summary));
            }
            dispatcher.begin_anew(recorder);
            let told = tokio::select! {
                told = dispatcher.settle(sharing, deadline.ends, retries, stop) => told,
                () = async {
                    // Another tells the whole if this one was away for too long. A ledger that does not
                    // answer is asked again.
                    while !matches!(lease.hold().await, Ok(false)) {
                        tokio::time::sleep(RENEWED_EVERY).await;
                    }
                } => None,
            };
            // If that fails it ends by itself.
            let _ = lease.give_back().await;
            if let Some(summary) = told {
                return Ok(Shared::Told(summary));
            }
            // How the run ends is another's to say.
            dispatcher.desk.leave();
            let elsewhere = sharing.ended().await?;
            return Ok(elsewhere.map_or(Shared::Left(None), Shared::Elsewhere));
        }
        tokio::select! {
            () = tokio::time::sleep(ASKS_EVERY) => {}
            _ = stop.changed() => return Ok(left(sharing).await),
            () = reached(deadline.works) => return Ok(left(sharing).await),
        }
    }
}

/// The process leaves what is left to the others.
async fn left(sharing: &Sharing) -> Shared {
    let asked = tokio::time::timeout(ASKS_EVERY, sharing.left()).await;
    Shared::Left(asked.ok().and_then(Result::ok))
}

fn no_ledger() -> Blocked {
    Blocked::new("many processes share a run through a ledger in PostgreSQL, and there is none")
        .hinted("Give every process the same --run-id and --ledger postgres://….")
}

fn lost(recorder: &Recorder, error: &LedgerError) -> Blocked {
    Blocked::new(format!("{recorder}: {error}"))
        .hinted("A run cannot be shared without its ledger.")
}

fn gone(error: LedgerError) -> Parted {
    let message = format!("the run cannot be shared any more: {error}");
    let hint = "Start the process again with the same --run-id: it goes on where it stood.";
    Parted::Lost(Blocked::new(message).hinted(hint))
}

/// A process's time at a run, from its first shard until there is none left.
struct Shift<'s> {
    sharing: &'s Sharing,
    deadline: Option<Instant>,
    /// The shard that it has the lease of, and its mapping.
    held: Option<(usize, Shard)>,
    /// When its lease is to be renewed.
    beat: Instant,
}

impl Shift<'_> {
    async fn work(
        &mut self,
        dispatcher: &mut Dispatcher<'_>,
        retries: &mut mpsc::UnboundedReceiver<Event>,
        stop: &mut watch::Receiver<Stop>,
    ) -> Result<Scanned, LedgerError> {
        loop {
            if self.held.is_none() && !self.take(dispatcher).await? {
                let left = self.sharing.left().await?;
                if left.open == 0 {
                    return Ok(Scanned::All);
                }
            }
            dispatcher.give_out();
            dispatcher.desk.tell_all().await;
            let idle = self.held.is_none();
            let pause = dispatcher.until_due();
            let stopped = tokio::select! {
                Some(done) = dispatcher.in_flight.join_next() => { dispatcher.take_in(done.ok()); false }
                answers = dispatcher.watch.next() => { dispatcher.watched(answers); false }
                Some(event) = retries.recv() => { dispatcher.desk.tell(event); false }
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => false,
                () = tokio::time::sleep(ASKS_EVERY), if idle => false,
                () = tokio::time::sleep_until(self.beat), if !idle => { self.renew(dispatcher).await?; false }
                _ = stop.changed() => true,
                () = reached(self.deadline) => { dispatcher.stopping = OUT_OF_TIME; true }
            };
            if dispatcher.watch.is_blind() {
                dispatcher.stopping = BLIND;
            }
            if stopped || dispatcher.watch.is_blind() || dispatcher.lost_server {
                dispatcher.finish_in_hand(stop).await;
                // What cannot be read from here another process may read, or this one later.
                if !dispatcher.lost_server {
                    self.keep(dispatcher).await?;
                }
                if let Some((_, shard)) = self.held.take() {
                    self.sharing.give_back(&shard).await?;
                }
                return Ok(Scanned::Stopped);
            }
            self.keep(dispatcher).await?;
        }
    }

    /// Takes the next shard, if there is one.
    async fn take(&mut self, dispatcher: &mut Dispatcher<'_>) -> Result<bool, LedgerError> {
        let Some(shard) = self.sharing.take().await? else { return Ok(false) };
        self.beat = Instant::now() + RENEWED_EVERY;
        let plans = &dispatcher.world.plans;
        let Some(index) = plans.iter().position(|plan| plan.name == shard.mapping) else {
            // The terms are the same, so the mappings are.
            return Err(LedgerError::unknown_mapping(&shard.mapping));
        };
        // What is damaged of it is compared again.
        let mut kept = self.sharing.kept(&shard).await?.sound;
        let plan = Arc::clone(&plans[index]);
        let options = &dispatcher.desk.options;
        if shard.range == KeyRange::everything() {
            // What a pass has compared does not add up with what another holder does, nor do chunks
            // whose order is not known here: it counts for nothing.
            let adds_up = plan.order.is_known() && Pass::new(&plan, options).is_none();
            self.sharing.forget(&shard, if adds_up { FIRST_OF_PASS } else { 0 }).await?;
            kept.retain(|_| adds_up);
        }
        let mut state = MappingState::scanning(index, &plan, options, &shard, kept);
        state.account.started = dispatcher.mappings[index].account.started;
        dispatcher.mappings[index] = state;
        dispatcher.start(index);
        self.held = Some((index, shard));
        Ok(true)
    }

    async fn renew(&mut self, dispatcher: &mut Dispatcher<'_>) -> Result<(), LedgerError> {
        self.beat = Instant::now() + RENEWED_EVERY;
        let Some((_, shard)) = &self.held else { return Ok(()) };
        if !self.sharing.renew(shard).await? {
            self.lose(dispatcher).await;
        }
        Ok(())
    }

    /// Hands on what was compared, and ends the shard when that is all of it.
    async fn keep(&mut self, dispatcher: &mut Dispatcher<'_>) -> Result<(), LedgerError> {
        let Some((index, shard)) = &self.held else { return Ok(()) };
        let mapping = &mut dispatcher.mappings[*index];
        let mut ours = true;
        for told in std::mem::take(&mut mapping.scanned).unwrap_or_default() {
            let checked = match &told.outcome {
                Outcome::Compared(compared) => Checked::Compared(compared),
                Outcome::Skipped => Checked::Skipped,
                Outcome::Undecided(_, reason) => Checked::Undecided(reason),
            };
            let of = (told.chunk, &told.range, told.rows);
            ours = ours && self.sharing.keep(shard, of, checked).await?;
        }
        mapping.scanned = Some(Vec::new());
        let all = mapping.is_scanned();
        if ours && all {
            ours = self.sharing.done(shard).await?;
        }
        match (ours, all) {
            (false, _) => self.lose(dispatcher).await,
            (true, true) => self.held = None,
            (true, false) => {}
        }
        Ok(())
    }

    /// Another process has the shard: what is on its way counts for nothing.
    async fn lose(&mut self, dispatcher: &mut Dispatcher<'_>) {
        while let Some(done) = dispatcher.in_flight.join_next().await {
            dispatcher.take_in(done.ok());
        }
        if let Some((index, _)) = self.held.take() {
            // Nor is what is left of it for this process to scan.
            let plan = Arc::clone(&dispatcher.world.plans[index]);
            let mut state = MappingState::new(index, &plan, &dispatcher.desk.options);
            state.wait_for_a_shard();
            state.account.started = dispatcher.mappings[index].account.started;
            dispatcher.mappings[index] = state;
        }
    }
}

impl MappingState {
    /// Scans one shard and nothing else; some of its chunks were compared by another process.
    fn scanning(
        index: usize,
        plan: &Arc<MappingPlan>,
        options: &Options,
        shard: &Shard,
        kept: Vec<Kept>,
    ) -> MappingState {
        let mut state = MappingState::new(index, plan, options);
        // A part of the keys is in ranges, also where a run's terms do not say so.
        let pass = state.pass.take().filter(|_| shard.range == KeyRange::everything());
        state.wait_for_a_shard();
        state.pass = pass;
        let rows = plan.estimated_rows().unwrap_or(0) / shard.of.max(1);
        state.frontier.limit((&shard.range, rows), shard.first_chunk(), kept);
        state.frontier.forget_told();
        state
    }

    /// Has nothing to do. Counting rows with a NULL in their key is for whoever tells the whole.
    fn wait_for_a_shard(&mut self) {
        self.scanned = Some(Vec::new());
        self.tasks.clear();
        self.pass = None;
        self.frontier.close();
    }

    /// Whether all of the shard is compared and handed on.
    fn is_scanned(&self) -> bool {
        self.pass.is_none() && self.frontier.is_finished() && self.busy == 0
    }
}

impl<'o> Dispatcher<'o> {
    /// Begins anew, for the whole run, with a ledger that hears of it.
    fn begin_anew(&mut self, recorder: &'o mut Recorder) {
        let plans = self.world.plans.iter().enumerate();
        let options = &self.desk.options;
        let mappings = plans.map(|(index, plan)| MappingState::new(index, plan, options));
        self.mappings = mappings.collect();
        self.desk.hear(recorder);
    }

    /// Settles what differs, balances the books and tells the whole; nothing if it was stopped.
    async fn settle(
        &mut self,
        sharing: &Sharing,
        ends: Option<Instant>,
        retries: &mut mpsc::UnboundedReceiver<Event>,
        stop: &mut watch::Receiver<Stop>,
    ) -> Option<SummaryRecord> {
        self.desk.tell_whole(&sharing.begun);
        self.desk.options.deadline = ends.map(|at| at.saturating_duration_since(Instant::now()));
        let stopped = match self.restore(true).await {
            Ok(()) => self.run(retries, stop).await,
            Err(error) => {
                self.let_go(&format!("the ledger does not say what was compared: {error}"));
                false
            }
        };
        if stopped || self.lost_server {
            return None;
        }
        Some(self.finish(&sharing.begun.record.scope).await)
    }
}
