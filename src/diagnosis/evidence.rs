//! How many findings fit an explanation, with a few of their keys.

use std::sync::Arc;

use crate::finding::{NamedValues, SortKey};

/// The most keys given as examples.
const MAX_EXAMPLES: usize = 5;
/// The most bytes of a key that is an example.
const MAX_KEY_BYTES: usize = 400;

/// A finding's key, with what it is sorted by.
#[derive(Debug)]
pub(super) struct ExampleKey {
    sort_key: SortKey,
    key: NamedValues<String>,
}

/// A finding's key, shared by all explanations that it is an example of; `None` if it is too long.
pub(super) type Example = Option<Arc<ExampleKey>>;

/// Makes an example of a key, unless the key is too long to be kept.
pub(super) fn example(key: &NamedValues<String>) -> Example {
    let bytes: usize = key.0.iter().map(|(_, value)| value.len()).sum();
    (bytes <= MAX_KEY_BYTES)
        .then(|| Arc::new(ExampleKey { sort_key: SortKey::of_key(key), key: key.clone() }))
}

/// A count, and the first keys of what was counted, so that the choice does not depend on the order
/// of the events.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) fit: u64,
    examples: Vec<Arc<ExampleKey>>,
}

impl Evidence {
    pub(super) fn add(&mut self, example: &Example) {
        self.fit += 1;
        let Some(example) = example else { return };
        let place = self.examples.partition_point(|known| known.sort_key <= example.sort_key);
        if place < MAX_EXAMPLES {
            self.examples.insert(place, Arc::clone(example));
            self.examples.truncate(MAX_EXAMPLES);
        }
    }

    pub(super) fn examples(&self) -> Vec<NamedValues<String>> {
        self.examples.iter().map(|example| example.key.clone()).collect()
    }
}

/// The evidence of at most `MAX` explanations. A new one replaces the one with the lowest count, so
/// the explanation of most findings is kept, and no count is too high.
#[derive(Debug)]
pub(super) struct TopExplanations<T, const MAX: usize>(Vec<(T, Evidence)>);

impl<T, const MAX: usize> Default for TopExplanations<T, MAX> {
    fn default() -> Self {
        TopExplanations(Vec::new())
    }
}

impl<T, const MAX: usize> TopExplanations<T, MAX> {
    /// Counts a finding for the explanation for which `is` holds; `make` makes one if there is
    /// none.
    pub(super) fn add(
        &mut self,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
        example: &Example,
    ) -> &mut T {
        let place = self.0.iter().position(|(known, _)| is(known)).unwrap_or_else(|| {
            if self.0.len() >= MAX {
                let least = self.0.iter().enumerate().min_by_key(|(_, (_, of))| of.fit);
                let least = least.map_or(0, |(place, _)| place);
                self.0.swap_remove(least);
            }
            self.0.push((make(), Evidence::default()));
            self.0.len() - 1
        });
        let (known, evidence) = &mut self.0[place];
        evidence.add(example);
        known
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(T, Evidence)> {
        self.0.iter()
    }

    /// Returns the explanation with the highest count among those that `may` be claimed, the
    /// earliest if there are several.
    pub(super) fn first(&self, may: impl Fn(&T, u64) -> bool) -> Option<&(T, Evidence)> {
        let claimed = self.0.iter().rev().filter(|(known, evidence)| may(known, evidence.fit));
        claimed.max_by_key(|(_, evidence)| evidence.fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explanation_of_most_findings_is_kept() {
        let mut top = TopExplanations::<u32, 4>::default();
        for number in 0..1_000 {
            top.add(|known| *known == number + 1, || number + 1, &None);
            top.add(|known| *known == 0, || 0, &None);
        }
        let (first, evidence) = top.first(|_, _| true).unwrap();
        assert_eq!((*first, evidence.fit), (0, 1_000));
        assert!(top.iter().all(|(_, evidence)| evidence.fit <= 1_000));
        assert_eq!(top.iter().count(), 4);
    }
}
