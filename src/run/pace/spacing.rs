//! The pace of a repair: between two batches the side that is written is asked how it is, and the next
//! batch waits as the pace says. A batch is short, so nothing else need be held back.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::lag::Positions;
use super::pause_file::PauseFile;
use super::{Limits, Pace, Reading, Speed};
use crate::pg::{PgError, Pool, ReadSettings, Replay};
use crate::run::options::Stop;
use crate::run::prepare::Prepared;
use crate::schema::{BySide, Side};

/// How often the side is asked.
const OFTEN: Duration = Duration::from_secs(1);
/// With limits an answer is waited for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The space between batches.
pub(in crate::run) struct Spacing<'p> {
    pool: &'p Pool,
    own: ReadSettings,
    side: Side,
    limits: Limits,
    pause_file: PauseFile,
    pace: Pace,
    positions: Positions,
    began: Instant,
    asked: Option<Instant>,
    answered: Instant,
}

impl<'p> Spacing<'p> {
    /// Nothing asked yet.
    pub(in crate::run) fn new(prepared: &'p Prepared, side: Side) -> Spacing<'p> {
        let settings = &prepared.spec.pace;
        let limits =
            Limits { lag: settings.max_replica_lag, sessions: settings.max_active_sessions };
        let mut of_sides = BySide::new(|_| Limits::default());
        of_sides[side] = limits;
        Spacing {
            pool: &prepared.pools[side],
            own: ReadSettings::new(&[], prepared.spec.compare.statement_timeout),
            side,
            limits,
            pause_file: PauseFile(settings.pause_file.clone()),
            pace: Pace::new(of_sides),
            positions: Positions::default(),
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

    async fn reading(&mut self) -> Result<Reading, PgError> {
        let lease = self.pool.acquire_reserved().await?;
        let said = async {
            let sessions = lease.count_sessions(&self.own).await?;
            // Only a primary can be written.
            let replay = match self.limits.lag {
                Some(_) => Some(lease.read_replay(&self.own, false).await?),
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
        Ok(Reading { lag, sessions })
    }
}
