//! How a run goes about it: the spec's `[compare]` under the flags of the command line.

use std::time::Duration;

use crate::ledger::Cipher;
use crate::pg::RELATIONS_AT_ONCE;
use crate::repair::Act;
use crate::row::Redactor;
use crate::schema::Side;
use crate::spec::{CompareSettings, StrategyChoice};

/// How young a row has to be to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// As it was written.
    pub text: String,
    /// What that means.
    pub time: Duration,
}

/// Plain settings of one run; they know nothing of the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which strategy.
    pub strategy: StrategyChoice,
    /// Rows of a chunk, where they are fixed; otherwise chunks are sized by time.
    pub chunk_rows: Option<u64>,
    /// What one chunk's statement should take.
    pub chunk_time: Duration,
    /// What one statement may take at the most.
    pub statement_timeout: Duration,
    /// Connections a side.
    pub jobs: usize,
    /// How long a difference must stand still before it is called one.
    pub settle: Duration,
    /// How long the run may take, if there is a bound.
    pub deadline: Option<Duration>,
    /// Findings reported per mapping.
    pub max_findings: u64,
    /// Rows that may stay in motion without making the run incomplete.
    pub max_unsettled: u64,
    /// Whether long runs of one-sided rows are reported key by key.
    pub expand: bool,
    /// Whether findings name columns without their values.
    pub keys_only: bool,
    /// The share of the keys to look at, above 0 and below 1, if not all of them.
    pub sample: Option<f64>,
    /// Only keys whose row on either side is younger than this, if not all of them.
    pub since: Option<Since>,
    /// Whether it takes what has gone unverified for longest, and its deadline is a normal end.
    pub slice: bool,
    /// What redacted values are told under.
    pub veil: Redactor,
    /// What encrypts redacted keys in the ledger, if there is a secret.
    pub cipher: Option<Cipher>,
    /// Only these mappings, if any are named.
    pub mappings: Vec<String>,
    /// How many relations one question about a catalog names at the most.
    pub relations_at_once: usize,
}

impl Options {
    /// Whether what it compares counts as verified.
    pub(super) fn covers(&self) -> bool {
        self.sample.is_none() && self.since.is_none()
    }

    /// What a spec says, nothing overridden.
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
            veil: Redactor::of_process(),
            cipher: None,
            mappings: Vec::new(),
            relations_at_once: RELATIONS_AT_ONCE,
        }
    }
}

/// Whether a run was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// No.
    #[default]
    No,
    /// Finish what is in hand, then report.
    Soon,
    /// Cancel what is in hand, then report.
    Now,
}

/// What a repair is to do.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// The side declared right.
    pub authority: Side,
    /// What may be done.
    pub kinds: Vec<Act>,
    /// Only these mappings, if any are named.
    pub mappings: Vec<String>,
    /// How far apart the two looks at a range are, if not as in the spec.
    pub settle: Option<Duration>,
    /// Rows of a batch.
    pub batch: usize,
    /// Whether a DELETE may reach other tables.
    pub allow_cascade: bool,
    /// Whether triggers fire.
    pub triggers: bool,
    /// Whether to do without temporary tables.
    pub no_temp: bool,
}
