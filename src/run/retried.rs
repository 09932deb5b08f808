//! How often, and how far apart, something is tried that a server or the way to it may refuse for a moment
//! only: too many connections, a restart, a timeout, a recovery conflict.
//!
//! Before the first row is read, what fails only after a long time is tried less often: no try begins
//! later than half a minute after the first failure.

use std::time::Duration;

use tokio::time::Instant;

use crate::pg::{PgError, Remedy};
use crate::schema::Side;

/// Tries and their pauses: a server that restarts within 20 s is waited for.
const TRIES: u32 = 9;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long after the first failure a try may begin, before the first row is read.
const LONGEST: Duration = Duration::from_secs(30);
/// What is said when it was to no avail.
const AGAIN: &str = "It was tried for a while: try again when the server has room.";

/// An error that may pass.
pub(super) trait MayPass {
    /// Whether the same may succeed a little later.
    fn may_pass(&self) -> bool;

    /// Adds a sentence to its hint.
    fn advised(self, advice: &str) -> Self;
}

/// Does something, and again as long as it fails with an error that may pass.
pub(super) async fn retried<T, E: MayPass>(
    mut work: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, E> {
    let (mut tries, mut failed_at) = (0, None);
    loop {
        let error = match work().await {
            Err(error) if error.may_pass() => error,
            done => return done,
        };
        tries += 1;
        match pause(tries, failed_at.get_or_insert_with(Instant::now).elapsed()) {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(error.advised(AGAIN)),
        }
    }
}

/// How long to wait after so many tries, unless they were enough. It differs a little each time: what
/// failed together shall not come back together.
pub(in crate::run) fn pause_after(tries: u32) -> Option<Duration> {
    let pause = (FIRST_PAUSE * 2_u32.pow(tries.min(TRIES))).min(LONGEST_PAUSE);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(tries, |since| since.subsec_nanos());
    (tries < TRIES).then(|| pause.mul_f64(0.75 + f64::from(nanos % 1000) / 2000.0))
}

/// How long to wait after so many failures, unless they were enough or the first is too long ago.
fn pause(failures: u32, since_first: Duration) -> Option<Duration> {
    pause_after(failures).filter(|_| since_first < LONGEST)
}

pub(super) fn joined(hint: Option<String>, advice: &str) -> Option<String> {
    Some(hint.map_or_else(|| advice.to_owned(), |hint| format!("{hint} {advice}")))
}

impl MayPass for PgError {
    /// A smaller question, which would help while rows are read, is not to be had here.
    fn may_pass(&self) -> bool {
        matches!(self.remedy, Remedy::Retry | Remedy::Shrink)
    }

    fn advised(self, advice: &str) -> PgError {
        PgError { hint: joined(self.hint, advice), ..self }
    }
}

impl MayPass for (Option<Side>, PgError) {
    fn may_pass(&self) -> bool {
        self.1.may_pass()
    }

    fn advised(self, advice: &str) -> Self {
        (self.0, self.1.advised(advice))
    }
}

impl<E: MayPass> MayPass for Vec<E> {
    fn may_pass(&self) -> bool {
        self.iter().all(MayPass::may_pass)
    }

    fn advised(self, advice: &str) -> Self {
        self.into_iter().map(|error| error.advised(advice)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the tries of a work that fails each time after so long, up to the last.
    fn tries(took: Duration) -> u32 {
        let (mut tries, mut since_first) = (1, Duration::ZERO);
        while let Some(pause) = pause(tries, since_first) {
            since_first += pause + took;
            tries += 1;
        }
        tries
    }

    #[test]
    fn what_fails_slowly_is_tried_less_often() {
        assert_eq!(tries(Duration::ZERO), 9);
        assert_eq!(tries(Duration::from_secs(60)), 2);
    }

    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        assert!(PgError::not_yet("sorry, too many clients already").may_pass());
        assert!(PgError::too_much("canceling statement due to statement timeout").may_pass());
        let wrong = (None, PgError::unexpected("not one row"));
        let busy = (None, PgError::not_yet("the server is shutting down"));
        assert!(vec![busy.clone()].may_pass() && !vec![busy.clone(), wrong].may_pass());
        let hint = |error: (_, PgError)| error.1.hint;
        assert_eq!(
            hint(busy.clone().advised("Wait.").advised(AGAIN)),
            Some(format!("Wait. {AGAIN}"))
        );
    }
}
