//! The chunk queue of one mapping: which range is compared next.
//!
//! ```text
//!   chunk 7     chunk 8      chunk 9    remaining range
//! ──done──][──in flight──][──ready──][──────────────▶ keys
//!     └ returned in key order, as soon as all chunks before it are done
//! ```
//!
//! Chunks end at boundaries of the statistics' histogram where chunks are larger than its steps. Where
//! they are not, or behind the histogram's end, the next boundary is probed for on the side that had
//! more rows so far. The scan is complete only when neither side has rows behind the last boundary.
//! A chunk that is too large for one statement is cut in two in its place.

use std::time::Duration;

use super::boundaries::{ChunkBoundaries, Readiness};
use super::failure::ReadFailure;
use super::in_flight::{AfterFailure, ChunkOutcome, ChunkState, ChunksInFlight, FinishedChunk};
use super::prior::PriorChunk;
use super::remaining_ranges::{Remaining, ScanRange};
use super::settings::ChunkSettings;
use super::step::ScanStep;
use crate::compare::RangeComparison;
use crate::plan::{MappingPlan, Strategy};
use crate::row::{Bound, KeyOrder, KeyRange, VerifiedBy};
use crate::schema::{BySide, Side};

/// A probe that is in flight.
#[derive(Clone, Copy, Debug)]
struct PendingProbe {
    /// The chunk that is cut in two; `None` for the remaining range.
    chunk: Option<u64>,
    side: Side,
    second_try: bool,
}

/// The chunk queue of one mapping.
#[derive(Debug)]
pub(crate) struct ChunkQueue {
    remaining: Remaining,
    in_flight: ChunksInFlight,
    order: KeyOrder,
    boundaries: ChunkBoundaries,
    probe: Option<PendingProbe>,
    /// Whether everything is read as one chunk.
    whole: bool,
    /// Whether that chunk may be cut.
    cut_whole: bool,
    /// The estimated rows of that chunk.
    whole_rows: u64,
    served: BySide<bool>,
    larger: Side,
}

impl ChunkQueue {
    /// Creates the queue of a whole mapping.
    pub(crate) fn new(plan: &MappingPlan, settings: ChunkSettings) -> ChunkQueue {
        let served = plan.sides.as_ref().map(|side| side.served_by.is_some());
        let estimated = plan.sides.as_ref().map(|side| side.estimated_rows.unwrap_or(0));
        ChunkQueue {
            remaining: Remaining::everything(),
            in_flight: ChunksInFlight::default(),
            order: plan.order.clone(),
            boundaries: ChunkBoundaries::new(plan, settings),
            probe: None,
            // Without an index each range would read the whole table. Digests are drilled into by hash
            // bucket, and streams are sorted; only a stream can be cut if it is too large.
            whole: !plan.has_since()
                && !plan.served()
                && (plan.strategy == Strategy::Digest || plan.chunk_rows.is_none()),
            cut_whole: plan.strategy == Strategy::Stream,
            whole_rows: estimated.source.max(estimated.target),
            served,
            larger: if estimated.target > estimated.source { Side::Target } else { Side::Source },
        }
    }

    /// Creates a queue of these ranges only, in key order, each with its estimated rows.
    pub(crate) fn of_ranges(
        plan: &MappingPlan,
        settings: ChunkSettings,
        ranges: Vec<(KeyRange, u64)>,
    ) -> ChunkQueue {
        let mut queue = ChunkQueue::new(plan, settings);
        queue.remaining.rest = None;
        queue.whole = false;
        queue.boundaries.take_given_ranges();
        for (range, rows) in ranges {
            let behind = KeyRange { after: range.through.clone(), through: range.through.clone() };
            queue.in_flight.push(range, rows, ChunkState::Ready);
            // The next range is no neighbour: a range of one-sided rows ends here.
            queue.in_flight.push(behind, 0, ChunkState::Done(ChunkOutcome::Skipped));
        }
        queue
    }

    /// Creates a queue of ranges that are scanned one after the other, in any order.
    pub(crate) fn of_scan_ranges(
        plan: &MappingPlan,
        settings: ChunkSettings,
        ranges: impl IntoIterator<Item = ScanRange>,
    ) -> ChunkQueue {
        let mut queue = ChunkQueue::new(plan, settings);
        queue.remaining = Remaining::of(ranges);
        // A table that no index serves is one range.
        queue.whole &= queue.begin_next_range();
        queue
    }

    /// Begins the next range, if there is one. It is no neighbour of the last, so a range of one-sided
    /// rows ends here.
    fn begin_next_range(&mut self) -> bool {
        let Some(after) = self.remaining.begin_next() else { return false };
        let between = KeyRange { after: after.clone(), through: after };
        self.in_flight.push(between, 0, ChunkState::Done(ChunkOutcome::Skipped));
        true
    }

    /// Returns the run that last verified the range that is being scanned.
    pub(crate) fn last_verified(&self) -> Option<&VerifiedBy> {
        self.remaining.verified.as_ref()
    }

    /// Leaves out everything that is not in flight. Returns its estimated rows.
    pub(crate) fn leave_rest(&mut self) -> u64 {
        self.probe = None;
        let rest = self.remaining.rest_rows();
        let remaining: u64 = self.remaining.take_all(rest).into_iter().map(|(_, rows)| rows).sum();
        self.in_flight.leave_rest() + remaining
    }

    /// Restores chunks that were compared before an interruption. Returns how many of them count.
    pub(crate) fn restore(&mut self, chunks: Vec<PriorChunk>, within: &KeyRange) -> u64 {
        self.boundaries.restore(chunks.iter().map(|chunk| chunk.rows).collect());
        let (rest, number) = self.in_flight.restore(chunks, within, &self.order);
        self.remaining.rest = rest;
        number
    }

    /// Returns the first chunk whose outcome has to be read from the ledger.
    pub(crate) fn first_stored(&self) -> Option<u64> {
        self.in_flight.first_stored()
    }

    /// Sets the stored outcome of a chunk; with `None` it is compared again.
    pub(crate) fn set_stored(&mut self, chunk: u64, compared: Option<RangeComparison>) {
        if let Some(chunk) = self.in_flight.get(chunk) {
            (chunk.is_stored, chunk.state) = match compared {
                Some(compared) => (true, ChunkState::Done(ChunkOutcome::RangeComparison(compared))),
                None => (false, ChunkState::Ready),
            };
        }
    }

    /// Sets a chunk to undecided: another process could not compare it, for this reason.
    pub(crate) fn set_undecided(&mut self, chunk: u64, reason: String) {
        if let Some(chunk) = self.in_flight.get(chunk) {
            chunk.state = ChunkState::Done(ChunkOutcome::Undecided(chunk.rows, reason));
        }
    }

    /// Limits the queue to one range with its estimated rows. Chunks are numbered from `first` on;
    /// some of them were compared before.
    pub(crate) fn limit(&mut self, part: (&KeyRange, u64), first: u64, chunks: Vec<PriorChunk>) {
        let (within, rows) = part;
        self.in_flight.number_from(first);
        let compared = chunks.iter().map(|chunk| chunk.rows).sum();
        self.remaining.set_rows(rows.saturating_sub(compared));
        self.restore(chunks, within);
    }

    /// Forgets the chunks that the ledger has: the process that completes the run reports them.
    pub(crate) fn forget_stored(&mut self) {
        self.in_flight.forget_stored();
    }

    /// Marks a chunk as stored, if it can be stored before all chunks before it are done. Returns its
    /// keys and estimated rows.
    pub(crate) fn mark_stored(&mut self, chunk: u64) -> Option<(KeyRange, u64)> {
        let is_known = self.order.is_known() && !self.boundaries.takes_sample();
        let chunk = self.in_flight.get(chunk).filter(|_| is_known)?;
        chunk.is_stored = true;
        Some((chunk.range.clone(), chunk.rows))
    }

    /// Returns what to do next; `None` if nothing can be done now.
    pub(crate) fn next_step(&mut self) -> Option<ScanStep> {
        if self.whole
            && let Some(range) = self.remaining.rest.take()
        {
            self.push(range, self.whole_rows.max(self.boundaries.next_rows()));
        }
        if let Some(cut) = self.in_flight.start() {
            let (chunk, range, smallest) = (cut.chunk, cut.range.clone(), cut.smallest);
            let expected = self.boundaries.expect(cut.rows);
            return Some(ScanStep::Scan { chunk, range, expected, smallest });
        }
        match self.boundaries.readiness() {
            Readiness::NeedsHistogram => return Some(ScanStep::Histogram { side: self.larger }),
            Readiness::Waits => return None,
            Readiness::Ready => {}
        }
        if self.probe.is_some() {
            return None;
        }
        if let Some(rest) = &self.remaining.rest
            && let Some((bound, rows)) = self.boundaries.known_end(rest.after.as_ref())
        {
            let rest = rest.clone();
            let ends = |through: &Bound| self.order.compare(&bound.key, &through.key).is_ge();
            if rest.through.as_ref().is_some_and(ends) {
                self.remaining.rest = None;
                self.push(rest, rows);
            } else {
                self.cut_off(rest, bound, rows);
            }
            return self.next_step();
        }
        let (chunk, range, rows) = match (self.in_flight.first_oversized(), &self.remaining.rest) {
            (Some((chunk, range, part)), _) => (Some(chunk), range.clone(), part),
            (None, Some(rest)) => (None, rest.clone(), self.boundaries.next_rows()),
            (None, None) => {
                return if self.begin_next_range() { self.next_step() } else { None };
            }
        };
        let side = if self.served[self.larger] || !self.served[self.larger.other()] {
            self.larger
        } else {
            self.larger.other()
        };
        self.probe = Some(PendingProbe { chunk, side, second_try: false });
        Some(ScanStep::Probe { side, range, rows })
    }

    /// Sets the histogram: its boundaries in order, none if there is no histogram.
    pub(crate) fn set_histogram(&mut self, bounds: Vec<Bound>, table_rows: u64) {
        self.boundaries.set_histogram(bounds, table_rows);
    }

    /// Cuts a chunk off the remaining range.
    fn cut_off(&mut self, rest: KeyRange, bound: Bound, rows: u64) {
        let (chunk, rest) = rest.cut(bound);
        self.push(chunk, rows);
        self.remaining.cut_off(rest, rows);
    }

    /// Takes the result of a probe: a boundary, or `None` if the range has fewer rows. Returns another
    /// probe if one is needed.
    pub(crate) fn set_boundary(&mut self, rows: u64, found: Option<Bound>) -> Option<ScanStep> {
        let probe = self.probe.take()?;
        let range = match probe.chunk {
            Some(chunk) => self.in_flight.get(chunk)?.range.clone(),
            None => self.remaining.rest.clone()?,
        };
        // The range's own ends cut nothing off.
        let is_end = |end: &Option<Bound>, bound: &Bound| {
            end.as_ref().is_some_and(|end| end.key == bound.key)
        };
        let found =
            found.filter(|bound| !is_end(&range.through, bound) && !is_end(&range.after, bound));
        if found.is_none() && !probe.second_try && self.served[probe.side.other()] {
            let side = probe.side.other();
            self.probe = Some(PendingProbe { side, second_try: true, ..probe });
            return Some(ScanStep::Probe { side, range, rows });
        }
        match (probe.chunk, found) {
            (None, Some(bound)) => self.cut_off(range, bound, rows),
            (None, None) => {
                self.remaining.rest = None;
                self.push(range, rows);
            }
            (Some(chunk), found) => {
                self.in_flight.cut(chunk, found, self.boundaries.next_rows());
            }
        }
        None
    }

    fn push(&mut self, range: KeyRange, rows: u64) {
        let state = match self.boundaries.skips(rows) {
            true => ChunkState::Done(ChunkOutcome::Skipped),
            false => ChunkState::Ready,
        };
        self.in_flight.push(range, rows, state);
    }

    /// Takes the result of a chunk; `statement` is the duration of its first statement.
    pub(crate) fn set_compared(
        &mut self,
        chunk: u64,
        compared: RangeComparison,
        statement: Duration,
    ) {
        let rows = compared.rows;
        if rows[self.larger.other()] > 2 * rows[self.larger] {
            self.larger = self.larger.other();
        }
        if let Some(requested) = self.in_flight.get(chunk).map(|chunk| chunk.rows) {
            self.boundaries.measure(requested, rows, compared.candidates.len(), statement);
        }
        self.in_flight.set_compared(chunk, compared);
    }

    /// Returns whether a chunk can be cut in two.
    pub(crate) fn can_be_cut(&self) -> bool {
        !self.whole || self.cut_whole
    }

    /// Takes the failure of a chunk. Returns whether the mapping has to be given up.
    pub(crate) fn set_failed(&mut self, chunk: u64, failure: ReadFailure, reason: &str) -> bool {
        let then = self.in_flight.set_failed(chunk, failure, reason, !self.can_be_cut());
        if let (AfterFailure::Smaller(rows), ReadFailure::TooLarge) = (then, failure) {
            self.boundaries.too_large(rows);
        }
        then == AfterFailure::Ends
    }

    /// Sets whether chunks are smaller than time allows.
    pub(crate) fn throttle(&mut self, is_throttled: bool) {
        self.boundaries.throttle(is_throttled);
    }

    /// Cuts ranges even where no index serves them.
    pub(crate) fn cut_into_ranges(&mut self) {
        self.whole = false;
    }

    /// Counts rows of the remaining range that were compared by a table scan.
    pub(crate) fn add_scanned(&mut self, rows: u64) {
        self.remaining.add_scanned(rows);
    }

    /// Drops the remaining ranges: a table scan has compared them, or another process does.
    pub(crate) fn close(&mut self) {
        self.remaining.take_all(0);
    }

    /// Ends the scan: what is not done is undecided. `rest_rows` are the estimated rows of the
    /// remaining range; with `None` the queue estimates them itself.
    pub(crate) fn give_up(&mut self, reason: &str, rest_rows: Option<u64>) {
        self.probe = None;
        let rest_rows = rest_rows.unwrap_or_else(|| self.remaining.rest_rows());
        // Those of a sample, too: what the sample would have skipped is not known.
        for (range, rows) in self.remaining.take_all(rest_rows) {
            self.in_flight.push(range, rows, ChunkState::Ready);
        }
        self.in_flight.give_up(reason);
    }

    /// Removes and returns the chunks that are done with all before them, in key order.
    pub(crate) fn take_finished(&mut self) -> Vec<FinishedChunk> {
        self.in_flight.take_finished()
    }

    /// Returns the share of the rows that the sample has taken, if there is one.
    pub(crate) fn sampled_share(&self) -> Option<f64> {
        self.boundaries.sampled_share()
    }

    /// Returns whether every chunk was cut, compared and returned.
    pub(crate) fn is_finished(&self) -> bool {
        self.remaining.is_empty() && self.in_flight.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::sample;
    use crate::row::Key;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    fn bound(number: i32) -> Bound {
        Bound { key: Key::new([&number.to_be_bytes()[..]]), text: [number.to_string()].into() }
    }

    fn number(bound: &Bound) -> i32 {
        bound.text[0].parse().unwrap()
    }

    fn within(keys: &BTreeSet<i32>, range: &KeyRange) -> Vec<i32> {
        let after = range.after.as_ref().map(number);
        let through = range.through.as_ref().map(number);
        let inside =
            |key: &&i32| after.is_none_or(|a| a < **key) && through.is_none_or(|t| **key <= t);
        keys.iter().filter(inside).copied().collect()
    }

    /// Scans keys of both sides, where some chunks fail at first; gives the ranges as they are finished.
    fn scan(
        keys: &BySide<BTreeSet<i32>>,
        chunk_rows: Option<u64>,
        histogram: &BTreeSet<i32>,
        fails: &[bool],
    ) -> Vec<KeyRange> {
        let mut plan = sample::same(&[("id", Builtin::Int4, true)], &["id"]);
        plan.chunk_rows = chunk_rows;
        let mut queue = ChunkQueue::new(&plan, ChunkSettings::of(&CompareSettings::default()));
        let (mut finished, mut fails, mut again) = (Vec::new(), fails.iter(), None);
        while let Some(next) = again.take().or_else(|| queue.next_step()) {
            match next {
                ScanStep::Histogram { .. } => {
                    let bounds = histogram.iter().map(|number| bound(*number)).collect();
                    queue.set_histogram(bounds, 1_000_000);
                }
                ScanStep::Probe { side, range, rows } => {
                    let inside = within(&keys[side], &range);
                    let found = usize::try_from(rows - 1).ok().and_then(|at| inside.get(at));
                    again = queue.set_boundary(rows, found.map(|number| bound(*number)));
                }
                ScanStep::Scan { chunk, range, .. } => {
                    let rows = keys.as_ref().map(|keys| within(keys, &range).len() as u64);
                    if fails.next() == Some(&true) {
                        queue.set_failed(chunk, ReadFailure::BadRow, "too slow");
                    } else {
                        let compared = RangeComparison { rows, ..RangeComparison::default() };
                        queue.set_compared(chunk, compared, Duration::from_millis(500));
                    }
                }
            }
            finished.extend(queue.take_finished().into_iter().map(|finished| finished.range));
        }
        assert!(queue.is_finished());
        finished
    }

    #[test]
    fn a_table_of_any_size_ends_with_an_open_end() {
        for rows in [0, 1, 19_999, 20_000, 20_001] {
            let keys = BySide { source: (0..rows).collect(), target: BTreeSet::new() };
            let finished = scan(&keys, None, &BTreeSet::new(), &[]);
            assert_eq!(finished[0].after, None);
            assert_eq!(finished.last().unwrap().through, None);
        }
    }

    #[test]
    fn a_chunk_that_is_hopeless_ends_as_undecided_and_three_of_them_end_the_mapping() {
        let plan = sample::same(&[("id", Builtin::Int4, true)], &["id"]);
        let mut queue = ChunkQueue::new(&plan, ChunkSettings::of(&CompareSettings::default()));
        queue.next_step();
        queue.set_histogram(Vec::new(), 0);
        let (mut scans, mut ended) = (0, false);
        while !ended && let Some(next) = queue.next_step() {
            match next {
                ScanStep::Probe { rows, range, .. } => {
                    let from = range.after.as_ref().map_or(0, number);
                    let end = range.through.as_ref().map_or(i32::MAX, number);
                    let at = from.saturating_add(i32::try_from(rows).unwrap());
                    // Both sides have the same keys.
                    while queue.set_boundary(rows, (at < end).then(|| bound(at))).is_some() {}
                }
                ScanStep::Scan { chunk, .. } => {
                    scans += 1;
                    ended = queue.set_failed(chunk, ReadFailure::TooLarge, "canceled");
                }
                ScanStep::Histogram { .. } => unreachable!("requested once"),
            }
        }
        assert!(ended && scans < 20, "{scans} scans");
        queue.give_up("canceled", Some(1));
        let finished = queue.take_finished();
        assert!(
            finished.iter().all(|finished| matches!(finished.outcome, ChunkOutcome::Undecided(..)))
        );
        assert!(queue.is_finished());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Chunks are finished in key order and tile: no gap, no overlap, open ends; whatever the sides
        /// hold, wherever the histogram's bounds lie, and however often a chunk has to be cut.
        #[test]
        fn chunks_tile(
            source in prop::collection::btree_set(-50..50, 0..60),
            target in prop::collection::btree_set(-80..20, 0..60),
            chunk_rows in prop::option::of(1..30u64),
            histogram in prop::collection::btree_set(-100..100, 0..12),
            fails in prop::collection::vec(any::<bool>(), 0..12),
        ) {
            let finished = scan(&BySide { source, target }, chunk_rows, &histogram, &fails);
            prop_assert_eq!(&finished[0].after, &None);
            prop_assert_eq!(&finished[finished.len() - 1].through, &None);
            for pair in finished.windows(2) {
                prop_assert!(pair[0].through.is_some());
                prop_assert_eq!(&pair[0].through, &pair[1].after);
                if let (Some(a), Some(b)) = (&pair[0].through, &pair[1].through) {
                    prop_assert!(number(a) < number(b), "an empty or backward chunk");
                }
            }
        }
    }
}
