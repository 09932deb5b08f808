//! Writes a run down as it happens, and tells each finding how long it has been there.
//!
//! Findings are written some hundred at a time, so that neither memory nor the disk's flushes grow
//! with them. The first trouble ends the recording and is kept for one warning; the run goes on.

use std::fmt;
use std::time::{Duration, Instant};

use super::identity::{identity, image};
use super::retention;
use super::store::{Change, LedgerError, Store};
use super::value::values;
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
    /// What waits to be written.
    waiting: Vec<Change>,
    written: Instant,
    trouble: Option<LedgerError>,
}

#[derive(Debug)]
struct Running {
    number: i64,
    spec: String,
    scope: String,
    /// Places given so far: findings and undecided ranges in the order in which they were told.
    places: i64,
    /// Findings that wait to be written.
    findings: u64,
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

const SECRET: &str = "redact";

impl Recorder {
    /// Begins with a ledger. `verb` is what the run is.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn new(store: Store, verb: &'static str) -> Result<Recorder, LedgerError> {
        let secret = secret_of(&store).await?;
        let veil = Veil::of_secret(&secret);
        let (waiting, written) = (Vec::new(), Instant::now());
        Ok(Recorder { store, verb, veil, secret, run: None, waiting, written, trouble: None })
    }

    /// The ledger's own secret, under which redacted values look alike in all of its runs.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Takes events in, in their order; findings come to know when they were first seen.
    pub async fn take(&mut self, events: &mut [Event]) {
        if self.trouble.is_none() {
            self.trouble = self.take_all(events).await.err();
        }
    }

    /// What went wrong, if anything did.
    pub fn trouble(&self) -> Option<&LedgerError> {
        self.trouble.as_ref()
    }

    async fn take_all(&mut self, events: &mut [Event]) -> Result<(), LedgerError> {
        self.date(events).await?;
        for event in events {
            match event {
                Event::RunStarted(run) => self.begin(run).await?,
                Event::Finding { finding, .. } => self.finding(finding).await?,
                Event::Undecided(undecided) => self.undecided(undecided).await?,
                Event::MappingFinished { mapping, record } => {
                    self.mapping(*mapping, record).await?
                }
                Event::RunFinished(summary) => self.end(summary).await?,
                _ if self.written.elapsed() > LONGEST_WAIT => self.write().await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn begin(&mut self, run: &RunRecord) -> Result<(), LedgerError> {
        let statement = include_str!("statements/begin_run.sql");
        let record = serde_json::to_string(run)?;
        let (spec, scope) = (run.spec.clone(), run.scope.clone());
        let params = values![
            run.run.as_str(),
            self.verb,
            run.spec.as_str(),
            run.spec_hash.as_str(),
            run.scope.as_str(),
            run.started_at.as_str(),
            record,
        ];
        let added = self.store.change(statement, params).await?;
        let number = added.first().map_or(Ok(0), |record| record.int(0))?;
        self.run = Some(Running { number, spec, scope, places: 0, findings: 0 });
        Ok(())
    }

    /// Tells findings when they were first seen, and in how many runs.
    async fn date(&self, events: &mut [Event]) -> Result<(), LedgerError> {
        let Some(run) = &self.run else { return Ok(()) };
        let findings = events.iter_mut().filter_map(|event| match event {
            Event::Finding { finding, .. } => Some(finding),
            _ => None,
        });
        let mut findings: Vec<_> =
            findings.map(|finding| (identity(&run.scope, finding), finding)).collect();
        let identities: Vec<[u8; 16]> = findings.iter().map(|(identity, _)| *identity).collect();
        if identities.is_empty() {
            return Ok(());
        }
        let earlier = self.store.earlier(&identities).await?;
        for (identity, finding) in &mut findings {
            if let Some((first_seen, runs)) = earlier.get(identity) {
                finding.first_seen.clone_from(first_seen);
                finding.runs = runs + 1;
            }
        }
        Ok(())
    }

    async fn finding(&mut self, finding: &Finding) -> Result<(), LedgerError> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let statement = include_str!("statements/add_finding.sql");
        let params = values![
            run.number,
            run.next_place(),
            &identity(&run.scope, finding)[..],
            image(&self.veil, finding),
            finding.mapping.as_str(),
            finding.kind.name(),
            finding.disposition().name(),
            finding.first_seen.as_str(),
            finding.runs,
            serde_json::to_string(finding)?,
        ];
        run.findings += 1;
        self.waiting.push(Change { statement, params });
        self.write_some().await
    }

    async fn undecided(&mut self, undecided: &Undecided) -> Result<(), LedgerError> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let statement = include_str!("statements/add_undecided.sql");
        let params = values![run.number, run.next_place(), serde_json::to_string(undecided)?];
        self.waiting.push(Change { statement, params });
        self.write_some().await
    }

    async fn write_some(&mut self) -> Result<(), LedgerError> {
        if self.waiting.len() >= TOGETHER || self.written.elapsed() > LONGEST_WAIT {
            self.write().await?;
        }
        Ok(())
    }

    /// Writes what waits.
    async fn write(&mut self) -> Result<(), LedgerError> {
        self.written = Instant::now();
        let Some(run) = &mut self.run else { return Ok(()) };
        let mut waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let statement = include_str!("statements/count_findings.sql");
        let params = values![std::mem::take(&mut run.findings), run.number];
        waiting.push(Change { statement, params });
        self.store.together(waiting).await.map(drop)
    }

    async fn mapping(&mut self, place: usize, record: &MappingRecord) -> Result<(), LedgerError> {
        let Some(run) = &self.run else { return Ok(()) };
        let statement = include_str!("statements/add_mapping.sql");
        let params = values![run.number, place as u64, serde_json::to_string(record)?];
        self.waiting.push(Change { statement, params });
        self.write().await
    }

    async fn end(&mut self, summary: &SummaryRecord) -> Result<(), LedgerError> {
        self.write().await?;
        let Some(run) = self.run.take() else { return Ok(()) };
        let params = values![serde_json::to_string(summary)?, run.number];
        self.store.change(include_str!("statements/end_run.sql"), params).await?;
        retention::forget(&self.store, &run.spec).await
    }
}

impl Running {
    fn next_place(&mut self) -> i64 {
        self.places += 1;
        self.places - 1
    }
}

/// The secret that the ledger holds, or a new one. A newer ledger without one keeps none.
async fn secret_of(store: &Store) -> Result<Vec<u8>, LedgerError> {
    let find = include_str!("statements/find_secret.sql");
    if let Some(found) = store.first(find, values![SECRET]).await? {
        return Ok(found.bytes(0)?.to_vec());
    }
    let secret = random_secret().to_vec();
    let add = include_str!("statements/add_secret.sql");
    store.change(add, values![SECRET, &secret[..]]).await?;
    // Of two processes that begin with a new ledger one was first.
    match store.first(find, values![SECRET]).await? {
        Some(found) => Ok(found.bytes(0)?.to_vec()),
        None => Ok(secret),
    }
}
