//! The batches of a script: its rows in the order in which they run, cut where they may be.

use super::member::Member;
use crate::repair::RowChange;
use crate::run::blocked::Blocked;

/// Members that make one script.
pub(in crate::run) struct Arranged {
    pub(in crate::run) members: Vec<Member>,
    /// The rows of all members, one after the other, in the order in which they run, and where that
    /// order has its batches cut; nothing if it is the order in which they were made.
    pub(in crate::run) order: Option<(Vec<u32>, Cuts)>,
}

/// Rows that can be cut into batches anywhere, and those that belong together, which come last; or
/// first, where it runs backwards.
#[derive(Clone, Copy)]
pub(in crate::run) struct Cuts {
    pub(in crate::run) free: usize,
    pub(in crate::run) backwards: bool,
}

impl Arranged {
    fn rows(&self) -> usize {
        let rows: u64 = self.members.iter().map(|member| member.spooled.rows).sum();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// Where the batches end.
    fn ends(&self, batch: usize) -> Vec<usize> {
        let rows = self.rows();
        let (from, through) = match &self.order {
            Some((_, Cuts { free, backwards: false })) => (0, *free),
            Some((_, Cuts { free, backwards: true })) => (rows - free, rows),
            None => (0, rows),
        };
        let mut ends: Vec<usize> = (from..through).step_by(batch).skip(1).collect();
        ends.extend([from, through, rows]);
        ends.sort_unstable();
        ends.dedup();
        ends.retain(|end| *end > 0);
        ends
    }

    /// How many batches there are, and the rows of the largest.
    pub(in crate::run) fn sizes(&self, batch: usize) -> (usize, usize) {
        let ends = self.ends(batch);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let largest = ends.iter().zip(starts).map(|(end, start)| end - start).max();
        (ends.len(), largest.unwrap_or(0))
    }

    /// Hands the batches on: the changes by member, and the lines in which they are written down.
    pub(in crate::run) fn batches(
        &mut self,
        batch: usize,
        mut take: impl FnMut(Vec<Vec<RowChange>>, &str) -> Result<(), Blocked>,
    ) -> Result<(), Blocked> {
        let ends = self.ends(batch);
        let (mut start, mut text) = (0, String::new());
        let count = self.members.len();
        for member in &mut self.members {
            member.spooled.rewind()?;
        }
        for end in ends {
            let (mut changes, mut lines) = (vec![Vec::new(); count], String::new());
            for at in start..end {
                let (stage, change) = match &self.order {
                    None => (0, self.members[0].spooled.next(&mut text)?),
                    Some((order, _)) => {
                        let (stage, place) = located(&self.members, u64::from(order[at]));
                        (stage, self.members[stage].spooled.at(place, &mut text)?)
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

/// Which member a row is of, and its place there.
fn located(members: &[Member], mut row: u64) -> (usize, u64) {
    for (stage, member) in members.iter().enumerate() {
        if row < member.spooled.rows {
            return (stage, row);
        }
        row -= member.spooled.rows;
    }
    (0, row)
}
