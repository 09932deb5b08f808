//! One-sided ranges while their parts are settled, until each range can be named.
//!
//! Parts are rechecked one by one, each with a short statement. What is confirmed of a range is reported
//! as ranges of neighbouring parts: one, unless the other side got rows in the middle of it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compare::PartCounts;
use crate::finding::Ruling;
use crate::row::{Bound, Key, KeyRange};
use crate::schema::Side;

/// The place of a part: the number of its range, and its index there.
pub(crate) type PartPlace = (u64, usize);

/// A one-sided range that is confirmed and has to be named.
#[derive(Debug)]
pub(crate) struct ConfirmedRange {
    pub(crate) ruling: Ruling,
    pub(crate) side: Side,
    pub(crate) after: Option<Bound>,
    pub(crate) through: Option<Bound>,
    pub(crate) parts: PartCounts,
    pub(crate) first_seen: Duration,
}

/// A part of a one-sided range that was confirmed, as it is read from the ledger.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredPart {
    pub(crate) side: Side,
    pub(crate) through: Option<Key>,
    pub(crate) ruling: Ruling,
    pub(crate) parts: PartCounts,
}

/// The one-sided ranges of a mapping that are not named yet.
#[derive(Debug, Default)]
pub(crate) struct OpenRanges {
    ranges: HashMap<u64, PendingRange>,
    next: u64,
    open: Option<u64>,
}

#[derive(Debug)]
struct PendingRange {
    side: Side,
    after: Option<Bound>,
    parts: Vec<RangePart>,
    first_seen: Duration,
    is_closed: bool,
    unsettled: usize,
}

#[derive(Debug)]
struct RangePart {
    range: KeyRange,
    ruled: Option<(Ruling, PartCounts)>,
}

impl OpenRanges {
    /// Begins a range after this key.
    pub(crate) fn begin(&mut self, side: Side, after: Option<Bound>, first_seen: Duration) {
        let (parts, is_closed, unsettled) = (Vec::new(), false, 0);
        let range = PendingRange { side, after, parts, first_seen, is_closed, unsettled };
        self.ranges.insert(self.next, range);
        self.open = Some(self.next);
        self.next += 1;
    }

    /// Adds the next part to the range that is open.
    pub(crate) fn add_part(&mut self, range: KeyRange) -> Option<PartPlace> {
        let number = self.open?;
        let pending = self.ranges.get_mut(&number)?;
        pending.parts.push(RangePart { range, ruled: None });
        pending.unsettled += 1;
        Some((number, pending.parts.len() - 1))
    }

    /// Closes the range that is open: it has all its parts. Returns what can be named now.
    pub(crate) fn close(&mut self) -> Vec<ConfirmedRange> {
        let Some(number) = self.open.take() else { return Vec::new() };
        if let Some(range) = self.ranges.get_mut(&number) {
            range.is_closed = true;
        }
        self.take_settled(number)
    }

    /// Sets a part to settled: confirmed with these rows, or healed. Returns what can be named now.
    pub(crate) fn set_settled(
        &mut self,
        place: PartPlace,
        ruled: Option<(Ruling, PartCounts)>,
    ) -> Vec<ConfirmedRange> {
        let (number, part) = place;
        if let Some(range) = self.ranges.get_mut(&number) {
            range.unsettled -= 1;
            range.parts[part].ruled = ruled;
            range.join(part);
        }
        self.take_settled(number)
    }

    /// Closes all ranges, of which nothing more will be settled. Returns what is confirmed so far.
    pub(crate) fn close_all(&mut self) -> Vec<ConfirmedRange> {
        self.open = None;
        let ranges = std::mem::take(&mut self.ranges);
        ranges.into_values().flat_map(PendingRange::confirmed).collect()
    }

    /// Returns whether every range is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    fn take_settled(&mut self, number: u64) -> Vec<ConfirmedRange> {
        let is_settled = |range: &PendingRange| range.is_closed && range.unsettled == 0;
        if !self.ranges.get(&number).is_some_and(is_settled) {
            return Vec::new();
        }
        self.ranges.remove(&number).map_or(Vec::new(), PendingRange::confirmed)
    }
}

impl PendingRange {
    /// Moves the counts of a confirmed part, and of the part behind it, to the first of its neighbours
    /// with the same ruling. Memory holds one count by group for all of them.
    fn join(&mut self, part: usize) {
        for at in [part, part + 1] {
            let first = self.first_neighbour(at);
            let moved = match self.parts.get_mut(at).and_then(|part| part.ruled.as_mut()) {
                Some((_, parts)) if first != at => std::mem::take(parts),
                _ => continue,
            };
            if let Some((_, parts)) = &mut self.parts[first].ruled {
                parts.add_all(moved);
            }
        }
    }

    fn first_neighbour(&self, part: usize) -> usize {
        let ruling = |at: usize| self.parts.get(at)?.ruled.as_ref().map(|(ruling, _)| ruling);
        let is_same = |at: &usize| ruling(*at).is_some() && ruling(*at) == ruling(part);
        (0..part).rev().take_while(is_same).last().unwrap_or(part)
    }

    /// Returns what is confirmed: neighbouring parts with the same ruling are one range.
    fn confirmed(self) -> Vec<ConfirmedRange> {
        let mut ranges: Vec<ConfirmedRange> = Vec::new();
        let mut is_neighbour = false;
        let mut start = self.after;
        for RangePart { range, ruled } in self.parts {
            let through = range.through;
            let next_start = through.clone();
            match (ruled, ranges.last_mut()) {
                (None, _) => is_neighbour = false,
                (Some((ruling, parts)), Some(last)) if is_neighbour && last.ruling == ruling => {
                    last.parts.add_all(parts);
                    last.through = through;
                }
                (Some((ruling, parts)), _) => {
                    let (side, first_seen) = (self.side, self.first_seen);
                    let after = start.take();
                    ranges.push(ConfirmedRange { ruling, side, after, through, parts, first_seen });
                    is_neighbour = true;
                }
            }
            start = next_start;
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Candidate, Recheck, RecheckOutcome, Subject};
    use crate::row::{Digest, Fingerprint, Key};
    use crate::schema::BySide;

    /// Returns a ruling in the only way there is.
    fn confirmed() -> Ruling {
        let mut image = BySide::<Digest>::default();
        image.source.add(Fingerprint::of_row_hash(1));
        let subject = Subject::NullKeys(Side::Source);
        let mut candidate = Candidate::new(0, subject, image, Duration::ZERO, Duration::ZERO);
        let recheck = Recheck { at: Duration::ZERO, image, agree: false };
        match candidate.settle(&recheck, Duration::ZERO) {
            RecheckOutcome::Differs(ruling) => ruling,
            other => panic!("{other:?}"),
        }
    }

    fn bound(number: u8) -> Option<Bound> {
        Some(Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() })
    }

    /// Returns this many confirmed rows.
    fn confirmed_rows(rows: u64) -> Option<(Ruling, PartCounts)> {
        let mut parts = PartCounts::default();
        parts.add(Some(b"g"), None, rows);
        Some((confirmed(), parts))
    }

    fn range(after: u8, through: u8) -> KeyRange {
        KeyRange { after: bound(after), through: bound(through) }
    }

    #[test]
    fn a_range_is_confirmed_when_all_its_parts_are_settled() {
        let mut ranges = OpenRanges::default();
        ranges.begin(Side::Source, bound(1), Duration::ZERO);
        let first = ranges.add_part(range(2, 5)).unwrap();
        let second = ranges.add_part(range(5, 9)).unwrap();
        assert!(ranges.set_settled(second, confirmed_rows(4)).is_empty());
        assert!(ranges.close().is_empty());
        let named = ranges.set_settled(first, confirmed_rows(3));
        assert_eq!(named.len(), 1);
        assert_eq!(
            (named[0].parts.rows(), &named[0].after, &named[0].through),
            (7, &bound(1), &bound(9))
        );
        assert!(ranges.is_empty());
    }

    #[test]
    fn counts_of_neighbouring_parts_are_joined() {
        let mut ranges = OpenRanges::default();
        ranges.begin(Side::Source, None, Duration::ZERO);
        let places: Vec<_> = (0..4).map(|n| ranges.add_part(range(n, n + 1)).unwrap()).collect();
        for place in [3, 0, 2, 1] {
            ranges.set_settled(places[place], confirmed_rows(1));
        }
        let held = ranges.ranges[&0].parts.iter().map(|part| &part.ruled.as_ref().unwrap().1);
        assert_eq!(held.map(PartCounts::rows).collect::<Vec<_>>(), [4, 0, 0, 0]);
        assert_eq!(ranges.close()[0].parts.rows(), 4);
    }

    #[test]
    fn a_part_that_healed_divides_a_range() {
        let mut ranges = OpenRanges::default();
        ranges.begin(Side::Target, None, Duration::ZERO);
        let places: Vec<_> = (0..3).map(|n| ranges.add_part(range(n, n + 1)).unwrap()).collect();
        ranges.close();
        ranges.set_settled(places[0], confirmed_rows(1));
        ranges.set_settled(places[1], None);
        let named = ranges.set_settled(places[2], confirmed_rows(1));
        let ends: Vec<_> =
            named.iter().map(|range| (range.after.clone(), range.through.clone())).collect();
        assert_eq!(ends, [(None, bound(1)), (bound(2), bound(3))]);
    }
}
