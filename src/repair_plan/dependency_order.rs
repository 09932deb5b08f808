//! Which changes make one script, and in what order they run: foreign keys and unique values decide.
//!
//! ```text
//! insert(parent) ─▶ insert(child), update(child)      a change that frees a unique value
//! update(child), delete(child) ─▶ delete(parent)         ─▶ the change that takes it
//! ```
//!
//! Changes that depend on each other in a cycle become one script, whose batches change all of its tables
//! in one statement. Values are read only where a foreign key or a unique index requires it.

use std::collections::{BTreeMap, BTreeSet};

use super::batches::{OrderedScript, RowOrder};
use super::change_set::{ChangeSet, ValueSource};
use super::exclusion::{ExcludedCounts, exclude};
use super::mapping_problem::{MappingProblem, RepairError};
use super::spool::SpoolWriter;
use crate::problem::Problem;
use crate::repair::{
    ChangeShape, DependencyGraph, Operation, ValueHash, ValueHasher, WritableMapping,
    sort_components,
};
use crate::schema::{ForeignKey, StoredTable, UniqueIndex};

/// A unique value that changes of one operation free and others take, within one mapping.
struct Handover {
    mapping: usize,
    unique: UniqueIndex,
    from: Operation,
    to: Operation,
}

/// Orders the changes of all mappings as scripts. Returns the rows that are left out, too.
///
/// # Errors
/// When deletes and other changes depend on each other, or a value cannot pass from row to row.
pub(crate) fn order_changes(
    spools: BTreeMap<(Operation, usize), SpoolWriter>,
    scopes: &BTreeMap<usize, &WritableMapping>,
    shape: impl Fn(Operation, usize) -> ChangeShape,
) -> Result<(Vec<OrderedScript>, ExcludedCounts), RepairError> {
    let mut sets = Vec::new();
    for ((operation, mapping), spool) in spools {
        let spool = spool.finish()?;
        let mut shape = shape(operation, mapping);
        if operation == Operation::Update {
            shape.set = spool.set.iter().copied().collect();
        }
        sets.push(ChangeSet::new(mapping, shape, spool));
    }
    let excluded = exclude(&mut sets, scopes)?;
    sets.retain(|set| set.spool.rows > 0);
    let handovers = find_handovers(&mut sets, scopes)?;
    let groups = sort_components(sets.len(), &dependencies(&sets, scopes, &handovers));
    let mut sets: Vec<Option<ChangeSet>> = sets.into_iter().map(Some).collect();
    let marker = ValueHasher::default();
    let mut scripts = Vec::new();
    for group in groups {
        let own: Vec<ChangeSet> = group.into_iter().filter_map(|at| sets[at].take()).collect();
        scripts.push(order_script(own, scopes, &handovers, &marker)?);
    }
    Ok((scripts, excluded))
}

/// Returns pairs of sets, the first of which has to run before the second.
fn dependencies(
    sets: &[ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
    handovers: &[Handover],
) -> BTreeSet<(usize, usize)> {
    let mut before = BTreeSet::new();
    let at = |mapping: usize, operation: Operation| {
        sets.iter().position(|set| (set.mapping, set.shape.operation) == (mapping, operation))
    };
    for handover in handovers {
        let ends = (at(handover.mapping, handover.from), at(handover.mapping, handover.to));
        if let (Some(from), Some(to)) = ends {
            before.insert((from, to));
        }
    }
    for (child_at, child) in sets.iter().enumerate() {
        for link in &scopes[&child.mapping].stored.parents {
            for (parent_at, parent) in sets.iter().enumerate() {
                let referrers = &scopes[&parent.mapping].stored.referrers;
                if referrers.iter().any(|referrer| referrer.root == link.root) {
                    let (child, parent) = ((child_at, child), (parent_at, parent));
                    before.extend(foreign_key_dependencies(link, child, parent, scopes));
                }
            }
        }
    }
    before
}

/// Returns which of two sets has to run first because of a foreign key between their tables.
fn foreign_key_dependencies(
    link: &ForeignKey,
    (child_at, child): (usize, &ChangeSet),
    (parent_at, parent): (usize, &ChangeSet),
    scopes: &BTreeMap<usize, &WritableMapping>,
) -> Vec<(usize, usize)> {
    let own = || link.columns.iter().map(|(own, _)| own);
    let theirs = || link.columns.iter().map(|(_, theirs)| theirs);
    let child_moves = child.sets(scopes, own());
    let parent_moves = parent.sets(scopes, theirs());
    // Without ON UPDATE a row has to cease to refer to a value before that value changes.
    let unrefers = link.on_update.is_none() && parent_moves && child_at != parent_at;
    let (parent_first, child_first) = ((parent_at, child_at), (child_at, parent_at));
    match (child.shape.operation, parent.shape.operation) {
        (Operation::Insert, Operation::Insert) => vec![parent_first],
        (Operation::Update, Operation::Insert) if child_moves => vec![parent_first],
        (Operation::Insert, Operation::Update) if parent_moves => vec![parent_first],
        (Operation::Update, Operation::Update) if child_moves && unrefers => {
            vec![parent_first, child_first]
        }
        (Operation::Update, Operation::Update) if child_moves && parent_moves => vec![parent_first],
        (Operation::Delete, Operation::Delete) => vec![child_first],
        (Operation::Update, Operation::Delete) if child_moves => vec![child_first],
        (Operation::Delete, Operation::Update) if unrefers && child.mapping != parent.mapping => {
            vec![child_first]
        }
        _ => Vec::new(),
    }
}

/// Returns the unique values that pass from row to row.
fn find_handovers(
    sets: &mut [ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
) -> Result<Vec<Handover>, Problem> {
    let marker = ValueHasher::default();
    let mut found = Vec::new();
    for (mapping, scope) in scopes {
        for unique in scope.uniques() {
            let is_own = |set: &&mut ChangeSet| set.mapping == *mapping;
            let frees = |set: &ChangeSet| {
                set.shape.operation == Operation::Delete || set.sets_unique(scopes, unique)
            };
            let mut freed: BTreeMap<Operation, hashbrown::HashSet<ValueHash>> = BTreeMap::new();
            for set in sets.iter_mut().filter(is_own).filter(|set| frees(set)) {
                let values = freed.entry(set.shape.operation).or_default();
                set.each_value(scopes, unique, &marker, true, |value| values.extend([value]))?;
                if !values.is_empty() {
                    values.extend(set.any_value(scopes, unique, &marker));
                }
            }
            let takes = |set: &ChangeSet| {
                set.shape.operation == Operation::Insert || set.sets_unique(scopes, unique)
            };
            let takers = sets.iter_mut().filter(is_own).filter(|set| takes(set));
            for set in takers.filter(|_| !freed.is_empty()) {
                let mut from = BTreeSet::new();
                set.each_value(scopes, unique, &marker, false, |value| {
                    let frees = freed.iter().filter(|(_, values)| values.contains(&value));
                    from.extend(frees.map(|(operation, _)| *operation));
                })?;
                let to = set.shape.operation;
                let handover =
                    |from| Handover { mapping: *mapping, unique: unique.clone(), from, to };
                found.extend(from.into_iter().map(handover));
            }
        }
    }
    Ok(found)
}

/// Orders the rows of one script, where they depend on each other.
fn order_script(
    mut sets: Vec<ChangeSet>,
    scopes: &BTreeMap<usize, &WritableMapping>,
    handovers: &[Handover],
    marker: &ValueHasher,
) -> Result<OrderedScript, RepairError> {
    let operations: BTreeSet<Operation> = sets.iter().map(|set| set.shape.operation).collect();
    let is_reversed = operations.contains(&Operation::Delete);
    if is_reversed && operations.len() > 1 {
        return Err(RepairError::Mappings(mixed_cycle(&sets)));
    }
    prepare_handovers(&mut sets, scopes, handovers)?;
    let roots = |links: fn(&StoredTable) -> &[ForeignKey]| -> BTreeSet<u32> {
        let stored = sets.iter().map(|set| &scopes[&set.mapping].stored);
        stored.flat_map(links).map(|link| link.root).collect()
    };
    let parents = roots(|stored| &stored.parents);
    let within: BTreeSet<u32> = &parents & &roots(|stored| &stored.referrers);
    for set in &mut sets {
        let stored = &scopes[&set.mapping].stored;
        for parent in stored.parents.iter().filter(|link| within.contains(&link.root)) {
            set.add_foreign_key(scopes, parent, true);
        }
        for child in stored.referrers.iter().filter(|link| within.contains(&link.root)) {
            set.add_foreign_key(scopes, child, false);
        }
    }
    let has_dependencies = |set: &ChangeSet| !set.provides.is_empty() && !set.requires.is_empty();
    if sets.len() == 1 && !sets.iter().any(has_dependencies) {
        return Ok(OrderedScript { sets, order: None });
    }
    let mut needs = DependencyGraph::default();
    for ChangeSet { spool, provides, requires, unrefers, gives_up, .. } in &mut sets {
        let provides = [&provides[..], &gives_up[..]].concat();
        spool.each_indexed(|change, values| {
            let values_of = |sources: &[ValueSource]| {
                let values = sources.iter().filter_map(|s| s.value(marker, change, values));
                values.collect::<Vec<_>>()
            };
            needs.add_row(values_of(&provides), values_of(requires), values_of(unrefers));
        })?;
    }
    let (mut rows, free) = needs.sort();
    if is_reversed {
        rows.reverse();
    }
    Ok(OrderedScript { sets, order: Some(RowOrder { rows, free, is_reversed }) })
}

/// Returns the problems of mappings whose deletes and other changes depend on each other in a cycle.
fn mixed_cycle(sets: &[ChangeSet]) -> Vec<MappingProblem> {
    let tables: BTreeSet<String> = sets.iter().map(|set| set.shape.table.to_string()).collect();
    let tables = tables.into_iter().collect::<Vec<_>>().join(", ");
    let reason = format!("deletes and other changes of {tables} wait for each other");
    let hint = "Repair them in steps: first with --kinds insert,update, then compare again and delete. Where a row that comes takes a unique value of one that goes, change that one by hand first.";
    let mappings: BTreeSet<usize> = sets.iter().map(|set| set.mapping).collect();
    mappings.into_iter().map(|mapping| MappingProblem::new(mapping, reason.clone(), hint)).collect()
}

/// Prepares the sets of one script for the unique values that pass between their rows.
fn prepare_handovers(
    sets: &mut [ChangeSet],
    scopes: &BTreeMap<usize, &WritableMapping>,
    handovers: &[Handover],
) -> Result<(), RepairError> {
    let mut done = BTreeSet::new();
    for Handover { mapping, unique, from, to } in handovers {
        let find = |operation: Operation| {
            sets.iter().find(|set| (set.mapping, set.shape.operation) == (*mapping, operation))
        };
        let is_here = |operation: Operation| find(operation).is_some();
        let Some(update) = find(Operation::Update).filter(|_| is_here(*from) && is_here(*to))
        else {
            continue;
        };
        // Of such rows only those are left that depend on no value but their own.
        if from == to && unique.value_sql.as_ref().is_some_and(|value_sql| value_sql.coarse) {
            continue;
        }
        if !done.insert((*mapping, &unique.name)) {
            continue;
        }
        let scope = scopes[mapping];
        let exchange = scope
            .exchange(unique, &update.spool.set, &update.spool.facts.limits)
            .map_err(|problem| {
                RepairError::Mappings(vec![MappingProblem { mapping: *mapping, problem }])
            })?;
        for set in sets.iter_mut().filter(|set| set.mapping == *mapping) {
            set.add_unique(scopes, unique);
            let operation = set.shape.operation;
            let carried = exchange.iter().filter_map(|e| scope.carry_exchange(e, operation));
            set.shape.exchanges.extend(carried);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::RowChange;
    use crate::repair_plan::sample::{change, link, scope, spool, stored, unique};

    /// The sets of a script, and the order of its rows with the number of those that are free.
    type Ordered = (Vec<(usize, Operation)>, Option<(Vec<u32>, usize)>);

    /// Orders changes of the mappings 0 and 1. Returns the sets of each script, and the order of its rows.
    fn order(
        scopes: [&WritableMapping; 2],
        changes: &[(Operation, usize, &[RowChange])],
    ) -> Vec<Ordered> {
        let of = |(operation, mapping, changes): &(Operation, usize, &[RowChange])| {
            ((*operation, *mapping), spool(*operation, changes))
        };
        let by_mapping = scopes.into_iter().enumerate().collect();
        let shape = |operation, mapping: usize| scopes[mapping].shape(operation, false, |_| false);
        let spools = changes.iter().map(of).collect();
        let (scripts, excluded) = order_changes(spools, &by_mapping, shape).unwrap();
        assert!(excluded.is_empty(), "{excluded:?}");
        let scripts = scripts.into_iter().map(|script| {
            let sets = script.sets.iter().map(|set| (set.mapping, set.shape.operation)).collect();
            (sets, script.order.map(|order| (order.rows, order.free)))
        });
        scripts.collect()
    }

    /// A child, whose `v` refers to the `id` of the parent.
    fn child_and_parent() -> [WritableMapping; 2] {
        let (mut child, mut parent) = (stored(1), stored(2));
        child.parents = vec![link("v", "id")];
        parent.referrers = vec![link("id", "v")];
        [child, parent].map(scope)
    }

    #[test]
    fn parents_are_inserted_before_and_deleted_after_their_children() {
        let [child, parent] = &child_and_parent();
        let (row, old) = ([change(None, Some(["1", "2"]))], [change(Some(["1", "2"]), None)]);
        let inserts: [(Operation, usize, &[RowChange]); 2] =
            [(Operation::Insert, 0, &row), (Operation::Insert, 1, &row)];
        let one = |mapping, operation| (vec![(mapping, operation)], None);
        assert_eq!(
            order([child, parent], &inserts),
            [one(1, Operation::Insert), one(0, Operation::Insert)]
        );
        let deletes: [(Operation, usize, &[RowChange]); 2] =
            [(Operation::Delete, 0, &old), (Operation::Delete, 1, &old)];
        assert_eq!(
            order([child, parent], &deletes),
            [one(0, Operation::Delete), one(1, Operation::Delete)]
        );
    }

    #[test]
    fn rows_of_a_self_referencing_table_run_parents_first() {
        let mut table = stored(1);
        table.parents = vec![link("v", "id")];
        table.referrers = vec![link("id", "v")];
        let table = scope(table);
        let rows = [["1", "2"], ["2", "3"], ["3", "3"]];
        let inserts = rows.map(|row| change(None, Some(row)));
        let ordered = order([&table, &table], &[(Operation::Insert, 0, &inserts)]);
        assert_eq!(ordered, [(vec![(0, Operation::Insert)], Some((vec![2, 1, 0], 3)))]);
        let deletes = rows.map(|row| change(Some(row), None));
        let ordered = order([&table, &table], &[(Operation::Delete, 0, &deletes)]);
        assert_eq!(ordered, [(vec![(0, Operation::Delete)], Some((vec![0, 1, 2], 3)))]);
    }

    #[test]
    fn a_unique_value_is_freed_before_it_is_taken() {
        let mut table = stored(1);
        table.uniques = vec![unique("v", false)];
        let table = scope(table);
        let update = |id, from, to| change(Some([id, from]), Some([id, to]));
        let chain = [update("1", "a", "b"), update("2", "b", "c")];
        let ordered = order([&table, &table], &[(Operation::Update, 0, &chain)]);
        assert_eq!(ordered, [(vec![(0, Operation::Update)], Some((vec![1, 0], 2)))]);
        let cycle = [update("1", "a", "b"), update("2", "b", "a"), update("3", "x", "y")];
        let ordered = order([&table, &table], &[(Operation::Update, 0, &cycle)]);
        assert_eq!(ordered, [(vec![(0, Operation::Update)], Some((vec![2, 0, 1], 1)))]);
        let changes: [(Operation, usize, &[RowChange]); 2] = [
            (Operation::Insert, 0, &[change(None, Some(["1", "a"]))]),
            (Operation::Delete, 0, &[change(Some(["2", "a"]), None)]),
        ];
        let sets: Vec<_> = order([&table, &table], &changes).into_iter().map(|s| s.0).collect();
        assert_eq!(sets, [vec![(0, Operation::Delete)], vec![(0, Operation::Insert)]]);
    }
}
