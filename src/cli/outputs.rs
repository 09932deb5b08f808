//! The reports of a run: stdout in the format that `--format` names, and the files of `--report`.
//!
//! A report that cannot be written does not stop the others; it makes the run incomplete. If the
//! reader of stdout goes away (`| head`), the run stops.

use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tokio::sync::watch;

use super::args::{path, split_paths};
use super::ui::Ui;
use crate::event::{Event, Observer};
use crate::report::{
    EventWriter, FORMATS, Format, PLANNED_FORMATS, ReportFile, ReportOptions, extensions,
};
use crate::run::Stop;

/// Parses the value of `--format`. Formats that are planned are refused by name.
pub(super) fn format_parser() -> impl TypedValueParser<Value = &'static Format> {
    let values = FORMATS.iter().map(|format| PossibleValue::new(format.name).help(format.help));
    let planned = PLANNED_FORMATS.map(|name| PossibleValue::new(name).hide(true));
    PossibleValuesParser::new(values.chain(planned)).try_map(|name| {
        Format::by_name(&name).ok_or("it does nothing in this version yet; leave it out")
    })
}

/// Returns the help of `--report`.
pub(super) fn report_help() -> String {
    format!("Also write a report; {} chooses the format (repeatable)", extensions())
}

/// The outputs of a run that the command line names.
#[derive(Args, Clone, Debug)]
pub(super) struct OutputArgs {
    #[arg(
        help = report_help(),
        long = "report",
        value_name = "FILE",
        env = "PGRECONCILE_REPORT",
        help_heading = "Output",
        value_parser = path()
    )]
    pub(super) reports: Vec<PathBuf>,

    /// Format of stdout
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PGRECONCILE_FORMAT",
        default_value = "terminal",
        value_parser = format_parser(),
        help_heading = "Output"
    )]
    format: &'static Format,
}

impl OutputArgs {
    /// Splits what the environment gives for the repeatable flag.
    pub(super) fn split_environment(&mut self, matches: &clap::ArgMatches) {
        split_paths(&mut self.reports, "reports", matches);
    }
}

/// All reports of a run.
pub(super) struct Outputs {
    stdout: Option<Box<dyn EventWriter>>,
    files: Vec<ReportFile>,
    stop: watch::Sender<Stop>,
    ui: Ui,
    /// Whether a run has started: without one, existing reports stay.
    has_started: bool,
    has_failed: bool,
}

impl Outputs {
    /// Opens every report file before anything is read. Returns `None` if one cannot be opened; the
    /// error has been shown.
    pub(super) fn open(
        OutputArgs { reports, format }: &OutputArgs,
        options: &ReportOptions,
        stop: watch::Sender<Stop>,
        ui: &Ui,
    ) -> Option<Outputs> {
        let files = reports.iter().map(|path| ReportFile::create(path, options));
        let files = match files.collect::<Result<Vec<_>, _>>() {
            Ok(files) => files,
            Err(problem) => {
                ui.problem(&problem);
                return None;
            }
        };
        let is_wanted = !(format.is_for_people && ui.quiet);
        let stdout = is_wanted.then(|| {
            let out: BufWriter<Stdout> = BufWriter::new(io::stdout());
            let is_terminal = io::stdout().is_terminal();
            let options = ReportOptions { is_terminal, ..options.clone() };
            (format.new_writer)(Box::new(out), &options)
        });
        let ui = ui.clone();
        Some(Outputs { stdout, files, stop, ui, has_started: false, has_failed: false })
    }

    /// Handles the outcome of writing to stdout. A writer that failed is not used again.
    fn check_stdout(&mut self, result: io::Result<()>) {
        let Err(error) = result else { return };
        self.stdout = None;
        self.has_failed = true;
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.stop.send_replace(Stop::Now);
        } else {
            self.ui.error(&format!("stdout cannot be written: {error}"), None);
        }
    }

    /// Completes every report and moves the files into their places. Returns whether all could be
    /// written.
    pub(super) fn finish(mut self) -> bool {
        if self.has_started {
            let result = self.stdout.as_mut().map_or(Ok(()), |writer| writer.finish());
            self.check_stdout(result);
            for file in std::mem::take(&mut self.files) {
                let path = file.path().to_owned();
                if let Err(error) = file.finish() {
                    self.has_failed = true;
                    show_failed_file(&path, &error, &self.ui);
                }
            }
        }
        !self.has_failed
    }
}

fn show_failed_file(path: &std::path::Path, error: &io::Error, ui: &Ui) {
    let message = format!("report {} cannot be written: {error}", path.display());
    ui.error(&message, Some("A report that was there before is untouched."));
}

impl Observer for Outputs {
    fn observe(&mut self, event: &Event) {
        self.has_started |= matches!(event, Event::RunStarted(_));
        let result = self.stdout.as_mut().map_or(Ok(()), |writer| writer.write(event));
        self.check_stdout(result);
        let (ui, has_failed) = (&self.ui, &mut self.has_failed);
        self.files.retain_mut(|file| match file.write(event) {
            Ok(()) => true,
            Err(error) => {
                *has_failed = true;
                show_failed_file(file.path(), &error, ui);
                false
            }
        });
    }
}
