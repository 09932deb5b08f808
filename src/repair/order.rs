//! The order in which tables are written, as their foreign keys demand.

use std::collections::BTreeSet;

/// Tables that refer to each other in a circle, by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(pub Vec<usize>);

/// The places of tables, parents before those that refer to them; `parents` holds for each table the
/// places of those that it refers to. A table that refers to itself is no circle.
///
/// # Errors
/// The tables that no order helps.
pub fn parents_first(parents: &[BTreeSet<usize>]) -> Result<Vec<usize>, Cycle> {
    let mut order = Vec::new();
    let mut left: Vec<usize> = (0..parents.len()).collect();
    while !left.is_empty() {
        let waits = |place: &usize| {
            parents[*place].iter().any(|parent| parent != place && left.contains(parent))
        };
        let (waiting, ready): (Vec<usize>, Vec<usize>) = left.iter().partition(|p| waits(p));
        if ready.is_empty() {
            return Err(Cycle(waiting));
        }
        order.extend(ready);
        left = waiting;
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parents: &[&[usize]]) -> Result<Vec<usize>, Cycle> {
        let sets: Vec<BTreeSet<usize>> =
            parents.iter().map(|p| p.iter().copied().collect()).collect();
        parents_first(&sets)
    }

    #[test]
    fn parents_come_first_and_a_circle_is_named() {
        assert_eq!(of(&[&[1], &[2], &[]]), Ok(vec![2, 1, 0]));
        assert_eq!(of(&[&[0], &[0]]), Ok(vec![0, 1]));
        assert_eq!(of(&[&[], &[]]), Ok(vec![0, 1]));
        assert_eq!(of(&[&[1], &[0], &[]]), Err(Cycle(vec![0, 1])));
    }
}
