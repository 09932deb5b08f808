//! Boundaries from the statistics' histogram of the key, which parts a table into stretches of about
//! equally many rows and costs nothing.

use std::collections::VecDeque;

use crate::row::{Bound, KeyOrder};

/// Boundaries ahead of the scan.
#[derive(Debug)]
pub(in crate::run) struct Histogram {
    bounds: VecDeque<Bound>,
    /// Rows of a stretch.
    rows: u64,
}

impl Histogram {
    /// The histogram of a table of so many rows; no bounds where there is none.
    pub(in crate::run) fn new(bounds: Vec<Bound>, table_rows: u64) -> Histogram {
        let stretches = bounds.len().saturating_sub(1).max(1) as u64;
        Histogram { bounds: bounds.into(), rows: (table_rows / stretches).max(1) }
    }

    /// Rows of a stretch, if there is a histogram.
    pub(in crate::run) fn stretch(&self) -> Option<u64> {
        (!self.bounds.is_empty()).then_some(self.rows)
    }

    /// A boundary about so many rows behind the last one, with the rows up to it; nothing if the
    /// stretches are longer than that, or the histogram has ended.
    pub(in crate::run) fn next(
        &mut self,
        after: Option<&Bound>,
        wanted: u64,
        order: &KeyOrder,
    ) -> Option<(Bound, u64)> {
        let behind = |bound: &Bound| match after {
            Some(after) => order.compare(&bound.key, &after.key).is_gt(),
            None => true,
        };
        while self.bounds.front().is_some_and(|bound| !behind(bound)) {
            self.bounds.pop_front();
        }
        let stretches = (wanted / self.rows).min(self.bounds.len() as u64);
        let last = usize::try_from(stretches).ok()?.checked_sub(1)?;
        Some((self.bounds.get(last)?.clone(), stretches * self.rows))
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
    fn boundaries_come_as_far_as_wanted_and_never_backwards() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut histogram = Histogram::new((0..=10).map(|n| bound(n * 10)).collect(), 1_000);
        let mut next = |after: Option<u8>, wanted| {
            let found = histogram.next(after.map(bound).as_ref(), wanted, &order);
            found.map(|(bound, rows)| (bound.text[0].clone(), rows))
        };
        assert_eq!(next(None, 99), None);
        assert_eq!(next(None, 250), Some(("10".into(), 200)));
        assert_eq!(next(Some(10), 100), Some(("20".into(), 100)));
        // probes went further than the histogram thought
        assert_eq!(next(Some(55), 350), Some(("80".into(), 300)));
        assert_eq!(next(Some(80), 10_000), Some(("100".into(), 200)));
        assert_eq!(next(Some(100), 10_000), None);
    }
}
