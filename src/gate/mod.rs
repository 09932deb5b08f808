//! The gate: whether reads may be flipped. It is open, or closed with every reason.
//!
//! The judgement needs the spec's settings, past runs, and the current state of both servers, all
//! given as a [`GateInput`], so nothing here does I/O. What is not known closes the gate. A run
//! counts if it compared every mapping as a whole. Runs over a part of the keys, of the mappings or
//! of earlier findings do not count, but their findings close the gate as well.
//!
//! | file | holds |
//! |---|---|
//! | `judgement` | the verdict: open, or closed with every reason |
//! | `conditions` | each condition over all runs, and the wording of its reasons |
//! | `run` | one run, and the wording of the reasons that it gives |
//! | `sequence`, `clocks` | a sequence of the target; the times that runs recorded |
//! | `reason` | the types of a condition and a reason |

#[cfg(test)]
mod clock_tests;
mod clocks;
mod conditions;
#[cfg(test)]
mod group_tests;
mod judgement;
#[cfg(test)]
mod judgement_tests;
mod reason;
mod run;
mod sequence;

pub use clocks::Clocks;
pub use conditions::{CatalogChange, GateInput, GateMapping, is_enough, verified_shares};
pub use judgement::{GateVerdict, GroupVerdict, Judgement, judge};
pub use reason::{Condition, Reason};
pub use run::{GateRun, RunEnd, UnsettledRow};
pub use sequence::Sequence;
