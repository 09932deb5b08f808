//! `report`: shows a finished run of the ledger, in any format that `compare` has.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tokio::sync::watch;

use super::compare::shell_word;
use crate::cli::args::{CommonArgs, path};
use crate::cli::exit::Exit;
use crate::cli::ledgers::open_to_read;
use crate::cli::outputs::{OutputArgs, Outputs};
use crate::cli::specs;
use crate::cli::ui::Ui;
use crate::event::Observer;
use crate::ledger::{self, ReplayOutcome};
use crate::problem::Problem;
use crate::report::{Commands, ReportOptions};
use crate::run::Stop;

/// Report a finished run of the ledger again
///
/// Without `--run` it is the newest finished run. No server is queried.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// A spec file
    #[arg(value_name = "SPEC", value_parser = path())]
    spec: PathBuf,

    /// The run
    #[arg(long, value_name = "ID", env = "PGRECONCILE_RUN", help_heading = "Run")]
    run: Option<String>,

    #[command(flatten)]
    outputs: OutputArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl ReportArgs {
    /// Splits what the environment gives for repeatable flags.
    pub(crate) fn split_environment(&mut self, matches: &clap::ArgMatches) {
        self.outputs.split_environment(matches);
    }
}

/// Reads the run from the ledger and writes its reports.
pub(crate) async fn run(args: &ReportArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let one = std::slice::from_ref(&args.spec);
    let Some(names) = specs::names(one, ui) else { return Ok(Exit::Trouble) };
    let [(path, name)] = names.as_slice() else {
        let message = format!("folder {} holds several specs", args.spec.display());
        ui.error(&message, Some("Name the one whose run is to be reported."));
        return Ok(Exit::Trouble);
    };
    let store = open_to_read(&args.common.ledger(), path, name, ui).await;
    let Some(store) = store else { return Ok(Exit::Trouble) };
    let again = format!("pgreconcile compare {}", shell_word(&path.display().to_string()));
    let options = ReportOptions {
        width: ui.width(),
        colour: ui.stdout_has_colour(),
        // Whether the run can still be resumed, the next call finds out.
        commands: Commands { again, ..Commands::default() },
        has_files: !args.outputs.reports.is_empty(),
        ..ReportOptions::default()
    };
    // The run is over, so nothing has to stop if the reader of stdout goes away.
    let (requests, _) = watch::channel(Stop::No);
    let outputs = Outputs::open(&args.outputs, &options, requests, ui);
    let Some(mut outputs) = outputs else { return Ok(Exit::Trouble) };
    let result = store.replay(name, args.run.as_deref(), |event| outputs.observe(&event)).await;
    let list = "pgreconcile history SPEC --format json lists the runs.";
    let problem = match result {
        Ok(ReplayOutcome::Replayed) => {
            let is_written = outputs.finish();
            return Ok(if is_written { Exit::Clean } else { Exit::Incomplete });
        }
        Ok(ReplayOutcome::Damaged(run)) => {
            ledger::damaged_run(&run).with_hint("Compare again, or name another run with --run.")
        }
        Ok(ReplayOutcome::Unfinished) => Problem::new("that run has not finished").with_hint(list),
        Ok(ReplayOutcome::Unknown) => match &args.run {
            Some(run) => Problem::new(format!("spec \"{name}\" has no run {run}")),
            None => Problem::new(format!("spec \"{name}\" has no finished run")),
        }
        .with_hint(list),
        Err(error) => error.with_hint(list),
    };
    Err(problem).context(store.to_string())
}
