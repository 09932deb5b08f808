//! Which key ranges a sample takes: short ones at even distances, the same on every run of the same
//! tables and statistics.
//!
//! ```text
//!   ▐█▌          ▐█▌          ▐█▌          taken, compared like any chunk
//!  ─────┬────────────┬────────────┬──────▶ keys
//!      bounds of the histogram, or so many keys of the index skipped
//! ```

/// Chunks that a sample of a table without a histogram consists of, at least.
const CHUNKS: u64 = 50;
/// A chunk has at least so many rows, or the statements would cost more than the rows.
const LEAST_ROWS: u64 = 50;
const MOST_ROWS: u64 = 20_000;

/// Takes and skips in turn.
#[derive(Debug)]
pub(crate) struct Sampling {
    share: f64,
    take: u64,
    skipping: bool,
    left: u64,
    taken: u64,
    skipped: u64,
}

impl Sampling {
    /// A sample of this share, of a table of about so many rows.
    pub(crate) fn new(share: f64, rows: u64) -> Sampling {
        let mut sampling =
            Sampling { share, take: 0, skipping: false, left: 0, taken: 0, skipped: 0 };
        sampling.of_stretches(rows / CHUNKS);
        sampling
    }

    /// Each stretch of so many rows is to have its part.
    pub(crate) fn of_stretches(&mut self, rows: u64) {
        let take = (rows as f64 * self.share) as u64;
        self.take = take.clamp(LEAST_ROWS, MOST_ROWS);
        self.left = self.take;
    }

    /// Whether the next range is one to be left out.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Whether it may be left out by going to the next bound of the histogram. What is left out of a
    /// large sample is less than a stretch.
    pub(crate) fn jumps(&self) -> bool {
        self.skipping && self.share <= 0.5
    }

    /// Rows that are still to be taken, or left out, before the turn.
    pub(crate) fn left(&self) -> u64 {
        self.left.max(1)
    }

    /// A range of so many rows was cut. Tells whether it is left out.
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

    /// The share of the rows that was taken so far, about.
    pub(crate) fn share(&self) -> f64 {
        self.taken as f64 / (self.taken + self.skipped).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_the_share_however_it_is_cut() {
        for (share, rows) in [(0.01, 2_000_000), (0.5, 1000), (0.2, 100), (0.99, 40_000)] {
            for most in [10, 1_000_000] {
                let mut sampling = Sampling::new(share, rows);
                let mut skips = 0;
                while skips < 20 {
                    let rows = sampling.left();
                    let rows = if sampling.is_skipping() { rows } else { rows.min(most) };
                    skips += u32::from(sampling.cut(rows));
                }
                let part = sampling.share();
                assert!((part - share).abs() < 0.03, "{share} of {rows}: {part}");
            }
        }
    }
}
