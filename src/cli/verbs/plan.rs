//! `plan`: shows what `compare` would do.

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;

use crate::cli::args::{CommonArgs, ResultArgs, ResultFormat, SpecArgs, parse_strategy};
use crate::cli::exit::{Exit, STDOUT};
use crate::cli::specs;
use crate::cli::ui::Ui;
use crate::report::{PlanRecord, write_plan, write_pretty_json};
use crate::run::{Options, Prepared};
use crate::spec::StrategyChoice;

/// Show what a compare would do: pairs, key, strategy with the reason, chunks, rows
#[derive(Args, Clone, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) specs: SpecArgs,

    /// How rows are compared: auto, digest or stream
    #[arg(long, value_name = "NAME", env = "PGRECONCILE_STRATEGY", value_parser = parse_strategy)]
    strategy: Option<StrategyChoice>,

    /// Rows of a chunk, instead of a time
    #[arg(long, value_name = "N", env = "PGRECONCILE_CHUNK_ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    chunk_rows: Option<u64>,

    #[command(flatten)]
    result: ResultArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Plans every spec and shows the plans.
pub(crate) async fn run(args: &PlanArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let Some(specs) = specs::read(&args.specs, ui) else { return Ok(Exit::Trouble) };
    let options = |spec: &crate::spec::Spec| Options {
        mappings: args.specs.mappings.clone(),
        chunk_rows: args.chunk_rows,
        strategy: args.strategy.unwrap_or(spec.compare.strategy),
        ..Options::of(&spec.compare)
    };
    let Some(prepared) = specs::prepare_all(specs, options, ui).await else {
        return Ok(Exit::Trouble);
    };
    show(args, ui, &prepared).context(STDOUT)?;
    Ok(Exit::Clean)
}

fn show(args: &PlanArgs, ui: &Ui, prepared: &[(Prepared, Options)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let record = |(prepared, _): &(Prepared, Options)| {
        PlanRecord::new(&prepared.spec.name, prepared.servers.as_ref(), &prepared.plans)
    };
    let records: Vec<PlanRecord> = prepared.iter().map(record).collect();
    match (args.result.format, records.as_slice()) {
        (ResultFormat::Terminal, records) if !ui.quiet => {
            records.iter().try_for_each(|record| write_plan(&mut out, record, ui.width()))?;
        }
        (ResultFormat::Terminal, _) => {}
        (ResultFormat::Json, [record]) => write_pretty_json(&mut out, record)?,
        (ResultFormat::Json, records) => write_pretty_json(&mut out, records)?,
    }
    if args.result.format == ResultFormat::Json {
        out.write_all(b"\n")?;
    }
    out.flush()
}
