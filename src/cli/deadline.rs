//! The time that a call may take before its first row is read: what planning takes counts towards the
//! deadline, or a server that answers slowly would keep a job from ending in time.

use std::time::{Duration, Instant};

use crate::run::Options;

/// How long the first run may take, and since when.
pub(super) struct PlanningDeadline {
    began: Instant,
    soonest: Option<Duration>,
}

impl PlanningDeadline {
    /// From now on, for runs that may take so long.
    pub(super) fn start(runs: impl Iterator<Item = Option<Duration>>) -> PlanningDeadline {
        PlanningDeadline { began: Instant::now(), soonest: runs.flatten().min() }
    }

    /// Waits until a run has no time left; for ever where none has a deadline.
    pub(super) async fn reached(&self) {
        match self.soonest {
            Some(soonest) => {
                tokio::time::sleep(soonest.saturating_sub(self.began.elapsed())).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Leaves a run what it has left.
    pub(super) fn leave(&self, options: &mut Options) {
        let gone = self.began.elapsed();
        options.deadline = options.deadline.map(|all| all.saturating_sub(gone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CompareSettings;

    #[test]
    fn what_planning_took_is_gone() {
        let hour = Duration::from_secs(3_600);
        let since = Instant::now().checked_sub(hour / 2).unwrap();
        let deadline = PlanningDeadline { began: since, soonest: None };
        let left = |deadline_of_run| {
            let mut options = Options::of(&CompareSettings::default());
            options.deadline = deadline_of_run;
            deadline.leave(&mut options);
            options.deadline
        };
        assert!(left(Some(hour)).is_some_and(|left| left <= hour / 2));
        assert_eq!([left(Some(hour / 4)), left(None)], [Some(Duration::ZERO), None]);
    }
}
