//! Coverage: which part of a mapping's keys was last verified by which run.
//!
//! ```text
//!   before   [────── Monday ──────][─── never ───][──── Monday ────]
//!   a slice                  (────────────────────────]  Tuesday
//!   after    [── Monday ────][────────── Tuesday ─────][─ Monday ──]
//! ```
//!
//! Ranges tile the keys from the first open end to the last, so that no key is left out. Which of two runs
//! is newer is decided by their numbers, not by a clock: clocks go back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Bound, KeyOrder, KeyRange};

/// The run that verified a range.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VerifiedBy {
    /// Its number in the ledger: a run that began later has a larger one.
    pub run: i64,
    /// When it began, to the second, by the clock of its machine.
    pub at: String,
}

/// A range of keys, all of which were last verified by one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredRange {
    /// The range.
    pub range: KeyRange,
    /// About how many rows it has.
    pub rows: u64,
    /// The run that verified it; `None` if none has.
    pub verified: Option<VerifiedBy>,
}

/// When each part of the keys was last verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage(Vec<CoveredRange>);

impl Coverage {
    /// Makes the coverage of about so many rows of which none are verified.
    pub fn nothing(rows: u64) -> Coverage {
        Coverage(vec![CoveredRange { range: KeyRange::everything(), rows, verified: None }])
    }

    /// Makes a coverage of stored ranges. Returns `None` if they do not tile the keys.
    pub fn of(ranges: Vec<CoveredRange>) -> Option<Coverage> {
        let first = ranges.first()?.range.after.is_none();
        let last = ranges.last()?.range.through.is_none();
        let joined = |pair: &[CoveredRange]| {
            pair[0].range.through.is_some() && pair[0].range.through == pair[1].range.after
        };
        (first && last && ranges.windows(2).all(joined)).then_some(Coverage(ranges))
    }

    /// Returns its ranges in key order.
    pub fn ranges(&self) -> &[CoveredRange] {
        &self.0
    }

    /// Marks a range of about so many rows as verified by this run; `None` marks it as not verified.
    pub fn mark(&mut self, range: &KeyRange, rows: u64, by: Option<&VerifiedBy>, order: &KeyOrder) {
        let mut marked = Vec::with_capacity(self.0.len() + 2);
        let (mut new, mut unseen) = (Some(rows), rows);
        let verified = by.cloned();
        for covered in self.0.drain(..) {
            let around = |at: &Bound| around(&covered.range, at, order);
            let before = range.after.as_ref().and_then(|after| around(after).0);
            let behind = range.through.as_ref().and_then(|through| around(through).1);
            let untouched =
                before.as_ref() == Some(&covered.range) || behind.as_ref() == Some(&covered.range);
            if untouched {
                marked.push(covered);
                continue;
            }
            let taken = covered.rows.min(unseen);
            unseen -= taken;
            // Of a range of unknown size, as many rows are assumed to remain as were read.
            let outside = if covered.rows == 0 { rows } else { covered.rows - taken };
            // On which side of the range they are is unknown: half of them on each.
            let rows_before = if behind.is_some() { outside / 2 } else { outside };
            if let Some(before) = &before {
                let range = before.clone();
                marked.push(CoveredRange { range, rows: rows_before, ..covered.clone() });
            }
            if let Some(rows) = new.take() {
                let range = range.clone();
                marked.push(CoveredRange { range, rows, verified: verified.clone() });
            }
            if let Some(behind) = behind {
                let rows = if before.is_some() { outside - rows_before } else { outside };
                marked.push(CoveredRange { range: behind, rows, ..covered });
            }
        }
        self.0 = marked;
        self.join();
    }

    /// Joins neighbours that one run verified.
    fn join(&mut self) {
        let mut joined: Vec<CoveredRange> = Vec::with_capacity(self.0.len());
        for covered in self.0.drain(..) {
            match joined.last_mut() {
                Some(last) if last.verified == covered.verified => {
                    last.range.through = covered.range.through;
                    last.rows = last.rows.saturating_add(covered.rows);
                }
                _ => joined.push(covered),
            }
        }
        self.0 = joined;
    }

    /// Returns how many rows were verified by which run, without their keys.
    pub fn shares(&self) -> Shares {
        Shares::new(self.0.iter().map(|covered| (covered.rows, covered.verified.clone())))
    }

    /// Returns the ranges, sorted by how long they have not been verified, the longest first.
    pub fn oldest_first(&self) -> Vec<&CoveredRange> {
        let mut ranges: Vec<&CoveredRange> = self.0.iter().collect();
        ranges.sort_by(|a, b| a.verified.cmp(&b.verified));
        ranges
    }
}

/// How many rows of a mapping were last verified by which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares(Vec<(u64, Option<VerifiedBy>)>);

impl Shares {
    /// Makes shares of counts of rows, each with the run that last verified them, `None` if none has.
    pub fn new(shares: impl IntoIterator<Item = (u64, Option<VerifiedBy>)>) -> Shares {
        Shares(shares.into_iter().collect())
    }

    /// Returns the share of the rows that were verified by this run or a later one, 0 to 1.
    pub fn since(&self, run: &VerifiedBy) -> f64 {
        self.share(|verified| verified >= run)
    }

    /// Returns the share of the rows that were verified by a run that counts, 0 to 1.
    pub fn share(&self, counts: impl Fn(&VerifiedBy) -> bool) -> f64 {
        let late =
            |(_, verified): &&(u64, Option<VerifiedBy>)| verified.as_ref().is_some_and(&counts);
        if self.0.iter().all(|part| late(&part)) {
            return 1.0;
        }
        // A range of an unknown number of rows still counts.
        let sum = |sum: f64, (rows, _): &(u64, Option<VerifiedBy>)| sum + (*rows).max(1) as f64;
        self.0.iter().filter(late).fold(0.0, sum) / self.0.iter().fold(0.0, sum)
    }

    /// Returns the runs that last verified any of it, the earliest first.
    pub fn runs(&self) -> BTreeSet<&VerifiedBy> {
        self.0.iter().filter_map(|(_, verified)| verified.as_ref()).collect()
    }
}

/// Returns the parts of a range up to and including a key, and after it; `None` for a part without keys.
fn around(range: &KeyRange, at: &Bound, order: &KeyOrder) -> (Option<KeyRange>, Option<KeyRange>) {
    let begins_behind = |own: &Bound| order.compare(&own.key, &at.key).is_ge();
    let ends_by = |own: &Bound| order.compare(&own.key, &at.key).is_le();
    match (range.after.as_ref().is_some_and(begins_behind), range.through.as_ref()) {
        (true, _) => (None, Some(range.clone())),
        (false, Some(through)) if ends_by(through) => (Some(range.clone()), None),
        (false, _) => {
            let (up_to, behind) = range.cut(at.clone());
            (Some(up_to), Some(behind))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::row::{Key, KeyField};

    fn order() -> KeyOrder {
        KeyOrder(vec![KeyField::Bytes])
    }

    fn bound(number: u8) -> Option<Bound> {
        Some(Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() })
    }

    fn range(after: Option<u8>, through: Option<u8>) -> KeyRange {
        KeyRange { after: after.and_then(bound), through: through.and_then(bound) }
    }

    fn number(bound: &Option<Bound>) -> Option<u8> {
        bound.as_ref().map(|bound| bound.text[0].parse().unwrap())
    }

    fn run(number: i64) -> VerifiedBy {
        // The clock goes back from run to run.
        VerifiedBy { run: number, at: format!("2026-11-{:02}T06:00:00Z", 28 - number) }
    }

    fn told(coverage: &Coverage) -> Vec<(Option<u8>, Option<u8>, Option<i64>)> {
        let tell = |covered: &CoveredRange| {
            let KeyRange { after, through } = &covered.range;
            (number(after), number(through))
        };
        let ranges = coverage.ranges().iter();
        ranges
            .map(|covered| {
                let (after, through) = tell(covered);
                (after, through, covered.verified.as_ref().map(|by| by.run))
            })
            .collect()
    }

    #[test]
    fn a_slice_is_marked_and_the_oldest_range_comes_first() {
        let mut coverage = Coverage::nothing(100);
        coverage.mark(&range(None, Some(50)), 50, Some(&run(1)), &order());
        coverage.mark(&range(Some(50), None), 50, Some(&run(2)), &order());
        assert_eq!(told(&coverage), [(None, Some(50), Some(1)), (Some(50), None, Some(2))]);
        assert_eq!(
            (
                coverage.shares().since(&run(1)),
                coverage.shares().since(&run(2)),
                coverage.shares().since(&run(3))
            ),
            (1.0, 0.5, 0.0)
        );
        coverage.mark(&range(Some(40), Some(60)), 20, Some(&run(3)), &order());
        assert_eq!(
            told(&coverage),
            [(None, Some(40), Some(1)), (Some(40), Some(60), Some(3)), (Some(60), None, Some(2))]
        );
        let oldest: Vec<_> = coverage.oldest_first().iter().map(|s| s.verified.clone()).collect();
        assert_eq!(oldest, [Some(run(1)), Some(run(2)), Some(run(3))]);
        coverage.mark(&range(Some(45), Some(50)), 5, None, &order());
        assert_eq!(coverage.oldest_first()[0].range, range(Some(45), Some(50)));
        coverage.mark(&KeyRange::everything(), 100, Some(&run(4)), &order());
        assert_eq!(told(&coverage), [(None, None, Some(4))]);
    }

    #[test]
    fn a_share_is_relative_to_all_rows() {
        let mut coverage = Coverage::nothing(100);
        coverage.mark(&range(None, Some(5)), 10, Some(&run(1)), &order());
        assert!((coverage.shares().since(&run(1)) - 0.1).abs() < 1e-9, "{coverage:?}");
        coverage.mark(&range(Some(2), Some(9)), 15, Some(&run(2)), &order());
        coverage.mark(&range(Some(12), Some(15)), 10, Some(&run(2)), &order());
        let rows: u64 = coverage.ranges().iter().map(|covered| covered.rows).sum();
        assert_eq!(rows, 100, "{coverage:?}");
        // The number of rows is unknown.
        let mut coverage = Coverage::nothing(0);
        coverage.mark(&range(None, Some(5)), 10, Some(&run(1)), &order());
        assert!(coverage.shares().since(&run(1)) <= 0.5, "{coverage:?}");
    }

    #[test]
    fn what_does_not_tile_is_no_coverage() {
        let covered = |range| CoveredRange { range, rows: 1, verified: None };
        assert_eq!(Coverage::of(Vec::new()), None);
        let gap = vec![covered(range(None, Some(1))), covered(range(Some(2), None))];
        assert_eq!(Coverage::of(gap), None);
        let whole = vec![covered(range(None, Some(1))), covered(range(Some(1), None))];
        assert!(Coverage::of(whole).is_some());
    }

    proptest! {
        /// Each key has the run of the last mark that includes it, and ranges always tile.
        #[test]
        fn marks_are_kept_key_by_key(
            marks in proptest::collection::vec((0..=20u8, 0..=20u8, 0..5u8), 0..12)
        ) {
            let mut coverage = Coverage::nothing(20);
            let mut keys = [None; 22];
            for (low, high, at) in marks {
                // 0 and 20 stand for open ends
                let (after, through) = ((low > 0).then_some(low), (high < 20).then_some(high));
                if after.is_some() && through.is_some() && low >= high {
                    continue;
                }
                let by = (at > 0).then(|| run(at.into()));
                coverage.mark(&range(after, through), 1, by.as_ref(), &order());
                for (key, held) in keys.iter_mut().enumerate() {
                    if after.is_none_or(|after| key > after.into())
                        && through.is_none_or(|through| key <= through.into())
                    {
                        *held = by.as_ref().map(|by| by.run);
                    }
                }
                prop_assert!(Coverage::of(coverage.ranges().to_vec()).is_some());
            }
            for (key, held) in keys.iter().enumerate() {
                let covered = coverage.ranges().iter().find(|covered| {
                    number(&covered.range.through).is_none_or(|through| key <= through.into())
                });
                let verified = covered.unwrap().verified.as_ref().map(|by| by.run);
                prop_assert_eq!(verified, *held, "key {}", key);
            }
        }
    }
}
