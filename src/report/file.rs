//! Report files: written beside their place and renamed into it when they are whole, readable by
//! their owner only. A report that is there already stays until then.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::{Csv, Json, Jsonl, Writer};
use crate::files::{Directory, Draft, Purpose};
use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};

/// Which format a file's extension chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// `.json`
    Json,
    /// `.jsonl`
    Jsonl,
    /// `.csv`
    Csv,
}

impl ReportFormat {
    /// The format of a file.
    ///
    /// # Errors
    /// What is wrong with the extension, as a clause.
    pub fn of(path: &Path) -> Result<ReportFormat, String> {
        let extension =
            path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "json" => Ok(ReportFormat::Json),
            "jsonl" => Ok(ReportFormat::Jsonl),
            "csv" => Ok(ReportFormat::Csv),
            later @ ("html" | "md" | "prom") => {
                Err(format!("reports in .{later} cannot be written in this version yet"))
            }
            _ => Err("its extension names no format".to_owned()),
        }
    }
}

/// A report on its way into its file.
pub struct ReportFile {
    path: PathBuf,
    name: OsString,
    writer: Option<Box<dyn Writer>>,
    draft: Option<Draft>,
}

impl ReportFile {
    /// Opens a file beside the report's place, so that a bad path fails before anything is read.
    ///
    /// # Errors
    /// When the folder cannot be written to, another user could exchange the file in it, or something
    /// other than a file is in the report's place.
    pub fn create(path: &Path, format: ReportFormat, several: bool) -> io::Result<ReportFile> {
        let (folder, name) = Directory::of(path, Purpose::Output)?;
        folder.check_replaceable(&name)?;
        let draft = Draft::file(&folder, ".pgreconcile-report-")?;
        let out: BufWriter<File> = BufWriter::new(draft.open()?);
        let writer: Box<dyn Writer> = match format {
            ReportFormat::Json => Box::new(Json::new(out, several)),
            ReportFormat::Jsonl => Box::new(Jsonl::new(out)),
            ReportFormat::Csv => Box::new(Csv::new(out)),
        };
        Ok(ReportFile { path: path.to_owned(), name, writer: Some(writer), draft: Some(draft) })
    }

    /// Where the report will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writer(&mut self) -> io::Result<&mut Box<dyn Writer>> {
        self.writer.as_mut().ok_or_else(|| io::Error::other("the report is finished"))
    }
}

impl Writer for ReportFile {
    fn run(&mut self, run: &RunRecord) -> io::Result<()> {
        self.writer()?.run(run)
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        self.writer()?.finding(finding)
    }

    fn undecided(&mut self, undecided: &Undecided) -> io::Result<()> {
        self.writer()?.undecided(undecided)
    }

    fn mapping(&mut self, mapping: &MappingRecord) -> io::Result<()> {
        self.writer()?.mapping(mapping)
    }

    fn summary(&mut self, summary: &SummaryRecord) -> io::Result<()> {
        self.writer()?.summary(summary)
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(mut writer) = self.writer.take() {
            writer.finish()?;
        }
        if let Some(draft) = self.draft.take() {
            draft.open()?.sync_all()?;
            draft.place(&self.name)?;
        }
        Ok(())
    }
}
