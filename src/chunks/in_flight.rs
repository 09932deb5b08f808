//! The chunks that have been cut, in key order, from the first that is not done to the last.
//!
//! ```text
//!  stored    stored    gap     stored      remaining range
//! ──clean──][─dirty─][─────][──clean──][──────────▶ keys of a resumed run
//!               │       └ was in flight: compared like any chunk
//!               └ its outcome is read from the ledger, when there is room for it
//! ```

use std::collections::VecDeque;

use super::failure::ReadFailure;
use super::prior::{PriorChunk, PriorChunkState};
use super::tiles::{sort, tile};
use crate::compare::RangeComparison;
use crate::row::{Bound, KeyOrder, KeyRange};
use crate::schema::BySide;

/// A chunk that is done with all before it.
#[derive(Debug)]
pub(crate) struct FinishedChunk {
    pub(crate) chunk: u64,
    pub(crate) range: KeyRange,
    /// The estimated rows.
    pub(crate) rows: u64,
    pub(crate) outcome: ChunkOutcome,
    /// Whether the ledger has the outcome.
    pub(crate) is_stored: bool,
}

/// The outcome of a chunk.
#[derive(Debug)]
pub(crate) enum ChunkOutcome {
    /// The chunk was compared.
    RangeComparison(RangeComparison),
    /// The chunk is not in the sample.
    Skipped,
    /// The chunk could not be compared: its estimated rows, and the reason.
    Undecided(u64, String),
}

/// A chunk that has been cut.
#[derive(Debug)]
pub(crate) struct CutChunk {
    pub(crate) chunk: u64,
    pub(crate) range: KeyRange,
    /// The estimated rows.
    pub(crate) rows: u64,
    pub(crate) state: ChunkState,
    /// Whether the ledger has the outcome.
    pub(crate) is_stored: bool,
    /// Whether it cannot be cut any smaller. Its statement may run as long as any.
    pub(crate) smallest: bool,
}

/// The state of a chunk that has been cut.
#[derive(Debug)]
pub(crate) enum ChunkState {
    Ready,
    InFlight,
    /// The chunk was compared before an interruption. Its outcome has to be read from the ledger.
    Stored,
    /// The chunk has to be cut.
    Oversized(Oversized),
    Done(ChunkOutcome),
}

/// A chunk that is too large for one statement. Its number of rows is an estimate that may be far too
/// small, so parts are cut off its front until the rest has no more rows than one part.
#[derive(Debug)]
pub(crate) struct Oversized {
    reason: String,
    failure: ReadFailure,
    /// The rows of the next part.
    part: u64,
    /// Whether a part has been cut off.
    is_cut: bool,
}

/// The number of chunks given up in a row that ends a mapping.
pub(crate) const MOST_GIVEN_UP: u32 = 3;

/// What follows from the failure of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// The chunk is cut in two; it had this many rows.
    Smaller(u64),
    /// The chunk is given up, and the scan continues.
    GivenUp,
    /// The chunk is given up, and the scan ends.
    Ends,
}

/// The chunks that have been cut, in key order.
#[derive(Debug, Default)]
pub(crate) struct ChunksInFlight {
    chunks: VecDeque<CutChunk>,
    next_chunk: u64,
    /// The number of chunks that were given up in a row.
    given_up: u32,
}

impl ChunksInFlight {
    /// Adds a chunk behind the last.
    pub(crate) fn push(&mut self, range: KeyRange, rows: u64, state: ChunkState) {
        let chunk = self.next_chunk;
        let (is_stored, smallest) = (false, false);
        self.chunks.push_back(CutChunk { chunk, range, rows, state, is_stored, smallest });
        self.next_chunk += 1;
    }

    /// Numbers chunks from here on.
    pub(crate) fn number_from(&mut self, chunk: u64) {
        self.next_chunk = self.next_chunk.max(chunk);
    }

    /// Restores chunks of an interrupted run, all of them within a range. Returns the range behind the
    /// last of them, and how many count: none if they do not tile.
    pub(crate) fn restore(
        &mut self,
        chunks: Vec<PriorChunk>,
        within: &KeyRange,
        order: &KeyOrder,
    ) -> (Option<KeyRange>, u64) {
        let mut rest = Some(within.clone());
        let chunks = sort(chunks, order);
        if order.is_known() && !tile(&chunks, within, order) {
            return (rest, 0);
        }
        let last = chunks.iter().map(|prior| prior.chunk).max();
        self.number_from(last.map_or(0, |last| last.saturating_add(1)));
        let number = chunks.len() as u64;
        for PriorChunk { chunk, range, rows, state } in chunks {
            let Some(KeyRange { after, .. }) = rest else { break };
            if range.after != after {
                let gap = KeyRange { after, through: range.after.clone() };
                self.push(gap, rows, ChunkState::Ready);
            }
            let state = match state {
                PriorChunkState::Clean(matched) => {
                    let rows = BySide { source: matched, target: matched };
                    let compared = RangeComparison { rows, matched, ..RangeComparison::default() };
                    ChunkState::Done(ChunkOutcome::RangeComparison(compared))
                }
                PriorChunkState::Dirty | PriorChunkState::Undecided => ChunkState::Stored,
                PriorChunkState::Skipped => ChunkState::Done(ChunkOutcome::Skipped),
            };
            let behind = range.through.clone().filter(|_| range.through != within.through);
            let (is_stored, smallest) = (true, false);
            self.chunks.push_back(CutChunk { chunk, range, rows, state, is_stored, smallest });
            let through = within.through.clone();
            rest = behind.map(|after| KeyRange { after: Some(after), through });
        }
        (rest, number)
    }

    /// Forgets the chunks that the ledger has.
    pub(crate) fn forget_stored(&mut self) {
        self.chunks.retain(|chunk| !chunk.is_stored);
    }

    /// Returns the first chunk whose outcome has to be read from the ledger.
    pub(crate) fn first_stored(&self) -> Option<u64> {
        let is_stored = |chunk: &&CutChunk| matches!(chunk.state, ChunkState::Stored);
        self.chunks.iter().find(is_stored).map(|chunk| chunk.chunk)
    }

    /// Sets the first chunk that is ready to in flight, and returns it.
    pub(crate) fn start(&mut self) -> Option<&CutChunk> {
        let mut chunks = self.chunks.iter_mut();
        let chunk = chunks.find(|chunk| matches!(chunk.state, ChunkState::Ready))?;
        chunk.state = ChunkState::InFlight;
        Some(chunk)
    }

    /// Returns the first chunk that has to be cut: its number, its keys and the rows of a part.
    pub(crate) fn first_oversized(&self) -> Option<(u64, &KeyRange, u64)> {
        self.chunks.iter().find_map(|chunk| match &chunk.state {
            ChunkState::Oversized(oversized) => Some((chunk.chunk, &chunk.range, oversized.part)),
            _ => None,
        })
    }

    /// Cuts a part off a chunk at a boundary; with `None` the chunk has no more rows than a part.
    /// Parts grow up to `most` rows, so that a chunk far larger than its estimate is soon cut up.
    pub(crate) fn cut(&mut self, chunk: u64, bound: Option<Bound>, most: u64) {
        let Some(place) = self.chunks.iter().position(|cut| cut.chunk == chunk) else { return };
        let front = &mut self.chunks[place];
        let ChunkState::Oversized(oversized) = &mut front.state else { return };
        let (least, part) = (oversized.failure.least_rows(), oversized.part);
        match bound {
            Some(bound) => {
                let (range, behind) = front.range.cut(bound);
                oversized.part = part.max(most.min(part * 2));
                oversized.is_cut = true;
                let rows = front.rows.saturating_sub(part).max(1);
                let state = std::mem::replace(&mut front.state, ChunkState::Ready);
                (front.range, front.rows, front.smallest) = (range, part, false);
                let chunk = self.next_chunk;
                self.next_chunk += 1;
                let (range, is_stored, smallest) = (behind, false, false);
                let behind = CutChunk { chunk, range, rows, state, is_stored, smallest };
                self.chunks.insert(place + 1, behind);
            }
            None if oversized.is_cut => (front.rows, front.state) = (part, ChunkState::Ready),
            None if part > least => oversized.part = part.div_ceil(2).max(least),
            None if oversized.failure == ReadFailure::TooLarge => {
                (front.rows, front.smallest, front.state) = (part, true, ChunkState::Ready);
            }
            None => self.give_up_chunk(chunk),
        }
    }

    /// Returns a chunk by its number.
    pub(crate) fn get(&mut self, chunk: u64) -> Option<&mut CutChunk> {
        self.chunks.iter_mut().find(|cut| cut.chunk == chunk)
    }

    /// Takes the result of a chunk.
    pub(crate) fn set_compared(&mut self, chunk: u64, compared: RangeComparison) {
        self.given_up = 0;
        if let Some(chunk) = self.get(chunk) {
            chunk.state = ChunkState::Done(ChunkOutcome::RangeComparison(compared));
        }
    }

    /// Takes the failure of a chunk; `is_whole` is set if it cannot be cut.
    pub(crate) fn set_failed(
        &mut self,
        chunk: u64,
        failure: ReadFailure,
        reason: &str,
        is_whole: bool,
    ) -> AfterFailure {
        let Some(cut) = self.get(chunk) else { return AfterFailure::Ends };
        let (rows, least) = (cut.rows, failure.least_rows());
        let part = rows.div_ceil(2).max(least);
        let is_second = cut.smallest && failure == ReadFailure::TooLarge;
        let reason = reason.to_owned();
        cut.state = ChunkState::Oversized(Oversized { reason, failure, part, is_cut: false });
        if least < u64::MAX && !is_whole && !is_second {
            return AfterFailure::Smaller(rows);
        }
        self.give_up_chunk(chunk);
        let is_hopeless =
            is_whole || failure != ReadFailure::TooLarge || self.given_up >= MOST_GIVEN_UP;
        match failure != ReadFailure::BadRow && is_hopeless {
            true => AfterFailure::Ends,
            false => AfterFailure::GivenUp,
        }
    }

    /// Sets a chunk to undecided.
    fn give_up_chunk(&mut self, chunk: u64) {
        let Some(cut) = self.get(chunk) else { return };
        let (reason, is_one_row) = match &cut.state {
            ChunkState::Oversized(Oversized { reason, failure, .. }) => {
                (reason.clone(), *failure == ReadFailure::BadRow)
            }
            _ => ("not read".to_owned(), false),
        };
        cut.state = ChunkState::Done(ChunkOutcome::Undecided(cut.rows, reason));
        self.given_up += u32::from(!is_one_row);
    }

    /// Leaves out what is neither done nor in flight. Returns its estimated rows.
    pub(crate) fn leave_rest(&mut self) -> u64 {
        let mut rows = 0;
        for chunk in &mut self.chunks {
            if !matches!(chunk.state, ChunkState::Done(_) | ChunkState::InFlight) {
                chunk.state = ChunkState::Done(ChunkOutcome::Skipped);
                rows += chunk.rows;
            }
        }
        rows
    }

    /// Sets every chunk that is not done to undecided.
    pub(crate) fn give_up(&mut self, reason: &str) {
        for chunk in &mut self.chunks {
            if !matches!(chunk.state, ChunkState::Done(_)) {
                let reason = reason.to_owned();
                chunk.state = ChunkState::Done(ChunkOutcome::Undecided(chunk.rows, reason));
            }
        }
    }

    /// Removes and returns the chunks that are done with all before them.
    pub(crate) fn take_finished(&mut self) -> Vec<FinishedChunk> {
        let mut finished = Vec::new();
        while let Some(CutChunk { state: ChunkState::Done(_), .. }) = self.chunks.front() {
            if let Some(front) = self.chunks.pop_front()
                && let CutChunk { chunk, range, rows, is_stored, state, .. } = front
                && let ChunkState::Done(outcome) = state
            {
                finished.push(FinishedChunk { chunk, range, rows, outcome, is_stored });
            }
        }
        finished
    }

    /// Returns whether there is no chunk.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Key, KeyField};

    fn bound(number: u8) -> Option<Bound> {
        Some(Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() })
    }

    fn prior(
        chunk: u64,
        after: Option<u8>,
        through: Option<u8>,
        state: PriorChunkState,
    ) -> PriorChunk {
        let range = KeyRange { after: after.and_then(bound), through: through.and_then(bound) };
        PriorChunk { chunk, range, rows: 10, state }
    }

    fn restored(prior: Vec<PriorChunk>, field: KeyField) -> (ChunksInFlight, Option<KeyRange>) {
        let mut chunks = ChunksInFlight::default();
        let (rest, _) = chunks.restore(prior, &KeyRange::everything(), &KeyOrder(vec![field]));
        (chunks, rest)
    }

    #[test]
    fn chunks_of_an_interrupted_run_tile_with_what_was_on_its_way() {
        let (mut chunks, rest) = restored(
            vec![
                prior(4, Some(30), Some(40), PriorChunkState::Dirty),
                prior(0, None, Some(10), PriorChunkState::Clean(9)),
                prior(2, Some(20), Some(30), PriorChunkState::Clean(7)),
            ],
            KeyField::Bytes,
        );
        assert_eq!(rest, Some(KeyRange { after: bound(40), through: None }));
        let finished = chunks.take_finished();
        assert_eq!(finished.len(), 1, "the gap behind it holds the rest back");
        let gap = chunks.start().unwrap();
        assert_eq!((gap.chunk, &gap.range.after, &gap.range.through), (5, &bound(10), &bound(20)));
        assert!(chunks.start().is_none());
        assert_eq!(chunks.first_stored(), Some(4));
    }

    #[test]
    fn a_scan_that_was_through_leaves_no_rest() {
        let all = || {
            vec![
                prior(1, Some(10), None, PriorChunkState::Clean(1)),
                prior(0, None, Some(10), PriorChunkState::Clean(1)),
            ]
        };
        for field in [KeyField::Bytes, KeyField::Collated] {
            let (mut chunks, rest) = restored(all(), field);
            assert_eq!((chunks.take_finished().len(), rest), (2, None));
        }
        assert_eq!(restored(Vec::new(), KeyField::Bytes).1, Some(KeyRange::everything()));
    }

    #[test]
    fn in_an_order_of_the_servers_chunks_count_as_far_as_they_hang_together() {
        let prior_chunks = vec![
            prior(0, None, Some(20), PriorChunkState::Clean(1)),
            prior(3, Some(5), Some(7), PriorChunkState::Clean(1)),
            prior(1, Some(20), Some(3), PriorChunkState::Clean(1)),
        ];
        let (mut chunks, rest) = restored(prior_chunks, KeyField::Collated);
        assert_eq!(chunks.take_finished().len(), 2);
        assert_eq!(rest.unwrap().after, bound(3));
    }

    /// A chunk that is 2,500 times what the statistics say: the guess ends nothing.
    #[test]
    fn a_chunk_far_larger_than_thought_is_cut_until_it_can_be_read() {
        let bound =
            |n: u64| Bound { key: Key::new([&n.to_be_bytes()[..]]), text: [n.to_string()].into() };
        let number =
            |bound: &Option<Bound>| bound.as_ref().map(|b| b.text[0].parse::<u64>().unwrap());
        for (failure, least) in [(ReadFailure::TooLarge, 1_000_000), (ReadFailure::BadRow, 999_999)]
        {
            let (mut chunks, keys, mut compared, mut lost) =
                (ChunksInFlight::default(), 1_000_000, 0, 0);
            chunks.push(KeyRange::everything(), 400, ChunkState::Ready);
            let mut statements = 0;
            while !chunks.is_empty() {
                statements += 1;
                if let Some(cut) = chunks.start() {
                    let after = number(&cut.range.after).unwrap_or(0);
                    let through = number(&cut.range.through).unwrap_or(keys);
                    let (chunk, rows) = (cut.chunk, through - after);
                    // 20,000 rows take too long; one row cannot be read.
                    let fails = match failure {
                        ReadFailure::TooLarge => rows > 20_000,
                        _ => after < 777_777 && 777_777 <= through,
                    };
                    if fails {
                        chunks.set_failed(chunk, failure, "canceled", false);
                    } else {
                        chunks.set_compared(chunk, RangeComparison::default());
                        compared += rows;
                    }
                } else if let Some((chunk, range, piece)) = chunks.first_oversized() {
                    let at = number(&range.after).unwrap_or(0) + piece;
                    let end = number(&range.through).unwrap_or(keys);
                    let last = range.through.is_some() && at == end;
                    chunks.cut(chunk, (at <= end && !last).then(|| bound(at)), 20_000);
                }
                let finished = chunks.take_finished();
                lost += finished
                    .iter()
                    .filter(|finished| matches!(finished.outcome, ChunkOutcome::Undecided(..)))
                    .count();
            }
            assert!(compared >= least && statements < 1_000, "{compared} in {statements}");
            assert_eq!(lost, usize::from(failure == ReadFailure::BadRow));
        }
    }
}
