//! `history`: shows past runs and their trend.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::cli::args::{CommonArgs, ResultArgs, ResultFormat, path};
use crate::cli::exit::{Exit, STDOUT};
use crate::cli::ledgers::{open_to_read, unreadable_hint};
use crate::cli::specs;
use crate::cli::ui::Ui;
use crate::finding;
use crate::problem::Problem;
use crate::report::{write_history, write_json};

/// Show past runs and their trend: the outcome of each, what is new and gone since the run before
#[derive(Args, Clone, Debug)]
pub(crate) struct HistoryArgs {
    /// Spec files, or folders of them
    #[arg(value_name = "SPEC", required = true, value_parser = path())]
    specs: Vec<PathBuf>,

    #[command(flatten)]
    result: ResultArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Shows the runs in the ledger of each spec. No server is queried.
pub(crate) async fn run(args: &HistoryArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let Some(names) = specs::names(&args.specs, ui) else { return Ok(Exit::Trouble) };
    let mut histories = Vec::new();
    for (path, name) in names {
        let setting = args.common.ledger();
        let Some(store) = open_to_read(&setting, &path, &name, ui).await else {
            return Ok(Exit::Trouble);
        };
        let history = store.read_history(&name).await.map_err(|error| {
            let problem = Problem::new(store.to_string()).with_source(error);
            Problem {
                hint: setting.location(&path, &name).as_ref().map(unreadable_hint),
                ..problem
            }
        });
        histories.push(history?);
    }
    show(args, ui, &histories).context(STDOUT)?;
    Ok(Exit::Clean)
}

fn show(args: &HistoryArgs, ui: &Ui, histories: &[finding::History]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match (args.result.format, histories) {
        (ResultFormat::Terminal, _) if ui.quiet => {}
        (ResultFormat::Terminal, histories) => {
            for (place, history) in histories.iter().enumerate() {
                if place > 0 {
                    writeln!(out)?;
                }
                write_history(&mut out, history, ui.width())?;
            }
        }
        (ResultFormat::Json, [history]) => write_json(&mut out, history)?,
        (ResultFormat::Json, histories) => write_json(&mut out, histories)?,
    }
    if args.result.format == ResultFormat::Json {
        out.write_all(b"\n")?;
    }
    out.flush()
}
