//! The deadline while specs are planned. Planning counts towards the deadline: otherwise a slow
//! server could keep a job from ending in time.

use std::time::{Duration, Instant};

use crate::run::Options;

/// The start of planning, and how long the first run may take.
pub(super) struct PlanningDeadline {
    started: Instant,
    shortest: Option<Duration>,
}

impl PlanningDeadline {
    /// Starts the clock for runs with these deadlines.
    pub(super) fn start(runs: impl Iterator<Item = Option<Duration>>) -> PlanningDeadline {
        PlanningDeadline { started: Instant::now(), shortest: runs.flatten().min() }
    }

    /// Waits until a run has no time left; for ever if none has a deadline.
    pub(super) async fn reached(&self) {
        match self.shortest {
            Some(shortest) => {
                tokio::time::sleep(shortest.saturating_sub(self.started.elapsed())).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Shortens a run's deadline by the time since the start.
    pub(super) fn shorten(&self, options: &mut Options) {
        let elapsed = self.started.elapsed();
        options.deadline = options.deadline.map(|all| all.saturating_sub(elapsed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CompareSettings;

    #[test]
    fn planning_shortens_the_deadline() {
        let hour = Duration::from_secs(3_600);
        let since = Instant::now().checked_sub(hour / 2).unwrap();
        let deadline = PlanningDeadline { started: since, shortest: None };
        let left = |deadline_of_run| {
            let mut options = Options::of(&CompareSettings::default());
            options.deadline = deadline_of_run;
            deadline.shorten(&mut options);
            options.deadline
        };
        assert!(left(Some(hour)).is_some_and(|left| left <= hour / 2));
        assert_eq!([left(Some(hour / 4)), left(None)], [Some(Duration::ZERO), None]);
    }
}
