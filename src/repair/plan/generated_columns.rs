//! Generated columns: whether the written side will compute the value that the source of truth has. Its
//! server computes it for each row as it will be. No statement can set such a column, so a row that will
//! differ in one is reported before the repair is applied.

use super::draft_change::DraftChange;
use crate::compare::agree;
use crate::plan::MappingPlan;
use crate::repair::{FilledColumn, Operation, WritableMapping};
use crate::row::Record;
use crate::schema::{Identity, Side, StoredColumn};
use crate::sql::{self, Statement, quoted};

/// Queries for the generated columns of drafts of one operation.
pub(crate) struct GeneratedColumnQuery<'c, 'd, R> {
    plan: &'c MappingPlan,
    scope: &'c WritableMapping,
    written: Side,
    drafts: &'c [DraftChange<'d, R>],
    /// The indexes of the drafts that are queried.
    queried: Vec<usize>,
    columns: Vec<&'c FilledColumn>,
    pairs: Vec<usize>,
}

impl<'c, 'd, R: Record> GeneratedColumnQuery<'c, 'd, R> {
    /// Makes the query for drafts that are not refused; `None` if there is nothing to query.
    pub(crate) fn new(
        plan: &'c MappingPlan,
        (scope, written): (&'c WritableMapping, Side),
        drafts: &'c [DraftChange<'d, R>],
        refused: &[Option<String>],
        operation: Operation,
    ) -> Option<GeneratedColumnQuery<'c, 'd, R>> {
        let is_queried = |at: &usize| drafts[*at].operation == operation && refused[*at].is_none();
        let queried: Vec<usize> = (0..drafts.len()).filter(is_queried).collect();
        let columns: Vec<&FilledColumn> =
            scope.filled.iter().filter(|filled| is_computable(scope, operation, filled)).collect();
        let pairs = columns.iter().map(|filled| filled.pair).collect();
        (!queried.is_empty() && !columns.is_empty()).then_some(GeneratedColumnQuery {
            plan,
            scope,
            written,
            drafts,
            queried,
            columns,
            pairs,
        })
    }

    /// Returns how many columns are computed.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Writes the statement that computes the columns: a row for each draft, with a text for each column.
    pub(crate) fn values_statement(&self) -> Statement {
        let stored = &self.scope.stored.columns;
        let generated: Vec<&StoredColumn> =
            self.columns.iter().map(|filled| &stored[filled.column]).collect();
        let is_read = |column: &StoredColumn| {
            let mut expressions = generated.iter().filter_map(|c| c.expression.as_deref());
            !column.generated && expressions.any(|expression| names(expression, &column.name.0))
        };
        let needed: Vec<usize> = (0..stored.len()).filter(|at| is_read(&stored[*at])).collect();
        let text =
            |draft: &usize, column: usize| self.drafts[*draft].text(self.scope, column, true);
        let texts: Vec<Vec<Option<&str>>> = needed
            .iter()
            .map(|column| self.queried.iter().map(|draft| text(draft, *column)).collect())
            .collect();
        let columns: Vec<&StoredColumn> = needed.iter().map(|column| &stored[*column]).collect();
        let values = generated.iter().map(|c| format!("t.{}::pg_catalog.text", quoted(&c.name.0)));
        let values: Vec<String> = values.collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        sql::index_values(&values, &columns, &generated, &texts, self.queried.len())
    }

    /// Writes the statement that returns computed texts as the fields of their pairs. `texts` are the
    /// values of each column.
    pub(crate) fn fields_statement(&self, texts: &[Vec<Option<String>>]) -> Statement {
        let texts: Vec<Vec<Option<&str>>> =
            texts.iter().map(|texts| texts.iter().map(Option::as_deref).collect()).collect();
        sql::cast_values(self.plan, self.written, &self.pairs, &texts)
    }

    /// Returns the drafts whose computed values differ from those of the source of truth, with the pairs.
    pub(crate) fn differing(&self, rows: &[R]) -> Vec<(usize, Vec<usize>)> {
        let differing = self.queried.iter().zip(rows).map(|(draft, row)| {
            let right = |pair: usize| self.drafts[*draft].right.and_then(|row| row.field(pair));
            let differs = |(field, pair): &(usize, &usize)| {
                !agree(&self.plan.pairs[**pair], right(**pair), row.field(*field))
            };
            let pairs = self.pairs.iter().enumerate().filter(differs);
            (*draft, pairs.map(|(_, pair)| *pair).collect::<Vec<usize>>())
        });
        differing.filter(|(_, pairs)| !pairs.is_empty()).collect()
    }
}

/// Returns whether a pair's column is generated from columns whose values are known before the change:
/// an insert leaves some to their defaults, and some may not be read.
fn is_computable(scope: &WritableMapping, operation: Operation, filled: &FilledColumn) -> bool {
    let column = &scope.stored.columns[filled.column];
    let Some(expression) = column.expression.as_ref().filter(|_| column.generated) else {
        return false;
    };
    let unknown = scope.stored.columns.iter().enumerate().filter(|(place, other)| {
        let is_filled = scope.filled.iter().any(|filled| filled.column == *place);
        let has_default = other.has_default || other.identity != Identity::None;
        let takes_default = operation == Operation::Insert && !is_filled && has_default;
        !other.generated && (!other.readable || takes_default)
    });
    unknown.into_iter().all(|(_, other)| !names(expression, &other.name.0))
}

/// Returns whether an expression contains a name as a word, also as a part of a longer quoted name.
fn names(expression: &str, name: &str) -> bool {
    let name = name.replace('"', "\"\"");
    let is_within = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    expression.match_indices(&name).any(|(at, _)| {
        let before = expression[..at].chars().next_back();
        let after = expression[at + name.len()..].chars().next();
        !before.is_some_and(is_within) && !after.is_some_and(is_within)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_column_is_recognized_by_its_whole_name() {
        for expression in ["(n * 2)", "n", "(\"n\" || a)", "f(a, n)", "(\"m n\" + 1)"] {
            assert!(names(expression, "n"), "{expression}");
        }
        for expression in ["(an * 2)", "null", "n1 + n_2", "round(a)"] {
            assert!(!names(expression, "n"), "{expression}");
        }
    }
}
