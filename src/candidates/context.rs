//! What all mappings of a run share while one of them changes: the queue of candidates, the events to
//! report, the clock, the settings, and where checkpoints are stored.

use std::time::Duration;

use super::checkpoints::Checkpoints;
use super::clock::RunClock;
use super::queue::RecheckQueue;
use crate::chunks::ChunkSettings;
use crate::event::Event;

/// The settings of a run that decide what becomes of a difference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CandidateSettings {
    /// The time for which a difference must not change.
    pub(crate) settle: Duration,
    /// The maximum of findings that are reported per mapping.
    pub(crate) max_findings: u64,
    /// Whether long ranges of one-sided rows are reported key by key.
    pub(crate) expand: bool,
    /// Whether findings name columns without their values.
    pub(crate) keys_only: bool,
    /// How tables are cut.
    pub(crate) chunks: ChunkSettings,
}

/// What all mappings of a run share.
pub(crate) struct Context<'c> {
    pub(crate) queue: &'c mut RecheckQueue,
    pub(crate) events: &'c mut Vec<Event>,
    pub(crate) clock: &'c RunClock,
    pub(crate) settings: &'c CandidateSettings,
    pub(crate) checkpoints: &'c mut dyn Checkpoints,
}

impl Context<'_> {
    /// Adds an event to those that are reported before the run waits again.
    pub(crate) fn report(&mut self, event: Event) {
        self.events.push(event);
    }
}
