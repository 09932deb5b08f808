//! Diagnosis: why rows differ, not only where. Findings of a mapping are grouped by what explains
//! them. An explanation of at least four in five of them becomes a hint with its evidence.
//!
//! It receives findings one by one and keeps counters, a few keys and bounded samples, never the
//! findings. Only confirmed findings count: values of unsettled ones were not read, and an accepted
//! one has its reason already.

mod cause;
mod columns;
mod evidence;
mod location;
mod mapping;
mod moment;
mod number;
mod swaps;
mod time;
mod value;
mod window;

pub use mapping::Diagnosis;
