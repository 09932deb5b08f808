//! What all mappings of a run share: the queue of suspects, the observer, the options, the clock.

use std::time::{Duration, Instant};

use super::options::Options;
use super::recheck::Queue;
use crate::event::Observer;
use crate::finding::timestamp;

/// The dispatcher's desk.
pub(super) struct Desk<'o> {
    pub(super) queue: Queue,
    pub(super) observer: &'o mut dyn Observer,
    pub(super) options: Options,
    pub(super) clock: Clock,
}

/// The run's own clock: monotonic, with the wall time at which it began. A wall clock that steps
/// back in the middle of a run changes no duration.
pub(super) struct Clock {
    started: Instant,
    wall: jiff::Timestamp,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { started: Instant::now(), wall: jiff::Timestamp::now() }
    }

    /// The day on which the run began, in UTC.
    pub(super) fn today(&self) -> jiff::civil::Date {
        self.wall.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Since the run began.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A moment of the run as records write it.
    pub(super) fn text(&self, at: Duration) -> String {
        let since = jiff::SignedDuration::try_from(at).unwrap_or_default();
        timestamp(self.wall.checked_add(since).unwrap_or(self.wall))
    }
}

/// Waits for the deadline; without one, for ever.
pub(super) async fn reached(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
