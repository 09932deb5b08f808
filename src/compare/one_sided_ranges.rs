//! One-sided ranges: more than 10,000 consecutive keys that only one side has, such as rows before an
//! unfinished backfill, become one finding instead of one each.
//!
//! ```text
//!  other side ──●────●●─────────────────────────────────────●──●──▶ keys
//!  this side  ──●─○──●●──○─○○○[○○○○○○○○○○][○○○○○○○○○]○○○─○──●──●──▶
//!                 ▲       └───── after … range … through ┘
//!                 a key alone
//! ```
//!
//! A one-sided range is a gap between two neighbouring keys of the other side that holds more than so
//! many rows of this side; that does not depend on where chunks begin and end. Chunks come in key order.
//! One-sided rows are collected until there are enough for a range; then the gap around them is found
//! (two steps in an index), and the rows within it are either a range, in parts, or single keys.

use std::collections::VecDeque;

use super::{Item, KeyGap, OneSidedRange, RangeEvent};
use crate::row::{Bound, KeyOrder, KeyRange};
use crate::schema::Side;

/// Collects the one-sided rows of a mapping, in key order, into ranges.
#[derive(Debug)]
pub struct RangeCollector {
    order: KeyOrder,
    limit: u64,
    state: CollectorState,
    queued: VecDeque<Vec<Item>>,
}

#[derive(Debug)]
enum CollectorState {
    /// Items of one side that may belong to a range.
    Collecting { side: Side, items: Vec<Item>, rows: u64 },
    /// Waiting for the gap around one of the items.
    WaitingForGap { side: Side, items: Vec<Item> },
    /// Within a range. `end` is where its last part ended.
    Open { side: Side, until: Option<Bound>, end: Option<Bound> },
}

const NOTHING: CollectorState =
    CollectorState::Collecting { side: Side::Source, items: Vec::new(), rows: 0 };

impl RangeCollector {
    /// Collects in this key order; ranges have more than `limit` rows.
    pub fn new(order: KeyOrder, limit: u64) -> RangeCollector {
        RangeCollector { order, limit, state: NOTHING, queued: VecDeque::new() }
    }

    /// Adds the items of the next chunk, in key order. A chunk whose sides agree has no items and must
    /// still be added, since it ends a range.
    pub fn add_chunk(&mut self, items: Vec<Item>, agreed: bool) -> Vec<RangeEvent> {
        let mut events = Vec::new();
        if matches!(self.state, CollectorState::WaitingForGap { .. }) {
            self.queued.push_back(items);
            return events;
        }
        if items.is_empty() && agreed {
            self.end_range(&mut events);
        }
        self.add_items(items, &mut events);
        events
    }

    /// Adds the gap that was requested.
    pub fn add_gap(&mut self, gap: KeyGap) -> Vec<RangeEvent> {
        let mut events = Vec::new();
        let CollectorState::WaitingForGap { side, items } =
            std::mem::replace(&mut self.state, NOTHING)
        else {
            return events;
        };
        let mut inside = Vec::new();
        let mut right = Vec::new();
        for item in items {
            if item.ends_by(&self.order, gap.after.as_ref()) {
                events.push(item.into_event());
            } else if item.begins_behind(&self.order, gap.until.as_ref()) {
                right.push(item);
            } else {
                inside.push(item);
            }
        }
        let rows = inside.iter().map(Item::rows).sum::<u64>();
        if rows > self.limit {
            events.push(RangeEvent::Opened(side, gap.after.clone()));
            self.state = CollectorState::Open { side, until: gap.until, end: gap.after };
            self.add_items(inside, &mut events);
        } else if right.is_empty() {
            // The gap continues behind the last chunk, and more rows of it may follow.
            self.state = CollectorState::Collecting { side, items: inside, rows };
        } else {
            inside.into_iter().for_each(|item| events.push(item.into_event()));
        }
        self.add_items(right, &mut events);
        while let Some(items) = self.queued.pop_front() {
            if matches!(self.state, CollectorState::WaitingForGap { .. }) {
                self.queued.push_front(items);
                break;
            }
            self.add_items(items, &mut events);
        }
        events
    }

    /// Ends the collection: no more chunks follow.
    pub fn finish(&mut self) -> Vec<RangeEvent> {
        let mut events = Vec::new();
        if !matches!(self.state, CollectorState::WaitingForGap { .. }) {
            self.end_range(&mut events);
        }
        events
    }

    /// Returns all items that are held: the run was stopped.
    pub fn abandon(&mut self) -> Vec<RangeEvent> {
        let mut events = Vec::new();
        self.end_range(&mut events);
        self.queued.drain(..).flatten().for_each(|item| events.push(item.into_event()));
        events
    }

    /// Returns whether a gap was requested and is not known yet.
    pub fn is_waiting_for_gap(&self) -> bool {
        matches!(self.state, CollectorState::WaitingForGap { .. })
    }

    /// Returns whether no items are held.
    pub fn is_idle(&self) -> bool {
        self.queued.is_empty()
            && matches!(&self.state, CollectorState::Collecting { items, .. } if items.is_empty())
    }

    fn add_items(&mut self, items: Vec<Item>, events: &mut Vec<RangeEvent>) {
        let mut items = VecDeque::from(items);
        while let Some(item) = items.pop_front() {
            let Some(side) = item.side() else {
                self.end_range(events);
                events.push(item.into_event());
                continue;
            };
            match &mut self.state {
                CollectorState::Open { side: of, until, .. } => {
                    let belongs = *of == side && !item.begins_behind(&self.order, until.as_ref());
                    if belongs {
                        self.extend(item, &mut items, events);
                    } else {
                        self.end_range(events);
                        items.push_front(item);
                    }
                }
                CollectorState::Collecting { side: of, items: held, .. }
                    if *of != side && !held.is_empty() =>
                {
                    self.end_range(events);
                    items.push_front(item);
                }
                CollectorState::Collecting { side: of, items: held, rows } => {
                    *of = side;
                    *rows += item.rows();
                    held.push(item);
                    if *rows > self.limit {
                        let held = std::mem::take(held);
                        events.push(request_gap(side, &held));
                        self.state = CollectorState::WaitingForGap { side, items: held };
                        if !items.is_empty() {
                            self.queued.push_front(items.into());
                        }
                        return;
                    }
                }
                // Not reached: items are queued while a gap is requested.
                CollectorState::WaitingForGap { .. } => events.push(item.into_event()),
            }
        }
    }

    /// Adds an item to the open range; consecutive keys make one part.
    fn extend(&mut self, item: Item, rest: &mut VecDeque<Item>, events: &mut Vec<RangeEvent>) {
        let order = &self.order;
        let CollectorState::Open { side, until, end } = &mut self.state else { return };
        let part = match item {
            Item::OneSided(part) => part,
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
                OneSidedRange { range, side: *side, digest }
            }
        };
        *end = part.range.through.clone();
        events.push(RangeEvent::Part(part));
    }

    /// Ends what was collected, since the other side has a row here: the items are no range, and an open
    /// range is complete.
    fn end_range(&mut self, events: &mut Vec<RangeEvent>) {
        match std::mem::replace(&mut self.state, NOTHING) {
            CollectorState::Collecting { items, .. }
            | CollectorState::WaitingForGap { items, .. } => {
                items.into_iter().for_each(|item| events.push(item.into_event()));
            }
            CollectorState::Open { .. } => events.push(RangeEvent::Closed),
        }
    }
}

/// Requests the gap around a one-sided chunk, or else around the key in the middle.
fn request_gap(side: Side, items: &[Item]) -> RangeEvent {
    let one_sided = items.iter().find(|item| matches!(item, Item::OneSided(_)));
    let key_of = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.key.clone());
    match one_sided.unwrap_or(&items[items.len() / 2]) {
        Item::OneSided(part) => RangeEvent::FindGap {
            side,
            low: key_of(&part.range.after),
            high: key_of(&part.range.through),
        },
        Item::Key(candidate, _) => RangeEvent::FindGap {
            side,
            low: Some(candidate.key.clone()),
            high: Some(candidate.key.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::compare::CandidateKey;
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

    /// What is found: ranges as (side, key before, rows), and single keys.
    #[derive(Debug, Default, PartialEq)]
    struct FoundRanges {
        ranges: Vec<(Side, Option<u32>, u64)>,
        keys: BTreeSet<u32>,
    }

    fn oracle(keys: &Keys) -> FoundRanges {
        let mut found = FoundRanges::default();
        let union: BTreeSet<u32> = keys.source.union(&keys.target).copied().collect();
        let mut range: (Option<Side>, Vec<u32>) = (None, Vec::new());
        let mut end = |range: &mut (Option<Side>, Vec<u32>)| {
            let (side, held) = std::mem::take(range);
            match side {
                Some(side) if held.len() as u64 > LIMIT => {
                    // the last key of the other side before the range
                    let before = keys[side.other()].range(..held[0]).next_back().copied();
                    found.ranges.push((side, before, held.len() as u64));
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
            if only != range.0 {
                end(&mut range);
                range.0 = only;
            }
            if only.is_some() {
                range.1.push(number);
            }
        }
        end(&mut range);
        found
    }

    /// Receives the events, and finds gaps when `answer` is called.
    struct Receiver<'k> {
        keys: &'k Keys,
        found: FoundRanges,
        open: Option<(Side, Option<u32>, u64)>,
        requested: Option<(Side, Option<Key>, Option<Key>)>,
    }

    impl Receiver<'_> {
        fn receive(&mut self, events: Vec<RangeEvent>) {
            for one in events {
                match one {
                    RangeEvent::Candidate(candidate, _) => {
                        assert!(self.found.keys.insert(number(&candidate.key)));
                    }
                    RangeEvent::ReadKeys(OneSidedRange { range, side, .. }) => {
                        let after = range.after.map(|bound| number(&bound.key));
                        let through = range.through.map(|bound| number(&bound.key));
                        let within = |n: &&u32| {
                            after.is_none_or(|a| a < **n) && through.is_none_or(|t| **n <= t)
                        };
                        self.found.keys.extend(self.keys[side].iter().filter(within));
                    }
                    RangeEvent::FindGap { side, low, high } => {
                        assert!(self.requested.replace((side, low, high)).is_none());
                    }
                    RangeEvent::Opened(side, after) => {
                        let after = after.map(|bound| number(&bound.key));
                        assert!(self.open.replace((side, after, 0)).is_none());
                    }
                    RangeEvent::Part(part) => self.open.as_mut().unwrap().2 += part.digest.rows,
                    RangeEvent::Closed => self.found.ranges.push(self.open.take().unwrap()),
                }
            }
        }

        fn answer(&mut self, ranges: &mut RangeCollector) {
            while let Some((side, low, high)) = self.requested.take() {
                let other = &self.keys[side.other()];
                // A key of this side is not on the other: at or before is before.
                let after = low.and_then(|k| other.range(..=number(&k)).next_back().copied());
                let until = high.and_then(|k| other.range(number(&k) + 1..).next().copied());
                let gap = KeyGap { after: after.map(bound), until: until.map(bound) };
                self.receive(ranges.add_gap(gap));
            }
        }
    }

    /// Returns the items of a chunk.
    fn items(rows: &BySide<Vec<u32>>, range: &KeyRange) -> Vec<Item> {
        let one_sided = |side: Side| {
            let digest = digest(rows[side].len() as u64);
            vec![Item::OneSided(OneSidedRange { range: range.clone(), side, digest })]
        };
        match (rows.source.is_empty(), rows.target.is_empty()) {
            (true, true) => return Vec::new(),
            (false, true) => return one_sided(Side::Source),
            (true, false) => return one_sided(Side::Target),
            (false, false) => {}
        }
        let union: BTreeSet<u32> = rows.source.iter().chain(&rows.target).copied().collect();
        let image = |n: u32| BySide::new(|side| digest(u64::from(rows[side].contains(&n))));
        let differs = |n: &u32| image(*n).source != image(*n).target;
        let chunk = Arc::new(range.clone());
        let item =
            |n: u32| Item::Key(CandidateKey { key: key(n), image: image(n) }, Arc::clone(&chunk));
        union.into_iter().filter(differs).map(item).collect()
    }

    /// Compares in chunks that end at these keys; gaps are found only every so many chunks.
    fn in_chunks(keys: &Keys, ends: &BTreeSet<u32>, patience: usize) -> FoundRanges {
        let mut ranges = RangeCollector::new(KeyOrder(vec![KeyField::Bytes]), LIMIT);
        let mut receiver =
            Receiver { keys, found: FoundRanges::default(), open: None, requested: None };
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
            receiver.receive(ranges.add_chunk(items, agreed));
            if chunk % (patience + 1) == 0 {
                receiver.answer(&mut ranges);
            }
            after = end;
        }
        receiver.answer(&mut ranges);
        receiver.receive(ranges.finish());
        assert!(ranges.is_idle() && receiver.requested.is_none());
        receiver.found
    }

    #[test]
    fn an_empty_side_is_one_range_whatever_the_chunks() {
        let keys = Keys { source: (1..=100).collect(), target: BTreeSet::new() };
        for ends in [vec![], vec![50], (1..100).collect(), vec![1, 99]] {
            let found = in_chunks(&keys, &ends.into_iter().collect(), 0);
            assert_eq!(found, oracle(&keys));
            assert_eq!(found.ranges, [(Side::Source, None, 100)]);
        }
    }

    #[test]
    fn a_range_has_more_rows_than_the_limit() {
        for (rows, ranges) in [(LIMIT, 0), (LIMIT + 1, 1)] {
            let source = (10..10 + rows as u32).collect();
            let keys = Keys { source, target: [5, 500].into() };
            let found = in_chunks(&keys, &[12, 14].into(), 0);
            assert_eq!(found, oracle(&keys));
            assert_eq!(found.ranges.len(), ranges);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Stretches of keys on both, one or no side, cut into chunks anywhere.
        #[test]
        fn ranges_do_not_depend_on_chunks(
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
