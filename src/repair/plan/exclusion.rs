//! Changes that are left out because they cannot run: an update of an index for which there is no
//! placeholder value, while other rows still have the value that it takes; an insert whose key another row
//! has and keeps; changes that require what these provide; and deletes of rows to which other rows refer.
//!
//! The server may process the rows of one statement in any order, so not even a chain of updates would
//! succeed there.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use super::change_set::{ChangeSet, ValueSource};
use super::draft_facts::{ANY_VALUE, IndexValue};
use super::key_conflicts::is_within_key;
use crate::problem::Problem;
use crate::repair::{Operation, ValueHash, ValueHasher, WritableMapping};
use crate::schema::{ColumnName, Link, Unique};

/// How many rows are left out, by the index of the mapping and the reason.
pub(crate) type ExcludedCounts = BTreeMap<(usize, String), u64>;

/// The reason of a change that requires another one.
const REQUIRES_EXCLUDED: &str = "that need what rows left out have";

/// The reason of an insert whose key another insert has.
const DUPLICATE_INSERT: &str = "whose key another row to insert has, equal if not the same";

/// The reason of a change that takes away what other rows refer to.
const REFERRED_TO: &str = "that other rows still refer to";

/// A change that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excluded {
    reason: String,
    /// Whether another row has its key: then rows that refer to the key are valid.
    key_exists: bool,
}

/// The changes of one set that are left out, by number.
type ExcludedRows = BTreeMap<usize, Excluded>;

impl Excluded {
    fn new(reason: &str) -> Excluded {
        Excluded { reason: reason.to_owned(), key_exists: false }
    }

    fn with_key(reason: &str) -> Excluded {
        Excluded { reason: reason.to_owned(), key_exists: true }
    }
}

/// Removes the changes that cannot run.
pub(crate) fn exclude(
    sets: &mut [ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
) -> Result<ExcludedCounts, Problem> {
    let marker = ValueHasher::default();
    let missing = missing_parents(sets, scopes, &marker)?;
    let referred = referred_values(sets, scopes, &marker)?;
    let mut excluded: Vec<ExcludedRows> = Vec::new();
    for set in sets.iter() {
        let mut rows = BTreeMap::new();
        let scope = scopes[&set.mapping];
        if set.shape.operation == Operation::Insert {
            let deletes = sets.iter().find(|other| {
                (other.mapping, other.shape.operation) == (set.mapping, Operation::Delete)
            });
            exclude_conflicting_inserts(set, deletes, scope, &mut rows);
        }
        if set.shape.operation == Operation::Update {
            for (at, (unique, _)) in scope.opaque_uniques().enumerate() {
                let (columns, limits) = (&set.spool.set, &set.spool.facts.limits);
                if set.sets_unique(scopes, unique)
                    && scope.exchange(unique, columns, limits).is_err()
                {
                    exclude_takers(&index_values(set, at), unique, &mut rows);
                }
            }
        }
        excluded.push(rows);
    }
    if excluded.iter().all(BTreeMap::is_empty) && missing.is_empty() && referred.is_empty() {
        return Ok(ExcludedCounts::new());
    }
    exclude_dependents(sets, scopes, &marker, (missing, referred), &mut excluded)?;
    let mut counts = ExcludedCounts::new();
    for (set, excluded) in sets.iter_mut().zip(excluded) {
        let rows: BTreeSet<usize> = excluded.keys().copied().collect();
        if !rows.is_empty() {
            set.spool.remove(&rows)?;
        }
        for excluded in excluded.into_values() {
            *counts.entry((set.mapping, excluded.reason)).or_default() += 1;
        }
    }
    Ok(counts)
}

/// Returns the values to which rows refer whose parent neither exists nor is inserted.
fn missing_parents(
    sets: &mut [ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
    marker: &ValueHasher,
) -> Result<HashSet<ValueHash>, Problem> {
    let mut missing = HashSet::new();
    for set in sets.iter_mut() {
        let reported = std::mem::take(&mut set.spool.facts.foreign_keys.missing);
        let links = scopes[&set.mapping].stored.parents.iter();
        let sources: Vec<_> =
            links.map(|link| set.foreign_key_source(scopes, link, false)).collect();
        let mut rows = 0..;
        set.spool.each(|change, values| {
            let keys = rows.next().and_then(|row| reported.get(&row)).into_iter().flatten();
            let sources = keys.filter_map(|key| sources[*key].as_ref());
            missing.extend(sources.filter_map(|source| source.value(marker, change, values)));
        })?;
    }
    if missing.is_empty() {
        return Ok(missing);
    }
    for set in sets.iter_mut() {
        let links = scopes[&set.mapping].stored.referrers.iter();
        let inserted: Vec<_> =
            links.filter_map(|link| set.foreign_key_source(scopes, link, false)).collect();
        each_value(set, &inserted, marker, |value| {
            missing.remove(&value);
        })?;
    }
    Ok(missing)
}

/// Returns the values that changes take away though more rows refer to them than are deleted or changed
/// with them.
fn referred_values(
    sets: &mut [ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
    marker: &ValueHasher,
) -> Result<HashSet<ValueHash>, Problem> {
    let mut referred: HashMap<ValueHash, u64> = HashMap::new();
    for set in sets.iter_mut() {
        let reported = std::mem::take(&mut set.spool.facts.foreign_keys.referred);
        let links = scopes[&set.mapping].stored.referrers.iter();
        let sources: Vec<_> =
            links.map(|link| set.foreign_key_source(scopes, link, true)).collect();
        let mut rows = 0..;
        set.spool.each(|change, values| {
            let keys = rows.next().and_then(|row| reported.get(&row)).into_iter().flatten();
            let known = keys.filter_map(|(key, rows)| Some((sources[*key].as_ref()?, *rows)));
            referred.extend(
                known.filter_map(|(s, rows)| Some((s.value(marker, change, values)?, rows))),
            );
        })?;
    }
    if referred.is_empty() {
        return Ok(HashSet::new());
    }
    for set in sets.iter_mut() {
        let links = scopes[&set.mapping].stored.parents.iter();
        let removed: Vec<_> =
            links.filter_map(|link| set.foreign_key_source(scopes, link, true)).collect();
        each_value(set, &removed, marker, |value| {
            referred.entry(value).and_modify(|rows| *rows = rows.saturating_sub(1));
        })?;
    }
    Ok(referred.into_iter().filter(|(_, rows)| *rows > 0).map(|(value, _)| value).collect())
}

/// Passes the values of each row of a set to `take`.
fn each_value(
    set: &mut ChangeSet,
    sources: &[ValueSource],
    marker: &ValueHasher,
    mut take: impl FnMut(ValueHash),
) -> Result<(), Problem> {
    set.spool.each(|change, values| {
        sources
            .iter()
            .filter_map(|source| source.value(marker, change, values))
            .for_each(&mut take);
    })
}

/// Excludes inserts whose key a row has that this repair does not delete, or another insert.
fn exclude_conflicting_inserts(
    set: &ChangeSet,
    deletes: Option<&ChangeSet>,
    scope: &WritableMapping,
    excluded: &mut ExcludedRows,
) {
    let key: Vec<&ColumnName> =
        set.shape.key.iter().map(|at| &set.shape.columns[*at].name).collect();
    let of_key =
        scope.opaque_uniques().enumerate().filter(|(_, (unique, _))| is_within_key(unique, &key));
    let of_key: Vec<usize> = of_key.map(|(at, _)| at).collect();
    // The values that a row frees (0) or takes (1) in the opaque indexes of the key.
    let values = |set: &ChangeSet, row: usize, side: usize| -> Vec<(usize, i64)> {
        let values = set.spool.facts.index_values_of(row, set.spool.rows);
        let value =
            |at: &usize| Some((*at, values.get(*at)?[side].filter(|value| *value != ANY_VALUE)?));
        of_key.iter().filter_map(value).collect()
    };
    let rows = |set: &ChangeSet| 0..usize::try_from(set.spool.rows).unwrap_or(0);
    let conflicts = &set.spool.facts.key_conflicts;
    let freed: HashSet<(usize, i64)> = match deletes.filter(|_| !conflicts.is_empty()) {
        Some(deletes) => rows(deletes).flat_map(|row| values(deletes, row, 0)).collect(),
        None => HashSet::new(),
    };
    for (row, conflict) in conflicts {
        let is_freed = values(set, *row, 1).iter().any(|value| freed.contains(value));
        if !(conflict.is_mapped && is_freed) {
            excluded.insert(*row, Excluded::with_key(&conflict.reason));
        }
    }
    let mut taken: HashSet<(usize, i64)> = HashSet::new();
    for row in rows(set).filter(|_| !of_key.is_empty()) {
        let values = values(set, row, 1);
        if excluded.contains_key(&row) {
            continue;
        }
        if values.iter().any(|value| taken.contains(value)) {
            excluded.insert(row, Excluded::with_key(DUPLICATE_INSERT));
        } else {
            taken.extend(values);
        }
    }
}

/// Returns the values of each row of a set in an opaque index.
fn index_values(set: &ChangeSet, index: usize) -> Vec<IndexValue> {
    let rows = set.spool.rows;
    let values = |row| set.spool.facts.index_values_of(row, rows).get(index).copied();
    (0..usize::try_from(rows).unwrap_or(0)).map(|row| values(row).unwrap_or_default()).collect()
}

/// Excludes updates that take a value which another update frees.
fn exclude_takers(values: &[IndexValue], unique: &Unique, excluded: &mut ExcludedRows) {
    let mut freed: HashMap<i64, usize> = HashMap::new();
    for value in values.iter().filter_map(|[old, _]| *old) {
        *freed.entry(value).or_default() += 1;
    }
    for (row, [old, new]) in values.iter().enumerate() {
        let Some(new) = new else { continue };
        let others = freed.get(new).copied().unwrap_or(0) - usize::from(*old == Some(*new));
        if others > 0 {
            let reason = format!(
                "that take values of unique index \"{}\" from rows that change with them",
                unique.name
            );
            excluded.entry(row).or_insert_with(|| Excluded::new(&reason));
        }
    }
}

/// Excludes changes that depend on excluded ones: they require a value that is not freed, a parent that is
/// not inserted, or a child that is not deleted. `unavailable` are the values that no row may require,
/// `referred` those that no row may take away.
fn exclude_dependents(
    sets: &mut [ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
    marker: &ValueHasher,
    (mut unavailable, mut referred): (HashSet<ValueHash>, HashSet<ValueHash>),
    excluded: &mut [ExcludedRows],
) -> Result<(), Problem> {
    for set in sets.iter_mut() {
        let scope = scopes[&set.mapping];
        for unique in scope.uniques() {
            set.add_unique(scopes, unique);
        }
        if set.shape.operation == Operation::Delete {
            continue;
        }
        for link in &scope.stored.parents {
            set.add_foreign_key(scopes, link, true);
        }
        for link in &scope.stored.referrers {
            set.add_foreign_key(scopes, link, false);
        }
    }
    loop {
        let mut has_more = false;
        for (set, excluded) in sets.iter_mut().zip(excluded.iter_mut()) {
            let any: Vec<ValueHash> = scopes[&set.mapping]
                .opaque_uniques()
                .filter_map(|(unique, _)| set.any_value(scopes, unique, marker))
                .collect();
            let stored = &scopes[&set.mapping].stored;
            let old = |link| set.foreign_key_source(scopes, link, true);
            let refers: Vec<ValueSource> = stored.parents.iter().filter_map(old).collect();
            let follows = |link: &&Link| set.shape.cascade && set.shape.action(link).is_some();
            let takes_away = stored.referrers.iter().filter(|link| !follows(link));
            let takes_away: Vec<ValueSource> = takes_away.filter_map(old).collect();
            let ChangeSet { spool, provides, requires, unrefers, gives_up, shape, .. } = set;
            let mut row = 0;
            spool.each(|change, values| {
                let required = requires.iter().chain(gives_up.iter());
                let mut required = required.filter_map(|s| s.value(marker, change, values));
                if !excluded.contains_key(&row) && required.any(|v| unavailable.contains(&v)) {
                    excluded.insert(row, Excluded::new(REQUIRES_EXCLUDED));
                }
                let mut taken = takes_away.iter().filter_map(|s| s.value(marker, change, values));
                if !excluded.contains_key(&row) && taken.any(|value| referred.contains(&value)) {
                    excluded.insert(row, Excluded::new(REFERRED_TO));
                }
                if let Some(excluded) = excluded.get(&row) {
                    let is_missing =
                        |source: &&ValueSource| !(excluded.key_exists && source.is_of(&shape.key));
                    let provided = provides.iter().chain(unrefers.iter()).filter(is_missing);
                    let (before, referred_before) = (unavailable.len(), referred.len());
                    referred.extend(refers.iter().filter_map(|s| s.value(marker, change, values)));
                    has_more |= referred.len() > referred_before;
                    unavailable.extend(provided.filter_map(|s| s.value(marker, change, values)));
                    if unavailable.len() > before {
                        // An insert that is left out frees no value.
                        if shape.operation != Operation::Insert {
                            unavailable.extend(any.iter().copied());
                        }
                        has_more = true;
                    }
                }
                row += 1;
            })?;
        }
        if !has_more {
            break;
        }
    }
    for set in sets {
        set.clear_sources();
    }
    Ok(())
}
