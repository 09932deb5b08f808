//! Writes a run down as it happens, and tells each finding how long it has been there.
//!
//! Findings are written some hundred at a time, so that neither memory nor the disk's flushes grow
//! with them. The first trouble ends the recording and is kept for one warning; the run goes on.

use std::fmt;
use std::time::{Duration, Instant};

use super::error::LedgerError;
use super::identity::{identity, image};
use super::interrupted::Interrupted;
use super::lease::Lease;
use super::retention;
use super::store::Store;
use super::value::{Change, values};
use crate::event::Event;
use crate::finding::{Finding, MappingRecord, Recurrence, RunRecord, SummaryRecord, Undecided};
use crate::row::{Veil, random_secret};

/// Changes that may wait to be written.
const TOGETHER: usize = 2_000;
/// How long one may wait: what was told survives a `kill -9` a moment later.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A run on its way into the ledger.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    verb: &'static str,
    veil: Veil,
    secret: Vec<u8>,
    /// What the run is asked, to be held against what a resumption is asked.
    terms: Option<String>,
    /// The run that goes on, if it is not a new one.
    resumed: Option<i64>,
    run: Option<Running>,
    /// What waits to be written.
    waiting: Vec<Change>,
    written: Instant,
    trouble: Option<LedgerError>,
    /// Who else may write it, nobody as long as this is held.
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Running {
    number: i64,
    spec: String,
    scope: String,
    /// The next place: findings and undecided ranges stand in the order in which they were told.
    next_place: i64,
    /// The first place since the run was resumed. What was told before is told again, or not true any
    /// more.
    first_place: i64,
    /// Findings that wait to be written.
    findings: u64,
    /// The place in the ledger's order of the last run of the scope before it that compared all of it.
    whole_before: Option<i64>,
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
        Ok(Recorder {
            store,
            verb,
            veil,
            secret,
            terms: None,
            resumed: None,
            run: None,
            waiting,
            written,
            trouble: None,
            lease: None,
        })
    }

    /// The ledger's own secret, under which redacted values look alike in all of its runs.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Writes only as long as this is held: a process that was away for long has lost it.
    pub fn hold_on_to(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// What the run is asked, before it begins.
    pub fn set_terms(&mut self, terms: String) {
        self.terms = Some(terms);
    }

    /// The run that begins is this one, which goes on.
    pub fn resume(&mut self, interrupted: &Interrupted) {
        self.resumed = Some(interrupted.number);
    }

    /// Whether a run goes on that was begun before.
    pub fn resumes(&self) -> bool {
        self.resumed.is_some()
    }

    /// How long what waits may still wait; nothing if nothing waits.
    pub fn due(&self) -> Option<Duration> {
        let waits = !self.waiting.is_empty() && self.trouble.is_none();
        waits.then(|| LONGEST_WAIT.saturating_sub(self.written.elapsed()))
    }

    /// Whether it is written down where the run stands.
    pub fn keeps(&self) -> bool {
        self.keeping().is_some()
    }

    /// Whether what waits is about to be written anyway.
    pub fn is_time(&self) -> bool {
        self.written.elapsed() >= LONGEST_WAIT
    }

    /// The scope of the run under way, if it is one whose coverage counts.
    pub(super) fn scope(&self) -> Option<&str> {
        self.keeping()?;
        self.run.as_ref().map(|run| run.scope.as_str())
    }

    pub(super) fn terms(&self) -> Option<&str> {
        self.terms.as_deref()
    }

    /// Leaves a run that is not at its end to other processes.
    pub fn leave(&mut self) {
        self.run = None;
        self.waiting.clear();
    }

    /// What it writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the number of the run under way, or of the one that is to go on.
    pub fn number(&self) -> Option<i64> {
        self.run.as_ref().map(|run| run.number).or(self.resumed)
    }

    /// The number of the run under way if it can be resumed one day.
    pub(super) fn keeping(&self) -> Option<i64> {
        self.number().filter(|_| self.terms.is_some() && self.trouble.is_none())
    }

    /// Has something written soon.
    pub(super) fn put(&mut self, change: Change) {
        self.waiting.push(change);
    }

    /// Takes events in, in their order; findings come to know when they were first seen.
    pub async fn take(&mut self, events: &mut [Event]) {
        if self.trouble.is_none() {
            self.trouble = self.take_all(events).await.err();
        }
    }

    /// Writes no more, for this reason.
    pub fn give_up(&mut self, why: &LedgerError) {
        self.trouble.get_or_insert_with(|| why.clone());
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
                _ => {}
            }
        }
        self.write_some().await
    }

    async fn begin(&mut self, run: &RunRecord) -> Result<(), LedgerError> {
        if let Some(number) = self.resumed {
            return self.go_on(number, run).await;
        }
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
            self.store.next_number().await?,
        ];
        let added = self.store.change(statement, params).await?;
        let number = added.first().map_or(Ok(0), |record| record.int(0))?;
        let (next_place, first_place, findings) = (0, 0, 0);
        let whole_before = self.store.whole_before(&scope, number).await?;
        self.run =
            Some(Running { number, spec, scope, next_place, first_place, findings, whole_before });
        self.agree(number).await?;
        retention::forget_checkpoints(&self.store, &run.spec).await
    }

    /// Goes on with a run: what it told before is known until it is at its end.
    async fn go_on(&mut self, number: i64, run: &RunRecord) -> Result<(), LedgerError> {
        let last = self.store.first(include_str!("statements/last_place.sql"), values![number]);
        let next_place = last.await?.map_or(Ok(-1), |record| record.int(0))? + 1;
        let began = self.store.next_number().await?;
        let params = values![serde_json::to_string(run)?, began, number];
        self.store.change(include_str!("statements/resume_run.sql"), params).await?;
        let (spec, scope) = (run.spec.clone(), run.scope.clone());
        let (first_place, findings) = (next_place, 0);
        let whole_before = self.store.whole_before(&scope, number).await?;
        self.run =
            Some(Running { number, spec, scope, next_place, first_place, findings, whole_before });
        self.agree(number).await
    }

    async fn agree(&self, number: i64) -> Result<(), LedgerError> {
        let Some(terms) = &self.terms else { return Ok(()) };
        let params = values![number, terms.as_str()];
        self.store.change(include_str!("statements/put_terms.sql"), params).await.map(drop)
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
        let earlier = self.store.earlier(&identities, run.number).await?;
        for (identity, finding) in &mut findings {
            let Some(sight) = earlier.get(identity) else { continue };
            finding.first_seen.clone_from(&sight.first_seen);
            finding.runs = sight.runs;
            // If not, it was this run that saw it first, before it was interrupted.
            if sight.run != run.number {
                finding.runs += 1;
                finding.recurrence = Some(match run.whole_before {
                    Some(whole) if sight.order < whole => Recurrence::Returned,
                    _ if sight.image == image(&self.veil, finding) => Recurrence::Same,
                    _ => Recurrence::Changed,
                });
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
        let findings = std::mem::take(&mut run.findings);
        if findings > 0 {
            let statement = include_str!("statements/count_findings.sql");
            waiting.push(Change { statement, params: values![findings, run.number] });
        }
        if waiting.is_empty() {
            return Ok(());
        }
        self.together(waiting).await
    }

    /// Makes changes, if the run is still this process's.
    async fn together(&self, changes: Vec<Change>) -> Result<(), LedgerError> {
        let fence = self.lease.as_ref().map(Lease::fence);
        self.store.together(fence.into_iter().chain(changes).collect()).await.map(drop)
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
        let (number, first) = (run.number, run.first_place);
        let change = |statement, params| Change { statement, params };
        let summary_text = serde_json::to_string(summary)?;
        let mut changes = Vec::new();
        if first > 0 {
            for statement in [
                include_str!("statements/forget_earlier_findings.sql"),
                include_str!("statements/forget_earlier_undecided.sql"),
            ] {
                changes.push(change(statement, values![number, first]));
            }
            changes.push(change(include_str!("statements/count_again.sql"), values![number]));
        }
        if summary.complete {
            changes.extend(retention::CHECKPOINTS.map(|stale| change(stale, values![number])));
        }
        let ended = self.store.next_number().await?;
        let params = values![summary_text, ended, number];
        changes.push(change(include_str!("statements/end_run.sql"), params));
        self.together(changes).await?;
        retention::forget(&self.store, &run.spec).await
    }
}

impl Running {
    fn next_place(&mut self) -> i64 {
        self.next_place += 1;
        self.next_place - 1
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
