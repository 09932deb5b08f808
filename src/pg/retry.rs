//! How often, and after which pauses, something that failed is tried again.
//!
//! Pauses double and carry a random part, so that what failed together does not come back together.
//! Success gives the whole budget back: a range that a standby keeps interrupting is read in pieces,
//! and each piece that was read is progress. What makes none comes to an end.

use std::time::Duration;

/// A budget of tries.
#[derive(Debug)]
pub(crate) struct Retries {
    first: Duration,
    longest: Duration,
    most: u32,
    failed: u32,
}

impl Retries {
    /// Allows up to `most` tries, with pauses from `first` to `longest` between them.
    pub(crate) const fn new(most: u32, first: Duration, longest: Duration) -> Retries {
        Retries { first, longest, most, failed: 0 }
    }

    /// The budget against faults: a server that restarts within 20 s is waited for.
    pub(crate) const fn against_faults() -> Retries {
        Retries::new(9, Duration::from_millis(200), Duration::from_secs(5))
    }

    /// The budget against conflicts of a standby's queries with its replay, two minutes without any
    /// progress.
    pub(crate) const fn against_conflicts() -> Retries {
        Retries::new(30, Duration::from_millis(100), Duration::from_secs(5))
    }

    /// Counts a failure and returns the pause before the next try, or `None` if it was the last.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        self.failed += 1;
        let doubled = 2_u32.saturating_pow(self.failed - 1);
        let pause = self.first.saturating_mul(doubled).min(self.longest);
        (self.failed < self.most).then(|| jittered(pause))
    }

    /// Gives the whole budget back.
    pub(crate) fn refill(&mut self) {
        self.failed = 0;
    }
}

/// Between 75% and 125% of a pause.
fn jittered(pause: Duration) -> Duration {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |since| since.subsec_nanos());
    pause.mul_f64(0.75 + f64::from(nanos % 1000) / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_come_to_an_end() {
        let mut retries = Retries::new(6, Duration::from_millis(100), Duration::from_secs(1));
        let pauses: Vec<_> = std::iter::from_fn(|| retries.pause()).collect();
        let expected = [100, 200, 400, 800, 1_000].map(Duration::from_millis);
        assert_eq!(pauses.len(), expected.len());
        for (pause, expected) in pauses.into_iter().zip(expected) {
            assert!(pause >= expected.mul_f64(0.75) && pause <= expected.mul_f64(1.25));
        }
    }

    #[test]
    fn success_gives_the_budget_back() {
        let mut retries = Retries::against_conflicts();
        for _ in 0..100 {
            assert!(retries.pause().is_some());
            retries.refill();
        }
        assert_eq!(std::iter::from_fn(|| retries.pause()).count(), 29);
        assert!(retries.pause().is_none());
    }
}
