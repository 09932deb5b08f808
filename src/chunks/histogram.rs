//! Boundaries from the statistics' histogram of the key, which cuts a table into steps of about
//! equally many rows. Reading it costs nothing.

use crate::row::{Bound, KeyOrder};

/// The boundaries, in key order.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Vec<Bound>,
    /// The rows of a step.
    rows: u64,
}

impl Histogram {
    /// Creates the histogram of a table of this size; without bounds there is none.
    pub(crate) fn new(bounds: Vec<Bound>, table_rows: u64) -> Histogram {
        let steps = bounds.len().saturating_sub(1).max(1) as u64;
        Histogram { bounds, rows: (table_rows / steps).max(1) }
    }

    /// Returns the rows of a step, if there is a histogram.
    pub(crate) fn step_rows(&self) -> Option<u64> {
        (!self.bounds.is_empty()).then_some(self.rows)
    }

    /// Returns the boundary about `wanted` rows after a key, with the rows up to it; `None` if a step
    /// has more rows than that, or the histogram ends before. Keys may go back between calls: a slice
    /// begins with the range that has not been verified for the longest time.
    pub(crate) fn bound_after(
        &self,
        after: Option<&Bound>,
        wanted: u64,
        order: &KeyOrder,
    ) -> Option<(Bound, u64)> {
        let is_before = |bound: &Bound| {
            after.is_some_and(|after| order.compare(&bound.key, &after.key).is_le())
        };
        let behind = &self.bounds[self.bounds.partition_point(is_before)..];
        let steps = (wanted / self.rows).min(behind.len() as u64);
        let last = usize::try_from(steps).ok()?.checked_sub(1)?;
        Some((behind.get(last)?.clone(), steps * self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Key, KeyField};

    fn bound(number: u8) -> Bound {
        Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() }
    }

    #[test]
    fn boundaries_are_found_wherever_the_scan_is() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let histogram = Histogram::new((0..=10).map(|n| bound(n * 10)).collect(), 1_000);
        let next = |after: Option<u8>, wanted| {
            let found = histogram.bound_after(after.map(bound).as_ref(), wanted, &order);
            found.map(|(bound, rows)| (bound.text[0].clone(), rows))
        };
        assert_eq!(next(None, 99), None);
        assert_eq!(next(None, 250), Some(("10".into(), 200)));
        assert_eq!(next(Some(10), 100), Some(("20".into(), 100)));
        // probes went beyond a boundary
        assert_eq!(next(Some(55), 350), Some(("80".into(), 300)));
        assert_eq!(next(Some(80), 10_000), Some(("100".into(), 200)));
        assert_eq!(next(Some(100), 10_000), None);
        // a slice goes back
        assert_eq!(next(Some(20), 300), Some(("50".into(), 300)));
        assert_eq!(next(None, 100), Some(("0".into(), 100)));
    }
}
