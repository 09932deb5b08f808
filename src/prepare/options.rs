//! The options of a run: the `[compare]` table of the spec under the flags of the command line.

use std::time::Duration;

use crate::candidates::CandidateSettings;
use crate::chunks::ChunkSettings;
use crate::ledger::Cipher;
use crate::pg::RELATIONS_AT_ONCE;
use crate::row::Redactor;
use crate::spec::{CompareSettings, StrategyChoice};

/// How recent a row has to be to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinceOption {
    /// The text of the flag.
    pub text: String,
    /// The time before the start of the run.
    pub time: Duration,
}

/// The options of one run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The strategy.
    pub strategy: StrategyChoice,
    /// The fixed number of rows of a chunk; `None` if chunks are sized by time.
    pub chunk_rows: Option<u64>,
    /// The time that the statement of one chunk should take.
    pub chunk_time: Duration,
    /// The maximum time that one statement may take.
    pub statement_timeout: Duration,
    /// The number of connections on each side.
    pub jobs: usize,
    /// The time for which a difference must not change.
    pub settle: Duration,
    /// How long the run may take, if it is limited.
    pub deadline: Option<Duration>,
    /// The maximum of findings that are reported per mapping.
    pub max_findings: u64,
    /// How many rows may keep changing without making the run incomplete.
    pub max_unsettled: u64,
    /// Whether long ranges of one-sided rows are reported key by key.
    pub expand: bool,
    /// Whether findings name columns without their values.
    pub keys_only: bool,
    /// The share of the keys to compare, above 0 and below 1; `None` for all of them.
    pub sample: Option<f64>,
    /// Only keys whose row on either side is more recent than this are compared, if there is one.
    pub since: Option<SinceOption>,
    /// Whether the run compares a slice, and its deadline is a normal end.
    pub slice: bool,
    /// The redactor of values.
    pub redactor: Redactor,
    /// What encrypts redacted keys in the ledger, if there is a secret.
    pub cipher: Option<Cipher>,
    /// Only these mappings, if any are named.
    pub mappings: Vec<String>,
    /// The maximum of relations that one query of a catalog names.
    pub relations_at_once: usize,
}

impl Options {
    /// Returns whether what the run compares counts as verified.
    pub(crate) fn covers(&self) -> bool {
        self.sample.is_none() && self.since.is_none()
    }

    /// Returns what decides how tables are cut and what becomes of a difference.
    pub(crate) fn settings(&self) -> CandidateSettings {
        CandidateSettings {
            settle: self.settle,
            max_findings: self.max_findings,
            expand: self.expand,
            keys_only: self.keys_only,
            chunks: ChunkSettings { chunk_time: self.chunk_time, sample: self.sample },
        }
    }

    /// Returns the options of a spec, with nothing overridden.
    pub fn of(settings: &CompareSettings) -> Options {
        Options {
            strategy: settings.strategy,
            chunk_rows: None,
            chunk_time: settings.chunk_time,
            statement_timeout: settings.statement_timeout,
            jobs: settings.jobs,
            settle: settings.settle,
            deadline: settings.deadline,
            max_findings: settings.max_findings,
            max_unsettled: settings.max_unsettled,
            expand: false,
            keys_only: false,
            sample: None,
            since: None,
            slice: false,
            redactor: Redactor::of_process(),
            cipher: None,
            mappings: Vec::new(),
            relations_at_once: RELATIONS_AT_ONCE,
        }
    }
}

/// Whether a run has to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// No.
    #[default]
    No,
    /// Finish the tasks in flight, then report.
    Soon,
    /// Cancel the tasks in flight, then report.
    Now,
}
