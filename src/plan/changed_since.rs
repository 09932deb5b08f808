//! What is looked at when only what changed lately is asked for.
//!
//! Which rows that are is for each side's own clock and its own column to say: the moment is taken once,
//! before anything is read, so that a row does not grow too old while it waits for its turn.

use super::facts::Facts;
use crate::schema::{Builtin, BySide, ColumnName, PgType, RelationKind, Side};
use crate::spec::{Diagnostic, Mapping};

/// The rows of a side that changed lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSince {
    /// The column that says when a row was last changed.
    pub column: ColumnName,
    /// Its type: a date, a time, a time with its zone.
    pub builtin: Builtin,
    /// Rows that were changed at this moment or later, by the side's clock: a time with its zone.
    pub moment: String,
    /// Whether an index finds them.
    pub indexed: bool,
}

/// What is looked at on each side; nothing where everything is. A side that cannot say when its rows
/// were changed is a problem.
pub(super) fn since(
    mapping: &Mapping,
    facts: BySide<&Facts>,
    problems: &mut Vec<Diagnostic>,
) -> BySide<Option<ChangedSince>> {
    BySide::new(|side| {
        let moment = facts[side].moment.as_ref()?;
        let found = of_side(mapping, side, facts[side], moment);
        // What is wrong with a column that is named has been said.
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

fn of_side(mapping: &Mapping, side: Side, facts: &Facts, moment: &str) -> Option<ChangedSince> {
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
