//! Values that changed places between rows: what one finding has on the source another has on the
//! target, and the other way round.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::evidence::{Evidence, Example};
use crate::finding::{DivergenceKind, Hint};
use crate::schema::{BySide, Side};

/// Pairs of values that are held at once; when there are more, every other one is let go.
const MOST: usize = 8_192;
/// Shorter values come back by chance: flags, small numbers.
const SHORTEST: usize = 3;

/// Which findings have one another's values.
#[derive(Debug)]
pub(super) struct Swaps {
    seen: BTreeMap<(u64, u64), PairCount>,
    /// Only pairs whose hash this divides are held.
    every: u64,
    held: u64,
}

/// How often a pair of values was seen each way, and where first.
#[derive(Debug)]
struct PairCount {
    ways: [u64; 2],
    examples: [Example; 2],
}

impl Default for Swaps {
    fn default() -> Self {
        Swaps { seen: BTreeMap::new(), every: 1, held: 0 }
    }
}

impl Swaps {
    /// Takes a mismatch in: the pairs that differ with their values. Hashes of redacted values do as
    /// well, since equal values have equal ones.
    pub(super) fn take<'v>(
        &mut self,
        columns: impl Iterator<Item = (u16, &'v BySide<Option<String>>)> + Clone,
        example: &Example,
    ) {
        let hash = |side: Side| {
            let mut hasher = DefaultHasher::new();
            columns.clone().for_each(|(pair, values)| (pair, &values[side]).hash(&mut hasher));
            hasher.finish()
        };
        let length = |side: Side| -> usize {
            columns.clone().map(|(_, values)| values[side].as_ref().map_or(0, String::len)).sum()
        };
        let (source, target) = (hash(Side::Source), hash(Side::Target));
        let (least, greatest) = (source.min(target), source.max(target));
        let short = Side::BOTH.into_iter().any(|side| length(side) < SHORTEST);
        // Both findings of a pair give one number here, so that either both are held or neither.
        if !(least ^ greatest).is_multiple_of(self.every) {
            return;
        }
        self.held += 1;
        if short {
            return;
        }
        let way = usize::from(source > target);
        let seen = self.seen.entry((least, greatest));
        let seen = seen.or_insert_with(|| PairCount { ways: [0, 0], examples: [None, None] });
        seen.ways[way] += 1;
        if seen.ways[way] == 1 {
            seen.examples[way].clone_from(example);
        }
        if self.seen.len() > MOST {
            self.every *= 2;
            self.seen.retain(|(one, other), _| (one ^ other).is_multiple_of(self.every));
            self.held = self.seen.values().map(|seen| seen.ways.iter().sum::<u64>()).sum();
        }
    }

    /// What is to be said of them, of so many mismatches.
    pub(super) fn hint(&self, mismatches: u64) -> Option<Hint> {
        let mut evidence = Evidence::default();
        for seen in self.seen.values().filter(|seen| seen.ways == [1, 1]) {
            seen.examples.iter().for_each(|example| evidence.add(example));
        }
        let fit = match self.every {
            1 => evidence.fit,
            _ => (evidence.fit as f64 / self.held.max(1) as f64 * mismatches as f64) as u64,
        };
        let says = "the rows have one another's values: they changed places".to_owned();
        let mut hint =
            Hint::of("swapped_values", Some(DivergenceKind::Mismatch), says, fit, mismatches)?;
        hint.examples = evidence.examples();
        Some(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(rows: &[(String, String)]) -> Option<Hint> {
        let mut swaps = Swaps::default();
        for (source, target) in rows {
            let values = BySide { source: Some(source.clone()), target: Some(target.clone()) };
            swaps.take([(0, &values)].into_iter(), &None);
        }
        swaps.hint(rows.len() as u64)
    }

    fn swapped(pairs: u32) -> Vec<(String, String)> {
        let both = |n| (format!("first {n}"), format!("second {n}"));
        let there = (0..pairs).map(both);
        there.clone().chain(there.map(|(one, other)| (other, one))).collect()
    }

    #[test]
    fn rows_that_have_one_anothers_values_are_told_however_many_they_are() {
        let mut rows = swapped(4);
        assert_eq!(hint(&rows).unwrap().fit, 8);
        rows.push(("lone".into(), "other".into()));
        assert_eq!(hint(&rows).unwrap().fit, 8);
        rows.extend([("a".into(), "lonely".into()), ("lost".into(), "gone".into())]);
        assert_eq!(hint(&rows), None);
        let many = hint(&swapped(50_000)).unwrap();
        assert!(many.share > 0.99, "{many:?}");
    }

    #[test]
    fn flags_that_were_turned_round_did_not_change_places() {
        assert_eq!(hint(&[("t".into(), "f".into()), ("f".into(), "t".into())]), None);
        let word = ("open".to_owned(), "closed".to_owned());
        let back = (word.1.clone(), word.0.clone());
        assert_eq!(hint(&[word.clone(), word, back.clone(), back]), None);
    }
}
