//! `repair`: writes scripts for review from findings.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueEnum};
use tokio::sync::watch;

use crate::cli::args::{CommonArgs, SpecArgs, path};
use crate::cli::exit::{Exit, STDOUT};
use crate::cli::prior_run::PriorRun;
use crate::cli::ui::Ui;
use crate::cli::{signals, specs};
use crate::repair::{BATCH_ROWS, IncompleteMapping, Manifest, Operation, RepairFindings};
use crate::run::{self, Options, RepairOptions, RepairOutcome, Stop};
use crate::schema::Side;
use crate::spec::{parse_duration, printable};

/// Write scripts that make one side equal to the other, each with its undo, for review
///
/// The keys come from an earlier run, of the ledger or of a .jsonl report; the values are read
/// again, and rows that agree by now are left out. Nothing is changed; `psql -f` or
/// `pgreconcile apply` run the scripts after the review.
#[derive(Args, Clone, Debug)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) specs: SpecArgs,

    /// The side that is right
    #[arg(long, value_name = "SIDE")]
    authority: Authority,

    /// The folder to write; it must not exist yet
    #[arg(long, value_name = "DIR", env = "PGRECONCILE_OUT", value_parser = path())]
    out: PathBuf,

    /// A run of the ledger; without it the newest finished one
    #[arg(long, value_name = "ID", env = "PGRECONCILE_RUN")]
    run: Option<String>,

    /// A .jsonl report that `compare --report` wrote, instead of the ledger
    #[arg(long, value_name = "FILE", env = "PGRECONCILE_FROM", value_parser = path())]
    from: Option<PathBuf>,

    /// What may be done: insert, update, delete
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_values = ["insert", "update"])]
    kinds: Vec<KindChoice>,

    /// How long the rows of a range must not change before they are repaired: the time between its
    /// two reads
    #[arg(long, value_name = "TIME", env = "PGRECONCILE_SETTLE", value_parser = parse_duration)]
    settle: Option<Duration>,

    /// Rows of a batch, which is one transaction
    #[arg(long, value_name = "N", env = "PGRECONCILE_BATCH", default_value_t = BATCH_ROWS as u64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    batch: u64,

    /// Whether triggers fire; off also disables audit triggers, and needs a privilege
    #[arg(long, value_name = "WHEN", default_value = "on")]
    triggers: Triggers,

    /// Use no temporary tables: rows are kept in settings of the transaction
    #[arg(long, env = "PGRECONCILE_NO_TEMP", value_parser = BoolishValueParser::new(), action = ArgAction::SetTrue)]
    no_temp: bool,

    /// Let a DELETE or UPDATE reach other tables by ON DELETE or ON UPDATE
    #[arg(long)]
    allow_cascade: bool,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Authority {
    /// The source is right: the target is written.
    Source,
    /// The target is right: the source is written.
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindChoice {
    /// Missing rows.
    Insert,
    /// Rows that differ.
    Update,
    /// Surplus rows.
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Triggers {
    /// As in any other transaction.
    On,
    /// Only those enabled ALWAYS or REPLICA fire; the scripts check foreign keys themselves.
    Off,
}

impl RepairArgs {
    /// Returns the options of the repair.
    fn options(&self) -> RepairOptions {
        let operation = |kind: &KindChoice| match kind {
            KindChoice::Insert => Operation::Insert,
            KindChoice::Update => Operation::Update,
            KindChoice::Delete => Operation::Delete,
        };
        RepairOptions {
            authority: match self.authority {
                Authority::Source => Side::Source,
                Authority::Target => Side::Target,
            },
            kinds: self.kinds.iter().map(operation).collect(),
            settle: self.settle,
            batch: usize::try_from(self.batch).unwrap_or(BATCH_ROWS),
            allow_cascade: self.allow_cascade,
            triggers: self.triggers == Triggers::On,
            no_temp: self.no_temp,
            mappings: self.specs.mappings.clone(),
        }
    }
}

/// Reads the findings, reads the rows again, and writes the folder.
pub(crate) async fn run(args: &RepairArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let prior = PriorRun::of_flags(args.run.as_ref(), args.from.as_ref())
        .map_err(|problem| problem.with_hint("Name a run of the ledger, or a report."))?;
    let Some(specs) = specs::read(&args.specs, ui) else { return Ok(Exit::Trouble) };
    let [spec] = specs.as_slice() else {
        ui.error("a repair is made for one spec at a time", Some("Name one spec file."));
        return Ok(Exit::Trouble);
    };
    let mut findings = RepairFindings::default();
    if !prior.replay(&args.common, spec, ui, &mut |event| findings.add_event(event)).await {
        return Ok(Exit::Trouble);
    }
    // All mappings are planned, since the run has findings of all of them.
    let options = |spec: &crate::spec::Spec| Options::of(&spec.compare);
    let Some(prepared) = specs::prepare_all(specs, options, ui).await else {
        return Ok(Exit::Trouble);
    };
    let Some((prepared, _)) = prepared.first() else { return Ok(Exit::Trouble) };
    if let Some(terms) = prior.terms(&args.common, &prepared.spec, &findings.run, ui).await {
        match run::same_servers(prepared, &findings.run, &terms) {
            Ok(sides) => ui.restarted(&sides, &format!("after run {} began", findings.run)),
            Err(problem) => {
                ui.problem(&problem);
                return Ok(Exit::Trouble);
            }
        }
    }
    let options = args.options();
    let settle = options.settle.unwrap_or(prepared.spec.compare.settle);
    if findings.has_ranges() && !settle.is_zero() {
        ui.status(&format!("rows of a range are read twice, {settle:?} apart"));
    }
    let (requests, mut stop) = watch::channel(Stop::No);
    let made = tokio::select! {
        () = signals::relay(&requests) => return Ok(Exit::Incomplete),
        // A folder that is not complete is removed.
        _ = stop.changed() => {
            ui.error("interrupted: nothing is written", None);
            return Ok(Exit::Incomplete);
        }
        made = Box::pin(run::repair(prepared, &options, findings, &args.out)) => made,
    };
    match made {
        Ok(repaired) => show(args, ui, &repaired),
        Err(problems) => {
            problems.iter().for_each(|problem| ui.problem(problem));
            Ok(Exit::Trouble)
        }
    }
}

fn show(args: &RepairArgs, ui: &Ui, repaired: &RepairOutcome) -> anyhow::Result<Exit> {
    for IncompleteMapping { mapping, reason } in &repaired.manifest.unseen {
        let hint = "Rows that the run did not compare are not repaired: compare again afterwards.";
        ui.warning(&format!("mapping \"{mapping}\": {}", printable(reason)), Some(hint));
    }
    for refused in &repaired.refused {
        ui.warning(&refused.message, refused.hint.as_deref());
    }
    for note in &repaired.notes {
        ui.warning(&printable(note), None);
    }
    write_summary(args, ui, repaired).context(STDOUT)?;
    Ok(Exit::Clean)
}

fn write_summary(args: &RepairArgs, ui: &Ui, repaired: &RepairOutcome) -> io::Result<()> {
    if ui.quiet {
        return Ok(());
    }
    let RepairOutcome { manifest, agreed, .. } = repaired;
    let mut out = io::stdout().lock();
    let mut line = |text: &str| writeln!(out, "{}", printable(text));
    write_parts(manifest, &mut line)?;
    for left_out in &manifest.left_out {
        line(&format!(
            "left out: {}: {} {}",
            left_out.mapping,
            rows(left_out.rows),
            left_out.reason
        ))?;
    }
    line(&format!("already agree: {}", rows(*agreed)))?;
    if manifest.parts.is_empty() {
        let out = args.out.display();
        return line(&format!("nothing to repair: {out} holds a manifest without scripts"));
    }
    let (out, spec) = (args.out.display(), args.specs.specs.first());
    line(&format!("written: {out}, valid until {}", manifest.expires_at))?;
    let spec = spec.map_or(String::new(), |spec| spec.display().to_string());
    line(&format!("next: read the scripts, then pgreconcile apply {spec} {out} --execute"))
}

/// Writes a line for each part: what it does, to how many rows, in which table.
pub(crate) fn write_parts(
    manifest: &Manifest,
    line: &mut impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    for part in &manifest.parts {
        let stages = part.stages.iter().map(|stage| {
            let (kind, rows) = (stage.kind.name(), rows(stage.rows));
            format!("{kind} {rows} of {} table {}", manifest.written.side, stage.table.table)
        });
        let stages = stages.collect::<Vec<_>>().join(", ");
        line(&format!("{}: {stages}", part.script.file))?;
    }
    for stage in manifest.parts.iter().flat_map(|part| &part.stages) {
        for (pair, count) in &stage.differ {
            let (mapping, side) = (&stage.mapping, &manifest.written.side);
            line(&format!(
                "still different: {mapping}: {} in pair \"{pair}\", which the {side} computes from other columns",
                rows(*count)
            ))?;
        }
    }
    Ok(())
}

/// Formats a number of rows: `3 rows`, `1 row`.
pub(crate) fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
