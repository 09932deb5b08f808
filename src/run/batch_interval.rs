//! The interval between two batches of a repair: the state of the side that is written is queried, and the
//! next batch waits as the throttle decides. A batch is short, so nothing else has to be held back.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::pg::{PgError, Pool, ReadSettings, Replay};
use crate::prepare::{Prepared, Stop};
use crate::schema::{BySide, Side};
use crate::throttle::{PauseFile, SideLimits, SideLoad, Speed, Throttle, WalPositions};

/// How often the side is queried.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a repair with limits waits for the state of the side.
const PATIENCE: Duration = Duration::from_secs(60);

/// The interval between batches.
pub(crate) struct BatchInterval<'p> {
    pool: &'p Pool,
    own: ReadSettings,
    side: Side,
    limits: SideLimits,
    pause_file: PauseFile,
    throttle: Throttle,
    positions: WalPositions,
    began: Instant,
    checked_at: Option<Instant>,
    answered: Instant,
}

impl<'p> BatchInterval<'p> {
    /// Creates the interval of a repair of one side.
    pub(crate) fn new(prepared: &'p Prepared, side: Side) -> BatchInterval<'p> {
        let settings = &prepared.spec.pace;
        let limits =
            SideLimits { lag: settings.max_replica_lag, sessions: settings.max_active_sessions };
        let mut of_sides = BySide::new(|_| SideLimits::default());
        of_sides[side] = limits;
        BatchInterval {
            pool: &prepared.pools[side],
            own: ReadSettings::new(&[], prepared.spec.compare.statement_timeout),
            side,
            limits,
            pause_file: PauseFile(settings.pause_file.clone()),
            throttle: Throttle::new(of_sides),
            positions: WalPositions::default(),
            began: Instant::now(),
            checked_at: None,
            answered: Instant::now(),
        }
    }

    /// Waits until the next batch may begin, after one that took this long; or until a signal to
    /// stop. Each reason to wait is passed to `report` once.
    ///
    /// # Errors
    /// When there are limits, and the state of the side is unknown.
    pub(crate) async fn turn(
        &mut self,
        took: Duration,
        stop: &mut watch::Receiver<Stop>,
        mut report: impl FnMut(&str),
    ) -> Result<(), PgError> {
        let mut reported = String::new();
        loop {
            if *stop.borrow() != Stop::No {
                return Ok(());
            }
            if self.checked_at.is_none_or(|checked_at| checked_at.elapsed() >= INTERVAL) {
                self.checked_at = Some(Instant::now());
                self.query().await?;
            }
            self.throttle.set_paused(self.pause_file.reason());
            let (speed, reason) = self.throttle.decide();
            if speed != Speed::Waiting {
                break;
            }
            if reported != reason {
                reason.clone_into(&mut reported);
                report(reason);
            }
            // A signal to stop ends the pause.
            let _ = tokio::time::timeout(INTERVAL, stop.changed()).await;
        }
        let _ = tokio::time::timeout(self.throttle.rest(took), stop.changed()).await;
        Ok(())
    }

    async fn query(&mut self) -> Result<(), PgError> {
        let limited = self.limits.lag.is_some() || self.limits.sessions.is_some();
        match self.read_load().await {
            Ok(load) => {
                self.answered = Instant::now();
                self.throttle.set_load(self.side, load);
                Ok(())
            }
            // Without limits nothing depends on the state.
            Err(_) if !limited => Ok(()),
            Err(error) if self.answered.elapsed() >= PATIENCE => Err(error),
            Err(error) => {
                self.throttle.set_unknown(self.side, &error.message);
                Ok(())
            }
        }
    }

    async fn read_load(&mut self) -> Result<SideLoad, PgError> {
        let connection = self.pool.acquire_reserved().await?;
        let state = async {
            let sessions = connection.count_sessions(&self.own).await?;
            // Only a primary can be written.
            let replay = match self.limits.lag {
                Some(_) => Some(connection.read_replay(&self.own, false).await?),
                None => None,
            };
            Ok((sessions, replay))
        };
        let state = state.await;
        connection.give_back().await;
        let (sessions, replay) = state?;
        if self.limits.sessions.is_some() && !sessions.seen {
            return Err(PgError::unexpected("the role may not see other sessions"));
        }
        let lag = match replay {
            Some(Replay::Primary { position, standbys }) => {
                self.positions.take(self.began.elapsed(), position, &standbys)
            }
            _ => None,
        };
        Ok(SideLoad { lag, sessions })
    }
}
