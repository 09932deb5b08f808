//! The order of scripts, and of the rows within a script.
//!
//! Scripts that depend on each other in a cycle become one script. Its rows are sorted by what they
//! depend on: the row of a parent, or a unique value that another row gives up. Rows that depend on
//! each other in a cycle, and the rows that depend on those, go into one batch.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashMap};

/// Returns the strongly connected components of a graph of `nodes` nodes in topological order. In a
/// pair of `before` the first node comes before the second. Components that do not depend on each
/// other keep the order of their nodes.
pub fn sort_components(nodes: usize, before: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let reachable = |from: usize, forwards: bool| {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(node) = open.pop() {
            for (a, b) in before {
                let (here, next) = if forwards { (a, b) } else { (b, a) };
                if *here == node && seen.insert(*next) {
                    open.push(*next);
                }
            }
        }
        seen
    };
    let mut left: BTreeSet<usize> = (0..nodes).collect();
    let mut components: Vec<Vec<usize>> = Vec::new();
    while let Some(first) = left.first().copied() {
        let (after, before) = (reachable(first, true), reachable(first, false));
        let component: Vec<usize> = after.intersection(&before).copied().collect();
        left.retain(|node| !component.contains(node));
        components.push(component);
    }
    let of = |node: usize| components.iter().position(|component| component.contains(&node));
    let between: BTreeSet<_> = before.iter().map(|(a, b)| (of(*a), of(*b))).collect();
    let mut sorted = Vec::new();
    let mut waiting: BTreeSet<usize> = (0..components.len()).collect();
    let waits = |waiting: &BTreeSet<usize>, component: usize| {
        let mut others = waiting.iter().filter(|other| **other != component);
        others.any(|other| between.contains(&(Some(*other), Some(component))))
    };
    // There is no cycle between components, so one of them never has to wait.
    while let Some(next) = waiting.iter().copied().find(|next| !waits(&waiting, *next)) {
        waiting.remove(&next);
        sorted.push(components[next].clone());
    }
    sorted
}

/// The hash of a value on which a row can depend. Two values with one hash only add a dependency that
/// is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueHash(u64);

/// Hashes values with a random key of its own.
#[derive(Clone, Debug, Default)]
pub struct ValueHasher(DefaultHashBuilder);

impl ValueHasher {
    /// Returns the hash of these values of a relation; `None` if one of them is NULL.
    pub fn hash<'v>(
        &self,
        relation: impl Hash,
        mut values: impl Iterator<Item = Option<&'v str>>,
    ) -> Option<ValueHash> {
        let mut hasher = self.0.build_hasher();
        relation.hash(&mut hasher);
        values.try_for_each(|value| {
            value?.hash(&mut hasher);
            Some(())
        })?;
        Some(ValueHash(hasher.finish()))
    }
}

/// The dependencies between the rows of a script. It takes about 60 bytes a row.
#[derive(Debug, Default)]
pub struct DependencyGraph {
    rows: u32,
    provides: HashMap<ValueHash, u32>,
    requires: Vec<(u32, ValueHash)>,
    releases: Vec<(u32, ValueHash)>,
}

impl DependencyGraph {
    /// Adds the next row: values that it provides, values that another row has to provide before it,
    /// and values that it has to release before another row can provide them.
    pub fn add_row(
        &mut self,
        provides: Vec<ValueHash>,
        requires: Vec<ValueHash>,
        releases: Vec<ValueHash>,
    ) {
        let row = self.rows;
        self.provides.extend(provides.into_iter().map(|value| (value, row)));
        self.requires.extend(requires.into_iter().map(|value| (row, value)));
        self.releases.extend(releases.into_iter().map(|value| (row, value)));
        self.rows += 1;
    }

    /// Returns the rows in topological order, and how many of them come before the first cycle.
    pub fn sort(self) -> (Vec<u32>, usize) {
        let count = self.rows as usize;
        let mut waits = vec![0u32; count];
        let provider = |value: &ValueHash| self.provides.get(value).copied();
        let required =
            self.requires.iter().filter_map(|(row, value)| Some((provider(value)?, *row)));
        let released =
            self.releases.iter().filter_map(|(row, value)| Some((*row, provider(value)?)));
        let mut pairs: Vec<(u32, u32)> =
            required.chain(released).filter(|(first, row)| first != row).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.iter().for_each(|(_, row)| waits[*row as usize] += 1);
        let mut ready: VecDeque<u32> =
            (0..self.rows).filter(|row| waits[*row as usize] == 0).collect();
        let mut sorted = Vec::with_capacity(count);
        while let Some(row) = ready.pop_front() {
            sorted.push(row);
            let from = pairs.partition_point(|(first, _)| *first < row);
            for (_, freed) in pairs[from..].iter().take_while(|(first, _)| *first == row) {
                let left = &mut waits[*freed as usize];
                *left -= 1;
                if *left == 0 {
                    ready.push_back(*freed);
                }
            }
        }
        let free = sorted.len();
        sorted.extend((0..self.rows).filter(|row| waits[*row as usize] > 0));
        (sorted, free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nodes: usize, before: &[(usize, usize)]) -> Vec<Vec<usize>> {
        sort_components(nodes, &before.iter().copied().collect())
    }

    #[test]
    fn components_are_sorted_and_a_cycle_is_one() {
        assert_eq!(of(3, &[]), [[0], [1], [2]]);
        assert_eq!(of(3, &[(1, 0), (2, 1)]), [[2], [1], [0]]);
        assert_eq!(of(2, &[(0, 0), (1, 0)]), [[1], [0]]);
        assert_eq!(of(4, &[(3, 1), (1, 2), (2, 1), (2, 0)]), [vec![3], vec![1, 2], vec![0]]);
    }

    fn sorted(links: &[(Option<&str>, Option<&str>)]) -> (Vec<u32>, usize) {
        let (hasher, mut graph) = (ValueHasher::default(), DependencyGraph::default());
        for (provides, requires) in links {
            let hash = |value: &Option<&str>| hasher.hash(0, [*value].into_iter());
            let hash = |value| hash(value).into_iter().collect();
            graph.add_row(hash(provides), hash(requires), Vec::new());
        }
        graph.sort()
    }

    #[test]
    fn a_value_is_released_before_it_is_provided() {
        let (hasher, mut graph) = (ValueHasher::default(), DependencyGraph::default());
        let hash = |value: &str| vec![hasher.hash(0, [Some(value)].into_iter()).unwrap()];
        graph.add_row(hash("1"), Vec::new(), Vec::new());
        graph.add_row(Vec::new(), Vec::new(), hash("1"));
        graph.add_row(Vec::new(), Vec::new(), hash("1"));
        assert_eq!(graph.sort(), (vec![1, 2, 0], 3));
    }

    #[test]
    fn rows_come_after_what_they_require() {
        let boss = [(Some("1"), Some("3")), (Some("2"), None), (Some("3"), Some("2"))];
        assert_eq!(sorted(&boss), (vec![1, 2, 0], 3));
        // A row waits neither for a parent that is not among the rows nor for itself.
        assert_eq!(sorted(&[(Some("1"), Some("9")), (Some("2"), Some("2"))]), (vec![0, 1], 2));
    }

    #[test]
    fn rows_in_a_cycle_and_after_it_come_last() {
        let cycle = [
            (Some("4"), Some("1")),
            (Some("1"), Some("2")),
            (Some("2"), Some("1")),
            (Some("5"), None),
        ];
        assert_eq!(sorted(&cycle), (vec![3, 0, 1, 2], 1));
    }
}
