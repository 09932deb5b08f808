//! One run from its beginning to its summary: rounds of giving out work and taking in what comes of it.
//!
//! Each round waits for one thing: a result, a suspect that falls due, something to be written or read
//! again in the ledger, a wish to stop, the deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::clock::server_clocks;
use super::desk::{Desk, reached};
use super::dispatcher::Dispatcher;
use super::mapping::MappingState;
use super::mapping::again::Again;
use super::mapping::slice::Slice;
use super::options::{Options, Stop};
use super::pace::watch::Watch;
use super::prepare::Prepared;
use super::work::worker::World;
use crate::diagnosis::Diagnosis;
use crate::event::{Event, Observer};
use crate::finding::{NamedValues, RunRecord, SummaryRecord};
use crate::ledger::{Interrupted, Recorder};
use crate::problem::Problem;
use crate::row::{Coverage, KeyRange};
use crate::spec::Spec;

/// How long work in hand may go on after a wish to stop, before it is cancelled. A deadline is seen
/// coming by as much.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Why a run stops whose time is over.
pub(super) const OUT_OF_TIME: &str = "the deadline was reached";
/// Why a run stops that is to wait where it cannot see what for.
pub(super) const BLIND: &str = "a server that has limits could not say how it is";

/// How much of the time that a run has is for work: of a short one half.
pub(super) fn works(all: Duration) -> Duration {
    all - GRACE.min(all / 2)
}

/// The chunks that are on their way when a slice ends come to their end within this.
const LAST_CHUNKS: Duration = Duration::from_secs(1);

/// Which run it is.
#[derive(Clone, Debug)]
pub enum Begin {
    /// A new one, with this id.
    New(String),
    /// One that was interrupted goes on.
    Resumed(Box<Interrupted>),
}

/// Who hears of a run: the ledger first, which says of findings how long they have been there.
pub struct Audience<'o> {
    /// The ledger, if the run is remembered.
    pub recorder: Option<&'o mut Recorder>,
    /// Everyone else.
    pub observer: &'o mut dyn Observer,
}

/// Compares every mapping of a spec. The observer hears of everything; the summary comes back too.
pub async fn compare(
    prepared: Prepared,
    begin: Begin,
    options: Options,
    audience: Audience<'_>,
    stop: watch::Receiver<Stop>,
) -> SummaryRecord {
    conduct(prepared, What::Everything, begin, options, audience, stop).await
}

/// What a run looks at, mapping by mapping.
pub(super) enum What {
    Everything,
    /// What an earlier run found.
    Again(Vec<Again>),
    /// What has gone unverified for longest, as far as the deadline lets it.
    Slices(Vec<Slice>),
}

/// Moves a run from its beginning to its summary.
pub(super) async fn conduct(
    prepared: Prepared,
    what: What,
    begin: Begin,
    options: Options,
    audience: Audience<'_>,
    mut stop: watch::Receiver<Stop>,
) -> SummaryRecord {
    let Prepared { spec, servers, pools, mut plans, .. } = prepared;
    let (stop_work, stop_workers) = watch::channel(Stop::No);
    let (events, mut retries) = mpsc::unbounded_channel();
    let Audience { recorder, observer } = audience;
    let diagnosis = Diagnosis::new(&plans);
    let mut desk = Desk::new(options, diagnosis, recorder, observer, stop.clone());
    match &begin {
        Begin::New(id) => {
            let mut record = new_record(&spec, id.clone(), &desk.options);
            // What is verified counts from the same moment, to the second.
            record.started_at = desk.clock.text(Duration::ZERO);
            record.clocks = server_clocks(&pools, desk.patience(false)).await;
            desk.tell(Event::RunStarted(record));
        }
        Begin::Resumed(interrupted) => desk.go_on(interrupted),
    }
    plans.iter_mut().for_each(|plan| plan.accepts.expire(desk.clock.today()));
    let plans = plans.into_iter().map(Arc::new).collect();
    let world = World::new(&spec, pools, plans, &desk.options, stop_workers, events);
    let world = Arc::new(world);
    let watch = Watch::new(Arc::clone(&world), &servers, &spec.pace, desk.options.settle);
    let mut dispatcher = Dispatcher::new(world, desk, watch, stop_work);
    dispatcher.look_at(what);
    let stood = match begin {
        Begin::Resumed(_) => dispatcher.restore(false).await,
        Begin::New(_) => Ok(()),
    };
    match stood {
        Ok(()) => drop(dispatcher.run(&mut retries, &mut stop).await),
        Err(error) => {
            dispatcher.let_go(&format!("the ledger does not say where it stood: {error}"))
        }
    }
    dispatcher.finish(&spec.scope()).await
}

/// What a new run is asked.
pub(super) fn new_record(spec: &Spec, id: String, options: &Options) -> RunRecord {
    let params = spec.params.iter().map(|param| (param.name.clone(), param.value.clone()));
    let params = NamedValues(params.collect());
    let mut record = RunRecord::new(id, &spec.name, spec.hash.clone(), spec.scope(), params);
    record.sample = options.sample.map(|share| format!("{}%", share * 100.0));
    record.since = options.since.as_ref().map(|since| since.text.clone());
    record.slice = options.slice;
    record.mappings.clone_from(&options.mappings);
    record
}

impl Dispatcher<'_> {
    /// Looks at this, and at nothing else.
    fn look_at(&mut self, what: What) {
        let plans = self.world.plans.iter().enumerate();
        let options = &self.desk.options;
        self.mappings = match what {
            What::Everything => return,
            What::Again(again) => plans
                .zip(again)
                .map(|((index, plan), again)| MappingState::again(index, plan, options, again))
                .collect(),
            What::Slices(slices) => plans
                .zip(slices)
                .map(|((index, plan), slice)| MappingState::slice(index, plan, options, slice))
                .collect(),
        };
    }

    /// Ends the run: what was verified is written down, and the summary told.
    pub(super) async fn finish(&mut self, scope: &str) -> SummaryRecord {
        self.finish_mappings();
        if self.desk.options.covers() {
            self.keep_coverage(scope).await;
        }
        let patience = self.desk.patience(self.lost_server);
        let clocks = server_clocks(&self.world.pools, patience).await;
        let summary = self.summary(clocks);
        self.desk.tell_all().await;
        summary
    }

    /// Writes down which part of each mapping was verified by this run.
    async fn keep_coverage(&mut self, scope: &str) {
        let by = self.desk.verified_by();
        for mapping in self.mappings.iter().filter(|mapping| mapping.account.is_sound()) {
            let account = &mapping.account;
            let (plan, order) = (&account.plan, &account.plan.order);
            let rows = account.tally.books.map(|side| side.read);
            let rows = rows.source.max(rows.target);
            let whole = account.is_whole(self.desk.options.max_unsettled);
            let coverage = if whole {
                let mut coverage = Coverage::nothing(rows);
                coverage.mark(&KeyRange::everything(), rows, Some(&by), order);
                coverage
            } else {
                // What is known stays as it is where nobody says what it is.
                let Ok(known) = self.desk.coverage(scope, plan).await else { continue };
                let estimated = plan.estimated_rows().unwrap_or(0);
                let mut coverage = known.unwrap_or_else(|| Coverage::nothing(estimated));
                account.verified.mark(&mut coverage, &by, order);
                coverage
            };
            self.desk.keep_coverage(plan, &coverage);
        }
    }

    /// Comes back to where the run stood.
    pub(super) async fn restore(&mut self, whole: bool) -> Result<(), Problem> {
        // The ledger has to know that the run goes on.
        self.desk.tell_all().await;
        for index in 0..self.mappings.len() {
            self.start(index);
            self.mappings[index].restore(whole, &mut self.desk).await?;
        }
        Ok(())
    }

    /// Does what is to be done. Tells whether it was stopped before that was all of it.
    pub(super) async fn run(
        &mut self,
        retries: &mut mpsc::UnboundedReceiver<Event>,
        stop: &mut watch::Receiver<Stop>,
    ) -> bool {
        let Options { deadline: all, settle, slice, .. } = self.desk.options;
        let now = tokio::time::Instant::now();
        let scans = all.map(works);
        let deadline = scans.map(|scans| now + scans);
        // A slice ends when it has to, with time left to settle what it has found.
        let settles = |scans: Duration| (settle * 4).max(LAST_CHUNKS).min(scans / 2);
        let mut leaves = scans.filter(|_| slice).map(|scans| now + scans - settles(scans));
        while !self.is_done() {
            self.give_out();
            self.desk.tell_all().await;
            if self.is_stuck() {
                self.let_go("the run lost its thread");
                return false;
            }
            let (pause, writing) = (self.until_due(), self.desk.until_written());
            tokio::select! {
                Some(done) = self.in_flight.join_next() => self.take_in(done.ok()),
                answers = self.watch.next() => self.watched(answers),
                Some(event) = retries.recv() => self.desk.tell(event),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                () = tokio::time::sleep(writing.unwrap_or_default()), if writing.is_some() => {}
                () = std::future::ready(()), if self.recalls() => self.recall().await,
                Ok(()) = stop.changed() => return self.finish_soon(stop).await,
                // One that has seen nothing yet has not moved on.
                () = reached(leaves), if self.has_read() => {
                    leaves = None;
                    self.mappings.iter_mut().for_each(|mapping| mapping.leave(&mut self.desk));
                }
                () = reached(deadline) => {
                    self.stopping = OUT_OF_TIME;
                    return self.finish_soon(stop).await;
                }
            }
            if self.watch.is_blind() {
                self.stopping = BLIND;
                return self.finish_soon(stop).await;
            }
            self.finish_mappings();
        }
        false
    }

    /// Whether any row was read.
    fn has_read(&self) -> bool {
        let books = self.mappings.iter().map(|mapping| &mapping.account.tally.books);
        books.into_iter().any(|books| books.any(|side| side.read > 0))
    }

    /// Lets what is in hand come to its end, and lets go of the rest.
    async fn finish_soon(&mut self, stop: &mut watch::Receiver<Stop>) -> bool {
        self.finish_in_hand(stop).await;
        self.let_go(self.stopping);
        true
    }

    /// Lets what is in hand come to its end, for a while; then cancels it.
    pub(super) async fn finish_in_hand(&mut self, stop: &mut watch::Receiver<Stop>) {
        let mut urgency = Stop::Soon.max(*stop.borrow());
        if urgency < Stop::Now {
            self.desk.tell(Event::Stopping { reason: self.stopping.into() });
        }
        self.stop_work.send_replace(urgency);
        self.desk.tell_all().await;
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while !self.in_flight.is_empty() {
            tokio::select! {
                Some(done) = self.in_flight.join_next() => self.take_in(done.ok()),
                () = &mut grace, if urgency < Stop::Now => urgency = Stop::Now,
                Ok(()) = stop.changed() => urgency = *stop.borrow(),
            }
            self.stop_work.send_replace(urgency);
            self.desk.tell_all().await;
        }
    }
}
