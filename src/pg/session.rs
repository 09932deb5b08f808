//! How each read begins.

use std::sync::Arc;
use std::time::Duration;

use crate::schema::SchemaName;
use crate::sql;

/// How reads begin: the pinned settings as one text, and how long an answer is waited for.
#[derive(Clone, Debug)]
pub struct Session {
    pub(super) begin: Arc<str>,
    pub(super) patience: Duration,
}

/// How much later than the server's own timeout an answer is given up. What finds out then whether the
/// server answers at all takes up to 7 s more: after 15 s a server that says nothing is given up.
const GRACE: Duration = Duration::from_secs(8);

impl Session {
    /// Reads with these schemas in the search path and this timeout of a statement.
    pub fn new(search_path: &[SchemaName], statement_timeout: Duration) -> Session {
        let begin = sql::begin(search_path, statement_timeout).into();
        Session { begin, patience: statement_timeout + GRACE }
    }
}
