//! One mapping during a run: its scan, its books, its runs, what is still open.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::frontier::{Frontier, Outcome, Told as ToldChunk};
use super::one_sided::{OneSidedRuns, PiecePlace};
use super::options::Options;
use super::recheck::{Entry, Queue};
use super::work::{NamedRun, Task};
use crate::compare::{Compared, Gap, Item, Looked, Piece, Runs, Suspected, Told};
use crate::event::{Event, Observer};
use crate::finding::{
    Finding, Kind, Look, MappingRecord, Named, Place, RangeText, Ruling, Settled, Subject,
    Suspect, Tally, Undecided, timestamp,
};
use crate::plan::MappingPlan;
use crate::row::{Bound, Digest, KeyRange};
use crate::schema::{BySide, Side};

/// More consecutive one-sided keys than this become one finding.
const RUN_LIMIT: u64 = 10_000;

/// What all mappings of a run share: the queue of suspects, the observer, options and clock.
pub(super) struct Desk<'o> {
    pub(super) queue: Queue,
    pub(super) observer: &'o mut dyn Observer,
    pub(super) options: Options,
    pub(super) clock: Clock,
}

/// The run's own clock: monotonic, with the wall time at which it began.
pub(super) struct Clock {
    started: Instant,
    wall: jiff::Timestamp,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { started: Instant::now(), wall: jiff::Timestamp::now() }
    }

    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A moment of the run as records write it.
    pub(super) fn text(&self, at: Duration) -> String {
        let since = jiff::SignedDuration::try_from(at).unwrap_or_default();
        timestamp(self.wall.checked_add(since).unwrap_or(self.wall))
    }
}

/// One mapping's state.
pub(super) struct MappingState {
    pub(super) index: usize,
    pub(super) frontier: Frontier,
    /// Small tasks that the scan's results ask for.
    pub(super) tasks: VecDeque<Task>,
    /// Work of this mapping that is on its way.
    pub(super) busy: usize,
    /// When its scan began.
    pub(super) started: Option<Instant>,
    pub(super) finished: bool,
    runs: Runs,
    tally: Tally,
    findings: u64,
    truncated: bool,
    undecided_rows: u64,
    reason: Option<String>,
    /// Suspects that are open, on their way or waiting.
    open: usize,
    one_sided: OneSidedRuns,
}

impl MappingState {
    pub(super) fn new(index: usize, plan: &MappingPlan, options: &Options) -> MappingState {
        let nullable = plan.sides.any(|side| side.key_nullable);
        MappingState {
            index,
            frontier: Frontier::new(plan, options),
            tasks: nullable.then_some(Task::NullKeys).into_iter().collect(),
            busy: 0,
            started: None,
            finished: false,
            runs: Runs::new(plan.order.clone(), RUN_LIMIT),
            tally: Tally::default(),
            findings: 0,
            truncated: false,
            undecided_rows: 0,
            reason: None,
            open: 0,
            one_sided: OneSidedRuns::default(),
        }
    }

    /// Takes in every chunk that is done with all before it.
    pub(super) fn tell(&mut self, plan: &MappingPlan, desk: &mut Desk<'_>) {
        for ToldChunk { range, outcome } in self.frontier.take_done() {
            match outcome {
                Outcome::Compared(compared) => self.take_chunk(plan, range, compared, desk),
                Outcome::Undecided(rows, reason) => {
                    self.undecided(plan, &range, rows, reason, desk);
                    let told = self.runs.chunk(Vec::new(), true);
                    self.hear(told, desk);
                }
            }
        }
        if self.frontier.is_finished() {
            let told = self.runs.finish();
            self.hear(told, desk);
        }
    }

    fn take_chunk(&mut self, plan: &MappingPlan, range: KeyRange, compared: Compared, desk: &mut Desk<'_>) {
        self.tally.matched(BySide { source: compared.matched, target: compared.matched });
        let agreed = compared.matched > 0;
        let items = self.items(plan, range, compared);
        if desk.options.expand {
            for item in items {
                match item {
                    Item::Key(suspected, home) => self.suspect(suspected, home, desk),
                    Item::Lone(piece) => self.tasks.push_back(Task::Keys { piece }),
                }
            }
        } else {
            let told = self.runs.chunk(items, agreed);
            self.hear(told, desk);
        }
    }

    /// A range that was thought to be one-sided was compared again. What it is now is settled key by
    /// key, or as a range by itself.
    pub(super) fn rescanned(
        &mut self,
        plan: &MappingPlan,
        range: KeyRange,
        compared: Compared,
        desk: &mut Desk<'_>,
    ) {
        self.tally.matched(BySide { source: compared.matched, target: compared.matched });
        for item in self.items(plan, range, compared) {
            match item {
                Item::Key(suspected, home) => self.suspect(suspected, home, desk),
                Item::Lone(piece) => self.lone(piece, None, desk),
            }
        }
    }

    /// Books what differs, and puts it into key order.
    fn items(&mut self, plan: &MappingPlan, range: KeyRange, compared: Compared) -> Vec<Item> {
        if let Some((side, digest)) = compared.lone {
            let mut rows = BySide::default();
            rows[side] = digest.rows;
            self.tally.read(rows);
            return vec![Item::Lone(Piece { range, side, digest })];
        }
        let home = Arc::new(range);
        let mut suspects = compared.suspects;
        suspects.sort_by(|a, b| plan.order.compare(&a.key, &b.key));
        for suspected in &suspects {
            self.tally.read(suspected.image.map(|digest| digest.rows));
        }
        suspects.into_iter().map(|suspected| Item::Key(suspected, Arc::clone(&home))).collect()
    }

    fn suspect(&mut self, suspected: Suspected, home: Arc<KeyRange>, desk: &mut Desk<'_>) {
        let subject = Subject::Key(suspected.key);
        self.enqueue(subject, suspected.image, home, None, desk);
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
        let suspect = Suspect::new(self.index, subject, image, now, settle);
        self.open += 1;
        desk.queue.push(Entry { suspect, home, piece });
    }

    fn hear(&mut self, told: Vec<Told>, desk: &mut Desk<'_>) {
        for one in told {
            match one {
                Told::Suspect(suspected, home) => self.suspect(suspected, home, desk),
                Told::ReadKeys(piece) => self.tasks.push_back(Task::Keys { piece }),
                Told::FindGap { side, low, high } => self.tasks.push_back(Task::Gap { side, low, high }),
                Told::Opened(side, after) => self.one_sided.begin(side, after, desk.clock.now()),
                Told::Piece(piece) => self.piece(piece, desk),
                Told::Closed => {
                    let named = self.one_sided.close();
                    self.name(named);
                }
            }
        }
    }

    /// A piece of the open run is a suspect as a whole.
    fn piece(&mut self, piece: Piece, desk: &mut Desk<'_>) {
        let place = self.one_sided.piece(piece.range.clone());
        self.lone(piece, place, desk);
    }

    fn lone(&mut self, piece: Piece, place: Option<PiecePlace>, desk: &mut Desk<'_>) {
        let mut image = BySide::default();
        image[piece.side] = piece.digest;
        let home = Arc::new(piece.range.clone());
        self.enqueue(Subject::Range(piece.range, piece.side), image, home, place, desk);
    }

    /// The gap that the runs asked for is known.
    pub(super) fn gap(&mut self, gap: Gap, plan: &MappingPlan, desk: &mut Desk<'_>) {
        let told = self.runs.gap(gap);
        self.hear(told, desk);
        self.tell(plan, desk);
    }

    /// The keys of a few one-sided rows are known.
    pub(super) fn keys(&mut self, piece: &Piece, found: Vec<Suspected>, desk: &mut Desk<'_>) {
        let mut booked = BySide::default();
        booked[piece.side] = piece.digest.rows;
        let mut rows = BySide::default();
        rows[piece.side] = found.len() as u64;
        self.tally.corrected(booked, rows);
        let home = Arc::new(piece.range.clone());
        for suspected in found {
            self.suspect(suspected, Arc::clone(&home), desk);
        }
    }

    /// Rows with a NULL in their key were counted for the first time.
    pub(super) fn null_keys(&mut self, found: BySide<Digest>, desk: &mut Desk<'_>) {
        self.tally.read(found.map(|digest| digest.rows));
        let home = Arc::new(KeyRange::everything());
        for side in Side::BOTH {
            if found[side].rows > 0 {
                let mut image = BySide::default();
                image[side] = found[side];
                self.enqueue(Subject::NullKeys(side), image, Arc::clone(&home), None, desk);
            }
        }
    }

    /// Some keys were looked at again.
    pub(super) fn looked(
        &mut self,
        entries: Vec<Entry>,
        looked: Vec<Looked>,
        plan: &MappingPlan,
        desk: &mut Desk<'_>,
    ) {
        for (entry, looked) in entries.into_iter().zip(looked) {
            let agree = looked.kind.is_none();
            if let Some((entry, Some(ruling))) = self.settle(entry, looked.image, agree, desk)
                && let Some(kind) = looked.kind
            {
                let rows = looked.image.map(|digest| digest.rows);
                self.tally.standing(kind, ruling.disposition(), rows);
                self.report_key(&entry, &ruling, kind, looked, plan, desk);
            }
        }
    }

    fn report_key(
        &mut self,
        entry: &Entry,
        ruling: &Ruling,
        kind: Kind,
        looked: Looked,
        plan: &MappingPlan,
        desk: &mut Desk<'_>,
    ) {
        let names = plan.key().iter().map(|pair| pair.name.clone());
        let key = Named(names.zip(looked.key).collect());
        let columns = looked.columns.into_iter();
        let columns = Named(columns.map(|(pair, values)| (plan.pairs[pair].name.clone(), values)).collect());
        if kind != Kind::DuplicateKey {
            return self.report(entry.suspect.first_seen, ruling, kind, Place::Key(key), columns, plan, desk);
        }
        for side in Side::BOTH {
            let rows = looked.image[side].rows;
            if rows > 1 {
                let place = Place::Duplicate(side, rows, key.clone());
                self.report(entry.suspect.first_seen, ruling, kind, place, Named::default(), plan, desk);
            }
        }
    }

    /// Settles one suspect: books what the look has found. Nothing comes back if it has to be looked
    /// at again; otherwise its entry does, with a ruling if it stands.
    fn settle(
        &mut self,
        mut entry: Entry,
        image: BySide<Digest>,
        agree: bool,
        desk: &mut Desk<'_>,
    ) -> Option<(Entry, Option<Ruling>)> {
        let rows = image.map(|digest| digest.rows);
        self.tally.corrected(entry.suspect.image.map(|digest| digest.rows), rows);
        let look = Look { at: desk.clock.now(), image, agree };
        let ruling = match entry.suspect.settle(&look, desk.options.settle) {
            Settled::Again => {
                desk.queue.push(entry);
                return None;
            }
            Settled::Healed => {
                self.tally.healed(rows);
                None
            }
            Settled::Standing(ruling) => Some(ruling),
        };
        self.open -= 1;
        Some((entry, ruling))
    }

    /// Rows of one side with a NULL in their key were counted again.
    pub(super) fn looked_at_null_keys(
        &mut self,
        entry: Entry,
        found: BySide<Digest>,
        plan: &MappingPlan,
        desk: &mut Desk<'_>,
    ) {
        let Subject::NullKeys(side) = entry.suspect.subject else { return };
        let mut image = BySide::default();
        image[side] = found[side];
        let rows = image.map(|digest: Digest| digest.rows);
        let settled = self.settle(entry, image, found[side].rows == 0, desk);
        if let Some((entry, Some(ruling))) = settled {
            self.tally.standing(Kind::NullKey, ruling.disposition(), rows);
            let place = Place::NullKey(side, rows[side]);
            let seen = entry.suspect.first_seen;
            self.report(seen, &ruling, Kind::NullKey, place, Named::default(), plan, desk);
        }
    }

    /// A one-sided range was looked at again.
    pub(super) fn looked_at_range(&mut self, entry: Entry, found: BySide<Digest>, desk: &mut Desk<'_>) {
        let Subject::Range(range, side) = entry.suspect.subject.clone() else { return };
        let piece = entry.piece;
        if found[side.other()].rows > 0 {
            // The other side has come by: what is left is a matter of keys.
            self.tally.corrected(entry.suspect.image.map(|digest| digest.rows), BySide::default());
            self.open -= 1;
            self.tasks.push_back(Task::Rescan { range });
            return self.piece_settled(piece, None);
        }
        let rows = found.map(|digest| digest.rows);
        let Some((entry, ruling)) = self.settle(entry, found, rows[side] == 0, desk) else { return };
        if let Some(ruling) = &ruling {
            self.tally.standing(Kind::only_in(side), ruling.disposition(), rows);
        }
        match (piece, ruling) {
            (Some(_), ruling) => self.piece_settled(piece, ruling.map(|ruling| (ruling, rows[side]))),
            (None, Some(ruling)) => {
                let KeyRange { after, through } = range;
                let first_seen = entry.suspect.first_seen;
                let rows = rows[side];
                self.name(vec![NamedRun { ruling, side, after, through, rows, first_seen }]);
            }
            (None, None) => {}
        }
    }

    pub(super) fn piece_settled(&mut self, piece: Option<PiecePlace>, standing: Option<(Ruling, u64)>) {
        if let Some(place) = piece {
            let named = self.one_sided.settled(place, standing);
            self.name(named);
        }
    }

    fn name(&mut self, runs: Vec<NamedRun>) {
        self.tasks.extend(runs.into_iter().map(|run| Task::NameRun { run }));
    }

    /// A run's last key is known, or cannot be had.
    pub(super) fn named(&mut self, run: NamedRun, last: Option<Bound>, plan: &MappingPlan, desk: &mut Desk<'_>) {
        let range = KeyRange { after: run.after, through: last.or(run.through) };
        let place = Place::Range(range_text(plan, &range), run.rows);
        let kind = Kind::only_in(run.side);
        self.report(run.first_seen, &run.ruling, kind, place, Named::default(), plan, desk);
    }

    #[expect(clippy::too_many_arguments, reason = "what a finding is made of, and where it goes")]
    fn report(
        &mut self,
        first_seen: Duration,
        ruling: &Ruling,
        kind: Kind,
        place: Place,
        columns: Named<BySide<Option<String>>>,
        plan: &MappingPlan,
        desk: &mut Desk<'_>,
    ) {
        if self.findings >= desk.options.max_findings {
            self.truncated = true;
            return;
        }
        self.findings += 1;
        let seen = (desk.clock.text(first_seen), desk.clock.text(desk.clock.now()));
        let mut finding = Finding::new(ruling, &plan.name, kind, place, columns, seen);
        finding.keys_only = desk.options.keys_only;
        desk.observer.observe(Event::Finding { mapping: self.index, finding });
    }

    /// A range could not be judged; `rows` is how many were meant.
    pub(super) fn undecided(
        &mut self,
        plan: &MappingPlan,
        range: &KeyRange,
        rows: u64,
        reason: String,
        desk: &mut Desk<'_>,
    ) {
        self.undecided_rows += rows.max(1);
        self.reason.get_or_insert_with(|| reason.clone());
        let undecided = Undecided::new(&plan.name, range_text(plan, range), reason);
        desk.observer.observe(Event::Undecided(undecided));
    }

    /// Rows that were counted but cannot be judged any more.
    pub(super) fn unjudged(&mut self, rows: BySide<u64>) {
        self.tally.undecided(rows);
    }

    /// A suspect that will not be looked at again.
    pub(super) fn close_entry(&mut self, entry: &Entry) {
        self.open -= 1;
        self.unjudged(entry.suspect.image.map(|digest| digest.rows));
    }

    /// Stops the scan and lets go of everything that is held back.
    pub(super) fn abandon(&mut self, reason: &str, plan: &MappingPlan, desk: &mut Desk<'_>) {
        let rest = plan.estimated_rows().unwrap_or(0).saturating_sub(self.tally.books.source.read);
        self.frontier.give_up(reason, rest);
        let told = self.runs.abandon();
        self.hear(told, desk);
        self.tell(plan, desk);
        let told = self.runs.abandon();
        self.hear(told, desk);
        for task in std::mem::take(&mut self.tasks) {
            self.abandon_task(task, reason, plan, desk);
        }
    }

    /// A task that will not be done.
    pub(super) fn abandon_task(&mut self, task: Task, reason: &str, plan: &MappingPlan, desk: &mut Desk<'_>) {
        match task {
            Task::Keys { piece } => {
                let mut rows = BySide::default();
                rows[piece.side] = piece.digest.rows;
                self.unjudged(rows);
                self.undecided(plan, &piece.range, piece.digest.rows, reason.to_owned(), desk);
            }
            Task::Rescan { range } => self.undecided(plan, &range, 1, reason.to_owned(), desk),
            Task::NullKeys => {
                let reason = format!("rows with a NULL in their key were not counted: {reason}");
                self.undecided(plan, &KeyRange::everything(), 1, reason, desk);
            }
            Task::Look { entries, .. } => entries.into_iter().for_each(|entry| desk.queue.push(entry)),
            Task::LookAtRange { entry } | Task::LookAtNullKeys { entry } => desk.queue.push(entry),
            Task::NameRun { run } => self.named(run, None, plan, desk),
            Task::Probe { .. } | Task::Scan { .. } | Task::Gap { .. } => {}
        }
    }

    /// Names what stands of runs whose pieces will not all be settled.
    pub(super) fn close_runs(&mut self, plan: &MappingPlan, desk: &mut Desk<'_>) {
        for run in self.one_sided.close_all() {
            self.named(run, None, plan, desk);
        }
    }

    /// Whether nothing of the mapping is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.frontier.is_finished()
            && self.runs.is_idle()
            && self.tasks.is_empty()
            && self.busy == 0
            && self.open == 0
            && self.one_sided.is_empty()
    }

    /// What the mapping came to.
    pub(super) fn record(&self, plan: &MappingPlan) -> MappingRecord {
        let Tally { books, healed, only_in_source, only_in_target, mismatch, unsettled, .. } = self.tally.clone();
        let balances = self.tally.balances();
        let read = books.source.read.max(books.target.read);
        let reason = if balances { self.reason.clone() } else { Some("the books do not balance".to_owned()) };
        let share = read as f64 / (read + self.undecided_rows).max(1) as f64;
        let mut record = MappingRecord::new(&plan.name, plan.strategy.name());
        record.rows = books.map(|side| side.read);
        record.healed = healed;
        record.only_in_source = only_in_source;
        record.only_in_target = only_in_target;
        record.mismatch = mismatch;
        record.unsettled = unsettled;
        record.coverage = if self.undecided_rows == 0 { 1.0 } else { (share * 1e4).floor() / 1e4 };
        record.complete = self.undecided_rows == 0 && !self.truncated && balances;
        record.truncated = self.truncated;
        record.empty = read == 0 && self.undecided_rows == 0;
        record.reason = reason.or_else(|| self.truncated.then(|| "more findings than max_findings".to_owned()));
        record.elapsed_ms =
            self.started.map_or(0, |at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX));
        record.books = books;
        record
    }

    /// Rows that kept changing.
    pub(super) fn unsettled(&self) -> u64 {
        self.tally.unsettled
    }

    /// Whether confirmed divergence exists.
    pub(super) fn diverged(&self) -> bool {
        self.tally.diverged()
    }
}

/// A range as people read it. A bound without a text is inside a run and is left open.
fn range_text(plan: &MappingPlan, range: &KeyRange) -> RangeText {
    let text = |bound: &Option<Bound>| {
        let bound = bound.as_ref().filter(|bound| bound.text.len() == plan.key_width)?;
        let names = plan.key().iter().map(|pair| pair.name.clone());
        Some(Named(names.zip(bound.text.iter().cloned()).collect()))
    };
    RangeText { after: text(&range.after), through: text(&range.through) }
}

