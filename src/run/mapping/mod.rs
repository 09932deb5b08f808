//! One mapping during a run: its scan, what the scan hands on, what is still open.

pub(super) mod account;
pub(super) mod again;
pub(super) mod one_sided;
pub(super) mod recheck;
mod rescan;
pub(super) mod settling;
pub(super) mod slice;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use self::account::Account;
use self::one_sided::{NamedRun, OneSidedRuns, PiecePlace, Ruled};
use self::recheck::Entry;
use self::slice::Recalled;
use super::desk::Desk;
use super::options::Options;
use super::scan::frontier::Frontier;
use super::scan::pass::{Pass, Piece as BlockPiece, Progress, Read};
use super::scan::slots::{Outcome, Told as ToldChunk};
use super::work::Task;
use super::work::parts::Counted;
use crate::compare::{
    CandidateKey, Item, KeyGap, OneSidedRange, PartCounts, RangeCollector, RangeComparison,
    RangeEvent,
};
use crate::finding::{Candidate, Ruling, Subject};
use crate::pg::Remedy;
use crate::plan::MappingPlan;
use crate::row::{Digest, Key, KeyRange};
use crate::schema::{BySide, Side};

/// More consecutive one-sided keys than this become one finding.
const RUN_LIMIT: u64 = 10_000;

/// One mapping's state.
pub(super) struct MappingState {
    pub(super) account: Account,
    pub(super) frontier: Frontier,
    /// The comparison by buckets, as long as there is one: ranges wait until it is over.
    pub(super) pass: Option<Pass>,
    /// How often the pass has compared something for good.
    pub(super) booked: u64,
    /// What it had compared before an interruption, and has to be read from the ledger.
    pub(super) to_recall: VecDeque<u64>,
    /// What a process that only scans has done and not yet handed on.
    pub(super) scanned: Option<Vec<ToldChunk>>,
    /// Chunks that could not be compared, of a run of many processes.
    pub(super) undecided_before: HashSet<u64>,
    /// Keys that a slice looked at first.
    pub(super) recalled: Option<Recalled>,
    /// Batches of keys of an earlier run that are on their way.
    pub(super) recalling: usize,
    /// One-sided ranges that stood before an interruption, by where they begin.
    pub(super) ruled: HashMap<Option<Key>, Ruled>,
    /// Small tasks that the scan's results ask for.
    pub(super) tasks: VecDeque<Task>,
    /// Work of this mapping that is on its way.
    pub(super) busy: usize,
    pub(super) finished: bool,
    /// Suspects that are open, on their way or waiting.
    pub(super) open: usize,
    looks_from: Duration,
    /// Keys of an earlier run that are still to be looked at.
    pub(super) again: VecDeque<Vec<Key>>,
    runs: RangeCollector,
    one_sided: OneSidedRuns,
    /// One-sided ranges in a row that could not be compared again.
    given_up: u32,
    /// Whether the ends of a side have been asked for.
    pub(super) ends_asked: BySide<bool>,
}

/// One-sided rows of a chunk that are told one by one.
const MOST_TOLD_AT_ONCE: u64 = 20_000;

/// Rows of one side.
pub(super) fn only<T: Default>(side: Side, value: T) -> BySide<T> {
    let mut both = BySide::default();
    both[side] = value;
    both
}

/// Counting rows with a NULL in their key, if there may be any. They lie in no range of keys.
pub(super) fn null_keys(plan: &MappingPlan) -> Option<Task> {
    let nullable = plan.sides.any(|side| side.key_nullable) && !plan.has_since();
    nullable.then_some(Task::NullKeys)
}

impl MappingState {
    pub(super) fn new(index: usize, plan: &Arc<MappingPlan>, options: &Options) -> MappingState {
        MappingState {
            account: Account::new(index, Arc::clone(plan)),
            frontier: Frontier::new(plan, options),
            pass: Pass::new(plan, options),
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
            runs: RangeCollector::new(plan.order.clone(), RUN_LIMIT),
            one_sided: OneSidedRuns::default(),
            given_up: 0,
            ends_asked: BySide::default(),
        }
    }

    /// Whether chunks are to be smaller than they could be.
    pub(super) fn ease(&mut self, eases: bool) {
        self.frontier.ease(eases);
        if let Some(pass) = &mut self.pass {
            pass.ease(eases);
        }
    }

    /// Takes in every chunk that is done with all before it.
    pub(super) fn take_chunks(&mut self, desk: &mut Desk<'_>) {
        self.account.sampled = self.frontier.sampled();
        if let Some(scanned) = &mut self.scanned {
            return scanned.extend(self.frontier.take_done());
        }
        for told in self.frontier.take_done() {
            self.keep_told(&told, desk);
            let ToldChunk { range, outcome, .. } = told;
            match outcome {
                Outcome::Compared(compared) => self.take_chunk(range, compared, desk),
                Outcome::Skipped => {
                    let told = self.runs.add_chunk(Vec::new(), true);
                    self.hear(told, desk);
                }
                Outcome::Undecided(rows, reason) => {
                    self.account.undecided(&range, rows, &reason, desk);
                    // What is not known ends a run.
                    let told = self.runs.add_chunk(Vec::new(), true);
                    self.hear(told, desk);
                }
            }
        }
        if self.frontier.is_finished() {
            let told = self.runs.finish();
            self.hear(told, desk);
            self.count_recalled(desk);
        }
        self.ask_for_ends();
    }

    /// The next small task; while the queue is full, one that does not bring more candidates.
    pub(super) fn next_task(&mut self, full: bool) -> Option<Task> {
        let brings = |task: &Task| matches!(task, Task::Keys { .. } | Task::Rescan { .. });
        let fits = |task: &Task| !(full && brings(task));
        let place = self.tasks.iter().position(fits)?;
        self.tasks.remove(place)
    }

    /// Whether one-sided rows are told one by one, however many they are.
    fn tells_each(&self, desk: &Desk<'_>) -> bool {
        let plan = &self.account.plan;
        desk.options.expand || !plan.order.is_known() || plan.has_since()
    }

    /// A chunk was compared. One with more one-sided rows than can be told at once is cut in two.
    pub(super) fn scanned(
        &mut self,
        chunk: u64,
        compared: RangeComparison,
        statement: Duration,
        desk: &mut Desk<'_>,
    ) {
        let one_sided = compared.one_sided.map_or(0, |(_, digest)| digest.rows);
        if self.tells_each(desk) && one_sided > MOST_TOLD_AT_ONCE && self.frontier.can_be_cut() {
            self.frontier.failed(chunk, Remedy::Shrink, "more one-sided rows than can be told");
        } else {
            self.keep_compared(chunk, &compared, desk);
            self.frontier.compared(chunk, compared, statement);
        }
        self.take_chunks(desk);
    }

    fn take_chunk(&mut self, range: KeyRange, compared: RangeComparison, desk: &mut Desk<'_>) {
        self.scanned_after(&range, &compared);
        let agreed = compared.matched > 0;
        let rows = compared.rows;
        self.account.verified.compared(&range, rows.source.max(rows.target));
        let items = self.book(range, compared);
        if !self.tells_each(desk) {
            let told = self.runs.add_chunk(items, agreed);
            return self.hear(told, desk);
        }
        for item in items {
            match item {
                Item::Key(suspected, home) => self.candidate(suspected, home, desk),
                Item::OneSided(piece) => self.tasks.push_back(Task::Keys { piece }),
            }
        }
    }

    /// Some blocks were read. When a pass is over, what differs is settled key by key.
    pub(super) fn piece_read(&mut self, piece: &BlockPiece, read: Read, desk: &mut Desk<'_>) {
        let Some(progress) = self.pass.as_mut().and_then(|pass| pass.read(piece, read)) else {
            return self.keep_pass(false, desk);
        };
        let compared = match progress {
            Progress::Useless => {
                self.pass = None;
                return self.keep_pass(true, desk);
            }
            Progress::Compared(compared) => compared,
            Progress::Finished(compared) => {
                self.pass = None;
                self.frontier.close();
                compared
            }
        };
        if let Some(compared) = self.keep_passed(compared, desk) {
            self.rescanned(KeyRange::everything(), compared, desk);
        }
        self.take_chunks(desk);
    }

    /// Some blocks, or nothing of them, could not be read. Tells whether that is the mapping's end.
    pub(super) fn piece_failed(
        &mut self,
        piece: Option<&BlockPiece>,
        remedy: Remedy,
        desk: &mut Desk<'_>,
    ) -> bool {
        let Some(pass) = &mut self.pass else { return false };
        if piece.is_some_and(|piece| pass.failed(piece, remedy)) {
            return false;
        }
        // Ranges can be cut down to the row that is the cause, if need be at the price of reading the
        // whole table for each.
        let cause_is_a_row = remedy == Remedy::Isolate;
        let ranges = self.booked == 0
            && (cause_is_a_row || remedy != Remedy::Retry && self.account.plan.served());
        if ranges {
            self.pass = None;
            self.frontier.read_in_ranges();
            self.keep_pass(true, desk);
        }
        !ranges
    }

    /// Books what a range came to, and puts what differs into key order.
    fn book(&mut self, range: KeyRange, compared: RangeComparison) -> Vec<Item> {
        let RangeComparison { matched, candidates, one_sided, groups, .. } = compared;
        self.account.matched(matched, &groups);
        if let Some((side, digest)) = one_sided {
            self.account.tally.add_read(only(side, digest.rows));
            return vec![Item::OneSided(OneSidedRange { range, side, digest })];
        }
        let home = Arc::new(range);
        let order = &self.account.plan.order;
        let mut candidates = candidates;
        candidates.sort_by(|a, b| order.compare(&a.key, &b.key));
        for suspected in &candidates {
            self.account.tally.add_read(suspected.image.map(|digest| digest.rows));
        }
        candidates.into_iter().map(|suspected| Item::Key(suspected, Arc::clone(&home))).collect()
    }

    fn hear(&mut self, told: Vec<RangeEvent>, desk: &mut Desk<'_>) {
        for one in told {
            match one {
                RangeEvent::Candidate(suspected, home) => self.candidate(suspected, home, desk),
                RangeEvent::ReadKeys(piece) => self.tasks.push_back(Task::Keys { piece }),
                RangeEvent::FindGap { side, low, high } => {
                    self.tasks.push_back(Task::KeyGap { side, low, high });
                }
                RangeEvent::Opened(side, after) => {
                    self.one_sided.begin(side, after, desk.clock.now());
                }
                RangeEvent::Part(piece) => {
                    let place = self.one_sided.piece(piece.range.clone());
                    self.suspect_range(piece, place, desk);
                }
                RangeEvent::Closed => {
                    let named = self.one_sided.close();
                    self.name(named);
                }
            }
        }
    }

    fn candidate(&mut self, suspected: CandidateKey, home: Arc<KeyRange>, desk: &mut Desk<'_>) {
        let CandidateKey { key, image } = suspected;
        self.enqueue(Subject::Key(key), image, home, None, desk);
    }

    fn suspect_range(
        &mut self,
        piece: OneSidedRange,
        place: Option<PiecePlace>,
        desk: &mut Desk<'_>,
    ) {
        let OneSidedRange { range, side, digest } = piece;
        let home = Arc::new(range.clone());
        self.enqueue(Subject::Range(range, side), only(side, digest), home, place, desk);
    }

    fn enqueue(
        &mut self,
        subject: Subject,
        image: BySide<Digest>,
        home: Arc<KeyRange>,
        piece: Option<PiecePlace>,
        desk: &mut Desk<'_>,
    ) {
        let (now, settle) = (desk.clock.now(), desk.options.settle);
        let ruled = match &subject {
            Subject::Range(range, side) => self.ruled_before(range, *side),
            Subject::Key(_) | Subject::NullKeys(_) => None,
        };
        let mut candidate = Candidate::new(self.account.index, subject, image, now, settle);
        if ruled.is_some() {
            candidate.due = now;
        }
        self.open += 1;
        desk.queue.push(Entry { candidate, home, piece, ruled });
    }

    /// The gap that the runs asked for is known.
    pub(super) fn gap(&mut self, gap: KeyGap, desk: &mut Desk<'_>) {
        let told = self.runs.add_gap(gap);
        self.hear(told, desk);
        self.take_chunks(desk);
    }

    /// The keys of a few one-sided rows are known.
    pub(super) fn keys(
        &mut self,
        piece: &OneSidedRange,
        found: Vec<CandidateKey>,
        desk: &mut Desk<'_>,
    ) {
        let booked = only(piece.side, piece.digest.rows);
        self.account.tally.correct_read(booked, only(piece.side, found.len() as u64));
        let home = Arc::new(piece.range.clone());
        for suspected in found {
            self.candidate(suspected, Arc::clone(&home), desk);
        }
    }

    /// Rows with a NULL in their key were counted for the first time.
    pub(super) fn null_keys(&mut self, found: BySide<Counted>, desk: &mut Desk<'_>) {
        let found = found.map(|counted| counted.digest);
        self.account.tally.add_read(found.map(|digest| digest.rows));
        let home = Arc::new(KeyRange::everything());
        for side in Side::BOTH {
            if found[side].rows > 0 {
                let image = only(side, found[side]);
                self.enqueue(Subject::NullKeys(side), image, Arc::clone(&home), None, desk);
            }
        }
    }

    /// A piece of a run is settled; names what can be named now.
    pub(super) fn settle_piece(
        &mut self,
        piece: Option<PiecePlace>,
        standing: Option<(Ruling, PartCounts)>,
    ) {
        if let Some(place) = piece {
            let named = self.one_sided.settled(place, standing);
            self.name(named);
        }
    }

    /// Runs that stand have to be named.
    pub(super) fn name(&mut self, runs: Vec<NamedRun>) {
        self.tasks.extend(runs.into_iter().map(|run| Task::NameRun { run }));
    }

    /// Stops the scan and lets go of everything that is held back.
    pub(super) fn abandon(&mut self, reason: &str, desk: &mut Desk<'_>) {
        let read = self.account.tally.books.map(|side| side.read);
        let estimated = self.account.plan.estimated_rows().unwrap_or(0);
        self.pass = None;
        self.to_recall.clear();
        let rest = estimated.saturating_sub(read.source.max(read.target));
        self.frontier.give_up(reason, self.scanned.is_none().then_some(rest));
        // Telling the chunks may collect more, which is let go of in turn.
        for _ in 0..2 {
            let told = self.runs.abandon();
            self.hear(told, desk);
            self.take_chunks(desk);
        }
        for keys in std::mem::take(&mut self.again) {
            self.abandon_task(Task::Recall { keys }, reason, desk);
        }
        for task in std::mem::take(&mut self.tasks) {
            self.abandon_task(task, reason, desk);
        }
    }

    /// A task that will not be done.
    pub(super) fn abandon_task(&mut self, task: Task, reason: &str, desk: &mut Desk<'_>) {
        match task {
            Task::Keys { piece } => {
                self.account.not_judged(only(piece.side, piece.digest.rows));
                self.account.undecided(&piece.range, piece.digest.rows, reason, desk);
            }
            Task::Recall { keys } => {
                let rows = keys.len() as u64;
                self.account.undecided(&KeyRange::everything(), rows, reason, desk);
            }
            Task::Rescan { range, rows, .. } | Task::Halve { range, rows, .. } => {
                self.account.undecided(&range, rows, reason, desk);
            }
            Task::NullKeys => {
                let reason = format!("rows with a NULL in their key were not counted: {reason}");
                self.account.undecided(&KeyRange::everything(), 1, &reason, desk);
            }
            Task::Look { entries, .. } => {
                entries.into_iter().for_each(|entry| desk.queue.push(entry));
            }
            Task::LookAtRange { entry } | Task::LookAtNullKeys { entry } => desk.queue.push(entry),
            Task::NameRun { run } => self.tell_run(run, None, desk),
            Task::Narrow { entry, reason } => {
                self.close_entry(&entry);
                self.account.undecided(&entry.home, 1, &reason, desk);
            }
            // Their chunks are undecided by themselves.
            Task::Histogram { .. }
            | Task::Probe { .. }
            | Task::Scan { .. }
            | Task::Measure
            | Task::Read { .. }
            | Task::KeyGap { .. }
            | Task::Ends { .. } => {}
        }
    }

    /// A candidate that will not be looked at again.
    pub(super) fn close_entry(&mut self, entry: &Entry) {
        self.open -= 1;
        self.account.not_judged(entry.candidate.image.map(|digest| digest.rows));
    }

    /// Names what stands of runs whose pieces will not all be settled.
    pub(super) fn close_runs(&mut self, desk: &mut Desk<'_>) {
        for run in self.one_sided.close_all() {
            self.tell_run(run, None, desk);
        }
    }

    /// Whether it is being asked where a run of one-sided rows ends.
    pub(super) fn is_asking(&self) -> bool {
        self.runs.is_waiting_for_gap()
    }

    /// Whether nothing of the mapping is left to do.
    pub(super) fn is_done(&self) -> bool {
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
}
