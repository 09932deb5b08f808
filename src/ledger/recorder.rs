//! Writes a run down as it happens, and tells each finding how long it has been there.
//!
//! Findings are written some hundred at a time, so that neither memory nor the disk's flushes grow
//! with them. The first trouble ends the recording and is kept for one warning; the run goes on.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use super::checksum::Table;
use super::error::LedgerError;
use super::identity::{identity, image};
use super::interrupted::Interrupted;
use super::lease::Lease;
use super::redaction::Redaction;
use super::retention;
use super::run_row::RunRow;
use super::store::Store;
use super::value::{Change, Record, Value, values};
use crate::event::Event;
use crate::finding::{Finding, MappingRecord, Recurrence, RunRecord, SummaryRecord, Undecided};
use crate::row::Redactor;

/// Changes that may wait to be written.
const TOGETHER: usize = 2_000;
/// How long one may wait: what was told survives a `kill -9` a moment later.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A run on its way into the ledger.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    verb: &'static str,
    veil: Redactor,
    /// What the run is asked, to be held against what a resumption is asked.
    terms: Option<String>,
    /// The run that goes on, if it is not a new one.
    resumed: Option<RunRow>,
    run: Option<Running>,
    /// What waits to be written.
    waiting: Vec<Change>,
    written: Instant,
    trouble: Option<LedgerError>,
    /// Who else may write it, nobody as long as this is held.
    lease: Option<Lease>,
    /// How values are stored that hold redacted keys.
    redaction: Redaction,
}

#[derive(Debug)]
struct Running {
    /// Its row, as it is once all that waits is written.
    row: RunRow,
    /// The next place: findings and undecided ranges stand in the order in which they were told.
    next_place: i64,
    /// The first place since the run was resumed. What was told before is told again, or not true any
    /// more.
    first_place: i64,
    /// Findings and undecided ranges since the run began, or was resumed, and mappings.
    findings: u64,
    undecided: u64,
    mappings: BTreeSet<usize>,
    /// Whether findings wait to be written, which its row counts.
    counted: bool,
    /// The place in the ledger's order of the last run of the scope before it that compared all of it.
    whole_before: Option<i64>,
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl Recorder {
    /// Begins with a ledger. `verb` is what the run is.
    ///
    pub fn new(store: Store, verb: &'static str) -> Recorder {
        let veil = Redactor::of_secret(store.secret());
        let (waiting, written) = (Vec::new(), Instant::now());
        Recorder {
            store,
            verb,
            veil,
            terms: None,
            resumed: None,
            run: None,
            waiting,
            written,
            trouble: None,
            lease: None,
            redaction: Redaction::default(),
        }
    }

    /// The ledger's own secret, under which redacted values look alike in all of its runs.
    pub fn secret(&self) -> &[u8] {
        self.store.secret()
    }

    /// Writes only as long as this is held: a process that was away for long has lost it.
    pub fn hold_on_to(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Sets which mappings have a redacted key, before the run begins.
    pub fn set_redaction(&mut self, redaction: Redaction) {
        self.redaction = redaction;
    }

    /// Returns whether the run compares a mapping from its start when it is resumed.
    pub fn starts_over(&self, mapping: &str) -> bool {
        self.redaction.starts_over(mapping)
    }

    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// What the run is asked, before it begins.
    pub fn set_terms(&mut self, terms: String) {
        self.terms = Some(terms);
    }

    /// The run that begins is this one, which goes on.
    pub fn resume(&mut self, interrupted: &Interrupted) {
        self.resumed = Some(interrupted.row.clone());
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
        self.run.as_ref().map(|run| run.row.scope.as_str())
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

    /// The run under way, or the one that is to go on.
    pub(super) fn row(&self) -> Option<&RunRow> {
        self.run.as_ref().map(|run| &run.row).or(self.resumed.as_ref())
    }

    /// Returns the number of the run under way, or of the one that is to go on.
    pub fn number(&self) -> Option<i64> {
        self.row().map(|row| row.number)
    }

    /// The number of the run under way if it can be resumed one day.
    pub(super) fn keeping(&self) -> Option<i64> {
        self.number().filter(|_| self.terms.is_some() && self.trouble.is_none())
    }

    /// Returns a row of the run under way with its checksum.
    pub(super) fn sealed(&self, table: Table, values: Vec<Value>) -> Vec<Value> {
        let id = self.row().map_or("", |row| row.id.as_str());
        self.store.checksums().sealed(table, id, values)
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
        if let Some(row) = self.resumed.clone() {
            return self.go_on(row, run).await;
        }
        let row = RunRow::new(run, self.verb)?;
        let begin = Change {
            statement: include_str!("statements/begin_run.sql"),
            params: row.first_values(self.store.next_number().await?),
        };
        let added = self.store.add_run(begin, row.clone(), |row| Ok(self.terms_of(row))).await?;
        let row = added.unwrap_or(row);
        let whole_before = self.store.whole_before(&row.scope, row.number).await?;
        self.run = Some(Running::new(row, 0, whole_before));
        retention::forget_checkpoints(&self.store, &run.spec).await
    }

    /// Goes on with a run: what it told before is known until it is at its end.
    async fn go_on(&mut self, mut row: RunRow, run: &RunRecord) -> Result<(), LedgerError> {
        let last = self.store.first(include_str!("statements/last_place.sql"), values![row.number]);
        let last = last.await?.map_or(Ok(-1), |record| record.int(0))?;
        let next_place = last.checked_add(1).ok_or_else(|| LedgerError::damaged(&row.id))?;
        row.record = serde_json::to_string(run)?;
        let began = self.store.next_number().await?;
        (row.summary, row.began, row.ended) = (None, Some(began), None);
        (row.undecided, row.mappings) = (0, 0);
        let checksum = row.checksum(self.store.checksums());
        let params = vec![row.record.as_str().into(), began.into(), checksum, row.number.into()];
        let statement = include_str!("statements/resume_run.sql");
        let changes = [Change { statement, params }].into_iter().chain(self.terms_of(&row));
        self.store.together(changes.collect()).await?;
        let whole_before = self.store.whole_before(&row.scope, row.number).await?;
        self.run = Some(Running::new(row, next_place, whole_before));
        Ok(())
    }

    /// Returns the change that writes down what a run is asked; none of a recheck.
    pub(super) fn terms_of(&self, row: &RunRow) -> Vec<Change> {
        let Some(terms) = &self.terms else { return Vec::new() };
        let values = values![row.number, terms.as_str()];
        let params = self.store.checksums().sealed(Table::Terms, &row.id, values);
        vec![Change { statement: include_str!("statements/put_terms.sql"), params }]
    }

    /// Tells findings when they were first seen, and in how many runs.
    async fn date(&self, events: &mut [Event]) -> Result<(), LedgerError> {
        let Some(run) = &self.run else { return Ok(()) };
        let findings = events.iter_mut().filter_map(|event| match event {
            Event::Finding { finding, .. } => Some(finding),
            _ => None,
        });
        let mut findings: Vec<_> =
            findings.map(|finding| (identity(&run.row.scope, finding), finding)).collect();
        let identities: Vec<[u8; 16]> = findings.iter().map(|(identity, _)| *identity).collect();
        if identities.is_empty() {
            return Ok(());
        }
        let number = run.row.number;
        let earlier = self.store.earlier(&identities, number).await?;
        for (identity, finding) in &mut findings {
            let Some(sight) = earlier.get(identity) else { continue };
            finding.first_seen.clone_from(&sight.first_seen);
            finding.runs = sight.runs;
            // If not, it was this run that saw it first, before it was interrupted.
            if sight.run != number {
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
            run.row.number,
            run.next_place(),
            &identity(&run.row.scope, finding)[..],
            image(&self.veil, finding),
            finding.mapping.as_str(),
            finding.kind.name(),
            finding.disposition().name(),
            finding.first_seen.as_str(),
            finding.runs,
            serde_json::to_string(finding)?,
        ];
        run.findings += 1;
        run.row.findings += 1;
        run.counted = true;
        let params = self.sealed(Table::Finding, params);
        self.waiting.push(Change { statement, params });
        self.write_some().await
    }

    async fn undecided(&mut self, undecided: &Undecided) -> Result<(), LedgerError> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let statement = include_str!("statements/add_undecided.sql");
        let params = values![run.row.number, run.next_place(), serde_json::to_string(undecided)?];
        run.undecided += 1;
        let params = self.sealed(Table::Undecided, params);
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
        if std::mem::take(&mut run.counted) {
            let statement = include_str!("statements/count_findings.sql");
            let checksum = run.row.checksum(self.store.checksums());
            let params = vec![run.row.findings.into(), checksum, run.row.number.into()];
            waiting.push(Change { statement, params });
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
        let Some(run) = &mut self.run else { return Ok(()) };
        run.mappings.insert(place);
        let statement = include_str!("statements/add_mapping.sql");
        let params = values![run.row.number, place as u64, serde_json::to_string(record)?];
        let params = self.sealed(Table::Mapping, params);
        self.waiting.push(Change { statement, params });
        self.write().await
    }

    async fn end(&mut self, summary: &SummaryRecord) -> Result<(), LedgerError> {
        self.write().await?;
        let Some(run) = self.run.take() else { return Ok(()) };
        let (number, first) = (run.row.number, run.first_place);
        let change = |statement, params| Change { statement, params };
        let mut changes: Vec<Change> = self.lease.as_ref().map(Lease::fence).into_iter().collect();
        if first > 0 {
            for statement in [
                include_str!("statements/forget_earlier_findings.sql"),
                include_str!("statements/forget_earlier_undecided.sql"),
            ] {
                changes.push(change(statement, values![number, first]));
            }
        }
        if summary.complete {
            changes.extend(retention::CHECKPOINTS.map(|stale| change(stale, values![number])));
        }
        let spec = run.row.spec.clone();
        let row = RunRow {
            findings: run.findings,
            summary: Some(serde_json::to_string(summary)?),
            undecided: run.undecided,
            mappings: run.mappings.len() as u64,
            ..run.row
        };
        let ended = self.store.next_number().await?;
        let end = values![row.summary.as_deref().unwrap_or_default(), row.findings, ended, number];
        changes.push(change(include_str!("statements/end_run.sql"), end));
        let checksums = self.store.checksums();
        let seal = |returned: &[Record]| {
            let ended = returned.first().map_or(Ok(None), |record| record.maybe_int(0))?;
            Ok(vec![RunRow { ended, ..row.clone() }.seal(checksums)])
        };
        self.store.followed(changes, seal).await?;
        retention::forget(&self.store, &spec).await
    }
}

impl Running {
    /// A run that writes from this place on.
    fn new(row: RunRow, first_place: i64, whole_before: Option<i64>) -> Running {
        Running {
            row,
            next_place: first_place,
            first_place,
            findings: 0,
            undecided: 0,
            mappings: BTreeSet::new(),
            counted: false,
            whole_before,
        }
    }

    fn next_place(&mut self) -> i64 {
        self.next_place += 1;
        self.next_place - 1
    }
}
