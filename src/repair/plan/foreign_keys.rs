//! Parents and children of rows where mappings are left out of a repair: a row whose parent does not exist
//! may then not be inserted, and a row with children may not be deleted. The written side is queried,
//! because findings contain only the keys of their own rows.
//!
//! Values are compared with operators of `pg_catalog` only. Foreign keys over other types are not queried;
//! the server rejects a batch that would violate such a key.

use std::collections::BTreeMap;

use super::draft_change::DraftChange;
use crate::plan::MappingPlan;
use crate::repair::{Operation, WritableMapping, ordered};
use crate::schema::Link;
use crate::sql::{self, Statement};

/// A query for the rows at the other end of a foreign key. Its statement returns the number of the key,
/// from 1, and how many rows have it.
pub(crate) struct ForeignKeyQuery {
    /// The drafts, in the order of the statement's keys.
    drafts: Vec<usize>,
}

impl ForeignKeyQuery {
    /// Makes the query for the parents of drafts; `None` if there is nothing to query.
    pub(crate) fn parents<R>(
        plan: &MappingPlan,
        scope: &WritableMapping,
        drafts: &[DraftChange<'_, R>],
        link: &Link,
    ) -> Option<(ForeignKeyQuery, Statement)> {
        let values = drafts.iter().map(|draft| values(scope, draft, link, false));
        ForeignKeyQuery::new(plan, scope, link, values)
    }

    /// Makes the query for the children of drafts; `None` if there is nothing to query. With `cascades`
    /// children may be deleted or changed together with their parent, where the key says so.
    pub(crate) fn children<R>(
        plan: &MappingPlan,
        scope: &WritableMapping,
        drafts: &[DraftChange<'_, R>],
        link: &Link,
        cascades: bool,
    ) -> Option<(ForeignKeyQuery, Statement)> {
        let is_free = |operation: Operation| match operation {
            Operation::Insert => true,
            Operation::Update => cascades && link.on_update.is_some(),
            Operation::Delete => cascades && link.on_delete.is_some(),
        };
        let values = drafts.iter().map(|draft| match is_free(draft.operation) {
            true => None,
            false => values(scope, draft, link, true),
        });
        ForeignKeyQuery::new(plan, scope, link, values)
    }

    fn new<'v>(
        plan: &MappingPlan,
        scope: &WritableMapping,
        link: &Link,
        values: impl Iterator<Item = Option<Vec<&'v str>>>,
    ) -> Option<(ForeignKeyQuery, Statement)> {
        let mut columns = Vec::new();
        for (own, theirs) in &link.columns {
            let stored = scope.stored.columns.iter().find(|column| column.name == *own);
            let column = stored.filter(|column| ordered(&column.pg_type))?;
            columns.push((theirs, column.type_name.as_str()));
        }
        let queried = values.enumerate().filter_map(|(at, values)| Some((at, values?)));
        let (drafts, values): (Vec<usize>, Vec<Vec<&str>>) = queried.unzip();
        if drafts.is_empty() {
            return None;
        }
        let texts: Vec<Vec<Option<&str>>> = (0..columns.len())
            .map(|column| values.iter().map(|values| values.get(column).copied()).collect())
            .collect();
        let statement = sql::rows_with_keys(plan, &link.there, &columns, &texts);
        Some((ForeignKeyQuery { drafts }, statement))
    }

    /// Returns how many rows have the key of each draft.
    pub(crate) fn counts(&self, rows: Vec<(i64, i64)>) -> BTreeMap<usize, u64> {
        let mut counts: BTreeMap<usize, u64> = self.drafts.iter().map(|at| (*at, 0)).collect();
        for (number, rows) in rows {
            let index = usize::try_from(number - 1).ok();
            if let Some(draft) = index.and_then(|index| self.drafts.get(index)) {
                counts.insert(*draft, rows.cast_unsigned());
            }
        }
        counts
    }
}

/// Returns the values of a foreign key's columns that a draft takes, or gives up (`old`); `None` if it does
/// neither, or if one of them is NULL or not known.
fn values<'d, R>(
    scope: &WritableMapping,
    draft: &'d DraftChange<'_, R>,
    link: &Link,
    old: bool,
) -> Option<Vec<&'d str>> {
    let places = scope.places(draft.operation, link.columns.iter().map(|(own, _)| own))?;
    let is_changed =
        draft.operation != Operation::Update || places.iter().any(|at| draft.set.contains(at));
    let image = if old { &draft.change.old } else { &draft.change.new };
    let image = image.as_ref().filter(|_| is_changed)?;
    places.iter().map(|at| image.get(*at)?.as_deref()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_an_answer_has_no_rows() {
        let query = ForeignKeyQuery { drafts: vec![2, 4, 7] };
        let counts: Vec<_> = query.counts(vec![(2, 5), (9, 1), (0, 1)]).into_iter().collect();
        assert_eq!(counts, [(2, 0), (4, 5), (7, 0)]);
    }
}
