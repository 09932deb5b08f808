//! The scheduler: starts tasks and takes their outcomes. It alone changes the state of a run and reports
//! events.
//!
//! Each round has three steps: start tasks while permits are free; wait for an outcome, for a candidate
//! that is due, or for a signal to stop; take the outcome. Rechecks that are due come before new chunks,
//! or the queue would only grow; while the queue is full, the scan waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::monitor::{ServerMonitor, StateResults};
use super::resume::read_outcome;
use super::run_context::RunContext;
use super::work::worker::{Done, Outcome, WorkerContext, perform};
use crate::candidates::{MappingState, Task, Work};
use crate::chunks::ReadFailure;
use crate::event::Event;
use crate::finding::{SummaryRecord, Verdict, format_timestamp};
use crate::pg::{PgError, Remedy};
use crate::prepare::Stop;
use crate::row::KeyRange;
use crate::schema::BySide;

/// The scheduler of a run.
pub(super) struct Scheduler<'o> {
    pub(super) workers: Arc<WorkerContext>,
    pub(super) context: RunContext<'o>,
    pub(super) mappings: Vec<MappingState>,
    pub(super) in_flight: JoinSet<Done>,
    pub(super) monitor: ServerMonitor,
    pub(super) stop_work: watch::Sender<Stop>,
    next_batch: u64,
    /// Why the run stops, once it does.
    pub(super) stopping: &'static str,
    /// Whether a server was lost for good.
    pub(super) lost_server: bool,
}

impl<'o> Scheduler<'o> {
    /// Creates the scheduler of a run of all mappings.
    pub(super) fn new(
        workers: Arc<WorkerContext>,
        context: RunContext<'o>,
        monitor: ServerMonitor,
        stop_work: watch::Sender<Stop>,
    ) -> Self {
        let plans = workers.plans.iter().enumerate();
        let settings = context.options.settings();
        let mappings = plans.map(|(index, plan)| MappingState::new(index, plan, &settings));
        Scheduler {
            mappings: mappings.collect(),
            workers,
            context,
            in_flight: JoinSet::new(),
            monitor,
            stop_work,
            next_batch: 0,
            stopping: "interrupted",
            lost_server: false,
        }
    }
}

impl Scheduler<'_> {
    fn has_permit(&self) -> bool {
        self.in_flight.len() < self.context.options.jobs
    }

    /// Returns whether every mapping is finished.
    pub(super) fn is_done(&self) -> bool {
        self.mappings.iter().all(|mapping| mapping.is_finished)
    }

    /// Returns whether nothing is in flight and nothing waits, although the run is not done. This
    /// cannot happen; if it does, the run ends as incomplete instead of waiting for ever.
    pub(super) fn is_stuck(&self) -> bool {
        let holds = self.has_unread() || self.monitor.holds_back();
        self.in_flight.is_empty() && self.context.queue.is_empty() && !holds
    }

    /// Returns whether something has to be read from the ledger now.
    pub(super) fn has_unread(&self) -> bool {
        let is_full = self.context.queue.is_full();
        self.mappings.iter().any(|mapping| mapping.has_unread(is_full))
    }

    /// Reads one outcome from the ledger.
    pub(super) async fn read_outcome(&mut self) {
        let is_full = self.context.queue.is_full();
        let unread = self.mappings.iter_mut().find(|mapping| mapping.has_unread(is_full));
        if let Some(mapping) = unread {
            read_outcome(mapping, &mut self.context).await;
        }
    }

    /// Returns how long until a candidate is due, if a permit is free for a recheck, or until a
    /// permit has rested.
    pub(super) fn until_due(&mut self) -> Option<Duration> {
        let can_recheck = self.has_permit() && !self.monitor.is_waiting();
        let due = self.next_due().filter(|_| can_recheck);
        let due = due.map(|(due, _)| due.saturating_sub(self.context.clock.now()));
        due.into_iter().chain(self.monitor.until_rested()).min()
    }

    /// Takes the states that the servers have reported.
    pub(super) fn take_server_states(&mut self, states: StateResults) {
        self.monitor.take(states, &mut self.context);
        self.mappings.iter_mut().for_each(|mapping| mapping.throttle(self.monitor.is_slower()));
    }

    /// Starts tasks while permits are free.
    pub(super) fn start_tasks(&mut self) {
        while self.has_permit() && !self.monitor.is_waiting() {
            let Some(work) = self.next_work() else { return };
            self.mappings[work.mapping].in_flight += 1;
            self.in_flight.spawn(perform(Arc::clone(&self.workers), work));
        }
    }

    /// Returns the next task: rechecks that are due, then small tasks, then the scan. Otherwise the
    /// queue would only grow.
    fn next_work(&mut self) -> Option<Work> {
        if let Some(work) = self.next_recheck() {
            return Some(work);
        }
        if self.in_flight.len() + self.monitor.resting_permits() >= self.context.options.jobs {
            return None;
        }
        let context = &mut self.context.of_mappings();
        for (mapping, state) in self.mappings.iter_mut().enumerate() {
            if let Some(task) = state.next_small_task(context) {
                return Some(Work { mapping, task });
            }
        }
        if self.context.queue.is_full() {
            return None;
        }
        for mapping in self.scan_order() {
            let context = &mut self.context.of_mappings();
            if let Some(task) = self.mappings[mapping].next_scan_task(context) {
                return Some(Work { mapping, task });
            }
        }
        None
    }

    /// Returns the mappings in the order in which they are scanned: that of the spec, or by age.
    fn scan_order(&self) -> Vec<usize> {
        let mut scan_order: Vec<usize> = (0..self.mappings.len()).collect();
        if self.context.options.slice {
            scan_order.sort_by_key(|index| self.mappings[*index].last_verified());
        }
        scan_order
    }

    /// Returns the mapping whose candidates are rechecked next, and when.
    fn next_due(&self) -> Option<(Duration, usize)> {
        let is_full = self.context.queue.is_full();
        self.context.queue.next_due(|mapping| match is_full {
            true => Duration::ZERO,
            false => self.mappings[mapping].recheck_from(),
        })
    }

    /// Returns the recheck of candidates that are due.
    fn next_recheck(&mut self) -> Option<Work> {
        let now = self.context.clock.now();
        let (_, mapping) = self.next_due().filter(|(due, _)| *due <= now)?;
        let context = &mut self.context.of_mappings();
        let task = self.mappings[mapping].next_recheck(&mut self.next_batch, context)?;
        Some(Work { mapping, task })
    }

    /// Takes the outcome of a task.
    pub(super) fn take_done(&mut self, done: Option<Done>) {
        // A worker ends early only if it panics. Then the run is stuck, and ends.
        let Some(Done { mapping: index, outcome, is_recheck, is_prior, took }) = done else {
            return;
        };
        self.monitor.rest_after(took);
        let mapping = &mut self.mappings[index];
        if is_recheck {
            mapping.measure_recheck(took, self.context.clock.now());
        }
        mapping.in_flight -= 1;
        if is_prior {
            mapping.mode.end_batch();
        }
        match outcome {
            Outcome::Answered(answer) => {
                mapping.take_answer(answer, &mut self.context.of_mappings())
            }
            Outcome::Failed(task, error) => self.take_error(index, task, &error),
            Outcome::Stopped(task) => {
                mapping.abandon_task(task, self.stopping, &mut self.context.of_mappings());
            }
        }
        if let Some(reason) = self.mappings[index].result.check_groups() {
            self.end_mapping(index, reason);
        }
    }

    /// Takes the error of a task: smaller tasks take its place, or the mapping ends.
    fn take_error(&mut self, index: usize, task: Task, error: &PgError) {
        let reason = error.to_string();
        let mapping = &mut self.mappings[index];
        let context = &mut self.context.of_mappings();
        if error.remedy == Remedy::Replan {
            return mapping.end_as_changed(task, &reason, context);
        }
        if !mapping.take_failure(task, ReadFailure::from(error.remedy), &reason, context) {
            return;
        }
        self.end_mapping(index, &reason);
        if error.is_of_the_server() {
            (self.lost_server, self.stopping) = (true, "a server was lost");
            // The other mappings are on the same server.
            (0..self.mappings.len()).for_each(|other| self.end_mapping(other, &reason));
        }
    }

    /// Ends a mapping: what was not compared is undecided.
    fn end_mapping(&mut self, index: usize, reason: &str) {
        let mapping = &mut self.mappings[index];
        if !mapping.is_finished {
            mapping.abandon(reason, &mut self.context.of_mappings());
        }
    }

    /// Ends every mapping, and closes every candidate as undecided.
    pub(super) fn abandon_all(&mut self, reason: &str) {
        (0..self.mappings.len()).for_each(|index| self.end_mapping(index, reason));
        let open: Vec<_> = self.context.queue.drain().collect();
        let mut parents: Vec<(usize, Arc<KeyRange>, u64)> = Vec::new();
        for candidate in open {
            let mapping = candidate.difference.mapping;
            self.mappings[mapping].close_candidate(&candidate);
            match parents.last_mut() {
                Some((last, parent, count)) if *last == mapping && *parent == candidate.parent => {
                    *count += 1
                }
                _ => parents.push((mapping, Arc::clone(&candidate.parent), 1)),
            }
        }
        for (mapping, parent, count) in parents {
            let reason = format!("{reason} with {count} differences seen and not settled");
            self.mappings[mapping].result.report_undecided(
                &parent,
                count,
                &reason,
                &mut self.context.of_mappings(),
            );
        }
        for mapping in &mut self.mappings {
            mapping.close_ranges(&mut self.context.of_mappings());
        }
    }

    /// Reports the mappings of which nothing is left to do.
    pub(super) fn finish_mappings(&mut self) {
        for mapping in &mut self.mappings {
            if !mapping.is_finished && mapping.is_done() {
                mapping.is_finished = true;
                let record = Box::new(mapping.result.to_record(self.context.options.max_unsettled));
                let mapping = mapping.result.index;
                self.context.report(Event::MappingFinished { mapping, record });
            }
        }
    }

    /// Returns the summary of the run, and reports it. `clocks` are those of the servers.
    pub(super) fn summary(&mut self, clocks: BySide<Option<String>>) -> SummaryRecord {
        let most = self.context.options.max_unsettled;
        let results = || self.mappings.iter().map(|mapping| &mapping.result);
        let complete = self.is_done() && results().all(|result| result.to_record(most).complete);
        let unsettled: u64 = results().map(|result| result.counts.unsettled).sum();
        let verdict = if !complete || unsettled > most {
            Verdict::Incomplete
        } else if results().any(|result| result.counts.has_diverged()) {
            Verdict::Diverged
        } else {
            Verdict::Clean
        };
        let elapsed = self.context.elapsed().as_millis();
        let mut summary = SummaryRecord::new(verdict, u64::try_from(elapsed).unwrap_or(u64::MAX));
        (summary.ended_at, summary.clocks) =
            (Some(format_timestamp(jiff::Timestamp::now())), clocks);
        self.monitor.add_to_summary(&mut summary, &mut self.context);
        self.context.report(Event::RunFinished(summary.clone()));
        summary
    }
}
