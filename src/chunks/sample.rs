//! Which key ranges a sample takes: short ones at even distances, the same in every run with the same
//! tables and statistics.
//!
//! ```text
//!   ▐█▌          ▐█▌          ▐█▌          taken, compared like any chunk
//!  ─────┬────────────┬────────────┬──────▶ keys
//!      boundaries of the histogram, or rows of the index that are skipped
//! ```

/// The minimum of chunks in a sample of a table without a histogram.
const CHUNKS: u64 = 50;
/// The minimum of rows of a chunk: with fewer, statements would cost more than rows.
const LEAST_TAKEN: u64 = 50;
const MOST_TAKEN: u64 = 20_000;

/// A sample that takes and skips ranges in turn.
#[derive(Debug)]
pub(crate) struct KeySample {
    share: f64,
    take: u64,
    skipping: bool,
    left: u64,
    taken: u64,
    skipped: u64,
}

impl KeySample {
    /// Creates a sample of this share of a table with these estimated rows.
    pub(crate) fn new(share: f64, rows: u64) -> KeySample {
        let mut sample =
            KeySample { share, take: 0, skipping: false, left: 0, taken: 0, skipped: 0 };
        sample.set_step(rows / CHUNKS);
        sample
    }

    /// Sets the number of rows of which a part is taken each time.
    pub(crate) fn set_step(&mut self, rows: u64) {
        let take = (rows as f64 * self.share) as u64;
        self.take = take.clamp(LEAST_TAKEN, MOST_TAKEN);
        self.left = self.take;
    }

    /// Returns whether the next range is skipped.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Returns whether the next range is skipped up to a boundary of the histogram. A large sample
    /// skips less than a step.
    pub(crate) fn skips_to_bound(&self) -> bool {
        self.skipping && self.share <= 0.5
    }

    /// Returns the rows that are still to be taken or skipped.
    pub(crate) fn rows_left(&self) -> u64 {
        self.left.max(1)
    }

    /// Counts a range that was cut. Returns whether it is skipped.
    pub(crate) fn cut(&mut self, rows: u64) -> bool {
        let skips = self.skipping;
        let count = if skips { &mut self.skipped } else { &mut self.taken };
        *count += rows;
        self.left = self.left.saturating_sub(rows);
        if self.left == 0 {
            self.skipping = !skips;
            self.left = match skips {
                true => self.take,
                false => ((self.take as f64 / self.share) as u64).saturating_sub(self.take).max(1),
            };
        }
        skips
    }

    /// Returns the share of the rows that was taken so far.
    pub(crate) fn share(&self) -> f64 {
        self.taken as f64 / (self.taken + self.skipped).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_taken_however_ranges_are_cut() {
        for (share, rows) in [(0.01, 2_000_000), (0.5, 1000), (0.2, 100), (0.99, 40_000)] {
            for most in [10, 1_000_000] {
                let mut sample = KeySample::new(share, rows);
                let mut skips = 0;
                while skips < 20 {
                    let rows = sample.rows_left();
                    let rows = if sample.is_skipping() { rows } else { rows.min(most) };
                    skips += u32::from(sample.cut(rows));
                }
                let part = sample.share();
                assert!((part - share).abs() < 0.03, "{share} of {rows}: {part}");
            }
        }
    }
}
