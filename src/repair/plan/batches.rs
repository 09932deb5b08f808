//! Batches of a script: its rows in the order in which they run, divided into transactions where that is
//! allowed.

use super::change_set::ChangeSet;
use crate::problem::Problem;
use crate::repair::RowChange;

/// The changes of one script, and the order of their rows.
pub(crate) struct OrderedScript {
    /// The changes, one set for each mapping and operation.
    pub(crate) sets: Vec<ChangeSet>,
    /// The order of the rows; `None` if they run in the order in which they were built.
    pub(crate) order: Option<RowOrder>,
}

/// The order of a script's rows.
pub(crate) struct RowOrder {
    /// Indexes of the rows. The rows of all sets are numbered one set after the other.
    pub(crate) rows: Vec<u32>,
    /// How many of them may be divided between batches anywhere. The others depend on each other and
    /// share one batch.
    pub(crate) free: usize,
    /// Whether the order is reversed: the dependent rows then come first, else last.
    pub(crate) is_reversed: bool,
}

impl OrderedScript {
    fn rows(&self) -> usize {
        let rows: u64 = self.sets.iter().map(|set| set.spool.rows).sum();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// Returns how many batches there are, and the number of rows of the largest.
    pub(crate) fn sizes(&self, batch: usize) -> (usize, usize) {
        let ends = batch_ends(self.rows(), batch, self.order.as_ref());
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let largest = ends.iter().zip(starts).map(|(end, start)| end - start).max();
        (ends.len(), largest.unwrap_or(0))
    }

    /// Passes each batch to `take`: the changes of each set, and the lines of the change file.
    pub(crate) fn each_batch(
        &mut self,
        batch: usize,
        mut take: impl FnMut(Vec<Vec<RowChange>>, &str) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let ends = batch_ends(self.rows(), batch, self.order.as_ref());
        let (mut start, mut text) = (0, String::new());
        let count = self.sets.len();
        for set in &mut self.sets {
            set.spool.rewind()?;
        }
        for end in ends {
            let (mut changes, mut lines) = (vec![Vec::new(); count], String::new());
            for at in start..end {
                let (stage, change) = match &self.order {
                    None => (0, self.sets[0].spool.next(&mut text)?),
                    Some(order) => {
                        let (stage, row) = locate(&self.sets, u64::from(order.rows[at]));
                        (stage, self.sets[stage].spool.at(row, &mut text)?)
                    }
                };
                changes[stage].extend(change);
                match (stage, text.strip_prefix('{')) {
                    (1.., Some(rest)) => lines.push_str(&format!("{{\"stage\":{stage},{rest}")),
                    _ => lines.push_str(&text),
                }
            }
            start = end;
            take(changes, &lines)?;
        }
        Ok(())
    }
}

/// Returns the index behind the last row of each batch.
fn batch_ends(rows: usize, batch: usize, order: Option<&RowOrder>) -> Vec<usize> {
    let (from, through) = match order {
        Some(RowOrder { free, is_reversed: false, .. }) => (0, *free),
        Some(RowOrder { free, is_reversed: true, .. }) => (rows - free, rows),
        None => (0, rows),
    };
    let mut ends: Vec<usize> = (from..through).step_by(batch).skip(1).collect();
    ends.extend([from, through, rows]);
    ends.sort_unstable();
    ends.dedup();
    ends.retain(|end| *end > 0);
    ends
}

/// Returns the set of a row, and its index there.
fn locate(sets: &[ChangeSet], mut row: u64) -> (usize, u64) {
    for (stage, set) in sets.iter().enumerate() {
        if row < set.spool.rows {
            return (stage, row);
        }
        row -= set.spool.rows;
    }
    (0, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(rows: usize, free: usize, is_reversed: bool) -> Vec<usize> {
        batch_ends(rows, 2, Some(&RowOrder { rows: Vec::new(), free, is_reversed }))
    }

    #[test]
    fn rows_without_an_order_are_divided_by_the_batch_size() {
        assert_eq!(batch_ends(5, 2, None), [2, 4, 5]);
        assert_eq!(batch_ends(2, 2, None), [2]);
        assert!(batch_ends(0, 2, None).is_empty());
    }

    #[test]
    fn dependent_rows_share_one_batch() {
        assert_eq!(ends(8, 3, false), [2, 3, 8]);
        assert_eq!(ends(8, 3, true), [5, 7, 8]);
        assert_eq!(ends(4, 0, false), [4]);
        assert_eq!(ends(4, 4, true), [2, 4]);
    }
}
