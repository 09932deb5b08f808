//! Where a mapping's scan stands: what has been cut into chunks, what is on its way, what is left.
//!
//! ```text
//!   chunk 7     chunk 8     chunk 9       rest
//! ──done──][──in flight──][──ready──][──────────────▶ keys
//!     └ told in key order, as soon as all before it are done
//! ```
//!
//! Boundaries come from the statistics' histogram while chunks are larger than its stretches; where
//! they are not, or the histogram ends, the next one is probed for on the side that had more rows so
//! far. The scan is at its end only when both sides have nothing behind the last boundary. A chunk that is too much for one statement
//! is cut in two in its place.

use std::time::Duration;

use super::ahead::{Ahead, Later};
use super::cutting::{Cutting, First};
use super::slots::{Failed, Outcome, Slots, State, Told};
use crate::compare::{Expectation, RangeComparison as Compared};
use crate::ledger::Kept;
use crate::pg::Remedy;
use crate::plan::{MappingPlan, Strategy};
use crate::row::{Bound, KeyOrder, KeyRange, VerifiedBy};
use crate::run::options::Options;
use crate::schema::{BySide, Side};

/// What the scan wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) enum Next {
    /// Ask for the histogram of the key.
    Histogram { side: Side },
    /// Find the key that stands so many rows into a range.
    Probe { side: Side, range: KeyRange, rows: u64 },
    /// Compare a chunk.
    Scan { chunk: u64, range: KeyRange, expected: Expectation, smallest: bool },
}

/// What a probe on its way is for.
#[derive(Clone, Copy, Debug)]
struct Probing {
    /// A chunk that is cut in two, or the rest.
    slot: Option<u64>,
    side: Side,
    second_try: bool,
}

/// One mapping's scan.
#[derive(Debug)]
pub(in crate::run) struct Frontier {
    ahead: Ahead,
    slots: Slots,
    order: KeyOrder,
    cutting: Cutting,
    probing: Option<Probing>,
    /// Whether everything is read in one chunk.
    whole: bool,
    /// Whether that chunk may be cut.
    cut_whole: bool,
    /// About how many rows it has.
    whole_rows: u64,
    served: BySide<bool>,
    larger: Side,
}

impl Frontier {
    /// Nothing cut yet.
    pub(in crate::run) fn new(plan: &MappingPlan, options: &Options) -> Frontier {
        let served = plan.sides.as_ref().map(|side| side.served_by.is_some());
        let estimated = plan.sides.as_ref().map(|side| side.estimated_rows.unwrap_or(0));
        Frontier {
            ahead: Ahead::everything(),
            slots: Slots::default(),
            order: plan.order.clone(),
            cutting: Cutting::new(plan, options),
            probing: None,
            // Each range of a side that no index serves would read the whole of it. Digests are drilled
            // into by class, streams come sorted; only a stream can be cut if it is too much.
            whole: !plan.has_since()
                && !plan.served()
                && (plan.strategy == Strategy::Digest || plan.chunk_rows.is_none()),
            cut_whole: plan.strategy == Strategy::Stream,
            whole_rows: estimated.source.max(estimated.target),
            served,
            larger: if estimated.target > estimated.source { Side::Target } else { Side::Source },
        }
    }

    /// Only these ranges, in key order, each with about so many rows; what lies between them is left
    /// out.
    pub(in crate::run) fn of_ranges(
        plan: &MappingPlan,
        options: &Options,
        ranges: Vec<(KeyRange, u64)>,
    ) -> Frontier {
        let mut frontier = Frontier::new(plan, options);
        frontier.ahead.rest = None;
        frontier.whole = false;
        frontier.cutting.leave_out_nothing();
        for (range, rows) in ranges {
            let behind = KeyRange { after: range.through.clone(), through: range.through.clone() };
            frontier.slots.push(range, rows, State::Ready);
            // It ends a run of one-sided rows: what follows is no neighbour.
            frontier.slots.push(behind, 0, State::Done(Outcome::Skipped));
        }
        frontier
    }

    /// Only these stretches, one after the other; what is left of them when the run has to end is left
    /// to others.
    pub(in crate::run) fn of_stretches(
        plan: &MappingPlan,
        options: &Options,
        stretches: impl IntoIterator<Item = Later>,
    ) -> Frontier {
        let mut frontier = Frontier::new(plan, options);
        frontier.ahead = Ahead::of(stretches);
        // A table that no index serves is one stretch.
        frontier.whole &= frontier.step();
        frontier
    }

    /// Begins with the next stretch, if there is one. What follows is no neighbour: it ends a run of
    /// one-sided rows.
    fn step(&mut self) -> bool {
        let Some(after) = self.ahead.step() else { return false };
        let between = KeyRange { after: after.clone(), through: after };
        self.slots.push(between, 0, State::Done(Outcome::Skipped));
        true
    }

    /// Returns the run that last verified what is scanned now.
    pub(in crate::run) fn last_verified(&self) -> Option<&VerifiedBy> {
        self.ahead.verified.as_ref()
    }

    /// Scans no further. Gives about how many rows are left out.
    pub(in crate::run) fn leave(&mut self) -> u64 {
        self.probing = None;
        let rest = self.ahead.rest_rows();
        let ahead: u64 = self.ahead.take_all(rest).into_iter().map(|(_, rows)| rows).sum();
        self.slots.leave() + ahead
    }

    /// Goes on behind and between chunks that were compared before. Returns how many of them count.
    pub(in crate::run) fn restore(&mut self, kept: Vec<Kept>, within: &KeyRange) -> u64 {
        self.cutting.cut_before(kept.iter().map(|kept| kept.rows).collect());
        let (rest, number) = self.slots.restore(kept, within, &self.order);
        self.ahead.rest = rest;
        number
    }

    /// The first chunk whose outcome has to be read from the ledger.
    pub(in crate::run) fn to_recall(&self) -> Option<u64> {
        self.slots.to_recall()
    }

    /// What the ledger has of a chunk; nothing if it has to be compared again after all.
    pub(in crate::run) fn recalled(&mut self, chunk: u64, compared: Option<Compared>) {
        if let Some(slot) = self.slots.get(chunk) {
            (slot.kept, slot.state) = match compared {
                Some(compared) => (true, State::Done(Outcome::Compared(compared))),
                None => (false, State::Ready),
            };
        }
    }

    /// A chunk could not be compared before, for this reason.
    pub(in crate::run) fn failed_before(&mut self, chunk: u64, reason: String) {
        if let Some(slot) = self.slots.get(chunk) {
            slot.state = State::Done(Outcome::Undecided(slot.rows, reason));
        }
    }

    /// Scans one part only, of about so many rows, in chunks numbered from here on; some of them were
    /// compared before.
    pub(in crate::run) fn limit(&mut self, part: (&KeyRange, u64), first: u64, kept: Vec<Kept>) {
        let (within, rows) = part;
        self.slots.number_from(first);
        self.ahead.has(rows.saturating_sub(kept.iter().map(|kept| kept.rows).sum()));
        self.restore(kept, within);
    }

    /// What was compared before is told by whoever tells the whole.
    pub(in crate::run) fn forget_told(&mut self) {
        self.slots.forget_kept();
    }

    /// A chunk that is cut, with its keys and about how many rows it has; from now on the ledger has
    /// what became of it.
    pub(in crate::run) fn keep(&mut self, chunk: u64) -> Option<(KeyRange, u64)> {
        let known = self.order.is_known() && !self.cutting.samples();
        let slot = self.slots.get(chunk).filter(|_| known)?;
        slot.kept = true;
        Some((slot.range.clone(), slot.rows))
    }

    /// What to do next, if anything can be done now.
    pub(in crate::run) fn next(&mut self) -> Option<Next> {
        if self.whole
            && let Some(range) = self.ahead.rest.take()
        {
            self.push(range, self.whole_rows.max(self.cutting.next_rows()));
        }
        if let Some(slot) = self.slots.start() {
            let (chunk, range, smallest) = (slot.chunk, slot.range.clone(), slot.smallest);
            let expected = self.cutting.expect(slot.rows);
            return Some(Next::Scan { chunk, range, expected, smallest });
        }
        match self.cutting.first() {
            First::Histogram => return Some(Next::Histogram { side: self.larger }),
            First::Wait => return None,
            First::Nothing => {}
        }
        if self.probing.is_some() {
            return None;
        }
        if let Some(rest) = &self.ahead.rest
            && let Some((bound, rows)) = self.cutting.known_end(rest.after.as_ref())
        {
            let rest = rest.clone();
            let ends = |through: &Bound| self.order.compare(&bound.key, &through.key).is_ge();
            if rest.through.as_ref().is_some_and(ends) {
                self.ahead.rest = None;
                self.push(rest, rows);
            } else {
                self.cut_off(rest, bound, rows);
            }
            return self.next();
        }
        let (slot, range, rows) = match (self.slots.too_much(), &self.ahead.rest) {
            (Some((chunk, range, piece)), _) => (Some(chunk), range.clone(), piece),
            (None, Some(rest)) => (None, rest.clone(), self.cutting.next_rows()),
            (None, None) => return if self.step() { self.next() } else { None },
        };
        let side = if self.served[self.larger] || !self.served[self.larger.other()] {
            self.larger
        } else {
            self.larger.other()
        };
        self.probing = Some(Probing { slot, side, second_try: false });
        Some(Next::Probe { side, range, rows })
    }

    /// The histogram is known: its boundaries in order, none if there is no histogram.
    pub(in crate::run) fn histogram(&mut self, bounds: Vec<Bound>, table_rows: u64) {
        self.cutting.histogram(bounds, table_rows);
    }

    /// Cuts a chunk off what is left.
    fn cut_off(&mut self, rest: KeyRange, bound: Bound, rows: u64) {
        let (chunk, rest) = rest.cut(bound);
        self.push(chunk, rows);
        self.ahead.cut_off(rest, rows);
    }

    /// A probe has found a boundary, or that the range has fewer rows. May want another probe.
    pub(in crate::run) fn probed(&mut self, rows: u64, found: Option<Bound>) -> Option<Next> {
        let probing = self.probing.take()?;
        let range = match probing.slot {
            Some(chunk) => self.slots.get(chunk)?.range.clone(),
            None => self.ahead.rest.clone()?,
        };
        // The range's own ends cut nothing off.
        let is_end = |end: &Option<Bound>, bound: &Bound| {
            end.as_ref().is_some_and(|end| end.key == bound.key)
        };
        let found =
            found.filter(|bound| !is_end(&range.through, bound) && !is_end(&range.after, bound));
        if found.is_none() && !probing.second_try && self.served[probing.side.other()] {
            let side = probing.side.other();
            self.probing = Some(Probing { side, second_try: true, ..probing });
            return Some(Next::Probe { side, range, rows });
        }
        match (probing.slot, found) {
            (None, Some(bound)) => self.cut_off(range, bound, rows),
            (None, None) => {
                self.ahead.rest = None;
                self.push(range, rows);
            }
            (Some(chunk), found) => self.slots.probed(chunk, found, self.cutting.next_rows()),
        }
        None
    }

    fn push(&mut self, range: KeyRange, rows: u64) {
        let state =
            if self.cutting.skips(rows) { State::Done(Outcome::Skipped) } else { State::Ready };
        self.slots.push(range, rows, state);
    }

    /// A chunk was compared; `statement` is what its first statement took.
    pub(in crate::run) fn compared(&mut self, chunk: u64, compared: Compared, statement: Duration) {
        let rows = compared.rows;
        if rows[self.larger.other()] > 2 * rows[self.larger] {
            self.larger = self.larger.other();
        }
        if let Some(asked) = self.slots.get(chunk).map(|slot| slot.rows) {
            self.cutting.measured(asked, rows, compared.candidates.len(), statement);
        }
        self.slots.compared(chunk, compared);
    }

    /// Whether a chunk can be cut in two.
    pub(in crate::run) fn can_be_cut(&self) -> bool {
        !self.whole || self.cut_whole
    }

    /// A chunk failed. Tells whether the mapping is to be given up.
    pub(in crate::run) fn failed(&mut self, chunk: u64, remedy: Remedy, reason: &str) -> bool {
        let failed = self.slots.failed(chunk, remedy, reason, !self.can_be_cut());
        if let (Failed::Smaller(rows), Remedy::Shrink) = (failed, remedy) {
            self.cutting.too_much(rows);
        }
        failed == Failed::Ends
    }

    /// Whether chunks are to be smaller than they could be.
    pub(in crate::run) fn ease(&mut self, eases: bool) {
        self.cutting.ease(eases);
    }

    /// Cuts ranges even where no index serves them.
    pub(in crate::run) fn read_in_ranges(&mut self) {
        self.whole = false;
    }

    /// So many rows were compared in another way.
    pub(in crate::run) fn passed(&mut self, rows: u64) {
        self.ahead.passed(rows);
    }

    /// Nothing is left to cut: everything was compared in another way.
    pub(in crate::run) fn close(&mut self) {
        self.ahead.take_all(0);
    }

    /// Ends the scan: what is not done is undecided. How many rows the rest has, a part knows itself.
    pub(in crate::run) fn give_up(&mut self, reason: &str, rest_rows: Option<u64>) {
        self.probing = None;
        let rest_rows = rest_rows.unwrap_or_else(|| self.ahead.rest_rows());
        // A sample's too: what it would have left out of it is not known.
        for (range, rows) in self.ahead.take_all(rest_rows) {
            self.slots.push(range, rows, State::Ready);
        }
        self.slots.give_up(reason);
    }

    /// The chunks that are done with all before them, in key order.
    pub(in crate::run) fn take_done(&mut self) -> Vec<Told> {
        self.slots.take_done()
    }

    /// The share of the rows that the sample has taken, if there is one.
    pub(in crate::run) fn sampled(&self) -> Option<f64> {
        self.cutting.sampled()
    }

    /// Whether everything has been cut, compared and told.
    pub(in crate::run) fn is_finished(&self) -> bool {
        self.ahead.is_empty() && self.slots.is_empty()
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

    /// Scans keys of both sides, where some chunks fail at first; gives the ranges as they are told.
    fn scan(
        keys: &BySide<BTreeSet<i32>>,
        chunk_rows: Option<u64>,
        histogram: &BTreeSet<i32>,
        fails: &[bool],
    ) -> Vec<KeyRange> {
        let mut plan = sample::same(&[("id", Builtin::Int4, true)], &["id"]);
        plan.chunk_rows = chunk_rows;
        let mut frontier = Frontier::new(&plan, &Options::of(&CompareSettings::default()));
        let mut told = Vec::new();
        let mut fails = fails.iter();
        let mut again = None;
        while let Some(next) = again.take().or_else(|| frontier.next()) {
            match next {
                Next::Histogram { .. } => {
                    let bounds = histogram.iter().map(|number| bound(*number)).collect();
                    frontier.histogram(bounds, 1_000_000);
                }
                Next::Probe { side, range, rows } => {
                    let inside = within(&keys[side], &range);
                    let found = usize::try_from(rows - 1).ok().and_then(|at| inside.get(at));
                    again = frontier.probed(rows, found.map(|number| bound(*number)));
                }
                Next::Scan { chunk, range, .. } => {
                    let rows = keys.as_ref().map(|keys| within(keys, &range).len() as u64);
                    if fails.next() == Some(&true) {
                        frontier.failed(chunk, Remedy::Isolate, "too slow");
                    } else {
                        let compared = Compared { rows, ..Compared::default() };
                        frontier.compared(chunk, compared, Duration::from_millis(500));
                    }
                }
            }
            told.extend(frontier.take_done().into_iter().map(|told| told.range));
        }
        assert!(frontier.is_finished());
        told
    }

    #[test]
    fn a_table_of_any_size_ends_with_an_open_end() {
        for rows in [0, 1, 19_999, 20_000, 20_001] {
            let keys = BySide { source: (0..rows).collect(), target: BTreeSet::new() };
            let told = scan(&keys, None, &BTreeSet::new(), &[]);
            assert_eq!(told[0].after, None);
            assert_eq!(told.last().unwrap().through, None);
        }
    }

    #[test]
    fn a_chunk_that_is_hopeless_ends_as_undecided_and_three_of_them_end_the_mapping() {
        let plan = sample::same(&[("id", Builtin::Int4, true)], &["id"]);
        let mut frontier = Frontier::new(&plan, &Options::of(&CompareSettings::default()));
        frontier.next();
        frontier.histogram(Vec::new(), 0);
        let (mut scans, mut ended) = (0, false);
        while let Some(next) = frontier.next() {
            match next {
                Next::Probe { rows, range, .. } => {
                    let from = range.after.as_ref().map_or(0, number);
                    let end = range.through.as_ref().map_or(i32::MAX, number);
                    let at = from.saturating_add(i32::try_from(rows).unwrap());
                    // Both sides have the same keys.
                    while frontier.probed(rows, (at < end).then(|| bound(at))).is_some() {}
                }
                Next::Scan { chunk, .. } => {
                    scans += 1;
                    if frontier.failed(chunk, Remedy::Shrink, "canceled") {
                        ended = true;
                        break;
                    }
                }
                Next::Histogram { .. } => unreachable!("asked for once"),
            }
        }
        assert!(ended && scans < 20, "{scans} scans");
        frontier.give_up("canceled", Some(1));
        let told = frontier.take_done();
        assert!(told.iter().all(|told| matches!(told.outcome, Outcome::Undecided(..))));
        assert!(frontier.is_finished());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Chunks are told in key order and tile: no gap, no overlap, open ends; whatever the sides
        /// hold, wherever the histogram's bounds lie, and however often a chunk has to be cut.
        #[test]
        fn chunks_tile(
            source in prop::collection::btree_set(-50..50, 0..60),
            target in prop::collection::btree_set(-80..20, 0..60),
            chunk_rows in prop::option::of(1..30u64),
            histogram in prop::collection::btree_set(-100..100, 0..12),
            fails in prop::collection::vec(any::<bool>(), 0..12),
        ) {
            let told = scan(&BySide { source, target }, chunk_rows, &histogram, &fails);
            prop_assert_eq!(&told[0].after, &None);
            prop_assert_eq!(&told[told.len() - 1].through, &None);
            for pair in told.windows(2) {
                prop_assert!(pair[0].through.is_some());
                prop_assert_eq!(&pair[0].through, &pair[1].after);
                if let (Some(a), Some(b)) = (&pair[0].through, &pair[1].through) {
                    prop_assert!(number(a) < number(b), "an empty or backward chunk");
                }
            }
        }
    }
}
