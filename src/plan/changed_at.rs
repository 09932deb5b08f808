//! The last-modified column of a side, as the spec names it.
//!
//! It is not a pair: a finding shows it, to say which side is behind, but it never decides whether rows
//! differ.

use super::column_pairs::{ColumnPair, require_column};
use super::facts::Facts;
use crate::schema::{Builtin, ColumnName, PgType, Side};
use crate::spec::{Diagnostic, Mapping, Placed};

/// A side's last-modified column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedAt {
    /// The column.
    pub column: ColumnName,
    /// Whether a redacted pair reads it, so that it must not be shown.
    pub redacted: bool,
    /// Values that divide the table into ranges of about equally many rows, by its statistics.
    pub spread: Vec<String>,
}

/// Returns a side's last-modified column. Reports what is wrong with it.
pub(super) fn find_changed_at(
    mapping: &Mapping,
    side: Side,
    facts: &Facts,
    pairs: &[ColumnPair],
    problems: &mut Vec<Diagnostic>,
) -> Option<ChangedAt> {
    let relation = &facts.relation;
    let Placed { value: name, span } = mapping.sides[side].changed_at.as_ref()?;
    let Some(column) = relation.column(name) else {
        require_column(relation, side, name, span, problems);
        return None;
    };
    let times = [Builtin::Date, Builtin::Timestamp, Builtin::TimestampTz];
    let is_time = |pg_type: &PgType| times.iter().any(|time| *pg_type == PgType::Builtin(*time));
    if !is_time(column.column_type.pg_type.base()) {
        let display = &column.column_type.display;
        let message = format!("\"changed_at\" names {side} column \"{name}\", which is {display}");
        let hint = "Name a column of a date or timestamp type, or leave it out.";
        problems.push(Diagnostic::error(span, message).with_hint(hint));
        return None;
    }
    if !column.readable {
        let message = format!("the role may not read {side} column \"{name}\" of \"changed_at\"");
        let hint = "GRANT SELECT on it, or leave \"changed_at\" out.";
        problems.push(Diagnostic::error(span, message).with_hint(hint));
        return None;
    }
    let redacted = pairs.iter().any(|pair| pair.settings.redact && pair.sides[side].reads(name));
    Some(ChangedAt { column: name.clone(), redacted, spread: facts.changed_at.clone() })
}
