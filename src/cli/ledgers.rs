//! The ledgers of a call: they are locked, opened and given to the runs.
//!
//! If a ledger cannot be used, the comparison runs without it, with a warning. If another process
//! holds the lock, the spec is not run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::warn_if_behind;
use super::ui::Ui;
use crate::ledger::{
    Acquisition, Lease, LeaseKind, LeaseRequest, LedgerSetting, Location, Lock, RENEWED_EVERY,
    Recorder, Store,
};
use crate::problem::Problem;
use crate::row::Redactor;
use crate::spec::Spec;

/// The ledgers of the specs to run, by the specs' names.
#[derive(Default)]
pub(super) struct Ledgers {
    recorders: BTreeMap<String, Recorder>,
    /// Held until every run is over. Several specs may share a file.
    locks: BTreeMap<PathBuf, Option<Lock>>,
    leases: Vec<Lease>,
    /// The lease of this process, if several share a run.
    process_lease: Option<Lease>,
    /// Why a spec's run is not stored, if it should be.
    unused: BTreeMap<String, String>,
    /// The id of a spec's run if it is a new one.
    runs: BTreeMap<String, String>,
}

/// What the ledgers are opened for.
pub(super) struct LedgerRequest<'a> {
    /// The command that is run.
    pub(super) verb: &'static str,
    /// The id of the shared run and of this process, if several processes share a run.
    pub(super) shares: Option<(&'a str, &'a str)>,
    /// Whether an interrupted run is to be resumed.
    pub(super) resumes: bool,
    pub(super) ui: &'a Ui,
}

impl LedgerRequest<'_> {
    /// Returns what the lease of a spec is requested with, given the id of a new run. All processes of
    /// a shared run have the same holder. Which run will be resumed is not known yet.
    fn spec_lease(&self, spec: &str, run: &str) -> LeaseRequest {
        let (run, holder) = match (self.shares, self.resumes) {
            (Some((shared, _)), _) => (Some(shared), format!("run {shared}")),
            (None, true) => (None, format!("process {run} with --resume")),
            (None, false) => (Some(run), format!("run {run}")),
        };
        let (name, run) = (spec.to_owned(), run.map(str::to_owned));
        LeaseRequest { kind: LeaseKind::Spec, name, run, holder }
    }
}

impl Ledgers {
    /// Locks and opens the ledger of each spec. Specs whose lock another process holds are removed
    /// from the list; the second result is whether there was one.
    pub(super) async fn open(
        setting: &LedgerSetting,
        request: &LedgerRequest<'_>,
        specs: &mut Vec<Spec>,
    ) -> (Ledgers, bool) {
        let mut ledgers = Ledgers::default();
        let before = specs.len();
        for spec in std::mem::take(specs) {
            let location = setting.location(&spec.text.path, &spec.name);
            let may_run = match &location {
                None => true,
                Some(location) => ledgers.open_one(location, &spec.name, request).await,
            };
            if may_run {
                specs.push(spec);
            }
        }
        let locked = specs.len() < before;
        (ledgers, locked)
    }

    /// Opens the ledger of one spec. Returns whether the spec may be run.
    async fn open_one(
        &mut self,
        location: &Location,
        spec: &str,
        request: &LedgerRequest<'_>,
    ) -> bool {
        if let Location::File(file) = location {
            match self.lock(file, spec, request.ui) {
                Some(false) => return false,
                Some(true) => {}
                // The warning has been shown.
                None => return true,
            }
        }
        match Store::create(location).await {
            Ok(store) => self.add_store(store, spec, request).await,
            Err(error) => {
                self.add_unused(spec, &location.to_string(), &error.to_string(), request.ui);
                true
            }
        }
    }

    /// Locks a file. Returns whether this process holds the lock; `None` if the file cannot have
    /// one.
    fn lock(&mut self, file: &Path, spec: &str, ui: &Ui) -> Option<bool> {
        if let Some(lock) = self.locks.get(file) {
            return lock.is_some().then_some(true);
        }
        let lock = match Lock::take(file) {
            Ok(Acquisition::Acquired(lock)) => Some(lock),
            Ok(Acquisition::HeldBy(holder)) => {
                let holder = if holder.is_empty() { "another process" } else { &holder };
                let path = Lock::path(file);
                show_locked(&format!("{holder} holds {}", path.display()), ui);
                return Some(false);
            }
            Err(error) => {
                let location = Location::File(file.to_owned()).to_string();
                self.add_unused(spec, &location, &error.to_string(), ui);
                None
            }
        };
        let held = lock.is_some();
        self.locks.insert(file.to_owned(), lock);
        held.then_some(true)
    }

    /// Takes the leases and keeps the ledger. Returns whether the spec may be run.
    async fn add_store(&mut self, store: Store, spec: &str, request: &LedgerRequest<'_>) -> bool {
        let shown = store.to_string();
        if store.is_newer() {
            let why = "a newer version of this program has written it";
            self.add_unused(spec, &shown, why, request.ui);
        }
        // The process's lease is taken before the spec's, which the last process releases.
        let run = new_id();
        let of_spec = request.spec_lease(spec, &run);
        self.runs.insert(spec.to_owned(), run);
        if let Some((shared, process)) = request.shares {
            let (kind, run) = (LeaseKind::Process, Some(shared.to_owned()));
            let (name, holder) = (process.to_owned(), process.to_owned());
            let taken = store.take_lease(LeaseRequest { kind, name, run, holder }).await;
            // Without it the spec's lease expires.
            self.process_lease = taken.ok().flatten().and_then(Acquisition::acquired);
        }
        let mut held = None;
        match store.take_lease(of_spec).await {
            Ok(Some(Acquisition::Acquired(lease))) => {
                held = Some(lease.clone());
                self.leases.push(lease);
            }
            Ok(Some(Acquisition::HeldBy(holder))) => {
                release_all(self.process_lease.take().into_iter().collect()).await;
                show_locked(&format!("{holder} holds spec \"{spec}\" in {shown}"), request.ui);
                return false;
            }
            Ok(None) => {}
            Err(error) => {
                self.add_unused(spec, &shown, &error.to_string(), request.ui);
                return true;
            }
        }
        warn_if_behind(&store, spec, request.ui).await;
        let mut recorder = Recorder::new(store, request.verb);
        held.into_iter().for_each(|lease| recorder.set_lease(lease));
        self.recorders.insert(spec.to_owned(), recorder);
        true
    }

    fn add_unused(&mut self, spec: &str, ledger: &str, why: &str, ui: &Ui) {
        let why = format!("{ledger}: {why}");
        let message = format!("this run is not stored: {why}");
        ui.warning(&message, Some("Name another one with --ledger, or off."));
        self.unused.insert(spec.to_owned(), why);
    }

    /// Returns why a spec's run is not stored, as the end of a message; empty if it should not be.
    pub(super) fn cause(&self, spec: &str) -> String {
        self.unused.get(spec).map_or_else(String::new, |why| format!(": {why}"))
    }

    /// Returns whether a spec's run can be resumed if it is interrupted.
    pub(super) fn can_resume(&self, spec: &str) -> bool {
        self.recorders.get(spec).is_some_and(|recorder| !recorder.store().is_newer())
    }

    /// Returns the id of a new run of a spec, which its lease names.
    pub(super) fn take_run_id(&mut self, spec: &str) -> String {
        self.runs.remove(spec).unwrap_or_else(new_id)
    }

    /// Returns the ledger's secret for redacted values, which is used if none is given.
    pub(super) fn redactor(&self, spec: &Spec) -> Option<Redactor> {
        self.recorders.get(&spec.name).map(|recorder| Redactor::of_secret(recorder.secret()))
    }

    /// Returns the recorder of a spec's run, if it is stored.
    pub(super) fn recorder(&mut self, spec: &str) -> Option<&mut Recorder> {
        self.recorders.get_mut(spec)
    }

    /// Takes the recorder of a spec's run.
    pub(super) fn take(&mut self, spec: &str) -> Option<Recorder> {
        self.recorders.remove(spec)
    }

    /// Returns the leases that must be renewed as long as anything is run.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.leases.iter().chain(&self.process_lease).cloned().collect()
    }

    /// Releases the leases.
    pub(super) fn release(&self, shared: bool) -> impl Future<Output = ()> + use<> {
        let (leases, process_lease) = (self.leases.clone(), self.process_lease.clone());
        async move {
            match (shared, process_lease, leases.first()) {
                (false, ..) => release_all(leases).await,
                (true, Some(process_lease), Some(lease)) => {
                    in_time(process_lease.leave_run(lease)).await
                }
                // Other processes may still renew the spec's lease; otherwise it expires.
                (true, ..) => {}
            }
        }
    }
}

/// Renews leases for ever, even if the ledger does not answer for a time.
pub(super) async fn renew(leases: Vec<Lease>) {
    if leases.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        for lease in &leases {
            // If another process has taken it over, the next write to the ledger fails.
            let _ = lease.renew().await;
        }
    }
}

/// Releases leases. One that cannot be released expires.
async fn release_all(leases: Vec<Lease>) {
    let all = async {
        for lease in leases {
            let _ = lease.release().await;
        }
    };
    in_time(all).await;
}

async fn in_time(release: impl Future) {
    let _ = tokio::time::timeout(Duration::from_secs(3), release).await;
}

fn show_locked(why: &str, ui: &Ui) {
    let hint = "Wait until it is over, or give this one another --ledger.";
    ui.error(&format!("another run is under way: {why}"), Some(hint));
}

/// Makes a unique id.
pub(super) fn new_id() -> String {
    ulid::Ulid::generate().to_string()
}

/// Warns if a run could not be stored to its end.
pub(super) fn warn_if_incomplete(recorder: &Recorder, ui: &Ui) {
    if let Some(error) = recorder.problem() {
        let message = format!("this run is not stored completely: {recorder}: {error}");
        ui.warning(&message, Some("What it found is in its outputs all the same."));
    }
}

/// Opens the ledger of a spec for reading. Returns `None` if that fails; the error has been shown.
pub(super) async fn open_to_read(
    setting: &LedgerSetting,
    path: &Path,
    name: &str,
    ui: &Ui,
) -> Option<Store> {
    let Some(location) = setting.location(path, name) else {
        ui.error("without a ledger there are no runs to read", Some("Leave --ledger off out."));
        return None;
    };
    let at = Problem::new(location.to_string());
    ui.problem(&match Store::read(&location).await {
        Ok(Some(store)) => return Some(store),
        Ok(None) => at
            .with_source(Problem::new("it holds no run"))
            .with_hint("Compare first, or name the --ledger."),
        Err(error) => at.with_source(error).with_hint(unreadable_hint(&location)),
    });
    None
}

/// Returns the hint for a ledger that cannot be read.
pub(super) fn unreadable_hint(location: &Location) -> String {
    let hint = match location {
        Location::File(_) => "Move the file away; the next run begins a new one.",
        Location::Database(_) => {
            "Check the connection, and what the role may do in schema pgreconcile."
        }
    };
    hint.to_owned()
}

/// Returns whether a run holds the lock of a spec's ledger.
pub(super) async fn is_running(
    setting: &LedgerSetting,
    path: &Path,
    name: &str,
    store: &Store,
) -> bool {
    match setting.location(path, name) {
        None => false,
        Some(Location::File(file)) => Lock::is_held(&file),
        Some(Location::Database(_)) => {
            store.spec_holder(name).await.is_ok_and(|holder| holder.is_some())
        }
    }
}
