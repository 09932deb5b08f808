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

/// `[gate]`.
pub(super) fn read_gate(document: &mut Reader<'_>) {
    if let Some(mut gate) = document.table("gate", "[gate]") {
        gate.number("clean_runs", 1);
        gate.duration("window");
        gate.duration("max_age");
        refuse(gate.problems(), &gate.span, "[gate]");
        gate.finish();
    }
}
