//! Where a run is told: stdout in the format asked for, and the report files.
//!
//! A report that cannot be written does not stop the others; it makes the run incomplete. A reader of
//! stdout who goes away (`| head`) stops the run: nobody is left to tell.

use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::path::PathBuf;

use clap::ValueEnum;
use tokio::sync::watch;

use super::ui::Ui;
use crate::event::{Event, Observer};
use crate::report::{Csv, Json, Jsonl, ReportFile, ReportFormat, Style, Terminal, Writer};
use crate::run::Stop;

/// How stdout tells a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A summary for people.
    Terminal,
    /// One JSON document.
    Json,
    /// A JSON object a line, as things happen.
    Jsonl,
    /// A line per differing column.
    Csv,
    /// Formats that the contract has and this version does not write yet.
    #[value(name = "html", aliases = ["markdown", "github"], hide = true)]
    Later,
}

/// Refuses what is not written yet, by name: it is no slip of the user's.
pub(super) fn written(format: Format) -> Result<Format, String> {
    match format {
        Format::Later => Err("it does nothing in this version yet; leave it out".to_owned()),
        format => Ok(format),
    }
}

/// Every telling of a run.
pub(super) struct Outputs {
    stdout: Option<Box<dyn Writer>>,
    files: Vec<Option<ReportFile>>,
    stop: watch::Sender<Stop>,
    ui: Ui,
    failed: bool,
}

impl Outputs {
    /// Opens every report file before anything is read.
    ///
    /// Nothing if one cannot be opened; what is wrong has been said.
    pub(super) fn open(
        format: Format,
        style: Style,
        reports: &[PathBuf],
        several: bool,
        stop: watch::Sender<Stop>,
        ui: &Ui,
    ) -> Option<Outputs> {
        let mut files = Vec::new();
        for path in reports {
            let extensions = "Name a file that ends in .json, .jsonl or .csv.";
            let folder = "Name a new file, or a report that is to be replaced, in a folder that only you can write to.";
            let format = ReportFormat::of(path).map_err(|why| (why, extensions));
            let file = format.and_then(|format| {
                ReportFile::create(path, format, several)
                    .map_err(|error| (error.to_string(), folder))
            });
            match file {
                Ok(file) => files.push(Some(file)),
                Err((why, hint)) => {
                    let message = format!("report {} cannot be written: {why}", path.display());
                    ui.error(&message, Some(hint));
                    return None;
                }
            }
        }
        let out: BufWriter<Stdout> = BufWriter::new(io::stdout());
        let stdout: Option<Box<dyn Writer>> = match format {
            Format::Terminal if ui.quiet => None,
            Format::Later => None,
            Format::Terminal => Some(Box::new(Terminal::new(out, style))),
            Format::Json => Some(Box::new(Json::new(out, several))),
            Format::Jsonl => Some(Box::new(Jsonl::new(out))),
            Format::Csv if io::stdout().is_terminal() => Some(Box::new(Csv::on_terminal(out))),
            Format::Csv => Some(Box::new(Csv::new(out))),
        };
        Some(Outputs { stdout, files, stop, ui: ui.clone(), failed: false })
    }

    fn each(&mut self, mut write: impl FnMut(&mut dyn Writer) -> io::Result<()>) {
        if let Some(stdout) = &mut self.stdout
            && let Err(error) = write(stdout.as_mut())
        {
            self.stdout = None;
            self.failed = true;
            if error.kind() == io::ErrorKind::BrokenPipe {
                self.stop.send_replace(Stop::Now);
            } else {
                self.ui.error(&format!("stdout cannot be written: {error}"), None);
            }
        }
        for slot in &mut self.files {
            let Some(file) = slot else { continue };
            if let Err(error) = write(file) {
                let message =
                    format!("report {} cannot be written: {error}", file.path().display());
                self.ui.error(&message, Some("A report that was there before is untouched."));
                self.failed = true;
                *slot = None;
            }
        }
    }

    /// Puts every report into its place. Tells whether all of it could be written.
    pub(super) fn finish(mut self) -> bool {
        self.each(|writer| writer.finish());
        !self.failed
    }
}

impl Observer for Outputs {
    fn observe(&mut self, event: Event) {
        match &event {
            Event::RunStarted(run) => self.each(|writer| writer.run(run)),
            Event::MappingStarted { mapping, name, .. } => {
                self.each(|writer| writer.begins(*mapping, name));
            }
            Event::Finding { finding, .. } => self.each(|writer| writer.finding(finding)),
            Event::Undecided(undecided) => self.each(|writer| writer.undecided(undecided)),
            Event::MappingFinished { record, .. } => self.each(|writer| writer.mapping(record)),
            Event::RunFinished(summary) => self.each(|writer| writer.summary(summary)),
            _ => {}
        }
    }
}
