//! Watches the servers while they are read: asks each side about once a second how it is, looks for the
//! pause file, and holds the run back as the pace says.
//!
//! Each side has one connection for these questions beside those for the data, so that a server that is
//! asked hard still answers them, and `--jobs 1` keeps one backend busy with data, no more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::lag::Positions;
use super::pause_file::PauseFile;
use super::{Limits, Pace, Reading, Speed};
use crate::event::Event;
use crate::finding::{SummaryRecord, ThrottleRecord};
use crate::pg::{PgError, Remedy, Replay, SessionCounts};
use crate::run::desk::Desk;
use crate::run::work::worker::World;
use crate::schema::{BySide, Server, Side};
use crate::spec::PaceSettings;

/// How often a side is asked.
const OFTEN: Duration = Duration::from_secs(1);
/// A run that is over sooner asks nobody, unless there are limits.
const FIRST: Duration = Duration::from_millis(100);
/// Without limits nothing depends on an answer: a side that gives none is left alone for a while.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// With limits the run waits for an answer so long, and then ends.
const PATIENCE: Duration = Duration::from_secs(60);
/// Reasons that are kept for the record.
const MOST_REASONS: usize = 5;
/// A standby may lag so far where the spec does not say, if that is less than half of `settle`.
const DEFAULT_LAG: Duration = Duration::from_secs(10);

/// What a side has answered.
type Answer = Result<Said, PgError>;
/// What each side has answered, if it was asked.
pub(in crate::run) type Answers = BySide<Option<Answer>>;

/// What a side has said of itself.
pub(in crate::run) struct Said {
    sessions: SessionCounts,
    replay: Option<Replay>,
}

/// The watch of a run.
pub(in crate::run) struct Watch {
    world: Arc<World>,
    pace: Pace,
    limits: BySide<Limits>,
    standby: BySide<bool>,
    pause_file: PauseFile,
    positions: BySide<Positions>,
    asking: Option<BoxFuture<'static, Answers>>,
    due: Instant,
    left_alone: BySide<Option<Instant>>,
    blind_since: Option<Instant>,
    resting: Resting,
    period: Option<Period>,
    next_period: u64,
    paced: ThrottleRecord,
}

/// Until when permits rest.
#[derive(Debug, Default)]
struct Resting(Vec<Instant>);

impl Resting {
    /// How many rest now.
    fn count(&mut self, now: Instant) -> usize {
        self.0.retain(|until| *until > now);
        self.0.len()
    }

    /// How long until the next has rested. One that has is told once: nobody may ask for it for as
    /// long as the run waits.
    fn next(&mut self, now: Instant) -> Option<Duration> {
        let first = self.0.iter().min().copied()?;
        self.count(now);
        Some(first.saturating_duration_since(now))
    }
}

/// A time at less than full speed.
struct Period {
    number: u64,
    speed: Speed,
    since: Instant,
}

/// How far a side's replay may lag, where somebody or something says so. A difference that outlives
/// `settle` is called one, so what a standby has yet to replay must be younger than that.
fn lag_limit(settings: &PaceSettings, settle: Duration, standby: bool) -> Option<Duration> {
    let by_itself = match settle / 2 {
        Duration::ZERO => DEFAULT_LAG,
        half => half.min(DEFAULT_LAG),
    };
    settings.max_replica_lag.or(standby.then_some(by_itself))
}

impl Watch {
    /// Nothing asked yet.
    pub(in crate::run) fn new(
        world: Arc<World>,
        servers: &BySide<Server>,
        settings: &PaceSettings,
        settle: Duration,
    ) -> Watch {
        let standby = servers.as_ref().map(|server| server.standby);
        let limits = BySide::new(|side| Limits {
            lag: lag_limit(settings, settle, standby[side]),
            sessions: settings.max_active_sessions,
        });
        let mut watch = Watch {
            world,
            pace: Pace::new(limits),
            limits,
            standby,
            pause_file: PauseFile(settings.pause_file.clone()),
            positions: BySide::default(),
            asking: None,
            due: Instant::now(),
            left_alone: BySide::default(),
            blind_since: None,
            resting: Resting::default(),
            period: None,
            next_period: 0,
            paced: ThrottleRecord::default(),
        };
        watch.pace.pause(watch.pause_file.reason());
        if watch.pace.judge().0 == Speed::Full {
            watch.due += FIRST;
        }
        watch
    }

    /// Waits until the servers have said how they are. It may be dropped and called again.
    pub(in crate::run) async fn next(&mut self) -> Answers {
        let asking = match &mut self.asking {
            Some(asking) => asking,
            None => {
                sleep_until(self.due).await;
                self.due = Instant::now() + OFTEN;
                let wanted = BySide::new(|side| self.wants(side));
                self.asking.insert(Box::pin(ask_both(Arc::clone(&self.world), wanted)))
            }
        };
        let answers = asking.await;
        self.asking = None;
        answers
    }

    /// What to ask a side: nothing if it is left alone.
    fn wants(&self, side: Side) -> Option<Wanted> {
        let alone = self.left_alone[side].is_some_and(|until| Instant::now() < until);
        let lag = self.limits[side].lag.map(|_| self.standby[side]);
        (!alone).then_some(Wanted { lag })
    }

    /// The servers have said how they are.
    pub(in crate::run) fn take(&mut self, answers: Answers, desk: &mut Desk<'_>) {
        let mut blind = false;
        for (side, answer) in [(Side::Source, answers.source), (Side::Target, answers.target)] {
            let Limits { lag, sessions } = self.limits[side];
            let limited = lag.is_some() || sessions.is_some();
            match answer.map(|answer| answer.and_then(|said| self.reading(side, said, desk))) {
                None => {}
                Some(Ok(reading)) => self.pace.read(side, reading),
                Some(Err(error)) if limited => {
                    blind = true;
                    self.pace.unknown(side, &error.message);
                    // One that only takes too long, or that replay was in the way of, can still answer.
                    if !error.is_transient() && error.remedy != Remedy::Shrink {
                        self.blind_since = Instant::now().checked_sub(PATIENCE);
                    }
                }
                Some(Err(_)) => self.left_alone[side] = Some(Instant::now() + LEFT_ALONE),
            }
        }
        self.blind_since = blind.then(|| self.blind_since.unwrap_or_else(Instant::now));
        self.pace.pause(self.pause_file.reason());
        self.set_speed(desk);
    }

    fn reading(&mut self, side: Side, said: Said, desk: &Desk<'_>) -> Result<Reading, PgError> {
        let Said { sessions, replay } = said;
        if self.limits[side].sessions.is_some() && !sessions.seen {
            return Err(PgError::unexpected("the role may not see other sessions"));
        }
        let lag = match replay {
            None => None,
            Some(Replay::Standby { caught_up: true, .. }) => Some(Duration::ZERO),
            Some(Replay::Standby { age: Some(age), .. }) => Some(age),
            Some(Replay::Standby { age: None, .. }) => {
                return Err(PgError::transient("it does not know what it has replayed"));
            }
            Some(Replay::Primary { position, standbys }) => {
                self.positions[side].take(desk.clock.now(), position, &standbys)
            }
        };
        self.paced.record_lag(lag);
        Ok(Reading { lag, sessions })
    }

    /// Judges, and tells of a change.
    fn set_speed(&mut self, desk: &mut Desk<'_>) {
        let (speed, reason) = self.pace.judge();
        let before = self.period.as_ref().map_or(Speed::Full, |period| period.speed);
        if speed == before {
            return;
        }
        let reason = reason.to_owned();
        self.end_period(desk);
        if speed == Speed::Full {
            return;
        }
        let number = self.next_period;
        self.next_period += 1;
        if self.paced.reasons.len() < MOST_REASONS {
            self.paced.reasons.push(reason.clone());
        }
        self.period = Some(Period { number, speed, since: Instant::now() });
        desk.tell(Event::PaceStarted { period: number, waits: speed == Speed::Waiting, reason });
    }

    /// Tells that a time at less than full speed is over, if there was one.
    pub(in crate::run) fn end_period(&mut self, desk: &mut Desk<'_>) {
        let Some(Period { number, speed, since }) = self.period.take() else { return };
        let elapsed = since.elapsed();
        if speed == Speed::Waiting {
            self.paced.waited_ms += millis(elapsed);
            desk.queue.held_up(elapsed);
        } else {
            self.paced.slowed_ms += millis(elapsed);
        }
        desk.tell(Event::PaceFinished { period: number, elapsed });
    }

    /// Whether nothing new may be started.
    pub(in crate::run) fn waits(&self) -> bool {
        self.pace.speed() == Speed::Waiting
    }

    /// Whether the run is held back at this moment: something is still to come.
    pub(in crate::run) fn holds(&self) -> bool {
        self.waits() || !self.resting.0.is_empty()
    }

    /// Whether chunks are to be smaller.
    pub(in crate::run) fn eases(&self) -> bool {
        self.pace.speed() == Speed::Slower
    }

    /// Whether limits cannot be kept since nobody says how a server is.
    pub(in crate::run) fn is_blind(&self) -> bool {
        self.blind_since.is_some_and(|since| since.elapsed() >= PATIENCE)
    }

    /// A piece of work took so long: its permit rests.
    pub(in crate::run) fn worked(&mut self, took: Duration) {
        let rest = self.pace.rest(took);
        if !rest.is_zero() {
            self.paced.rested_ms += millis(rest);
            self.resting.0.push(Instant::now() + rest);
        }
    }

    /// Permits that rest.
    pub(in crate::run) fn resting(&mut self) -> usize {
        self.resting.count(Instant::now())
    }

    /// How long until the next permit has rested, if one rests.
    pub(in crate::run) fn until_rested(&mut self) -> Option<Duration> {
        self.resting.next(Instant::now())
    }

    /// What the pace cost the run, and what the run cost the servers.
    pub(in crate::run) fn sum_up(&mut self, summary: &mut SummaryRecord, desk: &mut Desk<'_>) {
        self.end_period(desk);
        let paced = std::mem::take(&mut self.paced);
        summary.paced = (paced != ThrottleRecord::default()).then_some(paced);
        let longest =
            Side::BOTH.map(|side| self.world.pools[side].longest_read()).into_iter().max();
        summary.longest_transaction_ms = longest.map(millis);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What a side is asked.
struct Wanted {
    /// Whether replay is asked for, and whether the side is a standby.
    lag: Option<bool>,
}

async fn ask_both(world: Arc<World>, wanted: BySide<Option<Wanted>>) -> Answers {
    let BySide { source, target } = wanted;
    let (source, target) =
        tokio::join!(ask(&world, Side::Source, source), ask(&world, Side::Target, target));
    BySide { source, target }
}

async fn ask(world: &World, side: Side, wanted: Option<Wanted>) -> Option<Answer> {
    let Wanted { lag } = wanted?;
    let lease = match world.pools[side].acquire_reserved().await {
        Ok(lease) => lease,
        Err(error) => return Some(Err(error)),
    };
    let said = async {
        let sessions = lease.count_sessions(&world.own).await?;
        let replay = match lag {
            Some(standby) => Some(lease.read_replay(&world.own, standby).await?),
            None => None,
        };
        Ok(Said { sessions, replay })
    };
    let answer = said.await;
    lease.give_back().await;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A run that waits gives out no work, and must not run in circles over permits that have rested.
    #[test]
    fn a_permit_that_has_rested_is_waited_for_no_more() {
        let now = Instant::now();
        let mut resting = Resting(vec![now + secs(3), now + secs(1)]);
        assert_eq!(resting.next(now), Some(secs(1)));
        assert_eq!(resting.next(now + secs(1)), Some(secs(0)));
        assert_eq!(resting.next(now + secs(1)), Some(secs(2)));
        assert_eq!(resting.next(now + secs(3)), Some(secs(0)));
        assert_eq!(resting.next(now + secs(3)), None);
    }

    /// What a standby has not replayed after `settle` would be called a difference.
    #[test]
    fn a_standby_has_a_limit_of_its_own_below_settle() {
        let none = PaceSettings::default();
        assert_eq!(lag_limit(&none, secs(15), false), None);
        assert_eq!(lag_limit(&none, secs(15), true), Some(Duration::from_millis(7500)));
        assert_eq!(lag_limit(&none, secs(60), true), Some(secs(10)));
        // nobody writes there, so lag does not make differences
        assert_eq!(lag_limit(&none, secs(0), true), Some(secs(10)));
        let said = PaceSettings { max_replica_lag: Some(secs(30)), ..none };
        assert_eq!(lag_limit(&said, secs(15), true), Some(secs(30)));
    }
}
