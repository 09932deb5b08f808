//! The settings of a transaction that reads.

use std::sync::Arc;
use std::time::Duration;

use crate::schema::SchemaName;
use crate::sql;

/// The settings of a transaction that reads: the SQL that begins it and pins all settings, and the client's
/// timeout.
#[derive(Clone, Debug)]
pub struct ReadSettings {
    pub(super) begin: Arc<str>,
    pub(super) timeout: Duration,
}

/// How much longer than the server's own timeout the client waits. Then a test on a new connection takes up
/// to 7 s more: after 15 s a server that does not respond is given up.
const GRACE: Duration = Duration::from_secs(8);

impl ReadSettings {
    /// Makes settings with this search path and statement timeout.
    pub fn new(search_path: &[SchemaName], statement_timeout: Duration) -> ReadSettings {
        ReadSettings::limited(search_path, statement_timeout, statement_timeout)
    }

    /// Makes settings with which the server cancels statements after `limit`, and the client still waits
    /// for `statement_timeout`: a function that cannot be interrupted runs beyond the limit, and a server
    /// that waits for it has not failed.
    pub fn limited(
        search_path: &[SchemaName],
        limit: Duration,
        statement_timeout: Duration,
    ) -> ReadSettings {
        let begin = sql::begin(search_path, limit.min(statement_timeout)).into();
        ReadSettings { begin, timeout: statement_timeout + GRACE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashing a value of 600 MB cannot be interrupted. When the server was given up after four seconds and
    /// the grace, runs on a busy machine were incomplete.
    #[test]
    fn a_short_limit_does_not_shorten_the_timeout_of_the_client() {
        let (short, long) = (Duration::from_secs(4), Duration::from_secs(60));
        let settings = ReadSettings::limited(&[], short, long);
        assert!(
            settings.begin.contains("set local statement_timeout = 4000;"),
            "{}",
            settings.begin
        );
        assert_eq!(settings.timeout, ReadSettings::new(&[], long).timeout);
        let never_longer = ReadSettings::limited(&[], long, short);
        assert!(never_longer.begin.contains("set local statement_timeout = 4000;"));
    }
}
