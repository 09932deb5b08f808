//! The options of a repair.

use std::time::Duration;

use crate::repair::Operation;
use crate::schema::Side;

/// The options of a repair.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// The side that is the source of truth.
    pub authority: Side,
    /// The operations that are allowed.
    pub kinds: Vec<Operation>,
    /// Only these mappings, if any are named.
    pub mappings: Vec<String>,
    /// How far apart the two reads of a range are, if not as in the spec.
    pub settle: Option<Duration>,
    /// Rows of a batch.
    pub batch: usize,
    /// Whether a DELETE may reach other tables.
    pub allow_cascade: bool,
    /// Whether triggers are fired.
    pub triggers: bool,
    /// Whether temporary tables are avoided.
    pub no_temp: bool,
}
