//! The gate: whether reads may be flipped to the other side.

mod clocks;
mod conditions;
mod sequences;
mod servers;
