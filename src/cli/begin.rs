//! Which run a call of `compare` is: a new one, one that goes on, a part of one that many processes
//! share, a slice.

use std::collections::VecDeque;

use tokio::sync::watch;

use super::args::Common;
use super::earlier::Earlier;
use super::exit::Exit;
use super::ledgers::{Ledgers, warn_of_trouble};
use super::ui::Ui;
use crate::event::{Event, Observer};
use crate::ledger::{LedgerError, Left, Recorder, Resumable};
use crate::run::{self, Options, Parted, PriorResults, RunStart, ShareOutcome, Stop};
use crate::spec::Spec;

const RESUMES: &str = "--resume needs a ledger that can be read and written.";

const SAME_SECRET: &str =
    "Run and resume with the same PGRECONCILE_REDACT_KEY to keep what was compared.";

/// What the earlier run found. Nothing if that cannot be had, which has been said.
pub(super) async fn remember(
    earlier: &Earlier,
    common: &Common,
    spec: &Spec,
    ui: &Ui,
) -> Option<PriorResults> {
    let mut memory = PriorResults::default();
    let mut hear = |event| {
        if let Event::Finding { finding, .. } = event {
            memory.add(&finding);
        }
    };
    let told = earlier.tell(common, spec, ui, &mut hear).await;
    told.then_some(memory)
}

/// What runs of a spec have found that is still open. Nothing if that cannot be had, which has been said.
pub(super) async fn still_open(
    spec: &Spec,
    ledgers: &mut Ledgers,
    ui: &Ui,
) -> Option<PriorResults> {
    let hint =
        "--slice needs a ledger that can be read and written: it knows what was verified when.";
    let cause = ledgers.cause(&spec.name);
    let Some(recorder) = ledgers.recorder(&spec.name) else {
        let message = format!("no ledger knows what of \"{}\" was verified{cause}", spec.name);
        ui.error(&message, Some(hint));
        return None;
    };
    if !can_be_written(recorder, hint, ui) {
        return None;
    }
    let mut memory = PriorResults::default();
    let hear = |finding| memory.add(&finding);
    let told = recorder.store().open_findings(&spec.name, &spec.scope(), hear).await;
    if let Err(error) = told {
        ui.error(&format!("{recorder}: {error}"), Some(hint));
        return None;
    }
    Some(memory)
}

/// Whether a ledger can be written; if not, that has been said. The next call would begin where this one
/// does.
fn can_be_written(recorder: &Recorder, hint: &str, ui: &Ui) -> bool {
    let newer = recorder.store().is_newer();
    if newer {
        let message = format!("{recorder}: a newer version of this program has written it");
        ui.error(&message, Some(hint));
    }
    !newer
}

/// Takes part in a run that other processes share. An error is the exit of one that does not tell it.
pub(super) async fn share(
    (run_id, process, again): (&str, &str, &str),
    prepared: run::Prepared,
    options: Options,
    ledgers: &mut Ledgers,
    audience: &mut dyn Observer,
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
    let heard = run::RunObservers { recorder: recorder.as_mut(), observer: audience };
    let part = run::share(prepared, (run_id.to_owned(), process), options, heard, stop).await;
    if let Some(recorder) = &recorder {
        warn_of_trouble(recorder, ui);
    }
    Err(match part {
        Ok(ShareOutcome::Completed(summary)) => return Ok(summary.verdict.into()),
        Ok(ShareOutcome::Elsewhere(summary)) => {
            let verdict = summary.verdict.name();
            ui.status(&format!("run {run_id} is over: {verdict}; another process has told it"));
            summary.verdict.into()
        }
        Ok(ShareOutcome::Left(left)) => {
            let left = left.map_or_else(String::new, |Left { open, all }| match open {
                0 => ": all is compared, and what differs is to be settled".to_owned(),
                _ => format!(": {open} of {all} shards are still to be compared"),
            });
            ui.status(&format!("run {run_id} is left to the other processes{left}"));
            ui.status(&format!("next: {again}"));
            Exit::Incomplete
        }
        Err(Parted::Refused(blocked)) => {
            ui.error(&blocked.message, blocked.hint.as_deref());
            Exit::Trouble
        }
        Err(Parted::Lost(blocked)) => {
            ui.error(&blocked.message, blocked.hint.as_deref());
            Exit::Incomplete
        }
    })
}

/// Which run is to go on, if one is: its id, or empty for the newest. The variable may say yes or no.
pub(super) fn resumption(wanted: &str) -> Option<&str> {
    match wanted {
        "false" | "no" | "off" | "0" => None,
        "true" | "yes" | "on" | "1" => Some(""),
        run => Some(run),
    }
}

/// Which run each spec's is: a new one, or one that goes on. Nothing if one cannot go on, which has
/// been said.
pub(super) async fn begin_all(
    wanted: Option<&str>,
    prepared: &mut [(run::Prepared, Options)],
    ledgers: &mut Ledgers,
    ui: &Ui,
) -> Option<VecDeque<RunStart>> {
    let mut begins = VecDeque::new();
    for (prepared, options) in prepared {
        let name = prepared.spec.name.clone();
        let (new, cause) = (ledgers.new_run(&name), ledgers.cause(&name));
        let Some(recorder) = ledgers.recorder(&name) else {
            if wanted.is_some() {
                let message = format!("no ledger remembers where a run of \"{name}\" stood{cause}");
                ui.error(&message, Some(RESUMES));
                return None;
            }
            begins.push_back(RunStart::New(new));
            continue;
        };
        if wanted.is_some() && !can_be_written(recorder, RESUMES, ui) {
            return None;
        }
        match run::agree(prepared, options, recorder, wanted).await {
            Ok(Resumable::Run(interrupted)) => {
                let run = &interrupted.record;
                match run::same_servers(prepared, &run.run, &interrupted.terms) {
                    Ok(sides) => ui.restarted(&sides, &format!("after run {} began", run.run)),
                    Err(blocked) => {
                        ui.error(&blocked.message, blocked.hint.as_deref());
                        return None;
                    }
                }
                ui.status(&format!("{name}: run {} of {} goes on", run.run, run.started_at));
                for said in run::read_from_start(prepared, options, &interrupted) {
                    ui.warning(&said, Some(SAME_SECRET));
                }
                begins.push_back(RunStart::Resumed(interrupted));
            }
            Ok(Resumable::Damaged(run)) => {
                let message = format!("{recorder}: {}", LedgerError::damaged(&run));
                ui.warning(&message, Some("It cannot go on; a new run begins."));
                begins.push_back(RunStart::New(new));
            }
            Ok(Resumable::Nothing) => {
                if wanted.is_some() {
                    ui.status(&format!("{name}: no run was interrupted; a new one begins"));
                }
                begins.push_back(RunStart::New(new));
            }
            Err(blocked) => {
                ui.error(&blocked.message, blocked.hint.as_deref());
                return None;
            }
        }
    }
    Some(begins)
}
