//! The pace of a repair: between two batches the side that is written is asked how it is, and the next
//! batch waits as the pace says. A batch is short, so nothing else need be held back.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::pg::{PgError, Pool, Replay, Session};
use crate::prepare::{Prepared, Stop};
use crate::schema::{BySide, Side};
use crate::throttle::{PauseFile, SideLimits, SideLoad, Speed, Throttle, WalPositions};

/// How often the side is asked.
const OFTEN: Duration = Duration::from_secs(1);
/// With limits an answer is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The space between batches.
pub(in crate::run) struct BatchInterval<'p> {
    pool: &'p Pool,
    own: Session,
    side: Side,
    limits: SideLimits,
    pause_file: PauseFile,
    pace: Throttle,
    positions: WalPositions,
    began: Instant,
    asked: Option<Instant>,
    answered: Instant,
}

impl<'p> BatchInterval<'p> {
    /// Nothing asked yet.
    pub(in crate::run) fn new(prepared: &'p Prepared, side: Side) -> BatchInterval<'p> {
        let settings = &prepared.spec.pace;
        let limits =
            SideLimits { lag: settings.max_replica_lag, sessions: settings.max_active_sessions };
        let mut of_sides = BySide::new(|_| SideLimits::default());
        of_sides[side] = limits;
        BatchInterval {
            pool: &prepared.pools[side],
            own: Session::new(&[], prepared.spec.compare.statement_timeout),
            side,
            limits,
            pause_file: PauseFile(settings.pause_file.clone()),
            pace: Throttle::new(of_sides),
            positions: WalPositions::default(),
            began: Instant::now(),
            asked: None,
            answered: Instant::now(),
        }
    }

    /// Waits until the next batch may begin, after one that took so long; or until somebody wants it to
    /// stop. `held` hears why it waits, once for each reason.
    ///
    /// # Errors
    /// There are limits, and nobody says how the side is.
    pub(in crate::run) async fn turn(
        &mut self,
        took: Duration,
        stop: &mut watch::Receiver<Stop>,
        mut held: impl FnMut(&str),
    ) -> Result<(), PgError> {
        let mut told = String::new();
        loop {
            if *stop.borrow() != Stop::No {
                return Ok(());
            }
            if self.asked.is_none_or(|asked| asked.elapsed() >= OFTEN) {
                self.asked = Some(Instant::now());
                self.ask().await?;
            }
            self.pace.pause(self.pause_file.reason());
            let (speed, reason) = self.pace.judge();
            if speed != Speed::Waiting {
                break;
            }
            if told != reason {
                reason.clone_into(&mut told);
                held(reason);
            }
            // Whoever wants it to stop does not wait for the end of the pause.
            let _ = tokio::time::timeout(OFTEN, stop.changed()).await;
        }
        let _ = tokio::time::timeout(self.pace.rest(took), stop.changed()).await;
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), PgError> {
        let limited = self.limits.lag.is_some() || self.limits.sessions.is_some();
        match self.reading().await {
            Ok(reading) => {
                self.answered = Instant::now();
                self.pace.read(self.side, reading);
                Ok(())
            }
            // Without limits nothing depends on an answer.
            Err(_) if !limited => Ok(()),
            Err(error) if self.answered.elapsed() >= PATIENCE => Err(error),
            Err(error) => {
                self.pace.unknown(self.side, &error.message);
                Ok(())
            }
        }
    }

    async fn reading(&mut self) -> Result<SideLoad, PgError> {
        let lease = self.pool.lease_aside().await?;
        let said = async {
            let sessions = lease.sessions(&self.own).await?;
            // Only a primary can be written.
            let replay = match self.limits.lag {
                Some(_) => Some(lease.replay(&self.own, false).await?),
                None => None,
            };
            Ok((sessions, replay))
        };
        let said = said.await;
        lease.give_back().await;
        let (sessions, replay) = said?;
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
