//! How large the next chunk is: decided by the time that chunks took, and by their differences.

use std::time::Duration;

use super::settings::ChunkSettings;
use crate::compare::Expectation;
use crate::plan::{MappingPlan, Strategy};
use crate::schema::BySide;

/// The size of the first chunk, before anything has been measured.
const FIRST_ROWS: u64 = 20_000;
/// The limits of a size that is decided by time.
const LEAST_SIZED: u64 = 1_000;
const MOST_SIZED: u64 = 1 << 20;
/// The same for streams: all their rows may have to wait for their counterparts.
const MOST_STREAMED: u64 = 150_000;
/// The maximum of recently changed keys that a chunk may have on one side.
pub(crate) const MOST_CHANGED_KEYS: u64 = 50_000;
/// The maximum of differences that a chunk should have, so that they are settled in small batches.
const MOST_DIFFERENCES: f64 = 20_000.0;

/// Throttled chunks are smaller by this factor.
pub(crate) const THROTTLED: u32 = 4;

/// The chunk size of one mapping.
#[derive(Debug)]
pub(crate) struct ChunkSize {
    rows: u64,
    is_fixed: bool,
    most: u64,
    chunk_time: Duration,
    /// The differences per row, recently.
    density: f64,
    is_throttled: bool,
}

impl ChunkSize {
    /// Returns the size of the first chunk.
    pub(crate) fn new(plan: &MappingPlan, settings: ChunkSettings) -> ChunkSize {
        // Without a known order one-sided rows are reported one by one.
        let few = plan.strategy == Strategy::Stream || !plan.order.is_known();
        let most = match (plan.since_indexed(), few) {
            (true, _) => MOST_CHANGED_KEYS,
            (false, true) => MOST_STREAMED,
            (false, false) => MOST_SIZED,
        };
        let rows = match plan.chunk_rows {
            Some(rows) => rows,
            // Every chunk reads the whole table, so there should be few.
            None if !plan.served() => most,
            None => FIRST_ROWS,
        };
        ChunkSize {
            rows,
            is_fixed: plan.chunk_rows.is_some() || !plan.served(),
            most,
            chunk_time: settings.chunk_time,
            density: 0.0,
            is_throttled: false,
        }
    }

    /// Returns whether the size does not depend on time.
    pub(crate) fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// Returns the rows of the next chunk: fewer where many differences are expected.
    pub(crate) fn next_rows(&self) -> u64 {
        if self.is_fixed {
            return self.rows;
        }
        let few = match self.density {
            0.0 => u64::MAX,
            density => (MOST_DIFFERENCES / density) as u64,
        };
        let rows = if self.is_throttled { self.rows / u64::from(THROTTLED) } else { self.rows };
        rows.min(few).max(LEAST_SIZED.min(self.rows))
    }

    /// Sets whether chunks are smaller than time allows.
    pub(crate) fn throttle(&mut self, is_throttled: bool) {
        self.is_throttled = is_throttled;
    }

    /// Returns what is expected of a chunk of this size.
    pub(crate) fn expect(&self, rows: u64) -> Expectation {
        Expectation { rows, differences: (self.density * rows as f64).round() as u64 }
    }

    /// Takes the measurements of a chunk: the rows that it should have and those that it had, its
    /// differences, and the duration of its first statement.
    pub(crate) fn measure(
        &mut self,
        requested: u64,
        rows: BySide<u64>,
        differences: usize,
        statement: Duration,
    ) {
        let most = rows.source.max(rows.target);
        let found = differences as f64 / most.max(1) as f64;
        // A higher density counts at once, a lower one gradually.
        self.density = if found < self.density { (self.density + found) / 2.0 } else { found };
        if !self.is_fixed && most > 0 {
            let ratio = self.chunk_time.as_secs_f64() / statement.as_secs_f64().max(1e-6);
            let rows = requested as f64 * ratio.clamp(0.25, 4.0);
            self.rows = (rows as u64).clamp(LEAST_SIZED, self.most);
        }
    }

    /// Makes chunks smaller: one of this size was too large for one statement.
    pub(crate) fn too_large(&mut self, rows: u64) {
        self.rows = self.rows.min(rows).div_ceil(2).max(LEAST_SIZED.min(self.rows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    fn size() -> ChunkSize {
        let plan = sample::same(&[("id", Builtin::Int4, true)], &["id"]);
        ChunkSize::new(&plan, ChunkSettings::of(&CompareSettings::default()))
    }

    fn rows(rows: u64) -> BySide<u64> {
        BySide { source: rows, target: rows }
    }

    #[test]
    fn chunks_grow_and_shrink_towards_the_chunk_time() {
        let mut size = size();
        size.measure(20_000, rows(20_000), 0, Duration::from_millis(10));
        assert_eq!(size.next_rows(), 80_000);
        size.measure(80_000, rows(80_000), 0, Duration::from_millis(1_000));
        assert_eq!(size.next_rows(), 40_000);
        size.measure(40_000, rows(40_000), 0, Duration::from_secs(60));
        assert_eq!(size.next_rows(), 10_000);
        // a range without rows does not count
        size.measure(10_000, rows(0), 0, Duration::from_micros(10));
        assert_eq!(size.next_rows(), 10_000);
    }

    #[test]
    fn throttled_chunks_do_not_count_for_full_speed() {
        let mut size = size();
        size.throttle(true);
        assert_eq!(size.next_rows(), 5_000);
        size.measure(5_000, rows(5_000), 0, Duration::from_millis(125));
        size.throttle(false);
        assert_eq!(size.next_rows(), 20_000);
    }

    #[test]
    fn chunks_are_small_where_everything_differs() {
        let mut size = size();
        size.measure(20_000, rows(20_000), 20_000, Duration::from_millis(1));
        assert_eq!(size.next_rows(), 20_000);
        assert_eq!(size.expect(100), Expectation { rows: 100, differences: 100 });
        size.measure(20_000, rows(20_000), 0, Duration::from_millis(1));
        assert_eq!(size.expect(100).differences, 50);
    }
}
