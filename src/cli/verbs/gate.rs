//! `gate`: decides whether reads may be flipped.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use crate::cli::args::{self, CommonArgs, ResultArgs, ResultFormat, path};
use crate::cli::exit::{Exit, STDOUT};
use crate::cli::ledgers::{is_running, open_to_read, unreadable_hint};
use crate::cli::ui::Ui;
use crate::cli::{redact_key, specs};
use crate::finding::PastRun;
use crate::gate::{
    self, CatalogChange, Clocks, GateInput, GateMapping, GateRun, GateVerdict, Judgement, RunEnd,
    Sequence,
};
use crate::ledger::{Cipher, CoverageReading, LedgerSetting, Location, ReplayOutcome, Store};
use crate::problem::Problem;
use crate::report::{GateRecord, write_gate, write_json};
use crate::row::VerifiedBy;
use crate::run::{self, Options, Prepared, Trouble};
use crate::schema::{BySide, Side};
use crate::spec::{Diagnostic, Spec};

/// Decide whether reads may be flipped: open, or closed with every reason
///
/// It judges the ledger's runs of this spec with these parameters, and checks that both catalogs
/// are as they were compared, and that the target's sequences are ahead of its keys. No row is
/// compared; `[gate]` of the spec says what must hold.
#[derive(Args, Clone, Debug)]
pub(crate) struct GateArgs {
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
    pub(crate) params: Vec<String>,

    #[command(flatten)]
    result: ResultArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Collects what is known, judges it, and shows the verdict.
pub(crate) async fn run(args: &GateArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let Some(spec) = read_spec(args, ui) else { return Ok(Exit::Trouble) };
    let Some(ledger) = open_ledger(args, &spec, ui).await else { return Ok(Exit::Trouble) };
    let servers = Box::pin(query_servers(&spec, &ledger, ui)).await;
    let Some(servers) = servers else { return Ok(Exit::Trouble) };
    let input = ledger.read_input(&spec, servers.now.clone()).await;
    let mut input = input.map_err(|error| ledger.problem(error))?;
    input.groups.clone_from(&args.groups);
    input.groups.sort();
    input.groups.dedup();
    servers.add_to(&mut input, &ledger).await.map_err(|error| ledger.problem(error))?;
    let judgement = gate::judge(&input);
    match show(args, ui, &spec, &input, &judgement) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context(STDOUT),
        _ => Ok(match judgement.verdict() {
            GateVerdict::Open => Exit::Clean,
            GateVerdict::Closed => Exit::Diverged,
        }),
    }
}

/// Reads the spec. Returns `None` if there is not exactly one or it has no groups to judge; the
/// error has been shown.
fn read_spec(args: &GateArgs, ui: &Ui) -> Option<Spec> {
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
        let message = format!("spec \"{}\" has no groups", spec.name);
        ui.error(&message, Some("Give its mappings group_by, or leave --group out."));
        return None;
    }
    Some(spec)
}

/// The ledger that a judgement is based on.
struct Ledger {
    store: Store,
    location: Option<Location>,
    setting: LedgerSetting,
}

/// Opens the ledger of the spec. Returns `None` if that fails; the error has been shown.
async fn open_ledger(args: &GateArgs, spec: &Spec, ui: &Ui) -> Option<Ledger> {
    let setting = args.common.ledger();
    let store = open_to_read(&setting, &spec.text.path, &spec.name, ui).await?;
    let location = setting.location(&spec.text.path, &spec.name);
    Some(Ledger { store, location, setting })
}

/// Returns whether a run may be of this scope. The scope of a damaged one is not known.
fn is_of_scope(run: &PastRun, scope: &str) -> bool {
    run.scope == scope || run.damaged
}

impl Ledger {
    /// Makes the problem of an error of the ledger.
    fn problem(&self, error: Problem) -> Problem {
        let problem = Problem::new(self.store.to_string()).with_source(error);
        Problem { hint: self.location.as_ref().map(unreadable_hint), ..problem }
    }

    /// Reads the runs of the spec, the oldest first.
    async fn runs(&self, spec: &Spec) -> Result<Vec<PastRun>, Problem> {
        self.store.read_runs(&spec.name).await
    }

    /// Returns whether there is a run of the spec's scope.
    async fn has_run(&self, spec: &Spec) -> bool {
        let (scope, runs) = (spec.scope(), self.runs(spec).await.unwrap_or_default());
        runs.iter().any(|run| is_of_scope(run, &scope))
    }

    /// Reads what a judgement needs from the ledger.
    async fn read_input(&self, spec: &Spec, now: Clocks) -> Result<GateInput, Problem> {
        let scope = spec.scope();
        let all = self.runs(spec).await?;
        let runs = self.judged_runs(spec, &all, &now).await?;
        let VerifiedShares { shares: verified, by: verified_by, unreadable } =
            self.verified(spec, &runs, &now).await?;
        let comparisons = || all.iter().rev().filter(|run| run.verb == "compare" && !run.damaged);
        let changed = comparisons().next().filter(|run| run.spec_hash != spec.hash);
        let others = |run: &&PastRun| run.spec_hash == spec.hash && run.scope != scope;
        Ok(GateInput {
            policy: spec.gate,
            mappings: GateMapping::of_spec(spec, now.machine),
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

    /// Reads as many of the newest runs as a judgement needs, the newest first.
    async fn judged_runs(
        &self,
        spec: &Spec,
        all: &[PastRun],
        now: &Clocks,
    ) -> Result<Vec<GateRun>, Problem> {
        let newest = all.last().map(|run| run.run.as_str());
        let scope = spec.scope();
        let mut known = Vec::new();
        for past in all.iter().rev().filter(|run| is_of_scope(run, &scope)) {
            let last_open = past.summary.is_none() && newest == Some(past.run.as_str());
            let under_way = last_open
                && is_running(&self.setting, &spec.text.path, &spec.name, &self.store).await;
            known.push(GateRun::new(past, under_way)?);
        }
        let mut judged = Vec::new();
        while !known.is_empty() {
            let in_window = |run: &GateRun| run.ended_within_window(now, &spec.gate);
            if gate::is_enough(spec, &judged, now, known.iter().any(in_window)) {
                break;
            }
            let mut run = known.remove(0);
            self.complete(&mut run, spec).await?;
            judged.push(run);
        }
        Ok(judged)
    }

    /// Adds the findings and mapping records to a run.
    async fn complete(&self, run: &mut GateRun, spec: &Spec) -> Result<(), Problem> {
        let id = run.run.clone();
        match run.end {
            RunEnd::Over(_) => {
                let add = |event| run.add_event(event);
                match self.store.replay(&spec.name, Some(&id), add).await? {
                    ReplayOutcome::Replayed => Ok(()),
                    ReplayOutcome::Damaged(_) => {
                        run.end = RunEnd::Damaged;
                        Ok(())
                    }
                    ReplayOutcome::Unknown | ReplayOutcome::Unfinished => {
                        Err(Problem::new(format!("run {id} cannot be read")))
                    }
                }
            }
            RunEnd::UnderWay => {
                let add = |finding| run.add_current_finding(finding, spec);
                if !self.store.read_findings(&spec.name, &id, add).await? {
                    run.end = RunEnd::Damaged;
                }
                Ok(())
            }
            RunEnd::Lost | RunEnd::Damaged => Ok(()),
        }
    }

    /// Returns the share of each mapping that was verified within the window, and the runs that
    /// did: key by key if the ledger has that, otherwise by whole runs. What was verified by a run
    /// that is no longer in the ledger does not count, since its findings are not known.
    async fn verified(
        &self,
        spec: &Spec,
        runs: &[GateRun],
        now: &Clocks,
    ) -> Result<VerifiedShares, Problem> {
        let (mut verified, mut verified_by) = (BTreeMap::new(), BTreeSet::new());
        let mut unreadable = BTreeMap::new();
        let cipher = redact_key::given().map(|secret| Cipher::of_secret(&secret));
        for (mapping, (share, by_one)) in gate::verified_shares(spec, runs, now) {
            let covered =
                self.store.read_coverage(&spec.scope(), &mapping, cipher.as_ref()).await?;
            let shares = match covered {
                None => {
                    verified_by.extend(by_one.map(|run| run.run.clone()));
                    verified.insert(mapping, share);
                    continue;
                }
                Some(CoverageReading::Known(shares)) => shares,
                Some(hidden @ (CoverageReading::NoSecret | CoverageReading::OtherSecret)) => {
                    let other = matches!(hidden, CoverageReading::OtherSecret);
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
        Ok(VerifiedShares { shares: verified, by: verified_by, unreadable })
    }
}

/// What was verified within the window.
struct VerifiedShares {
    /// The share of each mapping.
    shares: BTreeMap<String, f64>,
    /// The runs that verified it.
    by: BTreeSet<String>,
    /// Mappings whose bounds do not decrypt, with the reason.
    unreadable: BTreeMap<String, String>,
}

/// The answers of both servers.
struct ServerState {
    /// The clocks.
    now: Clocks,
    /// The plans that a run would have; or what has changed, if the spec no longer fits the tables.
    prepared: Result<Prepared, Vec<CatalogChange>>,
    /// The target's sequences.
    sequences: Vec<Sequence>,
}

/// Queries both catalogs, the clocks and the target's sequences. If the spec was run before and no
/// longer fits the tables, these have changed. Returns `None` on any other error, which has been
/// shown.
async fn query_servers(spec: &Spec, ledger: &Ledger, ui: &Ui) -> Option<ServerState> {
    let prepared = match run::prepare(spec.clone(), &Options::of(&spec.compare)).await {
        Ok(prepared) => prepared,
        Err(Trouble::Spec(problems))
            if !is_about_connection(spec, &problems) && ledger.has_run(spec).await =>
        {
            ui.diagnostics(&spec.text, &problems);
            let errors = problems.iter().filter(|problem| problem.is_error());
            let changes =
                errors.map(|problem| CatalogChange::of_misfit(&problem.message)).collect();
            let now = Clocks { machine: Timestamp::now(), servers: BySide::default() };
            return Some(ServerState { now, prepared: Err(changes), sequences: Vec::new() });
        }
        Err(trouble) => {
            ui.trouble(&spec.text, &trouble);
            return None;
        }
    };
    ui.spec_warnings(&prepared.spec, &prepared.warnings);
    let answers = match run::sequences(&prepared).await {
        Ok(sequences) => {
            run::clocks(&prepared).await.map(|now| (sequences, now)).map_err(|one| vec![one])
        }
        Err(problems) => Err(problems),
    };
    match answers {
        Ok((sequences, now)) => Some(ServerState { now, prepared: Ok(prepared), sequences }),
        Err(problems) => {
            problems.iter().for_each(|problem| ui.problem(problem));
            None
        }
    }
}

impl ServerState {
    /// Adds the sequences, and what has changed since the runs that the judgement is based on.
    async fn add_to(self, input: &mut GateInput, ledger: &Ledger) -> Result<(), Problem> {
        input.sequences = self.sequences;
        let prepared = match self.prepared {
            Ok(prepared) => prepared,
            Err(changes) => {
                input.changes = changes;
                return Ok(());
            }
        };
        let rests_on: Vec<String> = input.basis().iter().map(|run| run.run.clone()).collect();
        for run in rests_on {
            let terms = ledger.store.read_run_fingerprint(&run).await?;
            for change in run::changes(&prepared, &run, terms.as_deref()) {
                input.add_change(&run, change);
            }
        }
        Ok(())
    }
}

/// Returns whether a problem is about a connection.
fn is_about_connection(spec: &Spec, problems: &[Diagnostic]) -> bool {
    let errors = problems.iter().filter(|problem| problem.is_error());
    errors.into_iter().any(|error| {
        Side::BOTH.into_iter().any(|side| error.span.as_ref() == Some(&spec.sides[side].url.span))
    })
}

fn show(
    args: &GateArgs,
    ui: &Ui,
    spec: &Spec,
    input: &GateInput,
    judgement: &Judgement,
) -> io::Result<()> {
    let record = GateRecord::new(spec, input, judgement);
    let mut out = io::stdout().lock();
    match args.result.format {
        ResultFormat::Terminal if ui.quiet => {}
        ResultFormat::Terminal => write_gate(&mut out, &record)?,
        ResultFormat::Json => {
            write_json(&mut out, &record)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}
