//! The program: parses the arguments, runs the verb, returns the exit code.

use std::ffi::OsString;

use anyhow::Context;
use clap::{Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::exit::Exit;
use super::ui::Ui;
use super::verbs::{apply, check, compare, gate, history, plan, recheck, repair, report};
use super::{args, help, manual, redact_key, ui};

/// Compares a monolith's tables with a service's, row by row, and reports what differs.
///
/// Both databases may be written meanwhile: a difference is reported only if it has not changed for
/// some time. It reads in short read-only transactions; only `apply --execute` writes.
#[derive(Debug, Parser)]
#[command(name = "pgreconcile", version, propagate_version = true, arg_required_else_help = true)]
#[command(max_term_width = 80, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes: 0 everything agrees, 1 confirmed divergence, 2 trouble before the
first row was read, 3 incomplete, 4 another run holds the lock. For repair and
apply: 0 done, 1 a guard refused or keys still differ, 2 trouble, 3 interrupted.
For gate: 0 open, 1 closed, 2 trouble.

Every flag has an environment variable, PGRECONCILE_ and its name in capitals,
except those that decide what is changed: --authority, --kinds, --triggers, and
also --allow-cascade and --execute.
PGRECONCILE_REDACT_KEY is the secret of redacted values. If you set it, equal
values have equal hashes in every run, and runs with redacted keys can be
resumed.";

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(after_help = EXIT_CODES)]
    Check(check::CheckArgs),
    #[command(after_help = EXIT_CODES)]
    Plan(plan::PlanArgs),
    #[command(after_help = EXIT_CODES)]
    Compare(compare::CompareArgs),
    #[command(after_help = EXIT_CODES)]
    Recheck(recheck::RecheckArgs),
    #[command(after_help = EXIT_CODES)]
    Gate(gate::GateArgs),
    #[command(after_help = EXIT_CODES)]
    History(history::HistoryArgs),
    #[command(after_help = EXIT_CODES)]
    Report(report::ReportArgs),
    Repair(repair::RepairArgs),
    #[command(after_help = EXIT_CODES)]
    Apply(apply::ApplyArgs),
}

/// What the command line asks for.
enum Request {
    /// A verb to run.
    Verb(Box<Cli>),
    /// Text to show. It is not a [`Verb`], because it has none of the arguments that all verbs have.
    Help(help::Help),
}

/// Runs the program with these arguments and returns its exit code.
pub fn start(args: impl IntoIterator<Item = OsString>) -> u8 {
    // The variables are named after the flags, as the help says, so it does not list them.
    let mut command = Cli::command()
        .after_help(format!("{}\n{EXIT_CODES}", manual::list()))
        .subcommand(help::Help::augment_args(Command::new("help")))
        .mut_subcommands(|verb| verb.mut_args(|arg| arg.hide_env(true)))
        .mut_subcommand("recheck", |verb| {
            // They choose what `compare` reads. `recheck` refuses them with a reason.
            ["sample", "since", "slice", "resume", "run_id"]
                .into_iter()
                .fold(verb, |verb, name| verb.mut_arg(name, |arg| arg.hide(true)))
        });
    let parsed = command.try_get_matches_from_mut(args).and_then(|mut matches| {
        if let Some(matches) = matches.subcommand_matches("help") {
            return Ok(Request::Help(help::Help::from_arg_matches(matches)?));
        }
        let mut cli = Cli::from_arg_matches(&matches)?;
        if let Some((_, matches)) = matches.remove_subcommand() {
            match &mut cli.verb {
                Verb::Check(verb) => verb.specs.split_environment(&matches),
                Verb::Plan(verb) => verb.specs.split_environment(&matches),
                Verb::Compare(verb) => verb.split_environment(&matches),
                Verb::Recheck(verb) => verb.how.split_environment(&matches),
                Verb::Gate(verb) => drop(args::split_lines(&mut verb.params, "params", &matches)),
                Verb::History(_) => {}
                Verb::Report(verb) => verb.split_environment(&matches),
                Verb::Repair(verb) => verb.specs.split_environment(&matches),
                Verb::Apply(verb) => drop(args::split_lines(&mut verb.params, "params", &matches)),
            }
        }
        Ok(Request::Verb(Box::new(cli)))
    });
    let cli = match parsed {
        Ok(Request::Verb(cli)) => cli,
        Ok(Request::Help(help)) => return help::run(&help, &mut command).code(),
        Err(error) => return ui::usage(error).code(),
    };
    let common = match &cli.verb {
        Verb::Check(verb) => &verb.common,
        Verb::Plan(verb) => &verb.common,
        Verb::Compare(verb) => &verb.common,
        Verb::Recheck(verb) => &verb.how.common,
        Verb::Gate(verb) => &verb.common,
        Verb::History(verb) => &verb.common,
        Verb::Report(verb) => &verb.common,
        Verb::Repair(verb) => &verb.common,
        Verb::Apply(verb) => &verb.common,
    };
    let ui = Ui::new(common);
    redact_key::warn_if_short(&ui);
    let exit = run_verb(&cli.verb, &ui).unwrap_or_else(|error| ui.failure(&error));
    exit.code()
}

/// Runs a verb to its end.
fn run_verb(verb: &Verb, ui: &Ui) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime does not start")?.block_on(async {
        match verb {
            Verb::Check(verb) => Ok(check::run(verb, ui).await),
            Verb::Plan(verb) => plan::run(verb, ui).await,
            Verb::Compare(verb) => Ok(compare::run(verb, None, ui).await),
            Verb::Recheck(verb) => recheck::run(verb, ui).await,
            Verb::Gate(verb) => Box::pin(gate::run(verb, ui)).await,
            Verb::History(verb) => history::run(verb, ui).await,
            Verb::Report(verb) => report::run(verb, ui).await,
            Verb::Repair(verb) => Box::pin(repair::run(verb, ui)).await,
            Verb::Apply(verb) => Box::pin(apply::run(verb, ui)).await,
        }
    })
}
