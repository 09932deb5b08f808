//! Reports of runs, plans, histories and gates.
//!
//! Each format of a run's report is a [`EventWriter`] in a file of its own, listed in `formats.rs`.
//! This module does not query the terminal: its width and colours are passed in.

mod csv;
mod file;
mod finding;
mod format;
mod formats;
mod gate;
mod groups;
mod hints;
mod history;
mod json;
mod jsonl;
mod plan;
mod terminal;
mod throttle;

pub use file::ReportFile;
pub use format::{Commands, EventWriter, Format, Output, ReportOptions};
pub use formats::{FORMATS, PLANNED_FORMATS, extensions};
pub use gate::{GateRecord, write_gate};
pub use history::write_history;
pub use json::{write_json, write_pretty_json};
pub use plan::{PlanRecord, write_plan};
