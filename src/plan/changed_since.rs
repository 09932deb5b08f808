//! The limit to recently changed rows (`--since`).
//!
//! Each side's clock and last-modified column decide which rows these are. The moment is taken once,
//! before any row is read, so that a row does not become too old during the run.

use super::facts::Facts;
use crate::schema::{Builtin, BySide, ColumnName, PgType, RelationKind, Side};
use crate::spec::{Diagnostic, Mapping};

/// The recently changed rows of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSince {
    /// The last-modified column.
    pub column: ColumnName,
    /// Its type: date, timestamp or timestamptz.
    pub builtin: Builtin,
    /// The moment from which on rows count, by the side's clock: a timestamptz.
    pub moment: String,
    /// Whether an index finds the rows.
    pub indexed: bool,
}

/// Returns the limit of each side; `None` if all rows are compared. Reports a side without a
/// last-modified column.
pub(super) fn find_since(
    mapping: &Mapping,
    facts: BySide<&Facts>,
    problems: &mut Vec<Diagnostic>,
) -> BySide<Option<ChangedSince>> {
    BySide::new(|side| {
        let moment = facts[side].moment.as_ref()?;
        let found = find_side_since(mapping, side, facts[side], moment);
        // A column that is named and wrong is already reported.
        if found.is_none() && mapping.sides[side].changed_at.is_none() {
            let name = &mapping.name;
            let message = format!("mapping \"{name}\" does not say when {side} rows were changed");
            let hint = format!(
                "Name the last-modified column with changed_at in [mapping.{side}], or leave --since out."
            );
            problems.push(Diagnostic::error(&mapping.span, message).with_hint(hint));
        }
        found
    })
}

fn find_side_since(
    mapping: &Mapping,
    side: Side,
    facts: &Facts,
    moment: &str,
) -> Option<ChangedSince> {
    let name = &mapping.sides[side].changed_at.as_ref()?.value;
    let relation = &facts.relation;
    let PgType::Builtin(builtin) = relation.column(name)?.column_type.pg_type.base() else {
        return None;
    };
    let begins = |index: &crate::schema::Index| {
        index.columns.first().is_some_and(|first| first.name.as_ref() == Some(name))
    };
    let indexed = relation.kind != RelationKind::Query && relation.indexes.iter().any(begins);
    Some(ChangedSince {
        column: name.clone(),
        builtin: *builtin,
        moment: moment.to_owned(),
        indexed,
    })
}
