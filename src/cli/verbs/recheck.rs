//! `recheck`: rechecks only the rows that an earlier run found.

use std::path::PathBuf;

use clap::Args;

use super::compare::{self, CompareArgs};
use crate::cli::args::path;
use crate::cli::exit::Exit;
use crate::cli::prior_run::PriorRun;
use crate::cli::ui::Ui;
use crate::problem::Problem;

/// Recheck only the rows that an earlier run found
///
/// Its findings come from the ledger, or from a .jsonl report. Rows that have healed since are
/// counted, those that still differ are reported as by compare, with the same exit codes.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Recheck only the rows that an earlier run found",
    long_about = "Recheck only the rows that an earlier run found\n\n\
        Its findings come from the ledger, or from a .jsonl report. Rows that have healed since \
        are counted, those that still differ are reported as by compare, with the same exit \
        codes. Other rows are not read."
)]
pub(crate) struct RecheckArgs {
    /// A run of the ledger; without it the newest finished one
    #[arg(long, value_name = "ID", env = "PGRECONCILE_RUN", help_heading = "Run")]
    run: Option<String>,

    /// A .jsonl report, instead of the ledger
    #[arg(long, value_name = "FILE", env = "PGRECONCILE_FROM", help_heading = "Run", value_parser = path())]
    from: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) how: CompareArgs,
}

/// Rechecks the findings of one spec.
pub(crate) async fn run(args: &RecheckArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let hint = "pgreconcile recheck SPEC, with --run ID or --from FILE.";
    let refused = match args.how.specs.specs.as_slice() {
        [_] if args.how.slice => Some("--slice has no meaning here"),
        [_] if args.how.run_id.is_some() => Some("--run-id has no meaning here"),
        [_] if args.how.resume.is_some() => Some("--resume has no meaning here"),
        [_] if args.how.sample.is_some() => Some("--sample has no meaning here"),
        [_] if args.how.since.is_some() => Some("--since has no meaning here"),
        [one] if !one.is_dir() => None,
        _ => Some("one spec file is rechecked at a time"),
    };
    let prior = match refused {
        Some(refused) => Err(Problem::new(refused)),
        None => PriorRun::of_flags(args.run.as_ref(), args.from.as_ref()),
    };
    let prior = prior.map_err(|problem| problem.with_hint(hint))?;
    Ok(compare::run(&args.how, Some(&prior), ui).await)
}
