//! The dispatcher: picks the next piece of work, takes results in, and is the only one to change
//! anything or to speak to the observer.
//!
//! Each round has three steps: give out work while there are permits; wait for a result, a candidate
//! that falls due, or a wish to stop; take it in. Suspects that are due go before new chunks, or the
//! queue would only grow; a full queue holds the scan.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::desk::Desk;
use super::mapping::MappingState;
use super::mapping::recheck::keys_at_once;
use super::options::Stop;
use super::pace::watch::{Answers, Watch};
use super::scan::frontier::Next;
use super::scan::pass::NextPiece;
use super::scan::slots::least_rows;
use super::work::worker::{Done, World, perform};
use super::work::{Answer, Task, Work};
use crate::event::Event;
use crate::finding::{Subject, SummaryRecord, Verdict, format_timestamp};
use crate::pg::{PgError, Remedy};
use crate::row::KeyRange;
use crate::schema::BySide;

pub(super) struct Dispatcher<'o> {
    pub(super) world: Arc<World>,
    pub(super) desk: Desk<'o>,
    pub(super) mappings: Vec<MappingState>,
    pub(super) in_flight: JoinSet<Done>,
    pub(super) watch: Watch,
    pub(super) stop_work: watch::Sender<Stop>,
    next_batch: u64,
    /// Why it is to stop, once it is.
    pub(super) stopping: &'static str,
    /// Whether a server was lost for good.
    pub(super) lost_server: bool,
}

impl<'o> Dispatcher<'o> {
    pub(super) fn new(
        world: Arc<World>,
        desk: Desk<'o>,
        watch: Watch,
        stop_work: watch::Sender<Stop>,
    ) -> Self {
        let plans = world.plans.iter().enumerate();
        let mappings = plans.map(|(index, plan)| MappingState::new(index, plan, &desk.options));
        Dispatcher {
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

impl Dispatcher<'_> {
    fn has_permit(&self) -> bool {
        self.in_flight.len() < self.desk.options.jobs
    }

    pub(super) fn is_done(&self) -> bool {
        self.mappings.iter().all(|mapping| mapping.finished)
    }

    /// Nothing on its way, nothing waiting, and yet not done. It cannot happen; if it does, the run
    /// says that it is incomplete instead of waiting for ever.
    pub(super) fn is_stuck(&self) -> bool {
        let holds = self.recalls() || self.watch.holds();
        self.in_flight.is_empty() && self.desk.queue.is_empty() && !holds
    }

    /// Whether something is to be read from the ledger now.
    pub(super) fn recalls(&self) -> bool {
        self.mappings.iter().any(|mapping| mapping.recalls(&self.desk))
    }

    /// Reads one thing from the ledger.
    pub(super) async fn recall(&mut self) {
        let waiting = self.mappings.iter_mut().find(|mapping| mapping.recalls(&self.desk));
        if let Some(mapping) = waiting {
            mapping.recall(&mut self.desk).await;
        }
    }

    /// How long until a candidate falls due, if there is a permit for a look, or a permit has rested.
    pub(super) fn until_due(&mut self) -> Option<Duration> {
        let can_look = self.has_permit() && !self.watch.waits();
        let due = self.next_due().filter(|_| can_look);
        let due = due.map(|(due, _)| due.saturating_sub(self.desk.clock.now()));
        due.into_iter().chain(self.watch.until_rested()).min()
    }

    /// The servers have said how they are.
    pub(super) fn watched(&mut self, answers: Answers) {
        self.watch.take(answers, &mut self.desk);
        self.mappings.iter_mut().for_each(|mapping| mapping.ease(self.watch.eases()));
    }

    pub(super) fn give_out(&mut self) {
        while self.has_permit() && !self.watch.waits() {
            let Some(work) = self.next_work() else { return };
            self.mappings[work.mapping].busy += 1;
            self.in_flight.spawn(perform(Arc::clone(&self.world), work));
        }
    }

    fn next_work(&mut self) -> Option<Work> {
        if let Some(work) = self.due_look() {
            return Some(work);
        }
        if self.in_flight.len() + self.watch.resting() >= self.desk.options.jobs {
            return None;
        }
        for index in 0..self.mappings.len() {
            if let Some(task) = self.mappings[index].next_task(self.desk.queue.is_full()) {
                self.start(index);
                return Some(Work { mapping: index, task });
            }
        }
        if self.desk.queue.is_full() {
            return None;
        }
        for index in self.turns() {
            if let Some(keys) = self.mappings[index].again.pop_front() {
                self.mappings[index].recalling += 1;
                self.start(index);
                return Some(Work { mapping: index, task: Task::Recall { keys } });
            }
            if self.mappings[index].recalling > 0 && self.desk.options.slice {
                continue;
            }
            if let Some(pass) = &mut self.mappings[index].pass {
                let Some(next) = pass.next() else { continue };
                self.start(index);
                return Some(Work { mapping: index, task: self.piece_task(index, next) });
            }
            if let Some(next) = self.mappings[index].frontier.next() {
                self.start(index);
                return Some(Work { mapping: index, task: self.scan_task(index, next) });
            }
        }
        None
    }

    /// The mappings in the order in which they are scanned: the spec's, or by age.
    fn turns(&self) -> Vec<usize> {
        let mut turns: Vec<usize> = (0..self.mappings.len()).collect();
        if self.desk.options.slice {
            turns.sort_by_key(|index| self.mappings[*index].age());
        }
        turns
    }

    fn scan_task(&mut self, mapping: usize, next: Next) -> Task {
        match next {
            Next::Histogram { side } => Task::Histogram { side },
            Next::Probe { side, range, rows } => Task::Probe { side, range, rows },
            Next::Scan { chunk, range, expected, smallest } => {
                self.desk.tell(Event::ChunkStarted { mapping, chunk });
                Task::Scan { chunk, range, expected, smallest }
            }
        }
    }

    fn piece_task(&mut self, mapping: usize, next: NextPiece) -> Task {
        match next {
            NextPiece::Measure => Task::Measure,
            NextPiece::Read(piece) => {
                let chunk = piece.number;
                self.desk.tell(Event::ChunkStarted { mapping, chunk });
                Task::Read { piece }
            }
        }
    }

    pub(super) fn start(&mut self, index: usize) {
        let account = &mut self.mappings[index].account;
        if account.started.is_none() {
            account.started = Some(Instant::now());
            self.desk.tell(Event::MappingStarted {
                mapping: index,
                name: account.plan.name.clone(),
                estimated_rows: account.plan.expected_rows(),
            });
        }
    }

    /// The mapping whose candidates are looked at next, and when.
    fn next_due(&self) -> Option<(Duration, usize)> {
        let full = self.desk.queue.is_full();
        self.desk.queue.next_due(|mapping| match full {
            true => Duration::ZERO,
            false => self.mappings[mapping].looks_from(),
        })
    }

    fn due_look(&mut self) -> Option<Work> {
        let now = self.desk.clock.now();
        let (_, mapping) = self.next_due().filter(|(due, _)| *due <= now)?;
        let most = keys_at_once(&self.world.plans[mapping]);
        let mut entries = self.desk.queue.take_due(mapping, now, most);
        let task = match &entries.first()?.candidate.subject {
            Subject::Range(..) => Task::LookAtRange { entry: entries.pop()? },
            Subject::NullKeys(_) => Task::LookAtNullKeys { entry: entries.pop()? },
            Subject::Key(_) => {
                self.next_batch += 1;
                let (batch, candidates) = (self.next_batch, entries.len() as u64);
                self.desk.tell(Event::RecheckStarted { batch, candidates });
                Task::Look { batch, entries }
            }
        };
        Some(Work { mapping, task })
    }

    pub(super) fn take_in(&mut self, done: Option<Done>) {
        // A worker ends early only if it panics, and then the run is stuck, which ends it.
        let Some(Done { work: Work { mapping: index, task }, result, took }) = done else { return };
        self.watch.worked(took);
        let mapping = &mut self.mappings[index];
        if matches!(task, Task::Look { .. }) {
            mapping.has_looked(took, self.desk.clock.now());
        }
        mapping.busy -= 1;
        mapping.recalling -= usize::from(matches!(task, Task::Recall { .. }));
        match result {
            Some(Ok(answer)) => self.take_answer(index, task, answer),
            Some(Err(error)) => self.take_error(index, task, &error),
            None => mapping.abandon_task(task, self.stopping, &mut self.desk),
        }
        if let Some(reason) = self.mappings[index].account.too_many_groups() {
            self.end_mapping(index, reason);
        }
    }

    fn take_answer(&mut self, index: usize, task: Task, answer: Answer) {
        let mapping = &mut self.mappings[index];
        let desk = &mut self.desk;
        match (task, answer) {
            (Task::Histogram { side }, Answer::Histogram(bounds)) => {
                let rows = mapping.account.plan.sides[side].estimated_rows.unwrap_or(0);
                mapping.frontier.histogram(bounds, rows);
            }
            (Task::Probe { rows, .. }, Answer::Probed(found)) => {
                let again = mapping.frontier.probed(rows, found);
                if let Some(Next::Probe { side, range, rows }) = again {
                    mapping.tasks.push_front(Task::Probe { side, range, rows });
                }
                mapping.take_chunks(desk);
            }
            (Task::Scan { chunk, .. }, Answer::Scanned { compared, statement }) => {
                desk.tell(Event::ChunkFinished {
                    mapping: index,
                    chunk,
                    rows: compared.rows,
                    candidates: compared.candidates.len() as u64,
                    elapsed: statement,
                });
                mapping.scanned(chunk, compared, statement, desk);
            }
            (Task::Measure, Answer::Measured(blocks)) => {
                if let Some(pass) = &mut mapping.pass {
                    pass.measured(blocks);
                }
            }
            (Task::Read { piece }, Answer::Read(read)) => {
                desk.tell(Event::ChunkFinished {
                    mapping: index,
                    chunk: piece.number,
                    rows: read.rows(),
                    candidates: 0,
                    elapsed: read.took.source.max(read.took.target),
                });
                mapping.piece_read(&piece, read, desk);
            }
            (Task::Rescan { range, .. }, Answer::Scanned { compared, .. }) => {
                mapping.rescanned(range, compared, desk);
            }
            (Task::Halve { range, rows, least, reason }, Answer::Halved(found)) => {
                mapping.halved((range, rows, least, &reason), found, desk);
            }
            (Task::KeyGap { .. }, Answer::KeyGap(gap)) => mapping.gap(gap, desk),
            (Task::Keys { piece }, Answer::Keys(found)) => mapping.keys(&piece, found, desk),
            (Task::NullKeys, Answer::NullKeys(found)) => mapping.null_keys(found, desk),
            (Task::Recall { keys }, Answer::Recalled(looked)) => {
                mapping.recalled(keys, looked, desk);
            }
            (Task::Look { batch, entries }, Answer::RowDiff(looked)) => {
                mapping.looked(entries, looked, desk);
                let open = desk.queue.len() as u64;
                desk.tell(Event::RecheckFinished { batch, open });
            }
            (Task::LookAtRange { entry }, Answer::LookedAtRange(found)) => {
                mapping.looked_at_range(entry, found, desk);
            }
            (Task::LookAtNullKeys { entry }, Answer::NullKeys(found)) => {
                mapping.looked_at_null_keys(entry, found, desk);
            }
            (Task::NameRun { run }, Answer::Named(last)) => mapping.tell_run(run, last, desk),
            (Task::Narrow { entry, reason }, Answer::Narrowed(range)) => {
                mapping.close_entry(&entry);
                let range = range.as_ref().unwrap_or(&entry.home);
                mapping.account.undecided(range, 1, &reason, desk);
            }
            (Task::Ends { side }, Answer::Ends(ends)) => mapping.account.ends(side, ends),
            // A worker answers with what its task asks for.
            (task, _) => mapping.abandon_task(task, "no answer", desk),
        }
    }

    /// A piece of work failed for good: smaller pieces, or the end of the mapping.
    fn take_error(&mut self, index: usize, task: Task, error: &PgError) {
        let reason = error.to_string();
        let mapping = &mut self.mappings[index];
        let desk = &mut self.desk;
        if error.remedy == Remedy::Replan {
            return mapping.end_as_changed(task, &reason, desk);
        }
        let smaller_helps = matches!(error.remedy, Remedy::Shrink | Remedy::Isolate);
        let ends = match task {
            Task::Scan { chunk, .. } => {
                let ends = mapping.frontier.failed(chunk, error.remedy, &reason);
                mapping.take_chunks(desk);
                ends
            }
            Task::Measure => mapping.piece_failed(None, error.remedy, desk),
            Task::Read { piece } => mapping.piece_failed(Some(&piece), error.remedy, desk),
            Task::Rescan { range, rows, smallest: true } if error.remedy == Remedy::Shrink => {
                mapping.not_compared(&range, rows, &reason, desk)
            }
            Task::Rescan { range, rows, .. } if smaller_helps => {
                let least = least_rows(error.remedy);
                mapping.tasks.push_front(Task::Halve { range, rows, least, reason });
                return;
            }
            Task::Recall { mut keys } if keys.len() > 1 && smaller_helps => {
                let half = keys.split_off(keys.len() / 2);
                mapping.again.extend([keys, half]);
                false
            }
            Task::Look { mut entries, batch } if entries.len() > 1 && smaller_helps => {
                // Halves, until the one key is found that is the cause.
                let half = entries.split_off(entries.len() / 2);
                mapping.tasks.push_front(Task::Look { batch, entries: half });
                mapping.tasks.push_front(Task::Look { batch, entries });
                false
            }
            Task::Look { entries, .. } => {
                mapping.not_looked_at(entries, &reason, smaller_helps, desk);
                !smaller_helps
            }
            Task::LookAtRange { entry } | Task::LookAtNullKeys { entry } => {
                mapping.close_entry(&entry);
                let rows = entry.candidate.image.map(|digest| digest.rows);
                let rows = rows.source.max(rows.target);
                mapping.account.undecided(&entry.home, rows, &reason, desk);
                mapping.settle_piece(entry.piece, None);
                !smaller_helps
            }
            // The statistics are a convenience: without them boundaries are probed for.
            Task::Histogram { .. } if error.remedy != Remedy::Retry => {
                mapping.frontier.histogram(Vec::new(), 0);
                false
            }
            Task::Histogram { .. } | Task::Probe { .. } | Task::KeyGap { .. } => true,
            // A hint less.
            Task::Ends { .. } => false,
            task => {
                mapping.abandon_task(task, &reason, desk);
                !smaller_helps
            }
        };
        if ends {
            self.end_mapping(index, &reason);
            if error.is_of_the_server() {
                (self.lost_server, self.stopping) = (true, "a server was lost");
                // The server is gone: what it cannot say for one mapping it cannot say for another.
                (0..self.mappings.len()).for_each(|other| self.end_mapping(other, &reason));
            }
        }
    }

    /// Ends a mapping: what is not compared is undecided.
    fn end_mapping(&mut self, index: usize, reason: &str) {
        let mapping = &mut self.mappings[index];
        if !mapping.finished {
            mapping.abandon(reason, &mut self.desk);
        }
    }

    /// Ends every mapping, and closes every candidate as not judged.
    pub(super) fn let_go(&mut self, reason: &str) {
        (0..self.mappings.len()).for_each(|index| self.end_mapping(index, reason));
        let open: Vec<_> = self.desk.queue.drain().collect();
        let mut homes: Vec<(usize, Arc<KeyRange>, u64)> = Vec::new();
        for entry in open {
            let mapping = entry.candidate.mapping;
            self.mappings[mapping].close_entry(&entry);
            match homes.last_mut() {
                Some((last, home, count)) if *last == mapping && *home == entry.home => *count += 1,
                _ => homes.push((mapping, Arc::clone(&entry.home), 1)),
            }
        }
        for (mapping, home, count) in homes {
            let reason = format!("{reason} with {count} differences seen and not settled");
            self.mappings[mapping].account.undecided(&home, count, &reason, &mut self.desk);
        }
        for mapping in &mut self.mappings {
            mapping.close_runs(&mut self.desk);
        }
    }

    pub(super) fn finish_mappings(&mut self) {
        for mapping in &mut self.mappings {
            if !mapping.finished && mapping.is_done() {
                mapping.finished = true;
                let record = Box::new(mapping.account.record(self.desk.options.max_unsettled));
                let mapping = mapping.account.index;
                self.desk.tell(Event::MappingFinished { mapping, record });
            }
        }
    }

    /// What the run says in the end. `clocks` are those of the servers.
    pub(super) fn summary(&mut self, clocks: BySide<Option<String>>) -> SummaryRecord {
        let most = self.desk.options.max_unsettled;
        let accounts = || self.mappings.iter().map(|mapping| &mapping.account);
        let complete = self.is_done() && accounts().all(|account| account.record(most).complete);
        let unsettled: u64 = accounts().map(|account| account.tally.unsettled).sum();
        let verdict = if !complete || unsettled > most {
            Verdict::Incomplete
        } else if accounts().any(|account| account.tally.has_diverged()) {
            Verdict::Diverged
        } else {
            Verdict::Clean
        };
        let elapsed = self.desk.elapsed().as_millis();
        let mut summary = SummaryRecord::new(verdict, u64::try_from(elapsed).unwrap_or(u64::MAX));
        (summary.ended_at, summary.clocks) =
            (Some(format_timestamp(jiff::Timestamp::now())), clocks);
        self.watch.sum_up(&mut summary, &mut self.desk);
        self.desk.tell(Event::RunFinished(summary.clone()));
        summary
    }
}
