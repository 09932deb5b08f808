//! One mapping during a run: its scan, the candidates that the scan has left, and the tasks that they
//! need.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::context::{CandidateSettings, Context};
use super::mode::Mode;
use super::open_ranges::{ConfirmedRange, OpenRanges, PartPlace, StoredPart};
use super::queue::OpenCandidate;
use super::result::MappingResult;
use super::task::{CountedRows, GapSearch, Task};
use crate::chunks::{BlockScan, ChunkQueue};
use crate::compare::{
    CandidateKey, Item, KeyGap, OneSidedRange, PartCounts, RangeCollector, RangeComparison,
    RangeEvent,
};
use crate::finding::{Candidate, Ruling, Subject};
use crate::plan::MappingPlan;
use crate::row::{Digest, Key, KeyRange};
use crate::schema::{BySide, Side};

/// More consecutive one-sided keys than this become one finding.
const MOST_SINGLE_KEYS: u64 = 10_000;

/// The maximum of one-sided rows of a chunk that are reported one by one.
const MOST_ONE_SIDED: u64 = 20_000;

/// How often as long as a recheck without an index takes, other work is done while the mapping is
/// scanned.
const SCANS_PER_RECHECK: u32 = 9;

/// The state of one mapping.
pub(crate) struct MappingState {
    pub(crate) result: MappingResult,
    pub(crate) mode: Mode,
    pub(crate) scan: Scan,
    pub(crate) restored: Restored,
    /// Small tasks that the scan's results need.
    pub(crate) tasks: VecDeque<Task>,
    /// The number of tasks in flight.
    pub(crate) in_flight: usize,
    pub(crate) is_finished: bool,
    /// The number of candidates that are open: waiting, or being rechecked.
    pub(crate) open: usize,
    recheck_from: Duration,
    collector: RangeCollector,
    pub(crate) one_sided: OpenRanges,
    /// The number of one-sided ranges in a row that could not be compared again.
    pub(crate) given_up: u32,
    /// Whether the ends of a side were requested.
    pub(crate) ends_requested: BySide<bool>,
}

/// The scan of one mapping.
pub(crate) struct Scan {
    pub(crate) chunks: ChunkQueue,
    /// The table scan by blocks, if there is one. Chunks wait until it is over.
    pub(crate) blocks: Option<BlockScan>,
    /// How often the table scan has compared hash buckets for good.
    pub(crate) block_results: u64,
}

impl Scan {
    /// Returns whether everything was compared.
    pub(crate) fn is_finished(&self) -> bool {
        self.blocks.is_none() && self.chunks.is_finished()
    }

    /// Sets whether chunks are smaller than time allows.
    fn throttle(&mut self, is_throttled: bool) {
        self.chunks.throttle(is_throttled);
        if let Some(blocks) = &mut self.blocks {
            blocks.throttle(is_throttled);
        }
    }
}

/// What a mapping has from before an interruption and has not used yet.
#[derive(Default)]
pub(crate) struct Restored {
    /// Results of the table scan that have to be read from the ledger.
    pub(crate) block_results: VecDeque<u64>,
    /// Chunks that another process could not compare.
    pub(crate) undecided: HashSet<u64>,
    /// Parts of one-sided ranges that were confirmed, by the key after which they begin.
    pub(crate) confirmed: HashMap<Option<Key>, StoredPart>,
}

/// Returns a value for one side, with the default for the other.
pub(crate) fn only<T: Default>(side: Side, value: T) -> BySide<T> {
    let mut both = BySide::default();
    both[side] = value;
    both
}

/// Returns the task to count rows with a NULL in their key, if there may be any. They lie in no key
/// range.
pub(crate) fn null_keys(plan: &MappingPlan) -> Option<Task> {
    let is_nullable = plan.sides.any(|side| side.key_nullable) && !plan.has_since();
    is_nullable.then_some(Task::CountNullKeys)
}

impl MappingState {
    /// Creates the state of a mapping of which all rows are compared.
    pub(crate) fn new(
        index: usize,
        plan: &Arc<MappingPlan>,
        settings: &CandidateSettings,
    ) -> MappingState {
        MappingState {
            result: MappingResult::new(index, Arc::clone(plan)),
            mode: Mode::Compare,
            scan: Scan {
                chunks: ChunkQueue::new(plan, settings.chunks),
                blocks: BlockScan::new(plan, settings.chunks),
                block_results: 0,
            },
            restored: Restored::default(),
            tasks: null_keys(plan).into_iter().collect(),
            in_flight: 0,
            is_finished: false,
            open: 0,
            recheck_from: Duration::ZERO,
            collector: RangeCollector::new(plan.order.clone(), MOST_SINGLE_KEYS),
            one_sided: OpenRanges::default(),
            given_up: 0,
            ends_requested: BySide::default(),
        }
    }

    /// Sets whether chunks are smaller than time allows.
    pub(crate) fn throttle(&mut self, is_throttled: bool) {
        self.scan.throttle(is_throttled);
    }

    /// Returns the moment before which candidates are not rechecked while the queue has room.
    pub(crate) fn recheck_from(&self) -> Duration {
        if self.scan.is_finished() { Duration::ZERO } else { self.recheck_from }
    }

    /// Takes the duration of a recheck.
    pub(crate) fn measure_recheck(&mut self, took: Duration, now: Duration) {
        if !self.result.plan.served() {
            self.recheck_from = now + took * SCANS_PER_RECHECK;
        }
    }

    /// Returns whether one-sided rows are reported one by one, however many they are.
    pub(crate) fn reports_each(&self, context: &Context<'_>) -> bool {
        let plan = &self.result.plan;
        context.settings.expand || !plan.order.is_known() || plan.has_since()
    }

    /// Returns whether a chunk has more one-sided rows than are reported one by one.
    pub(crate) fn has_too_many(&self, compared: &RangeComparison, context: &Context<'_>) -> bool {
        let rows = compared.one_sided.map_or(0, |(_, digest)| digest.rows);
        self.reports_each(context) && rows > MOST_ONE_SIDED
    }

    /// Takes the items of a chunk in key order: candidates, or parts of one-sided ranges.
    pub(crate) fn take_items(&mut self, items: Vec<Item>, agreed: bool, context: &mut Context<'_>) {
        if !self.reports_each(context) {
            let steps = self.collector.add_chunk(items, agreed);
            return self.follow(steps, context);
        }
        for item in items {
            match item {
                Item::Key(candidate, parent) => self.add_key(candidate, parent, context),
                Item::OneSided(range) => self.tasks.push_back(Task::ReadKeys(range)),
            }
        }
    }

    /// Ends a one-sided range at a chunk that is skipped or undecided.
    pub(crate) fn interrupt_range(&mut self, context: &mut Context<'_>) {
        let steps = self.collector.add_chunk(Vec::new(), true);
        self.follow(steps, context);
    }

    /// Ends the last one-sided range: no more chunks come.
    pub(crate) fn finish_ranges(&mut self, context: &mut Context<'_>) {
        let steps = self.collector.finish();
        self.follow(steps, context);
    }

    /// Releases what is held back for a one-sided range.
    pub(crate) fn release_ranges(&mut self, context: &mut Context<'_>) {
        let steps = self.collector.abandon();
        self.follow(steps, context);
    }

    /// Takes the gap around one-sided rows.
    pub(crate) fn take_gap(&mut self, gap: KeyGap, context: &mut Context<'_>) {
        let steps = self.collector.add_gap(gap);
        self.follow(steps, context);
    }

    fn follow(&mut self, steps: Vec<RangeEvent>, context: &mut Context<'_>) {
        for step in steps {
            match step {
                RangeEvent::Candidate(candidate, parent) => {
                    self.add_key(candidate, parent, context)
                }
                RangeEvent::ReadKeys(range) => self.tasks.push_back(Task::ReadKeys(range)),
                RangeEvent::FindGap { side, low, high } => {
                    self.tasks.push_back(Task::FindGap(GapSearch { side, low, high }));
                }
                RangeEvent::Opened(side, after) => {
                    self.one_sided.begin(side, after, context.clock.now());
                }
                RangeEvent::Part(range) => {
                    let part = self.one_sided.add_part(range.range.clone());
                    self.add_range(range, part, context);
                }
                RangeEvent::Closed => {
                    let confirmed = self.one_sided.close();
                    self.name_ranges(confirmed);
                }
            }
        }
    }

    /// Counts the rows of a range that was compared. Returns what differs in key order.
    pub(crate) fn count_compared(
        &mut self,
        range: KeyRange,
        compared: RangeComparison,
    ) -> Vec<Item> {
        let RangeComparison { matched, candidates, one_sided, groups, .. } = compared;
        self.result.add_matched(matched, &groups);
        if let Some((side, digest)) = one_sided {
            self.result.counts.add_read(only(side, digest.rows));
            return vec![Item::OneSided(OneSidedRange { range, side, digest })];
        }
        let parent = Arc::new(range);
        let order = &self.result.plan.order;
        let mut candidates = candidates;
        candidates.sort_by(|a, b| order.compare(&a.key, &b.key));
        for candidate in &candidates {
            self.result.counts.add_read(candidate.image.map(|digest| digest.rows));
        }
        candidates.into_iter().map(|candidate| Item::Key(candidate, Arc::clone(&parent))).collect()
    }

    /// Adds a key that differs to the candidates.
    pub(crate) fn add_key(
        &mut self,
        candidate: CandidateKey,
        parent: Arc<KeyRange>,
        context: &mut Context<'_>,
    ) {
        let CandidateKey { key, image } = candidate;
        self.add_candidate(Subject::Key(key), image, parent, None, context);
    }

    /// Adds a one-sided range to the candidates.
    pub(crate) fn add_range(
        &mut self,
        range: OneSidedRange,
        part: Option<PartPlace>,
        context: &mut Context<'_>,
    ) {
        let OneSidedRange { range, side, digest } = range;
        let parent = Arc::new(range.clone());
        self.add_candidate(Subject::Range(range, side), only(side, digest), parent, part, context);
    }

    fn add_candidate(
        &mut self,
        subject: Subject,
        image: BySide<Digest>,
        parent: Arc<KeyRange>,
        part: Option<PartPlace>,
        context: &mut Context<'_>,
    ) {
        let (now, settle) = (context.clock.now(), context.settings.settle);
        let confirmed = match &subject {
            Subject::Range(range, side) => self.restored.take_confirmed(range, *side),
            Subject::Key(_) | Subject::NullKeys(_) => None,
        };
        let mut difference = Candidate::new(self.result.index, subject, image, now, settle);
        if confirmed.is_some() {
            difference.due = now;
        }
        self.open += 1;
        context.queue.push(OpenCandidate { difference, parent, part, confirmed });
    }

    /// Takes the keys of a few one-sided rows.
    pub(crate) fn take_keys(
        &mut self,
        range: &OneSidedRange,
        found: Vec<CandidateKey>,
        context: &mut Context<'_>,
    ) {
        let counted = only(range.side, range.digest.rows);
        self.result.counts.correct_read(counted, only(range.side, found.len() as u64));
        let parent = Arc::new(range.range.clone());
        for candidate in found {
            self.add_key(candidate, Arc::clone(&parent), context);
        }
    }

    /// Takes the first count of rows with a NULL in their key.
    pub(crate) fn take_null_keys(
        &mut self,
        counted: BySide<CountedRows>,
        context: &mut Context<'_>,
    ) {
        let digests = counted.map(|counted| counted.digest);
        self.result.counts.add_read(digests.map(|digest| digest.rows));
        let parent = Arc::new(KeyRange::everything());
        for side in Side::BOTH {
            if digests[side].rows > 0 {
                let (image, parent) = (only(side, digests[side]), Arc::clone(&parent));
                self.add_candidate(Subject::NullKeys(side), image, parent, None, context);
            }
        }
    }

    /// Sets a part of a one-sided range to settled, and names what can be named now.
    pub(crate) fn settle_part(
        &mut self,
        part: Option<PartPlace>,
        ruled: Option<(Ruling, PartCounts)>,
    ) {
        if let Some(place) = part {
            let confirmed = self.one_sided.set_settled(place, ruled);
            self.name_ranges(confirmed);
        }
    }

    /// Adds the tasks that name confirmed ranges.
    pub(crate) fn name_ranges(&mut self, ranges: Vec<ConfirmedRange>) {
        self.tasks.extend(ranges.into_iter().map(Task::NameRange));
    }

    /// Closes a candidate that will not be rechecked: its rows are undecided.
    pub(crate) fn close_candidate(&mut self, candidate: &OpenCandidate) {
        self.open -= 1;
        self.result.add_undecided(candidate.difference.image.map(|digest| digest.rows));
    }

    /// Returns whether the gap around a one-sided range is being read.
    pub(crate) fn waits_for_gap(&self) -> bool {
        self.collector.is_waiting_for_gap()
    }

    /// Returns whether nothing of the mapping is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.scan.is_finished()
            && self.restored.block_results.is_empty()
            && self.collector.is_idle()
            && self.tasks.is_empty()
            && !self.mode.has_batches()
            && self.in_flight == 0
            && self.open == 0
            && self.one_sided.is_empty()
    }
}

impl Restored {
    /// Removes and returns the ruling on a one-sided range that was confirmed before an interruption.
    fn take_confirmed(&mut self, range: &KeyRange, side: Side) -> Option<(Ruling, PartCounts)> {
        let after = range.after.as_ref().map(|bound| bound.key.clone());
        let StoredPart { side: of, through, ruling, parts } = self.confirmed.remove(&after)?;
        let is_same =
            of == side && through.as_ref() == range.through.as_ref().map(|bound| &bound.key);
        is_same.then_some((ruling, parts))
    }
}
