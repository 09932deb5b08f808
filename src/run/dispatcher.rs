//! The dispatcher: picks the next piece of work, takes results in, and is the only one to change
//! anything or to speak to the observer.
//!
//! Each round has three steps: give out work while there are permits; wait for a result, a suspect
//! that falls due, or a wish to stop; take it in. Suspects that are due go before new chunks, or the
//! queue would only grow; a full queue holds the scan.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::frontier::Next;
use super::mapping::{Clock, Desk, MappingState};
use super::options::{Options, Stop};
use super::prepare::Prepared;
use super::recheck::Queue;
use super::work::{Answer, Task, Work};
use super::worker::{Done, World, perform};
use crate::event::{Event, Observer};
use crate::finding::{Named, RunRecord, SummaryRecord, Verdict};
use crate::pg::{PgError, Remedy, Session};
use crate::schema::Side;

/// Keys that are looked at together, divided by the pairs of a row.
const LOOKS_AT_ONCE: usize = 20_000;
/// How long work in hand may go on after a wish to stop, before it is cancelled.
const GRACE: Duration = Duration::from_secs(3);

struct Dispatcher<'o> {
    world: Arc<World>,
    desk: Desk<'o>,
    mappings: Vec<MappingState>,
    in_flight: JoinSet<Done>,
    stop_work: watch::Sender<Stop>,
    next_batch: u64,
}

/// Compares every mapping of a spec.
pub async fn compare(
    prepared: Prepared,
    run_id: String,
    options: Options,
    observer: &mut dyn Observer,
    mut stop: watch::Receiver<Stop>,
) -> SummaryRecord {
    let started = Instant::now();
    let spec = &prepared.spec;
    let params = spec.params.iter().map(|param| (param.name.clone(), param.value.clone()));
    let params = Named(params.collect());
    let record = RunRecord::new(run_id, &spec.name, spec.hash.clone(), spec.scope(), params);
    observer.observe(Event::RunStarted(record));
    let (stop_work, stop_workers) = watch::channel(Stop::No);
    let (events, mut retries) = mpsc::unbounded_channel();
    let session = |side: Side| Session::new(&spec.sides[side].search_path, options.statement_timeout);
    let sessions = crate::schema::BySide::new(session);
    let mappings = prepared.plans.iter().enumerate();
    let mappings = mappings.map(|(index, plan)| MappingState::new(index, plan, &options)).collect();
    let Prepared { pools, plans, .. } = prepared;
    let world = Arc::new(World { plans, pools, sessions, stop: stop_workers, events });
    let mut dispatcher = Dispatcher {
        world,
        desk: Desk { queue: Queue::default(), observer, options, clock: Clock::start() },
        mappings,
        in_flight: JoinSet::new(),
        stop_work,
        next_batch: 0,
    };
    while !dispatcher.is_done() {
        dispatcher.give_out();
        if dispatcher.is_stuck() {
            dispatcher.let_go("the run lost its thread");
            break;
        }
        let due = dispatcher.desk.queue.next_due().filter(|_| dispatcher.has_permit());
        let pause = due.map(|due| due.saturating_sub(dispatcher.desk.clock.now()));
        tokio::select! {
            Some(done) = dispatcher.in_flight.join_next() => {
                if let Ok(done) = done {
                    dispatcher.take_in(done);
                }
            }
            Some(event) = retries.recv() => dispatcher.desk.observer.observe(event),
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            Ok(()) = stop.changed() => {
                dispatcher.finish_soon(&mut stop).await;
                break;
            }
        }
        dispatcher.finish_mappings();
    }
    dispatcher.finish_mappings();
    let summary = dispatcher.summary(started);
    dispatcher.desk.observer.observe(Event::RunFinished(summary.clone()));
    summary
}

impl Dispatcher<'_> {
    fn has_permit(&self) -> bool {
        self.in_flight.len() < self.desk.options.jobs
    }

    fn is_done(&self) -> bool {
        self.mappings.iter().all(|mapping| mapping.finished)
    }

    /// Nothing on its way, nothing waiting, and yet not done. It cannot happen; if it does, the run
    /// says that it is incomplete instead of waiting for ever.
    fn is_stuck(&self) -> bool {
        self.in_flight.is_empty() && self.desk.queue.len() == 0
    }

    fn give_out(&mut self) {
        while self.has_permit() {
            let Some(work) = self.next_work() else { return };
            let mapping = &mut self.mappings[work.mapping];
            mapping.busy += 1;
            self.in_flight.spawn(perform(Arc::clone(&self.world), work));
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        if let Some(work) = self.due_look() {
            return Some(work);
        }
        for index in 0..self.mappings.len() {
            if let Some(task) = self.mappings[index].tasks.pop_front() {
                self.start(index);
                return Some(Work { mapping: index, task });
            }
        }
        if self.desk.queue.is_full() {
            return None;
        }
        for index in 0..self.mappings.len() {
            if let Some(next) = self.mappings[index].frontier.next() {
                self.start(index);
                return Some(Work { mapping: index, task: self.scan_task(index, next) });
            }
        }
        None
    }

    fn scan_task(&mut self, mapping: usize, next: Next) -> Task {
        match next {
            Next::Probe { side, range, rows } => Task::Probe { side, range, rows },
            Next::Scan { chunk, range, expected } => {
                self.desk.observer.observe(Event::ChunkStarted { mapping, chunk });
                Task::Scan { chunk, range, expected }
            }
        }
    }

    fn start(&mut self, index: usize) {
        let mapping = &mut self.mappings[index];
        if mapping.started.is_none() {
            mapping.started = Some(Instant::now());
            let plan = &self.world.plans[index];
            self.desk.observer.observe(Event::MappingStarted {
                mapping: index,
                name: plan.name.clone(),
                estimated_rows: plan.estimated_rows(),
            });
        }
    }

    fn due_look(&mut self) -> Option<Work> {
        let plans = &self.world.plans;
        let batch = |mapping: usize| (LOOKS_AT_ONCE / plans[mapping].pairs.len()).clamp(20, 2_000);
        let mut entries = self.desk.queue.take_due(self.desk.clock.now(), batch)?;
        let mapping = entries.first()?.suspect.mapping;
        let task = match &entries.first()?.suspect.subject {
            crate::finding::Subject::Key(_) => {
                self.next_batch += 1;
                let suspects = entries.len() as u64;
                self.desk.observer.observe(Event::RecheckStarted { batch: self.next_batch, suspects });
                Task::Look { batch: self.next_batch, entries }
            }
            crate::finding::Subject::Range(..) => Task::LookAtRange { entry: entries.pop()? },
            crate::finding::Subject::NullKeys(_) => Task::LookAtNullKeys { entry: entries.pop()? },
        };
        Some(Work { mapping, task })
    }

    fn take_in(&mut self, done: Done) {
        let Done { work: Work { mapping: index, task }, result } = done;
        let world = Arc::clone(&self.world);
        let plan = &world.plans[index];
        let mapping = &mut self.mappings[index];
        mapping.busy -= 1;
        let desk = &mut self.desk;
        let answer = match result {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => return self.take_error(index, task, &error),
            None => return mapping.abandon_task(task, "stopped", plan, desk),
        };
        match (task, answer) {
            (Task::Probe { rows, .. }, Answer::Probed(found)) => {
                if let Some(Next::Probe { side, range, rows }) = mapping.frontier.probed(rows, found) {
                    mapping.tasks.push_front(Task::Probe { side, range, rows });
                }
                mapping.tell(plan, desk);
            }
            (Task::Scan { chunk, .. }, Answer::Scanned { compared, statement }) => {
                desk.observer.observe(Event::ChunkFinished {
                    mapping: index,
                    chunk,
                    rows: compared.rows,
                    suspects: compared.suspects.len() as u64,
                    elapsed: statement,
                });
                mapping.frontier.compared(chunk, compared, statement);
                mapping.tell(plan, desk);
            }
            (Task::Rescan { range }, Answer::Scanned { compared, .. }) => {
                mapping.rescanned(plan, range, compared, desk);
            }
            (Task::Gap { .. }, Answer::Gap(gap)) => mapping.gap(gap, plan, desk),
            (Task::Keys { piece }, Answer::Keys(found)) => mapping.keys(&piece, found, desk),
            (Task::NullKeys, Answer::NullKeys(found)) => mapping.null_keys(found, desk),
            (Task::Look { batch, entries }, Answer::Looked(looked)) => {
                mapping.looked(entries, looked, plan, desk);
                let open = self.desk.queue.len() as u64;
                self.desk.observer.observe(Event::RecheckFinished { batch, open });
            }
            (Task::LookAtRange { entry }, Answer::LookedAtRange(found)) => {
                mapping.looked_at_range(entry, found, desk);
            }
            (Task::LookAtNullKeys { entry }, Answer::NullKeys(found)) => {
                mapping.looked_at_null_keys(entry, found, plan, desk);
            }
            (Task::NameRun { run }, Answer::Named(last)) => mapping.named(run, last, plan, desk),
            // A worker answers with what its task asks for.
            (task, _) => mapping.abandon_task(task, "no answer", plan, desk),
        }
    }

    /// A piece of work failed for good: smaller pieces, or the end of the mapping.
    fn take_error(&mut self, index: usize, task: Task, error: &PgError) {
        let reason = error.to_string();
        let world = Arc::clone(&self.world);
        let plan = &world.plans[index];
        let mapping = &mut self.mappings[index];
        let desk = &mut self.desk;
        let ends = match task {
            Task::Scan { chunk, .. } => {
                let ends = mapping.frontier.failed(chunk, error.remedy, &reason);
                mapping.tell(plan, desk);
                ends
            }
            Task::Look { mut entries, batch } if entries.len() > 1 && smaller_helps(error) => {
                // Halves until the one key is found that is the cause.
                let half = entries.split_off(entries.len() / 2);
                mapping.tasks.push_front(Task::Look { batch, entries: half });
                mapping.tasks.push_front(Task::Look { batch, entries });
                false
            }
            Task::Look { entries, .. } => {
                for entry in entries {
                    mapping.close_entry(&entry);
                    mapping.undecided(plan, &entry.home, 1, reason.clone(), desk);
                }
                !smaller_helps(error)
            }
            Task::LookAtRange { entry } | Task::LookAtNullKeys { entry } => {
                mapping.close_entry(&entry);
                let rows = entry.suspect.image.map(|digest| digest.rows);
                mapping.undecided(plan, &entry.home, rows.source.max(rows.target), reason.clone(), desk);
                mapping.piece_settled(entry.piece, None);
                !smaller_helps(error)
            }
            Task::Probe { .. } | Task::Gap { .. } => true,
            task => {
                mapping.abandon_task(task, &reason, plan, desk);
                !smaller_helps(error)
            }
        };
        if ends {
            self.end_mapping(index, &reason);
            if error.remedy == Remedy::Retry {
                // The server is gone: what it cannot say for one mapping it cannot say for another.
                for other in 0..self.mappings.len() {
                    self.end_mapping(other, &reason);
                }
            }
        }
    }

    /// Ends a mapping: what is not compared is undecided, what is not settled is not judged.
    fn end_mapping(&mut self, index: usize, reason: &str) {
        let world = Arc::clone(&self.world);
        let plan = &world.plans[index];
        let mapping = &mut self.mappings[index];
        if mapping.finished {
            return;
        }
        let desk = &mut self.desk;
        mapping.abandon(reason, plan, desk);
    }

    /// Lets what is in hand come to its end, for a while; then cancels it.
    async fn finish_soon(&mut self, stop: &mut watch::Receiver<Stop>) {
        self.desk.observer.observe(Event::Stopping { reason: "interrupted".into() });
        let mut urgency = *stop.borrow();
        self.stop_work.send_replace(urgency);
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while !self.in_flight.is_empty() {
            tokio::select! {
                Some(done) = self.in_flight.join_next() => {
                    if let Ok(done) = done {
                        self.take_in(done);
                    }
                }
                () = &mut grace, if urgency < Stop::Now => urgency = Stop::Now,
                Ok(()) = stop.changed() => urgency = *stop.borrow(),
            }
            self.stop_work.send_replace(urgency);
        }
        self.let_go("interrupted");
    }

    /// Ends every mapping, and closes every suspect as not judged.
    fn let_go(&mut self, reason: &str) {
        for index in 0..self.mappings.len() {
            self.end_mapping(index, reason);
        }
        let world = Arc::clone(&self.world);
        let open: Vec<_> = self.desk.queue.drain().collect();
        let mut homes: Vec<(usize, Arc<crate::row::KeyRange>, u64)> = Vec::new();
        for entry in open {
            let mapping = entry.suspect.mapping;
            self.mappings[mapping].close_entry(&entry);
            match homes.last_mut() {
                Some((last, home, count)) if *last == mapping && *home == entry.home => *count += 1,
                _ => homes.push((mapping, Arc::clone(&entry.home), 1)),
            }
        }
        for (index, home, count) in homes {
            let plan = &world.plans[index];
            let reason = format!("{reason} with {count} differences seen and not settled");
            self.mappings[index].undecided(plan, &home, count, reason, &mut self.desk);
        }
        for index in 0..self.mappings.len() {
            self.mappings[index].close_runs(&world.plans[index], &mut self.desk);
        }
    }

    fn finish_mappings(&mut self) {
        for mapping in &mut self.mappings {
            if !mapping.finished && mapping.is_done() {
                mapping.finished = true;
                let mut record = mapping.record(&self.world.plans[mapping.index]);
                record.complete &= mapping.unsettled() <= self.desk.options.max_unsettled;
                self.desk.observer.observe(Event::MappingFinished { mapping: mapping.index, record });
            }
        }
    }

    fn summary(&self, started: Instant) -> SummaryRecord {
        let records = self.mappings.iter().map(|mapping| mapping.record(&self.world.plans[mapping.index]));
        let complete = records.into_iter().all(|record| record.complete);
        let unsettled: u64 = self.mappings.iter().map(MappingState::unsettled).sum();
        let verdict = if !complete || unsettled > self.desk.options.max_unsettled {
            Verdict::Incomplete
        } else if self.mappings.iter().any(MappingState::diverged) {
            Verdict::Diverged
        } else {
            Verdict::Clean
        };
        SummaryRecord::new(verdict, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Whether the error may be that of one row or of too many at once.
fn smaller_helps(error: &PgError) -> bool {
    matches!(error.remedy, Remedy::Shrink | Remedy::Isolate)
}
