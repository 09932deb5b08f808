//! How fast a run may go, decided by the load of both servers.
//!
//! ```text
//! pressure = load ÷ limit, the maximum of both sides
//!
//!      full speed ──── above 0.75 ───▶ slower ──── above 1 ───▶ waiting
//!                 ◀─── up to 0.5 ────         ◀─ up to 0.75 ──
//! ```
//!
//! *Slower* means smaller chunks, and after each a rest as long as it took; *waiting* means that nothing
//! is started. The thresholds of the way back are lower, or a run would alternate between two speeds at a
//! limit to which it contributes itself. A load that is unknown is not taken for zero: the run waits.
//!
//! Without a limit of sessions a run takes a sixth of a session's share: after each chunk it rests six
//! times as long as the chunk took for each session of others that is at work, up to [`MOST_RESTS`] times
//! as long in all. A chunk keeps a core of each server busy, a session of an application seldom does. On
//! two cores a `pgbench` that writes with four clients kept 93% of its throughput (median of five rounds,
//! 85 to 98; 101, 92 to 105, where nothing ran beside it). When only sessions that were active were
//! counted, and not those between two statements, it was 86% (76 to 90): a sample found half a session at
//! work, and the run rested half as long. On an idle server nothing is lost. With
//! `max_active_sessions` the operator decides how busy a server may be, and the run rests only above it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pg::SessionCounts;
use crate::schema::{BySide, Side};

/// The limits of one side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SideLimits {
    /// How far replay may lag.
    pub(crate) lag: Option<Duration>,
    /// How many sessions of others may be active.
    pub(crate) sessions: Option<u64>,
}

/// The load of one side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SideLoad {
    /// How far replay lags, where that is known.
    pub(crate) lag: Option<Duration>,
    /// What the sessions of others do.
    pub(crate) sessions: SessionCounts,
}

/// How fast the run may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Speed {
    #[default]
    Full,
    Slower,
    Waiting,
}

/// How often as long as a chunk took the run rests, for each session of others.
const RESTS: f64 = 6.0;
/// The maximum of that, so that a run comes to its end.
const MOST_RESTS: f64 = 8.0;
/// How many samples the number of active sessions is the mean of: each is of one moment.
const SAMPLES: usize = 5;

/// The throttle of a run.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: BySide<SideLimits>,
    sides: BySide<SidePressure>,
    paused: Option<String>,
    speed: Speed,
}

/// The pressure on one side.
#[derive(Debug, Default)]
struct SidePressure {
    pressure: f64,
    reason: String,
    /// Why the load is unknown.
    unknown: Option<String>,
    /// The sessions of others at work, recently.
    at_work: VecDeque<u64>,
}

impl Throttle {
    /// Creates the throttle of a run. The load of sides with limits has to be known before anything
    /// starts.
    pub(crate) fn new(limits: BySide<SideLimits>) -> Throttle {
        let limited = |side: Side| limits[side].lag.is_some() || limits[side].sessions.is_some();
        let side_pressure = |side| SidePressure {
            unknown: limited(side).then(|| format!("the {side} has not reported its state yet")),
            ..SidePressure::default()
        };
        Throttle { limits, sides: BySide::new(side_pressure), paused: None, speed: Speed::Full }
    }

    /// Sets the load of a side.
    pub(crate) fn set_load(&mut self, side: Side, load: SideLoad) {
        let SideLimits { lag, sessions } = self.limits[side];
        let side_pressure = &mut self.sides[side];
        side_pressure.unknown = None;
        side_pressure.at_work.push_back(load.sessions.at_work);
        if side_pressure.at_work.len() > SAMPLES {
            side_pressure.at_work.pop_front();
        }
        let of_lag = lag.zip(load.lag).map(|(most, lag)| {
            let pressure = lag.as_secs_f64() / most.as_secs_f64().max(1e-3);
            let (lag, most) = (lag.as_secs_f64(), most.as_secs_f64());
            (pressure, format!("replay lags {lag:.1} s on the {side}, {most:.1} s are allowed"))
        });
        let of_sessions = sessions.map(|most| {
            let active = load.sessions.active;
            let pressure = active as f64 / most as f64;
            let reason = format!("{active} sessions are active on the {side}, {most} are allowed");
            (pressure, reason)
        });
        let worst = of_lag.into_iter().chain(of_sessions).max_by(|(a, _), (b, _)| a.total_cmp(b));
        (side_pressure.pressure, side_pressure.reason) = worst.unwrap_or_default();
    }

    /// Sets the load of a side to unknown.
    pub(crate) fn set_unknown(&mut self, side: Side, why: &str) {
        self.sides[side].unknown = Some(format!("the {side} does not report its state: {why}"));
    }

    /// Sets why the run is paused; `None` without a pause file.
    pub(crate) fn set_paused(&mut self, why: Option<String>) {
        self.paused = why;
    }

    /// Decides the speed. Returns it with the reason why it is not full.
    pub(crate) fn decide(&mut self) -> (Speed, &str) {
        // A pause, or an unknown load, leaves the hysteresis as it is.
        if self.held_reason().is_some() {
            return (Speed::Waiting, self.held_reason().unwrap_or_default());
        }
        let sides = self.sides.iter().map(|(_, side)| side);
        let worst = sides.max_by(|a, b| a.pressure.total_cmp(&b.pressure));
        let (pressure, reason) = worst.map_or((0.0, ""), |side| (side.pressure, &side.reason));
        self.speed = match (self.speed, pressure) {
            (_, pressure) if pressure > 1.0 => Speed::Waiting,
            (Speed::Waiting, pressure) if pressure > 0.75 => Speed::Waiting,
            (Speed::Full, pressure) if pressure > 0.75 => Speed::Slower,
            (Speed::Waiting | Speed::Slower, pressure) if pressure > 0.5 => Speed::Slower,
            _ => Speed::Full,
        };
        (self.speed, reason)
    }

    /// Returns why nothing is started, whatever the pressure.
    fn held_reason(&self) -> Option<&str> {
        let unknown = || self.sides.iter().find_map(|(_, side)| side.unknown.as_deref());
        self.paused.as_deref().or_else(unknown)
    }

    /// Returns the speed that was decided last.
    pub(crate) fn speed(&self) -> Speed {
        if self.held_reason().is_some() { Speed::Waiting } else { self.speed }
    }

    /// Returns how long to rest after a task that took this long.
    pub(crate) fn rest(&self, took: Duration) -> Duration {
        let slower = if self.speed() == Speed::Slower { 1.0 } else { 0.0 };
        let rests = Side::BOTH.map(|side| self.rests(side)).into_iter().fold(slower, f64::max);
        took.mul_f64(rests)
    }

    /// Returns how often as long as a task took the run rests for the sessions of others.
    fn rests(&self, side: Side) -> f64 {
        let samples = &self.sides[side].at_work;
        if self.limits[side].sessions.is_some() || samples.is_empty() {
            return 0.0;
        }
        let mean = samples.iter().sum::<u64>() as f64 / samples.len() as f64;
        (mean * RESTS).min(MOST_RESTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(lag: Option<u64>, sessions: Option<u64>) -> Throttle {
        let limits = SideLimits { lag: lag.map(Duration::from_secs), sessions };
        Throttle::new(BySide { source: SideLimits::default(), target: limits })
    }

    fn active(sessions: u64) -> SideLoad {
        let sessions = SessionCounts { active: sessions, at_work: sessions, seen: true };
        SideLoad { lag: None, sessions }
    }

    fn lags(throttle: &mut Throttle, seconds: f64) -> Speed {
        let lag = Some(Duration::from_secs_f64(seconds));
        throttle.set_load(Side::Target, SideLoad { lag, ..active(0) });
        throttle.decide().0
    }

    #[test]
    fn the_way_back_begins_lower_than_the_way_there() {
        let mut throttle = throttle(Some(10), None);
        let speeds: Vec<Speed> =
            [0.0, 7.0, 8.0, 7.0, 5.1, 10.1, 9.0, 7.6, 7.4, 5.0, 7.4, 20.0, 0.0]
                .map(|seconds| lags(&mut throttle, seconds))
                .to_vec();
        use Speed::{Full, Slower, Waiting};
        let expected = [
            Full, Full, Slower, Slower, Slower, Waiting, Waiting, Waiting, Slower, Full, Full,
            Waiting, Full,
        ];
        assert_eq!(speeds, expected);
    }

    #[test]
    fn the_reason_is_the_highest_pressure() {
        let mut throttle = throttle(Some(10), Some(4));
        let lag = Some(Duration::from_secs(11));
        throttle.set_load(Side::Target, SideLoad { lag, ..active(8) });
        let (speed, reason) = throttle.decide();
        assert_eq!(speed, Speed::Waiting);
        assert_eq!(reason, "8 sessions are active on the target, 4 are allowed");
        throttle.set_load(Side::Target, SideLoad { lag, ..active(2) });
        assert_eq!(throttle.decide().1, "replay lags 11.0 s on the target, 10.0 s are allowed");
    }

    #[test]
    fn an_unknown_load_is_not_taken_for_zero() {
        let mut throttle = throttle(Some(10), None);
        assert_eq!(
            throttle.decide(),
            (Speed::Waiting, "the target has not reported its state yet")
        );
        assert_eq!(lags(&mut throttle, 0.0), Speed::Full);
        throttle.set_unknown(Side::Target, "no answer in time");
        let why = "the target does not report its state: no answer in time";
        assert_eq!(throttle.decide(), (Speed::Waiting, why));
        // without limits no load has to be known
        assert_eq!(super::Throttle::new(BySide::default()).decide().0, Speed::Full);
    }

    /// A run that waited at first for an unknown load would otherwise wait for as long as a server is just
    /// at its limit.
    #[test]
    fn an_unknown_load_is_not_above_the_limit() {
        let mut throttle = throttle(None, Some(2));
        assert_eq!(throttle.decide().0, Speed::Waiting);
        throttle.set_load(Side::Target, active(2));
        assert_eq!((throttle.decide().0, throttle.speed()), (Speed::Slower, Speed::Slower));
        throttle.set_paused(Some("it is there".to_owned()));
        assert_eq!((throttle.decide().0, throttle.speed()), (Speed::Waiting, Speed::Waiting));
        throttle.set_paused(None);
        assert_eq!(throttle.decide().0, Speed::Slower);
        throttle.set_load(Side::Target, active(3));
        assert_eq!(throttle.decide().0, Speed::Waiting);
        throttle.set_load(Side::Target, active(2));
        assert_eq!(throttle.decide().0, Speed::Waiting);
    }

    #[test]
    fn nothing_starts_while_the_pause_file_exists() {
        let mut throttle = Throttle::new(BySide::default());
        throttle.set_paused(Some("it is there".to_owned()));
        assert_eq!(throttle.decide(), (Speed::Waiting, "it is there"));
        throttle.set_paused(None);
        assert_eq!(throttle.decide().0, Speed::Full);
    }

    #[test]
    fn without_a_limit_a_run_takes_a_sixth_of_a_share() {
        let second = Duration::from_secs(1);
        let mut throttle = Throttle::new(BySide::default());
        assert_eq!(throttle.rest(second), Duration::ZERO);
        for sessions in [0, 0, 1, 2, 2] {
            throttle.set_load(Side::Source, active(sessions));
        }
        assert_eq!(throttle.rest(second), 6 * second);
        for _ in 0..SAMPLES {
            throttle.set_load(Side::Target, active(90));
        }
        assert_eq!(throttle.rest(second), 8 * second);
    }

    #[test]
    fn below_a_limit_of_sessions_a_run_does_not_rest() {
        let second = Duration::from_secs(1);
        let mut throttle = throttle(None, Some(100));
        throttle.set_load(Side::Target, active(70));
        assert_eq!((throttle.decide().0, throttle.rest(second)), (Speed::Full, Duration::ZERO));
        throttle.set_load(Side::Target, active(80));
        assert_eq!((throttle.decide().0, throttle.rest(second)), (Speed::Slower, second));
    }
}
