//! Report files: written beside their place and renamed into it when they are whole, readable by
//! their owner only. A report that is there already stays until then.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Csv, Json, Jsonl, Writer};
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
    writer: Option<Box<dyn Writer>>,
    file: Option<NamedTempFile>,
}

impl ReportFile {
    /// Opens a file beside the report's place, so that a bad path fails before anything is read.
    ///
    /// # Errors
    /// When the folder cannot be written to, or anybody else could swap the file in it.
    pub fn create(path: &Path, format: ReportFormat, several: bool) -> io::Result<ReportFile> {
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        check_folder(folder)?;
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        // Mode 0600 is this crate's own default, whatever the umask.
        let file = NamedTempFile::with_prefix_in(".pgreconcile-report-", folder)?;
        let out: BufWriter<File> = BufWriter::new(file.reopen()?);
        let writer: Box<dyn Writer> = match format {
            ReportFormat::Json => Box::new(Json::new(out, several)),
            ReportFormat::Jsonl => Box::new(Jsonl::new(out)),
            ReportFormat::Csv => Box::new(Csv::new(out)),
        };
        Ok(ReportFile { path: path.to_owned(), writer: Some(writer), file: Some(file) })
    }

    /// Where the report will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn writer(&mut self) -> io::Result<&mut Box<dyn Writer>> {
        self.writer.as_mut().ok_or_else(|| io::Error::other("the report is finished"))
    }
}

/// In a folder that everybody may write to, and that is not sticky, another user could swap the file.
#[cfg(unix)]
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(folder)?.permissions().mode();
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "everybody may write to its folder; a report holds row data",
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    std::fs::metadata(folder).map(drop)
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
        if let Some(mut file) = self.file.take() {
            file.flush()?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
        }
        Ok(())
    }
}
