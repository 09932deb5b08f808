//! In which order scripts run, and rows within a script.
//!
//! Scripts that have to wait for each other in a circle become one. Within it rows are put in order by
//! what they need: a parent's row, a unique value that another row gives up. What is left are rows in
//! circles, and those behind them; they belong into one batch.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashMap};

/// Nodes in groups, each group after those that have to come before it; several nodes are one group
/// if they wait for each other in a circle. `before` holds pairs: the first comes before the second.
/// Where nothing decides, the order is that of the nodes.
pub fn groups(nodes: usize, before: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let reached = |from: usize, forwards: bool| {
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
    let mut groups: Vec<Vec<usize>> = Vec::new();
    while let Some(first) = left.first().copied() {
        let circle = reached(first, true).intersection(&reached(first, false)).copied().collect();
        let circle: Vec<usize> = circle;
        left.retain(|node| !circle.contains(node));
        groups.push(circle);
    }
    let of = |node: usize| groups.iter().position(|group| group.contains(&node));
    let between: BTreeSet<_> = before.iter().map(|(a, b)| (of(*a), of(*b))).collect();
    let mut ordered = Vec::new();
    let mut waiting: BTreeSet<usize> = (0..groups.len()).collect();
    let waits = |waiting: &BTreeSet<usize>, group: usize| {
        waiting
            .iter()
            .any(|other| *other != group && between.contains(&(Some(*other), Some(group))))
    };
    // Groups do not wait in a circle, so one of them is always next.
    while let Some(next) = waiting.iter().copied().find(|group| !waits(&waiting, *group)) {
        waiting.remove(&next);
        ordered.push(groups[next].clone());
    }
    ordered
}

/// Something that a row has and another needs, told apart by a hash: two that share one only make an
/// order that nobody needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark(u64);

/// Makes marks of values.
#[derive(Clone, Debug, Default)]
pub struct Marker(DefaultHashBuilder);

impl Marker {
    /// The mark of these values of some relation; nothing if one of them is NULL.
    pub fn mark<'v>(
        &self,
        relation: impl Hash,
        mut values: impl Iterator<Item = Option<&'v str>>,
    ) -> Option<Mark> {
        let mut hasher = self.0.build_hasher();
        relation.hash(&mut hasher);
        values.try_for_each(|value| {
            value?.hash(&mut hasher);
            Some(())
        })?;
        Some(Mark(hasher.finish()))
    }
}

/// Rows that need each other. It holds some 60 bytes a row.
#[derive(Debug, Default)]
pub struct Needs {
    rows: u32,
    has: HashMap<Mark, u32>,
    needs: Vec<(u32, Mark)>,
    leaves: Vec<(u32, Mark)>,
}

impl Needs {
    /// Takes the next row in: what it has, what it needs another to have had before it, and what it
    /// leaves before another may have it.
    pub fn row(&mut self, has: Vec<Mark>, needs: Vec<Mark>, leaves: Vec<Mark>) {
        let row = self.rows;
        self.has.extend(has.into_iter().map(|mark| (mark, row)));
        self.needs.extend(needs.into_iter().map(|mark| (row, mark)));
        self.leaves.extend(leaves.into_iter().map(|mark| (row, mark)));
        self.rows += 1;
    }

    /// The rows in order, and how many of them stand before the first circle.
    pub fn order(self) -> (Vec<u32>, usize) {
        let count = self.rows as usize;
        let mut waits = vec![0u32; count];
        let holder = |mark: &Mark| self.has.get(mark).copied();
        let needed = self.needs.iter().filter_map(|(row, mark)| Some((holder(mark)?, *row)));
        let left = self.leaves.iter().filter_map(|(row, mark)| Some((*row, holder(mark)?)));
        let mut pairs: Vec<(u32, u32)> =
            needed.chain(left).filter(|(first, row)| first != row).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs.iter().for_each(|(_, row)| waits[*row as usize] += 1);
        let mut ready: VecDeque<u32> =
            (0..self.rows).filter(|row| waits[*row as usize] == 0).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(row) = ready.pop_front() {
            order.push(row);
            let from = pairs.partition_point(|(first, _)| *first < row);
            for (_, freed) in pairs[from..].iter().take_while(|(first, _)| *first == row) {
                let left = &mut waits[*freed as usize];
                *left -= 1;
                if *left == 0 {
                    ready.push_back(*freed);
                }
            }
        }
        let free = order.len();
        order.extend((0..self.rows).filter(|row| waits[*row as usize] > 0));
        (order, free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(nodes: usize, before: &[(usize, usize)]) -> Vec<Vec<usize>> {
        groups(nodes, &before.iter().copied().collect())
    }

    #[test]
    fn what_comes_before_is_before_and_a_circle_is_one() {
        assert_eq!(of(3, &[]), [[0], [1], [2]]);
        assert_eq!(of(3, &[(1, 0), (2, 1)]), [[2], [1], [0]]);
        assert_eq!(of(2, &[(0, 0), (1, 0)]), [[1], [0]]);
        assert_eq!(of(4, &[(3, 1), (1, 2), (2, 1), (2, 0)]), [vec![3], vec![1, 2], vec![0]]);
    }

    fn rows(links: &[(Option<&str>, Option<&str>)]) -> (Vec<u32>, usize) {
        let (marker, mut needs) = (Marker::default(), Needs::default());
        for (has, wants) in links {
            let mark = |value: &Option<&str>| marker.mark(0, [*value].into_iter());
            let mark = |value| mark(value).into_iter().collect();
            needs.row(mark(has), mark(wants), Vec::new());
        }
        needs.order()
    }

    #[test]
    fn whoever_leaves_a_value_comes_before_who_has_it() {
        let (marker, mut needs) = (Marker::default(), Needs::default());
        let mark = |value: &str| vec![marker.mark(0, [Some(value)].into_iter()).unwrap()];
        needs.row(mark("1"), Vec::new(), Vec::new());
        needs.row(Vec::new(), Vec::new(), mark("1"));
        needs.row(Vec::new(), Vec::new(), mark("1"));
        assert_eq!(needs.order(), (vec![1, 2, 0], 3));
    }

    #[test]
    fn rows_come_after_what_they_need() {
        let boss = [(Some("1"), Some("3")), (Some("2"), None), (Some("3"), Some("2"))];
        assert_eq!(rows(&boss), (vec![1, 2, 0], 3));
        // Of a parent that is not among them nobody has to wait, nor of oneself.
        assert_eq!(rows(&[(Some("1"), Some("9")), (Some("2"), Some("2"))]), (vec![0, 1], 2));
    }

    #[test]
    fn rows_in_a_circle_and_behind_it_come_last_together() {
        let circle = [
            (Some("4"), Some("1")),
            (Some("1"), Some("2")),
            (Some("2"), Some("1")),
            (Some("5"), None),
        ];
        assert_eq!(rows(&circle), (vec![3, 0, 1, 2], 1));
    }
}
