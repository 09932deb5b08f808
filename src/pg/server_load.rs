//! The load of a server while it is read: active sessions and replication lag; and its clock.

use std::time::Duration;

use jiff::Timestamp;

use super::connection::Connection;
use super::error::PgError;
use super::read_settings::ReadSettings;
use crate::sql;

/// The progress of replay, as a standby or a primary reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Of a standby, by itself.
    Standby {
        /// Whether it has replayed all WAL that it has received, and receives more.
        caught_up: bool,
        /// The time since the primary committed the last replayed transaction, or more; `None` if unknown.
        age: Option<Duration>,
    },
    /// Of a primary's standbys, by the primary.
    Primary {
        /// The position up to which it has written WAL.
        position: u64,
        /// Its standbys.
        standbys: Vec<StandbyProgress>,
    },
}

/// The progress of a standby, as its primary reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyProgress {
    /// The position up to which it had replayed at its last report.
    pub replayed: u64,
    /// The time since that report.
    pub report_age: Duration,
    /// The lag that the primary measured last.
    pub lag: Option<Duration>,
}

/// Counts of the sessions of other clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    /// How many are active.
    pub active: u64,
    /// How many are active, or were within the last hundredth of a second.
    pub at_work: u64,
    /// Whether the role may see their states; else the counts are estimates.
    pub seen: bool,
}

impl Connection {
    /// Counts the sessions of other clients.
    ///
    /// # Errors
    /// The server's error.
    pub async fn count_sessions(&self, own: &ReadSettings) -> Result<SessionCounts, PgError> {
        let rows = self.query(own, &sql::sessions()).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let (active, at_work) = (row.get_count("active")?, row.get_count("at_work")?);
        Ok(SessionCounts { active, at_work, seen: row.get("seen")? })
    }

    /// Reads the server's clock.
    ///
    /// # Errors
    /// The server's error, or a time out of range.
    pub async fn read_clock(&self, own: &ReadSettings) -> Result<Timestamp, PgError> {
        let rows = self.query(own, &sql::clock()).await?;
        let micros = rows.first().ok_or_else(|| PgError::unexpected("no row"))?.get("micros")?;
        Timestamp::from_microsecond(micros).map_err(|_| PgError::unexpected("a time out of range"))
    }

    /// Reads the time so long ago by the server's clock, as text.
    ///
    /// # Errors
    /// The server's error.
    pub async fn read_moment(&self, own: &ReadSettings, ago: Duration) -> Result<String, PgError> {
        let rows = self.query(own, &sql::moment(ago)).await?;
        rows.first().ok_or_else(|| PgError::unexpected("no row"))?.get("moment")
    }

    /// Reads the progress of replay: a standby's own, or that of a primary's standbys.
    ///
    /// # Errors
    /// The server's error.
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
            // Without the privilege it would look as if there were no standbys.
            return Err(PgError::invalid_setting(
                "the role may not see pg_stat_replication".to_owned(),
            ));
        }
        let mut standbys = Vec::new();
        for row in &rows {
            let Some(replayed) = row.get::<Option<i64>>("replayed")? else { continue };
            standbys.push(StandbyProgress {
                replayed: replayed.cast_unsigned(),
                report_age: row.get::<Option<i64>>("reported_ago")?.map_or(Duration::ZERO, micros),
                lag: row.get::<Option<i64>>("lag")?.map(micros),
            });
        }
        Ok(Replay::Primary { position, standbys })
    }
}

/// Converts microseconds. A negative time, which two clocks that differ can give, becomes zero.
fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
