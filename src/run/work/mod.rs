//! The kinds of work, and what each hands back.

pub(super) mod bounds;
pub(super) mod changed;
pub(super) mod chunk;
pub(super) mod divided;
pub(super) mod hands;
pub(super) mod parts;
pub(super) mod piece;
pub(super) mod since;
pub(super) mod steps;
pub(super) mod worker;

use std::time::Duration;

use self::parts::Counted;
use super::mapping::one_sided::NamedRun;
use super::mapping::recheck::Entry;
use super::scan::pass::{Piece as BlockPiece, Read};
use crate::compare::{CandidateKey, Expectation, KeyGap, OneSidedRange, RangeComparison, RowDiff};
use crate::row::{Bound, Key, KeyRange};
use crate::schema::{BySide, Side};

/// One piece of work. `mapping` is the mapping's place in the run.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) mapping: usize,
    pub(super) task: Task,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Task {
    /// Ask for the histogram of the key.
    Histogram { side: Side },
    /// Find the key that stands so many rows into a range.
    Probe { side: Side, range: KeyRange, rows: u64 },
    /// Compare a chunk.
    Scan { chunk: u64, range: KeyRange, expected: Expectation, smallest: bool },
    /// Ask how many blocks the tables have.
    Measure,
    /// Read some blocks into buckets.
    Read { piece: BlockPiece },
    /// Compare a range of about so many rows again that was thought to stand on one side only.
    Rescan { range: KeyRange, rows: u64, smallest: bool },
    /// Find where to cut such a range that was too much at once, for this reason.
    Halve { range: KeyRange, rows: u64, least: u64, reason: String },
    /// Find the gap of one side's keys around rows of the other.
    KeyGap { side: Side, low: Option<Key>, high: Option<Key> },
    /// Read the keys of a few one-sided rows.
    Keys { piece: OneSidedRange },
    /// Count the rows with a NULL in their key.
    NullKeys,
    /// Look at keys of an earlier run for the first time.
    Recall { keys: Vec<Key> },
    /// Look at some keys again.
    Look { batch: u64, entries: Vec<Entry> },
    /// Look at a one-sided range again.
    LookAtRange { entry: Entry },
    /// Look at the rows of one side with a NULL in their key again.
    LookAtNullKeys { entry: Entry },
    /// Find the last key of a confirmed run, to name it.
    NameRun { run: NamedRun },
    /// Find the range that holds this one key, which cannot be looked at, to name it.
    Narrow { entry: Entry, reason: String },
    /// Find the first and the last key of a side, to tell what stands beyond them.
    Ends { side: Side },
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Answer {
    Histogram(Vec<Bound>),
    Probed(Option<Bound>),
    /// Where to cut, and about how many rows lie up to it.
    Halved(Option<(Bound, u64)>),
    Measured(BySide<u32>),
    Read(Read),
    Scanned {
        compared: RangeComparison,
        statement: Duration,
    },
    KeyGap(KeyGap),
    Keys(Vec<CandidateKey>),
    NullKeys(BySide<Counted>),
    Recalled(Vec<RowDiff>),
    RowDiff(Vec<RowDiff>),
    LookedAtRange(BySide<Counted>),
    Named(Option<Bound>),
    Narrowed(Option<KeyRange>),
    Ends(Option<[Bound; 2]>),
}
