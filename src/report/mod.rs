//! Tellings: one trait, one file a format, written to anything that can be written to.
//!
//! A writer hears of a run in the order in which things happen and lasts for the whole process, which
//! may run several specs. Nothing here knows of a terminal's width or of colour but through what it
//! is given.

mod csv;
mod file;
mod finding;
mod gate;
mod groups;
mod hints;
mod history;
mod json;
mod jsonl;
mod paced;
mod plan;
mod terminal;

use std::io;

pub use self::csv::Csv;
pub use file::{ReportFile, ReportFormat};
pub use gate::{GateRecord, write_gate};
pub use history::write_history;
pub use json::{Json, write_json, write_pretty_json};
pub use jsonl::Jsonl;
pub use plan::{PlanRecord, write_plan};
pub use terminal::{Style, Terminal};

use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};

/// One format of telling a run.
pub trait Writer: Send {
    /// A run begins.
    ///
    /// # Errors
    /// When it cannot be written.
    fn run(&mut self, run: &RunRecord) -> io::Result<()>;

    /// A mapping begins; `place` is where it stands in the spec. Most formats have no word for it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn begins(&mut self, _place: usize, _mapping: &str) -> io::Result<()> {
        Ok(())
    }

    /// A difference stands.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finding(&mut self, finding: &Finding) -> io::Result<()>;

    /// A range could not be judged.
    ///
    /// # Errors
    /// When it cannot be written.
    fn undecided(&mut self, undecided: &Undecided) -> io::Result<()>;

    /// A mapping is done.
    ///
    /// # Errors
    /// When it cannot be written.
    fn mapping(&mut self, mapping: &MappingRecord) -> io::Result<()>;

    /// The run is over.
    ///
    /// # Errors
    /// When it cannot be written.
    fn summary(&mut self, summary: &SummaryRecord) -> io::Result<()>;

    /// No run follows: everything reaches its destination now.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}
