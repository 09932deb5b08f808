//! The cluster: one run of many processes. Each compares shards until none is left, and the last one
//! settles what differs, balances the row counts and completes the run.
//!
//! ```text
//! process 1   ──shard──shard──────────────shard──┐
//! process 2   ──shard──shard──shard──✗ (killed)  ├─ all compared ─▶ one of them restores, rechecks and reports
//! process 3   ──shard──shard──shard──(taken over)┘                  the others wait, and report the same summary
//! ```
//!
//! Until all is compared nothing is settled: candidates are stored with the chunks in the ledger.
//! Completing the run then works like resuming a run of which nothing is left to scan. A process that
//! completes the run and is stopped leaves that to another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::monitor::ServerMonitor;
use super::run_context::{RunContext, sleep_until_end, time_runs_out};
use super::run_loop::{NO_STATE, OUT_OF_TIME, RunObservers, new_record, work_time};
use super::scheduler::Scheduler;
use super::shards::cut;
use super::work::worker::WorkerContext;
use crate::candidates::{FIRST_BLOCK_RESULT, MappingState};
use crate::chunks::{BlockScan, ChunkOutcome, StoredOutcome};
use crate::diagnosis::Diagnosis;
use crate::event::Event;
use crate::finding::SummaryRecord;
use crate::ledger::{self, RENEWED_EVERY, Recorder, Shard, ShardCounts, SharedRun};
use crate::prepare::{
    CLOCK_PATIENCE, Options, Prepared, Stop, fingerprint, redaction, server_clocks,
};
use crate::problem::Problem;
use crate::row::KeyRange;

/// How often a process that has nothing to do checks whether that has changed.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long a process that is to stop may take to hand over what it has compared.
const LAST_WORK: Duration = Duration::from_secs(8);

/// What became of a process's part in a run.
#[derive(Debug)]
pub enum ShareOutcome {
    /// The process has completed the run.
    Completed(SummaryRecord),
    /// Another process has completed the run.
    Elsewhere(SummaryRecord),
    /// The process was stopped, and the others continue. How much is left to compare, if the ledger
    /// has it.
    Left(Option<ShardCounts>),
    /// The ledger failed during the run.
    LedgerLost(Problem),
}

/// Until when a process may take part.
#[derive(Clone, Copy)]
struct ProcessDeadline {
    /// When its work ends.
    works: Option<Instant>,
    /// When its time is over.
    ends: Option<Instant>,
}

/// How the scan of a process ended.
enum ScanEnd {
    /// Every shard of the run is compared.
    All,
    /// The process was stopped.
    Stopped,
}

/// Takes part in a run of many processes. `holder` is the name of this process.
///
/// # Errors
/// When the run was started with other options, or has no ledger; no row was read.
pub async fn share(
    mut prepared: Prepared,
    (run_id, holder): (String, &str),
    options: Options,
    observers: RunObservers<'_>,
    mut stop: watch::Receiver<Stop>,
) -> Result<ShareOutcome, Problem> {
    let RunObservers { recorder, observer } = observers;
    let Some(recorder) = recorder else { return Err(no_ledger()) };
    fingerprint::set(&prepared, &options, recorder);
    let mut record = new_record(&prepared.spec, run_id, &options);
    record.clocks = server_clocks(&prepared.pools, CLOCK_PATIENCE).await;
    let joined = recorder.join(&record, holder).await;
    let joined = joined.map_err(|error| lost(recorder, &error));
    let Some(sharing) = joined? else {
        return Err(no_ledger());
    };
    fingerprint::adopt(&mut prepared, &options, &sharing.begun);
    // The process that completes the run stores its fingerprint, as a resumed run does.
    fingerprint::set(&prepared, &options, recorder);
    if let Some(why) = fingerprint::difference(&prepared, &options, &sharing.begun) {
        let message = format!("run {} was started with other options: {why}", record.run);
        let hint = "Start every process of a run with the same options, or give this one another --run-id.";
        return Err(Problem::new(message).with_hint(hint));
    }
    if let Some(problem) = redaction::other_secret(&options, &sharing.begun) {
        return Err(problem);
    }
    match sharing.read_summary().await {
        Ok(None) => {}
        Ok(Some(summary)) => return Ok(ShareOutcome::Elsewhere(summary)),
        Err(error) => return Ok(ledger_lost(error)),
    }
    cut(&prepared, &options, &sharing).await?;
    let Prepared { spec, servers, pools, mut plans, .. } = prepared;
    let (stop_work, stop_workers) = watch::channel(Stop::No);
    let (events, mut retries) = mpsc::unbounded_channel();
    let context =
        RunContext::new(options.clone(), Diagnosis::new(&plans), None, observer, stop.clone());
    plans.iter_mut().for_each(|plan| plan.accepts.expire(context.clock.today()));
    let plans = plans.into_iter().map(Arc::new).collect();
    let workers = Arc::new(WorkerContext::new(&spec, pools, plans, &options, stop_workers, events));
    let monitor = ServerMonitor::new(Arc::clone(&workers), &servers, &spec.pace, options.settle);
    let mut scheduler = Scheduler::new(workers, context, monitor, stop_work);
    scheduler.mappings.iter_mut().for_each(MappingState::wait_for_shard);
    let (now, all) = (Instant::now(), options.deadline);
    let deadline = ProcessDeadline {
        works: all.map(|all| now + work_time(all)),
        ends: all.map(|all| now + all),
    };
    let part = take_part(&mut scheduler, &sharing, recorder, deadline, (&mut retries, &mut stop));
    let part = Box::pin(part).await;
    // A process that does not complete the run still reports its own events.
    scheduler.context.send_events().await;
    Ok(part.unwrap_or_else(ledger_lost))
}

/// Compares shards until none is left, and then completes the run unless another process does.
async fn take_part<'o>(
    scheduler: &mut Scheduler<'o>,
    sharing: &SharedRun,
    recorder: &'o mut Recorder,
    deadline: ProcessDeadline,
    (retries, stop): (&mut mpsc::UnboundedReceiver<Event>, &mut watch::Receiver<Stop>),
) -> Result<ShareOutcome, Problem> {
    let mut worker =
        ShardWorker { sharing, deadline: deadline.works, held: None, renewal: Instant::now() };
    let stopped = time_runs_out(stop.clone(), LAST_WORK, None);
    let worked = tokio::select! {
        worked = Box::pin(worker.work(scheduler, retries, stop)) => worked?,
        // Another process takes the shard over when the lease expires.
        () = stopped => return Ok(ShareOutcome::Left(None)),
    };
    match worked {
        ScanEnd::Stopped => return Ok(left(sharing).await),
        ScanEnd::All => {}
    }
    loop {
        if let Some(summary) = sharing.read_summary().await? {
            return Ok(ShareOutcome::Elsewhere(summary));
        }
        if let Some(lease) = sharing.take_report_lease().await? {
            // Another process may have completed the run between the two queries.
            if let Some(summary) = sharing.read_summary().await? {
                let _ = lease.release().await;
                return Ok(ShareOutcome::Elsewhere(summary));
            }
            scheduler.begin_whole(recorder);
            let finished = tokio::select! {
                finished = scheduler.settle(sharing, deadline.ends, retries, stop) => finished,
                () = async {
                    // Another process completes the run if this lease has expired. A ledger that does not
                    // answer is queried again.
                    while !matches!(lease.renew().await, Ok(false)) {
                        tokio::time::sleep(RENEWED_EVERY).await;
                    }
                } => None,
            };
            // If that fails, the lease expires.
            let _ = lease.release().await;
            if let Some(summary) = finished {
                return Ok(ShareOutcome::Completed(summary));
            }
            // Another process completes the run.
            scheduler.context.detach_ledger();
            let elsewhere = sharing.read_summary().await?;
            return Ok(elsewhere.map_or(ShareOutcome::Left(None), ShareOutcome::Elsewhere));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            _ = stop.changed() => return Ok(left(sharing).await),
            () = sleep_until_end(deadline.works) => return Ok(left(sharing).await),
        }
    }
}

/// Returns how much is left to the other processes.
async fn left(sharing: &SharedRun) -> ShareOutcome {
    let counts = tokio::time::timeout(POLL_INTERVAL, sharing.count_shards()).await;
    ShareOutcome::Left(counts.ok().and_then(Result::ok))
}

fn no_ledger() -> Problem {
    Problem::new("processes share a run through a ledger in PostgreSQL, and there is none")
        .with_hint("Give every process the same --run-id and --ledger postgres://….")
}

fn lost(recorder: &Recorder, error: &Problem) -> Problem {
    Problem::new(format!("{recorder}: {error}"))
        .with_hint("A run cannot be shared without its ledger.")
}

fn ledger_lost(error: Problem) -> ShareOutcome {
    let message = format!("the run cannot be shared any more: {error}");
    let hint = "Start the process again with the same --run-id: it continues where it stopped.";
    ShareOutcome::LedgerLost(Problem::new(message).with_hint(hint))
}

/// A process's work on a run, from its first shard until none is left.
struct ShardWorker<'s> {
    sharing: &'s SharedRun,
    deadline: Option<Instant>,
    /// The shard of which it has the lease, with the index of its mapping.
    held: Option<(usize, Shard)>,
    /// When the lease has to be renewed.
    renewal: Instant,
}

impl ShardWorker<'_> {
    /// Compares shards until none is left, or the process is stopped.
    async fn work(
        &mut self,
        scheduler: &mut Scheduler<'_>,
        retries: &mut mpsc::UnboundedReceiver<Event>,
        stop: &mut watch::Receiver<Stop>,
    ) -> Result<ScanEnd, Problem> {
        loop {
            if self.held.is_none() && !self.take(scheduler).await? {
                let left = self.sharing.count_shards().await?;
                if left.open == 0 {
                    return Ok(ScanEnd::All);
                }
            }
            scheduler.start_tasks();
            scheduler.context.send_events().await;
            let idle = self.held.is_none();
            let pause = scheduler.until_due();
            let stopped = tokio::select! {
                Some(done) = scheduler.in_flight.join_next() => { scheduler.take_done(done.ok()); false }
                states = scheduler.monitor.next() => { scheduler.take_server_states(states); false }
                Some(event) = retries.recv() => { scheduler.context.report(event); false }
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => false,
                () = tokio::time::sleep(POLL_INTERVAL), if idle => false,
                () = tokio::time::sleep_until(self.renewal), if !idle => { self.renew(scheduler).await?; false }
                _ = stop.changed() => true,
                () = sleep_until_end(self.deadline) => { scheduler.stopping = OUT_OF_TIME; true }
            };
            if scheduler.monitor.is_state_unknown() {
                scheduler.stopping = NO_STATE;
            }
            if stopped || scheduler.monitor.is_state_unknown() || scheduler.lost_server {
                scheduler.finish_in_flight(stop).await;
                // What cannot be read here another process may read, or this one later.
                if !scheduler.lost_server {
                    self.keep(scheduler).await?;
                }
                if let Some((_, shard)) = self.held.take() {
                    self.sharing.release_shard(&shard).await?;
                }
                return Ok(ScanEnd::Stopped);
            }
            self.keep(scheduler).await?;
        }
    }

    /// Takes the next shard, if there is one.
    async fn take(&mut self, scheduler: &mut Scheduler<'_>) -> Result<bool, Problem> {
        let Some(shard) = self.sharing.take_shard().await? else { return Ok(false) };
        self.renewal = Instant::now() + RENEWED_EVERY;
        let plans = &scheduler.workers.plans;
        let Some(index) = plans.iter().position(|plan| plan.name == shard.mapping) else {
            // The fingerprints are equal, so the mappings are.
            return Err(ledger::unknown_mapping(&shard.mapping));
        };
        // Damaged chunks are compared again.
        let mut kept = self.sharing.read_chunks(&shard).await?.sound;
        let plan = Arc::clone(&plans[index]);
        let settings = scheduler.context.options.settings();
        if shard.range == KeyRange::everything() {
            // Results of a table scan do not add up with those of another holder, nor do chunks whose
            // order is not known here: they do not count.
            let adds_up = plan.order.is_known() && BlockScan::new(&plan, settings.chunks).is_none();
            self.sharing
                .delete_chunks(&shard, if adds_up { FIRST_BLOCK_RESULT } else { 0 })
                .await?;
            kept.retain(|_| adds_up);
        }
        let mut state = MappingState::shard(
            index,
            &plan,
            &settings,
            (
                &shard.range,
                plan.estimated_rows().unwrap_or(0) / shard.of.max(1),
                shard.first_chunk(),
            ),
            kept,
        );
        state.result.started = scheduler.mappings[index].result.started;
        scheduler.mappings[index] = state;
        scheduler.mappings[index].start(&mut scheduler.context.of_mappings());
        self.held = Some((index, shard));
        Ok(true)
    }

    /// Renews the lease.
    async fn renew(&mut self, scheduler: &mut Scheduler<'_>) -> Result<(), Problem> {
        self.renewal = Instant::now() + RENEWED_EVERY;
        let Some((_, shard)) = &self.held else { return Ok(()) };
        if !self.sharing.renew_shard(shard).await? {
            self.lose(scheduler).await;
        }
        Ok(())
    }

    /// Hands over what was compared, and ends the shard when that is all of it.
    async fn keep(&mut self, scheduler: &mut Scheduler<'_>) -> Result<(), Problem> {
        let Some((index, shard)) = &self.held else { return Ok(()) };
        let mapping = &mut scheduler.mappings[*index];
        let mut ours = true;
        for finished in mapping.take_scanned_chunks() {
            let checked = match &finished.outcome {
                ChunkOutcome::RangeComparison(compared) => StoredOutcome::Compared(compared),
                ChunkOutcome::Skipped => StoredOutcome::Skipped,
                ChunkOutcome::Undecided(_, reason) => StoredOutcome::Undecided(reason),
            };
            let of = (finished.chunk, &finished.range, finished.rows);
            ours = ours && self.sharing.record_chunk(shard, of, checked).await?;
        }
        let all = mapping.is_shard_done();
        if ours && all {
            ours = self.sharing.finish_shard(shard).await?;
        }
        match (ours, all) {
            (false, _) => self.lose(scheduler).await,
            (true, true) => self.held = None,
            (true, false) => {}
        }
        Ok(())
    }

    /// Drops the shard, of which another process has the lease: what is in flight does not count.
    async fn lose(&mut self, scheduler: &mut Scheduler<'_>) {
        while let Some(done) = scheduler.in_flight.join_next().await {
            scheduler.take_done(done.ok());
        }
        if let Some((index, _)) = self.held.take() {
            // This process does not scan the rest of it, either.
            let plan = Arc::clone(&scheduler.workers.plans[index]);
            let mut state = MappingState::new(index, &plan, &scheduler.context.options.settings());
            state.wait_for_shard();
            state.result.started = scheduler.mappings[index].result.started;
            scheduler.mappings[index] = state;
        }
    }
}

impl<'o> Scheduler<'o> {
    /// Begins to complete the whole run, and to store it in the ledger.
    fn begin_whole(&mut self, recorder: &'o mut Recorder) {
        let plans = self.workers.plans.iter().enumerate();
        let settings = self.context.options.settings();
        let mappings = plans.map(|(index, plan)| MappingState::new(index, plan, &settings));
        self.mappings = mappings.collect();
        self.context.attach_ledger(recorder);
    }

    /// Settles what differs, balances the row counts and reports the run. Returns `None` if it was
    /// stopped.
    async fn settle(
        &mut self,
        sharing: &SharedRun,
        ends: Option<Instant>,
        retries: &mut mpsc::UnboundedReceiver<Event>,
        stop: &mut watch::Receiver<Stop>,
    ) -> Option<SummaryRecord> {
        self.context.begin_completion(&sharing.begun);
        self.context.options.deadline = ends.map(|at| at.saturating_duration_since(Instant::now()));
        let stopped = match self.restore(true).await {
            Ok(()) => self.complete(retries, stop).await,
            Err(error) => {
                self.abandon_all(&format!("the ledger does not say what was compared: {error}"));
                false
            }
        };
        if stopped || self.lost_server {
            return None;
        }
        Some(self.finish(&sharing.begun.record.scope).await)
    }
}
