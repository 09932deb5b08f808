//! `apply`: runs reviewed repair scripts, or shows what they would do.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use tokio::sync::watch;

use super::repair::{rows, write_parts};
use crate::cli::args::{CommonArgs, path};
use crate::cli::exit::{Exit, STDOUT};
use crate::cli::ui::Ui;
use crate::cli::{args, signals, specs};
use crate::repair::Manifest;
use crate::run::{
    self, ApplyOutcome, ApplyProgress, DifferingRows, Journal, Options, Stop, VerifiedFolder,
};
use crate::spec::printable;

/// Verify a folder that `repair` wrote and show what it would change; with --execute, change it
///
/// Every batch is one transaction, and all of its rows or none are changed. The first guard that
/// refuses stops it. What was applied is recorded in the folder, so that after an interruption the
/// next call continues behind it.
#[derive(Args, Clone, Debug)]
pub(crate) struct ApplyArgs {
    /// The spec file
    #[arg(value_name = "SPEC", value_parser = path())]
    spec: PathBuf,

    /// The folder that `repair` wrote
    #[arg(value_name = "DIR", value_parser = path())]
    folder: PathBuf,

    /// Change the database
    #[arg(long)]
    execute: bool,

    /// Set a parameter of the spec (repeatable)
    #[arg(long = "param", value_name = "NAME=VALUE", env = "PGRECONCILE_PARAM")]
    pub(crate) params: Vec<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// How often the progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Verifies the folder; with `--execute` runs the scripts.
pub(crate) async fn run(args: &ApplyArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let (requests, stop) = watch::channel(Stop::No);
    tokio::select! {
        () = signals::relay(&requests) => Ok(Exit::Incomplete),
        exit = apply(args, ui, stop) => exit,
    }
}

async fn apply(args: &ApplyArgs, ui: &Ui, stop: watch::Receiver<Stop>) -> anyhow::Result<Exit> {
    let of_spec = args::SpecArgs {
        specs: vec![args.spec.clone()],
        params: args.params.clone(),
        mappings: Vec::new(),
    };
    let Some(specs) = specs::read(&of_spec, ui) else { return Ok(Exit::Trouble) };
    if specs.len() != 1 {
        ui.error("a repair is applied for one spec at a time", Some("Name one spec file."));
        return Ok(Exit::Trouble);
    }
    let options = |spec: &crate::spec::Spec| Options::of(&spec.compare);
    let Some(prepared) = specs::prepare_all(specs, options, ui).await else {
        return Ok(Exit::Trouble);
    };
    let Some((prepared, _)) = prepared.first() else { return Ok(Exit::Trouble) };
    let folder = match run::verify_folder(prepared, &args.folder).await {
        Ok(folder) => folder,
        Err(problem) => {
            ui.problem(&problem);
            return Ok(Exit::Trouble);
        }
    };
    ui.restarted(folder.restarted.as_slice(), "after the repair was made");
    if let Some(lacks) = &folder.lacks {
        if args.execute {
            ui.error(&lacks.message, lacks.hint.as_deref());
            return Ok(Exit::Trouble);
        }
        ui.warning(&lacks.message, lacks.hint.as_deref());
    }
    let journal = match folder.journal() {
        Ok(journal) => journal,
        Err(problem) => {
            ui.problem(&problem);
            return Ok(Exit::Trouble);
        }
    };
    if !args.execute {
        describe(folder.manifest(), &journal, ui).context(STDOUT)?;
        return Ok(Exit::Clean);
    }
    if folder.manifest().parts.is_empty() {
        if !ui.quiet {
            // If stdout is gone, there is nowhere to report it.
            let _ = writeln!(io::stdout(), "{EMPTY}");
        }
        return Ok(Exit::Clean);
    }
    Ok(execute(&folder, journal, &stop, ui).await)
}

const EMPTY: &str = "the repair is empty: there is nothing to apply";

/// Writes what the scripts would do.
fn describe(manifest: &Manifest, journal: &Journal, ui: &Ui) -> io::Result<()> {
    if ui.quiet {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    let mut line = |text: &str| writeln!(out, "{}", printable(text));
    line(&format!(
        "made from run {} with --authority {}; for database {}, valid until {}",
        manifest.run, manifest.authority, manifest.written.database, manifest.expires_at
    ))?;
    write_parts(manifest, &mut line)?;
    if let Some((part, batch)) = journal.through {
        let of = manifest.parts.get(part - 1).map_or("", |part| &part.script.file);
        let all = rows(manifest.parts.iter().map(|part| part.rows).sum());
        line(&format!("applied before: {} of {all}, through batch {batch} of {of}", journal.rows))?;
    }
    line(match manifest.parts.is_empty() {
        true => EMPTY,
        false => "every checksum is correct; nothing was changed: add --execute to apply it",
    })
}

/// Warns of pairs in which rows still differ, and says which of them the server computes.
fn warn_of_differing(differing: &DifferingRows, manifest: &Manifest, ui: &Ui) {
    for ((mapping, pair), count) in differing {
        let mut stages = manifest.parts.iter().flat_map(|part| &part.stages);
        let computed = stages.any(|s| s.mapping == *mapping && s.differ.contains_key(pair));
        let (verb, side) = (if *count == 1 { "differs" } else { "differ" }, &manifest.written.side);
        let message = format!("mapping \"{mapping}\": {} {verb} in pair \"{pair}\"", rows(*count));
        match computed {
            true => ui.warning(
                &format!("{message}, which the {side} computes from other columns"),
                Some("Give both sides one expression, or ignore the column in the spec."),
            ),
            false => ui.warning(&message, None),
        }
    }
}

/// Runs the scripts.
async fn execute(
    folder: &VerifiedFolder<'_>,
    journal: Journal,
    stop: &watch::Receiver<Stop>,
    ui: &Ui,
) -> Exit {
    let mut shown_at = Instant::now();
    let show = |progress: ApplyProgress<'_>| match progress {
        ApplyProgress::Rows(part, so_far) => {
            if shown_at.elapsed() >= PROGRESS_INTERVAL {
                shown_at = Instant::now();
                let file = &part.script.file;
                ui.status(&format!("{file}: {so_far} of {}", rows(part.rows)));
            }
        }
        ApplyProgress::Throttled(why) => ui.status(&format!("waiting: {}", printable(why))),
        ApplyProgress::Part(part, before) => {
            let of_them =
                if before > 0 { format!(", {before} of them before") } else { String::new() };
            ui.status(&format!("{}: applied, {}{of_them}", part.script.file, rows(part.rows)));
        }
        ApplyProgress::JournalFailed(problem) => ui.problem_warning(problem),
        ApplyProgress::Verifying => ui.status("reading every key again on both sides"),
    };
    match folder.apply(journal, stop, show).await {
        ApplyOutcome::Done { keys, agree, differing, skipped } => {
            if !ui.quiet {
                // If stdout is gone, the exit code still shows the outcome.
                let _ =
                    writeln!(io::stdout(), "applied: {}, of which {agree} agree now", rows(keys));
            }
            if agree == keys {
                return Exit::Clean;
            }
            warn_of_differing(&differing, folder.manifest(), ui);
            if skipped > 0 {
                let batches =
                    if skipped == 1 { "1 batch was" } else { &format!("{skipped} batches were") };
                ui.warning(
                    &format!("{batches} applied before and not again"),
                    Some(&format!(
                        "Keys that differ may have been changed or undone since: compare again and make a new repair, or remove {}, and every batch runs again under its guards.",
                        Journal::FILE
                    )),
                );
            }
            Exit::Diverged
        }
        ApplyOutcome::Refused(problem) => {
            ui.problem(&problem);
            Exit::Diverged
        }
        ApplyOutcome::Failed(problem) => {
            ui.problem(&problem);
            Exit::Trouble
        }
        ApplyOutcome::Stopped => {
            ui.error("interrupted between two batches", Some("Start it again to continue."));
            Exit::Incomplete
        }
    }
}
