//! The values that changes free and take in opaque indexes: those whose values only the server can
//! compute. It is queried for them while the repair is built, of each row before and after its change, and
//! of the row with a placeholder value in a column that is updated.

use std::collections::BTreeMap;
use std::ops::Range;

use super::draft_change::DraftChange;
use super::draft_facts::{ANY_VALUE, DraftFacts};
use crate::repair::{Operation, WritableMapping, placeholder_for, placeholder_sql};
use crate::schema::{ColumnName, Identity, Side, StoredColumn};
use crate::sql::{self, Statement};

/// Queries for the values of drafts in opaque indexes, and for the CHECK constraints of their columns.
pub(crate) struct IndexValueCheck<'c, 'd, R> {
    scope: &'c WritableMapping,
    written: Side,
    drafts: &'c [DraftChange<'d, R>],
    refused: &'c mut [Option<String>],
    /// The columns with CHECK constraints for which placeholders are checked.
    checked: Vec<usize>,
    /// The placeholder of each of them, if there is one.
    placeholders: BTreeMap<usize, Option<String>>,
    /// How many opaque indexes there are.
    width: usize,
    facts: DraftFacts,
    open: Vec<Range<usize>>,
}

/// A query for the rows of some drafts.
pub(crate) struct IndexValueQuery {
    drafts: Range<usize>,
    rows: Vec<QueriedRow>,
}

/// A row of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct QueriedRow {
    draft: usize,
    /// Whether it is the row after the change.
    new: bool,
    replaced: Option<Replaced>,
}

/// A column in which a placeholder value replaces that of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replaced {
    column: usize,
    /// Whether the placeholder is NULL.
    is_null: bool,
}

/// The server's answer for one row of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexValueRow {
    /// The value in each opaque index.
    pub(crate) values: Vec<Option<i64>>,
    /// Whether the row passes the CHECK constraints of each checked column.
    pub(crate) passes: Vec<bool>,
}

impl<'c, 'd, R> IndexValueCheck<'c, 'd, R> {
    /// Begins a check; `None` if there is nothing to query. A draft that an index or a CHECK constraint
    /// rejects becomes refused.
    pub(crate) fn new(
        scope: &'c WritableMapping,
        written: Side,
        drafts: &'c [DraftChange<'d, R>],
        refused: &'c mut [Option<String>],
    ) -> Option<IndexValueCheck<'c, 'd, R>> {
        let width = scope.opaque_uniques().count();
        let is_updated = |column: &usize| drafts.iter().any(|d| d.updates(scope, *column));
        let checked: Vec<usize> = checked_columns(scope).filter(is_updated).collect();
        if width == 0 && checked.is_empty() || drafts.is_empty() {
            return None;
        }
        let index_values = vec![[None; 2]; width * drafts.len()];
        let facts = DraftFacts { index_values, ..DraftFacts::default() };
        let (placeholders, open) = (BTreeMap::new(), std::iter::once(0..drafts.len()).collect());
        Some(IndexValueCheck {
            scope,
            written,
            drafts,
            refused,
            checked,
            placeholders,
            width,
            facts,
            open,
        })
    }

    /// Returns the columns that can have a placeholder, and the statement that computes one for the last
    /// of the drafts.
    pub(crate) fn placeholder_query(&self) -> Option<(Vec<usize>, Statement)> {
        let table = sql::quoted_table(&self.scope.table);
        let last = self.drafts.len().to_string();
        let texts = self.checked.iter().filter_map(|place| {
            let column = &self.scope.stored.columns[*place];
            Some((*place, placeholder_sql(&placeholder_for(column)?, &table, &column.name, &last)))
        });
        let (places, texts): (Vec<usize>, Vec<String>) = texts.unzip();
        (!places.is_empty()).then(|| (places, sql::texts(&texts)))
    }

    /// Adds the placeholders of columns.
    pub(crate) fn add_placeholders(
        &mut self,
        placeholders: impl IntoIterator<Item = (usize, Option<String>)>,
    ) {
        self.placeholders.extend(placeholders);
    }

    /// Returns the next query.
    pub(crate) fn next(&mut self) -> Option<IndexValueQuery> {
        while let Some(drafts) = self.open.pop() {
            let rows: Vec<QueriedRow> =
                drafts.clone().flat_map(|draft| self.rows_of(draft)).collect();
            if !rows.is_empty() {
                return Some(IndexValueQuery { drafts, rows });
            }
        }
        None
    }

    /// Returns how many values and how many results of CHECK constraints each row of an answer has.
    pub(crate) fn widths(&self) -> (usize, usize) {
        (self.width, self.checked.len())
    }

    /// Divides a query that the server rejected, which does not say because of which row. A draft is
    /// refused if it alone is rejected.
    pub(crate) fn divide(&mut self, IndexValueQuery { drafts, .. }: IndexValueQuery) {
        match drafts.len() {
            0 | 1 => {
                let written = self.written;
                let reason = format!("whose values an index or a CHECK of the {written} refuses");
                self.refused[drafts.start].get_or_insert(reason);
            }
            length => {
                let middle = drafts.start + length / 2;
                self.open.extend([middle..drafts.end, drafts.start..middle]);
            }
        }
    }

    /// Records the answer to a query.
    pub(crate) fn apply(&mut self, query: &IndexValueQuery, answers: Vec<IndexValueRow>) {
        let limits = &mut self.facts.limits;
        for (row, IndexValueRow { values, passes }) in query.rows.iter().zip(answers) {
            for (at, value) in values.into_iter().enumerate() {
                match row.replaced {
                    Some(Replaced { column, is_null: true }) if value.is_some() => {
                        limits.held.insert((at, column));
                    }
                    Some(_) => {}
                    None => {
                        let index = row.draft * self.width + at;
                        self.facts.index_values[index][usize::from(row.new)] = value;
                    }
                }
            }
            let Some(Replaced { column, is_null }) = row.replaced else { continue };
            let mut passes = self.checked.iter().zip(passes);
            if passes.any(|(checked, passes)| *checked == column && !passes) {
                limits.refused.insert((column, is_null));
            }
        }
    }

    /// Returns what was recorded: of updates only the values that they change.
    pub(crate) fn finish(mut self) -> DraftFacts {
        let scope = self.scope;
        let rows = self.facts.index_values.chunks_mut(self.width.max(1));
        for (draft, values) in self.drafts.iter().zip(rows) {
            for ((unique, index), value) in scope.opaque_uniques().zip(values) {
                let is_touched = unique.columns.iter().any(|column| draft.changes(scope, column));
                let is_same = value[0] == value[1] && !index.coarse;
                if draft.operation == Operation::Update && (is_same || !is_touched) {
                    *value = [None; 2];
                }
                let takes_default = unique.columns.iter().any(|c| is_left_to_default(scope, c));
                if draft.operation == Operation::Insert && takes_default {
                    value[1] = Some(ANY_VALUE);
                }
            }
        }
        self.facts
    }

    /// Returns the rows of a draft to query: as they are, and with each placeholder.
    fn rows_of(&self, draft: usize) -> Vec<QueriedRow> {
        let (scope, of) = (self.scope, &self.drafts[draft]);
        let mut rows = Vec::new();
        for new in [false, true] {
            let image = if new { &of.change.new } else { &of.change.old };
            if image.is_none() {
                continue;
            }
            if self.width > 0 {
                rows.push(QueriedRow { draft, new, replaced: None });
            }
            let replaced = |column: usize, is_null: bool| {
                let replaced = Some(Replaced { column, is_null });
                QueriedRow { draft, new, replaced }
            };
            let nullable = (0..scope.stored.columns.len()).filter(|column| {
                let is_known = is_opaque(scope, *column) || self.checked.contains(column);
                is_known && !scope.stored.columns[*column].not_null && of.updates(scope, *column)
            });
            rows.extend(nullable.map(|column| replaced(column, true)));
            let others = self.checked.iter().filter(|column| {
                of.updates(scope, **column)
                    && matches!(self.placeholders.get(column), Some(Some(_)))
            });
            rows.extend(others.map(|column| replaced(*column, false)));
        }
        rows
    }

    /// Returns the text of a column in a row of a query.
    fn text(&self, row: &QueriedRow, column: usize) -> Option<&str> {
        match row.replaced.filter(|replaced| replaced.column == column) {
            Some(Replaced { is_null: true, .. }) => None,
            Some(_) => self.placeholders.get(&column)?.as_deref(),
            None => self.drafts[row.draft].text(self.scope, column, row.new),
        }
    }

    /// Writes the statement of a query: a row for each of its rows, with the values of all opaque indexes
    /// and the results of the CHECK constraints.
    pub(crate) fn statement(&self, query: &IndexValueQuery) -> Statement {
        let (scope, stored) = (self.scope, &self.scope.stored.columns);
        // A CHECK constraint may read any column.
        let has_checks = !self.checked.is_empty();
        let is_needed = |column: &usize| has_checks || is_opaque(scope, *column);
        let needed: Vec<usize> =
            (0..stored.len()).filter(|at| !stored[*at].generated).filter(is_needed).collect();
        let texts = |column: &usize| query.rows.iter().map(|row| self.text(row, *column)).collect();
        let texts: Vec<Vec<Option<&str>>> = needed.iter().map(texts).collect();
        let is_read = |column: &&StoredColumn| {
            has_checks
                || scope
                    .opaque_uniques()
                    .any(|(_, value_sql)| value_sql.generated.contains(&column.name))
        };
        let generated: Vec<&StoredColumn> =
            stored.iter().filter(|column| column.generated).filter(is_read).collect();
        let mut values: Vec<&str> =
            scope.opaque_uniques().map(|(_, value_sql)| value_sql.value.as_str()).collect();
        values.extend(self.checked.iter().filter_map(|column| stored[*column].checks.as_deref()));
        let columns: Vec<&StoredColumn> = needed.iter().map(|column| &stored[*column]).collect();
        sql::index_values(&values, &columns, &generated, &texts, query.rows.len())
    }
}

/// Returns the columns of unique indexes that have CHECK constraints: these may reject a placeholder.
fn checked_columns(scope: &WritableMapping) -> impl Iterator<Item = usize> {
    let columns = scope.stored.columns.iter().enumerate();
    let checked = columns.filter(|(_, column)| column.checks.is_some());
    let indexed = checked.filter(|(_, c)| scope.uniques().any(|u| u.columns.contains(&c.name)));
    indexed.map(|(place, _)| place)
}

/// Returns whether a column is one of an opaque index.
fn is_opaque(scope: &WritableMapping, column: usize) -> bool {
    let name = &scope.stored.columns[column].name;
    scope.opaque_uniques().any(|(unique, _)| unique.columns.contains(name))
}

/// Returns whether an insert leaves a column to its default.
fn is_left_to_default(scope: &WritableMapping, name: &ColumnName) -> bool {
    let Some(place) = scope.stored.columns.iter().position(|column| column.name == *name) else {
        return false;
    };
    let column = &scope.stored.columns[place];
    let has_value = column.has_default || column.identity != Identity::None;
    has_value && !scope.filled.iter().any(|filled| filled.column == place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::RowChange;
    use crate::repair_plan::sample::{self, SampleRow};

    fn scope() -> WritableMapping {
        let mut table = sample::stored(1);
        table.uniques = vec![sample::unique("v", true)];
        sample::scope(table)
    }

    fn draft(operation: Operation, change: RowChange) -> DraftChange<'static, SampleRow> {
        let (set, converted, stored) = Default::default();
        DraftChange { operation, change, set, converted, right: None, stored }
    }

    fn update(from: &str, to: &str) -> DraftChange<'static, SampleRow> {
        draft(Operation::Update, sample::change(Some(["1", from]), Some(["1", to])))
    }

    fn answer(value: Option<i64>) -> IndexValueRow {
        IndexValueRow { values: vec![value], passes: Vec::new() }
    }

    #[test]
    fn an_update_is_queried_before_and_after_and_with_null() {
        let scope = scope();
        let drafts = [update("a", "b"), update("a", "a")];
        let mut refused = vec![None; 2];
        let mut check = IndexValueCheck::new(&scope, Side::Target, &drafts, &mut refused).unwrap();
        let query = check.next().unwrap();
        let rows: Vec<_> =
            query.rows.iter().map(|row| (row.draft, row.new, row.replaced.is_some())).collect();
        let first = [(0, false, false), (0, false, true), (0, true, false), (0, true, true)];
        assert_eq!(rows, [&first[..], &[(1, false, false), (1, true, false)]].concat());
        let values = [Some(10), Some(99), Some(11), None, Some(10), Some(10)];
        check.apply(&query, values.map(answer).to_vec());
        assert!(check.next().is_none());
        let facts = check.finish();
        assert_eq!(facts.index_values, [[Some(10), Some(11)], [None, None]]);
        // With NULL in the column the row still had a value: NULL is no placeholder.
        assert_eq!(facts.limits.held, [(0, 1)].into());
    }

    #[test]
    fn a_row_that_the_server_rejects_is_found_by_division() {
        let scope = scope();
        let insert = |id| draft(Operation::Insert, sample::change(None, Some([id, "v"])));
        let drafts = ["1", "2", "3"].map(insert);
        let mut refused = vec![None; 3];
        let mut check = IndexValueCheck::new(&scope, Side::Target, &drafts, &mut refused).unwrap();
        while let Some(query) = check.next() {
            match query.drafts.contains(&2) {
                true => check.divide(query),
                false => {
                    let answers = vec![answer(Some(7)); query.rows.len()];
                    check.apply(&query, answers);
                }
            }
        }
        let taken = [None, Some(7)];
        assert_eq!(check.finish().index_values, [taken, taken, [None, None]]);
        let reason = "whose values an index or a CHECK of the target refuses";
        assert_eq!(refused, [None, None, Some(reason.to_owned())]);
    }
}
