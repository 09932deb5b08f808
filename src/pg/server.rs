//! Reads what one server is, once before a plan is made.

use super::connection::Connection;
use super::error::{PgError, Remedy};
use super::read_settings::ReadSettings;
use super::row::Row;
use crate::plan::{SELF_TEST_VECTORS, judge_self_test};
use crate::schema::{DigestTrust, Instance, Server, WalEnd};
use crate::sql;

/// The first version whose record hash has a seed and supports every hashable type.
const DIGESTS_SINCE: u32 = 140_000;
/// The oldest supported version: the canonical forms use `trim_scale`.
const OLDEST: u32 = 130_000;

/// Decodes which instance of a server has responded.
pub(super) fn instance(row: &Row) -> Result<Instance, PgError> {
    let flushed: Option<i64> = row.get("flushed")?;
    let wal = timeline(row)?.zip(flushed);
    Ok(Instance {
        started: row.get("started")?,
        wal: wal.map(|(timeline, end)| WalEnd { timeline, flushed: end.cast_unsigned() }),
    })
}

/// Decodes the timeline from the name of a WAL file.
pub(super) fn timeline(row: &Row) -> Result<Option<u32>, PgError> {
    let file: Option<&str> = row.get("wal_file")?;
    Ok(file.and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok()))
}

/// Decodes `server_version_num`.
pub(super) fn version(row: &Row) -> Result<u32, PgError> {
    let version: i32 = row.get("version")?;
    u32::try_from(version).map_err(|_| PgError::unexpected("the version is out of range"))
}

impl Connection {
    /// Reads what a server is, and checks that the pinned settings are in effect.
    ///
    /// # Errors
    /// If it is too old, or a pooler in between does not pass SET LOCAL on.
    pub async fn read_server(&self, session: &ReadSettings) -> Result<Server, PgError> {
        let rows = self.query(session, &sql::server()).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let version = version(row)?;
        if version < OLDEST {
            let message = format!("PostgreSQL {} is older than 13", version / 10_000);
            return Err(PgError::invalid_setting(message));
        }
        self.check_settings(session).await?;
        Ok(Server {
            version,
            database: row.get("database")?,
            role: row.get("role")?,
            overprivileged: row.get("overprivileged")?,
            encoding: row.get("encoding")?,
            standby: row.get("standby")?,
            system_identifier: row.get("system_identifier")?,
            monitors: row.get("monitors")?,
            instance: instance(row)?,
            digests: self.check_digests(session, version).await?,
        })
    }

    async fn check_digests(
        &self,
        session: &ReadSettings,
        version: u32,
    ) -> Result<DigestTrust, PgError> {
        if version < DIGESTS_SINCE {
            let why = format!("PostgreSQL {} is older than 14", version / 10_000);
            return Ok(DigestTrust::Refused(why));
        }
        let rows = match self.query(session, &sql::self_test()).await {
            Ok(rows) => rows,
            // A server that only resembles PostgreSQL may lack the functions; rows can be streamed then.
            Err(error) if matches!(error.remedy, Remedy::GiveUp | Remedy::Isolate) => {
                let why = format!("it does not hash constant rows: {error}");
                return Ok(DigestTrust::Refused(why));
            }
            Err(error) => return Err(error),
        };
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let sums: Result<Vec<_>, PgError> = (0..SELF_TEST_VECTORS.len())
            .map(|canary| Ok((row.get::<&str>(2 * canary)?, row.get(2 * canary + 1)?)))
            .collect();
        Ok(judge_self_test(&sums?))
    }

    async fn check_settings(&self, session: &ReadSettings) -> Result<(), PgError> {
        let rows = self.query(session, &sql::settings_in_effect()).await?;
        for row in &rows {
            let (name, value): (&str, &str) = (row.get("name")?, row.get("value")?);
            let pinned =
                sql::PINNED.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            if pinned != Some(value) {
                let message = format!("setting \"{name}\" is \"{value}\" in spite of SET LOCAL");
                return Err(PgError::invalid_setting(message));
            }
        }
        if rows.len() == sql::PINNED.len() {
            Ok(())
        } else {
            Err(PgError::unexpected("settings are missing"))
        }
    }
}
