//! The ledgers of a call: which specs may run, and what each run's ledger had to say.
//!
//! A ledger that cannot be used costs a comparison a warning and nothing else. A lock that another
//! process holds costs it the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::warn_if_behind;
use super::ui::Ui;
use crate::ledger::{Lease, Location, Lock, Place, RENEWED_EVERY, Recorder, Store};
use crate::problem::Problem;
use crate::row::Veil;
use crate::spec::Spec;

/// The ledgers of the specs that are to be run, by the specs' names.
#[derive(Default)]
pub(super) struct Ledgers {
    recorders: BTreeMap<String, Recorder>,
    /// Held until every run is over; several specs may share a file.
    locks: BTreeMap<PathBuf, Option<Lock>>,
    leases: Vec<Lease>,
    /// What says that this process of many lives.
    member: Option<Lease>,
    /// Why a spec's run is not remembered, where it was to be.
    unused: BTreeMap<String, String>,
    /// What a spec's run is called if it is a new one.
    runs: BTreeMap<String, String>,
}

/// Who asks for ledgers.
pub(super) struct LedgerRequest<'a> {
    /// What each run is.
    pub(super) verb: &'static str,
    /// The run that it shares with others, if it is one of many processes, and what it calls itself.
    pub(super) shares: Option<(&'a str, &'a str)>,
    /// Whether it wants to go on with an interrupted run.
    pub(super) resumes: bool,
    pub(super) ui: &'a Ui,
}

impl LedgerRequest<'_> {
    /// What the holder of a lease calls itself, processes of one run all the same, if a new run is called
    /// this. Which run goes on is not known yet.
    fn holder(&self, run: &str) -> String {
        match (self.shares, self.resumes) {
            (Some((shared, _)), _) => format!("run {shared}"),
            (None, true) => format!("process {run} with --resume"),
            (None, false) => format!("run {run}"),
        }
    }
}

impl Ledgers {
    /// Locks and opens the ledger of each spec. Specs whose lock another process holds are taken off
    /// the list; whether there was one comes back too.
    pub(super) async fn open(
        place: &Place,
        asker: &LedgerRequest<'_>,
        specs: &mut Vec<Spec>,
    ) -> (Ledgers, bool) {
        let mut ledgers = Ledgers::default();
        let before = specs.len();
        for spec in std::mem::take(specs) {
            let location = place.of(&spec.text.path, &spec.name);
            let may_run = match &location {
                None => true,
                Some(location) => ledgers.open_one(location, &spec.name, asker).await,
            };
            if may_run {
                specs.push(spec);
            }
        }
        let locked = specs.len() < before;
        (ledgers, locked)
    }

    /// Tells whether the run may go on.
    async fn open_one(
        &mut self,
        location: &Location,
        spec: &str,
        asker: &LedgerRequest<'_>,
    ) -> bool {
        if let Location::File(file) = location {
            match self.lock(file, spec, asker.ui) {
                Some(false) => return false,
                Some(true) => {}
                // It has had its warning.
                None => return true,
            }
        }
        match Store::create(location).await {
            Ok(store) => self.record(store, spec, asker).await,
            Err(error) => {
                self.not_remembered(spec, &location.to_string(), &error.to_string(), asker.ui);
                true
            }
        }
    }

    /// Whether the lock of a file is ours; nothing if it can have none.
    fn lock(&mut self, file: &Path, spec: &str, ui: &Ui) -> Option<bool> {
        if let Some(lock) = self.locks.get(file) {
            return lock.is_some().then_some(true);
        }
        let lock = match Lock::take(file) {
            Ok(Ok(lock)) => Some(lock),
            Ok(Err(holder)) => {
                let holder = if holder.is_empty() { "another process" } else { &holder };
                let path = Lock::path(file);
                locked(&format!("{holder} holds {}", path.display()), ui);
                return Some(false);
            }
            Err(error) => {
                let location = Location::File(file.to_owned()).to_string();
                self.not_remembered(spec, &location, &error.to_string(), ui);
                None
            }
        };
        let held = lock.is_some();
        self.locks.insert(file.to_owned(), lock);
        held.then_some(true)
    }

    /// Tells whether the run may go on.
    async fn record(&mut self, store: Store, spec: &str, asker: &LedgerRequest<'_>) -> bool {
        let shown = store.to_string();
        if store.is_newer() {
            let why = "a newer version of this program has written it";
            self.not_remembered(spec, &shown, why, asker.ui);
        }
        // Before the spec's, which the last one gives back.
        let run = new_id();
        let holder = asker.holder(&run);
        self.runs.insert(spec.to_owned(), run);
        if let Some((_, process)) = asker.shares {
            let name = Lease::of_member(&holder, process);
            let taken = store.lease(&name, process).await;
            // Without it the spec's lease ends by itself.
            self.member = taken.ok().flatten().and_then(Result::ok);
        }
        let mut held = None;
        match store.lease(spec, &holder).await {
            Ok(Some(Ok(lease))) => {
                held = Some(lease.clone());
                self.leases.push(lease);
            }
            Ok(Some(Err(holder))) => {
                give_back(self.member.take().into_iter().collect()).await;
                locked(&format!("{holder} holds spec \"{spec}\" in {shown}"), asker.ui);
                return false;
            }
            Ok(None) => {}
            Err(error) => {
                self.not_remembered(spec, &shown, &error.to_string(), asker.ui);
                return true;
            }
        }
        warn_if_behind(&store, spec, asker.ui).await;
        let mut recorder = Recorder::new(store, asker.verb);
        held.into_iter().for_each(|lease| recorder.hold_on_to(lease));
        self.recorders.insert(spec.to_owned(), recorder);
        true
    }

    fn not_remembered(&mut self, spec: &str, ledger: &str, why: &str, ui: &Ui) {
        let why = format!("{ledger}: {why}");
        let message = format!("this run is not remembered: {why}");
        ui.warning(&message, Some("Name another one with --ledger, or off."));
        self.unused.insert(spec.to_owned(), why);
    }

    /// Why a spec's run is not remembered, as the end of a message; empty where none was wanted.
    pub(super) fn cause(&self, spec: &str) -> String {
        self.unused.get(spec).map_or_else(String::new, |why| format!(": {why}"))
    }

    /// Whether a ledger will know where a spec's run stood.
    pub(super) fn can_go_on(&self, spec: &str) -> bool {
        self.recorders.get(spec).is_some_and(|recorder| !recorder.store().is_newer())
    }

    /// What a new run of a spec is called: as its lease says.
    pub(super) fn new_run(&mut self, spec: &str) -> String {
        self.runs.remove(spec).unwrap_or_else(new_id)
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

    /// The leases that have to be kept as long as anything is run.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.leases.iter().chain(&self.member).cloned().collect()
    }

    /// What gives them back.
    pub(super) fn leaving(&self, shared: bool) -> impl Future<Output = ()> + use<> {
        let (leases, member) = (self.leases.clone(), self.member.clone());
        async move {
            match (shared, member, leases.first()) {
                (false, ..) => give_back(leases).await,
                (true, Some(member), Some(lease)) => in_time(member.leave(lease)).await,
                // It may still have other processes; when none renews it, its lease ends.
                (true, ..) => {}
            }
        }
    }
}

/// Puts the end of leases off for ever. A ledger that does not answer is asked again.
pub(super) async fn keep(leases: Vec<Lease>) {
    if leases.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(RENEWED_EVERY).await;
        for lease in &leases {
            // One that another has taken over is missed when something is to be written.
            let _ = lease.hold().await;
        }
    }
}

/// Gives leases back. One that cannot be given back ends by itself, which nobody has to wait for.
async fn give_back(leases: Vec<Lease>) {
    let all = async {
        for lease in leases {
            let _ = lease.give_back().await;
        }
    };
    in_time(all).await;
}

async fn in_time(giving_back: impl Future) {
    let _ = tokio::time::timeout(Duration::from_secs(1), giving_back).await;
}

fn locked(why: &str, ui: &Ui) {
    let hint = "Wait until it is over, or give this one another --ledger.";
    ui.error(&format!("another run is under way: {why}"), Some(hint));
}

/// What nothing else is called.
pub(super) fn new_id() -> String {
    ulid::Ulid::generate().to_string()
}

/// Says so if a run could not be remembered to its end.
pub(super) fn warn_of_trouble(recorder: &Recorder, ui: &Ui) {
    if let Some(error) = recorder.trouble() {
        let message = format!("this run is not remembered whole: {recorder}: {error}");
        ui.warning(&message, Some("What it found is in its outputs all the same."));
    }
}

/// Opens the ledger of a spec to read. Nothing if that cannot be done, which has been said.
pub(super) async fn past(place: &Place, path: &Path, name: &str, ui: &Ui) -> Option<Store> {
    let Some(location) = place.of(path, name) else {
        ui.error("without a ledger there are no runs to tell", Some("Leave --ledger off out."));
        return None;
    };
    let at = Problem::new(location.to_string());
    ui.problem(&match Store::read(&location).await {
        Ok(Some(store)) => return Some(store),
        Ok(None) => at
            .with_source(Problem::new("no run is remembered there"))
            .with_hint("Compare first, or name the --ledger."),
        Err(error) => at.with_source(error).with_hint(unusable(&location)),
    });
    None
}

/// What to do about a ledger that cannot be read.
pub(super) fn unusable(location: &Location) -> String {
    let hint = match location {
        Location::File(_) => "Move the file away; the next run begins a new one.",
        Location::Database(_) => {
            "Check the connection, and what the role may do in schema pgreconcile."
        }
    };
    hint.to_owned()
}

/// Whether a run holds the lock of a spec's ledger right now.
pub(super) async fn under_way(place: &Place, path: &Path, name: &str, store: &Store) -> bool {
    match place.of(path, name) {
        None => false,
        Some(Location::File(file)) => Lock::is_held(&file),
        Some(Location::Database(_)) => {
            store.leased_to(name).await.is_ok_and(|holder| holder.is_some())
        }
    }
}
