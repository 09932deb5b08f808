//! Generated columns: whether the written side will compute what the authority's row holds. Its server
//! says so while a repair is made, of each row as it is to become. No statement can set such a column, so
//! a row that will differ in one is named before anybody applies it.

use std::collections::BTreeMap;

use super::holding::Draft;
use crate::compare::agree;
use crate::pg::{PgError, Remedy};
use crate::prepare::Blocked;
use crate::repair::{Act, Filled, Scope};
use crate::row::Record;
use crate::run::work::task_context::TaskContext;
use crate::schema::{Identity, Side, StoredColumn};
use crate::sql::{self, quoted};

/// The pairs in which drafts will differ all the same, by the drafts' places.
pub(in crate::run) async fn stay_different(
    hands: &TaskContext<'_>,
    written: Side,
    scope: &Scope,
    drafts: &[Draft<'_>],
    refused: &[Option<String>],
) -> Result<BTreeMap<usize, Vec<usize>>, Blocked> {
    let mut found: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for act in [Act::Insert, Act::Update] {
        let of_act = |(at, draft): &(usize, &Draft<'_>)| draft.act == act && refused[*at].is_none();
        let asked: Vec<(usize, &Draft<'_>)> = drafts.iter().enumerate().filter(of_act).collect();
        let computed: Vec<&Filled> =
            scope.filled.iter().filter(|filled| is_known(scope, act, filled)).collect();
        if asked.is_empty() || computed.is_empty() {
            continue;
        }
        let pairs: Vec<usize> = computed.iter().map(|filled| filled.pair).collect();
        let rows = match values(hands, written, scope, &computed, &asked).await {
            Ok(texts) => {
                let texts: Vec<Vec<Option<&str>>> =
                    texts.iter().map(|t| t.iter().map(Option::as_deref).collect()).collect();
                hands.query(written, sql::cast_values(hands.plan, written, &pairs, &texts)).await
            }
            Err(error) => Err((Some(written), error)),
        };
        let rows = match rows {
            Ok(rows) => rows,
            // A row or a role that the expression refuses: what applies the row says so.
            Err((_, error)) if error.sqlstate.is_some() && error.remedy != Remedy::Retry => {
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for ((at, draft), row) in asked.iter().zip(&rows) {
            let right = |pair: usize| draft.right.and_then(|row| row.field(pair));
            let differs = |(field, pair): &(usize, usize)| {
                !agree(&hands.plan.pairs[*pair], right(*pair), row.field(*field))
            };
            let pairs = pairs.iter().copied().enumerate().filter(differs).map(|(_, pair)| pair);
            let pairs: Vec<usize> = pairs.collect();
            if !pairs.is_empty() {
                found.insert(*at, pairs);
            }
        }
    }
    Ok(found)
}

/// What the server computes of drafts as they become: of each column a text for each draft.
async fn values(
    hands: &TaskContext<'_>,
    written: Side,
    scope: &Scope,
    computed: &[&Filled],
    asked: &[(usize, &Draft<'_>)],
) -> Result<Vec<Vec<Option<String>>>, PgError> {
    let stored = &scope.stored.columns;
    let generated: Vec<&StoredColumn> = computed.iter().map(|f| &stored[f.column]).collect();
    let of = |column: &StoredColumn| {
        let mut expressions = generated.iter().filter_map(|c| c.expression.as_deref());
        !column.generated && expressions.any(|expression| names(expression, &column.name.0))
    };
    let needed: Vec<usize> = (0..stored.len()).filter(|at| of(&stored[*at])).collect();
    let texts: Vec<Vec<Option<&str>>> = needed
        .iter()
        .map(|column| asked.iter().map(|(_, draft)| draft.text(scope, *column, true)).collect())
        .collect();
    let columns: Vec<&StoredColumn> = needed.iter().map(|column| &stored[*column]).collect();
    let values = generated.iter().map(|c| format!("t.{}::pg_catalog.text", quoted(&c.name.0)));
    let values: Vec<String> = values.collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let statement = sql::index_values(&values, &columns, &generated, &texts, asked.len());
    let rows = hands.query(written, statement).await.map_err(|(_, error)| error)?;
    (0..computed.len())
        .map(|at| rows.iter().map(|row| row.get::<Option<String>>(at)).collect())
        .collect()
}

/// Whether a pair's column is generated, and of columns alone whose values are known beforehand: an
/// insert leaves some to their defaults, and some may not be read.
fn is_known(scope: &Scope, act: Act, filled: &Filled) -> bool {
    let column = &scope.stored.columns[filled.column];
    let Some(expression) = column.expression.as_ref().filter(|_| column.generated) else {
        return false;
    };
    let unknown = scope.stored.columns.iter().enumerate().filter(|(place, other)| {
        let comes = scope.filled.iter().any(|filled| filled.column == *place);
        let server = other.has_default || other.identity != Identity::None;
        !other.generated && (!other.readable || act == Act::Insert && !comes && server)
    });
    unknown.into_iter().all(|(_, other)| !names(expression, &other.name.0))
}

/// Whether a name stands in an expression as a word, also as a part of a longer quoted one.
fn names(expression: &str, name: &str) -> bool {
    let name = name.replace('"', "\"\"");
    let within = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    expression.match_indices(&name).any(|(at, _)| {
        let before = expression[..at].chars().next_back();
        let after = expression[at + name.len()..].chars().next();
        !before.is_some_and(within) && !after.is_some_and(within)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_column_is_known_by_its_whole_name() {
        for expression in ["(n * 2)", "n", "(\"n\" || a)", "f(a, n)", "(\"m n\" + 1)"] {
            assert!(names(expression, "n"), "{expression}");
        }
        for expression in ["(an * 2)", "null", "n1 + n_2", "round(a)"] {
            assert!(!names(expression, "n"), "{expression}");
        }
    }
}
