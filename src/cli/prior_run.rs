//! A prior run, replayed for a verb that works on its findings: from the ledger or from a report.
//!
//! Only a finished run of the same spec and parameters is accepted. If replaying fails, the events
//! until then count for nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::args::CommonArgs;
use super::ledgers::open_to_read;
use super::ui::Ui;
use crate::event::Event;
use crate::finding::RunRecord;
use crate::ledger::{self, ReplayOutcome, Store};
use crate::problem::Problem;
use crate::spec::Spec;

/// Where a prior run's findings come from.
pub(super) enum PriorRun {
    /// The ledger: this run, or the newest finished one.
    Ledger(Option<String>),
    /// A `.jsonl` report.
    File(PathBuf),
}

impl PriorRun {
    /// Returns the prior run that the flags name.
    ///
    /// # Errors
    /// When both are given.
    pub(super) fn of_flags(
        run: Option<&String>,
        from: Option<&PathBuf>,
    ) -> Result<PriorRun, Problem> {
        match (run, from) {
            (Some(_), Some(_)) => Err(Problem::new("--run and --from exclude each other")),
            (run, None) => Ok(PriorRun::Ledger(run.cloned())),
            (None, Some(file)) => Ok(PriorRun::File(file.clone())),
        }
    }

    /// Reads what the run recorded of its servers. Returns `None` for a report, which has no such
    /// record.
    pub(super) async fn terms(
        &self,
        common: &CommonArgs,
        spec: &Spec,
        run: &str,
        ui: &Ui,
    ) -> Option<String> {
        let PriorRun::Ledger(_) = self else { return None };
        let store = open_to_read(&common.ledger(), &spec.text.path, &spec.name, ui).await?;
        store.read_run_fingerprint(run).await.ok().flatten()
    }

    /// Passes the run's events to `observe`. Returns false if that fails; the error has been shown.
    pub(super) async fn replay(
        &self,
        common: &CommonArgs,
        spec: &Spec,
        ui: &Ui,
        observe: &mut dyn FnMut(Event),
    ) -> bool {
        let problem = match self {
            PriorRun::Ledger(run) => {
                let store = open_to_read(&common.ledger(), &spec.text.path, &spec.name, ui).await;
                let Some(store) = store else { return false };
                let Err(problem) = replay_ledger(&store, run.as_deref(), spec, observe).await
                else {
                    return true;
                };
                problem.context(store.to_string())
            }
            PriorRun::File(file) => {
                let Err(problem) = replay_file(file, spec, observe) else { return true };
                problem
                    .context(format!("findings {} cannot be used", file.display()))
                    .with_hint("Write a new file: compare with --report findings.jsonl.")
            }
        };
        ui.problem(&problem);
        false
    }
}

/// Returns why a run is not of this spec as it is now, or `None` if it is.
fn find_mismatch(run: &RunRecord, spec: &Spec) -> Option<&'static str> {
    if run.spec_hash != spec.hash {
        return Some("the spec was changed since that run");
    }
    (run.scope != spec.scope()).then_some("that run had other parameters")
}

async fn replay_ledger(
    store: &Store,
    run: Option<&str>,
    spec: &Spec,
    observe: &mut dyn FnMut(Event),
) -> Result<(), Problem> {
    let mut mismatch = None;
    let result = store.replay(&spec.name, run, |event| {
        if let Event::RunStarted(record) = &event {
            mismatch = find_mismatch(record, spec);
        }
        observe(event);
    });
    let result = result.await;
    let list = "pgreconcile history SPEC --format json lists the runs.";
    let (problem, hint) = match (result, mismatch) {
        (Ok(ReplayOutcome::Replayed), None) => return Ok(()),
        (Ok(ReplayOutcome::Replayed), Some(why)) => {
            (Problem::new(why), "Compare again, or name a run of these with --run and --param.")
        }
        (Ok(ReplayOutcome::Damaged(run)), _) => (
            ledger::damaged_run(&run),
            "Compare again, or name another run; pgreconcile history SPEC lists them.",
        ),
        (Ok(ReplayOutcome::Unfinished), _) => {
            (Problem::new("that run has not finished"), "Compare again, or name a finished run.")
        }
        (Ok(ReplayOutcome::Unknown), _) => {
            let name = run.map(|run| format!(": {run}")).unwrap_or_default();
            (Problem::new(format!("there is no such finished run{name}")), list)
        }
        (Err(error), _) => (error, list),
    };
    Err(problem.with_hint(hint))
}

/// Replays a report, which may hold runs of other specs as well.
fn replay_file(file: &Path, spec: &Spec, observe: &mut dyn FnMut(Event)) -> Result<(), Problem> {
    let file = File::open(file).map_err(unreadable)?;
    replay_lines(BufReader::new(file).lines(), spec, observe)
}

fn unreadable(error: io::Error) -> Problem {
    Problem::new(error.to_string())
}

/// The fields that every record has.
#[derive(Deserialize)]
struct LineHead {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
}

fn replay_lines(
    lines: impl Iterator<Item = io::Result<String>>,
    spec: &Spec,
    observe: &mut dyn FnMut(Event),
) -> Result<(), Problem> {
    /// Parses the record of a line.
    fn parse<R: DeserializeOwned>((at, text): (usize, &str)) -> Result<R, Problem> {
        serde_json::from_str(text).map_err(|_| {
            let at = at + 1;
            Problem::new(format!("line {at} is no record of a run: it was cut off, or edited"))
        })
    }
    let fail = |message: &str| Err(Problem::new(message));
    // Whether the current run is of this spec, whether one was found, whether one has no end yet.
    let (mut is_ours, mut is_found, mut is_open) = (false, false, false);
    for (at, line) in lines.enumerate() {
        let text = line.map_err(unreadable)?;
        let line = (at, text.as_str());
        let LineHead { kind, version } = parse(line)?;
        if version != 1 {
            return fail(&format!("line {} is not of version 1 of the format", at + 1));
        }
        match kind.as_str() {
            "run" if is_open => return fail("a run in it has no end: it was cut off"),
            "run" => {
                let run: RunRecord = parse(line)?;
                (is_ours, is_open) = (run.spec == spec.name, true);
                if is_ours && is_found {
                    return fail("it holds two runs of this spec");
                }
                if is_ours {
                    is_found = true;
                    if let Some(why) = find_mismatch(&run, spec) {
                        return fail(why);
                    }
                    observe(Event::RunStarted(run));
                }
            }
            "summary" => {
                if is_ours {
                    observe(Event::RunFinished(parse(line)?));
                }
                (is_ours, is_open) = (false, false);
            }
            "finding" | "undecided" | "mapping" if !is_ours => {}
            "finding" => observe(Event::Finding { mapping: 0, finding: parse(line)? }),
            "undecided" => observe(Event::Undecided(parse(line)?)),
            "mapping" => observe(Event::MappingFinished { mapping: 0, record: parse(line)? }),
            _ => return fail(&format!("line {} is of an unknown type", at + 1)),
        }
    }
    match (is_found, is_open) {
        (_, true) => fail("it has no summary: it was cut off"),
        (false, _) => fail(&format!("it holds no run of spec \"{}\"", spec.name)),
        (true, false) => Ok(()),
    }
}
