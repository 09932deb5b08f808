//! How fast a run may go, judged by what the servers say of themselves.
//!
//! ```text
//! pressure = reading ÷ limit, the greatest of both sides
//!
//!      full speed ──── above 0.75 ───▶ slower ──── above 1 ───▶ waiting
//!                 ◀─── up to 0.5 ────         ◀─ up to 0.75 ──
//! ```
//!
//! *Slower* is smaller chunks, and after each a rest as long as it took; *waiting* is nothing new at
//! all. The way back begins lower than the way there, or a run would flap at the limit that it is itself
//! part of. What cannot be asked is not taken for zero: the run waits.
//!
//! Without a limit of sessions a run takes a sixth of a session's share: after each chunk it rests six
//! times as long as the chunk took for each session of others that is at work, up to [`MOST_RESTS`] times
//! as long in all. A chunk keeps a core of each server busy, a session of an application seldom does. On
//! two cores a `pgbench` that writes with four clients kept 93% of its throughput (median of five rounds,
//! 85 to 98; 101, 92 to 105, where nothing ran beside it). When only sessions that were active were
//! counted, and not those between two statements, it was 86% (76 to 90): a moment saw half a session at
//! work, and the run rested half as long. On a server that is idle nothing is lost. An operator who sets
//! `max_active_sessions` says how busy is fine, and full speed is full speed up to there.

pub(super) mod allowed;
pub(super) mod lag;
mod pause_file;
pub(super) mod spacing;
pub(super) mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use crate::pg::SessionCounts;
use crate::schema::{BySide, Side};

/// What one side must not be pushed beyond.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// How far replay may lag.
    pub(super) lag: Option<Duration>,
    /// How many sessions of others may be at work.
    pub(super) sessions: Option<u64>,
}

/// What one side has said of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// How far replay lags, where that is known.
    pub(super) lag: Option<Duration>,
    /// What the sessions of others do.
    pub(super) sessions: SessionCounts,
}

/// How fast the run may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Speed {
    #[default]
    Full,
    Slower,
    Waiting,
}

/// Chunks' worth of rest for each session of others.
const RESTS: f64 = 6.0;
/// The same at the most, so that a run comes to its end.
const MOST_RESTS: f64 = 8.0;
/// So many readings make the number of sessions at work: each is a moment.
const MOMENTS: usize = 5;

/// The pace of a run.
#[derive(Debug)]
pub(super) struct Pace {
    limits: BySide<Limits>,
    sides: BySide<Pressed>,
    paused: Option<String>,
    speed: Speed,
}

/// How hard one side is pressed.
#[derive(Debug, Default)]
struct Pressed {
    pressure: f64,
    reason: String,
    /// Why it cannot be told.
    unknown: Option<String>,
    /// Sessions of others at work, of late.
    at_work: VecDeque<u64>,
}

impl Pace {
    /// Nothing is known yet. Sides with limits have to say how they are before anything starts.
    pub(super) fn new(limits: BySide<Limits>) -> Pace {
        let limited = |side: Side| limits[side].lag.is_some() || limits[side].sessions.is_some();
        let pressed = |side| Pressed {
            unknown: limited(side).then(|| format!("the {side} has not said yet how it is")),
            ..Pressed::default()
        };
        Pace { limits, sides: BySide::new(pressed), paused: None, speed: Speed::Full }
    }

    /// A side has said how it is.
    pub(super) fn read(&mut self, side: Side, reading: Reading) {
        let Limits { lag, sessions } = self.limits[side];
        let pressed = &mut self.sides[side];
        pressed.unknown = None;
        pressed.at_work.push_back(reading.sessions.at_work);
        if pressed.at_work.len() > MOMENTS {
            pressed.at_work.pop_front();
        }
        let of_lag = lag.zip(reading.lag).map(|(most, lag)| {
            let pressure = lag.as_secs_f64() / most.as_secs_f64().max(1e-3);
            let (lag, most) = (lag.as_secs_f64(), most.as_secs_f64());
            (pressure, format!("replay lags {lag:.1} s on the {side}, {most:.1} s are allowed"))
        });
        let of_sessions = sessions.map(|most| {
            let active = reading.sessions.active;
            let pressure = active as f64 / most as f64;
            let reason = format!("{active} sessions are active on the {side}, {most} are allowed");
            (pressure, reason)
        });
        let worst = of_lag.into_iter().chain(of_sessions).max_by(|(a, _), (b, _)| a.total_cmp(b));
        (pressed.pressure, pressed.reason) = worst.unwrap_or_default();
    }

    /// A side cannot say how it is.
    pub(super) fn unknown(&mut self, side: Side, why: &str) {
        self.sides[side].unknown = Some(format!("the {side} cannot say how it is: {why}"));
    }

    /// Whether the pause file is there, and then why nothing goes on.
    pub(super) fn pause(&mut self, why: Option<String>) {
        self.paused = why;
    }

    /// Judges anew. Gives the speed, and why it is not full.
    pub(super) fn judge(&mut self) -> (Speed, &str) {
        // What is not known, or is paused, presses nobody: it leaves the hysteresis as it is.
        if self.held().is_some() {
            return (Speed::Waiting, self.held().unwrap_or_default());
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

    /// Why nothing goes on, whatever the pressure.
    fn held(&self) -> Option<&str> {
        let unknown = || self.sides.iter().find_map(|(_, side)| side.unknown.as_deref());
        self.paused.as_deref().or_else(unknown)
    }

    /// The speed as it was judged last.
    pub(super) fn speed(&self) -> Speed {
        if self.held().is_some() { Speed::Waiting } else { self.speed }
    }

    /// How long to rest after a piece of work that took so long.
    pub(super) fn rest(&self, took: Duration) -> Duration {
        let slower = if self.speed() == Speed::Slower { 1.0 } else { 0.0 };
        let rests = Side::BOTH.map(|side| self.rests(side)).into_iter().fold(slower, f64::max);
        took.mul_f64(rests)
    }

    /// How often as long as it took a chunk is rested from for the sessions of others.
    fn rests(&self, side: Side) -> f64 {
        let moments = &self.sides[side].at_work;
        if self.limits[side].sessions.is_some() || moments.is_empty() {
            return 0.0;
        }
        let mean = moments.iter().sum::<u64>() as f64 / moments.len() as f64;
        (mean * RESTS).min(MOST_RESTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(lag: Option<u64>, sessions: Option<u64>) -> Pace {
        let limits = Limits { lag: lag.map(Duration::from_secs), sessions };
        Pace::new(BySide { source: Limits::default(), target: limits })
    }

    fn active(sessions: u64) -> Reading {
        let sessions = SessionCounts { active: sessions, at_work: sessions, seen: true };
        Reading { lag: None, sessions }
    }

    fn lags(pace: &mut Pace, seconds: f64) -> Speed {
        let lag = Some(Duration::from_secs_f64(seconds));
        pace.read(Side::Target, Reading { lag, ..active(0) });
        pace.judge().0
    }

    #[test]
    fn the_way_back_begins_lower_than_the_way_there() {
        let mut pace = pace(Some(10), None);
        let speeds: Vec<Speed> =
            [0.0, 7.0, 8.0, 7.0, 5.1, 10.1, 9.0, 7.6, 7.4, 5.0, 7.4, 20.0, 0.0]
                .map(|seconds| lags(&mut pace, seconds))
                .to_vec();
        use Speed::{Full, Slower, Waiting};
        let expected = [
            Full, Full, Slower, Slower, Slower, Waiting, Waiting, Waiting, Slower, Full, Full,
            Waiting, Full,
        ];
        assert_eq!(speeds, expected);
    }

    #[test]
    fn what_presses_hardest_is_the_reason() {
        let mut pace = pace(Some(10), Some(4));
        let lag = Some(Duration::from_secs(11));
        pace.read(Side::Target, Reading { lag, ..active(8) });
        let (speed, reason) = pace.judge();
        assert_eq!(speed, Speed::Waiting);
        assert_eq!(reason, "8 sessions are active on the target, 4 are allowed");
        pace.read(Side::Target, Reading { lag, ..active(2) });
        assert_eq!(pace.judge().1, "replay lags 11.0 s on the target, 10.0 s are allowed");
    }

    #[test]
    fn what_is_not_known_is_waited_for_and_never_taken_for_nothing() {
        let mut pace = pace(Some(10), None);
        assert_eq!(pace.judge(), (Speed::Waiting, "the target has not said yet how it is"));
        assert_eq!(lags(&mut pace, 0.0), Speed::Full);
        pace.unknown(Side::Target, "no answer in time");
        let why = "the target cannot say how it is: no answer in time";
        assert_eq!(pace.judge(), (Speed::Waiting, why));
        // without limits nobody has to say anything
        assert_eq!(super::Pace::new(BySide::default()).judge().0, Speed::Full);
    }

    /// A run that waited at first for what it did not know would wait on for as long as a server is as
    /// busy as it may be.
    #[test]
    fn what_was_not_known_at_first_was_not_above_the_limit() {
        let mut pace = pace(None, Some(2));
        assert_eq!(pace.judge().0, Speed::Waiting);
        pace.read(Side::Target, active(2));
        assert_eq!((pace.judge().0, pace.speed()), (Speed::Slower, Speed::Slower));
        pace.pause(Some("it is there".to_owned()));
        assert_eq!((pace.judge().0, pace.speed()), (Speed::Waiting, Speed::Waiting));
        pace.pause(None);
        assert_eq!(pace.judge().0, Speed::Slower);
        pace.read(Side::Target, active(3));
        assert_eq!(pace.judge().0, Speed::Waiting);
        pace.read(Side::Target, active(2));
        assert_eq!(pace.judge().0, Speed::Waiting);
    }

    #[test]
    fn while_the_pause_file_is_there_nothing_goes_on() {
        let mut pace = Pace::new(BySide::default());
        pace.pause(Some("it is there".to_owned()));
        assert_eq!(pace.judge(), (Speed::Waiting, "it is there"));
        pace.pause(None);
        assert_eq!(pace.judge().0, Speed::Full);
    }

    #[test]
    fn without_a_limit_of_sessions_a_run_takes_a_sixth_of_a_share() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(BySide::default());
        assert_eq!(pace.rest(second), Duration::ZERO);
        for sessions in [0, 0, 1, 2, 2] {
            pace.read(Side::Source, active(sessions));
        }
        assert_eq!(pace.rest(second), 6 * second);
        for _ in 0..MOMENTS {
            pace.read(Side::Target, active(90));
        }
        assert_eq!(pace.rest(second), 8 * second);
    }

    #[test]
    fn below_a_limit_of_sessions_full_speed_is_full_speed() {
        let second = Duration::from_secs(1);
        let mut pace = pace(None, Some(100));
        pace.read(Side::Target, active(70));
        assert_eq!((pace.judge().0, pace.rest(second)), (Speed::Full, Duration::ZERO));
        pace.read(Side::Target, active(80));
        assert_eq!((pace.judge().0, pace.rest(second)), (Speed::Slower, second));
    }
}
