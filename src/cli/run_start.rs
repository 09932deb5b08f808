//! How a run of `compare` starts: as a new run, a resumed one, a part of one that many processes
//! share, or a slice.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::args::CommonArgs;
use super::exit::Exit;
use super::ledgers::{Ledgers, warn_if_incomplete};
use super::prior_run::PriorRun;
use super::ui::Ui;
use crate::event::{Event, Observer};
use crate::ledger::{self, Recorder, Resumable, ShardCounts};
use crate::run::{self, Options, PriorResults, RunStart, ShareOutcome, Stop};
use crate::spec::Spec;

const RESUMES: &str = "--resume needs a ledger that can be read and written.";

const SAME_SECRET: &str =
    "Run and resume with the same PGRECONCILE_REDACT_KEY to keep what was compared.";

/// Reads a prior run's findings. Returns `None` if that fails; the error has been shown.
pub(super) async fn read_prior_findings(
    prior: &PriorRun,
    common: &CommonArgs,
    spec: &Spec,
    ui: &Ui,
) -> Option<PriorResults> {
    let mut findings = PriorResults::default();
    let mut add = |event| {
        if let Event::Finding { finding, .. } = event {
            findings.add(&finding);
        }
    };
    let is_complete = prior.replay(common, spec, ui, &mut add).await;
    is_complete.then_some(findings)
}

/// Reads the findings of a spec that are still open. Returns `None` if that fails; the error has
/// been shown.
pub(super) async fn read_open_findings(
    spec: &Spec,
    ledgers: &mut Ledgers,
    ui: &Ui,
) -> Option<PriorResults> {
    let hint =
        "--slice needs a ledger that can be read and written: it stores what was verified when.";
    let cause = ledgers.cause(&spec.name);
    let Some(recorder) = ledgers.recorder(&spec.name) else {
        let message = format!("no ledger has what of \"{}\" was verified{cause}", spec.name);
        ui.error(&message, Some(hint));
        return None;
    };
    if !check_writable(recorder, hint, ui) {
        return None;
    }
    let mut findings = PriorResults::default();
    let add = |finding| findings.add(&finding);
    let result = recorder.store().read_open_findings(&spec.name, &spec.scope(), add).await;
    if let Err(error) = result {
        ui.error(&format!("{recorder}: {error}"), Some(hint));
        return None;
    }
    Some(findings)
}

/// Returns whether a ledger can be written, and shows an error if not: without that, the next call
/// would start where this one does.
fn check_writable(recorder: &Recorder, hint: &str, ui: &Ui) -> bool {
    let newer = recorder.store().is_newer();
    if newer {
        let message = format!("{recorder}: a newer version of this program has written it");
        ui.error(&message, Some(hint));
    }
    !newer
}

/// Takes part in a run that other processes share. `Err` is the exit of a process that does not
/// report the run.
pub(super) async fn share(
    (run_id, process, again): (&str, &str, &str),
    prepared: run::Prepared,
    options: Options,
    ledgers: &mut Ledgers,
    observer: &mut dyn Observer,
    stop: watch::Receiver<Stop>,
    ui: &Ui,
) -> Result<Exit, Exit> {
    let name = &prepared.spec.name;
    let mut recorder = ledgers.take(name);
    let cause = ledgers.cause(name);
    if !cause.is_empty() {
        let hint = "A run cannot be shared without its ledger.";
        ui.error(&format!("run {run_id} cannot be shared{cause}"), Some(hint));
        return Err(Exit::Trouble);
    }
    let observers = run::RunObservers { recorder: recorder.as_mut(), observer };
    let part = run::share(prepared, (run_id.to_owned(), process), options, observers, stop).await;
    if let Some(recorder) = &recorder {
        warn_if_incomplete(recorder, ui);
    }
    Err(match part {
        Ok(ShareOutcome::Completed(summary)) => return Ok(summary.verdict.into()),
        Ok(ShareOutcome::Elsewhere(summary)) => {
            let verdict = summary.verdict.name();
            ui.status(&format!("run {run_id} is over: {verdict}; another process has reported it"));
            summary.verdict.into()
        }
        Ok(ShareOutcome::Left(left)) => {
            let left = left.map_or_else(String::new, |ShardCounts { open, all }| match open {
                0 => ": everything is compared; what differs is still to be rechecked".to_owned(),
                _ => format!(": {open} of {all} shards are still to be compared"),
            });
            ui.status(&format!("run {run_id} is left to the other processes{left}"));
            ui.status(&format!("next: {again}"));
            Exit::Incomplete
        }
        Ok(ShareOutcome::LedgerLost(problem)) => {
            ui.problem(&problem);
            Exit::Incomplete
        }
        Err(problem) => {
            ui.problem(&problem);
            Exit::Trouble
        }
    })
}

/// Parses `--resume`: the id of the run, or empty for the newest; `None` for no. The variable may
/// be yes or no.
pub(super) fn parse_resume(wanted: &str) -> Option<&str> {
    match wanted {
        "false" | "no" | "off" | "0" => None,
        "true" | "yes" | "on" | "1" => Some(""),
        run => Some(run),
    }
}

/// Chooses the run of each spec: a new one, or one to resume. Returns `None` if one cannot be
/// resumed; the error has been shown.
pub(super) async fn choose_runs(
    wanted: Option<&str>,
    prepared: &mut [(run::Prepared, Options)],
    ledgers: &mut Ledgers,
    ui: &Ui,
) -> Option<VecDeque<RunStart>> {
    let mut begins = VecDeque::new();
    for (prepared, options) in prepared {
        let name = prepared.spec.name.clone();
        let (new, cause) = (ledgers.take_run_id(&name), ledgers.cause(&name));
        let Some(recorder) = ledgers.recorder(&name) else {
            if wanted.is_some() {
                let message = format!("no ledger has a run of \"{name}\" to resume{cause}");
                ui.error(&message, Some(RESUMES));
                return None;
            }
            begins.push_back(RunStart::New(new));
            continue;
        };
        if wanted.is_some() && !check_writable(recorder, RESUMES, ui) {
            return None;
        }
        match run::agree(prepared, options, recorder, wanted).await {
            Ok(Resumable::Run(interrupted)) => {
                let run = &interrupted.record;
                match run::same_servers(prepared, &run.run, &interrupted.fingerprint) {
                    Ok(sides) => ui.restarted(&sides, &format!("after run {} began", run.run)),
                    Err(problem) => {
                        ui.problem(&problem);
                        return None;
                    }
                }
                ui.status(&format!("{name}: resuming run {} of {}", run.run, run.started_at));
                for warning in run::read_from_start(prepared, options, &interrupted) {
                    ui.warning(&warning, Some(SAME_SECRET));
                }
                begins.push_back(RunStart::Resumed(interrupted));
            }
            Ok(Resumable::Damaged(run)) => {
                let message = format!("{recorder}: {}", ledger::damaged_run(&run));
                ui.warning(&message, Some("It cannot be resumed; a new run starts."));
                begins.push_back(RunStart::New(new));
            }
            Ok(Resumable::Nothing) => {
                if wanted.is_some() {
                    ui.status(&format!("{name}: no run was interrupted; a new one starts"));
                }
                begins.push_back(RunStart::New(new));
            }
            Err(problem) => {
                ui.problem(&problem);
                return None;
            }
        }
    }
    Some(begins)
}
