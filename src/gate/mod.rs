//! The gate: whether reads may be flipped. It is open, or closed with every reason.
//!
//! The judgement needs the spec's settings, past runs, and the current state of both servers, all
//! given as a [`GateInput`], so nothing here does I/O. What is not known closes the gate. A run
//! counts if it compared every mapping as a whole. Runs over a part of the keys, of the mappings or
//! of earlier findings do not count, but their findings close the gate as well.
//!
//! `judgement.rs` holds the verdict, `input.rs` the conditions.

#[cfg(test)]
mod clock_tests;
mod clocks;
#[cfg(test)]
mod group_tests;
mod input;
mod judgement;
#[cfg(test)]
mod judgement_tests;
mod reason;
mod run;
mod sequence;

pub use clocks::Clocks;
pub use input::{CatalogChange, GateInput, GateMapping, is_enough, verified_shares};
pub use judgement::{GateVerdict, GroupVerdict, Judgement, judge};
pub use reason::{Condition, Reason};
pub use run::{GateRun, RunEnd, UnsettledRow};
pub use sequence::Sequence;
