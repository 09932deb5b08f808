//! How much a server has to do, asked while it is read.

use std::time::Duration;

use jiff::Timestamp;

use super::connection::Connection;
use super::error::PgError;
use super::read_settings::ReadSettings;
use crate::sql;

/// How far replay has come, as a server of either kind can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// By a standby, of itself.
    Standby {
        /// Whether it has replayed all that it has received, and receives.
        caught_up: bool,
        /// Since the primary committed what was replayed last, or more; nothing if nobody knows.
        age: Option<Duration>,
    },
    /// By a primary, of its standbys.
    Primary {
        /// How far it has written.
        position: u64,
        /// Those who follow.
        standbys: Vec<StandbyProgress>,
    },
}

/// A standby as its primary sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyProgress {
    /// How far it had replayed when it last said so.
    pub replayed: u64,
    /// How long ago that was.
    pub said: Duration,
    /// The lag that the primary measured last.
    pub lag: Option<Duration>,
}

/// What the sessions of others do at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// How many are active.
    pub active: u64,
    /// How many are active, or were a hundredth of a second ago.
    pub at_work: u64,
    /// Whether that is so, and not an estimate.
    pub seen: bool,
}

impl Connection {
    /// What the sessions of others do.
    ///
    /// # Errors
    /// What the server says.
    pub async fn count_sessions(&self, own: &ReadSettings) -> Result<SessionCounts, PgError> {
        let rows = self.query(own, &sql::sessions()).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let (active, at_work) = (row.get_count("active")?, row.get_count("at_work")?);
        Ok(SessionCounts { active, at_work, seen: row.get("seen")? })
    }

    /// Returns the server's clock.
    ///
    /// # Errors
    /// What the server says, or that it is no moment.
    pub async fn read_clock(&self, own: &ReadSettings) -> Result<Timestamp, PgError> {
        let rows = self.query(own, &sql::clock()).await?;
        let micros = rows.first().ok_or_else(|| PgError::unexpected("no row"))?.get("micros")?;
        Timestamp::from_microsecond(micros).map_err(|_| PgError::unexpected("no moment"))
    }

    /// The moment so long ago by the server's clock.
    ///
    /// # Errors
    /// What the server says.
    pub async fn read_moment(&self, own: &ReadSettings, ago: Duration) -> Result<String, PgError> {
        let rows = self.query(own, &sql::moment(ago)).await?;
        rows.first().ok_or_else(|| PgError::unexpected("no row"))?.get("moment")
    }

    /// How far replay has come: a standby's own, or that of a primary's standbys.
    ///
    /// # Errors
    /// What the server says.
    pub async fn read_replay(&self, own: &ReadSettings, standby: bool) -> Result<Replay, PgError> {
        if standby {
            let rows = self.query(own, &sql::replay_of_standby()).await?;
            let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
            let behind: Option<i64> = row.get("behind")?;
            let receives: bool = row.get("receives")?;
            let caught_up = receives && behind.is_some_and(|bytes| bytes <= 0);
            return Ok(Replay::Standby {
                caught_up,
                age: row.get::<Option<i64>>("age")?.map(micros),
            });
        }
        let rows = self.query(own, &sql::replay_by_standbys()).await?;
        let first = rows.first().ok_or_else(|| PgError::unexpected("no row"))?;
        let position = first.get::<i64>("written")?.cast_unsigned();
        if !first.get::<bool>("seen")? {
            // They would look as if there were none.
            return Err(PgError::setting("the role may not see pg_stat_replication".to_owned()));
        }
        let mut standbys = Vec::new();
        for row in &rows {
            let Some(replayed) = row.get::<Option<i64>>("replayed")? else { continue };
            standbys.push(StandbyProgress {
                replayed: replayed.cast_unsigned(),
                said: row.get::<Option<i64>>("reported_ago")?.map_or(Duration::ZERO, micros),
                lag: row.get::<Option<i64>>("lag")?.map(micros),
            });
        }
        Ok(Replay::Primary { position, standbys })
    }
}

/// Clocks of two servers may disagree: what would have happened later happens now.
fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
