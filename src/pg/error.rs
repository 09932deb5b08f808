//! An error of a server, and what helps against it: a retry, a smaller query, or nothing.
//!
//! What helps is decided by the SQLSTATE, never by the text, which is in the server's language
//! (`lc_messages`). The exceptions have no SQLSTATE of their own and no translations: PgBouncer, which
//! reports every error with one code, internal errors (XX000), and the driver.
//!
//! A server's message may quote a row's value, and a function can raise any text. So messages are
//! reported only if they are the server's own and of a class that names no value (connections,
//! privileges, names, resources); of all others only the SQLSTATE is.

use std::fmt;

use tokio_postgres::error::DbError;

use crate::spec::printable;
use crate::sql::RAISED_SQLSTATE;

/// What helps against an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// A retry, a little later, on another connection.
    Retry,
    /// A retry on another connection, if the server responds there.
    Reconnect,
    /// A smaller range.
    Shrink,
    /// A retry after a pause, or a smaller range where there is one: it conflicted with a standby's replay.
    Conflict,
    /// Smaller ranges, until the one row is found that is the cause.
    Isolate,
    /// A new plan: what is read has changed since it was planned.
    Replan,
    /// Nothing.
    GiveUp,
}

/// An error of a server or of the connection to it. It holds no password and no row value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgError {
    /// What helps.
    pub remedy: Remedy,
    /// What went wrong: lowercase, without a full stop.
    pub message: String,
    /// What to do, as a sentence.
    pub hint: Option<String>,
    /// The SQLSTATE, if the server reported the error.
    pub sqlstate: Option<String>,
    /// The constraint that a row violates, and its table, if the server itself has named them.
    pub broken: Option<Box<str>>,
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PgError {}

impl PgError {
    fn new(remedy: Remedy, message: impl Into<String>) -> PgError {
        PgError { remedy, message: message.into(), hint: None, sqlstate: None, broken: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> PgError {
        self.hint = Some(hint.into());
        self
    }

    /// Returns whether a retry may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.remedy, Remedy::Retry | Remedy::Reconnect | Remedy::Conflict)
    }

    /// Adds the item that the error is about, where a query was about several.
    pub(super) fn about(self, name: &str) -> PgError {
        PgError { message: format!("{name}: {}", self.message), ..self }
    }

    /// Returns whether the server itself seems to be down, and not only a table locked.
    pub(crate) fn is_server_failure(&self) -> bool {
        let is_lock = matches!(self.sqlstate.as_deref(), Some("55P03" | "40P01"));
        matches!(self.remedy, Remedy::Retry | Remedy::Reconnect) && !is_lock
    }

    /// Makes an error about a connection setting that cannot be used.
    pub(super) fn invalid_setting(message: String) -> PgError {
        PgError::new(Remedy::GiveUp, message)
    }

    /// Makes an error about a result of an unexpected form.
    pub(crate) fn unexpected(what: impl Into<String>) -> PgError {
        PgError::new(
            Remedy::GiveUp,
            format!("the server's answer was not understood: {}", what.into()),
        )
    }

    /// Makes an error about a connection that cannot be opened.
    pub(super) fn connection_failed(error: &std::io::Error) -> PgError {
        PgError::new(Remedy::Retry, error.to_string())
    }

    /// Makes an error about a timeout.
    pub(super) fn timeout(what: &str) -> PgError {
        PgError::new(Remedy::Reconnect, format!("{what}: no answer in time"))
            .with_hint("The network or a pooler swallowed it, or the server is overloaded.")
    }

    /// Makes an error that may be gone a little later.
    pub(crate) fn transient(what: &str) -> PgError {
        PgError::new(Remedy::Retry, what)
    }

    /// Makes an error about more rows than may be held in memory.
    pub(crate) fn too_large(what: &str) -> PgError {
        PgError::new(Remedy::Shrink, what)
    }

    /// Makes an error about a side that has changed since it was planned.
    pub(crate) fn changed(what: String) -> PgError {
        PgError::new(Remedy::Replan, what)
    }

    /// Converts an error of the driver.
    pub(super) fn of(error: &tokio_postgres::Error) -> PgError {
        if let Some(error) = error.as_db_error() {
            return of_server(error);
        }
        let (mut causes, mut is_lost) = (Vec::new(), false);
        let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(cause) = source {
            causes.push(printable(&cause.to_string()));
            is_lost |= cause.downcast_ref().is_some_and(is_end);
            source = cause.source();
        }
        let cause = causes.pop().unwrap_or_else(|| printable(&error.to_string()));
        let whole = error.to_string();
        // A server refuses the client's certificate with an alert, after the handshake.
        let alert = cause.contains("fatal alert");
        if is_lost && !alert {
            return PgError::new(Remedy::Retry, cause);
        }
        if whole.contains("TLS") || cause.contains("certificate") || alert {
            return PgError::new(Remedy::GiveUp, format!("TLS failed: {cause}")).with_hint(
                "Check sslmode and sslrootcert; hosts that are not local are verified unless sslmode says otherwise.",
            );
        }
        if cause.contains("password missing") {
            return PgError::new(Remedy::GiveUp, "no password is known for this server")
                .with_hint("Use a password file (PGPASSFILE), a service file or PGPASSWORD.");
        }
        if whole.contains("authentication") {
            return PgError::new(Remedy::GiveUp, cause)
                .with_hint("Check channel_binding, and how pg_hba.conf lets this role in.");
        }
        PgError::new(Remedy::Retry, cause)
    }
}

/// Classes and SQLSTATEs whose messages are the server's own and name no value: features and states,
/// privileges, names, resources, the machine, damage to files, foreign servers that are not reached.
const WITHOUT_VALUES: [&str; 23] = [
    "08",
    "0A",
    "25",
    "26",
    "28",
    "2B",
    "2D",
    "34",
    "3B",
    "3D",
    "3F",
    "40",
    "42",
    "53",
    "54",
    "55",
    "57",
    "58",
    "72",
    "F0",
    "XX001",
    "XX002",
    RAISED_SQLSTATE,
];

/// Returns whether the connection was closed, also within TLS.
fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// Returns the class of an SQLSTATE and the SQLSTATE, if it is one: a server may send anything, and it has
/// five letters and digits.
fn class_and_code(code: &str) -> (&str, &str) {
    let is_code = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    code.get(..2).filter(|_| is_code).map_or(("", "not known"), |class| (class, code))
}

fn of_server(error: &DbError) -> PgError {
    let (class, code) = class_and_code(error.code().code());
    // RAISE may use any SQLSTATE: its text is reported only if it is that of SQL of this program.
    let raised = error.routine() == Some("exec_stmt_raise") && code != RAISED_SQLSTATE;
    let withheld = format!("the server refused it (SQLSTATE {code})");
    let text = if raised { &withheld } else { error.message() };
    let mut converted = match (class, code) {
        (_, "22021") => PgError::new(Remedy::Isolate, "a text is not valid in UTF-8 (SQLSTATE 22021)")
            .with_hint("Compare the bytes instead: { sql = \"convert_to(…, 'SQL_ASCII')\" }."),
        ("22" | "23" | "P0", _) => {
            PgError::new(Remedy::Isolate, format!("a value could not be read or computed (SQLSTATE {code})"))
                .with_hint("The server's log has the value; reports and logs of this tool never do.")
        }
        // Too large or too deep for the server to render or hash.
        ("54", _) => PgError::new(Remedy::Isolate, printable(text)),
        (_, "XX000") if text.starts_with("invalid memory alloc request size") => PgError::new(
            Remedy::Isolate,
            "a row is too large for the server to put together",
        ),
        (_, "08P01") => of_pgbouncer(text),
        (_, "57014") => PgError::new(Remedy::Shrink, printable(text))
            .with_hint("statement_timeout in [compare] is what a statement may take."),
        // A read in one snapshot gets this SQLSTATE only on a standby.
        (_, "40001") => PgError::new(Remedy::Conflict, printable(text)),
        (_, "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "40P01" | "25P03" | "55P03")
        | ("08", _) => PgError::new(Remedy::Retry, printable(text)),
        (_, "42501") => PgError::new(Remedy::GiveUp, printable(text))
            .with_hint("The role needs CONNECT on the database, USAGE on the schema and SELECT on what it compares."),
        ("28", _) => PgError::new(Remedy::GiveUp, printable(text))
            .with_hint("Check user and password; PGPASSFILE, service files and PGPASSWORD are read as by psql."),
        (_, "3D000") => PgError::new(Remedy::GiveUp, printable(text))
            .with_hint("Check the database's name in the connection string."),
        (class, _) if !raised && (WITHOUT_VALUES.contains(&class) || WITHOUT_VALUES.contains(&code)) => {
            let remedy = if code == "53200" { Remedy::Shrink } else { Remedy::GiveUp };
            let hint = error.hint().map(printable);
            PgError { hint, ..PgError::new(remedy, printable(text)) }
        }
        _ => PgError::new(Remedy::GiveUp, withheld)
            .with_hint("The server's log has the message; it may hold a row's value, so this tool does not repeat it."),
    };
    converted.sqlstate = Some(code.to_owned());
    converted.broken = find_broken_constraint(error);
    converted
}

/// The server's functions that name the constraint that a row violates. A user's function may raise an error
/// with anything in the same fields, a value too.
const CONSTRAINT_CHECKS: [&str; 12] = [
    "ExecConstraints",
    "ReportNotNullViolationError",
    "ExecPartitionCheckEmitError",
    "ExecFindPartition",
    "ExecEvalConstraintCheck",
    "ExecEvalConstraintNotNull",
    "domain_check_input",
    "_bt_check_unique",
    "check_exclusion_or_unique_constraint",
    "ri_ReportViolation",
    "RI_FKey_check",
    "RI_FKey_fk_upd_check_required",
];

/// Returns the constraint that a row violates: names from the catalog, and no value.
fn find_broken_constraint(error: &DbError) -> Option<Box<str>> {
    if !error.code().code().starts_with("23") || !CONSTRAINT_CHECKS.contains(&error.routine()?) {
        return None;
    }
    let what = match (error.code().code(), error.constraint(), error.column()) {
        ("23503", Some(name), _) => format!("foreign key {name:?}"),
        ("23505", Some(name), _) => format!("unique index {name:?}"),
        ("23514", Some(name), _) => format!("check constraint {name:?}"),
        ("23P01", Some(name), _) => format!("exclusion constraint {name:?}"),
        (_, Some(name), _) => format!("constraint {name:?}"),
        ("23502", None, Some(column)) => format!("NOT NULL of column {column:?}"),
        ("23502", None, None) => "NOT NULL".to_owned(),
        _ => "the partitions".to_owned(),
    };
    let schema = error.schema().map_or(String::new(), |schema| format!("{schema}."));
    let of = match (error.table(), error.datatype()) {
        (Some(table), _) => format!(" of table {schema}{table}"),
        (None, Some(domain)) => format!(" of type {schema}{domain}"),
        (None, None) => String::new(),
    };
    Some(printable(&format!("{what}{of}")).into())
}

/// Converts an error of PgBouncer, which reports every error with one SQLSTATE. Its texts have no
/// translations.
fn of_pgbouncer(text: &str) -> PgError {
    let transient =
        ["query_wait_timeout", "server conn crashed", "server_login_retry", "pooler is shut down"];
    if transient.iter().any(|known| text.contains(known)) {
        return PgError::new(Remedy::Retry, printable(text));
    }
    let denied = [
        "SASL authentication failed",
        "does not exist",
        "password authentication failed",
        "no such",
    ];
    if denied.iter().any(|known| text.contains(known)) {
        return PgError::new(Remedy::GiveUp, printable(text))
            .with_hint("Check user, password and database; the pooler has to know them too.");
    }
    PgError::new(Remedy::GiveUp, printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_sqlstate_has_no_class() {
        assert_eq!(class_and_code("42P01"), ("42", "42P01"));
        for lie in ["", "4", "é", "4é123", "ééé", "42P0", "42P011", "\u{1b}[31m", "\u{1f600}x"]
        {
            assert_eq!(class_and_code(lie), ("", "not known"), "{lie:?}");
        }
    }
}
