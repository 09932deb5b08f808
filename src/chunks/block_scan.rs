//! The table scan by blocks of one mapping: which blocks of which side have been read, which are in
//! flight, and whether the table is scanned again.
//!
//! One statement reads a range of blocks, for about the time that a chunk should take. The block ranges
//! of the two sides are unrelated: only the sums of their hash buckets are compared. The last block
//! range has an open end, since a table may grow while it is read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::failure::ReadFailure;
use super::settings::ChunkSettings;
use super::size::THROTTLED;
use super::step::{BlockRead, BlockStep, TablePart};
use crate::compare::{
    BlockQuery, BucketGroup, BucketRow, Buckets, BucketsProgress, RangeComparison, ScanOutcome,
};
use crate::plan::{MappingPlan, Partition};
use crate::row::{BlockRange, Digest};
use crate::schema::{BySide, Side};

/// The blocks of a side's first range: some 20,000 rows of ordinary width.
const FIRST_BLOCKS: u32 = 600;
const MOST_BLOCKS: u32 = 1 << 22;

/// What a block range of one side contains.
#[derive(Debug)]
pub(crate) enum BlockContent {
    /// Digests by hash bucket and, of the source, the groups of its rows.
    Digests(Vec<(u32, Digest)>, Vec<BucketGroup>),
    Rows(Vec<BucketRow>),
}

/// What the blocks contain, and how long each side took.
#[derive(Debug)]
pub(crate) struct BlockResult {
    pub(crate) content: BySide<Option<BlockContent>>,
    pub(crate) took: BySide<Duration>,
}

impl BlockResult {
    /// Returns the rows of each side that were digested.
    pub(crate) fn rows(&self) -> BySide<u64> {
        self.content.as_ref().map(|content| match content {
            Some(BlockContent::Digests(digests, _)) => {
                digests.iter().map(|(_, digest)| digest.rows).sum()
            }
            Some(BlockContent::Rows(_)) | None => 0,
        })
    }
}

/// What a completed scan of both tables has led to.
#[derive(Debug)]
pub(crate) enum BlockProgress {
    /// Some hash buckets are compared for good; the others are scanned again.
    RangeComparison(RangeComparison),
    /// Everything is compared; this was the rest.
    Finished(RangeComparison),
    /// Hash buckets are of no use for these tables.
    Useless,
}

/// The blocks of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TableBlocks {
    /// The number of blocks; `None` for a table that one statement reads.
    blocks: Option<u32>,
    next: u32,
    is_complete: bool,
    /// The blocks of the next range.
    range: u32,
}

/// The table scan by blocks of one mapping.
#[derive(Debug)]
pub(crate) struct BlockScan {
    buckets: Buckets,
    by_blocks: BySide<bool>,
    tables: Option<BySide<TableBlocks>>,
    is_counting: bool,
    /// What has to be read before further blocks, the next last.
    pending: Vec<BlockRead>,
    in_flight: Vec<BlockRead>,
    reads: u64,
    chunk_time: Duration,
    is_throttled: bool,
}

impl BlockScan {
    /// Creates the scan of a mapping, unless its plan has key ranges.
    pub(crate) fn new(plan: &MappingPlan, settings: ChunkSettings) -> Option<BlockScan> {
        (plan.partition == Partition::Buckets).then(|| BlockScan::of(plan, settings))
    }

    /// Creates the scan of a mapping, whatever its plan has.
    pub(crate) fn of(plan: &MappingPlan, settings: ChunkSettings) -> BlockScan {
        BlockScan {
            buckets: Buckets::begin(plan, plan.served()),
            by_blocks: plan.sides.as_ref().map(|side| side.by_blocks),
            tables: None,
            is_counting: false,
            pending: Vec::new(),
            in_flight: Vec::new(),
            reads: 0,
            chunk_time: settings.chunk_time,
            is_throttled: false,
        }
    }

    /// Returns what to do next; `None` if nothing can be done now.
    pub(crate) fn next_step(&mut self) -> Option<BlockStep> {
        let Some(tables) = &mut self.tables else {
            return (!std::mem::replace(&mut self.is_counting, true)).then_some(BlockStep::Count);
        };
        let read = match self.pending.pop() {
            Some(read) => read,
            None => {
                let divisor = if self.is_throttled { THROTTLED } else { 1 };
                let ranges = BySide::new(|side| tables[side].take(divisor));
                if ranges.all(Option::is_none) {
                    return None;
                }
                self.reads += 1;
                BlockRead { number: self.reads, query: self.buckets.query().clone(), ranges }
            }
        };
        self.in_flight.push(read.clone());
        Some(BlockStep::Read(read))
    }

    /// Sets whether block ranges are smaller than time allows.
    pub(crate) fn throttle(&mut self, is_throttled: bool) {
        self.is_throttled = is_throttled;
    }

    /// Sets how many blocks the tables have.
    pub(crate) fn set_blocks(&mut self, blocks: BySide<u32>) {
        let by_blocks = self.by_blocks;
        self.tables = Some(BySide::new(|side| TableBlocks {
            blocks: by_blocks[side].then_some(blocks[side]),
            next: 0,
            is_complete: false,
            range: FIRST_BLOCKS,
        }));
    }

    /// Takes what blocks contain. Returns what follows once both tables have been scanned.
    pub(crate) fn take(&mut self, read: &BlockRead, result: BlockResult) -> Option<BlockProgress> {
        self.remove_in_flight(read);
        let BlockResult { content, took } = result;
        for (side, content) in [(Side::Source, content.source), (Side::Target, content.target)] {
            match content {
                Some(BlockContent::Digests(digests, counts)) => {
                    self.buckets.add_digests(side, digests);
                    self.buckets.add_counts(counts);
                }
                Some(BlockContent::Rows(rows)) => self.buckets.add_rows(side, rows),
                None => {}
            }
        }
        let tables = self.tables.as_mut()?;
        for side in Side::BOTH {
            if let Some(TablePart::Blocks(BlockRange { from, until: Some(until) })) =
                read.ranges[side]
            {
                tables[side].measure(until - from, took[side], self.chunk_time);
            }
        }
        let is_complete = Side::BOTH.into_iter().all(|side| tables[side].is_complete);
        if !is_complete || !self.in_flight.is_empty() || !self.pending.is_empty() {
            return None;
        }
        Some(match self.buckets.finish_scan() {
            ScanOutcome::Useless => BlockProgress::Useless,
            ScanOutcome::Done(compared) => BlockProgress::Finished(compared),
            ScanOutcome::NextScan(_, compared) => {
                Side::BOTH.into_iter().for_each(|side| tables[side].begin_again());
                BlockProgress::RangeComparison(compared)
            }
        })
    }

    fn remove_in_flight(&mut self, read: &BlockRead) {
        self.in_flight.retain(|known| known.number != read.number);
    }

    /// Returns how far the scan has come. What is in flight has not been read.
    pub(crate) fn state(&self) -> BlockScanState {
        let mut tables = self.tables;
        let mut unread = [&self.pending[..], &self.in_flight].concat();
        if let (BlockQuery::Rows(_), Some(tables)) = (self.buckets.query(), &mut tables) {
            Side::BOTH.into_iter().for_each(|side| tables[side].begin_again());
            unread.clear();
        }
        BlockScanState { buckets: self.buckets.progress(), tables, unread, reads: self.reads }
    }

    /// Restores how far the scan had come.
    pub(crate) fn restore(&mut self, state: BlockScanState) {
        let BlockScanState { buckets, tables, unread, reads } = state;
        self.buckets.resume(buckets);
        self.is_counting = tables.is_some();
        self.tables = tables;
        self.pending = unread;
        self.reads = reads;
    }

    /// Takes the failure of a read. Returns whether smaller block ranges are read instead.
    pub(crate) fn set_failed(&mut self, read: &BlockRead, failure: ReadFailure) -> bool {
        self.remove_in_flight(read);
        let Some(tables) = &mut self.tables else { return false };
        if failure != ReadFailure::TooLarge {
            return false;
        }
        let halves = BySide::new(|side| tables[side].halve(read.ranges[side]));
        let is_cut = halves.any(|(_, second)| second.is_some());
        // The first half is read next: if even that is too large, the second is not tried.
        for half in [halves.map(|(_, second)| second), halves.map(|(first, _)| first)] {
            if is_cut && half.any(Option::is_some) {
                self.reads += 1;
                let (number, query) = (self.reads, read.query.clone());
                self.pending.push(BlockRead { number, query, ranges: half });
            }
        }
        is_cut
    }
}

/// How far a table scan by blocks has come, as the ledger stores it. Rows that have moved to other
/// blocks since are settled like all that change during a scan.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BlockScanState {
    buckets: BucketsProgress,
    tables: Option<BySide<TableBlocks>>,
    /// What was in flight.
    unread: Vec<BlockRead>,
    reads: u64,
}

impl TableBlocks {
    /// Scans the table again from its first block.
    fn begin_again(&mut self) {
        self.next = 0;
        self.is_complete = false;
    }

    /// Returns the next range, if there is one: what time allows, divided by `divisor`.
    fn take(&mut self, divisor: u32) -> Option<TablePart> {
        if self.is_complete {
            return None;
        }
        let Some(blocks) = self.blocks else {
            self.is_complete = true;
            return Some(TablePart::Whole);
        };
        let (from, until) = (self.next, self.next.saturating_add((self.range / divisor).max(1)));
        self.next = until;
        self.is_complete = until >= blocks;
        let until = (!self.is_complete).then_some(until);
        Some(TablePart::Blocks(BlockRange { from, until }))
    }

    /// Sizes the next range by the time that these blocks took.
    fn measure(&mut self, blocks: u32, took: Duration, aim: Duration) {
        let ratio = aim.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let blocks = f64::from(blocks) * ratio.clamp(0.25, 4.0);
        self.range = (blocks as u32).clamp(1, MOST_BLOCKS);
    }

    /// Cuts a range that was too large in two; one block has no second half.
    fn halve(&mut self, range: Option<TablePart>) -> (Option<TablePart>, Option<TablePart>) {
        let Some(whole @ TablePart::Blocks(BlockRange { from, until })) = range else {
            return (range, None);
        };
        if !whole.can_be_cut() {
            return (range, None);
        }
        let known = self.blocks.unwrap_or(0);
        let middle = match until.unwrap_or(known.max(from)) - from {
            // How far it goes beyond the blocks that were counted is not known: the first half is one
            // block, then as many as lie behind the count, so that a few cuts reach any block.
            0 | 1 => from.saturating_add(from.saturating_sub(known).max(1)),
            blocks => from + blocks / 2,
        };
        self.range = self.range.min(middle - from).max(1);
        let first = TablePart::Blocks(BlockRange { from, until: Some(middle) });
        (Some(first), Some(TablePart::Blocks(BlockRange { from: middle, until })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    fn scan() -> BlockScan {
        let mut plan = sample::same(&[("id", Builtin::Uuid, true)], &["id"]);
        plan.partition = Partition::Buckets;
        BlockScan::new(&plan, ChunkSettings::of(&CompareSettings::default())).unwrap()
    }

    fn none() -> BlockResult {
        let content = BySide::new(|_| Some(BlockContent::Digests(Vec::new(), Vec::new())));
        BlockResult { content, took: BySide::new(|_| Duration::from_millis(500)) }
    }

    /// Reads everything, where some reads fail at first; returns each side's block ranges.
    fn run(blocks: BySide<u32>, mut fails: impl Iterator<Item = bool>) -> BySide<Vec<BlockRange>> {
        let mut scan = scan();
        assert_eq!(scan.next_step(), Some(BlockStep::Count));
        assert_eq!(scan.next_step(), None);
        scan.set_blocks(blocks);
        let mut read = BySide::<Vec<BlockRange>>::default();
        loop {
            let Some(BlockStep::Read(part)) = scan.next_step() else {
                panic!("it waits for nothing")
            };
            if fails.next() == Some(true) && scan.set_failed(&part, ReadFailure::TooLarge) {
                continue;
            }
            for side in Side::BOTH {
                if let Some(TablePart::Blocks(blocks)) = part.ranges[side] {
                    read[side].push(blocks);
                }
            }
            if let Some(progress) = scan.take(&part, none()) {
                assert!(matches!(progress, BlockProgress::Finished(_)));
                return read;
            }
        }
    }

    proptest::proptest! {
        /// Block ranges tile each side from the first block to an open end, whatever fails.
        #[test]
        fn block_ranges_tile(
            source in 0..5000u32,
            target in 0..5000u32,
            fails in proptest::collection::vec(proptest::prelude::any::<bool>(), 0..20),
        ) {
            let mut read = run(BySide { source, target }, fails.into_iter());
            for side in Side::BOTH {
                read[side].sort_by_key(|blocks| blocks.from);
                proptest::prop_assert_eq!(read[side][0].from, 0);
                proptest::prop_assert_eq!(read[side].last().unwrap().until, None);
                for pair in read[side].windows(2) {
                    proptest::prop_assert_eq!(pair[0].until, Some(pair[1].from));
                    proptest::prop_assert!(pair[0].from < pair[1].from);
                }
            }
        }
    }

    /// Reads a table whose statements last too long from so many blocks on; gives the largest range
    /// that was read, and the statements that it took.
    fn largest_read(counted: u32, there: u32, too_many: u32) -> (u32, u32) {
        let mut scan = scan();
        scan.next_step();
        scan.set_blocks(BySide { source: counted, target: 0 });
        let (mut largest, mut statements) = (0, 0);
        while let Some(BlockStep::Read(part)) = scan.next_step() {
            statements += 1;
            let blocks = match part.ranges.source {
                Some(TablePart::Blocks(BlockRange { from, until })) => {
                    until.unwrap_or(there).min(there).saturating_sub(from)
                }
                _ => 0,
            };
            if blocks >= too_many && scan.set_failed(&part, ReadFailure::TooLarge) {
                continue;
            }
            largest = largest.max(blocks);
            scan.take(&part, none());
        }
        (largest, statements)
    }

    /// A table smaller than a range was once read in one statement, however long that took, and so were
    /// the last blocks of any other.
    #[test]
    fn ranges_of_more_blocks_are_cut_when_they_take_too_long() {
        for (counted, there) in [(400, 400), (1_000, 1_000), (1, 5_000), (0, 300), (700, 60_000)] {
            let (largest, statements) = largest_read(counted, there, 17);
            assert!(largest < 17 && statements < there, "{largest} in {statements} of {there}");
            assert_eq!(largest_read(counted, there.min(900), 2).0, 1);
        }
    }

    #[test]
    fn one_block_that_is_too_large_is_given_up() {
        let mut scan = scan();
        scan.next_step();
        scan.set_blocks(BySide { source: 1, target: 0 });
        let Some(BlockStep::Read(part)) = scan.next_step() else { panic!() };
        assert!(scan.set_failed(&part, ReadFailure::TooLarge), "others may have come behind it");
        let Some(BlockStep::Read(part)) = scan.next_step() else { panic!() };
        let block = TablePart::Blocks(BlockRange { from: 0, until: Some(1) });
        assert_eq!(part.ranges.source, Some(block));
        assert!(!scan.set_failed(&part, ReadFailure::TooLarge));
    }
}
