//! The dispatcher: picks the next piece of work, takes results in, and is the only one to change
//! anything or to speak to the observer.
//!
//! Each round has three steps: give out work while there are permits; wait for a result, a suspect
//! that falls due, or a wish to stop; take it in. Suspects that are due go before new chunks, or the
//! queue would only grow; a full queue holds the scan.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::monitor::{Answers, ServerMonitor};
use super::resume::read_outcome;
use super::run_context::RunContext;
use super::work::worker::{Done, Outcome, WorkerContext, perform};
use crate::candidates::{MappingState, Task, Work};
use crate::chunks::ReadFailure;
use crate::event::Event;
use crate::finding::{SummaryRecord, Verdict, timestamp};
use crate::pg::{PgError, Remedy};
use crate::prepare::Stop;
use crate::row::KeyRange;
use crate::schema::BySide;

pub(super) struct Scheduler<'o> {
    pub(super) world: Arc<WorkerContext>,
    pub(super) desk: RunContext<'o>,
    pub(super) mappings: Vec<MappingState>,
    pub(super) in_flight: JoinSet<Done>,
    pub(super) watch: ServerMonitor,
    pub(super) stop_work: watch::Sender<Stop>,
    next_batch: u64,
    /// Why it is to stop, once it is.
    pub(super) stopping: &'static str,
    /// Whether a server was lost for good.
    pub(super) lost_server: bool,
}

impl<'o> Scheduler<'o> {
    pub(super) fn new(
        world: Arc<WorkerContext>,
        desk: RunContext<'o>,
        watch: ServerMonitor,
        stop_work: watch::Sender<Stop>,
    ) -> Self {
        let plans = world.plans.iter().enumerate();
        let settings = desk.options.settings();
        let mappings = plans.map(|(index, plan)| MappingState::new(index, plan, &settings));
        Scheduler {
            mappings: mappings.collect(),
            world,
            desk,
            in_flight: JoinSet::new(),
            watch,
            stop_work,
            next_batch: 0,
            stopping: "interrupted",
            lost_server: false,
        }
    }
}

impl Scheduler<'_> {
    fn has_permit(&self) -> bool {
        self.in_flight.len() < self.desk.options.jobs
    }

    pub(super) fn is_done(&self) -> bool {
        self.mappings.iter().all(|mapping| mapping.is_finished)
    }

    /// Nothing on its way, nothing waiting, and yet not done. It cannot happen; if it does, the run
    /// says that it is incomplete instead of waiting for ever.
    pub(super) fn is_stuck(&self) -> bool {
        let holds = self.has_unread() || self.watch.holds();
        self.in_flight.is_empty() && self.desk.queue.is_empty() && !holds
    }

    /// Returns whether something has to be read from the ledger now.
    pub(super) fn has_unread(&self) -> bool {
        let is_full = self.desk.queue.is_full();
        self.mappings.iter().any(|mapping| mapping.has_unread(is_full))
    }

    /// Reads one outcome from the ledger.
    pub(super) async fn read_outcome(&mut self) {
        let is_full = self.desk.queue.is_full();
        let unread = self.mappings.iter_mut().find(|mapping| mapping.has_unread(is_full));
        if let Some(mapping) = unread {
            read_outcome(mapping, &mut self.desk).await;
        }
    }

    /// How long until a suspect falls due, if there is a permit for a look, or a permit has rested.
    pub(super) fn until_due(&mut self) -> Option<Duration> {
        let can_look = self.has_permit() && !self.watch.waits();
        let due = self.next_due().filter(|_| can_look);
        let due = due.map(|(due, _)| due.saturating_sub(self.desk.clock.now()));
        due.into_iter().chain(self.watch.until_rested()).min()
    }

    /// The servers have said how they are.
    pub(super) fn watched(&mut self, answers: Answers) {
        self.watch.take(answers, &mut self.desk);
        self.mappings.iter_mut().for_each(|mapping| mapping.throttle(self.watch.eases()));
    }

    pub(super) fn give_out(&mut self) {
        while self.has_permit() && !self.watch.waits() {
            let Some(work) = self.next_work() else { return };
            self.mappings[work.mapping].in_flight += 1;
            self.in_flight.spawn(perform(Arc::clone(&self.world), work));
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        if let Some(work) = self.next_recheck() {
            return Some(work);
        }
        if self.in_flight.len() + self.watch.resting() >= self.desk.options.jobs {
            return None;
        }
        let context = &mut self.desk.context();
        for (mapping, state) in self.mappings.iter_mut().enumerate() {
            if let Some(task) = state.next_small_task(context) {
                return Some(Work { mapping, task });
            }
        }
        if self.desk.queue.is_full() {
            return None;
        }
        for mapping in self.turns() {
            let context = &mut self.desk.context();
            if let Some(task) = self.mappings[mapping].next_scan_task(context) {
                return Some(Work { mapping, task });
            }
        }
        None
    }

    /// The mappings in the order in which they are scanned: the spec's, or by age.
    fn turns(&self) -> Vec<usize> {
        let mut turns: Vec<usize> = (0..self.mappings.len()).collect();
        if self.desk.options.slice {
            turns.sort_by_key(|index| self.mappings[*index].last_verified());
        }
        turns
    }

    /// The mapping whose suspects are looked at next, and when.
    fn next_due(&self) -> Option<(Duration, usize)> {
        let full = self.desk.queue.is_full();
        self.desk.queue.next_due(|mapping| match full {
            true => Duration::ZERO,
            false => self.mappings[mapping].recheck_from(),
        })
    }

    fn next_recheck(&mut self) -> Option<Work> {
        let now = self.desk.clock.now();
        let (_, mapping) = self.next_due().filter(|(due, _)| *due <= now)?;
        let context = &mut self.desk.context();
        let task = self.mappings[mapping].next_recheck(&mut self.next_batch, context)?;
        Some(Work { mapping, task })
    }

    /// Takes the result of a task.
    pub(super) fn take_in(&mut self, done: Option<Done>) {
        // A worker ends early only if it panics. Then the run cannot go on, and ends.
        let Some(Done { mapping: index, outcome, is_recheck, is_prior, took }) = done else {
            return;
        };
        self.watch.worked(took);
        let mapping = &mut self.mappings[index];
        if is_recheck {
            mapping.measure_recheck(took, self.desk.clock.now());
        }
        mapping.in_flight -= 1;
        if is_prior {
            mapping.mode.end_batch();
        }
        match outcome {
            Outcome::Answered(answer) => mapping.take_answer(answer, &mut self.desk.context()),
            Outcome::Failed(task, error) => self.take_error(index, task, &error),
            Outcome::Stopped(task) => {
                mapping.abandon_task(task, self.stopping, &mut self.desk.context());
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
        let context = &mut self.desk.context();
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

    /// Ends a mapping: what is not compared is undecided.
    fn end_mapping(&mut self, index: usize, reason: &str) {
        let mapping = &mut self.mappings[index];
        if !mapping.is_finished {
            mapping.abandon(reason, &mut self.desk.context());
        }
    }

    /// Ends every mapping, and closes every suspect as not judged.
    pub(super) fn let_go(&mut self, reason: &str) {
        (0..self.mappings.len()).for_each(|index| self.end_mapping(index, reason));
        let open: Vec<_> = self.desk.queue.drain().collect();
        let mut homes: Vec<(usize, Arc<KeyRange>, u64)> = Vec::new();
        for entry in open {
            let mapping = entry.suspect.mapping;
            self.mappings[mapping].close_candidate(&entry);
            match homes.last_mut() {
                Some((last, home, count)) if *last == mapping && *home == entry.parent => {
                    *count += 1
                }
                _ => homes.push((mapping, Arc::clone(&entry.parent), 1)),
            }
        }
        for (mapping, home, count) in homes {
            let reason = format!("{reason} with {count} differences seen and not settled");
            self.mappings[mapping].result.report_undecided(
                &home,
                count,
                &reason,
                &mut self.desk.context(),
            );
        }
        for mapping in &mut self.mappings {
            mapping.close_ranges(&mut self.desk.context());
        }
    }

    pub(super) fn finish_mappings(&mut self) {
        for mapping in &mut self.mappings {
            if !mapping.is_finished && mapping.is_done() {
                mapping.is_finished = true;
                let record = Box::new(mapping.result.to_record(self.desk.options.max_unsettled));
                let mapping = mapping.result.index;
                self.desk.tell(Event::MappingFinished { mapping, record });
            }
        }
    }

    /// What the run says in the end. `clocks` are those of the servers.
    pub(super) fn summary(&mut self, clocks: BySide<Option<String>>) -> SummaryRecord {
        let most = self.desk.options.max_unsettled;
        let results = || self.mappings.iter().map(|mapping| &mapping.result);
        let complete = self.is_done() && results().all(|result| result.to_record(most).complete);
        let unsettled: u64 = results().map(|result| result.tally.unsettled).sum();
        let verdict = if !complete || unsettled > most {
            Verdict::Incomplete
        } else if results().any(|result| result.tally.diverged()) {
            Verdict::Diverged
        } else {
            Verdict::Clean
        };
        let elapsed = self.desk.elapsed().as_millis();
        let mut summary = SummaryRecord::new(verdict, u64::try_from(elapsed).unwrap_or(u64::MAX));
        (summary.ended_at, summary.clocks) = (Some(timestamp(jiff::Timestamp::now())), clocks);
        self.watch.sum_up(&mut summary, &mut self.desk);
        self.desk.tell(Event::RunFinished(summary.clone()));
        summary
    }
}
