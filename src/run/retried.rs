//! Does something again, before the first row is read, that a server or the way to it may refuse for a
//! moment only: too many connections, a restart, a timeout, a conflict with a standby's replay.
//!
//! What fails only after a long time is tried less often: no try begins later than half a minute after
//! the first failure.

use std::time::Duration;

use tokio::time::Instant;

use crate::pg::{PgError, Remedy, Retries};
use crate::schema::Side;

/// How long after the first failure a try may begin.
const LONGEST: Duration = Duration::from_secs(30);
/// What is said when it was to no avail.
const AGAIN: &str = "It was tried for a while: try again when the server has room.";

/// An error that may pass.
pub(super) trait MayPass {
    /// Returns what helps against it.
    fn remedy(&self) -> Remedy;

    /// Adds a sentence to its hint.
    fn advised(self, advice: &str) -> Self;
}

/// Does something, and again as long as it fails with an error that may pass.
pub(super) async fn retried<T, E: MayPass>(
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
            // A smaller question, which would help while rows are read, is not to be had here.
            Remedy::Retry | Remedy::Reconnect | Remedy::Shrink => {
                faults.pause().filter(|_| since_first < LONGEST)
            }
            Remedy::Conflict => conflicts.pause(),
            Remedy::Isolate | Remedy::Replan | Remedy::GiveUp => return Err(error),
        };
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error.advised(AGAIN)),
        }
    }
}

/// Does something that asks about up to `most` relations at once: with half as many where an answer was
/// too large to be read to its end, which cost the connection. `work` returns whether that was so, too.
/// It takes nothing from the budget against faults: no pause makes an answer smaller.
pub(super) async fn retried_with_fewer<T>(
    most: usize,
    mut work: impl AsyncFnMut(usize) -> (Result<T, PgError>, bool),
) -> Result<T, PgError> {
    let mut most = most.max(1);
    loop {
        let mut is_cut = false;
        let done = retried(async || {
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

pub(super) fn joined(hint: Option<String>, advice: &str) -> Option<String> {
    Some(hint.map_or_else(|| advice.to_owned(), |hint| format!("{hint} {advice}")))
}

impl MayPass for PgError {
    fn remedy(&self) -> Remedy {
        self.remedy
    }

    fn advised(self, advice: &str) -> PgError {
        PgError { hint: joined(self.hint, advice), ..self }
    }
}

impl MayPass for (Option<Side>, PgError) {
    fn remedy(&self) -> Remedy {
        self.1.remedy
    }

    fn advised(self, advice: &str) -> Self {
        (self.0, self.1.advised(advice))
    }
}

impl<E: MayPass> MayPass for Vec<E> {
    /// Of several errors one that does not pass is enough.
    fn remedy(&self) -> Remedy {
        let remedies = || self.iter().map(MayPass::remedy);
        let passes =
            |remedy: &Remedy| !matches!(remedy, Remedy::Isolate | Remedy::Replan | Remedy::GiveUp);
        remedies().find(|remedy| !passes(remedy)).or(remedies().next()).unwrap_or(Remedy::GiveUp)
    }

    fn advised(self, advice: &str) -> Self {
        self.into_iter().map(|error| error.advised(advice)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the tries of a work that fails each time after so long, up to the last.
    async fn tries(took: Duration, error: PgError) -> (u32, Option<String>) {
        let mut tries = 0;
        let failed: Result<(), PgError> = retried(async || {
            tries += 1;
            tokio::time::sleep(took).await;
            Err(error.clone())
        })
        .await;
        let hint = failed.err().and_then(|error| error.hint);
        (tries, hint)
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_slowly_is_tried_less_often() {
        let busy = || PgError::transient("sorry, too many clients already");
        assert_eq!(tries(Duration::ZERO, busy()).await, (9, Some(AGAIN.to_owned())));
        assert_eq!(tries(Duration::from_secs(60), busy()).await.0, 2);
        let timeout = PgError::too_large("canceling statement due to statement timeout");
        assert_eq!(tries(Duration::ZERO, timeout).await.0, 9);
        assert_eq!(tries(Duration::ZERO, PgError::unexpected("not one row")).await, (1, None));
    }

    /// A large answer takes its time, and a fault may come between.
    #[tokio::test(start_paused = true)]
    async fn answers_that_are_too_large_are_halved_down_to_one_relation() {
        let mut tried = Vec::new();
        let done = retried_with_fewer(500, async |most| {
            tried.push(most);
            tokio::time::sleep(Duration::from_secs(8)).await;
            match most {
                62 if tried.len() == 4 => (Err(PgError::transient("too many clients")), false),
                1 => (Ok(()), false),
                _ => (Err(PgError::too_large("the server's answer is larger than 64 MB")), true),
            }
        });
        assert_eq!(done.await, Ok(()));
        assert_eq!(tried, [500, 250, 125, 62, 62, 31, 15, 7, 3, 1]);
    }

    /// For one relation nothing is smaller, and waiting does not help.
    #[tokio::test(start_paused = true)]
    async fn an_answer_about_one_relation_that_is_too_large_is_asked_for_once() {
        let mut tried = Vec::new();
        let failed: Result<(), _> = retried_with_fewer(2, async |most| {
            tried.push(most);
            (Err(PgError::too_large("the server's answer is larger than 64 MB")), true)
        })
        .await;
        assert_eq!(failed.unwrap_err().hint, None);
        assert_eq!(tried, [2, 1]);
    }

    #[test]
    fn several_errors_pass_only_together() {
        let wrong = (None, PgError::unexpected("not one row"));
        let busy = (None, PgError::transient("the server is shutting down"));
        assert_eq!(vec![busy.clone(), busy.clone()].remedy(), Remedy::Retry);
        assert_eq!(vec![busy.clone(), wrong].remedy(), Remedy::GiveUp);
        let hint = |error: (_, PgError)| error.1.hint;
        assert_eq!(hint(busy.advised("Wait.").advised(AGAIN)), Some(format!("Wait. {AGAIN}")));
    }
}
