//! Boundaries from the statistics' histogram of the key, which parts a table into stretches of about
//! equally many rows and costs nothing.

use crate::row::{Bound, KeyOrder};

/// The boundaries, in key order.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: Vec<Bound>,
    /// Rows of a stretch.
    rows: u64,
}

impl Histogram {
    /// The histogram of a table of so many rows; no bounds where there is none.
    pub(crate) fn new(bounds: Vec<Bound>, table_rows: u64) -> Histogram {
        let stretches = bounds.len().saturating_sub(1).max(1) as u64;
        Histogram { bounds, rows: (table_rows / stretches).max(1) }
    }

    /// Rows of a stretch, if there is a histogram.
    pub(crate) fn stretch(&self) -> Option<u64> {
        (!self.bounds.is_empty()).then_some(self.rows)
    }

    /// A boundary about so many rows behind a key, with the rows up to it; nothing if the stretches are
    /// longer than that, or the histogram ends before. Scans may go back: a slice takes what has waited
    /// for longest first.
    pub(crate) fn next(
        &self,
        after: Option<&Bound>,
        wanted: u64,
        order: &KeyOrder,
    ) -> Option<(Bound, u64)> {
        let passed = |bound: &Bound| {
            after.is_some_and(|after| order.compare(&bound.key, &after.key).is_le())
        };
        let behind = &self.bounds[self.bounds.partition_point(passed)..];
        let stretches = (wanted / self.rows).min(behind.len() as u64);
        let last = usize::try_from(stretches).ok()?.checked_sub(1)?;
        Some((behind.get(last)?.clone(), stretches * self.rows))
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
    fn boundaries_come_as_far_as_wanted_wherever_the_scan_stands() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let histogram = Histogram::new((0..=10).map(|n| bound(n * 10)).collect(), 1_000);
        let next = |after: Option<u8>, wanted| {
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
        // a slice goes back to what has waited for longest
        assert_eq!(next(Some(20), 300), Some(("50".into(), 300)));
        assert_eq!(next(None, 100), Some(("0".into(), 100)));
    }
}
