//! One window of keys or of time that holds most findings: an outage, a batch that a backfill missed.
//!
//! That findings lie together says nothing where all rows do, so a window is only claimed where it can
//! hold but a small part of the table.

use std::sync::Arc;

use super::evidence::{Evidence, Example, ExampleKey};
use crate::finding::NamedValues;

/// Fewer findings lie together by chance.
pub(super) const LEAST: u64 = 5;
/// The share of a table's rows that a window may hold at the most.
pub(super) const SMALL: f64 = 0.1;
/// Points that are held; when there are more, a sample of them is.
const MOST: usize = 10_000;
/// Points that are held with their key.
const MOST_EXAMPLES: usize = 128;

/// Where findings lie, on a line of keys or of time.
#[derive(Debug)]
pub(super) struct Points {
    held: Sample<i128>,
    examples: Sample<(i128, Arc<ExampleKey>)>,
}

impl Default for Points {
    fn default() -> Self {
        Points { held: Sample::new(MOST), examples: Sample::new(MOST_EXAMPLES) }
    }
}

/// A window with what lies in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) from: i128,
    pub(super) through: i128,
    /// Findings within it.
    pub(super) fit: u64,
}

impl Points {
    pub(super) fn add(&mut self, at: i128, example: &Example) {
        self.held.push(at);
        if let Some(example) = example {
            self.examples.push((at, Arc::clone(example)));
        }
    }

    /// How many points lie where this says.
    pub(super) fn count(&self, is: impl Fn(i128) -> bool) -> u64 {
        let (held, seen) = (self.held.kept.len().max(1), self.held.seen);
        let count = self.held.kept.iter().filter(|at| is(**at)).count();
        (count as f64 / held as f64 * seen as f64) as u64
    }

    /// The window that holds all points, or nearly all, or most of them: the first that is small.
    pub(super) fn window(&self, is_small: impl Fn(&Window) -> bool) -> Option<Window> {
        if self.held.seen < LEAST {
            return None;
        }
        let mut points = self.held.kept.clone();
        points.sort_unstable();
        let shortest = |share: f64| {
            let count = (points.len() as f64 * share).ceil() as usize;
            let windows = points.windows(count.max(1));
            let shortest = windows.min_by_key(|window| window[count - 1] - window[0])?;
            let fit = (count as f64 / points.len() as f64 * self.held.seen as f64) as u64;
            Some(Window { from: shortest[0], through: shortest[count - 1], fit })
        };
        [1.0, 0.95, 0.9, 0.8].into_iter().filter_map(shortest).find(is_small)
    }

    /// Keys of some points within a window.
    pub(super) fn examples(&self, window: &Window) -> Vec<NamedValues<String>> {
        let mut evidence = Evidence::default();
        for (at, example) in &self.examples.kept {
            if (window.from..=window.through).contains(at) {
                evidence.add(&Some(Arc::clone(example)));
            }
        }
        evidence.examples()
    }
}

/// A fair sample of so many, however many there are; the same for the same findings.
#[derive(Debug)]
struct Sample<T> {
    kept: Vec<T>,
    seen: u64,
    most: usize,
    dice: u64,
}

impl<T> Sample<T> {
    fn new(most: usize) -> Sample<T> {
        Sample { kept: Vec::new(), seen: 0, most, dice: 0 }
    }

    fn push(&mut self, item: T) {
        self.seen += 1;
        if self.kept.len() < self.most {
            return self.kept.push(item);
        }
        // Knuth's 64-bit congruential generator; its high bits are the good ones.
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from((self.dice >> 16) % self.seen).unwrap_or(usize::MAX);
        if let Some(kept) = self.kept.get_mut(place) {
            *kept = item;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: impl IntoIterator<Item = i128>) -> Points {
        let mut points = Points::default();
        of.into_iter().for_each(|at| points.add(at, &None));
        points
    }

    fn narrow(most: i128) -> impl Fn(&Window) -> bool {
        move |window| window.through - window.from < most
    }

    #[test]
    fn the_widest_share_that_lies_in_a_small_window_is_taken() {
        let found = |of: &[i128]| points(of.iter().copied()).window(narrow(10));
        let window = |from, through, fit| Some(Window { from, through, fit });
        assert_eq!(found(&[5, 1, 3, 2, 9]), window(1, 9, 5));
        assert_eq!(found(&[5, 1, 3, 2, 900]), window(1, 5, 4));
        assert_eq!(found(&[5, 1, 300, 2, 900]), None);
        assert_eq!(found(&[1, 2, 3, 4]), None);
    }

    #[test]
    fn memory_ends_and_shares_do_not() {
        let points = points((0..1_000_000).map(|n| if n % 14 == 0 { n * 1_000 } else { n % 700 }));
        assert!(points.held.kept.len() <= MOST);
        let window = points.window(narrow(701)).unwrap();
        assert!((899_000..=901_000).contains(&window.fit), "{window:?}");
    }
}
