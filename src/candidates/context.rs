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

/// A run without servers and without a ledger.
#[cfg(test)]
pub(crate) mod sample {
    use super::super::checkpoints::{PartRecord, StoredScan};
    use super::*;
    use crate::chunks::StoredOutcome;
    use crate::row::{Key, KeyRange};
    use crate::spec::CompareSettings;

    /// Stores nothing.
    struct NoCheckpoints;

    impl Checkpoints for NoCheckpoints {
        fn are_stored(&self) -> bool {
            false
        }

        fn are_due(&self) -> bool {
            false
        }

        fn store_chunk(&mut self, _: &str, _: (u64, &KeyRange, u64), _: StoredOutcome<'_>) {}

        fn store_scan(&mut self, _: &str, _: &StoredScan) {}

        fn store_part(&mut self, _: &str, _: &Option<Key>, _: &PartRecord<'_>) {}

        fn forget_chunk(&mut self, _: &str, _: i64) {}

        fn forget_mapping(&mut self, _: &str) {}
    }

    /// What the mappings of the run share.
    pub(crate) struct SampleRun {
        queue: RecheckQueue,
        pub(crate) events: Vec<Event>,
        clock: RunClock,
        pub(crate) settings: CandidateSettings,
        checkpoints: NoCheckpoints,
    }

    impl SampleRun {
        /// Starts a run in which differences are confirmed by the first recheck.
        pub(crate) fn start() -> SampleRun {
            let settings = CandidateSettings {
                settle: Duration::ZERO,
                max_findings: 100,
                expand: false,
                keys_only: false,
                chunks: ChunkSettings::of(&CompareSettings::default()),
            };
            let (queue, events, clock) = (RecheckQueue::default(), Vec::new(), RunClock::start());
            SampleRun { queue, events, clock, settings, checkpoints: NoCheckpoints }
        }

        /// Returns the context of a mapping.
        pub(crate) fn context(&mut self) -> Context<'_> {
            Context {
                queue: &mut self.queue,
                events: &mut self.events,
                clock: &self.clock,
                settings: &self.settings,
                checkpoints: &mut self.checkpoints,
            }
        }
    }
}
