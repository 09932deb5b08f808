//! Runs: more than 10,000 consecutive keys that stand on one side only, such as a backfill that has
//! not come by yet, become one finding instead of as many.
//!
//! ```text
//!  other side ──●────●●─────────────────────────────────────●──●──▶ keys
//!  this side  ──●─○──●●──○─○○○[○○○○○○○○○○][○○○○○○○○○]○○○─○──●──●──▶
//!                 ▲       └────── after … run … through ─┘
//!                 a key alone
//! ```
//!
//! A run is a gap between two neighbouring keys of the other side that holds more than so many rows
//! of this side; that does not depend on where chunks begin and end. Chunks come in key order. What
//! stands on one side only is collected until it could be a run; then the gap around it is asked
//! for (two steps in an index), and what lies within is either a run, as pieces, or a few keys.

use std::collections::VecDeque;

use super::{Gap, Item, Piece, Told};
use crate::row::{Bound, KeyOrder, KeyRange};
use crate::schema::Side;

/// Collects one-sided rows of one mapping, in key order.
#[derive(Debug)]
pub struct Runs {
    order: KeyOrder,
    limit: u64,
    state: State,
    queued: VecDeque<Vec<Item>>,
}

#[derive(Debug)]
enum State {
    /// Items of one side that could be (part of) a run.
    Collecting { side: Side, items: Vec<Item>, rows: u64 },
    /// Waiting for the gap around an item of the collection.
    Asking { side: Side, items: Vec<Item> },
    /// Within a run. `end` is where its last piece ended.
    Open { side: Side, until: Option<Bound>, end: Option<Bound> },
}

const NOTHING: State = State::Collecting { side: Side::Source, items: Vec::new(), rows: 0 };

impl Runs {
    /// Collects in this order; runs have more than `limit` rows.
    pub fn new(order: KeyOrder, limit: u64) -> Runs {
        Runs { order, limit, state: NOTHING, queued: VecDeque::new() }
    }

    /// Takes the next chunk in: its items in key order. A chunk whose sides agree hands on nothing
    /// and still has to be told, since agreement ends a run.
    pub fn chunk(&mut self, items: Vec<Item>, agreed: bool) -> Vec<Told> {
        let mut told = Vec::new();
        if matches!(self.state, State::Asking { .. }) {
            self.queued.push_back(items);
            return told;
        }
        if items.is_empty() && agreed {
            self.interrupt(&mut told);
        }
        self.take(items, &mut told);
        told
    }

    /// Takes the gap in that was asked for.
    pub fn gap(&mut self, gap: Gap) -> Vec<Told> {
        let mut told = Vec::new();
        let State::Asking { side, items } = std::mem::replace(&mut self.state, NOTHING) else {
            return told;
        };
        let mut inside = Vec::new();
        let mut right = Vec::new();
        for item in items {
            if item.ends_by(&self.order, gap.after.as_ref()) {
                told.push(item.release());
            } else if item.begins_behind(&self.order, gap.until.as_ref()) {
                right.push(item);
            } else {
                inside.push(item);
            }
        }
        let rows = inside.iter().map(Item::rows).sum::<u64>();
        if rows > self.limit {
            told.push(Told::Opened(side, gap.after.clone()));
            self.state = State::Open { side, until: gap.until, end: gap.after };
            self.take(inside, &mut told);
        } else if right.is_empty() {
            // The gap goes on behind what has been read so far, and may yet fill.
            self.state = State::Collecting { side, items: inside, rows };
        } else {
            inside.into_iter().for_each(|item| told.push(item.release()));
        }
        self.take(right, &mut told);
        while let Some(items) = self.queued.pop_front() {
            if matches!(self.state, State::Asking { .. }) {
                self.queued.push_front(items);
                break;
            }
            self.take(items, &mut told);
        }
        told
    }

    /// No more chunks come.
    pub fn finish(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        if !matches!(self.state, State::Asking { .. }) {
            self.interrupt(&mut told);
        }
        told
    }

    /// Gives back everything that is held, asked for or not: the run was stopped.
    pub fn abandon(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        self.interrupt(&mut told);
        self.queued.drain(..).flatten().for_each(|item| told.push(item.release()));
        told
    }

    /// Whether a gap was asked for and is not known yet.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Asking { .. })
    }

    /// Whether nothing is held back.
    pub fn is_idle(&self) -> bool {
        self.queued.is_empty()
            && matches!(&self.state, State::Collecting { items, .. } if items.is_empty())
    }

    fn take(&mut self, items: Vec<Item>, told: &mut Vec<Told>) {
        let mut items = VecDeque::from(items);
        while let Some(item) = items.pop_front() {
            let Some(side) = item.side() else {
                self.interrupt(told);
                told.push(item.release());
                continue;
            };
            match &mut self.state {
                State::Open { side: of, until, .. } => {
                    let belongs = *of == side && !item.begins_behind(&self.order, until.as_ref());
                    if belongs {
                        self.extend(item, &mut items, told);
                    } else {
                        self.interrupt(told);
                        items.push_front(item);
                    }
                }
                State::Collecting { side: of, items: held, .. }
                    if *of != side && !held.is_empty() =>
                {
                    self.interrupt(told);
                    items.push_front(item);
                }
                State::Collecting { side: of, items: held, rows } => {
                    *of = side;
                    *rows += item.rows();
                    held.push(item);
                    if *rows > self.limit {
                        let held = std::mem::take(held);
                        told.push(find_gap(side, &held));
                        self.state = State::Asking { side, items: held };
                        if !items.is_empty() {
                            self.queued.push_front(items.into());
                        }
                        return;
                    }
                }
                // Not reached: items are queued while a gap is asked for.
                State::Asking { .. } => told.push(item.release()),
            }
        }
    }

    /// Adds an item to the open run; keys that follow each other make one piece.
    fn extend(&mut self, item: Item, rest: &mut VecDeque<Item>, told: &mut Vec<Told>) {
        let order = &self.order;
        let State::Open { side, until, end } = &mut self.state else { return };
        let piece = match item {
            Item::Lone(piece) => piece,
            Item::Key(first, _) => {
                let mut digest = first.image[*side];
                let mut last = first.key;
                while let Some(item @ Item::Key(next, _)) = rest.front()
                    && item.side() == Some(*side)
                    && !item.begins_behind(order, until.as_ref())
                {
                    digest += next.image[*side];
                    last = next.key.clone();
                    rest.pop_front();
                }
                let through = Some(Bound { key: last, text: [].into() });
                let range = KeyRange { after: end.clone(), through };
                Piece { range, side: *side, digest }
            }
        };
        *end = piece.range.through.clone();
        told.push(Told::Piece(piece));
    }

    /// Something stands here on the other side: what was collected is no run, an open one ends.
    fn interrupt(&mut self, told: &mut Vec<Told>) {
        match std::mem::replace(&mut self.state, NOTHING) {
            State::Collecting { items, .. } | State::Asking { items, .. } => {
                items.into_iter().for_each(|item| told.push(item.release()));
            }
            State::Open { .. } => told.push(Told::Closed),
        }
    }
}

/// The gap is asked for around a lone chunk, or else around the key in the middle.
fn find_gap(side: Side, items: &[Item]) -> Told {
    let lone = items.iter().find(|item| matches!(item, Item::Lone(_)));
    let key_of = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.key.clone());
    match lone.unwrap_or(&items[items.len() / 2]) {
        Item::Lone(piece) => Told::FindGap {
            side,
            low: key_of(&piece.range.after),
            high: key_of(&piece.range.through),
        },
        Item::Key(suspect, _) => {
            Told::FindGap { side, low: Some(suspect.key.clone()), high: Some(suspect.key.clone()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::compare::Suspected;
    use crate::row::{Digest, Fingerprint, Key, KeyField};
    use crate::schema::BySide;

    const LIMIT: u64 = 8;

    fn key(number: u32) -> Key {
        Key::new([&number.to_be_bytes()[..]])
    }

    fn number(key: &Key) -> u32 {
        u32::from_be_bytes(key.fields().next().unwrap().try_into().unwrap())
    }

    fn bound(number: u32) -> Bound {
        Bound { key: key(number), text: [number.to_string()].into() }
    }

    fn digest(rows: u64) -> Digest {
        let mut digest = Digest::default();
        (0..rows).for_each(|_| digest.add(Fingerprint::of_row_hash(1)));
        digest
    }

    type Keys = BySide<BTreeSet<u32>>;

    /// What is found: runs as (side, key before, rows), and keys by themselves.
    #[derive(Debug, Default, PartialEq)]
    struct Found {
        runs: Vec<(Side, Option<u32>, u64)>,
        keys: BTreeSet<u32>,
    }

    fn oracle(keys: &Keys) -> Found {
        let mut found = Found::default();
        let union: BTreeSet<u32> = keys.source.union(&keys.target).copied().collect();
        let mut run: (Option<Side>, Vec<u32>) = (None, Vec::new());
        let mut end = |run: &mut (Option<Side>, Vec<u32>)| {
            let (side, held) = std::mem::take(run);
            match side {
                Some(side) if held.len() as u64 > LIMIT => {
                    // the last key of the other side before the run
                    let before = keys[side.other()].range(..held[0]).next_back().copied();
                    found.runs.push((side, before, held.len() as u64));
                }
                _ => found.keys.extend(held),
            }
        };
        for number in union {
            let only = match (keys.source.contains(&number), keys.target.contains(&number)) {
                (true, false) => Some(Side::Source),
                (false, true) => Some(Side::Target),
                _ => None,
            };
            if only != run.0 {
                end(&mut run);
                run.0 = only;
            }
            if only.is_some() {
                run.1.push(number);
            }
        }
        end(&mut run);
        found
    }

    /// Hears what becomes of the items, and finds gaps when it gets to it.
    struct Ear<'k> {
        keys: &'k Keys,
        found: Found,
        open: Option<(Side, Option<u32>, u64)>,
        asked: Option<(Side, Option<Key>, Option<Key>)>,
    }

    impl Ear<'_> {
        fn hear(&mut self, told: Vec<Told>) {
            for one in told {
                match one {
                    Told::Candidate(suspect, _) => {
                        assert!(self.found.keys.insert(number(&suspect.key)));
                    }
                    Told::ReadKeys(Piece { range, side, .. }) => {
                        let after = range.after.map(|bound| number(&bound.key));
                        let through = range.through.map(|bound| number(&bound.key));
                        let within = |n: &&u32| {
                            after.is_none_or(|a| a < **n) && through.is_none_or(|t| **n <= t)
                        };
                        self.found.keys.extend(self.keys[side].iter().filter(within));
                    }
                    Told::FindGap { side, low, high } => {
                        assert!(self.asked.replace((side, low, high)).is_none());
                    }
                    Told::Opened(side, after) => {
                        let after = after.map(|bound| number(&bound.key));
                        assert!(self.open.replace((side, after, 0)).is_none());
                    }
                    Told::Piece(piece) => self.open.as_mut().unwrap().2 += piece.digest.rows,
                    Told::Closed => self.found.runs.push(self.open.take().unwrap()),
                }
            }
        }

        fn answer(&mut self, runs: &mut Runs) {
            while let Some((side, low, high)) = self.asked.take() {
                let other = &self.keys[side.other()];
                // A key of this side is not on the other: at or before is before.
                let after = low.and_then(|k| other.range(..=number(&k)).next_back().copied());
                let until = high.and_then(|k| other.range(number(&k) + 1..).next().copied());
                let gap = Gap { after: after.map(bound), until: until.map(bound) };
                self.hear(runs.gap(gap));
            }
        }
    }

    /// What a chunk hands on.
    fn items(rows: &BySide<Vec<u32>>, range: &KeyRange) -> Vec<Item> {
        let lone = |side: Side| {
            let digest = digest(rows[side].len() as u64);
            vec![Item::Lone(Piece { range: range.clone(), side, digest })]
        };
        match (rows.source.is_empty(), rows.target.is_empty()) {
            (true, true) => return Vec::new(),
            (false, true) => return lone(Side::Source),
            (true, false) => return lone(Side::Target),
            (false, false) => {}
        }
        let union: BTreeSet<u32> = rows.source.iter().chain(&rows.target).copied().collect();
        let image = |n: u32| BySide::new(|side| digest(u64::from(rows[side].contains(&n))));
        let differs = |n: &u32| image(*n).source != image(*n).target;
        let home = Arc::new(range.clone());
        let item =
            |n: u32| Item::Key(Suspected { key: key(n), image: image(n) }, Arc::clone(&home));
        union.into_iter().filter(differs).map(item).collect()
    }

    /// Compares in chunks that end at these keys; gaps are answered only every so many chunks.
    fn in_chunks(keys: &Keys, ends: &BTreeSet<u32>, patience: usize) -> Found {
        let mut runs = Runs::new(KeyOrder(vec![KeyField::Bytes]), LIMIT);
        let mut ear = Ear { keys, found: Found::default(), open: None, asked: None };
        let mut after = None;
        for (chunk, end) in ends.iter().copied().map(Some).chain([None]).enumerate() {
            let rows = BySide::new(|side| {
                let from = after.map_or(0, |after: u32| after + 1);
                let numbers = keys[side].range(from..).copied();
                numbers.take_while(|n| end.is_none_or(|e| *n <= e)).collect::<Vec<_>>()
            });
            let range = KeyRange { after: after.map(bound), through: end.map(bound) };
            let items = items(&rows, &range);
            let agreed = items.is_empty() && !rows.source.is_empty();
            ear.hear(runs.chunk(items, agreed));
            if chunk % (patience + 1) == 0 {
                ear.answer(&mut runs);
            }
            after = end;
        }
        ear.answer(&mut runs);
        ear.hear(runs.finish());
        assert!(runs.is_idle() && ear.asked.is_none());
        ear.found
    }

    #[test]
    fn an_empty_side_is_one_run_whatever_the_chunks() {
        let keys = Keys { source: (1..=100).collect(), target: BTreeSet::new() };
        for ends in [vec![], vec![50], (1..100).collect(), vec![1, 99]] {
            let found = in_chunks(&keys, &ends.into_iter().collect(), 0);
            assert_eq!(found, oracle(&keys));
            assert_eq!(found.runs, [(Side::Source, None, 100)]);
        }
    }

    #[test]
    fn a_run_has_more_rows_than_the_limit() {
        for (rows, runs) in [(LIMIT, 0), (LIMIT + 1, 1)] {
            let source = (10..10 + rows as u32).collect();
            let keys = Keys { source, target: [5, 500].into() };
            let found = in_chunks(&keys, &[12, 14].into(), 0);
            assert_eq!(found, oracle(&keys));
            assert_eq!(found.runs.len(), runs);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Stretches of keys on both, one or no side, cut into chunks anywhere.
        #[test]
        fn runs_do_not_depend_on_chunks(
            stretches in prop::collection::vec((0..5u8, 1..14u32), 1..20),
            ends in prop::collection::btree_set(0..200u32, 0..40),
            patience in 0..4usize,
        ) {
            let mut keys = Keys::default();
            let mut next = 1;
            for (kind, length) in stretches {
                for number in next..next + length {
                    if kind == 0 || kind >= 3 { keys.source.insert(number); }
                    if kind == 0 || kind == 1 { keys.target.insert(number); }
                }
                next += length;
            }
            prop_assert_eq!(in_chunks(&keys, &ends, patience), oracle(&keys));
        }
    }
}
