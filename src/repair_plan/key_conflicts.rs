//! Rows to insert whose key another row of the written table has, so that their INSERT would fail: a row
//! that the mapping leaves out, as by its `where`, or one whose key is equal for the table though compare
//! distinguishes the two. The server is queried only where such rows are possible.

use std::collections::BTreeMap;

use super::draft_change::DraftChange;
use super::draft_facts::KeyConflict;
use crate::plan::MappingPlan;
use crate::repair::{Operation, WritableMapping, coarse, ordered};
use crate::schema::{ColumnName, Side, StoredColumn, UniqueIndex};
use crate::sql::{self, KeyColumn, Statement};

/// A query for rows with the keys of inserts.
pub(crate) struct KeyConflictQuery {
    /// The drafts, in the order of the statement's keys.
    drafts: Vec<usize>,
    written: Side,
}

impl KeyConflictQuery {
    /// Makes the query for drafts that are not refused; `None` if no conflict is possible. The statement
    /// returns the number of the key, from 1, and whether the mapping includes the row.
    pub(crate) fn new<R>(
        plan: &MappingPlan,
        written: Side,
        scope: &WritableMapping,
        drafts: &[DraftChange<'_, R>],
        refused: &[Option<String>],
    ) -> Option<(KeyConflictQuery, Statement)> {
        let key = key_columns(plan, scope);
        let includes_all = plan.sides[written].filter.is_none();
        if includes_all && !key.iter().any(|column| coarse(column)) {
            return None;
        }
        let is_insert =
            |at: &usize| drafts[*at].operation == Operation::Insert && refused[*at].is_none();
        let queried: Vec<usize> = (0..drafts.len()).filter(is_insert).collect();
        if queried.is_empty() {
            return None;
        }
        // The key's columns are the first ones of every image.
        let text = |draft: &usize, column: usize| {
            drafts[*draft].change.new.as_ref()?.get(column)?.as_deref()
        };
        let texts: Vec<Vec<Option<&str>>> = (0..key.len())
            .map(|column| queried.iter().map(|draft| text(draft, column)).collect())
            .collect();
        let names: Vec<&ColumnName> = key.iter().map(|column| &column.name).collect();
        let is_unique = scope.stored.uniques.iter().any(|unique| is_within_key(unique, &names));
        let columns: Vec<KeyColumn<'_>> =
            key.iter().map(|column| key_column(column, is_unique)).collect();
        let statement = sql::key_holders(plan, written, &scope.table, &columns, &texts);
        Some((KeyConflictQuery { drafts: queried, written }, statement))
    }

    /// Returns the conflicts by draft. A row that the mapping leaves out is reported before others.
    pub(crate) fn conflicts(&self, rows: Vec<(i64, bool)>) -> BTreeMap<usize, KeyConflict> {
        let mut conflicts = BTreeMap::new();
        for (number, is_mapped) in rows {
            let index = usize::try_from(number - 1).ok();
            let Some(draft) = index.and_then(|index| self.drafts.get(index)) else { continue };
            let written = self.written;
            let reason = match is_mapped {
                true => {
                    format!("whose key another row of the {written} has, equal if not the same")
                }
                false => {
                    format!("whose key a row of the {written} has that the mapping leaves out")
                }
            };
            if !is_mapped || !conflicts.contains_key(draft) {
                conflicts.insert(*draft, KeyConflict { reason, is_mapped });
            }
        }
        conflicts
    }
}

/// Returns the key's columns, in its order.
fn key_columns<'s>(plan: &MappingPlan, scope: &'s WritableMapping) -> Vec<&'s StoredColumn> {
    let filled = scope.filled.iter().take(plan.key_width);
    filled.map(|filled| &scope.stored.columns[filled.column]).collect()
}

/// Returns whether an index consists of columns of the key only: rows of one key then have one value
/// there.
pub(crate) fn is_within_key(unique: &UniqueIndex, key: &[&ColumnName]) -> bool {
    let coarse = unique.value_sql.as_ref().is_some_and(|value_sql| value_sql.coarse);
    !coarse && unique.columns.iter().all(|column| key.contains(&column))
}

/// Returns how a column is compared: as the key's index does, if there is one, else as the script does.
fn key_column(column: &StoredColumn, is_unique: bool) -> KeyColumn<'_> {
    if let Some(equal) = column.equal.as_deref().filter(|_| is_unique) {
        return KeyColumn { column, equal: Some(equal), by_bytes: false };
    }
    let equal = ordered(&column.pg_type).then_some("operator(pg_catalog.=)");
    KeyColumn { column, equal, by_bytes: equal.is_none() || coarse(column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_the_mapping_leaves_out_is_reported_first() {
        let query = KeyConflictQuery { drafts: vec![3, 5, 8], written: Side::Target };
        let rows = vec![(2, true), (2, false), (2, true), (3, true), (9, true), (0, false)];
        let found: Vec<_> = query.conflicts(rows).into_iter().collect();
        let found: Vec<_> =
            found.iter().map(|(at, c)| (*at, c.is_mapped, c.reason.as_str())).collect();
        assert_eq!(
            found,
            [
                (5, false, "whose key a row of the target has that the mapping leaves out"),
                (8, true, "whose key another row of the target has, equal if not the same")
            ]
        );
    }
}
