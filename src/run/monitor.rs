//! Monitors the servers while they are read: queries the state of each side about once a second, checks
//! the pause file, and holds the run back as the throttle decides.
//!
//! Each side has one connection for these queries beside those for data, so that they are answered while
//! the server is busy, and `--jobs 1` keeps one backend busy with data and no more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use crate::event::Event;
use crate::finding::{SummaryRecord, ThrottleRecord};
use crate::pg::{PgError, Remedy, Replay, SessionCounts};
use crate::run::run_context::RunContext;
use crate::run::work::worker::WorkerContext;
use crate::schema::{BySide, Server, Side};
use crate::spec::PaceSettings;
use crate::throttle::{PauseFile, SideLimits, SideLoad, Speed, Throttle, WalPositions};

/// How often a side is queried.
const INTERVAL: Duration = Duration::from_secs(1);
/// A run that is over sooner queries no state, unless there are limits.
const FIRST: Duration = Duration::from_millis(100);
/// How long a side without limits is not queried after an error: nothing depends on its state.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(30);
/// How long the run waits for the state of a side with limits, before it ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// The maximum of reasons that are recorded.
const MOST_REASONS: usize = 5;
/// How far a standby may lag by default, if that is less than half of `settle`.
const DEFAULT_LAG: Duration = Duration::from_secs(10);

/// What the query of a side has returned.
type StateResult = Result<ReportedState, PgError>;
/// What the query of each side has returned, if it was queried.
pub(crate) type StateResults = BySide<Option<StateResult>>;

/// The state of a server.
pub(crate) struct ReportedState {
    sessions: SessionCounts,
    replay: Option<Replay>,
}

/// The monitor of both servers during a run.
pub(crate) struct ServerMonitor {
    workers: Arc<WorkerContext>,
    throttle: Throttle,
    limits: BySide<SideLimits>,
    standby: BySide<bool>,
    pause_file: PauseFile,
    positions: BySide<WalPositions>,
    query: Option<BoxFuture<'static, StateResults>>,
    due: Instant,
    paused_until: BySide<Option<Instant>>,
    unknown_since: Option<Instant>,
    resting: RestingPermits,
    period: Option<ThrottlePeriod>,
    next_period: u64,
    effect: ThrottleRecord,
}

/// Until when permits rest.
#[derive(Debug, Default)]
struct RestingPermits(Vec<Instant>);

impl RestingPermits {
    /// Returns how many permits rest.
    fn count(&mut self, now: Instant) -> usize {
        self.0.retain(|until| *until > now);
        self.0.len()
    }

    /// Returns how long until the next permit has rested. A permit that has rested is returned
    /// once: the run may wait for something else.
    fn next(&mut self, now: Instant) -> Option<Duration> {
        let first = self.0.iter().min().copied()?;
        self.count(now);
        Some(first.saturating_duration_since(now))
    }
}

/// A period at less than full speed.
struct ThrottlePeriod {
    number: u64,
    speed: Speed,
    since: Instant,
}

/// Returns how far a side's replay may lag, if there is a limit. A difference that does not change
/// for `settle` is reported, so what a standby has not replayed must be younger than that.
fn lag_limit(settings: &PaceSettings, settle: Duration, standby: bool) -> Option<Duration> {
    let by_itself = match settle / 2 {
        Duration::ZERO => DEFAULT_LAG,
        half => half.min(DEFAULT_LAG),
    };
    settings.max_replica_lag.or(standby.then_some(by_itself))
}

impl ServerMonitor {
    /// Creates the monitor of a run.
    pub(crate) fn new(
        workers: Arc<WorkerContext>,
        servers: &BySide<Server>,
        settings: &PaceSettings,
        settle: Duration,
    ) -> ServerMonitor {
        let standby = servers.as_ref().map(|server| server.standby);
        let limits = BySide::new(|side| SideLimits {
            lag: lag_limit(settings, settle, standby[side]),
            sessions: settings.max_active_sessions,
        });
        let mut monitor = ServerMonitor {
            workers,
            throttle: Throttle::new(limits),
            limits,
            standby,
            pause_file: PauseFile(settings.pause_file.clone()),
            positions: BySide::default(),
            query: None,
            due: Instant::now(),
            paused_until: BySide::default(),
            unknown_since: None,
            resting: RestingPermits::default(),
            period: None,
            next_period: 0,
            effect: ThrottleRecord::default(),
        };
        monitor.throttle.set_paused(monitor.pause_file.reason());
        if monitor.throttle.decide().0 == Speed::Full {
            monitor.due += FIRST;
        }
        monitor
    }

    /// Waits for the next states. The future may be dropped, and the method called again.
    pub(crate) async fn next(&mut self) -> StateResults {
        let query = match &mut self.query {
            Some(query) => query,
            None => {
                sleep_until(self.due).await;
                self.due = Instant::now() + INTERVAL;
                let wanted = BySide::new(|side| self.state_query(side));
                self.query.insert(Box::pin(query_both(Arc::clone(&self.workers), wanted)))
            }
        };
        let results = query.await;
        self.query = None;
        results
    }

    /// Returns what to query on a side; `None` while it is not queried.
    fn state_query(&self, side: Side) -> Option<StateQuery> {
        let is_paused = self.paused_until[side].is_some_and(|until| Instant::now() < until);
        let lag = self.limits[side].lag.map(|_| self.standby[side]);
        (!is_paused).then_some(StateQuery { lag })
    }

    /// Takes the states of both sides.
    pub(crate) fn take(&mut self, results: StateResults, context: &mut RunContext<'_>) {
        let mut is_unknown = false;
        for (side, result) in [(Side::Source, results.source), (Side::Target, results.target)] {
            let SideLimits { lag, sessions } = self.limits[side];
            let limited = lag.is_some() || sessions.is_some();
            match result.map(|result| result.and_then(|state| self.load(side, state, context))) {
                None => {}
                Some(Ok(load)) => self.throttle.set_load(side, load),
                Some(Err(error)) if limited => {
                    is_unknown = true;
                    self.throttle.set_unknown(side, &error.message);
                    // A server that takes too long, or whose replay conflicts with the query, still answers.
                    if !error.is_transient() && error.remedy != Remedy::Shrink {
                        self.unknown_since = Instant::now().checked_sub(PATIENCE);
                    }
                }
                Some(Err(_)) => self.paused_until[side] = Some(Instant::now() + PAUSE_AFTER_ERROR),
            }
        }
        self.unknown_since = is_unknown.then(|| self.unknown_since.unwrap_or_else(Instant::now));
        self.throttle.set_paused(self.pause_file.reason());
        self.set_speed(context);
    }

    fn load(
        &mut self,
        side: Side,
        state: ReportedState,
        context: &RunContext<'_>,
    ) -> Result<SideLoad, PgError> {
        let ReportedState { sessions, replay } = state;
        if self.limits[side].sessions.is_some() && !sessions.seen {
            return Err(PgError::unexpected("the role may not see other sessions"));
        }
        let lag = match replay {
            None => None,
            Some(Replay::Standby { caught_up: true, .. }) => Some(Duration::ZERO),
            Some(Replay::Standby { age: Some(age), .. }) => Some(age),
            Some(Replay::Standby { age: None, .. }) => {
                return Err(PgError::transient("it does not report what it has replayed"));
            }
            Some(Replay::Primary { position, standbys }) => {
                self.positions[side].take(context.clock.now(), position, &standbys)
            }
        };
        self.effect.record_lag(lag);
        Ok(SideLoad { lag, sessions })
    }

    /// Decides the speed, and reports a change.
    fn set_speed(&mut self, context: &mut RunContext<'_>) {
        let (speed, reason) = self.throttle.decide();
        let before = self.period.as_ref().map_or(Speed::Full, |period| period.speed);
        if speed == before {
            return;
        }
        let reason = reason.to_owned();
        self.end_period(context);
        if speed == Speed::Full {
            return;
        }
        let number = self.next_period;
        self.next_period += 1;
        if self.effect.reasons.len() < MOST_REASONS {
            self.effect.reasons.push(reason.clone());
        }
        self.period = Some(ThrottlePeriod { number, speed, since: Instant::now() });
        context.report(Event::PaceStarted {
            period: number,
            waits: speed == Speed::Waiting,
            reason,
        });
    }

    /// Reports the end of a period at less than full speed, if there was one.
    pub(crate) fn end_period(&mut self, context: &mut RunContext<'_>) {
        let Some(ThrottlePeriod { number, speed, since }) = self.period.take() else { return };
        let elapsed = since.elapsed();
        if speed == Speed::Waiting {
            self.effect.waited_ms += millis(elapsed);
            context.queue.postpone(elapsed);
        } else {
            self.effect.slowed_ms += millis(elapsed);
        }
        context.report(Event::PaceFinished { period: number, elapsed });
    }

    /// Returns whether no task may be started.
    pub(crate) fn is_waiting(&self) -> bool {
        self.throttle.speed() == Speed::Waiting
    }

    /// Returns whether the run is held back at this moment, so that something is still to come.
    pub(crate) fn holds_back(&self) -> bool {
        self.is_waiting() || !self.resting.0.is_empty()
    }

    /// Returns whether chunks have to be smaller.
    pub(crate) fn is_slower(&self) -> bool {
        self.throttle.speed() == Speed::Slower
    }

    /// Returns whether limits cannot be kept because the state of a server is unknown.
    pub(crate) fn is_state_unknown(&self) -> bool {
        self.unknown_since.is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// Lets the permit of a task rest, depending on the time that the task took.
    pub(crate) fn rest_after(&mut self, took: Duration) {
        let rest = self.throttle.rest(took);
        if !rest.is_zero() {
            self.effect.rested_ms += millis(rest);
            self.resting.0.push(Instant::now() + rest);
        }
    }

    /// Returns the number of permits that rest.
    pub(crate) fn resting_permits(&mut self) -> usize {
        self.resting.count(Instant::now())
    }

    /// Returns how long until the next permit has rested, if one rests.
    pub(crate) fn until_rested(&mut self) -> Option<Duration> {
        self.resting.next(Instant::now())
    }

    /// Adds to the summary how long the run was held back, and its longest transaction.
    pub(crate) fn add_to_summary(
        &mut self,
        summary: &mut SummaryRecord,
        context: &mut RunContext<'_>,
    ) {
        self.end_period(context);
        let effect = std::mem::take(&mut self.effect);
        summary.paced = (effect != ThrottleRecord::default()).then_some(effect);
        let longest =
            Side::BOTH.map(|side| self.workers.pools[side].longest_read()).into_iter().max();
        summary.longest_transaction_ms = longest.map(millis);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What to query on a side.
struct StateQuery {
    /// Whether the replay is queried, and then whether the side is a standby.
    lag: Option<bool>,
}

async fn query_both(
    workers: Arc<WorkerContext>,
    wanted: BySide<Option<StateQuery>>,
) -> StateResults {
    let BySide { source, target } = wanted;
    let (source, target) = tokio::join!(
        query_side(&workers, Side::Source, source),
        query_side(&workers, Side::Target, target)
    );
    BySide { source, target }
}

async fn query_side(
    workers: &WorkerContext,
    side: Side,
    wanted: Option<StateQuery>,
) -> Option<StateResult> {
    let StateQuery { lag } = wanted?;
    let connection = match workers.pools[side].acquire_reserved().await {
        Ok(connection) => connection,
        Err(error) => return Some(Err(error)),
    };
    let state = async {
        let sessions = connection.count_sessions(&workers.own).await?;
        let replay = match lag {
            Some(standby) => Some(connection.read_replay(&workers.own, standby).await?),
            None => None,
        };
        Ok(ReportedState { sessions, replay })
    };
    let result = state.await;
    connection.give_back().await;
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A run that waits starts no task, and must not loop over permits that have rested.
    #[test]
    fn a_rested_permit_is_returned_once() {
        let now = Instant::now();
        let mut resting = RestingPermits(vec![now + secs(3), now + secs(1)]);
        assert_eq!(resting.next(now), Some(secs(1)));
        assert_eq!(resting.next(now + secs(1)), Some(secs(0)));
        assert_eq!(resting.next(now + secs(1)), Some(secs(2)));
        assert_eq!(resting.next(now + secs(3)), Some(secs(0)));
        assert_eq!(resting.next(now + secs(3)), None);
    }

    /// What a standby has not replayed after `settle` would be reported as a difference.
    #[test]
    fn the_default_lag_limit_is_below_settle() {
        let none = PaceSettings::default();
        assert_eq!(lag_limit(&none, secs(15), false), None);
        assert_eq!(lag_limit(&none, secs(15), true), Some(Duration::from_millis(7500)));
        assert_eq!(lag_limit(&none, secs(60), true), Some(secs(10)));
        // nothing is written there, so lag does not make differences
        assert_eq!(lag_limit(&none, secs(0), true), Some(secs(10)));
        let state = PaceSettings { max_replica_lag: Some(secs(30)), ..none };
        assert_eq!(lag_limit(&state, secs(15), true), Some(secs(30)));
    }
}
