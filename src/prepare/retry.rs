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

/// An error, and the side on which it occurred, if that is known.
pub(crate) type SideError = (Option<Side>, PgError);

/// An error that may pass.
pub(crate) trait Transient {
    /// Returns what helps against it.
    fn remedy(&self) -> Remedy;

    /// Adds a sentence to its hint.
    fn advised(self, advice: &str) -> Self;
}

/// Does something, and again as long as it fails with an error that may pass.
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

pub(crate) fn joined(hint: Option<String>, advice: &str) -> Option<String> {
    Some(hint.map_or_else(|| advice.to_owned(), |hint| format!("{hint} {advice}")))
}

impl Transient for PgError {
    fn remedy(&self) -> Remedy {
        self.remedy
    }

    fn advised(self, advice: &str) -> PgError {
        PgError { hint: joined(self.hint, advice), ..self }
    }
}

impl Transient for SideError {
    fn remedy(&self) -> Remedy {
        self.1.remedy
    }

    fn advised(self, advice: &str) -> Self {
        (self.0, self.1.advised(advice))
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
    async fn what_fails_slowly_is_tried_less_often() {
        let busy = || PgError::not_yet("sorry, too many clients already");
        assert_eq!(tries(Duration::ZERO, busy()).await, (9, Some(AGAIN.to_owned())));
        assert_eq!(tries(Duration::from_secs(60), busy()).await.0, 2);
        let timeout = PgError::too_much("canceling statement due to statement timeout");
        assert_eq!(tries(Duration::ZERO, timeout).await.0, 9);
        assert_eq!(tries(Duration::ZERO, PgError::unexpected("not one row")).await, (1, None));
    }

    #[test]
    fn several_errors_pass_only_together() {
        let wrong = (None, PgError::unexpected("not one row"));
        let busy = (None, PgError::not_yet("the server is shutting down"));
        assert_eq!(vec![busy.clone(), busy.clone()].remedy(), Remedy::Retry);
        assert_eq!(vec![busy.clone(), wrong].remedy(), Remedy::GiveUp);
        let hint = |error: (_, PgError)| error.1.hint;
        assert_eq!(hint(busy.advised("Wait.").advised(AGAIN)), Some(format!("Wait. {AGAIN}")));
    }
}
