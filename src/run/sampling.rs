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
pub(super) struct Sampling {
    share: f64,
    take: u64,
    skipping: bool,
}

impl Sampling {
    /// A sample of this share, of a table of about so many rows.
    pub(super) fn new(share: f64, rows: u64) -> Sampling {
        let mut sampling = Sampling { share, take: 0, skipping: false };
        sampling.of_stretches(rows / CHUNKS);
        sampling
    }

    /// Each stretch of so many rows is to have its part.
    pub(super) fn of_stretches(&mut self, rows: u64) {
        let take = (rows as f64 * self.share) as u64;
        self.take = take.clamp(LEAST_ROWS, MOST_ROWS);
    }

    /// Whether the next range is one to be left out.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Rows of the next range.
    pub(super) fn rows(&self) -> u64 {
        match self.skipping {
            false => self.take,
            true => ((self.take as f64 / self.share) as u64).saturating_sub(self.take).max(1),
        }
    }

    /// The next range was cut.
    pub(super) fn turn(&mut self) {
        self.skipping = !self.skipping;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_the_share_of_what_is_taken_and_skipped() {
        for (share, rows) in [(0.01, 2_000_000), (0.5, 1000), (0.2, 100), (1.0, 500)] {
            let mut sampling = Sampling::new(share, rows);
            let take = sampling.rows();
            sampling.turn();
            let part = take as f64 / (take + sampling.rows()) as f64;
            assert!((part - share).abs() < 0.03, "{share} of {rows}: {part}");
        }
    }
}
