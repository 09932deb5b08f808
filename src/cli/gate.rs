//! `gate`: may reads be flipped?

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::args::{self, Common, path};
use super::exit::Exit;
use super::ledgers::{past, under_way, unusable};
use super::specs;
use super::ui::Ui;
use crate::finding::PastRun;
use crate::gate::{self, Answer, Asked, Case, Change, End, Gate as Judgement, Run};
use crate::ledger::{Retold, Store};
use crate::report::{GateRecord, write_gate, write_json};
use crate::run::{self, Options, Trouble};
use crate::schema::Side;
use crate::spec::{Diagnostic, Spec};

/// Say whether reads may be flipped: open, or closed with every reason
///
/// It judges what the ledger remembers of the runs of this spec with these parameters, asks both
/// catalogs whether they still are what was compared, and the target whether its sequences are ahead
/// of its keys. No row is compared; `[gate]` of the spec says what must hold.
#[derive(Args, Clone, Debug)]
pub(super) struct Gate {
    /// A spec file
    #[arg(value_name = "SPEC", value_parser = path())]
    spec: PathBuf,

    /// Judge these values of `group_by` only, between commas
    #[arg(
        long = "group",
        value_name = "GROUPS",
        env = "PGRECONCILE_GROUP",
        value_delimiter = ',',
        help_heading = "What to judge"
    )]
    groups: Vec<String>,

    /// Set a parameter of the spec (repeatable)
    #[arg(
        long = "param",
        value_name = "NAME=VALUE",
        env = "PGRECONCILE_PARAM",
        help_heading = "What to judge"
    )]
    pub(super) params: Vec<String>,

    /// How the judgement is shown
    #[arg(
        long,
        value_name = "FORMAT",
        env = "PGRECONCILE_FORMAT",
        default_value = "terminal",
        help_heading = "Output"
    )]
    format: GateFormat,

    #[command(flatten)]
    pub(super) common: Common,
}

/// How a judgement is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GateFormat {
    /// A line, and one for every reason.
    Terminal,
    /// One JSON document.
    Json,
}

/// Gathers what is known, judges it, and tells.
pub(super) async fn run(args: &Gate, ui: &Ui) -> Exit {
    let Some(spec) = read(args, ui) else { return Exit::Trouble };
    let now = Timestamp::now();
    let remembered = remembered(args, &spec, now, ui).await;
    let Some((mut case, terms)) = remembered else { return Exit::Trouble };
    if !ask_servers(&spec, &mut case, &terms, ui).await {
        return Exit::Trouble;
    }
    let judgement = gate::judge(&case);
    match show(args, ui, &spec, &case, &judgement) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            ui.error(&format!("stdout cannot be written: {error}"), None);
            Exit::Trouble
        }
        _ => match judgement.answer() {
            Answer::Open => Exit::Clean,
            Answer::Closed => Exit::Diverged,
        },
    }
}

/// The spec, if it is one, and its groups can be told apart.
fn read(args: &Gate, ui: &Ui) -> Option<Spec> {
    let of_spec = args::Specs {
        specs: vec![args.spec.clone()],
        params: args.params.clone(),
        mappings: Vec::new(),
    };
    let mut specs = specs::read(&of_spec, ui)?;
    let Some(spec) = specs.pop().filter(|_| specs.is_empty()) else {
        let message = format!("folder {} holds several specs", args.spec.display());
        ui.error(&message, Some("Name the one whose gate is to be judged."));
        return None;
    };
    if args.groups.iter().any(String::is_empty) {
        ui.error("--group names an empty group", Some("Write --group 1,2,3."));
        return None;
    }
    if !args.groups.is_empty() && spec.mappings.iter().all(|mapping| mapping.group_by.is_none()) {
        let message = format!("spec \"{}\" tells no groups apart", spec.name);
        ui.error(&message, Some("Give its mappings group_by, or leave --group out."));
        return None;
    }
    Some(spec)
}

/// A run, and what it was asked of which databases, if it says so.
type Terms = (String, Option<String>);

/// What the ledger remembers, and what the runs that a judgement rests on were asked of which databases.
/// Nothing if it cannot be had, which has been said.
async fn remembered(
    args: &Gate,
    spec: &Spec,
    now: Timestamp,
    ui: &Ui,
) -> Option<(Case, Vec<Terms>)> {
    let place = args.common.ledger();
    let store = past(&place, &spec.text.path, &spec.name, ui).await?;
    let under_way = async || under_way(&place, &spec.text.path, &spec.name, &store).await;
    match of_ledger(&store, spec, now, under_way).await {
        Ok((case, terms)) => {
            let mut groups = args.groups.clone();
            groups.sort();
            groups.dedup();
            Some((Case { groups, ..case }, terms))
        }
        Err(why) => {
            let message = format!("{store}: {why}");
            let location = place.of(&spec.text.path, &spec.name);
            ui.error(&message, location.as_ref().map(unusable));
            None
        }
    }
}

async fn of_ledger(
    store: &Store,
    spec: &Spec,
    now: Timestamp,
    under_way: impl AsyncFn() -> bool,
) -> Result<(Case, Vec<Terms>), String> {
    let all = store.past_runs(&spec.name).await.map_err(|error| error.to_string())?;
    let scope = spec.scope();
    let comparisons = || all.iter().rev().filter(|run| run.verb == "compare");
    let newest = all.last().map(|run| run.run.as_str());
    let mut runs: Vec<Run> = Vec::new();
    for past in all.iter().rev().filter(|run| run.scope == scope) {
        if gate::enough(spec, &runs, now) {
            break;
        }
        let last_open = past.summary.is_none() && newest == Some(past.run.as_str());
        let mut run = Run::new(past, last_open && under_way().await)?;
        if past.summary.is_some() {
            let told = store.retell(&spec.name, Some(&past.run), |event| run.hear(event));
            match told.await.map_err(|error| error.to_string())? {
                Retold::Told => {}
                Retold::Unknown | Retold::Unfinished => {
                    return Err(format!("run {} cannot be told again", past.run));
                }
            }
        }
        if matches!(run.end, End::UnderWay) {
            let so_far = store.findings_so_far(&spec.name, &past.run, |finding| {
                run.differs_already(finding, spec);
            });
            so_far.await.map_err(|error| error.to_string())?;
        }
        runs.push(run);
    }
    let (verified, verified_by) = verified(store, spec, &runs, now).await?;
    let changed = comparisons().next().filter(|run| run.spec_hash != spec.hash);
    let others = |run: &&PastRun| run.spec_hash == spec.hash && run.scope != scope;
    let case = Case {
        policy: spec.gate,
        now,
        mappings: Asked::of(spec, now),
        groups: Vec::new(),
        verified,
        verified_by,
        runs,
        other_spec: changed.map(|run| run.run.clone()),
        other_params: comparisons().filter(others).count(),
        changes: Vec::new(),
        sequences: Vec::new(),
    };
    let mut terms = Vec::new();
    for run in case.rests_on() {
        let asked = store.terms(&run.run).await.map_err(|error| error.to_string())?;
        terms.push((run.run.clone(), asked));
    }
    Ok((case, terms))
}

/// The share of each mapping that was verified within the window, as the ledger knows it key by key, or
/// as whole runs say it; and the runs that did. What was verified by a run that is forgotten does not
/// count: nobody knows what it found.
async fn verified(
    store: &Store,
    spec: &Spec,
    runs: &[Run],
    now: Timestamp,
) -> Result<(BTreeMap<String, f64>, BTreeSet<String>), String> {
    let mut verified = gate::verified(spec, runs, now);
    let mut verified_by = BTreeSet::new();
    // What was verified is known to the second, and never said to be later than it is.
    let up = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    let begin = gate::begin_of_window(&spec.gate, now).round(up);
    let begin = begin.map_err(|error| error.to_string())?.to_string();
    for (mapping, share) in &mut verified {
        let coverage = store.coverage(&spec.scope(), mapping).await;
        let Some(coverage) = coverage.map_err(|error| error.to_string())? else { continue };
        let by = |moment: &str| {
            let moment: Option<Timestamp> = moment.parse().ok();
            // Of two that began in one second the later has looked again.
            runs.iter().find(|run| moment.is_some_and(|moment| run.verified_at(moment)))
        };
        *share = coverage.share(|moment| moment >= begin.as_str() && by(moment).is_some());
        let moments = coverage.moments().into_iter().filter(|moment| *moment >= begin.as_str());
        verified_by.extend(moments.filter_map(by).map(|run| run.run.clone()));
    }
    Ok((verified, verified_by))
}

/// Asks both catalogs and the target's sequences. A spec that could be run once and cannot any more has
/// tables that have changed; everything else that goes wrong is trouble, and has been said.
async fn ask_servers(spec: &Spec, case: &mut Case, terms: &[Terms], ui: &Ui) -> bool {
    let prepared = match run::prepare(spec.clone(), &Options::of(&spec.compare)).await {
        Ok(prepared) => prepared,
        Err(Trouble::Spec(problems))
            if !case.runs.is_empty() && !of_connection(spec, &problems) =>
        {
            ui.diagnostics(&spec.text, &problems);
            let errors = problems.iter().filter(|problem| problem.is_error());
            case.changes = errors.map(|problem| Change::unfit(&problem.message)).collect();
            return true;
        }
        Err(trouble) => {
            ui.trouble(&spec.text, &trouble);
            return false;
        }
    };
    ui.spec_warnings(&prepared.spec, &prepared.warnings);
    for (run, terms) in terms {
        for change in run::changes(&prepared, run, terms.as_deref()) {
            case.change(run, change);
        }
    }
    match run::sequences(&prepared).await {
        Ok(sequences) => {
            case.sequences = sequences;
            true
        }
        Err(blocked) => {
            for why in &blocked {
                ui.error(&why.message, why.hint.as_deref());
            }
            false
        }
    }
}

/// Whether a problem is one of how to connect.
fn of_connection(spec: &Spec, problems: &[Diagnostic]) -> bool {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.into_iter().any(|error| {
        Side::BOTH.into_iter().any(|side| error.span.as_ref() == Some(&spec.sides[side].url.span))
    })
}

fn show(args: &Gate, ui: &Ui, spec: &Spec, case: &Case, judgement: &Judgement) -> io::Result<()> {
    let record = GateRecord::new(spec, case, judgement);
    let mut out = io::stdout().lock();
    match args.format {
        GateFormat::Terminal if ui.quiet => {}
        GateFormat::Terminal => write_gate(&mut out, &record)?,
        GateFormat::Json => {
            write_json(&mut out, &record)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}
