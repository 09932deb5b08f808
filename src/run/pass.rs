//! Where a comparison by buckets stands: which blocks of which side have been handed out, what is on
//! its way, which pass comes next.
//!
//! A piece is a stretch of blocks of each side, read at once, each for about the time that a chunk
//! should take. The sides' stretches have nothing to do with each other: only sums meet. The last
//! stretch has an open end, since a table grows while it is read.

use std::time::Duration;

use super::options::Options;
use crate::compare::{Ask, BucketGroup, BucketRow, Buckets, Compared, Passed};
use crate::pg::Remedy;
use crate::plan::{MappingPlan, Partition};
use crate::row::{Blocks, Digest};
use crate::schema::{BySide, Side};

/// Blocks of a side's first stretch: some 20,000 rows of ordinary width.
const FIRST_BLOCKS: u32 = 600;
const MOST_BLOCKS: u32 = 1 << 22;

/// What the pass wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NextPiece {
    /// Ask how many blocks the tables have.
    Measure,
    /// Read a piece.
    Read(Piece),
}

/// A stretch of each side, where there is one left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) number: u64,
    pub(super) ask: Ask,
    /// Nothing for a side that is through.
    pub(super) stretch: BySide<Option<Stretch>>,
}

/// What of a side's table is read in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// All of it.
    Whole,
    /// These blocks.
    Blocks(Blocks),
}

/// What a piece of a side came to.
#[derive(Debug)]
pub(super) enum Found {
    /// Digests by bucket, and of the source the groups of its rows.
    Digests(Vec<(u32, Digest)>, Vec<BucketGroup>),
    Rows(Vec<BucketRow>),
}

/// What came of a piece, and how long each side took.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) found: BySide<Option<Found>>,
    pub(super) took: BySide<Duration>,
}

impl Read {
    /// Rows of each side that were digested.
    pub(super) fn rows(&self) -> BySide<u64> {
        self.found.as_ref().map(|found| match found {
            Some(Found::Digests(digests, _)) => digests.iter().map(|(_, digest)| digest.rows).sum(),
            Some(Found::Rows(_)) | None => 0,
        })
    }
}

/// How the pass goes on.
#[derive(Debug)]
pub(super) enum Progress {
    /// Something was compared for good.
    Compared(Compared),
    /// Everything is compared; this was the last of it.
    Finished(Compared),
    /// Buckets are of no use here.
    Useless,
}

/// One side's blocks.
#[derive(Debug)]
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
pub(super) struct Pass {
    buckets: Buckets,
    by_blocks: BySide<bool>,
    tables: Option<BySide<Table>>,
    measuring: bool,
    again: Vec<Piece>,
    in_flight: usize,
    next_piece: u64,
    chunk_time: Duration,
}

impl Pass {
    /// Nothing read yet; nothing at all if the plan has ranges.
    pub(super) fn new(plan: &MappingPlan, options: &Options) -> Option<Pass> {
        (plan.partition == Partition::Buckets).then(|| Pass {
            buckets: Buckets::begin(plan, plan.served()),
            by_blocks: plan.sides.as_ref().map(|side| side.by_blocks),
            tables: None,
            measuring: false,
            again: Vec::new(),
            in_flight: 0,
            next_piece: 0,
            chunk_time: options.chunk_time,
        })
    }

    /// What to do next, if anything can be done now.
    pub(super) fn next(&mut self) -> Option<NextPiece> {
        let Some(tables) = &mut self.tables else {
            return (!std::mem::replace(&mut self.measuring, true)).then_some(NextPiece::Measure);
        };
        let piece = match self.again.pop() {
            Some(piece) => piece,
            None => {
                let stretch = BySide::new(|side| tables[side].take());
                if stretch.all(Option::is_none) {
                    return None;
                }
                self.next_piece += 1;
                Piece { number: self.next_piece, ask: self.buckets.asked().clone(), stretch }
            }
        };
        self.in_flight += 1;
        Some(NextPiece::Read(piece))
    }

    /// How many blocks the tables have.
    pub(super) fn measured(&mut self, blocks: BySide<u32>) {
        let by_blocks = self.by_blocks;
        self.tables = Some(BySide::new(|side| Table {
            blocks: by_blocks[side].then_some(blocks[side]),
            next: 0,
            through: false,
            stretch: FIRST_BLOCKS,
        }));
    }

    /// A piece was read.
    pub(super) fn read(&mut self, piece: &Piece, read: Read) -> Option<Progress> {
        self.in_flight -= 1;
        let Read { found, took } = read;
        for (side, found) in [(Side::Source, found.source), (Side::Target, found.target)] {
            match found {
                Some(Found::Digests(digests, counts)) => {
                    self.buckets.digests(side, digests);
                    self.buckets.counts(counts);
                }
                Some(Found::Rows(rows)) => self.buckets.rows(side, rows),
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
        if !through || self.in_flight > 0 || !self.again.is_empty() {
            return None;
        }
        Some(match self.buckets.passed() {
            Passed::Useless => Progress::Useless,
            Passed::Done(compared) => Progress::Finished(compared),
            Passed::Again(_, compared) => {
                for side in Side::BOTH {
                    tables[side].next = 0;
                    tables[side].through = false;
                }
                Progress::Compared(compared)
            }
        })
    }

    /// A piece failed. Tells whether smaller ones are tried instead.
    pub(super) fn failed(&mut self, piece: &Piece, remedy: Remedy) -> bool {
        self.in_flight -= 1;
        let Some(tables) = &mut self.tables else { return false };
        if remedy != Remedy::Shrink {
            return false;
        }
        let halves = BySide::new(|side| tables[side].halves(piece.stretch[side]));
        let cut = halves.any(|(_, second)| second.is_some());
        for half in [halves.map(|(first, _)| first), halves.map(|(_, second)| second)] {
            if cut && half.any(Option::is_some) {
                self.next_piece += 1;
                let (number, ask) = (self.next_piece, piece.ask.clone());
                self.again.push(Piece { number, ask, stretch: half });
            }
        }
        cut
    }
}

impl Table {
    /// The next stretch, if there is one.
    fn take(&mut self) -> Option<Stretch> {
        if self.through {
            return None;
        }
        let Some(blocks) = self.blocks else {
            self.through = true;
            return Some(Stretch::Whole);
        };
        let (from, until) = (self.next, self.next.saturating_add(self.stretch));
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
        let Some(Stretch::Blocks(Blocks { from, until })) = stretch else { return (stretch, None) };
        let end = until.or(self.blocks).unwrap_or(from).max(from + 1);
        let middle = from + (end - from) / 2;
        if middle == from {
            return (stretch, None);
        }
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
            pass.in_flight = 1;
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

    #[test]
    fn one_block_that_is_too_much_is_given_up() {
        let mut pass = pass();
        pass.next();
        pass.measured(BySide { source: 1, target: 0 });
        let Some(NextPiece::Read(piece)) = pass.next() else { panic!() };
        assert!(!pass.failed(&piece, Remedy::Shrink));
    }
}
