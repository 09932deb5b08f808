//! Where a comparison by buckets stands: which blocks of which side have been handed out, what is on
//! its way, which pass comes next.
//!
//! A piece is a stretch of blocks of each side, read at once, each for about the time that a chunk
//! should take. The sides' stretches have nothing to do with each other: only sums meet. The last
//! stretch has an open end, since a table grows while it is read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::sizing::EASED;
use crate::compare::{
    BlockQuery, BucketGroup, BucketRow, Buckets, BucketsProgress, RangeComparison, ScanOutcome,
};
use crate::pg::Remedy;
use crate::plan::{MappingPlan, Partition};
use crate::row::{Blocks, Digest};
use crate::run::options::Options;
use crate::schema::{BySide, Side};

/// Blocks of a side's first stretch: some 20,000 rows of ordinary width.
const FIRST_BLOCKS: u32 = 600;
const MOST_BLOCKS: u32 = 1 << 22;
/// What the pass wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum NextPiece {
    /// Ask how many blocks the tables have.
    Measure,
    /// Read a piece.
    Read(Piece),
}

/// A stretch of each side, where there is one left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run) struct Piece {
    pub(in crate::run) number: u64,
    pub(in crate::run) ask: BlockQuery,
    /// Nothing for a side that is through.
    pub(in crate::run) stretch: BySide<Option<Stretch>>,
}

/// What of a side's table is read in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run) enum Stretch {
    /// All of it.
    Whole,
    /// These blocks.
    Blocks(Blocks),
}

impl Stretch {
    /// Whether it is read in two if it takes too long: one block is not, nor is what is read whole.
    pub(in crate::run) fn can_be_cut(self) -> bool {
        match self {
            Stretch::Whole => false,
            Stretch::Blocks(Blocks { from, until }) => until.unwrap_or(u32::MAX) - from > 1,
        }
    }
}

/// What a piece of a side came to.
#[derive(Debug)]
pub(in crate::run) enum Found {
    /// Digests by bucket, and of the source the groups of its rows.
    Digests(Vec<(u32, Digest)>, Vec<BucketGroup>),
    Rows(Vec<BucketRow>),
}

/// What came of a piece, and how long each side took.
#[derive(Debug)]
pub(in crate::run) struct Read {
    pub(in crate::run) found: BySide<Option<Found>>,
    pub(in crate::run) took: BySide<Duration>,
}

impl Read {
    /// Rows of each side that were digested.
    pub(in crate::run) fn rows(&self) -> BySide<u64> {
        self.found.as_ref().map(|found| match found {
            Some(Found::Digests(digests, _)) => digests.iter().map(|(_, digest)| digest.rows).sum(),
            Some(Found::Rows(_)) | None => 0,
        })
    }
}

/// How the pass goes on.
#[derive(Debug)]
pub(in crate::run) enum Progress {
    /// Something was compared for good.
    Compared(RangeComparison),
    /// Everything is compared; this was the last of it.
    Finished(RangeComparison),
    /// Buckets are of no use here.
    Useless,
}

/// One side's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Table {
    /// All blocks; nothing for what is read in one statement.
    blocks: Option<u32>,
    next: u32,
    through: bool,
    /// Blocks of the next stretch.
    stretch: u32,
}

/// One mapping's comparison by buckets.
#[derive(Debug)]
pub(in crate::run) struct Pass {
    buckets: Buckets,
    by_blocks: BySide<bool>,
    tables: Option<BySide<Table>>,
    measuring: bool,
    again: Vec<Piece>,
    in_flight: Vec<Piece>,
    next_piece: u64,
    chunk_time: Duration,
    /// Whether pieces are to be smaller than time allows.
    eases: bool,
}

impl Pass {
    /// Nothing read yet; nothing at all if the plan has ranges.
    pub(in crate::run) fn new(plan: &MappingPlan, options: &Options) -> Option<Pass> {
        (plan.partition == Partition::Buckets).then(|| Pass::of(plan, options))
    }

    /// Nothing read yet, whatever the plan has.
    pub(in crate::run) fn of(plan: &MappingPlan, options: &Options) -> Pass {
        Pass {
            buckets: Buckets::begin(plan, plan.served()),
            by_blocks: plan.sides.as_ref().map(|side| side.by_blocks),
            tables: None,
            measuring: false,
            again: Vec::new(),
            in_flight: Vec::new(),
            next_piece: 0,
            chunk_time: options.chunk_time,
            eases: false,
        }
    }

    /// What to do next, if anything can be done now.
    pub(in crate::run) fn next(&mut self) -> Option<NextPiece> {
        let Some(tables) = &mut self.tables else {
            return (!std::mem::replace(&mut self.measuring, true)).then_some(NextPiece::Measure);
        };
        let piece = match self.again.pop() {
            Some(piece) => piece,
            None => {
                let part = if self.eases { EASED } else { 1 };
                let stretch = BySide::new(|side| tables[side].take(part));
                if stretch.all(Option::is_none) {
                    return None;
                }
                self.next_piece += 1;
                Piece { number: self.next_piece, ask: self.buckets.query().clone(), stretch }
            }
        };
        self.in_flight.push(piece.clone());
        Some(NextPiece::Read(piece))
    }

    /// Whether pieces are to be smaller than time allows.
    pub(in crate::run) fn ease(&mut self, eases: bool) {
        self.eases = eases;
    }

    /// How many blocks the tables have.
    pub(in crate::run) fn measured(&mut self, blocks: BySide<u32>) {
        let by_blocks = self.by_blocks;
        self.tables = Some(BySide::new(|side| Table {
            blocks: by_blocks[side].then_some(blocks[side]),
            next: 0,
            through: false,
            stretch: FIRST_BLOCKS,
        }));
    }

    /// A piece was read.
    pub(in crate::run) fn read(&mut self, piece: &Piece, read: Read) -> Option<Progress> {
        self.came_back(piece);
        let Read { found, took } = read;
        for (side, found) in [(Side::Source, found.source), (Side::Target, found.target)] {
            match found {
                Some(Found::Digests(digests, counts)) => {
                    self.buckets.add_digests(side, digests);
                    self.buckets.add_counts(counts);
                }
                Some(Found::Rows(rows)) => self.buckets.add_rows(side, rows),
                None => {}
            }
        }
        let tables = self.tables.as_mut()?;
        for side in Side::BOTH {
            if let Some(Stretch::Blocks(Blocks { from, until: Some(until) })) = piece.stretch[side]
            {
                tables[side].took(until - from, took[side], self.chunk_time);
            }
        }
        let through = Side::BOTH.into_iter().all(|side| tables[side].through);
        if !through || !self.in_flight.is_empty() || !self.again.is_empty() {
            return None;
        }
        Some(match self.buckets.finish_scan() {
            ScanOutcome::Useless => Progress::Useless,
            ScanOutcome::Done(compared) => Progress::Finished(compared),
            ScanOutcome::NextScan(_, compared) => {
                Side::BOTH.into_iter().for_each(|side| tables[side].begin_again());
                Progress::Compared(compared)
            }
        })
    }

    fn came_back(&mut self, piece: &Piece) {
        self.in_flight.retain(|known| known.number != piece.number);
    }

    /// How far it has come; what is on its way has not been read.
    pub(in crate::run) fn progress(&self) -> PassProgress {
        let mut tables = self.tables;
        let mut unread = [&self.again[..], &self.in_flight].concat();
        if let (BlockQuery::Rows(_), Some(tables)) = (self.buckets.query(), &mut tables) {
            Side::BOTH.into_iter().for_each(|side| tables[side].begin_again());
            unread.clear();
        }
        PassProgress { buckets: self.buckets.progress(), tables, unread, pieces: self.next_piece }
    }

    /// Goes on from there.
    pub(in crate::run) fn go_on(&mut self, progress: PassProgress) {
        let PassProgress { buckets, tables, unread, pieces } = progress;
        self.buckets.resume(buckets);
        self.measuring = tables.is_some();
        self.tables = tables;
        self.again = unread;
        self.next_piece = pieces;
    }

    /// A piece failed. Tells whether smaller ones are tried instead.
    pub(in crate::run) fn failed(&mut self, piece: &Piece, remedy: Remedy) -> bool {
        self.came_back(piece);
        let Some(tables) = &mut self.tables else { return false };
        if remedy != Remedy::Shrink {
            return false;
        }
        let halves = BySide::new(|side| tables[side].halves(piece.stretch[side]));
        let cut = halves.any(|(_, second)| second.is_some());
        // The first is read next: if even that is too much, the second is not tried.
        for half in [halves.map(|(_, second)| second), halves.map(|(first, _)| first)] {
            if cut && half.any(Option::is_some) {
                self.next_piece += 1;
                let (number, ask) = (self.next_piece, piece.ask.clone());
                self.again.push(Piece { number, ask, stretch: half });
            }
        }
        cut
    }
}

/// How far a pass has come, as the ledger keeps it: what differs between blocks that have moved since
/// is cleared like anything that moves during a pass.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::run) struct PassProgress {
    buckets: BucketsProgress,
    tables: Option<BySide<Table>>,
    /// Pieces that were handed out and not read.
    unread: Vec<Piece>,
    pieces: u64,
}

impl Table {
    /// The next pass is to read it from its beginning.
    fn begin_again(&mut self) {
        self.next = 0;
        self.through = false;
    }

    /// The next stretch, if there is one: a part of what time allows.
    fn take(&mut self, part: u32) -> Option<Stretch> {
        if self.through {
            return None;
        }
        let Some(blocks) = self.blocks else {
            self.through = true;
            return Some(Stretch::Whole);
        };
        let (from, until) = (self.next, self.next.saturating_add((self.stretch / part).max(1)));
        self.next = until;
        self.through = until >= blocks;
        let until = (!self.through).then_some(until);
        Some(Stretch::Blocks(Blocks { from, until }))
    }

    /// So many blocks took so long.
    fn took(&mut self, blocks: u32, took: Duration, aim: Duration) {
        let ratio = aim.as_secs_f64() / took.as_secs_f64().max(1e-6);
        let blocks = f64::from(blocks) * ratio.clamp(0.25, 4.0);
        self.stretch = (blocks as u32).clamp(1, MOST_BLOCKS);
    }

    /// A stretch that was too much, in two; the second is missing if there is but one block.
    fn halves(&mut self, stretch: Option<Stretch>) -> (Option<Stretch>, Option<Stretch>) {
        let Some(whole @ Stretch::Blocks(Blocks { from, until })) = stretch else {
            return (stretch, None);
        };
        if !whole.can_be_cut() {
            return (stretch, None);
        }
        let known = self.blocks.unwrap_or(0);
        let middle = match until.unwrap_or(known.max(from)) - from {
            // How far it goes beyond the blocks that were counted is not known: one, then as many as
            // are behind that, so that a few cuts reach every block that there can be.
            0 | 1 => from.saturating_add(from.saturating_sub(known).max(1)),
            blocks => from + blocks / 2,
        };
        self.stretch = self.stretch.min(middle - from).max(1);
        let first = Stretch::Blocks(Blocks { from, until: Some(middle) });
        (Some(first), Some(Stretch::Blocks(Blocks { from: middle, until })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    fn pass() -> Pass {
        let mut plan = sample::same(&[("id", Builtin::Uuid, true)], &["id"]);
        plan.partition = Partition::Buckets;
        Pass::new(&plan, &Options::of(&CompareSettings::default())).unwrap()
    }

    fn none() -> Read {
        let found = BySide::new(|_| Some(Found::Digests(Vec::new(), Vec::new())));
        Read { found, took: BySide::new(|_| Duration::from_millis(500)) }
    }

    /// Reads everything, where some pieces fail at first; gives each side's stretches.
    fn run(blocks: BySide<u32>, mut fails: impl Iterator<Item = bool>) -> BySide<Vec<Blocks>> {
        let mut pass = pass();
        assert_eq!(pass.next(), Some(NextPiece::Measure));
        assert_eq!(pass.next(), None);
        pass.measured(blocks);
        let mut read = BySide::<Vec<Blocks>>::default();
        loop {
            let Some(NextPiece::Read(piece)) = pass.next() else { panic!("it waits for nothing") };
            if fails.next() == Some(true) && pass.failed(&piece, Remedy::Shrink) {
                continue;
            }
            for side in Side::BOTH {
                if let Some(Stretch::Blocks(blocks)) = piece.stretch[side] {
                    read[side].push(blocks);
                }
            }
            if let Some(progress) = pass.read(&piece, none()) {
                assert!(matches!(progress, Progress::Finished(_)));
                return read;
            }
        }
    }

    proptest::proptest! {
        /// Stretches tile each side from the first block to an open end, whatever fails.
        #[test]
        fn stretches_tile(
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

    /// Reads a table whose statements last too long from so many blocks on; gives the largest stretch
    /// that was read, and the statements that it took.
    fn largest_read(counted: u32, there: u32, too_many: u32) -> (u32, u32) {
        let mut pass = pass();
        pass.next();
        pass.measured(BySide { source: counted, target: 0 });
        let (mut largest, mut statements) = (0, 0);
        while let Some(NextPiece::Read(piece)) = pass.next() {
            statements += 1;
            let blocks = match piece.stretch.source {
                Some(Stretch::Blocks(Blocks { from, until })) => {
                    until.unwrap_or(there).min(there).saturating_sub(from)
                }
                _ => 0,
            };
            if blocks >= too_many && pass.failed(&piece, Remedy::Shrink) {
                continue;
            }
            largest = largest.max(blocks);
            pass.read(&piece, none());
        }
        (largest, statements)
    }

    /// A table of less than a stretch was read in one statement, however long that took, and so were
    /// the last blocks of any other.
    #[test]
    fn whatever_has_more_than_one_block_is_cut_when_it_takes_too_long() {
        for (counted, there) in [(400, 400), (1_000, 1_000), (1, 5_000), (0, 300), (700, 60_000)] {
            let (largest, statements) = largest_read(counted, there, 17);
            assert!(largest < 17 && statements < there, "{largest} in {statements} of {there}");
            assert_eq!(largest_read(counted, there.min(900), 2).0, 1);
        }
    }

    #[test]
    fn one_block_that_is_too_much_is_given_up() {
        let mut pass = pass();
        pass.next();
        pass.measured(BySide { source: 1, target: 0 });
        let Some(NextPiece::Read(piece)) = pass.next() else { panic!() };
        assert!(pass.failed(&piece, Remedy::Shrink), "others may have come behind it");
        let Some(NextPiece::Read(piece)) = pass.next() else { panic!() };
        let block = Stretch::Blocks(Blocks { from: 0, until: Some(1) });
        assert_eq!(piece.stretch.source, Some(block));
        assert!(!pass.failed(&piece, Remedy::Shrink));
    }
}
