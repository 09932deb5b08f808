//! How far the standbys of a primary lag behind it in time.
//!
//! A primary measures the lag of what a standby has replayed; of one that replays nothing it goes on to
//! say what it measured last. So it is also looked at where each standby stands among the positions that
//! the primary was seen at: what was written by then and is not replayed is as old as that, at least.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pg::StandbyProgress;

/// A standby says at least every 10 s where it stands. One that has not said so for longer is not
/// believed to stand there for lack of anything to replay.
const SILENCE: Duration = Duration::from_secs(15);
/// Positions that are remembered: hours of them.
const MOST_SEEN: usize = 20_000;

/// Where a primary was seen, the oldest position first.
#[derive(Debug, Default)]
pub(in crate::run) struct Positions(VecDeque<(Duration, u64)>);

impl Positions {
    /// The primary has written so far. Gives the lag of the standby that is furthest behind.
    pub(in crate::run) fn take(
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
        let everyone_has = |(_, written): &(Duration, u64)| *written <= replayed;
        while self.0.len() > MOST_SEEN || self.0.front().is_some_and(everyone_has) {
            self.0.pop_front();
        }
        lag
    }

    fn lag(&self, now: Duration, position: u64, standby: &StandbyProgress) -> Duration {
        if standby.replayed >= position {
            return Duration::ZERO;
        }
        let heard = if standby.said > SILENCE { now } else { now.saturating_sub(standby.said) };
        let waiting = self.0.iter().find(|(_, written)| *written > standby.replayed);
        let seen = waiting.map_or(Duration::ZERO, |(at, _)| heard.saturating_sub(*at));
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
        StandbyProgress { replayed, said: Duration::ZERO, lag: None }
    }

    #[test]
    fn a_standby_that_has_stopped_lags_more_and_more_whatever_was_measured_before() {
        let mut positions = Positions::default();
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
    fn what_the_primary_measured_counts_from_the_first_look_on() {
        let slow = StandbyProgress { lag: Some(secs(20)), ..at(50) };
        assert_eq!(Positions::default().take(secs(0), 100, &[slow]), Some(secs(20)));
        // but not of one that has caught up since
        let fast = StandbyProgress { lag: Some(secs(20)), ..at(100) };
        assert_eq!(Positions::default().take(secs(0), 100, &[fast]), Some(secs(0)));
    }

    /// After a last small write a standby says no more until its next status message.
    #[test]
    fn a_standby_of_an_idle_primary_is_believed_for_a_while() {
        let mut positions = Positions::default();
        positions.take(secs(0), 100, &[at(90)]);
        let quiet = |said| StandbyProgress { said: secs(said), ..at(90) };
        assert_eq!(positions.take(secs(9), 100, &[quiet(9)]), Some(secs(0)));
        assert_eq!(positions.take(secs(16), 100, &[quiet(16)]), Some(secs(16)));
    }

    #[test]
    fn a_primary_without_standbys_has_no_lag() {
        assert_eq!(Positions::default().take(secs(0), 100, &[]), None);
    }
}
