//! An earlier run, told again to a verb that works on what it found: from the ledger or from a file.
//!
//! Only a finished run of this very spec and these parameters is told to its end. What was told before
//! a refusal counts for nothing.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::args::CommonArgs;
use super::ledgers::past;
use super::ui::Ui;
use crate::event::Event;
use crate::finding::RunRecord;
use crate::ledger::{LedgerError, Retold, Store};
use crate::spec::Spec;

/// Where an earlier run's findings come from.
pub(super) enum PriorRun {
    /// The ledger: this run, or the newest that came to its end.
    Ledger(Option<String>),
    /// A `.jsonl` report.
    File(PathBuf),
}

impl PriorRun {
    /// What the flags say.
    ///
    /// # Errors
    /// They say two things.
    pub(super) fn of(
        run: Option<&String>,
        from: Option<&PathBuf>,
    ) -> Result<PriorRun, &'static str> {
        match (run, from) {
            (Some(_), Some(_)) => Err("--run and --from exclude each other"),
            (run, None) => Ok(PriorRun::Ledger(run.cloned())),
            (None, Some(file)) => Ok(PriorRun::File(file.clone())),
        }
    }

    /// Reads what the run noted of its servers; nothing of a report, which has no such note.
    pub(super) async fn terms(
        &self,
        common: &CommonArgs,
        spec: &Spec,
        run: &str,
        ui: &Ui,
    ) -> Option<String> {
        let PriorRun::Ledger(_) = self else { return None };
        let store = past(&common.ledger(), &spec.text.path, &spec.name, ui).await?;
        store.terms(run).await.ok().flatten()
    }

    /// Tells the run again. False if that cannot be had, which has been said.
    pub(super) async fn tell(
        &self,
        common: &CommonArgs,
        spec: &Spec,
        ui: &Ui,
        hear: &mut dyn FnMut(Event),
    ) -> bool {
        let (message, hint) = match self {
            PriorRun::Ledger(run) => {
                let store = past(&common.ledger(), &spec.text.path, &spec.name, ui).await;
                let Some(store) = store else {
                    return false;
                };
                match of_ledger(&store, run.as_deref(), spec, hear).await {
                    Ok(()) => return true,
                    Err((why, hint)) => (format!("{store}: {why}"), hint),
                }
            }
            PriorRun::File(file) => match of_file(file, spec, hear) {
                Ok(()) => return true,
                Err(why) => (
                    format!("findings {} cannot be used: {why}", file.display()),
                    "Write them anew: compare with --report findings.jsonl.",
                ),
            },
        };
        ui.error(&message, Some(hint));
        false
    }
}

/// Why a run is not one of this spec as it is now; nothing if it is.
fn stranger(run: &RunRecord, spec: &Spec) -> Option<&'static str> {
    if run.spec_hash != spec.hash {
        return Some("the spec was changed since that run");
    }
    (run.scope != spec.scope()).then_some("that run had other parameters")
}

async fn of_ledger(
    store: &Store,
    run: Option<&str>,
    spec: &Spec,
    hear: &mut dyn FnMut(Event),
) -> Result<(), (String, &'static str)> {
    let mut strange = None;
    let told = store.retell(&spec.name, run, |event| {
        if let Event::RunStarted(record) = &event {
            strange = stranger(record, spec);
        }
        hear(event);
    });
    let told = told.await;
    let list = "pgreconcile history SPEC --format json lists the runs.";
    match (told, strange) {
        (Err(error), _) => Err((error.to_string(), list)),
        (Ok(Retold::Told), None) => Ok(()),
        (Ok(Retold::Told), Some(why)) => {
            Err((why.to_owned(), "Compare again, or name a run of these with --run and --param."))
        }
        (Ok(Retold::Damaged(run)), _) => Err((
            LedgerError::damaged(&run).to_string(),
            "Compare again, or name another run; pgreconcile history SPEC lists them.",
        )),
        (Ok(Retold::Unfinished), _) => Err((
            "that run has not come to its end".to_owned(),
            "Compare again, or name a finished run.",
        )),
        (Ok(Retold::Unknown), _) => {
            let named = run.map(|run| format!(": {run}")).unwrap_or_default();
            Err((format!("there is no such finished run{named}"), list))
        }
    }
}

/// Findings of a report, in which there may be runs of other specs as well.
fn of_file(file: &Path, spec: &Spec, hear: &mut dyn FnMut(Event)) -> Result<(), String> {
    let lines = BufReader::new(File::open(file).map_err(|error| error.to_string())?).lines();
    read_lines(lines, spec, hear)
}

/// What every line begins with.
#[derive(Deserialize)]
struct LineHead {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
}

fn read_lines(
    lines: impl Iterator<Item = io::Result<String>>,
    spec: &Spec,
    hear: &mut dyn FnMut(Event),
) -> Result<(), String> {
    /// A record of a line, or why the line holds none.
    fn record<R: DeserializeOwned>((at, text): (usize, &str)) -> Result<R, String> {
        let cut = |_| format!("line {} is no record of a run: it was cut off, or edited", at + 1);
        serde_json::from_str(text).map_err(cut)
    }
    let (mut ours, mut found, mut open) = (false, false, false);
    for (at, line) in lines.enumerate() {
        let text = line.map_err(|error| error.to_string())?;
        let line = (at, text.as_str());
        let LineHead { kind, version } = record(line)?;
        if version != 1 {
            return Err(format!("line {} is not of version 1 of the format", at + 1));
        }
        match kind.as_str() {
            "run" if open => return Err("a run in it has no end: it was cut off".to_owned()),
            "run" => {
                let run: RunRecord = record(line)?;
                (ours, open) = (run.spec == spec.name, true);
                if ours && found {
                    return Err("it holds two runs of this spec".to_owned());
                }
                if ours {
                    found = true;
                    if let Some(why) = stranger(&run, spec) {
                        return Err(why.to_owned());
                    }
                    hear(Event::RunStarted(run));
                }
            }
            "summary" => {
                if ours {
                    hear(Event::RunFinished(record(line)?));
                }
                (ours, open) = (false, false);
            }
            "finding" | "undecided" | "mapping" if !ours => {}
            "finding" => hear(Event::Finding { mapping: 0, finding: record(line)? }),
            "undecided" => hear(Event::Undecided(record(line)?)),
            "mapping" => hear(Event::MappingFinished { mapping: 0, record: record(line)? }),
            _ => return Err(format!("line {} is of an unknown type", at + 1)),
        }
    }
    match (found, open) {
        (_, true) => Err("it has no summary: it was cut off".to_owned()),
        (false, _) => Err(format!("it tells of no run of spec \"{}\"", spec.name)),
        (true, false) => Ok(()),
    }
}
