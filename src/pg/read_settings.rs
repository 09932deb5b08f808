//! How each read begins.

use std::sync::Arc;
use std::time::Duration;

use crate::schema::SchemaName;
use crate::sql;

/// How reads begin: the pinned settings as one text, and how long an answer is waited for.
#[derive(Clone, Debug)]
pub struct ReadSettings {
    pub(super) begin: Arc<str>,
    pub(super) patience: Duration,
}

/// How much later than the server's own timeout an answer is given up. What finds out then whether the
/// server answers at all takes up to 7 s more: after 15 s a server that says nothing is given up.
const GRACE: Duration = Duration::from_secs(8);

impl ReadSettings {
    /// Reads with these schemas in the search path and this timeout of a statement.
    pub fn new(search_path: &[SchemaName], statement_timeout: Duration) -> ReadSettings {
        ReadSettings::limited(search_path, statement_timeout, statement_timeout)
    }

    /// Returns a session whose statements the server ends after `limit`, and whose answers may still
    /// take `statement_timeout`: a function that cannot be interrupted runs on beyond the limit, and
    /// a server that waits for it is not silent.
    pub fn limited(
        search_path: &[SchemaName],
        limit: Duration,
        statement_timeout: Duration,
    ) -> ReadSettings {
        let begin = sql::begin(search_path, limit.min(statement_timeout)).into();
        ReadSettings { begin, patience: statement_timeout + GRACE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of 600 MB is hashed in one go: a server that was given up four seconds and the grace later
    /// made a run incomplete on a busy machine.
    #[test]
    fn a_short_limit_does_not_shorten_the_wait_for_the_answer() {
        let (short, long) = (Duration::from_secs(4), Duration::from_secs(60));
        let session = ReadSettings::limited(&[], short, long);
        assert!(session.begin.contains("set local statement_timeout = 4000;"), "{}", session.begin);
        assert_eq!(session.patience, ReadSettings::new(&[], long).patience);
        let never_longer = ReadSettings::limited(&[], long, short);
        assert!(never_longer.begin.contains("set local statement_timeout = 4000;"));
    }
}
