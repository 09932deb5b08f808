//! What a report format consists of. The list of formats is in `formats.rs`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::event::Event;

/// A report format.
#[derive(Debug)]
pub struct Format {
    /// The value of `--format`.
    pub name: &'static str,
    /// The extension that chooses it for `--report`; `None` if it is for stdout only.
    pub extension: Option<&'static str>,
    /// What `--help` says of it.
    pub help: &'static str,
    /// Whether people read it: then `--quiet` leaves it out.
    pub is_for_people: bool,
    /// Makes its writer.
    pub new_writer: fn(Output, &ReportOptions) -> Box<dyn EventWriter>,
}

/// What a report is written to.
pub type Output = Box<dyn Write + Send>;

/// Writes the events of one run after the other in one format. It lasts for the whole process,
/// which may run several specs.
pub trait EventWriter: Send {
    /// Writes what the format has to say of an event.
    ///
    /// # Errors
    /// When it cannot be written.
    fn write(&mut self, event: &Event) -> io::Result<()>;

    /// Writes what is left and flushes: no run follows.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// What formats need besides the events.
#[derive(Clone, Debug, Default)]
pub struct ReportOptions {
    /// Whether the output is a terminal, which control characters could drive.
    pub is_terminal: bool,
    /// Columns of the terminal.
    pub width: u16,
    /// Whether colour may be used.
    pub colour: bool,
    /// Whether there are several specs.
    pub several: bool,
    /// The command line that repeats this run, and those that resume an interrupted run.
    pub commands: Commands,
    /// Whether a report file was requested.
    pub has_files: bool,
    /// Whether the run is stored in no ledger because of `--ledger off`.
    pub no_ledger: bool,
}

/// Command lines to suggest at the end of a run.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    /// Repeats the run.
    pub again: String,
    /// Resumes an interrupted run, by the spec's name, where a ledger makes that possible.
    pub resume: BTreeMap<String, String>,
}
