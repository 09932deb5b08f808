//! How large the next chunk is: by the time that chunks took, and by how much they differed.

use std::time::Duration;

use super::ChunkSettings;
use crate::compare::Expectation;
use crate::plan::{MappingPlan, Strategy};
use crate::schema::BySide;

/// A chunk's first size, before anything has been measured.
const FIRST_ROWS: u64 = 20_000;
/// Sizes that time may lead to. Rows of a stream may all have to wait for their counterparts.
const LEAST_ROWS: u64 = 1_000;
const MOST_ROWS: u64 = 1 << 20;
const MOST_STREAMED: u64 = 150_000;
/// The maximum of recently changed keys that a chunk may have on one side.
pub(crate) const MOST_KEYS: u64 = 50_000;
/// Differences that one chunk should bring at the most, so that they pass through in small portions.
const MOST_DIFFERENCES: f64 = 20_000.0;

/// One mapping's chunk size.
#[derive(Debug)]
pub(crate) struct Sizing {
    rows: u64,
    fixed: bool,
    most: u64,
    chunk_time: Duration,
    /// Differences per row, of late.
    density: f64,
    /// Whether chunks are to be smaller than time allows.
    eases: bool,
}

/// So much smaller.
pub(crate) const EASED: u32 = 4;

impl Sizing {
    /// Nothing measured yet.
    pub(crate) fn new(plan: &MappingPlan, settings: ChunkSettings) -> Sizing {
        // Without a known order one-sided rows are told one by one.
        let few = plan.strategy == Strategy::Stream || !plan.order.is_known();
        let most = match (plan.since_indexed(), few) {
            (true, _) => MOST_KEYS,
            (false, true) => MOST_STREAMED,
            (false, false) => MOST_ROWS,
        };
        let rows = match plan.chunk_rows {
            Some(rows) => rows,
            // Every chunk reads the whole table: better few of them.
            None if !plan.served() => most,
            None => FIRST_ROWS,
        };
        let fixed = plan.chunk_rows.is_some() || !plan.served();
        Sizing { rows, fixed, most, chunk_time: settings.chunk_time, density: 0.0, eases: false }
    }

    /// Whether time has no say.
    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Rows of the next chunk: fewer where many differences are expected.
    pub(crate) fn next_rows(&self) -> u64 {
        if self.fixed {
            return self.rows;
        }
        let few = match self.density {
            0.0 => u64::MAX,
            density => (MOST_DIFFERENCES / density) as u64,
        };
        let rows = if self.eases { self.rows / u64::from(EASED) } else { self.rows };
        rows.min(few).max(LEAST_ROWS.min(self.rows))
    }

    /// Whether chunks are to be smaller than time allows.
    pub(crate) fn ease(&mut self, eases: bool) {
        self.eases = eases;
    }

    /// What is expected of a chunk of so many rows.
    pub(crate) fn expect(&self, rows: u64) -> Expectation {
        Expectation { rows, differences: (self.density * rows as f64).round() as u64 }
    }

    /// A chunk that was to have `asked` rows had these, differed so often, and its first statement
    /// took so long.
    pub(crate) fn measured(
        &mut self,
        asked: u64,
        rows: BySide<u64>,
        differences: usize,
        statement: Duration,
    ) {
        let most = rows.source.max(rows.target);
        let found = differences as f64 / most.max(1) as f64;
        // More differences count at once, fewer by and by.
        self.density = if found < self.density { (self.density + found) / 2.0 } else { found };
        if !self.fixed && most > 0 {
            let ratio = self.chunk_time.as_secs_f64() / statement.as_secs_f64().max(1e-6);
            let rows = asked as f64 * ratio.clamp(0.25, 4.0);
            self.rows = (rows as u64).clamp(LEAST_ROWS, self.most);
        }
    }

    /// A chunk of so many rows was too much for one statement.
    pub(crate) fn too_much(&mut self, rows: u64) {
        self.rows = self.rows.min(rows).div_ceil(2).max(LEAST_ROWS.min(self.rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    fn sizing() -> Sizing {
        let plan = sample::same(&[("id", Builtin::Int4, true)], &["id"]);
        Sizing::new(&plan, ChunkSettings::of(&CompareSettings::default()))
    }

    fn rows(rows: u64) -> BySide<u64> {
        BySide { source: rows, target: rows }
    }

    #[test]
    fn chunks_grow_and_shrink_towards_the_time_that_one_should_take() {
        let mut sizing = sizing();
        sizing.measured(20_000, rows(20_000), 0, Duration::from_millis(10));
        assert_eq!(sizing.next_rows(), 80_000);
        sizing.measured(80_000, rows(80_000), 0, Duration::from_millis(1_000));
        assert_eq!(sizing.next_rows(), 40_000);
        sizing.measured(40_000, rows(40_000), 0, Duration::from_secs(60));
        assert_eq!(sizing.next_rows(), 10_000);
        // a stretch without rows says nothing
        sizing.measured(10_000, rows(0), 0, Duration::from_micros(10));
        assert_eq!(sizing.next_rows(), 10_000);
    }

    #[test]
    fn eased_chunks_are_smaller_and_say_nothing_of_full_speed() {
        let mut sizing = sizing();
        sizing.ease(true);
        assert_eq!(sizing.next_rows(), 5_000);
        sizing.measured(5_000, rows(5_000), 0, Duration::from_millis(125));
        sizing.ease(false);
        assert_eq!(sizing.next_rows(), 20_000);
    }

    #[test]
    fn where_everything_differs_chunks_are_small() {
        let mut sizing = sizing();
        sizing.measured(20_000, rows(20_000), 20_000, Duration::from_millis(1));
        assert_eq!(sizing.next_rows(), 20_000);
        assert_eq!(sizing.expect(100), Expectation { rows: 100, differences: 100 });
        sizing.measured(20_000, rows(20_000), 0, Duration::from_millis(1));
        assert_eq!(sizing.expect(100).differences, 50);
    }
}
