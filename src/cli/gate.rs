//! `gate`: may reads be flipped?

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::args::{self, CommonArgs, path};
use super::exit::Exit;
use super::ledgers::{past, under_way, unusable};
use super::ui::Ui;
use super::{redact_key, specs};
use crate::finding::PastRun;
use crate::gate::{
    self, CatalogChange, Clocks, Gate as Judgement, GateInput, GateMapping, GateRun, GateVerdict,
    RunEnd, Sequence,
};
use crate::ledger::{Cipher, Covered, Location, Place, Retold, Store};
use crate::report::{GateRecord, write_gate, write_json};
use crate::row::VerifiedBy;
use crate::run::{self, Options, Prepared, Trouble};
use crate::schema::{BySide, Side};
use crate::spec::{Diagnostic, Spec};

/// Say whether reads may be flipped: open, or closed with every reason
///
/// It judges what the ledger remembers of the runs of this spec with these parameters, asks both
/// catalogs whether they still are what was compared, and the target whether its sequences are ahead
/// of its keys. No row is compared; `[gate]` of the spec says what must hold.
#[derive(Args, Clone, Debug)]
pub(super) struct GateArgs {
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
    pub(super) common: CommonArgs,
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
pub(super) async fn run(args: &GateArgs, ui: &Ui) -> Exit {
    let Some(spec) = read(args, ui) else { return Exit::Trouble };
    let Some(ledger) = open(args, &spec, ui).await else { return Exit::Trouble };
    let servers = Box::pin(ask_servers(&spec, &ledger, ui)).await;
    let Some(servers) = servers else { return Exit::Trouble };
    let mut case = match ledger.case(&spec, servers.now.clone()).await {
        Ok(case) => case,
        Err(why) => {
            ledger.unusable(&why, ui);
            return Exit::Trouble;
        }
    };
    case.groups.clone_from(&args.groups);
    case.groups.sort();
    case.groups.dedup();
    if let Err(why) = servers.add_to(&mut case, &ledger).await {
        ledger.unusable(&why, ui);
        return Exit::Trouble;
    }
    let judgement = gate::judge(&case);
    match show(args, ui, &spec, &case, &judgement) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            ui.error(&format!("stdout cannot be written: {error}"), None);
            Exit::Trouble
        }
        _ => match judgement.answer() {
            GateVerdict::Open => Exit::Clean,
            GateVerdict::Closed => Exit::Diverged,
        },
    }
}

/// The spec, if it is one, and its groups can be told apart.
fn read(args: &GateArgs, ui: &Ui) -> Option<Spec> {
    let of_spec = args::SpecArgs {
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

/// The ledger that a judgement rests on.
struct Ledger {
    store: Store,
    location: Option<Location>,
    place: Place,
}

/// Opens the ledger of the spec. `None` if that fails, which has been said.
async fn open(args: &GateArgs, spec: &Spec, ui: &Ui) -> Option<Ledger> {
    let place = args.common.ledger();
    let store = past(&place, &spec.text.path, &spec.name, ui).await?;
    let location = place.of(&spec.text.path, &spec.name);
    Some(Ledger { store, location, place })
}

/// Whether a run is one of the spec as it is now, with these parameters. What a damaged one was of is not
/// known.
fn is_of_scope(run: &PastRun, scope: &str) -> bool {
    run.scope == scope || run.damaged
}

impl Ledger {
    fn unusable(&self, why: &str, ui: &Ui) {
        ui.error(&format!("{}: {why}", self.store), self.location.as_ref().map(unusable));
    }

    /// The runs of the spec, the oldest first.
    async fn runs(&self, spec: &Spec) -> Result<Vec<PastRun>, String> {
        self.store.past_runs(&spec.name).await.map_err(|error| error.to_string())
    }

    /// Whether the spec as it is now was run with these parameters.
    async fn has_run(&self, spec: &Spec) -> bool {
        let (scope, runs) = (spec.scope(), self.runs(spec).await.unwrap_or_default());
        runs.iter().any(|run| is_of_scope(run, &scope))
    }

    /// What the ledger remembers of the spec, as far as a judgement needs it.
    async fn case(&self, spec: &Spec, now: Clocks) -> Result<GateInput, String> {
        let scope = spec.scope();
        let all = self.runs(spec).await?;
        let runs = self.judged(spec, &all, &now).await?;
        let Verified { shares: verified, by: verified_by, unreadable } =
            self.verified(spec, &runs, &now).await?;
        let comparisons = || all.iter().rev().filter(|run| run.verb == "compare" && !run.damaged);
        let changed = comparisons().next().filter(|run| run.spec_hash != spec.hash);
        let others = |run: &&PastRun| run.spec_hash == spec.hash && run.scope != scope;
        Ok(GateInput {
            policy: spec.gate,
            mappings: GateMapping::of(spec, now.machine),
            now,
            groups: Vec::new(),
            verified,
            verified_by,
            unreadable,
            runs,
            other_spec: changed.map(|run| run.run.clone()),
            other_params: comparisons().filter(others).count(),
            changes: Vec::new(),
            sequences: Vec::new(),
        })
    }

    /// As many of the newest runs as a judgement looks at, the newest first.
    async fn judged(
        &self,
        spec: &Spec,
        all: &[PastRun],
        now: &Clocks,
    ) -> Result<Vec<GateRun>, String> {
        let newest = all.last().map(|run| run.run.as_str());
        let scope = spec.scope();
        let mut known = Vec::new();
        for past in all.iter().rev().filter(|run| is_of_scope(run, &scope)) {
            let last_open = past.summary.is_none() && newest == Some(past.run.as_str());
            let under_way =
                last_open && under_way(&self.place, &spec.text.path, &spec.name, &self.store).await;
            known.push(GateRun::new(past, under_way)?);
        }
        let mut judged = Vec::new();
        while !known.is_empty() {
            let in_window = |run: &GateRun| run.ended_within_window(now, &spec.gate);
            if gate::enough(spec, &judged, now, known.iter().any(in_window)) {
                break;
            }
            let mut run = known.remove(0);
            self.complete(&mut run, spec).await?;
            judged.push(run);
        }
        Ok(judged)
    }

    /// Adds to a run what happened in it.
    async fn complete(&self, run: &mut GateRun, spec: &Spec) -> Result<(), String> {
        let id = run.run.clone();
        match run.end {
            RunEnd::Over(_) => {
                let told = self.store.retell(&spec.name, Some(&id), |event| run.hear(event));
                match told.await.map_err(|error| error.to_string())? {
                    Retold::Told => Ok(()),
                    Retold::Damaged(_) => {
                        run.end = RunEnd::Damaged;
                        Ok(())
                    }
                    Retold::Unknown | Retold::Unfinished => {
                        Err(format!("run {id} cannot be told again"))
                    }
                }
            }
            RunEnd::UnderWay => {
                let so_far = self.store.findings_so_far(&spec.name, &id, |finding| {
                    run.differs_already(finding, spec);
                });
                if !so_far.await.map_err(|error| error.to_string())? {
                    run.end = RunEnd::Damaged;
                }
                Ok(())
            }
            RunEnd::Lost | RunEnd::Damaged => Ok(()),
        }
    }

    /// The share of each mapping that was verified within the window, as the ledger knows it key by key,
    /// or as whole runs say it; and the runs that did. What was verified by a run that is forgotten does
    /// not count: nobody knows what it found.
    async fn verified(
        &self,
        spec: &Spec,
        runs: &[GateRun],
        now: &Clocks,
    ) -> Result<Verified, String> {
        let (mut verified, mut verified_by) = (BTreeMap::new(), BTreeSet::new());
        let mut unreadable = BTreeMap::new();
        let cipher = redact_key::given().map(|secret| Cipher::of_secret(&secret));
        for (mapping, (share, by_one)) in gate::verified(spec, runs, now) {
            let covered = self.store.coverage(&spec.scope(), &mapping, cipher.as_ref()).await;
            let shares = match covered.map_err(|error| error.to_string())? {
                None => {
                    verified_by.extend(by_one.map(|run| run.run.clone()));
                    verified.insert(mapping, share);
                    continue;
                }
                Some(Covered::Known(shares)) => shares,
                Some(hidden @ (Covered::NoSecret | Covered::OtherSecret)) => {
                    let other = matches!(hidden, Covered::OtherSecret);
                    unreadable.insert(mapping.clone(), redact_key::why_unreadable(other));
                    verified.insert(mapping, 0.0);
                    continue;
                }
            };
            let counts = |by: &VerifiedBy| {
                let run = runs.iter().find(|run| run.number == by.run);
                run.filter(|run| run.has_verified(now, &spec.gate))
            };
            verified.insert(mapping, shares.share(|by| counts(by).is_some()));
            verified_by
                .extend(shares.runs().into_iter().filter_map(counts).map(|run| run.run.clone()));
        }
        Ok(Verified { shares: verified, by: verified_by, unreadable })
    }
}

/// What was verified within the window.
struct Verified {
    /// The share of each mapping.
    shares: BTreeMap<String, f64>,
    /// The runs that verified it.
    by: BTreeSet<String>,
    /// Mappings whose bounds do not decrypt, with the reason.
    unreadable: BTreeMap<String, String>,
}

/// What both servers say.
struct Servers {
    /// The clocks.
    now: Clocks,
    /// The plans that a run would have; or what has changed, of a spec that fits the tables no more.
    prepared: Result<Prepared, Vec<CatalogChange>>,
    /// The target's sequences.
    sequences: Vec<Sequence>,
}

/// Asks both catalogs, the clocks and the target's sequences. A spec that could be run once and cannot any
/// more has tables that have changed; everything else that goes wrong is trouble, and has been said.
async fn ask_servers(spec: &Spec, ledger: &Ledger, ui: &Ui) -> Option<Servers> {
    let prepared = match run::prepare(spec.clone(), &Options::of(&spec.compare)).await {
        Ok(prepared) => prepared,
        Err(Trouble::Spec(problems))
            if !of_connection(spec, &problems) && ledger.has_run(spec).await =>
        {
            ui.diagnostics(&spec.text, &problems);
            let errors = problems.iter().filter(|problem| problem.is_error());
            let changes = errors.map(|problem| CatalogChange::unfit(&problem.message)).collect();
            let now = Clocks { machine: Timestamp::now(), servers: BySide::default() };
            return Some(Servers { now, prepared: Err(changes), sequences: Vec::new() });
        }
        Err(trouble) => {
            ui.trouble(&spec.text, &trouble);
            return None;
        }
    };
    ui.spec_warnings(&prepared.spec, &prepared.warnings);
    let told = match run::sequences(&prepared).await {
        Ok(sequences) => {
            run::clocks(&prepared).await.map(|now| (sequences, now)).map_err(|one| vec![one])
        }
        Err(blocked) => Err(blocked),
    };
    match told {
        Ok((sequences, now)) => Some(Servers { now, prepared: Ok(prepared), sequences }),
        Err(blocked) => {
            for why in &blocked {
                ui.error(&why.message, why.hint.as_deref());
            }
            None
        }
    }
}

impl Servers {
    /// Adds to a case what is not as the runs that it rests on saw it.
    async fn add_to(self, case: &mut GateInput, ledger: &Ledger) -> Result<(), String> {
        case.sequences = self.sequences;
        let prepared = match self.prepared {
            Ok(prepared) => prepared,
            Err(changes) => {
                case.changes = changes;
                return Ok(());
            }
        };
        let rests_on: Vec<String> = case.rests_on().iter().map(|run| run.run.clone()).collect();
        for run in rests_on {
            let terms = ledger.store.terms(&run).await.map_err(|error| error.to_string())?;
            for change in run::changes(&prepared, &run, terms.as_deref()) {
                case.change(&run, change);
            }
        }
        Ok(())
    }
}

/// Whether a problem is one of how to connect.
fn of_connection(spec: &Spec, problems: &[Diagnostic]) -> bool {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.into_iter().any(|error| {
        Side::BOTH.into_iter().any(|side| error.span.as_ref() == Some(&spec.sides[side].url.span))
    })
}

fn show(
    args: &GateArgs,
    ui: &Ui,
    spec: &Spec,
    case: &GateInput,
    judgement: &Judgement,
) -> io::Result<()> {
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
