//! The loop of one run, from its start to its summary.
//!
//! Each round waits for one thing: the outcome of a task, a candidate that is due, something to write to
//! or read from the ledger, a signal to stop, the deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::monitor::ServerMonitor;
use super::resume::restore;
use super::run_context::{RunContext, sleep_until_end};
use super::scheduler::Scheduler;
use super::work::worker::WorkerContext;
use crate::candidates::{MappingState, PriorFindings, SlicePlan};
use crate::diagnosis::Diagnosis;
use crate::event::{Event, Observer};
use crate::finding::{NamedValues, RunRecord, SummaryRecord};
use crate::ledger::{Interrupted, LedgerError, Recorder};
use crate::prepare::{Options, Prepared, Stop, server_clocks};
use crate::row::{Coverage, KeyRange};
use crate::spec::Spec;

/// How long tasks in flight may continue after a signal to stop before they are canceled. Before a
/// deadline they have as long.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Why a run stops whose deadline was reached.
pub(super) const OUT_OF_TIME: &str = "the deadline was reached";
/// Why a run stops whose limits cannot be checked.
pub(super) const NO_STATE: &str = "a server with limits did not report its state";

/// Returns how much of a run's time is for work: half of it, if it is short.
pub(super) fn work_time(all: Duration) -> Duration {
    all - GRACE.min(all / 2)
}

/// How long the chunks in flight may take when a slice ends.
const LAST_CHUNKS: Duration = Duration::from_secs(1);

/// Which run is started.
#[derive(Clone, Debug)]
pub enum RunStart {
    /// A new run with this id.
    New(String),
    /// A run that was interrupted.
    Resumed(Box<Interrupted>),
}

/// The observers of a run. The ledger is first, since it adds to findings how long they have
/// existed.
pub struct RunObservers<'o> {
    /// The ledger, if the run is stored.
    pub recorder: Option<&'o mut Recorder>,
    /// The observer of all events.
    pub observer: &'o mut dyn Observer,
}

/// Compares every mapping of a spec. Reports events to the observer, and returns the summary.
pub async fn compare(
    prepared: Prepared,
    begin: RunStart,
    options: Options,
    observers: RunObservers<'_>,
    stop: watch::Receiver<Stop>,
) -> SummaryRecord {
    run(prepared, RunKind::Whole, begin, options, observers, stop).await
}

/// What is compared of each mapping.
pub(super) enum RunKind {
    /// All rows.
    Whole,
    /// What a prior run found.
    Recheck(Vec<PriorFindings>),
    /// The ranges that have not been verified for the longest time, as far as the deadline permits.
    Slices(Vec<SlicePlan>),
}

/// Runs a comparison from its start to its summary.
pub(super) async fn run(
    prepared: Prepared,
    kind: RunKind,
    begin: RunStart,
    options: Options,
    observers: RunObservers<'_>,
    mut stop: watch::Receiver<Stop>,
) -> SummaryRecord {
    let Prepared { spec, servers, pools, mut plans, .. } = prepared;
    let (stop_work, stop_workers) = watch::channel(Stop::No);
    let (events, mut retries) = mpsc::unbounded_channel();
    let RunObservers { recorder, observer } = observers;
    let diagnosis = Diagnosis::new(&plans);
    let mut context = RunContext::new(options, diagnosis, recorder, observer, stop.clone());
    match &begin {
        RunStart::New(id) => {
            let mut record = new_record(&spec, id.clone(), &context.options);
            // Verified ranges are marked with the same moment, to the second.
            record.started_at = context.clock.text(Duration::ZERO);
            record.clocks = server_clocks(&pools, context.clock_patience(false)).await;
            context.report(Event::RunStarted(record));
        }
        RunStart::Resumed(interrupted) => context.begin_resumed(interrupted),
    }
    plans.iter_mut().for_each(|plan| plan.accepts.expire(context.clock.today()));
    let plans = plans.into_iter().map(Arc::new).collect();
    let workers = WorkerContext::new(&spec, pools, plans, &context.options, stop_workers, events);
    let workers = Arc::new(workers);
    let monitor =
        ServerMonitor::new(Arc::clone(&workers), &servers, &spec.pace, context.options.settle);
    let mut scheduler = Scheduler::new(workers, context, monitor, stop_work);
    scheduler.set_kind(kind);
    let restored = match begin {
        RunStart::Resumed(_) => scheduler.restore(false).await,
        RunStart::New(_) => Ok(()),
    };
    match restored {
        Ok(()) => drop(scheduler.complete(&mut retries, &mut stop).await),
        Err(error) => scheduler
            .abandon_all(&format!("the ledger does not say how far the run had come: {error}")),
    }
    scheduler.finish(&spec.scope()).await
}

/// Returns the record of a new run.
pub(super) fn new_record(spec: &Spec, id: String, options: &Options) -> RunRecord {
    let params = spec.params.iter().map(|param| (param.name.clone(), param.value.clone()));
    let params = NamedValues(params.collect());
    let mut record = RunRecord::new(id, &spec.name, spec.hash.clone(), spec.scope(), params);
    record.sample = options.sample.map(|share| format!("{}%", share * 100.0));
    record.since = options.since.as_ref().map(|since| since.text.clone());
    record.slice = options.slice;
    record.mappings.clone_from(&options.mappings);
    record
}

impl Scheduler<'_> {
    /// Sets what is compared of each mapping.
    fn set_kind(&mut self, kind: RunKind) {
        let plans = self.workers.plans.iter().enumerate();
        let settings = &self.context.options.settings();
        self.mappings = match kind {
            RunKind::Whole => return,
            RunKind::Recheck(again) => plans
                .zip(again)
                .map(|((index, plan), again)| MappingState::recheck(index, plan, settings, again))
                .collect(),
            RunKind::Slices(slices) => plans
                .zip(slices)
                .map(|((index, plan), slice)| MappingState::slice(index, plan, settings, slice))
                .collect(),
        };
    }

    /// Ends the run: stores what was verified, and reports the summary.
    pub(super) async fn finish(&mut self, scope: &str) -> SummaryRecord {
        self.finish_mappings();
        if self.context.options.covers() {
            self.keep_coverage(scope).await;
        }
        let patience = self.context.clock_patience(self.lost_server);
        let clocks = server_clocks(&self.workers.pools, patience).await;
        let summary = self.summary(clocks);
        self.context.send_events().await;
        summary
    }

    /// Stores which part of each mapping this run has verified.
    async fn keep_coverage(&mut self, scope: &str) {
        let by = self.context.verified_by();
        for mapping in self.mappings.iter().filter(|mapping| mapping.result.is_sound()) {
            let result = &mapping.result;
            let (plan, order) = (&result.plan, &result.plan.order);
            let rows = result.counts.books.map(|side| side.read);
            let rows = rows.source.max(rows.target);
            let whole = result.is_whole(self.context.options.max_unsettled);
            let coverage = if whole {
                let mut coverage = Coverage::nothing(rows);
                coverage.mark(&KeyRange::everything(), rows, Some(&by), order);
                coverage
            } else {
                // Without an answer the stored coverage stays as it is.
                let Ok(known) = self.context.coverage(scope, plan).await else { continue };
                let estimated = plan.estimated_rows().unwrap_or(0);
                let mut coverage = known.unwrap_or_else(|| Coverage::nothing(estimated));
                result.verified.mark(&mut coverage, &by, order);
                coverage
            };
            self.context.keep_coverage(plan, &coverage);
        }
    }

    /// Restores how far the run had come.
    pub(super) async fn restore(&mut self, whole: bool) -> Result<(), LedgerError> {
        // The ledger has to store first that the run is resumed.
        self.context.send_events().await;
        for index in 0..self.mappings.len() {
            self.mappings[index].start(&mut self.context.of_mappings());
            restore(&mut self.mappings[index], whole, &mut self.context).await?;
        }
        Ok(())
    }

    /// Carries out tasks until the run is done. Returns whether it was stopped before.
    pub(super) async fn complete(
        &mut self,
        retries: &mut mpsc::UnboundedReceiver<Event>,
        stop: &mut watch::Receiver<Stop>,
    ) -> bool {
        let Options { deadline: all, settle, slice, .. } = self.context.options;
        let now = tokio::time::Instant::now();
        let scans = all.map(work_time);
        let deadline = scans.map(|scans| now + scans);
        // A slice ends early enough to settle what it has found.
        let settle_time = |scans: Duration| (settle * 4).max(LAST_CHUNKS).min(scans / 2);
        let mut leaves = scans.filter(|_| slice).map(|scans| now + scans - settle_time(scans));
        while !self.is_done() {
            self.start_tasks();
            self.context.send_events().await;
            if self.is_stuck() {
                self.abandon_all("the run is stuck: nothing is in progress, and nothing waits");
                return false;
            }
            let (pause, writing) = (self.until_due(), self.context.until_write_due());
            tokio::select! {
                Some(done) = self.in_flight.join_next() => self.take_done(done.ok()),
                states = self.monitor.next() => self.take_server_states(states),
                Some(event) = retries.recv() => self.context.report(event),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                () = tokio::time::sleep(writing.unwrap_or_default()), if writing.is_some() => {}
                () = std::future::ready(()), if self.has_unread() => self.read_outcome().await,
                Ok(()) = stop.changed() => return self.finish_soon(stop).await,
                // A slice that has read no row yet continues.
                () = sleep_until_end(leaves), if self.has_read() => {
                    leaves = None;
                    self.mappings.iter_mut().for_each(|mapping| mapping.leave_rest(&mut self.context.of_mappings()));
                }
                () = sleep_until_end(deadline) => {
                    self.stopping = OUT_OF_TIME;
                    return self.finish_soon(stop).await;
                }
            }
            if self.monitor.is_state_unknown() {
                self.stopping = NO_STATE;
                return self.finish_soon(stop).await;
            }
            self.finish_mappings();
        }
        false
    }

    /// Returns whether any row was read.
    fn has_read(&self) -> bool {
        let books = self.mappings.iter().map(|mapping| &mapping.result.counts.books);
        books.into_iter().any(|books| books.any(|side| side.read > 0))
    }

    /// Waits for the tasks in flight, and abandons the rest.
    async fn finish_soon(&mut self, stop: &mut watch::Receiver<Stop>) -> bool {
        self.finish_in_flight(stop).await;
        self.abandon_all(self.stopping);
        true
    }

    /// Waits for the tasks in flight for a while, and then cancels them.
    pub(super) async fn finish_in_flight(&mut self, stop: &mut watch::Receiver<Stop>) {
        let mut urgency = Stop::Soon.max(*stop.borrow());
        if urgency < Stop::Now {
            self.context.report(Event::Stopping { reason: self.stopping.into() });
        }
        self.stop_work.send_replace(urgency);
        self.context.send_events().await;
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while !self.in_flight.is_empty() {
            tokio::select! {
                Some(done) = self.in_flight.join_next() => self.take_done(done.ok()),
                () = &mut grace, if urgency < Stop::Now => urgency = Stop::Now,
                Ok(()) = stop.changed() => urgency = *stop.borrow(),
            }
            self.stop_work.send_replace(urgency);
            self.context.send_events().await;
        }
    }
}
