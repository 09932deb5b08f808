//! A window of keys or of time that holds most findings: an outage, a batch that a backfill missed.
//!
//! If all rows of the table lie in the window too, it explains nothing. So a window is only
//! accepted if it can hold no more than a small part of the table.

use std::sync::Arc;

use super::evidence::{Evidence, Example, ExampleKey};
use crate::finding::NamedValues;

/// The fewest findings of a window: fewer lie together by chance.
pub(super) const MIN_FINDINGS: u64 = 5;
/// The largest share of a table's rows that a window may hold.
pub(super) const MAX_SHARE: f64 = 0.1;
/// The most points that are kept; when there are more, a sample of them.
const MAX_POINTS: usize = 10_000;
/// The most points that are kept with their key.
const MAX_EXAMPLES: usize = 128;

/// Positions of findings, by key or by time.
#[derive(Debug)]
pub(super) struct Points {
    positions: Sample<i128>,
    examples: Sample<(i128, Arc<ExampleKey>)>,
}

impl Default for Points {
    fn default() -> Self {
        Points { positions: Sample::new(MAX_POINTS), examples: Sample::new(MAX_EXAMPLES) }
    }
}

/// A window with the number of findings in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) from: i128,
    pub(super) through: i128,
    /// Findings within it.
    pub(super) fit: u64,
}

impl Points {
    pub(super) fn add(&mut self, at: i128, example: &Example) {
        self.positions.push(at);
        if let Some(example) = example {
            self.examples.push((at, Arc::clone(example)));
        }
    }

    /// Returns the number of points for which `is` holds, an estimate if only a sample was kept.
    pub(super) fn count(&self, is: impl Fn(i128) -> bool) -> u64 {
        let (kept, seen) = (self.positions.kept.len().max(1), self.positions.seen);
        let count = self.positions.kept.iter().filter(|at| is(**at)).count();
        (count as f64 / kept as f64 * seen as f64) as u64
    }

    /// Returns the window that holds all points, or nearly all, or most of them: the first that is
    /// small.
    pub(super) fn window(&self, is_small: impl Fn(&Window) -> bool) -> Option<Window> {
        if self.positions.seen < MIN_FINDINGS {
            return None;
        }
        let mut points = self.positions.kept.clone();
        points.sort_unstable();
        let shortest = |share: f64| {
            let count = (points.len() as f64 * share).ceil() as usize;
            let windows = points.windows(count.max(1));
            let shortest = windows.min_by_key(|window| window[count - 1] - window[0])?;
            let fit = (count as f64 / points.len() as f64 * self.positions.seen as f64) as u64;
            Some(Window { from: shortest[0], through: shortest[count - 1], fit })
        };
        [1.0, 0.95, 0.9, 0.8].into_iter().filter_map(shortest).find(is_small)
    }

    /// Returns the keys of some points within a window.
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

/// A uniform sample of a fixed size (reservoir sampling); the same for the same findings.
#[derive(Debug)]
struct Sample<T> {
    kept: Vec<T>,
    seen: u64,
    size: usize,
    random: u64,
}

impl<T> Sample<T> {
    fn new(size: usize) -> Sample<T> {
        Sample { kept: Vec::new(), seen: 0, size, random: 0 }
    }

    fn push(&mut self, item: T) {
        self.seen += 1;
        if self.kept.len() < self.size {
            return self.kept.push(item);
        }
        // Knuth's 64-bit linear congruential generator; its high bits are the random ones.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from((self.random >> 16) % self.seen).unwrap_or(usize::MAX);
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
    fn the_largest_share_in_a_small_window_is_taken() {
        let found = |of: &[i128]| points(of.iter().copied()).window(narrow(10));
        let window = |from, through, fit| Some(Window { from, through, fit });
        assert_eq!(found(&[5, 1, 3, 2, 9]), window(1, 9, 5));
        assert_eq!(found(&[5, 1, 3, 2, 900]), window(1, 5, 4));
        assert_eq!(found(&[5, 1, 300, 2, 900]), None);
        assert_eq!(found(&[1, 2, 3, 4]), None);
    }

    #[test]
    fn memory_is_bounded_and_shares_stay_right() {
        let points = points((0..1_000_000).map(|n| if n % 14 == 0 { n * 1_000 } else { n % 700 }));
        assert!(points.positions.kept.len() <= MAX_POINTS);
        let window = points.window(narrow(701)).unwrap();
        assert!((899_000..=901_000).contains(&window.fit), "{window:?}");
    }
}
