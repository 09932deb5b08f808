//! What all mappings of a run share: the queue of candidates, what is to be told, the options, the clock.
//!
//! Nobody speaks to the observer in the middle of a thought: what happens is put down here, and told
//! in one go before the run waits again. On the way the diagnosis says why rows differ, and the ledger,
//! which may lie on another machine, writes it down and says how long they have.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::clock;
use super::mapping::recheck::Queue;
use super::options::{Options, Stop};
use crate::compare::RangeComparison;
use crate::diagnosis::Diagnosis;
use crate::event::{Event, Observer};
use crate::finding::format_timestamp;
use crate::ledger::{Checked, Interrupted, LedgerError, Recorder, StoredChunks, StoredPass};
use crate::plan::MappingPlan;
use crate::row::{Coverage, KeyRange, VerifiedBy};

/// The dispatcher's desk.
pub(super) struct Desk<'o> {
    pub(super) queue: Queue,
    /// What has happened since the last telling.
    untold: Vec<Event>,
    diagnosis: Diagnosis,
    recorder: Option<&'o mut Recorder>,
    observer: &'o mut dyn Observer,
    /// When the run began that goes on, or is told as a whole.
    began_before: Option<jiff::Timestamp>,
    /// How long others had been at it when this process came to a run of many.
    under_way: Duration,
    pub(super) options: Options,
    pub(super) clock: Clock,
    /// Who wants it to stop does not wait for a ledger that does not answer.
    stop: watch::Receiver<Stop>,
}

/// How long a ledger may take to write something down when the run is to stop.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl<'o> Desk<'o> {
    pub(super) fn new(
        options: Options,
        diagnosis: Diagnosis,
        recorder: Option<&'o mut Recorder>,
        observer: &'o mut dyn Observer,
        stop: watch::Receiver<Stop>,
    ) -> Desk<'o> {
        let (queue, untold, clock) = (Queue::default(), Vec::new(), Clock::start());
        let (began_before, under_way) = (None, Duration::ZERO);
        Desk {
            queue,
            untold,
            diagnosis,
            recorder,
            observer,
            began_before,
            under_way,
            options,
            clock,
            stop,
        }
    }

    /// Something has happened.
    pub(super) fn tell(&mut self, event: Event) {
        self.untold.push(event);
    }

    /// The run that begins is one that goes on.
    pub(super) fn go_on(&mut self, interrupted: &Interrupted) {
        if let Some(recorder) = &mut self.recorder {
            recorder.resume(interrupted);
        }
        self.began_before = interrupted.record.started_at.parse().ok();
        let mut record = interrupted.record.clone();
        record.resumed_at.push(self.clock.text(Duration::ZERO));
        self.tell(Event::RunStarted(record));
    }

    /// The run that begins is one of many processes, which have compared all of it.
    pub(super) fn tell_whole(&mut self, begun: &Interrupted) {
        if let Some(recorder) = &mut self.recorder {
            recorder.resume(begun);
        }
        self.began_before = begun.record.started_at.parse().ok();
        let under_way = self.began_before.map(|began| self.clock.wall.duration_since(began));
        self.under_way = under_way.and_then(|time| time.try_into().ok()).unwrap_or_default();
        self.tell(Event::RunStarted(begun.record.clone()));
    }

    /// How long the run has taken: since it was last gone on with, or of many processes since the first
    /// of them began.
    pub(super) fn elapsed(&self) -> Duration {
        self.under_way + self.clock.now()
    }

    /// Returns what the ranges that this run has verified are marked with: nothing of them was read before
    /// the second in which it began, and some of it perhaps no later.
    pub(super) fn verified_by(&self) -> VerifiedBy {
        let began = self.began_before.map_or(self.clock.wall, |before| before.min(self.clock.wall));
        let at = format_timestamp(jiff::Timestamp::from_second(began.as_second()).unwrap_or(began));
        let run = self.recorder.as_ref().and_then(|recorder| recorder.number());
        VerifiedBy { run: run.unwrap_or_default(), at }
    }

    /// Whether it is written down where the run stands.
    pub(super) fn keeps(&self) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.keeps())
    }

    /// Whether the last writing was long enough ago for something that costs more than a line.
    pub(super) fn is_time_to_keep(&self) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.is_time())
    }

    /// How long until something has to be written, if anything waits.
    pub(super) fn until_written(&self) -> Option<Duration> {
        self.recorder.as_ref().and_then(|recorder| recorder.due())
    }

    pub(super) fn keep_chunk(
        &mut self,
        mapping: &str,
        of: (u64, &KeyRange, u64),
        checked: Checked<'_>,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep_chunk(mapping, of, checked);
        }
    }

    pub(super) fn keep_pass(&mut self, mapping: &str, state: &impl Serialize) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep_pass(mapping, state);
        }
    }

    pub(super) fn keep_ruling(
        &mut self,
        mapping: &str,
        of: &impl Serialize,
        ruled: &impl Serialize,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep_ruling(mapping, of, ruled);
        }
    }

    pub(super) async fn rulings<K: DeserializeOwned + Eq + Hash, V: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<(HashMap<K, V>, u64), LedgerError> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.rulings(mapping)).await,
            None => Ok((HashMap::new(), 0)),
        }
    }

    pub(super) async fn kept(&self, mapping: &str) -> Result<StoredChunks, LedgerError> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.kept(mapping)).await,
            None => Ok(StoredChunks::default()),
        }
    }

    pub(super) async fn damaged_shards(&self, mapping: &str) -> Result<u64, LedgerError> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.damaged_shards(mapping)).await,
            None => Ok(0),
        }
    }

    pub(super) fn forget_chunk(&mut self, mapping: &str, place: i64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.forget_chunk(mapping, place);
        }
    }

    /// Returns whether a run that goes on compares a mapping from its start.
    pub(super) fn starts_over(&self, mapping: &str) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.starts_over(mapping))
    }

    pub(super) fn forget_checkpoints(&mut self, mapping: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.forget_checkpoints(mapping);
        }
    }

    pub(super) async fn kept_pass<T: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<StoredPass<T>, LedgerError> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.pass(mapping)).await,
            None => Ok(StoredPass::Nothing),
        }
    }

    pub(super) async fn outcome(
        &self,
        mapping: &str,
        chunk: u64,
    ) -> Result<RangeComparison, LedgerError> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.outcome(mapping, chunk)).await,
            None => Ok(RangeComparison::default()),
        }
    }

    /// Which part of a mapping was verified when, before this run. A ledger that cannot say it is not
    /// asked for another.
    pub(super) async fn coverage(
        &mut self,
        scope: &str,
        plan: &MappingPlan,
    ) -> Result<Option<Coverage>, LedgerError> {
        let Some(recorder) = self.recorder.as_ref().filter(|recorder| recorder.keeps()) else {
            return Ok(None);
        };
        let answer = self.in_time(recorder.coverage(scope, &plan.name, &plan.key_text())).await;
        if let (Err(error), Some(recorder)) = (&answer, &mut self.recorder) {
            recorder.give_up(error);
        }
        answer
    }

    pub(super) fn keep_coverage(&mut self, plan: &MappingPlan, coverage: &Coverage) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep_coverage(&plan.name, &plan.key_text(), coverage);
        }
    }

    pub(super) async fn reason(&self, mapping: &str, chunk: u64) -> Result<String, LedgerError> {
        match &self.recorder {
            Some(recorder) => self.in_time(recorder.reason(mapping, chunk)).await,
            None => Ok(String::new()),
        }
    }

    /// From now on a ledger hears of the run.
    pub(super) fn hear(&mut self, recorder: &'o mut Recorder) {
        self.recorder = Some(recorder);
    }

    /// The ledger hears no more of the run: others go on with it.
    pub(super) fn leave(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.leave();
        }
    }

    /// What the ledger says, unless it takes longer than there is time.
    async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, LedgerError>>,
    ) -> Result<T, LedgerError> {
        tokio::select! {
            answer = Box::pin(asked) => answer,
            () = out_of_time(self.stop.clone(), LAST_WORDS, self.left()) => Err(LedgerError::no_answer()),
        }
    }

    /// Returns how long a server may take to tell its clock: not longer than there is time, and not long
    /// if the run is to stop, or has lost a server.
    pub(super) fn patience(&self, is_lost: bool) -> Duration {
        let patience = match *self.stop.borrow() {
            Stop::No if !is_lost => clock::PATIENCE,
            Stop::No | Stop::Soon => clock::LAST_PATIENCE,
            Stop::Now => Duration::ZERO,
        };
        self.left().map_or(patience, |left| left.min(patience))
    }

    /// How much time is left, if it is bounded.
    fn left(&self) -> Option<Duration> {
        self.options.deadline.map(|all| all.saturating_sub(self.clock.now()))
    }

    /// Tells what has happened.
    pub(super) async fn tell_all(&mut self) {
        let mut events = std::mem::take(&mut self.untold);
        events.iter_mut().for_each(|event| self.diagnosis.add_event(event));
        let left = self.left();
        if let Some(recorder) = &mut self.recorder {
            let in_time = tokio::select! {
                () = Box::pin(recorder.take(&mut events)) => true,
                () = out_of_time(self.stop.clone(), LAST_WORDS, left) => false,
            };
            if !in_time {
                recorder.give_up(&LedgerError::no_answer());
            }
        }
        events.drain(..).for_each(|event| self.observer.observe(&event));
        self.untold = events;
    }
}

/// A while after a wish to stop, or when there is no time left.
pub(super) async fn out_of_time(
    mut stop: watch::Receiver<Stop>,
    patience: Duration,
    left: Option<Duration>,
) {
    let stopped = async {
        // Nobody who could wish it may be left.
        if stop.wait_for(|stop| *stop != Stop::No).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        () = stopped => {}
        () = reached(left.map(|left| tokio::time::Instant::now() + left)) => {}
    }
}

/// The run's own clock: monotonic, with the wall time at which it began. A wall clock that steps
/// back in the middle of a run changes no duration.
pub(super) struct Clock {
    started: Instant,
    wall: jiff::Timestamp,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { started: Instant::now(), wall: jiff::Timestamp::now() }
    }

    /// The day on which the run began, in UTC.
    pub(super) fn today(&self) -> jiff::civil::Date {
        self.wall.to_zoned(jiff::tz::TimeZone::UTC).date()
    }

    /// Since the run began.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A moment of the run as records write it.
    pub(super) fn text(&self, at: Duration) -> String {
        let since = jiff::SignedDuration::try_from(at).unwrap_or_default();
        format_timestamp(self.wall.checked_add(since).unwrap_or(self.wall))
    }
}

/// Waits for the deadline; without one, for ever.
pub(super) async fn reached(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
