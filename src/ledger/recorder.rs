//! The recorder writes a run to the ledger as it happens, and dates each finding: when it was first
//! seen, and in how many runs.
//!
//! Findings are written some hundred at a time, so that neither memory nor the number of flushes grows
//! with them. The first problem ends the recording and is kept for one warning; the run continues.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use super::checksum::ChecksummedTable;
use super::identity::{identity, image};
use super::interrupted_run::InterruptedRun;
use super::lease::Lease;
use super::problems::{damaged_run, to_json};
use super::redaction::Redaction;
use super::retention;
use super::run_row::RunRow;
use super::storage::store::Store;
use super::storage::stored_row::{LedgerWrite, StoredRow, StoredValue, values};
use crate::event::Event;
use crate::finding::{Finding, MappingRecord, Recurrence, RunRecord, SummaryRecord, Undecided};
use crate::problem::Problem;
use crate::row::Redactor;

/// How many writes may wait in the queue.
const MAX_QUEUED: usize = 2_000;
/// How long a write may wait: what was reported survives a `kill -9` a moment later.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Writes a run to a ledger.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    verb: &'static str,
    redactor: Redactor,
    /// What is compared, as text: a run is resumed only with the same fingerprint.
    run_fingerprint: Option<String>,
    /// The run that is resumed, if it is not a new one.
    resumed: Option<RunRow>,
    run: Option<ActiveRun>,
    /// The queue of writes.
    waiting: Vec<LedgerWrite>,
    written: Instant,
    problem: Option<Problem>,
    /// The lease under which it writes, if the ledger is shared.
    lease: Option<Lease>,
    /// How values are stored that hold redacted keys.
    redaction: Redaction,
}

/// The run that is being recorded.
#[derive(Debug)]
struct ActiveRun {
    /// Its row, as it will be when the queue has been written.
    row: RunRow,
    /// The next place: findings and undecided ranges are stored in the order of their events.
    next_place: i64,
    /// The first place since the run was resumed. Earlier findings are reported again, or are not
    /// true any more.
    first_place: i64,
    /// Findings and undecided ranges since the run was started or resumed, and mappings.
    findings: u64,
    undecided: u64,
    mappings: BTreeSet<usize>,
    /// Whether the queue has findings, which the run's row counts.
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
    /// Makes the recorder of a run. `verb` is the command that is run.
    pub fn new(store: Store, verb: &'static str) -> Recorder {
        let redactor = Redactor::of_secret(store.secret());
        let (waiting, written) = (Vec::new(), Instant::now());
        Recorder {
            store,
            verb,
            redactor,
            run_fingerprint: None,
            resumed: None,
            run: None,
            waiting,
            written,
            problem: None,
            lease: None,
            redaction: Redaction::default(),
        }
    }

    /// Returns the ledger's own secret, under which redacted values have the same hash in all of its runs.
    pub fn secret(&self) -> &[u8] {
        self.store.secret()
    }

    /// Sets the lease: the run is written only as long as it is held, which a process that was
    /// suspended for long has lost.
    pub fn set_lease(&mut self, lease: Lease) {
        self.lease = Some(lease);
    }

    /// Sets which mappings have a redacted key. Must be called before the run starts.
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

    /// Sets the run's fingerprint. Must be called before the run starts; a run without one cannot be
    /// resumed.
    pub fn set_run_fingerprint(&mut self, fingerprint: String) {
        self.run_fingerprint = Some(fingerprint);
    }

    /// Sets the run that is resumed.
    pub fn resume(&mut self, interrupted: &InterruptedRun) {
        self.resumed = Some(interrupted.row.clone());
    }

    /// Returns whether a run is resumed.
    pub fn is_resumed(&self) -> bool {
        self.resumed.is_some()
    }

    /// Returns how long the queue may still wait; `None` if it is empty.
    pub fn time_until_due(&self) -> Option<Duration> {
        let waits = !self.waiting.is_empty() && self.problem.is_none();
        waits.then(|| LONGEST_WAIT.saturating_sub(self.written.elapsed()))
    }

    /// Returns whether checkpoints of the run are stored.
    pub fn is_resumable(&self) -> bool {
        self.resumable_run().is_some()
    }

    /// Returns whether the queue will be written with the next event.
    pub fn is_due(&self) -> bool {
        self.written.elapsed() >= LONGEST_WAIT
    }

    /// Returns the scope of the run, if its coverage is stored.
    pub(super) fn scope(&self) -> Option<&str> {
        self.resumable_run()?;
        self.run.as_ref().map(|run| run.row.scope.as_str())
    }

    /// Leaves an unfinished run to other processes.
    pub fn drop_run(&mut self) {
        self.run = None;
        self.waiting.clear();
    }

    /// Returns the ledger.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns the row of the run, or of the one that will be resumed.
    pub(super) fn row(&self) -> Option<&RunRow> {
        self.run.as_ref().map(|run| &run.row).or(self.resumed.as_ref())
    }

    /// Returns the number of the run, or of the one that will be resumed.
    pub fn number(&self) -> Option<i64> {
        self.row().map(|row| row.number)
    }

    /// Returns the number of the run if it can be resumed when it is interrupted.
    pub(super) fn resumable_run(&self) -> Option<i64> {
        self.number().filter(|_| self.run_fingerprint.is_some() && self.problem.is_none())
    }

    /// Returns a row of the run with its checksum.
    pub(super) fn sealed(
        &self,
        table: ChecksummedTable,
        values: Vec<StoredValue>,
    ) -> Vec<StoredValue> {
        let id = self.row().map_or("", |row| row.id.as_str());
        self.store.checksums().sealed(table, id, values)
    }

    /// Adds a write to the queue.
    pub(super) fn queue(&mut self, change: LedgerWrite) {
        self.waiting.push(change);
    }

    /// Records events in their order, and dates their findings.
    pub async fn record_events(&mut self, events: &mut [Event]) {
        if self.problem.is_none() {
            self.problem = self.record_all(events).await.err();
        }
    }

    /// Stops the recording because of a problem.
    pub fn stop_with(&mut self, why: &Problem) {
        self.problem.get_or_insert_with(|| why.clone());
    }

    /// Returns the problem that ended the recording, if there was one.
    pub fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    async fn record_all(&mut self, events: &mut [Event]) -> Result<(), Problem> {
        self.date_findings(events).await?;
        for event in events {
            match event {
                Event::RunStarted(run) => self.begin_run(run).await?,
                Event::Finding { finding, .. } => self.record_finding(finding).await?,
                Event::Undecided(undecided) => self.record_undecided(undecided).await?,
                Event::MappingFinished { mapping, record } => {
                    self.record_mapping(*mapping, record).await?
                }
                Event::RunFinished(summary) => self.end_run(summary).await?,
                _ => {}
            }
        }
        self.write_if_due().await
    }

    async fn begin_run(&mut self, run: &RunRecord) -> Result<(), Problem> {
        if let Some(row) = self.resumed.clone() {
            return self.resume_run(row, run).await;
        }
        let row = RunRow::new(run, self.verb)?;
        let begin = LedgerWrite {
            statement: include_str!("statements/begin_run.sql"),
            params: row.first_values(self.store.next_number().await?),
        };
        let added =
            self.store.add_run(begin, row.clone(), |row| Ok(self.fingerprint_writes(row))).await?;
        let row = added.unwrap_or(row);
        let whole_before = self.store.find_whole_before(&row.scope, row.number).await?;
        self.run = Some(ActiveRun::new(row, 0, whole_before));
        retention::delete_old_checkpoints(&self.store, &run.spec).await
    }

    /// Resumes a run. Its earlier findings are stored until it ends.
    async fn resume_run(&mut self, mut row: RunRow, run: &RunRecord) -> Result<(), Problem> {
        let last = self.store.first(include_str!("statements/last_place.sql"), values![row.number]);
        let last = last.await?.map_or(Ok(-1), |record| record.int("place"))?;
        let next_place = last.checked_add(1).ok_or_else(|| damaged_run(&row.id))?;
        row.record = to_json(run)?;
        let began = self.store.next_number().await?;
        (row.summary, row.began, row.ended) = (None, Some(began), None);
        (row.undecided, row.mappings) = (0, 0);
        let checksum = row.checksum(self.store.checksums());
        let params = vec![row.record.as_str().into(), began.into(), checksum, row.number.into()];
        let statement = include_str!("statements/resume_run.sql");
        let changes =
            [LedgerWrite { statement, params }].into_iter().chain(self.fingerprint_writes(&row));
        self.store.write_all(changes.collect()).await?;
        let whole_before = self.store.find_whole_before(&row.scope, row.number).await?;
        self.run = Some(ActiveRun::new(row, next_place, whole_before));
        Ok(())
    }

    /// Returns the write of the run's fingerprint; none for a recheck, which has no fingerprint.
    pub(super) fn fingerprint_writes(&self, row: &RunRow) -> Vec<LedgerWrite> {
        let Some(fingerprint) = &self.run_fingerprint else { return Vec::new() };
        let values = values![row.number, fingerprint.as_str()];
        let params = self.store.checksums().sealed(ChecksummedTable::Terms, &row.id, values);
        vec![LedgerWrite { statement: include_str!("statements/put_terms.sql"), params }]
    }

    /// Sets when findings were first seen, and in how many runs.
    async fn date_findings(&self, events: &mut [Event]) -> Result<(), Problem> {
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
        let earlier = self.store.read_prior_sightings(&identities, number).await?;
        for (identity, finding) in &mut findings {
            let Some(sight) = earlier.get(identity) else { continue };
            finding.first_seen.clone_from(&sight.first_seen);
            finding.runs = sight.runs;
            // Otherwise this run found it first, before it was interrupted.
            if sight.run != number {
                finding.runs += 1;
                finding.recurrence = Some(match run.whole_before {
                    Some(whole) if sight.order < whole => Recurrence::Returned,
                    _ if sight.image == image(&self.redactor, finding) => Recurrence::Same,
                    _ => Recurrence::Changed,
                });
            }
        }
        Ok(())
    }

    async fn record_finding(&mut self, finding: &Finding) -> Result<(), Problem> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let statement = include_str!("statements/add_finding.sql");
        let params = values![
            run.row.number,
            run.next_place(),
            &identity(&run.row.scope, finding)[..],
            image(&self.redactor, finding),
            finding.mapping.as_str(),
            finding.kind.name(),
            finding.disposition().name(),
            finding.first_seen.as_str(),
            finding.runs,
            to_json(finding)?,
        ];
        run.findings += 1;
        run.row.findings += 1;
        run.counted = true;
        let params = self.sealed(ChecksummedTable::Finding, params);
        self.waiting.push(LedgerWrite { statement, params });
        self.write_if_due().await
    }

    async fn record_undecided(&mut self, undecided: &Undecided) -> Result<(), Problem> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let statement = include_str!("statements/add_undecided.sql");
        let params = values![run.row.number, run.next_place(), to_json(undecided)?];
        run.undecided += 1;
        let params = self.sealed(ChecksummedTable::Undecided, params);
        self.waiting.push(LedgerWrite { statement, params });
        self.write_if_due().await
    }

    async fn write_if_due(&mut self) -> Result<(), Problem> {
        if self.waiting.len() >= MAX_QUEUED || self.written.elapsed() > LONGEST_WAIT {
            self.write().await?;
        }
        Ok(())
    }

    /// Writes the queue.
    async fn write(&mut self) -> Result<(), Problem> {
        self.written = Instant::now();
        let Some(run) = &mut self.run else { return Ok(()) };
        let mut waiting = std::mem::take(&mut self.waiting);
        if std::mem::take(&mut run.counted) {
            let statement = include_str!("statements/count_findings.sql");
            let checksum = run.row.checksum(self.store.checksums());
            let params = vec![run.row.findings.into(), checksum, run.row.number.into()];
            waiting.push(LedgerWrite { statement, params });
        }
        if waiting.is_empty() {
            return Ok(());
        }
        self.write_all(waiting).await
    }

    /// Makes changes if this process still holds the lease.
    async fn write_all(&self, changes: Vec<LedgerWrite>) -> Result<(), Problem> {
        self.store.write_all_under(self.lease.as_ref().map(Lease::fence).as_ref(), changes).await
    }

    async fn record_mapping(
        &mut self,
        place: usize,
        record: &MappingRecord,
    ) -> Result<(), Problem> {
        let Some(run) = &mut self.run else { return Ok(()) };
        run.mappings.insert(place);
        let statement = include_str!("statements/add_mapping.sql");
        let params = values![run.row.number, place as u64, to_json(record)?];
        let params = self.sealed(ChecksummedTable::Mapping, params);
        self.waiting.push(LedgerWrite { statement, params });
        self.write().await
    }

    async fn end_run(&mut self, summary: &SummaryRecord) -> Result<(), Problem> {
        self.write().await?;
        let Some(run) = self.run.take() else { return Ok(()) };
        let (number, first) = (run.row.number, run.first_place);
        let change = |statement, params| LedgerWrite { statement, params };
        let mut changes: Vec<LedgerWrite> = Vec::new();
        if first > 0 {
            for statement in [
                include_str!("statements/delete_earlier_findings.sql"),
                include_str!("statements/delete_earlier_undecided.sql"),
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
            summary: Some(to_json(summary)?),
            undecided: run.undecided,
            mappings: run.mappings.len() as u64,
            ..run.row
        };
        let ended = self.store.next_number().await?;
        let end = values![row.summary.as_deref().unwrap_or_default(), row.findings, ended, number];
        changes.push(change(include_str!("statements/end_run.sql"), end));
        let checksums = self.store.checksums();
        let seal = |returned: &[StoredRow]| {
            let ended = returned.first().map_or(Ok(None), |record| record.maybe_int("ended"))?;
            Ok(vec![RunRow { ended, ..row.clone() }.seal(checksums)])
        };
        let fence = self.lease.as_ref().map(Lease::fence);
        self.store.write_then(fence.as_ref(), changes, seal).await?;
        retention::delete_old_runs(&self.store, &spec).await
    }
}

impl ActiveRun {
    /// Makes a run that writes from this place on.
    fn new(row: RunRow, first_place: i64, whole_before: Option<i64>) -> ActiveRun {
        ActiveRun {
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
