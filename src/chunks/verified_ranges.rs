//! Which keys of a mapping a run has verified: compared, with every difference settled.

use crate::row::{Coverage, KeyOrder, KeyRange, VerifiedBy};

/// The maximum of undecided ranges of a run; with more, it has verified nothing but the whole.
const MOST_UNDECIDED: usize = 1_000;

/// The ranges that a run has verified so far.
#[derive(Debug, Default)]
pub(crate) struct VerifiedRanges {
    /// Ranges that were compared, each with its rows; neighbours are joined.
    compared: Vec<(KeyRange, u64)>,
    /// Ranges of which something is undecided.
    undecided: Vec<KeyRange>,
}

impl VerifiedRanges {
    /// Adds a range that was compared.
    pub(crate) fn add_compared(&mut self, range: &KeyRange, rows: u64) {
        match self.compared.last_mut() {
            Some((last, sum)) if last.through.is_some() && last.through == range.after => {
                last.through.clone_from(&range.through);
                *sum += rows;
            }
            _ => self.compared.push((range.clone(), rows)),
        }
    }

    /// Adds a range of which something is undecided.
    pub(crate) fn add_undecided(&mut self, range: &KeyRange) {
        if self.undecided.len() <= MOST_UNDECIDED && self.undecided.last() != Some(range) {
            self.undecided.push(range.clone());
        }
    }

    /// Marks the verified ranges in a coverage. Nothing is marked if only the servers know the order of
    /// keys.
    pub(crate) fn mark(&self, coverage: &mut Coverage, by: &VerifiedBy, order: &KeyOrder) {
        if !order.is_known() || self.undecided.len() > MOST_UNDECIDED {
            return;
        }
        let mut own = Coverage::nothing(0);
        for (range, rows) in &self.compared {
            own.mark(range, *rows, Some(by), order);
        }
        for range in &self.undecided {
            own.mark(range, 0, None, order);
        }
        for stretch in own.ranges().iter().filter(|stretch| stretch.verified.is_some()) {
            coverage.mark(&stretch.range, stretch.rows, Some(by), order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Bound, Key, KeyField};

    fn range(after: Option<u8>, through: Option<u8>) -> KeyRange {
        let bound = |number: u8| Bound {
            key: Key::new([&[number][..]]),
            text: [number.to_string()].into(),
        };
        KeyRange { after: after.map(bound), through: through.map(bound) }
    }

    #[test]
    fn undecided_ranges_keep_their_earlier_verification() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let mut coverage = Coverage::nothing(100);
        let by = |run| VerifiedBy { run, at: "2026-11-28T06:00:00Z".into() };
        coverage.mark(&KeyRange::everything(), 100, Some(&by(1)), &order);
        let mut verified = VerifiedRanges::default();
        verified.add_compared(&range(None, Some(10)), 10);
        verified.add_compared(&range(Some(10), Some(20)), 10);
        verified.add_compared(&range(Some(50), Some(60)), 10);
        verified.add_undecided(&range(Some(5), Some(10)));
        verified.mark(&mut coverage, &by(2), &order);
        let runs = coverage.ranges().iter().filter_map(|stretch| stretch.verified.as_ref());
        assert_eq!(runs.map(|by| by.run).collect::<Vec<_>>(), [2, 1, 2, 1, 2, 1]);
        assert_eq!(coverage.ranges()[1].range, range(Some(5), Some(10)));
    }
}
