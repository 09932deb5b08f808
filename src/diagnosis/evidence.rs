//! How many findings fit an explanation, with a few of their keys.

use std::sync::Arc;

use crate::finding::{NamedValues, SortKey};

/// Keys told as examples.
const EXAMPLES: usize = 5;
/// A longer key is no example.
const LONGEST_KEY: usize = 400;

/// A finding's key, and where it stands among others.
#[derive(Debug)]
pub(super) struct ExampleKey {
    position: SortKey,
    key: NamedValues<String>,
}

/// A finding's key, shared by everything that it is an example of.
pub(super) type Example = Option<Arc<ExampleKey>>;

/// A key as an example, unless it is too long to be held.
pub(super) fn example(key: &NamedValues<String>) -> Example {
    let bytes: usize = key.0.iter().map(|(_, value)| value.len()).sum();
    (bytes <= LONGEST_KEY)
        .then(|| Arc::new(ExampleKey { position: SortKey::of_key(key), key: key.clone() }))
}

/// A count, and the first keys of what was counted: which they are must not hang on which settled
/// first.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    pub(super) fit: u64,
    examples: Vec<Arc<ExampleKey>>,
}

impl Evidence {
    pub(super) fn add(&mut self, example: &Example) {
        self.fit += 1;
        let Some(example) = example else { return };
        let place = self.examples.partition_point(|known| known.position <= example.position);
        if place < EXAMPLES {
            self.examples.insert(place, Arc::clone(example));
            self.examples.truncate(EXAMPLES);
        }
    }

    pub(super) fn examples(&self) -> Vec<NamedValues<String>> {
        self.examples.iter().map(|example| example.key.clone()).collect()
    }
}

/// Evidence for several explanations, at most so many: a new one takes the place of the one with the
/// least. What most findings fit is kept, and of none more is counted than there is.
#[derive(Debug)]
pub(super) struct TopExplanations<T, const MOST: usize>(Vec<(T, Evidence)>);

impl<T, const MOST: usize> Default for TopExplanations<T, MOST> {
    fn default() -> Self {
        TopExplanations(Vec::new())
    }
}

impl<T, const MOST: usize> TopExplanations<T, MOST> {
    /// Counts one more of what `is` tells to be the explanation; `make` makes a new one.
    pub(super) fn add(
        &mut self,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
        example: &Example,
    ) -> &mut T {
        let place = self.0.iter().position(|(known, _)| is(known)).unwrap_or_else(|| {
            if self.0.len() >= MOST {
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

    /// Of the explanations that `may` be claimed the one that most findings fit; of two alike the one
    /// that came first.
    pub(super) fn first(&self, may: impl Fn(&T, u64) -> bool) -> Option<&(T, Evidence)> {
        let claimed = self.0.iter().rev().filter(|(known, evidence)| may(known, evidence.fit));
        claimed.max_by_key(|(_, evidence)| evidence.fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_fit_is_kept_among_ever_new_rivals() {
        let mut rivals = TopExplanations::<u32, 4>::default();
        for number in 0..1_000 {
            rivals.add(|known| *known == number + 1, || number + 1, &None);
            rivals.add(|known| *known == 0, || 0, &None);
        }
        let (first, evidence) = rivals.first(|_, _| true).unwrap();
        assert_eq!((*first, evidence.fit), (0, 1_000));
        assert!(rivals.iter().all(|(_, evidence)| evidence.fit <= 1_000));
        assert_eq!(rivals.iter().count(), 4);
    }
}
