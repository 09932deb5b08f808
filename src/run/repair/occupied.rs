//! Rows to insert whose key a row of the written table has already, so that no INSERT of them can run: one
//! that the mapping leaves out, as by its `where`, or one whose key is equal to the table though compare
//! tells the two apart. The server is asked only where there may be such rows.

use std::collections::BTreeMap;

use super::changes::Occupied;
use super::holding::Draft;
use crate::plan::MappingPlan;
use crate::prepare::Blocked;
use crate::repair::{Act, Scope, coarse, ordered};
use crate::run::work::task_context::TaskContext;
use crate::schema::{ColumnName, Side, StoredColumn, Unique};
use crate::sql::{self, KeyColumn};

/// The drafts of inserts whose key is taken, by place.
pub(in crate::run) async fn occupied(
    hands: &TaskContext<'_>,
    written: Side,
    scope: &Scope,
    drafts: &[Draft<'_>],
    refused: &[Option<String>],
) -> Result<BTreeMap<usize, Occupied>, Blocked> {
    let mut occupied: BTreeMap<usize, Occupied> = BTreeMap::new();
    let key = key(hands.plan, scope);
    let all = hands.plan.sides[written].filter.is_none();
    if all && !key.iter().any(|column| coarse(column)) {
        return Ok(occupied);
    }
    let asked: Vec<(usize, &Draft<'_>)> = drafts.iter().enumerate().collect();
    let asked = asked.into_iter().filter(|(at, d)| d.act == Act::Insert && refused[*at].is_none());
    let asked: Vec<_> = asked.collect();
    if asked.is_empty() {
        return Ok(occupied);
    }
    // The key stands first in every image.
    let text = |draft: &Draft<'_>, at: usize| draft.change.new.as_ref()?.get(at)?.clone();
    let texts: Vec<Vec<Option<String>>> = (0..key.len())
        .map(|column| asked.iter().map(|(_, draft)| text(draft, column)).collect())
        .collect();
    let texts: Vec<Vec<Option<&str>>> =
        texts.iter().map(|texts| texts.iter().map(Option::as_deref).collect()).collect();
    let names: Vec<&ColumnName> = key.iter().map(|column| &column.name).collect();
    let proven = scope.stored.uniques.iter().any(|unique| is_of(unique, &names));
    let compared: Vec<KeyColumn<'_>> = key.iter().map(|column| of(column, proven)).collect();
    let statement = sql::key_holders(hands.plan, written, &scope.table, &compared, &texts);
    for row in hands.query(written, statement).await? {
        let at_side = |error| Blocked::from((Some(written), error));
        let place: i64 = row.get(0).map_err(at_side)?;
        let seen: bool = row.get(1).map_err(at_side)?;
        let Some((at, _)) = usize::try_from(place - 1).ok().and_then(|place| asked.get(place))
        else {
            continue;
        };
        let why = match seen {
            true => format!("whose key another row of the {written} has, equal if not the same"),
            false => format!("whose key a row of the {written} has that the mapping leaves out"),
        };
        let found = Occupied { why, seen };
        if !seen || !occupied.contains_key(at) {
            occupied.insert(*at, found);
        }
    }
    Ok(occupied)
}

/// The key's columns, in its order.
fn key<'s>(plan: &MappingPlan, scope: &'s Scope) -> Vec<&'s StoredColumn> {
    let filled = scope.filled.iter().take(plan.key_width);
    filled.map(|filled| &scope.stored.columns[filled.column]).collect()
}

/// Whether an index is made of nothing but these columns, so that rows of one key have one value there.
pub(in crate::run) fn is_of(unique: &Unique, key: &[&ColumnName]) -> bool {
    let coarse = unique.told.as_ref().is_some_and(|told| told.coarse);
    !coarse && unique.columns.iter().all(|column| key.contains(&column))
}

/// How a column is compared: as the key's index does, if there is one, else as the script does.
fn of(column: &StoredColumn, proven: bool) -> KeyColumn<'_> {
    if let Some(equal) = column.equal.as_deref().filter(|_| proven) {
        return KeyColumn { column, equal: Some(equal), by_bytes: false };
    }
    let equal = ordered(&column.pg_type).then_some("operator(pg_catalog.=)");
    KeyColumn { column, equal, by_bytes: equal.is_none() || coarse(column) }
}
