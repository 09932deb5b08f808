//! What all mappings of a run share: the queue of candidates, the events to send, the options, the clock,
//! the ledger.
//!
//! Events are collected, and sent in one go before the run waits again. The diagnosis adds why rows
//! differ, and the ledger, which may be on another machine, stores findings and adds how long they have
//! existed.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::candidates::{CandidateSettings, Context, RecheckQueue, RunClock};
use crate::compare::RangeComparison;
use crate::diagnosis::Diagnosis;
use crate::event::{Event, Observer};
use crate::finding::format_timestamp;
use crate::ledger::{self, InterruptedRun, Recorder, StoredBlockScan, StoredChunks};
use crate::plan::MappingPlan;
use crate::prepare::{CLOCK_PATIENCE, LAST_CLOCK_PATIENCE, Options, Stop};
use crate::problem::Problem;
use crate::row::{Coverage, VerifiedBy};

/// What all mappings of a run share.
pub(super) struct RunContext<'o> {
    pub(super) queue: RecheckQueue,
    /// The events since they were last sent.
    events: Vec<Event>,
    diagnosis: Diagnosis,
    recorder: Option<&'o mut Recorder>,
    observer: &'o mut dyn Observer,
    /// When the run began that is resumed or completed.
    began_before: Option<jiff::Timestamp>,
    /// How long the run had lasted when this process came to a run of many.
    under_way: Duration,
    pub(super) options: Options,
    settings: CandidateSettings,
    pub(super) clock: RunClock,
    /// A signal to stop ends the wait for a ledger that does not answer.
    stop: watch::Receiver<Stop>,
}

/// How long the ledger may take to write when the run is to stop.
const LAST_WRITE: Duration = Duration::from_secs(2);

impl<'o> RunContext<'o> {
    /// Creates the context of a run.
    pub(super) fn new(
        options: Options,
        diagnosis: Diagnosis,
        recorder: Option<&'o mut Recorder>,
        observer: &'o mut dyn Observer,
        stop: watch::Receiver<Stop>,
    ) -> RunContext<'o> {
        let (queue, events, clock) = (RecheckQueue::default(), Vec::new(), RunClock::start());
        let settings = options.settings();
        let (began_before, under_way) = (None, Duration::ZERO);
        RunContext {
            queue,
            events,
            diagnosis,
            recorder,
            observer,
            began_before,
            under_way,
            options,
            settings,
            clock,
            stop,
        }
    }

    /// Returns what a mapping may change.
    pub(super) fn of_mappings(&mut self) -> Context<'_> {
        Context {
            queue: &mut self.queue,
            events: &mut self.events,
            clock: &self.clock,
            settings: &self.settings,
            checkpoints: &mut self.recorder,
        }
    }

    /// Adds an event to those that are sent before the run waits again.
    pub(super) fn report(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Begins a run that was interrupted.
    pub(super) fn begin_resumed(&mut self, interrupted: &InterruptedRun) {
        if let Some(recorder) = &mut self.recorder {
            recorder.resume(interrupted);
        }
        self.began_before = interrupted.record.started_at.parse().ok();
        let mut record = interrupted.record.clone();
        record.resumed_at.push(self.clock.text(Duration::ZERO));
        self.report(Event::RunStarted(record));
    }

    /// Begins to complete a run of many processes, which have compared everything.
    pub(super) fn begin_completion(&mut self, begun: &InterruptedRun) {
        if let Some(recorder) = &mut self.recorder {
            recorder.resume(begun);
        }
        self.began_before = begun.record.started_at.parse().ok();
        let under_way = self.began_before.map(|began| self.clock.began().duration_since(began));
        self.under_way = under_way.and_then(|time| time.try_into().ok()).unwrap_or_default();
        self.report(Event::RunStarted(begun.record.clone()));
    }

    /// Returns how long the run has taken: since it was last resumed or, of many processes, since
    /// the first of them began.
    pub(super) fn elapsed(&self) -> Duration {
        self.under_way + self.clock.now()
    }

    /// Returns what verified ranges are marked with: the second in which the run began. No row was
    /// read before, and some perhaps no later.
    pub(super) fn verified_by(&self) -> VerifiedBy {
        let began =
            self.began_before.map_or(self.clock.began(), |before| before.min(self.clock.began()));
        let at = format_timestamp(jiff::Timestamp::from_second(began.as_second()).unwrap_or(began));
        let run = self.recorder.as_ref().and_then(|recorder| recorder.number());
        VerifiedBy { run: run.unwrap_or_default(), at }
    }

    /// Returns how long until something has to be written to the ledger, if anything waits.
    pub(super) fn until_write_due(&self) -> Option<Duration> {
        self.recorder.as_ref().and_then(|recorder| recorder.time_until_due())
    }

    /// Reads the confirmed parts of one-sided ranges, and the number of damaged ones.
    pub(super) async fn rulings<K: DeserializeOwned + Eq + Hash, V: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<(HashMap<K, V>, u64), Problem> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.read_rulings(mapping)).await,
            None => Ok((HashMap::new(), 0)),
        }
    }

    /// Reads the chunks of a mapping.
    pub(super) async fn kept(&self, mapping: &str) -> Result<StoredChunks, Problem> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.read_chunks(mapping)).await,
            None => Ok(StoredChunks::default()),
        }
    }

    /// Reads the number of damaged shards of a mapping.
    pub(super) async fn damaged_shards(&self, mapping: &str) -> Result<u64, Problem> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.count_damaged_shards(mapping)).await,
            None => Ok(0),
        }
    }

    /// Returns whether a resumed run compares a mapping from its start.
    pub(super) fn starts_over(&self, mapping: &str) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.starts_over(mapping))
    }

    /// Reads how far the table scan of a mapping had come.
    pub(super) async fn kept_pass<T: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<StoredBlockScan<T>, Problem> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.read_block_scan(mapping)).await,
            None => Ok(StoredBlockScan::Nothing),
        }
    }

    /// Reads the outcome of a chunk.
    pub(super) async fn outcome(
        &self,
        mapping: &str,
        chunk: u64,
    ) -> Result<RangeComparison, Problem> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.read_outcome(mapping, chunk)).await,
            None => Ok(RangeComparison::default()),
        }
    }

    /// Reads which part of a mapping was verified when, before this run. A ledger that cannot be
    /// read is not queried for another mapping.
    pub(super) async fn coverage(
        &mut self,
        scope: &str,
        plan: &MappingPlan,
    ) -> Result<Option<Coverage>, Problem> {
        let Some(recorder) = self.recorder.as_ref().filter(|recorder| recorder.is_resumable())
        else {
            return Ok(None);
        };
        let answer =
            self.in_time(recorder.read_coverage(scope, &plan.name, &plan.key_text())).await;
        if let (Err(error), Some(recorder)) = (&answer, &mut self.recorder) {
            recorder.stop_with(error);
        }
        answer
    }

    /// Stores which part of a mapping was verified when.
    pub(super) fn keep_coverage(&mut self, plan: &MappingPlan, coverage: &Coverage) {
        if let Some(recorder) = &mut self.recorder {
            recorder.record_coverage(&plan.name, &plan.key_text(), coverage);
        }
    }

    /// Reads why a chunk could not be compared.
    pub(super) async fn reason(&self, mapping: &str, chunk: u64) -> Result<String, Problem> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.read_reason(mapping, chunk)).await,
            None => Ok(String::new()),
        }
    }

    /// Stores the run in a ledger from now on.
    pub(super) fn attach_ledger(&mut self, recorder: &'o mut Recorder) {
        self.recorder = Some(recorder);
    }

    /// Stores nothing of the run any more: other processes complete it.
    pub(super) fn detach_ledger(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.drop_run();
        }
    }

    /// Waits for the ledger, unless it takes longer than there is time.
    async fn in_time<T>(
        &self,
        query: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        tokio::select! {
            answer = Box::pin(query) => answer,
            () = time_runs_out(self.stop.clone(), LAST_WRITE, self.left()) => Err(ledger::no_answer()),
        }
    }

    /// Returns how long a server may take to report its clock: not longer than there is time, and
    /// not long if the run is to stop or has lost a server.
    pub(super) fn clock_patience(&self, is_lost: bool) -> Duration {
        let patience = match *self.stop.borrow() {
            Stop::No if !is_lost => CLOCK_PATIENCE,
            Stop::No | Stop::Soon => LAST_CLOCK_PATIENCE,
            Stop::Now => Duration::ZERO,
        };
        self.left().map_or(patience, |left| left.min(patience))
    }

    /// Returns how much time is left, if it is limited.
    fn left(&self) -> Option<Duration> {
        self.options.deadline.map(|all| all.saturating_sub(self.clock.now()))
    }

    /// Sends the events to the diagnosis, the ledger and the observer.
    pub(super) async fn send_events(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        events.iter_mut().for_each(|event| self.diagnosis.add_event(event));
        let left = self.left();
        if let Some(recorder) = &mut self.recorder {
            let in_time = tokio::select! {
                () = Box::pin(recorder.record_events(&mut events)) => true,
                () = time_runs_out(self.stop.clone(), LAST_WRITE, left) => false,
            };
            if !in_time {
                recorder.stop_with(&ledger::no_answer());
            }
        }
        events.drain(..).for_each(|event| self.observer.observe(&event));
        self.events = events;
    }
}

/// Waits until some time after a signal to stop, or until no time is left.
pub(super) async fn time_runs_out(
    mut stop: watch::Receiver<Stop>,
    patience: Duration,
    left: Option<Duration>,
) {
    let stopped = async {
        // The sender may be gone.
        if stop.wait_for(|stop| *stop != Stop::No).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        () = stopped => {}
        () = sleep_until_end(left.map(|left| tokio::time::Instant::now() + left)) => {}
    }
}

/// Waits for a deadline; without one, for ever.
pub(super) async fn sleep_until_end(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
