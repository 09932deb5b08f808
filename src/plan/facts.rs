//! What is known of a mapping before it is planned: what both servers say, and what the command line
//! does.

use std::collections::BTreeMap;

use crate::schema::{ColumnType, Relation, Shape};
use crate::spec::{Diagnostic, StrategyChoice};

/// What both servers say about one mapping's side.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What identifies it, taken before anything else here was asked: what changes later is noticed.
    pub shape: Shape,
    /// The relation read.
    pub relation: Relation,
    /// The types of the side's expressions, by pair name.
    pub expressions: BTreeMap<String, ColumnType>,
    /// Of each accept rule of the mapping, why this side does not take its condition; nothing if it
    /// does.
    pub accepts: Vec<Option<Diagnostic>>,
    /// How the values of the last-modified column are spread, by the statistics, as texts in order.
    pub changed_at: Vec<String>,
    /// Only rows that were changed at this moment of the side's clock or later are asked for.
    pub moment: Option<String>,
}

/// What the command line says about planning.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// The strategy in effect.
    pub strategy: StrategyChoice,
    /// Rows of a chunk, where they are fixed.
    pub chunk_rows: Option<u64>,
    /// Whether only some key ranges are looked at.
    pub sampled: bool,
    /// Whether stretches of the keys are compared one by one.
    pub sliced: bool,
}
