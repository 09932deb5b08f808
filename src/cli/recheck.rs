//! `recheck`: looks again only at the rows that an earlier run found.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::Common;
use super::compare::{self, Compare};
use super::exit::Exit;
use super::ledgers::past;
use super::ui::Ui;
use crate::event::Event;
use crate::finding::{Finding, RunRecord};
use crate::ledger::{Retold, Store};
use crate::run::Memory;
use crate::spec::Spec;

/// Look again only at the rows that an earlier run found
///
/// Its findings come from the ledger, or from a .jsonl report. What has healed since is counted, what
/// still differs is told as by compare, with the same exit codes. Nothing is said of other rows.
#[derive(Args, Clone, Debug)]
#[command(
    about = "Look again only at the rows that an earlier run found",
    long_about = "Look again only at the rows that an earlier run found\n\n\
        Its findings come from the ledger, or from a .jsonl report. What has healed since is \
        counted, what still differs is told as by compare, with the same exit codes. Nothing is \
        said of other rows."
)]
pub(super) struct Recheck {
    /// Which run of the ledger; without it the newest that came to its end
    #[arg(long, value_name = "ID", env = "PGRECONCILE_RUN", help_heading = "Run")]
    run: Option<String>,

    /// A .jsonl report, instead of the ledger
    #[arg(long, value_name = "FILE", env = "PGRECONCILE_FROM", help_heading = "Run")]
    from: Option<PathBuf>,

    #[command(flatten)]
    pub(super) how: Compare,
}

/// Where an earlier run's findings come from.
pub(super) enum Earlier {
    /// The ledger: this run, or the newest that came to its end.
    Ledger(Option<String>),
    /// A `.jsonl` report.
    File(PathBuf),
}

/// Runs one spec.
pub(super) async fn run(args: &Recheck, ui: &Ui) -> Exit {
    let refused = match (&args.run, &args.from, args.how.specs.specs.as_slice()) {
        (Some(_), Some(_), _) => Some("--run and --from exclude each other"),
        (_, _, [_]) if args.how.sample.is_some() => Some("--sample has no meaning here"),
        (_, _, [one]) if !one.is_dir() => None,
        _ => Some("one spec file is rechecked at a time"),
    };
    if let Some(refused) = refused {
        ui.error(refused, Some("pgreconcile recheck SPEC, with --run ID or --from FILE."));
        return Exit::Trouble;
    }
    let earlier = match &args.from {
        Some(file) => Earlier::File(file.clone()),
        None => Earlier::Ledger(args.run.clone()),
    };
    compare::run(&args.how, Some(&earlier), ui).await
}

/// What the earlier run found. Nothing if that cannot be had, which has been said.
pub(super) async fn remember(
    earlier: &Earlier,
    common: &Common,
    spec: &Spec,
    ui: &Ui,
) -> Option<Memory> {
    let (message, hint) = match earlier {
        Earlier::Ledger(run) => {
            let store = past(&common.ledger(), &spec.text.path, &spec.name, ui)?;
            match of_ledger(&store, run.as_deref(), spec).await {
                Ok(memory) => return Some(memory),
                Err(why) => (
                    format!("{store}: {why}"),
                    "pgreconcile history SPEC --format json lists the runs.",
                ),
            }
        }
        Earlier::File(file) => match of_file(file, spec) {
            Ok(memory) => return Some(memory),
            Err(why) => (
                format!("findings {} cannot be used: {why}", file.display()),
                "Write one: compare with --report findings.jsonl.",
            ),
        },
    };
    ui.error(&message, Some(hint));
    None
}

const OTHER: &str = "that run was of another spec or of other parameters";

async fn of_ledger(store: &Store, run: Option<&str>, spec: &Spec) -> Result<Memory, String> {
    let mut memory = Memory::default();
    let mut same = false;
    let told = store.retell(&spec.name, run, |event| match event {
        Event::RunStarted(record) => same = record.scope == spec.scope(),
        Event::Finding { finding, .. } => memory.add(&finding),
        _ => {}
    });
    match told.await.map_err(|error| error.to_string())? {
        Retold::Told if same => Ok(memory),
        Retold::Told => Err(OTHER.to_owned()),
        Retold::Unfinished => Err("that run has not come to its end".to_owned()),
        Retold::Unknown => Err("there is no such finished run".to_owned()),
    }
}

/// Findings of a report, in which there may be runs of other specs as well.
fn of_file(file: &Path, spec: &Spec) -> Result<Memory, String> {
    let lines = BufReader::new(File::open(file).map_err(|error| error.to_string())?).lines();
    read_lines(lines, &spec.name, &spec.scope())
}

fn read_lines(
    lines: impl Iterator<Item = io::Result<String>>,
    name: &str,
    scope: &str,
) -> Result<Memory, String> {
    let mut memory = Memory::default();
    let (mut ours, mut found, mut open) = (false, false, false);
    for (number, line) in lines.enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        let unreadable = |_| format!("line {} is no record of a run", number + 1);
        let record: serde_json::Value = serde_json::from_str(&line).map_err(unreadable)?;
        match record["type"].as_str() {
            Some("run") => {
                let run: RunRecord = serde_json::from_str(&line).map_err(unreadable)?;
                ours = run.spec == name;
                if ours && run.scope != scope {
                    return Err(OTHER.to_owned());
                }
                found |= ours;
                open = true;
            }
            Some("finding") if ours => {
                let finding: Finding = serde_json::from_str(&line).map_err(unreadable)?;
                memory.add(&finding);
            }
            Some("summary") => open = false,
            Some("finding" | "undecided" | "mapping") => {}
            _ => return Err(format!("line {} is no record of a run", number + 1)),
        }
    }
    match (found, open) {
        (_, true) => Err("it is cut off before the run's end".to_owned()),
        (false, _) => Err(format!("it has no run of spec \"{name}\"")),
        (true, false) => Ok(memory),
    }
}
