//! Swapped values: one finding's values on the source are another finding's on the target, and the
//! other way round.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::evidence::{Evidence, Example};
use crate::finding::{DivergenceKind, Hint};
use crate::schema::{BySide, Side};

/// The most pairs of values that are kept; when there are more, every other one is dropped.
const MAX_PAIRS: usize = 8_192;
/// The fewest bytes of values that are counted: shorter ones are equal by chance, as flags are.
const MIN_BYTES: usize = 3;

/// Counts findings that have each other's values.
#[derive(Debug)]
pub(super) struct Swaps {
    counts: BTreeMap<(u64, u64), PairCount>,
    /// Only pairs whose hash this divides are kept.
    every: u64,
    /// Findings that were kept.
    kept: u64,
}

/// How often a pair of values was found each way, and the first examples.
#[derive(Debug)]
struct PairCount {
    ways: [u64; 2],
    examples: [Example; 2],
}

impl Default for Swaps {
    fn default() -> Self {
        Swaps { counts: BTreeMap::new(), every: 1, kept: 0 }
    }
}

impl Swaps {
    /// Counts a mismatch: the pairs that differ with their values. Redacted values work as well,
    /// since equal values have equal hashes.
    pub(super) fn add<'v>(
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
        let short = Side::BOTH.into_iter().any(|side| length(side) < MIN_BYTES);
        // Both findings of a swap have the same number here, so either both are kept or neither.
        if !(least ^ greatest).is_multiple_of(self.every) {
            return;
        }
        self.kept += 1;
        if short {
            return;
        }
        let way = usize::from(source > target);
        let count = self.counts.entry((least, greatest));
        let count = count.or_insert_with(|| PairCount { ways: [0, 0], examples: [None, None] });
        count.ways[way] += 1;
        if count.ways[way] == 1 {
            count.examples[way].clone_from(example);
        }
        if self.counts.len() > MAX_PAIRS {
            self.every *= 2;
            self.counts.retain(|(one, other), _| (one ^ other).is_multiple_of(self.every));
            self.kept = self.counts.values().map(|count| count.ways.iter().sum::<u64>()).sum();
        }
    }

    /// Returns the hint, given the number of all mismatches.
    pub(super) fn hint(&self, mismatches: u64) -> Option<Hint> {
        let mut evidence = Evidence::default();
        for count in self.counts.values().filter(|count| count.ways == [1, 1]) {
            count.examples.iter().for_each(|example| evidence.add(example));
        }
        let fit = match self.every {
            1 => evidence.fit,
            _ => (evidence.fit as f64 / self.kept.max(1) as f64 * mismatches as f64) as u64,
        };
        let says = "the rows have one another's values: they changed places".to_owned();
        let mut hint =
            Hint::new("swapped_values", Some(DivergenceKind::Mismatch), says, fit, mismatches)?;
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
            swaps.add([(0, &values)].into_iter(), &None);
        }
        swaps.hint(rows.len() as u64)
    }

    fn swapped(pairs: u32) -> Vec<(String, String)> {
        let both = |n| (format!("first {n}"), format!("second {n}"));
        let there = (0..pairs).map(both);
        there.clone().chain(there.map(|(one, other)| (other, one))).collect()
    }

    #[test]
    fn swapped_rows_are_recognised_however_many_they_are() {
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
    fn inverted_flags_are_not_swaps() {
        assert_eq!(hint(&[("t".into(), "f".into()), ("f".into(), "t".into())]), None);
        let word = ("open".to_owned(), "closed".to_owned());
        let back = (word.1.clone(), word.0.clone());
        assert_eq!(hint(&[word.clone(), word, back.clone(), back]), None);
    }
}
