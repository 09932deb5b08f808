//! Writes a run down as it happens, and tells each finding how long it has been there.
//!
//! Findings are written some hundred at a time, so that neither memory nor the disk's flushes grow
//! with them. The first trouble ends the recording and is kept for one warning; the run goes on.

use std::fmt;
use std::time::{Duration, Instant};

use super::identity::{identity, image};
use super::retention;
use super::store::{LedgerError, Store};
use crate::event::Event;
use crate::finding::{Finding, MappingRecord, RunRecord, SummaryRecord, Undecided};
use crate::row::{Veil, random_secret};

/// Findings that may wait to be written.
const TOGETHER: usize = 1_000;
/// How long one may wait while events come in: what was told survives a `kill -9` a moment later.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A run on its way into the ledger.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    verb: &'static str,
    veil: Veil,
    secret: Vec<u8>,
    run: Option<Running>,
    waiting: Vec<Waiting>,
    written: Instant,
    trouble: Option<LedgerError>,
}

#[derive(Debug)]
struct Running {
    number: i64,
    scope: String,
    places: i64,
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger {}", self.store.path().display())
    }
}

/// What waits to be written.
#[derive(Debug)]
enum Waiting {
    Finding(Box<Sight>),
    Undecided(String),
}

/// A finding as it is kept.
#[derive(Debug)]
struct Sight {
    identity: [u8; 16],
    image: String,
    mapping: String,
    kind: &'static str,
    disposition: &'static str,
    first_seen: String,
    runs: i64,
    record: String,
}

const SECRET: &str = "redact";

impl Recorder {
    /// Begins with a ledger. `verb` is what the run is.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn new(store: Store, verb: &'static str) -> Result<Recorder, LedgerError> {
        let secret = secret_of(&store)?;
        let veil = Veil::of_secret(&secret);
        let (waiting, written) = (Vec::new(), Instant::now());
        Ok(Recorder { store, verb, veil, secret, run: None, waiting, written, trouble: None })
    }

    /// The ledger's own secret, under which redacted values look alike in all of its runs.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Takes an event in; a finding comes to know when it was first seen.
    pub fn take(&mut self, event: &mut Event) {
        if self.trouble.is_some() {
            return;
        }
        let taken = match event {
            Event::RunStarted(run) => self.begin(run),
            Event::Finding { finding, .. } => self.finding(finding),
            Event::Undecided(undecided) => self.undecided(undecided),
            Event::MappingFinished { mapping, record } => self.mapping(*mapping, record),
            Event::RunFinished(summary) => self.end(summary),
            _ if self.written.elapsed() > LONGEST_WAIT => self.write(),
            _ => Ok(()),
        };
        self.trouble = taken.err();
    }

    /// What went wrong, if anything did.
    pub fn trouble(&self) -> Option<&LedgerError> {
        self.trouble.as_ref()
    }

    fn begin(&mut self, run: &RunRecord) -> Result<(), LedgerError> {
        let mut number = 0;
        if !self.store.is_newer() {
            self.store.run(
                include_str!("statements/begin_run.sql"),
                (
                    &run.run,
                    self.verb,
                    &run.spec,
                    &run.spec_hash,
                    &run.scope,
                    &run.started_at,
                    serde_json::to_string(run)?,
                ),
            )?;
            number = self.store.last_added();
        }
        self.run = Some(Running { number, scope: run.scope.clone(), places: 0 });
        Ok(())
    }

    fn finding(&mut self, finding: &mut Finding) -> Result<(), LedgerError> {
        let Some(run) = &self.run else { return Ok(()) };
        let identity = identity(&run.scope, finding);
        let earlier = self.store.first(
            include_str!("statements/earlier_sight.sql"),
            [&identity[..]],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
        )?;
        if let Some((first_seen, runs)) = earlier {
            finding.first_seen = first_seen;
            finding.runs = u64::try_from(runs).unwrap_or(0) + 1;
        }
        self.waiting.push(Waiting::Finding(Box::new(Sight {
            identity,
            image: image(&self.veil, finding),
            mapping: finding.mapping.clone(),
            kind: finding.kind.name(),
            disposition: finding.disposition().name(),
            first_seen: finding.first_seen.clone(),
            runs: i64::try_from(finding.runs).unwrap_or(i64::MAX),
            record: serde_json::to_string(finding)?,
        })));
        self.write_some()
    }

    fn undecided(&mut self, undecided: &Undecided) -> Result<(), LedgerError> {
        self.waiting.push(Waiting::Undecided(serde_json::to_string(undecided)?));
        self.write_some()
    }

    fn write_some(&mut self) -> Result<(), LedgerError> {
        if self.waiting.len() >= TOGETHER || self.written.elapsed() > LONGEST_WAIT {
            self.write()?;
        }
        Ok(())
    }

    /// Writes what waits.
    fn write(&mut self) -> Result<(), LedgerError> {
        self.written = Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        let Some(run) = self.run.as_mut().filter(|_| !self.store.is_newer()) else {
            return Ok(());
        };
        if waiting.is_empty() {
            return Ok(());
        }
        self.store.together(|store| {
            let mut findings = 0_i64;
            for waiting in &waiting {
                match waiting {
                    Waiting::Finding(sight) => {
                        add_finding(store, run, sight)?;
                        findings += 1;
                    }
                    Waiting::Undecided(record) => {
                        let statement = include_str!("statements/add_undecided.sql");
                        store.run(statement, (run.number, run.places, record))?;
                    }
                }
                run.places += 1;
            }
            let statement = include_str!("statements/count_findings.sql");
            store.run(statement, (run.number, findings)).map(drop)
        })
    }

    fn mapping(&mut self, place: usize, record: &MappingRecord) -> Result<(), LedgerError> {
        self.write()?;
        let Some(run) = self.run.as_ref().filter(|_| !self.store.is_newer()) else {
            return Ok(());
        };
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let record = serde_json::to_string(record)?;
        let statement = include_str!("statements/add_mapping.sql");
        self.store.run(statement, (run.number, place, record)).map(drop)
    }

    fn end(&mut self, summary: &SummaryRecord) -> Result<(), LedgerError> {
        self.write()?;
        let Some(run) = self.run.take().filter(|_| !self.store.is_newer()) else { return Ok(()) };
        let summary = serde_json::to_string(summary)?;
        self.store.run(include_str!("statements/end_run.sql"), (run.number, summary))?;
        retention::forget(&self.store)
    }
}

fn add_finding(store: &Store, run: &Running, sight: &Sight) -> Result<(), LedgerError> {
    store
        .run(
            include_str!("statements/add_finding.sql"),
            (
                run.number,
                run.places,
                &sight.identity[..],
                &sight.image,
                &sight.mapping,
                sight.kind,
                sight.disposition,
                &sight.first_seen,
                sight.runs,
                &sight.record,
            ),
        )
        .map(drop)
}

/// The secret that the ledger holds, or a new one. A newer ledger without one keeps none.
fn secret_of(store: &Store) -> Result<Vec<u8>, LedgerError> {
    let statement = include_str!("statements/find_secret.sql");
    if let Some(secret) = store.first(statement, [SECRET], |row| row.get(0))? {
        return Ok(secret);
    }
    let secret = random_secret().to_vec();
    if !store.is_newer() {
        store.run(include_str!("statements/add_secret.sql"), (SECRET, &secret))?;
    }
    Ok(secret)
}
