//! Matches rows of both sides by key, in whatever order they come.
//!
//! A row whose counterpart comes at the same time is compared byte for byte and dropped. A row that
//! waits is kept as key and fingerprint only, beside the values of pairs that have a tolerance. When
//! both sides come in key order, as index scans do, almost no rows wait; otherwise up to all keys of
//! the chunk wait, which is why a chunk has a bounded number of rows.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::tolerance::{WaitingRow, rows_agree};
use crate::plan::Pair;
use crate::row::{Digest, Fingerprint, Fingerprinter, GroupCounts, Key, KeyOrder, Record, alike};
use crate::schema::{BySide, Side};

/// A key whose rows differ and are not rechecked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateKey {
    /// The key.
    pub key: Key,
    /// Count and sum of the rows of each side.
    pub image: BySide<Digest>,
}

/// Which side's next row comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Both.
    Both,
    /// Only this side; the other side's row stays.
    Only(Side),
}

/// Matches the rows of one region.
#[derive(Debug)]
pub struct RowMatcher {
    order: KeyOrder,
    key_width: usize,
    /// Whether every key is kept, because no index proves the key: otherwise a second row of a key that
    /// has matched would look like a row of its own, and duplicates on both sides would not be seen.
    keeps_all: bool,
    rows: BySide<u64>,
    digest: BySide<Digest>,
    matched: u64,
    /// The field with a row's group, where there are groups, and the groups of the matched rows.
    group: Option<usize>,
    groups: GroupCounts,
    waiting: HashMap<Key, Waiting>,
    fingerprinter: Fingerprinter,
    /// All pairs, if one of them has a tolerance.
    tolerant: Option<Box<[Pair]>>,
    kept: HashMap<Key, BySide<Option<WaitingRow>>>,
    kept_bytes: usize,
}

/// The rows of a key so far, and their group: rows that agree have the same group.
#[derive(Debug, Default)]
struct Waiting {
    image: BySide<Digest>,
    group: u32,
}

/// So many kept bytes of values count as one more waiting key.
const BYTES_OF_A_KEY: usize = 256;

impl RowMatcher {
    /// Starts without rows. `key_proven` says whether each key occurs at most once on each side, `group`
    /// which field of a row holds its group's text.
    pub fn new(
        order: KeyOrder,
        key_width: usize,
        key_proven: bool,
        group: Option<usize>,
    ) -> RowMatcher {
        RowMatcher {
            order,
            key_width,
            keeps_all: !key_proven,
            rows: BySide::default(),
            digest: BySide::default(),
            matched: 0,
            group,
            groups: GroupCounts::default(),
            waiting: HashMap::new(),
            fingerprinter: Fingerprinter::default(),
            tolerant: None,
            kept: HashMap::new(),
            kept_bytes: 0,
        }
    }

    /// Lets rows match that differ only within a pair's tolerance. The rows' fields are the canonical
    /// forms of these pairs.
    #[must_use]
    pub fn with_tolerance(mut self, pairs: &[Pair]) -> RowMatcher {
        let any = pairs.iter().any(|pair| pair.tolerance.is_some());
        self.tolerant = any.then(|| pairs.into());
        self
    }

    /// Adds the next row of both sides, or of the side with the smaller key. `width` is the number of
    /// fields of a row.
    pub fn step<R: Record>(&mut self, source: &R, target: &R, width: usize) -> Advance {
        if !alike(source, target, 0..self.key_width) {
            if !self.order.is_known() {
                self.wait(Side::Source, source, width);
                self.wait(Side::Target, target, width);
                return Advance::Both;
            }
            let side = self.smaller(source, target);
            let row = if side == Side::Source { source } else { target };
            self.wait(side, row, width);
            return Advance::Only(side);
        }
        if !self.keeps_all && self.agree(source, target, self.key_width..width) {
            self.rows.source += 1;
            self.rows.target += 1;
            self.matched += 1;
            if self.group.is_some() {
                let group = self.group_of(source);
                self.groups.add(group, 1);
            }
        } else {
            self.wait(Side::Source, source, width);
            self.wait(Side::Target, target, width);
        }
        Advance::Both
    }

    /// Adds a row whose counterpart has not come yet, if there is one.
    pub fn wait<R: Record>(&mut self, side: Side, row: &R, width: usize) {
        let fingerprint = self.fingerprinter.of(row, 0..width);
        if let Some(key) = Key::of(row, self.key_width) {
            if let Some(pairs) = &self.tolerant {
                let kept = WaitingRow::of(row, pairs, &mut self.fingerprinter);
                self.keep(side, &key, kept);
            }
            self.add_row(side, key, fingerprint, row);
        }
    }

    /// Adds a row while the other side has no row at all: only its fingerprint is kept. The key must be
    /// proven, or a second row of a key would not be noticed.
    pub fn add_one_sided<R: Record>(&mut self, side: Side, row: &R, width: usize) {
        self.rows[side] += 1;
        self.digest[side].add(self.fingerprinter.of(row, 0..width));
    }

    fn agree<R: Record>(&self, source: &R, target: &R, fields: std::ops::Range<usize>) -> bool {
        alike(source, target, fields.clone())
            || self.tolerant.as_ref().is_some_and(|pairs| rows_agree(pairs, source, target, fields))
    }

    /// Keeps the values of the first row of a key: a second row makes it a duplicate, whose values do not
    /// matter.
    fn keep(&mut self, side: Side, key: &Key, kept: WaitingRow) {
        let sides = self.kept.entry_ref(key).or_default();
        if sides[side].is_none() {
            self.kept_bytes += kept.size();
            sides[side] = Some(kept);
        }
    }

    /// Returns whether the only rows of a key on both sides agree within the tolerances, and drops what
    /// was kept of them.
    fn remove_if_tolerated(&mut self, key: &Key) -> bool {
        let (Some(pairs), Some(sides)) = (&self.tolerant, self.kept.remove(key)) else {
            return false;
        };
        let BySide { source: Some(source), target: Some(target) } = sides else { return false };
        self.kept_bytes -= source.size() + target.size();
        source.agrees(&target, pairs)
    }

    /// Adds a key with its row's fingerprint and its group's text, if there are groups.
    pub fn add_grouped(
        &mut self,
        side: Side,
        key: Key,
        fingerprint: Fingerprint,
        group: Option<&[u8]>,
    ) {
        let group = self.groups.place(group);
        self.add_of(side, key, fingerprint, group);
    }

    /// Adds a key with its row's fingerprint; only the group is read from the row itself.
    pub fn add_row<R: Record>(&mut self, side: Side, key: Key, fingerprint: Fingerprint, row: &R) {
        let group = self.group_of(row);
        self.add_of(side, key, fingerprint, group);
    }

    fn add_of(&mut self, side: Side, key: Key, fingerprint: Fingerprint, group: u32) {
        self.rows[side] += 1;
        self.digest[side].add(fingerprint);
        let entry = self.waiting.entry_ref(&key).or_default();
        let image = &mut entry.image;
        image[side].add(fingerprint);
        entry.group = group;
        if !self.keeps_all && image.source.rows == 1 && image.target.rows == 1 {
            let alike = image.source == image.target;
            if self.remove_if_tolerated(&key) || alike {
                self.matched += 1;
                self.waiting.remove(&key);
                self.groups.add(group, 1);
            }
        }
    }

    fn group_of(&mut self, row: &impl Record) -> u32 {
        self.group.map_or(0, |field| self.groups.place(row.field(field)))
    }

    /// Returns the number of waiting keys; many kept values count as more keys.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.kept_bytes / BYTES_OF_A_KEY
    }

    /// Returns the number of rows added so far.
    pub fn rows(&self) -> BySide<u64> {
        self.rows
    }

    /// Returns count and sum of a side's rows that waited: all of them, if the other side has none.
    pub fn digest(&self, side: Side) -> Digest {
        self.digest[side]
    }

    /// Ends the matching. Returns how many rows matched, the keys that differ, in no particular order,
    /// and the groups of the matched rows.
    pub fn finish(mut self) -> (u64, Vec<CandidateKey>, GroupCounts) {
        let mut matched = self.matched;
        let mut groups = std::mem::take(&mut self.groups);
        let mut candidates = Vec::new();
        for (key, Waiting { image, group }) in std::mem::take(&mut self.waiting) {
            let one_each = image.all(|digest| digest.rows == 1);
            if one_each && (image.source == image.target || self.remove_if_tolerated(&key)) {
                matched += 1;
                groups.add(group, 1);
            } else {
                candidates.push(CandidateKey { key, image });
            }
        }
        (matched, candidates, if self.group.is_some() { groups } else { GroupCounts::default() })
    }

    fn smaller<R: Record>(&self, source: &R, target: &R) -> Side {
        let keys = (Key::of(source, self.key_width), Key::of(target, self.key_width));
        match keys {
            (Some(a), Some(b)) if self.order.compare(&a, &b).is_gt() => Side::Target,
            _ => Side::Source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::row::KeyField;
    use crate::schema::Builtin;

    type Row = Vec<Option<Vec<u8>>>;

    fn row(key: u8, value: &str) -> Row {
        vec![Some(vec![key]), Some(value.as_bytes().to_vec())]
    }

    /// Matches two lists of rows the way the stream strategy does.
    fn pair(source: &[Row], target: &[Row], proven: bool) -> (u64, Vec<(u8, u64, u64)>) {
        pair_under(&[], source, target, proven)
    }

    fn pair_under(
        pairs: &[Pair],
        source: &[Row],
        target: &[Row],
        proven: bool,
    ) -> (u64, Vec<(u8, u64, u64)>) {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut matcher = RowMatcher::new(order.clone(), 1, proven, None).with_tolerance(pairs);
        let (mut s, mut t) = (source.iter().peekable(), target.iter().peekable());
        loop {
            match (s.peek(), t.peek()) {
                (Some(a), Some(b)) => match matcher.step(*a, *b, 2) {
                    Advance::Both => {
                        s.next();
                        t.next();
                    }
                    Advance::Only(Side::Source) => drop(s.next()),
                    Advance::Only(Side::Target) => drop(t.next()),
                },
                (Some(a), None) => {
                    matcher.wait(Side::Source, *a, 2);
                    s.next();
                }
                (None, Some(b)) => {
                    matcher.wait(Side::Target, *b, 2);
                    t.next();
                }
                (None, None) => break,
            }
        }
        let (matched, candidates, _) = matcher.finish();
        let mut candidates: Vec<_> = candidates
            .into_iter()
            .map(|s| {
                let key = s.key.fields().next().unwrap()[0];
                (key, s.image.source.rows, s.image.target.rows)
            })
            .collect();
        candidates.sort_unstable();
        (matched, candidates)
    }

    #[test]
    fn rows_pair_by_key_in_any_order() {
        let source = [row(1, "a"), row(2, "b"), row(3, "c"), row(5, "e")];
        let mut target = vec![row(2, "B"), row(3, "c"), row(4, "d"), row(5, "e")];
        let expected = (2, vec![(1, 1, 0), (2, 1, 1), (4, 0, 1)]);
        for _ in 0..4 {
            assert_eq!(pair(&source, &target, true), expected);
            assert_eq!(pair(&source, &target, false), expected);
            target.rotate_left(1);
        }
    }

    #[test]
    fn rows_within_a_leeway_match_in_any_order() {
        let columns = [("k", Builtin::Bool, true), ("v", Builtin::Text, false)];
        let facts = sample::table(&columns, &["k"]);
        let mapping = "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\n\
                       table = \"public.t\"\n[mapping.columns]\n\
                       v = { from = \"v\", rule = \"case_insensitive\" }";
        let plan = sample::plan(mapping, BySide { source: &facts, target: &facts }).unwrap().0;
        let source = [row(1, "Ä"), row(2, "Ö"), row(3, "Ü"), row(4, "é"), row(5, "x")];
        let mut target = vec![row(1, "ä"), row(2, "ö"), row(3, "U"), row(4, "É"), row(6, "x")];
        let expected = (3, vec![(3, 1, 1), (5, 1, 0), (6, 0, 1)]);
        for _ in 0..5 {
            assert_eq!(pair_under(&plan.pairs, &source, &target, true), expected);
            assert_eq!(pair_under(&plan.pairs, &source, &target, false), expected);
            target.rotate_left(1);
        }
        let twice = [row(1, "Ä"), row(1, "ä")];
        let found = pair_under(&plan.pairs, &twice, &[row(1, "ä")], false);
        assert_eq!(found, (0, vec![(1, 2, 1)]));
    }

    #[test]
    fn in_key_order_nothing_waits() {
        let rows: Vec<Row> = (0..200).map(|key| row(key, "same")).collect();
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut matcher = RowMatcher::new(order.clone(), 1, true, None);
        for row in &rows {
            assert_eq!(matcher.step(row, row, 2), Advance::Both);
            assert_eq!(matcher.waiting(), 0);
        }
        assert_eq!(matcher.finish().0, 200);
    }

    #[test]
    fn duplicates_on_both_sides_are_seen_without_a_proven_key() {
        let rows = [row(1, "a"), row(1, "a"), row(2, "b")];
        assert_eq!(pair(&rows, &rows, false), (1, vec![(1, 2, 2)]));
    }

    #[test]
    fn a_second_row_of_a_matched_key_is_a_duplicate() {
        let source = [row(1, "a"), row(1, "z")];
        let target = [row(1, "a")];
        assert_eq!(pair(&source, &target, false), (0, vec![(1, 2, 1)]));
    }

    #[test]
    fn the_groups_of_matched_rows_are_counted_in_any_order() {
        // The value is the group; key 2 differs, key 4 has no counterpart.
        let source = [row(1, "a"), row(2, "a"), row(3, "b")];
        let target = [row(3, "b"), row(1, "a"), row(2, "b"), row(4, "b")];
        for proven in [true, false] {
            let order = KeyOrder(vec![KeyField::Bytes]);
            let mut matcher = RowMatcher::new(order, 1, proven, Some(1));
            source.iter().for_each(|row| matcher.wait(Side::Source, row, 2));
            target.iter().for_each(|row| matcher.wait(Side::Target, row, 2));
            let (matched, candidates, groups) = matcher.finish();
            assert_eq!((matched, candidates.len()), (2, 2));
            let mut groups: Vec<_> = groups.iter().collect();
            groups.sort();
            assert_eq!(groups, [(Some(&b"a"[..]), 1), (Some(b"b"), 1)]);
        }
    }
}
