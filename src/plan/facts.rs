//! The input of a plan besides the spec: facts from both servers, and options of the command line.

use std::collections::BTreeMap;

use crate::schema::{ColumnType, Relation, Shape};
use crate::spec::{Diagnostic, StrategyChoice};

/// Facts about one side of a mapping, from its server.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The identity of what is read, queried before all other facts, so that later changes are noticed.
    pub shape: Shape,
    /// The relation that is read.
    pub relation: Relation,
    /// The types of the side's expressions, by pair name.
    pub expressions: BTreeMap<String, ColumnType>,
    /// For each accept rule of the mapping, why this side's server refuses its condition; `None` if it
    /// does not.
    pub accepts: Vec<Option<Diagnostic>>,
    /// The histogram of the last-modified column, by the statistics, as texts in order.
    pub changed_at: Vec<String>,
    /// Only rows that changed at this moment of the side's clock or later are compared.
    pub moment: Option<String>,
}

/// Options of the command line that affect the plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// The requested strategy.
    pub strategy: StrategyChoice,
    /// The number of rows of a chunk, where it is fixed.
    pub chunk_rows: Option<u64>,
    /// Whether only some key ranges are compared (`--sample`).
    pub sampled: bool,
    /// Whether the keys are compared in slices.
    pub sliced: bool,
}
