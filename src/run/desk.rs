//! What all mappings of a run share: the queue of suspects, what is to be told, the options, the clock.
//!
//! Nobody speaks to the observer in the middle of a thought: what happens is put down here, and told
//! in one go before the run waits again. On the way the ledger writes it down and says of findings how
//! long they have been there; it may lie on another machine.

use std::time::{Duration, Instant};

use super::options::Options;
use super::recheck::Queue;
use crate::event::{Event, Observer};
use crate::finding::timestamp;
use crate::ledger::Recorder;

/// The dispatcher's desk.
pub(super) struct Desk<'o> {
    pub(super) queue: Queue,
    /// What has happened since the last telling.
    untold: Vec<Event>,
    recorder: Option<&'o mut Recorder>,
    observer: &'o mut dyn Observer,
    pub(super) options: Options,
    pub(super) clock: Clock,
}

impl<'o> Desk<'o> {
    pub(super) fn new(
        options: Options,
        recorder: Option<&'o mut Recorder>,
        observer: &'o mut dyn Observer,
    ) -> Desk<'o> {
        let (queue, untold, clock) = (Queue::default(), Vec::new(), Clock::start());
        Desk { queue, untold, recorder, observer, options, clock }
    }

    /// Something has happened.
    pub(super) fn tell(&mut self, event: Event) {
        self.untold.push(event);
    }

    /// Tells what has happened.
    pub(super) async fn tell_all(&mut self) {
        let mut events = std::mem::take(&mut self.untold);
        if let Some(recorder) = &mut self.recorder {
            recorder.take(&mut events).await;
        }
        events.drain(..).for_each(|event| self.observer.observe(event));
        self.untold = events;
    }
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
