//! Retries, before the first row is read, what a server or the way to it may reject for a moment only: too
//! many connections, a restart, a timeout, a conflict with a standby's replay.
//!
//! What fails only after a long time is retried less often: no attempt begins later than half a minute after
//! the first failure.

use std::time::Duration;

use tokio::time::Instant;

use crate::pg::{PgError, Remedy, Retries};
use crate::problem::Problem;
use crate::schema::Side;

/// How long after the first failure an attempt may begin.
const LONGEST: Duration = Duration::from_secs(30);
/// The advice after the last attempt.
const ADVICE: &str = "It was retried without success: try again when the server has room.";

/// An error, and the side on which it occurred, if that is known.
pub(crate) type SideError = (Option<Side>, PgError);

/// An error that may pass.
pub(crate) trait Transient {
    /// Returns what helps against it.
    fn remedy(&self) -> Remedy;

    /// Adds a sentence to its hint.
    fn with_advice(self, advice: &str) -> Self;
}

/// Retries an operation while it fails with an error that may pass.
pub(crate) async fn retry<T, E: Transient>(
    mut work: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let (mut faults, mut conflicts) = (Retries::against_faults(), Retries::against_conflicts());
    let mut failed_at = None;
    loop {
        let error = match work().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let since_first = failed_at.get_or_insert_with(Instant::now).elapsed();
        let pause = match error.remedy() {
            // Smaller queries, which help while rows are read, do not exist here.
            Remedy::Retry | Remedy::Reconnect | Remedy::Shrink => {
                faults.pause().filter(|_| since_first < LONGEST)
            }
            Remedy::Conflict => conflicts.pause(),
            Remedy::Isolate | Remedy::Replan | Remedy::GiveUp => return Err(error),
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error.with_advice(ADVICE)),
        }
    }
}

/// Retries an operation on up to `most` relations at a time: with half as many if an answer was too large to
/// be read to its end, which cost the connection. `work` returns, too, whether that was so. It takes nothing
/// from the budget against faults: no pause makes an answer smaller.
pub(crate) async fn retry_with_fewer<T>(
    most: usize,
    mut work: impl AsyncFnMut(usize) -> (Result<T, PgError>, bool),
) -> Result<T, PgError> {
    let mut most = most.max(1);
    loop {
        let mut is_cut = false;
        let done = retry(async || {
            let (done, cut) = work(most).await;
            is_cut = cut;
            done.map_err(|error| match cut {
                true => PgError { remedy: Remedy::GiveUp, ..error },
                false => error,
            })
        });
        match done.await {
            Err(_) if is_cut && most > 1 => most /= 2,
            done => return done,
        }
    }
}

/// Returns a hint with advice added.
pub(crate) fn join_hints(hint: Option<String>, advice: &str) -> Option<String> {
    Some(hint.map_or_else(|| advice.to_owned(), |hint| format!("{hint} {advice}")))
}

impl Transient for PgError {
    fn remedy(&self) -> Remedy {
        self.remedy
    }

    fn with_advice(self, advice: &str) -> PgError {
        PgError { hint: join_hints(self.hint, advice), ..self }
    }
}

impl Transient for SideError {
    fn remedy(&self) -> Remedy {
        self.1.remedy
    }

    fn with_advice(self, advice: &str) -> Self {
        (self.0, self.1.with_advice(advice))
    }
}

impl From<SideError> for Problem {
    /// Makes a problem of an error of a server, which stays its cause.
    fn from((side, error): SideError) -> Problem {
        let hint = error.hint.clone();
        match side {
            Some(side) => Problem { hint, ..Problem::new(side.name()).with_source(error) },
            None => Problem { hint, ..Problem::new(error.message) },
        }
    }
}

impl Transient for Problem {
    /// Returns what helps against the error of a server that caused it.
    fn remedy(&self) -> Remedy {
        let cause = self.source.as_ref().and_then(|source| source.downcast_ref::<PgError>());
        cause.map_or(Remedy::GiveUp, |error| error.remedy)
    }

    fn with_advice(self, advice: &str) -> Problem {
        Problem { hint: join_hints(self.hint, advice), ..self }
    }
}

impl<E: Transient> Transient for Vec<E> {
    /// Of several errors one that does not pass is enough.
    fn remedy(&self) -> Remedy {
        let remedies = || self.iter().map(Transient::remedy);
        let passes =
            |remedy: &Remedy| !matches!(remedy, Remedy::Isolate | Remedy::Replan | Remedy::GiveUp);
        remedies().find(|remedy| !passes(remedy)).or(remedies().next()).unwrap_or(Remedy::GiveUp)
    }

    fn with_advice(self, advice: &str) -> Self {
        self.into_iter().map(|error| error.with_advice(advice)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of attempts at an operation that fails each time after this time.
    async fn tries(took: Duration, error: PgError) -> (u32, Option<String>) {
        let mut tries = 0;
        let failed: Result<(), PgError> = retry(async || {
            tries += 1;
            tokio::time::sleep(took).await;
            Err(error.clone())
        })
        .await;
        let hint = failed.err().and_then(|error| error.hint);
        (tries, hint)
    }

    #[tokio::test(start_paused = true)]
    async fn slow_failures_are_retried_less_often() {
        let busy = || PgError::not_yet("sorry, too many clients already");
        assert_eq!(tries(Duration::ZERO, busy()).await, (9, Some(ADVICE.to_owned())));
        assert_eq!(tries(Duration::from_secs(60), busy()).await.0, 2);
        let timeout = PgError::too_much("canceling statement due to statement timeout");
        assert_eq!(tries(Duration::ZERO, timeout).await.0, 9);
        assert_eq!(tries(Duration::ZERO, PgError::unexpected("not one row")).await, (1, None));
    }

    /// Each large answer takes seconds, and a fault may occur in between.
    #[tokio::test(start_paused = true)]
    async fn answers_that_are_too_large_are_halved_down_to_one_relation() {
        let mut tried = Vec::new();
        let done = retry_with_fewer(500, async |most| {
            tried.push(most);
            tokio::time::sleep(Duration::from_secs(8)).await;
            match most {
                62 if tried.len() == 4 => (Err(PgError::not_yet("too many clients")), false),
                1 => (Ok(()), false),
                _ => (Err(PgError::too_much("the server's answer is larger than 64 MB")), true),
            }
        });
        assert_eq!(done.await, Ok(()));
        assert_eq!(tried, [500, 250, 125, 62, 62, 31, 15, 7, 3, 1]);
    }

    /// Nothing is smaller than one relation, and waiting does not help.
    #[tokio::test(start_paused = true)]
    async fn an_answer_about_one_relation_is_not_requested_again() {
        let mut tried = Vec::new();
        let failed: Result<(), _> = retry_with_fewer(2, async |most| {
            tried.push(most);
            (Err(PgError::too_much("the server's answer is larger than 64 MB")), true)
        })
        .await;
        assert_eq!(failed.unwrap_err().hint, None);
        assert_eq!(tried, [2, 1]);
    }

    #[test]
    fn several_errors_pass_only_together() {
        let wrong = (None, PgError::unexpected("not one row"));
        let busy = (None, PgError::not_yet("the server is shutting down"));
        assert_eq!(vec![busy.clone(), busy.clone()].remedy(), Remedy::Retry);
        assert_eq!(vec![busy.clone(), wrong].remedy(), Remedy::GiveUp);
        let hint = |error: (_, PgError)| error.1.hint;
        assert_eq!(
            hint(busy.with_advice("Wait.").with_advice(ADVICE)),
            Some(format!("Wait. {ADVICE}"))
        );
    }
}
