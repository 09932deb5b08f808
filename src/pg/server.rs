//! What one server is, asked once before anything is planned.

use super::error::{PgError, Remedy};
use super::lease::Lease;
use super::row::Row;
use super::session::Session;
use crate::plan::{SELF_TEST_VECTORS, judge_self_test};
use crate::schema::{DigestTrust, Instance, Server, WalEnd};
use crate::sql;

/// The first version whose record hash takes a seed and every hashable type.
const DIGESTS_SINCE: u32 = 140_000;
/// The oldest version that has what the canons use (`trim_scale`).
const OLDEST: u32 = 130_000;

/// Reads which run of a server answered, from two fields.
pub(super) fn instance(
    row: &Row,
    timeline: Option<u32>,
    first: usize,
) -> Result<Instance, PgError> {
    let flushed: Option<i64> = row.get(first + 1)?;
    let wal = timeline.zip(flushed);
    Ok(Instance {
        started: row.get(first)?,
        wal: wal.map(|(timeline, end)| WalEnd { timeline, flushed: end.cast_unsigned() }),
    })
}

/// Reads a timeline from the name of a WAL file.
pub(super) fn timeline(row: &Row, index: usize) -> Result<Option<u32>, PgError> {
    let file: Option<&str> = row.get(index)?;
    Ok(file.and_then(|file| u32::from_str_radix(file.get(..8)?, 16).ok()))
}

impl Lease {
    /// Asks a server what it is, and whether the settings that were pinned are in effect.
    ///
    /// # Errors
    /// When it is too old, or something between us and it does not pin settings.
    pub async fn server(&self, session: &Session) -> Result<Server, PgError> {
        let rows = self.all(session, &sql::server()).await?;
        let [row] = rows.as_slice() else { return Err(PgError::unexpected("not one row")) };
        let version = u32::try_from(row.get::<i32>(0)?).unwrap_or(0);
        if version < OLDEST {
            let message = format!("PostgreSQL {} is older than 13", version / 10_000);
            return Err(PgError::setting(message));
        }
        self.check_settings(session).await?;
        Ok(Server {
            version,
            database: row.get(1)?,
            role: row.get(2)?,
            overprivileged: row.get(3)?,
            encoding: row.get(4)?,
            standby: row.get(5)?,
            system_identifier: row.get(6)?,
            monitors: row.get(7)?,
            instance: instance(row, timeline(row, 8)?, 9)?,
            digests: self.digest_trust(session, version).await?,
        })
    }

    async fn digest_trust(&self, session: &Session, version: u32) -> Result<DigestTrust, PgError> {
        if version < DIGESTS_SINCE {
            let why = format!("PostgreSQL {} is older than 14", version / 10_000);
            return Ok(DigestTrust::Refused(why));
        }
        let rows = match self.all(session, &sql::self_test()).await {
            Ok(rows) => rows,
            // A look-alike may lack the functions; that is no reason not to stream.
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

    async fn check_settings(&self, session: &Session) -> Result<(), PgError> {
        let rows = self.all(session, &sql::settings_in_effect()).await?;
        for row in &rows {
            let (name, value): (&str, &str) = (row.get(0)?, row.get(1)?);
            let pinned =
                sql::PINNED.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            if pinned != Some(value) {
                let message = format!("setting \"{name}\" is \"{value}\" in spite of SET LOCAL");
                return Err(PgError::setting(message));
            }
        }
        if rows.len() == sql::PINNED.len() {
            Ok(())
        } else {
            Err(PgError::unexpected("settings are missing"))
        }
    }
}
