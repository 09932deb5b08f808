//! One mapping during a run: its scan, what the scan hands on, what is still open.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::context::{Context, Settings};
use super::counted::Counted;
use super::one_sided::{NamedRun, OneSidedRuns, PiecePlace, Ruled};
use super::prior_keys::Recalled;
use super::queue::Entry;
use super::task::Task;
use crate::chunks::{
    Frontier, Outcome, Pass, Piece as BlockPiece, Progress, Read, ReadFailure, Told as ToldChunk,
};
use crate::compare::{Compared, Gap, Item, Parts, Piece, Runs, Suspected, Told};
use crate::finding::{Ruling, Subject, Suspect};
use crate::plan::MappingPlan;
use crate::row::{Digest, Key, KeyRange};
use crate::schema::{BySide, Side};

/// More consecutive one-sided keys than this become one finding.
const RUN_LIMIT: u64 = 10_000;

/// One mapping's state.
pub(crate) struct MappingState {
    pub(crate) account: Account,
    pub(crate) frontier: Frontier,
    /// The comparison by buckets, as long as there is one: ranges wait until it is over.
    pub(crate) pass: Option<Pass>,
    /// How often the pass has compared something for good.
    pub(crate) booked: u64,
    /// What it had compared before an interruption, and has to be read from the ledger.
    pub(crate) to_recall: VecDeque<u64>,
    /// What a process that only scans has done and not yet handed on.
    pub(crate) scanned: Option<Vec<ToldChunk>>,
    /// Chunks that could not be compared, of a run of many processes.
    pub(crate) undecided_before: HashSet<u64>,
    /// Keys that a slice looked at first.
    pub(crate) recalled: Option<Recalled>,
    /// Batches of keys of an earlier run that are on their way.
    pub(crate) recalling: usize,
    /// One-sided ranges that stood before an interruption, by where they begin.
    pub(crate) ruled: HashMap<Option<Key>, Ruled>,
    /// Small tasks that the scan's results ask for.
    pub(crate) tasks: VecDeque<Task>,
    /// Work of this mapping that is on its way.
    pub(crate) busy: usize,
    pub(crate) finished: bool,
    /// Suspects that are open, on their way or waiting.
    pub(crate) open: usize,
    pub(crate) looks_from: Duration,
    /// Keys of an earlier run that are still to be looked at.
    pub(crate) again: VecDeque<Vec<Key>>,
    pub(crate) runs: Runs,
    pub(crate) one_sided: OneSidedRuns,
    /// One-sided ranges in a row that could not be compared again.
    pub(crate) given_up: u32,
    /// Whether the ends of a side have been asked for.
    pub(crate) ends_asked: BySide<bool>,
}

/// What is done else while a mapping is scanned, in times of a look that no index serves.
const SCANS_PER_LOOK: u32 = 9;

/// One-sided rows of a chunk that are told one by one.
const MOST_TOLD_AT_ONCE: u64 = 20_000;

/// Rows of one side.
pub(crate) fn only<T: Default>(side: Side, value: T) -> BySide<T> {
    let mut both = BySide::default();
    both[side] = value;
    both
}

/// Counting rows with a NULL in their key, if there may be any. They lie in no range of keys.
pub(crate) fn null_keys(plan: &MappingPlan) -> Option<Task> {
    let nullable = plan.sides.any(|side| side.key_nullable) && !plan.looks_since();
    nullable.then_some(Task::NullKeys)
}

impl MappingState {
    pub(crate) fn new(index: usize, plan: &Arc<MappingPlan>, settings: &Settings) -> MappingState {
        MappingState {
            account: Account::new(index, Arc::clone(plan)),
            frontier: Frontier::new(plan, settings.chunks),
            pass: Pass::new(plan, settings.chunks),
            booked: 0,
            to_recall: VecDeque::new(),
            scanned: None,
            undecided_before: HashSet::new(),
            recalled: None,
            recalling: 0,
            ruled: HashMap::new(),
            tasks: null_keys(plan).into_iter().collect(),
            busy: 0,
            finished: false,
            open: 0,
            looks_from: Duration::ZERO,
            again: VecDeque::new(),
            runs: Runs::new(plan.order.clone(), RUN_LIMIT),
            one_sided: OneSidedRuns::default(),
            given_up: 0,
            ends_asked: BySide::default(),
        }
    }

    /// Whether chunks are to be smaller than they could be.
    pub(crate) fn ease(&mut self, eases: bool) {
        self.frontier.ease(eases);
        if let Some(pass) = &mut self.pass {
            pass.ease(eases);
        }
    }

    /// Takes in every chunk that is done with all before it.
    pub(crate) fn take_chunks(&mut self, context: &mut Context<'_>) {
        self.account.sampled = self.frontier.sampled();
        if let Some(scanned) = &mut self.scanned {
            return scanned.extend(self.frontier.take_done());
        }
        for told in self.frontier.take_done() {
            self.keep_told(&told, context);
            let ToldChunk { range, outcome, .. } = told;
            match outcome {
                Outcome::Compared(compared) => self.take_chunk(range, compared, context),
                Outcome::Skipped => {
                    let told = self.runs.chunk(Vec::new(), true);
                    self.hear(told, context);
                }
                Outcome::Undecided(rows, reason) => {
                    self.account.undecided(&range, rows, &reason, context);
                    // What is not known ends a run.
                    let told = self.runs.chunk(Vec::new(), true);
                    self.hear(told, context);
                }
            }
        }
        if self.frontier.is_finished() {
            let told = self.runs.finish();
            self.hear(told, context);
            self.count_recalled(context);
        }
        self.ask_for_ends();
    }

    /// The next small task; while the queue is full, one that does not bring more suspects.
    pub(crate) fn next_task(&mut self, full: bool) -> Option<Task> {
        let brings = |task: &Task| matches!(task, Task::Keys { .. } | Task::Rescan { .. });
        let fits = |task: &Task| !(full && brings(task));
        let place = self.tasks.iter().position(fits)?;
        self.tasks.remove(place)
    }

    /// Whether one-sided rows are told one by one, however many they are.
    fn tells_each(&self, context: &Context<'_>) -> bool {
        let plan = &self.account.plan;
        context.settings.expand || !plan.order.is_known() || plan.looks_since()
    }

    /// A chunk was compared. One with more one-sided rows than can be told at once is cut in two.
    pub(crate) fn scanned(
        &mut self,
        chunk: u64,
        compared: Compared,
        statement: Duration,
        context: &mut Context<'_>,
    ) {
        let lone = compared.lone.map_or(0, |(_, digest)| digest.rows);
        if self.tells_each(context) && lone > MOST_TOLD_AT_ONCE && self.frontier.can_be_cut() {
            self.frontier.failed(
                chunk,
                ReadFailure::TooLarge,
                "more one-sided rows than can be told",
            );
        } else {
            self.keep_compared(chunk, &compared, context);
            self.frontier.compared(chunk, compared, statement);
        }
        self.take_chunks(context);
    }

    fn take_chunk(&mut self, range: KeyRange, compared: Compared, context: &mut Context<'_>) {
        self.scanned_after(&range, &compared);
        let agreed = compared.matched > 0;
        let rows = compared.rows;
        self.account.verified.compared(&range, rows.source.max(rows.target));
        let items = self.book(range, compared);
        if !self.tells_each(context) {
            let told = self.runs.chunk(items, agreed);
            return self.hear(told, context);
        }
        for item in items {
            match item {
                Item::Key(suspected, home) => self.suspect(suspected, home, context),
                Item::Lone(piece) => self.tasks.push_back(Task::Keys { piece }),
            }
        }
    }

    /// Some blocks were read. When a pass is over, what differs is settled key by key.
    pub(crate) fn piece_read(&mut self, piece: &BlockPiece, read: Read, context: &mut Context<'_>) {
        let Some(progress) = self.pass.as_mut().and_then(|pass| pass.read(piece, read)) else {
            return self.keep_pass(false, context);
        };
        let compared = match progress {
            Progress::Useless => {
                self.pass = None;
                return self.keep_pass(true, context);
            }
            Progress::Compared(compared) => compared,
            Progress::Finished(compared) => {
                self.pass = None;
                self.frontier.close();
                compared
            }
        };
        if let Some(compared) = self.keep_passed(compared, context) {
            self.rescanned(KeyRange::everything(), compared, context);
        }
        self.take_chunks(context);
    }

    /// Some blocks, or nothing of them, could not be read. Tells whether that is the mapping's end.
    pub(crate) fn piece_failed(
        &mut self,
        piece: Option<&BlockPiece>,
        failure: ReadFailure,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(pass) = &mut self.pass else { return false };
        if piece.is_some_and(|piece| pass.failed(piece, failure)) {
            return false;
        }
        // Ranges can be cut down to the row that is the cause, if need be at the price of reading the
        // whole table for each.
        let cause_is_a_row = failure == ReadFailure::BadRow;
        let ranges = self.booked == 0
            && (cause_is_a_row || failure != ReadFailure::NoServer && self.account.plan.served());
        if ranges {
            self.pass = None;
            self.frontier.read_in_ranges();
            self.keep_pass(true, context);
        }
        !ranges
    }

    /// Books what a range came to, and puts what differs into key order.
    pub(crate) fn book(&mut self, range: KeyRange, compared: Compared) -> Vec<Item> {
        let Compared { matched, suspects, lone, groups, .. } = compared;
        self.account.matched(matched, &groups);
        if let Some((side, digest)) = lone {
            self.account.tally.read(only(side, digest.rows));
            return vec![Item::Lone(Piece { range, side, digest })];
        }
        let home = Arc::new(range);
        let order = &self.account.plan.order;
        let mut suspects = suspects;
        suspects.sort_by(|a, b| order.compare(&a.key, &b.key));
        for suspected in &suspects {
            self.account.tally.read(suspected.image.map(|digest| digest.rows));
        }
        suspects.into_iter().map(|suspected| Item::Key(suspected, Arc::clone(&home))).collect()
    }

    pub(crate) fn hear(&mut self, told: Vec<Told>, context: &mut Context<'_>) {
        for one in told {
            match one {
                Told::Suspect(suspected, home) => self.suspect(suspected, home, context),
                Told::ReadKeys(piece) => self.tasks.push_back(Task::Keys { piece }),
                Told::FindGap { side, low, high } => {
                    self.tasks.push_back(Task::Gap { side, low, high });
                }
                Told::Opened(side, after) => {
                    self.one_sided.begin(side, after, context.clock.now());
                }
                Told::Piece(piece) => {
                    let place = self.one_sided.piece(piece.range.clone());
                    self.suspect_range(piece, place, context);
                }
                Told::Closed => {
                    let named = self.one_sided.close();
                    self.name(named);
                }
            }
        }
    }

    pub(crate) fn suspect(
        &mut self,
        suspected: Suspected,
        home: Arc<KeyRange>,
        context: &mut Context<'_>,
    ) {
        let Suspected { key, image } = suspected;
        self.enqueue(Subject::Key(key), image, home, None, context);
    }

    pub(crate) fn suspect_range(
        &mut self,
        piece: Piece,
        place: Option<PiecePlace>,
        context: &mut Context<'_>,
    ) {
        let Piece { range, side, digest } = piece;
        let home = Arc::new(range.clone());
        self.enqueue(Subject::Range(range, side), only(side, digest), home, place, context);
    }

    fn enqueue(
        &mut self,
        subject: Subject,
        image: BySide<Digest>,
        home: Arc<KeyRange>,
        piece: Option<PiecePlace>,
        context: &mut Context<'_>,
    ) {
        let (now, settle) = (context.clock.now(), context.settings.settle);
        let ruled = match &subject {
            Subject::Range(range, side) => self.ruled_before(range, *side),
            Subject::Key(_) | Subject::NullKeys(_) => None,
        };
        let mut suspect = Suspect::new(self.account.index, subject, image, now, settle);
        if ruled.is_some() {
            suspect.due = now;
        }
        self.open += 1;
        context.queue.push(Entry { suspect, home, piece, ruled });
    }

    /// The gap that the runs asked for is known.
    pub(crate) fn gap(&mut self, gap: Gap, context: &mut Context<'_>) {
        let told = self.runs.gap(gap);
        self.hear(told, context);
        self.take_chunks(context);
    }

    /// The keys of a few one-sided rows are known.
    pub(crate) fn keys(&mut self, piece: &Piece, found: Vec<Suspected>, context: &mut Context<'_>) {
        let booked = only(piece.side, piece.digest.rows);
        self.account.tally.corrected(booked, only(piece.side, found.len() as u64));
        let home = Arc::new(piece.range.clone());
        for suspected in found {
            self.suspect(suspected, Arc::clone(&home), context);
        }
    }

    /// Rows with a NULL in their key were counted for the first time.
    pub(crate) fn null_keys(&mut self, found: BySide<Counted>, context: &mut Context<'_>) {
        let found = found.map(|counted| counted.digest);
        self.account.tally.read(found.map(|digest| digest.rows));
        let home = Arc::new(KeyRange::everything());
        for side in Side::BOTH {
            if found[side].rows > 0 {
                let image = only(side, found[side]);
                self.enqueue(Subject::NullKeys(side), image, Arc::clone(&home), None, context);
            }
        }
    }

    /// A piece of a run is settled; names what can be named now.
    pub(crate) fn settle_piece(
        &mut self,
        piece: Option<PiecePlace>,
        standing: Option<(Ruling, Parts)>,
    ) {
        if let Some(place) = piece {
            let named = self.one_sided.settled(place, standing);
            self.name(named);
        }
    }

    /// Runs that stand have to be named.
    pub(crate) fn name(&mut self, runs: Vec<NamedRun>) {
        self.tasks.extend(runs.into_iter().map(|run| Task::NameRun { run }));
    }

    /// Stops the scan and lets go of everything that is held back.
    pub(crate) fn abandon(&mut self, reason: &str, context: &mut Context<'_>) {
        let read = self.account.tally.books.map(|side| side.read);
        let estimated = self.account.plan.estimated_rows().unwrap_or(0);
        self.pass = None;
        self.to_recall.clear();
        let rest = estimated.saturating_sub(read.source.max(read.target));
        self.frontier.give_up(reason, self.scanned.is_none().then_some(rest));
        // Telling the chunks may collect more, which is let go of in turn.
        for _ in 0..2 {
            let told = self.runs.abandon();
            self.hear(told, context);
            self.take_chunks(context);
        }
        for keys in std::mem::take(&mut self.again) {
            self.abandon_task(Task::Recall { keys }, reason, context);
        }
        for task in std::mem::take(&mut self.tasks) {
            self.abandon_task(task, reason, context);
        }
    }

    /// A task that will not be done.
    pub(crate) fn abandon_task(&mut self, task: Task, reason: &str, context: &mut Context<'_>) {
        match task {
            Task::Keys { piece } => {
                self.account.not_judged(only(piece.side, piece.digest.rows));
                self.account.undecided(&piece.range, piece.digest.rows, reason, context);
            }
            Task::Recall { keys } => {
                let rows = keys.len() as u64;
                self.account.undecided(&KeyRange::everything(), rows, reason, context);
            }
            Task::Rescan { range, rows, .. } | Task::Halve { range, rows, .. } => {
                self.account.undecided(&range, rows, reason, context);
            }
            Task::NullKeys => {
                let reason = format!("rows with a NULL in their key were not counted: {reason}");
                self.account.undecided(&KeyRange::everything(), 1, &reason, context);
            }
            Task::Look { entries, .. } => {
                entries.into_iter().for_each(|entry| context.queue.push(entry));
            }
            Task::LookAtRange { entry } | Task::LookAtNullKeys { entry } => {
                context.queue.push(entry)
            }
            Task::NameRun { run } => self.tell_run(run, None, context),
            Task::Narrow { entry, reason } => {
                self.close_entry(&entry);
                self.account.undecided(&entry.home, 1, &reason, context);
            }
            // Their chunks are undecided by themselves.
            Task::Histogram { .. }
            | Task::Probe { .. }
            | Task::Scan { .. }
            | Task::Measure
            | Task::Read { .. }
            | Task::Gap { .. }
            | Task::Ends { .. } => {}
        }
    }

    /// A suspect that will not be looked at again.
    pub(crate) fn close_entry(&mut self, entry: &Entry) {
        self.open -= 1;
        self.account.not_judged(entry.suspect.image.map(|digest| digest.rows));
    }

    /// Names what stands of runs whose pieces will not all be settled.
    pub(crate) fn close_runs(&mut self, context: &mut Context<'_>) {
        for run in self.one_sided.close_all() {
            self.tell_run(run, None, context);
        }
    }

    /// Whether it is being asked where a run of one-sided rows ends.
    pub(crate) fn is_asking(&self) -> bool {
        self.runs.is_asking()
    }

    /// Whether nothing of the mapping is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.pass.is_none()
            && self.to_recall.is_empty()
            && self.frontier.is_finished()
            && self.runs.is_idle()
            && self.tasks.is_empty()
            && self.again.is_empty()
            && self.busy == 0
            && self.open == 0
            && self.one_sided.is_empty()
    }

    /// The moment before which its suspects are not looked at while there is room for more.
    pub(crate) fn looks_from(&self) -> Duration {
        let scans = self.pass.is_some() || !self.frontier.is_finished();
        if scans { self.looks_from } else { Duration::ZERO }
    }

    /// A look has taken so long.
    pub(crate) fn has_looked(&mut self, took: Duration, now: Duration) {
        if !self.account.plan.served() {
            self.looks_from = now + took * SCANS_PER_LOOK;
        }
    }
}
