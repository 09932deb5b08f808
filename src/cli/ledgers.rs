//! The ledgers of a call: which specs may run, and what each run's ledger had to say.
//!
//! A ledger that cannot be used costs a comparison a warning and nothing else. A lock that another
//! process holds costs it the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ui::Ui;
use crate::ledger::{Lock, Place, Recorder, Store};
use crate::row::Veil;
use crate::spec::Spec;

/// The ledgers of the specs that are to be run, by the specs' names.
#[derive(Default)]
pub(super) struct Ledgers {
    recorders: BTreeMap<String, Recorder>,
    /// Held until every run is over; several specs may share a ledger.
    locks: BTreeMap<PathBuf, Option<Lock>>,
}

impl Ledgers {
    /// Locks and opens the ledger of each spec. Specs whose lock another process holds are taken off
    /// the list; whether there was one comes back too.
    pub(super) async fn open(
        place: &Place,
        verb: &'static str,
        specs: &mut Vec<Spec>,
        ui: &Ui,
    ) -> (Ledgers, bool) {
        let mut ledgers = Ledgers::default();
        let before = specs.len();
        for spec in std::mem::take(specs) {
            let Some(file) = place.file(&spec.text.path, &spec.name) else {
                specs.push(spec);
                continue;
            };
            if !ledgers.lock(&file, ui) {
                continue;
            }
            // A file that could not be locked has had its warning.
            if matches!(ledgers.locks.get(&file), Some(Some(_))) {
                ledgers.record(&file, verb, &spec, ui).await;
            }
            specs.push(spec);
        }
        let locked = specs.len() < before;
        (ledgers, locked)
    }

    /// Tells whether the run may go on.
    fn lock(&mut self, file: &Path, ui: &Ui) -> bool {
        if self.locks.contains_key(file) {
            return true;
        }
        let lock = match Lock::take(file) {
            Ok(Ok(lock)) => Some(lock),
            Ok(Err(holder)) => {
                let holder = if holder.is_empty() { "another process" } else { &holder };
                let path = Lock::path(file);
                let message =
                    format!("another run is under way: {holder} holds {}", path.display());
                ui.error(
                    &message,
                    Some("Wait until it is over, or give this one another --ledger."),
                );
                return false;
            }
            Err(error) => {
                warn(file, &error.to_string(), ui);
                None
            }
        };
        self.locks.insert(file.to_owned(), lock);
        true
    }

    async fn record(&mut self, file: &Path, verb: &'static str, spec: &Spec, ui: &Ui) {
        let recorder = async {
            let store = Store::create(file)?;
            if store.is_newer() {
                let why = "a newer version of this program has written it";
                warn(file, why, ui);
            }
            Recorder::new(store, verb).await
        };
        match recorder.await {
            Ok(recorder) => drop(self.recorders.insert(spec.name.clone(), recorder)),
            Err(error) => warn(file, &error.to_string(), ui),
        }
    }

    /// What redacted values are told under where no secret was given: alike in all runs of a ledger.
    pub(super) fn veil(&self, spec: &Spec) -> Option<Veil> {
        self.recorders.get(&spec.name).map(|recorder| Veil::of_secret(recorder.secret()))
    }

    /// The recorder of a spec's run, if it is remembered.
    pub(super) fn recorder(&mut self, spec: &str) -> Option<&mut Recorder> {
        self.recorders.get_mut(spec)
    }

    /// The recorder of a spec's run, to write it with.
    pub(super) fn take(&mut self, spec: &str) -> Option<Recorder> {
        self.recorders.remove(spec)
    }
}

fn warn(file: &Path, why: &str, ui: &Ui) {
    let message = format!("this run is not remembered: ledger {}: {why}", file.display());
    ui.warning(&message, Some("Name another file with --ledger, or off."));
}

/// Says so if a run could not be remembered to its end.
pub(super) fn warn_of_trouble(recorder: &Recorder, ui: &Ui) {
    if let Some(error) = recorder.trouble() {
        let message = format!("this run is not remembered whole: {recorder}: {error}");
        ui.warning(&message, Some("What it found is in its outputs all the same."));
    }
}

/// Opens the ledger of a spec to read. Nothing if that cannot be done, which has been said.
pub(super) fn past(place: &Place, path: &Path, name: &str, ui: &Ui) -> Option<Store> {
    let Some(file) = place.file(path, name) else {
        ui.error("without a ledger there are no runs to tell", Some("Leave --ledger off out."));
        return None;
    };
    let (why, hint) = match Store::read(&file) {
        Ok(Some(store)) => return Some(store),
        Ok(None) => {
            ("no run is remembered there".to_owned(), "Compare first, or name the --ledger.")
        }
        Err(error) => (error.to_string(), "Move the file away; the next run begins a new one."),
    };
    ui.error(&format!("ledger {}: {why}", file.display()), Some(hint));
    None
}

/// Whether a run holds the lock of a spec's ledger right now.
pub(super) fn under_way(place: &Place, path: &Path, name: &str) -> bool {
    place.file(path, name).is_some_and(|file| Lock::is_held(&file))
}
