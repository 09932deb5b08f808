//! How often, and after which pauses, an operation that failed is tried again.
//!
//! Pauses double and have a random part, so that clients that failed together do not come back together.
//! Success restores the whole budget: a range that a standby keeps interrupting is read in parts, and
//! each part that was read is progress. Without progress the budget ends.

use std::time::Duration;

/// A budget of tries.
#[derive(Clone, Debug)]
pub(crate) struct Retries {
    first: Duration,
    longest: Duration,
    most: u32,
    failed: u32,
}

impl Retries {
    /// Makes a budget of up to `most` tries, with pauses from `first` to `longest` between them.
    pub(crate) const fn new(most: u32, first: Duration, longest: Duration) -> Retries {
        Retries { first, longest, most, failed: 0 }
    }

    /// Makes the budget against faults: enough for a server that restarts within 20 s.
    pub(crate) const fn against_faults() -> Retries {
        Retries::new(9, Duration::from_millis(200), Duration::from_secs(5))
    }

    /// Makes the budget against conflicts of a standby's queries with its replay: two minutes without
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

    /// Does `work` until it succeeds, until it fails with an error that no retry helps against, or until
    /// the budget ends.
    ///
    /// # Errors
    /// The last error.
    pub(crate) async fn run<T, E, F: Future<Output = Result<T, E>>>(
        mut self,
        is_transient: impl Fn(&E) -> bool,
        mut work: impl FnMut() -> F,
    ) -> Result<T, E> {
        loop {
            let result = work().await;
            match &result {
                Err(error) if is_transient(error) => {}
                _ => return result,
            }
            let Some(pause) = self.pause() else { return result };
            tokio::time::sleep(pause).await;
        }
    }

    /// Restores the whole budget.
    pub(crate) fn refill(&mut self) {
        self.failed = 0;
    }
}

/// Returns 75% to 125% of a pause.
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

    #[tokio::test(start_paused = true)]
    async fn only_transient_errors_are_retried() {
        let retries = Retries::new(3, Duration::from_secs(1), Duration::from_secs(1));
        let run = async |errors: &[Result<u8, &'static str>]| {
            let mut results = errors.iter();
            let work = || std::future::ready(*results.next().unwrap());
            let result = retries.clone().run(|error| *error == "busy", work).await;
            (result, results.count())
        };
        assert_eq!(run(&[Err("busy"), Ok(1), Ok(2)]).await, (Ok(1), 1));
        assert_eq!(run(&[Err("busy"), Err("wrong"), Ok(2)]).await, (Err("wrong"), 1));
        assert_eq!(run(&[Err("busy"), Err("busy"), Err("busy"), Ok(2)]).await, (Err("busy"), 1));
    }

    #[test]
    fn success_restores_the_budget() {
        let mut retries = Retries::against_conflicts();
        for _ in 0..100 {
            assert!(retries.pause().is_some());
            retries.refill();
        }
        assert_eq!(std::iter::from_fn(|| retries.pause()).count(), 29);
        assert!(retries.pause().is_none());
    }
}
