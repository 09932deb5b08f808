//! How far the standbys of a primary lag behind it.
//!
//! A primary measures the lag of what a standby has replayed, but repeats the last measurement for a
//! standby that has stopped replaying. So each standby is also compared with the positions that the
//! primary had earlier: what was written then and is not replayed is at least as old.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pg::StandbyProgress;

/// A standby reports at least every 10 s. The position of one that has not reported for longer is
/// not taken for idle.
const SILENCE: Duration = Duration::from_secs(15);
/// The maximum of positions that are stored: hours of them.
const MOST_POSITIONS: usize = 20_000;

/// The positions of a primary, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct WalPositions(VecDeque<(Duration, u64)>);

impl WalPositions {
    /// Adds the position up to which the primary has written. Returns the lag of the standby that
    /// is furthest behind.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        position: u64,
        standbys: &[StandbyProgress],
    ) -> Option<Duration> {
        if self.0.back().is_none_or(|(_, last)| *last < position) {
            self.0.push_back((now, position));
        }
        let lag = standbys.iter().map(|standby| self.lag(now, position, standby)).max();
        let replayed = standbys.iter().map(|standby| standby.replayed).min().unwrap_or(position);
        let all_have = |(_, written): &(Duration, u64)| *written <= replayed;
        while self.0.len() > MOST_POSITIONS || self.0.front().is_some_and(all_have) {
            self.0.pop_front();
        }
        lag
    }

    fn lag(&self, now: Duration, position: u64, standby: &StandbyProgress) -> Duration {
        if standby.replayed >= position {
            return Duration::ZERO;
        }
        let reported =
            if standby.report_age > SILENCE { now } else { now.saturating_sub(standby.report_age) };
        let waiting = self.0.iter().find(|(_, written)| *written > standby.replayed);
        let seen = waiting.map_or(Duration::ZERO, |(at, _)| reported.saturating_sub(*at));
        seen.max(standby.lag.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn at(replayed: u64) -> StandbyProgress {
        StandbyProgress { replayed, report_age: Duration::ZERO, lag: None }
    }

    #[test]
    fn a_stopped_standby_lags_more_and_more() {
        let mut positions = WalPositions::default();
        let stopped = StandbyProgress { lag: Some(Duration::from_millis(1)), ..at(100) };
        assert_eq!(positions.take(secs(0), 100, &[at(100)]), Some(secs(0)));
        for second in 1..30 {
            let lag = positions.take(secs(second), 100 + second, &[stopped, at(100 + second)]);
            assert_eq!(lag, Some(secs(second - 1).max(Duration::from_millis(1))));
        }
        // caught up
        assert_eq!(positions.take(secs(30), 200, &[at(200)]), Some(secs(0)));
        assert!(positions.0.is_empty());
    }

    #[test]
    fn the_measured_lag_counts_from_the_start() {
        let slow = StandbyProgress { lag: Some(secs(20)), ..at(50) };
        assert_eq!(WalPositions::default().take(secs(0), 100, &[slow]), Some(secs(20)));
        // a standby that has caught up since has none
        let fast = StandbyProgress { lag: Some(secs(20)), ..at(100) };
        assert_eq!(WalPositions::default().take(secs(0), 100, &[fast]), Some(secs(0)));
    }

    /// After a last small write a standby reports no more until its next status message.
    #[test]
    fn a_standby_of_an_idle_primary_does_not_lag() {
        let mut positions = WalPositions::default();
        positions.take(secs(0), 100, &[at(90)]);
        let quiet = |said| StandbyProgress { report_age: secs(said), ..at(90) };
        assert_eq!(positions.take(secs(9), 100, &[quiet(9)]), Some(secs(0)));
        assert_eq!(positions.take(secs(16), 100, &[quiet(16)]), Some(secs(16)));
    }

    #[test]
    fn a_primary_without_standbys_has_no_lag() {
        assert_eq!(WalPositions::default().take(secs(0), 100, &[]), None);
    }
}
