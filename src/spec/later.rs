//! Keys that the format has and this version does not act on yet.
//!
//! They are read and checked, and using one is an error: a setting that is silently ignored would
//! be worse than one that does not exist.

use super::diagnostic::{Diagnostic, Span};
use super::reader::{Problems, Reader};

/// Reports that a key does nothing in this version.
pub(super) fn refuse(problems: &Problems, span: &Span, key: &str) {
    problems.push(
        Diagnostic::error(span, format!("\"{key}\" does nothing in this version yet"))
            .hinted("Take it out until it works; it is never ignored in silence."),
    );
}

/// `[pace]`.
pub(super) fn read_pace(document: &mut Reader<'_>) {
    if let Some(mut pace) = document.table("pace", "[pace]") {
        pace.duration("max_replica_lag");
        pace.number("max_active_sessions", 1);
        pace.string("pause_file");
        refuse(pace.problems(), &pace.span, "[pace]");
        pace.finish();
    }
}
