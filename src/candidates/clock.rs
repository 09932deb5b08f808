//! The clock of a run: monotonic, with the wall time at which the run began. A wall clock that is set
//! back during a run changes no duration.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::finding::format_timestamp;

/// The clock of a run.
#[derive(Debug)]
pub(crate) struct RunClock {
    started: Instant,
    wall: Timestamp,
}

impl RunClock {
    /// Starts the clock.
    pub(crate) fn start() -> RunClock {
        RunClock { started: Instant::now(), wall: Timestamp::now() }
    }

    /// Returns the wall time at which the run began.
    pub(crate) fn began(&self) -> Timestamp {
        self.wall
    }

    /// Returns the day on which the run began, in UTC.
    pub(crate) fn today(&self) -> jiff::civil::Date {
        self.wall.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Returns the time since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns a moment of the run as records write it.
    pub(crate) fn text(&self, at: Duration) -> String {
        let since = jiff::SignedDuration::try_from(at).unwrap_or_default();
        format_timestamp(self.wall.checked_add(since).unwrap_or(self.wall))
    }
}
