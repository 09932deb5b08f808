//! Report files: written beside their place and renamed into it when they are complete, readable by
//! their owner only. A report that is there already stays until then.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::format::{EventWriter, Format, ReportOptions};
use crate::event::Event;
use crate::files::{Directory, Purpose, StagedEntry};
use crate::problem::Problem;

/// A report file that is being written.
pub struct ReportFile {
    path: PathBuf,
    name: OsString,
    writer: Box<dyn EventWriter>,
    draft: StagedEntry,
}

impl ReportFile {
    /// Opens a file beside the report's place, so that a bad path fails before anything is read.
    ///
    /// # Errors
    /// When the extension names no format, the folder cannot be written to, another user could
    /// exchange the file in it, or something other than a file is in the report's place.
    pub fn create(path: &Path, options: &ReportOptions) -> Result<ReportFile, Problem> {
        let message = || format!("report {} cannot be written", path.display());
        let format = Format::of_path(path).map_err(|problem| problem.context(message()))?;
        Self::open(path, format, options).map_err(|error| {
            Problem::new(message()).with_source(error).with_hint(
                "Name a new file, or a report that is to be replaced, in a folder that only you can \
                 write to.",
            )
        })
    }

    fn open(path: &Path, format: &Format, options: &ReportOptions) -> io::Result<ReportFile> {
        let (folder, name) = Directory::of(path, Purpose::Output)?;
        folder.check_replaceable(&name)?;
        let draft = StagedEntry::file(&folder, ".pgreconcile-report-")?;
        let out: BufWriter<File> = BufWriter::new(draft.open()?);
        let options = ReportOptions { is_terminal: false, ..options.clone() };
        let writer = (format.new_writer)(Box::new(out), &options);
        Ok(ReportFile { path: path.to_owned(), name, writer, draft })
    }

    /// Returns where the report will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        self.writer.write(event)
    }

    /// Completes the report and moves it into its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        let ReportFile { name, mut writer, draft, .. } = self;
        writer.finish()?;
        drop(writer);
        draft.open()?.sync_all()?;
        draft.place(&name)
    }
}
