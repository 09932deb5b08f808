//! One query about many items: the catalog entries of hundreds of mappings in one statement.
//!
//! A query about one relation costs the server more to plan than to execute, and a round trip. So a
//! statement names many relations, and each row of the result has the position (`place`) of the relation
//! that it belongs to. A batch that fails because it is too large (the server's time or memory, or ours)
//! is split in half, down to a single relation, which the error then names.

use std::ops::Range;

use crate::pg::connection::Connection;
use crate::pg::error::{PgError, Remedy};
use crate::pg::read_settings::ReadSettings;
use crate::pg::row::Row;
use crate::sql::Statement;

impl Connection {
    /// Queries items in batches of at most `most`, and decodes the rows of each item. The column `place`
    /// of a row is the position of its item, counted from 1; rows are sorted by it. `name` describes an
    /// item for errors.
    ///
    /// # Errors
    /// The server's error. If a single item is too large, the message names it.
    pub(crate) async fn query_each<T, R>(
        &self,
        (session, most): (&ReadSettings, usize),
        items: &[T],
        statement: impl Fn(&[T]) -> Statement,
        name: impl Fn(&T) -> String,
        decode: impl Fn(&T, &[Row]) -> Result<R, PgError>,
    ) -> Result<Vec<R>, PgError> {
        let mut all = Vec::with_capacity(items.len());
        let mut batches = Batches::new(items.len(), most);
        while let Some(batch) = batches.next() {
            let batch = &items[batch];
            match self.query(session, &statement(batch)).await {
                Ok(rows) => {
                    let parts =
                        split_by_place(&rows, batch.len(), |row: &Row| row.get::<i64>("place"))?;
                    for (item, rows) in batch.iter().zip(parts) {
                        all.push(decode(item, rows)?);
                    }
                    batches.advance();
                }
                Err(error) if error.remedy != Remedy::Shrink => return Err(error),
                // After an answer that was not read to its end, the connection cannot be used again.
                Err(error) if self.is_busy() || !batches.halve() => {
                    return Err(match batch {
                        [item] => error.about(&name(item)),
                        _ => error,
                    });
                }
                Err(_) => {}
            }
        }
        Ok(all)
    }
}

/// The batches of a number of items; a batch that was too large is halved.
struct Batches {
    items: usize,
    done: usize,
    size: usize,
}

impl Batches {
    fn new(items: usize, most: usize) -> Batches {
        Batches { items, done: 0, size: most.max(1) }
    }

    /// Returns the current batch: the same until it is done or halved.
    fn next(&self) -> Option<Range<usize>> {
        let until = self.items.min(self.done + self.size);
        (self.done < until).then_some(self.done..until)
    }

    /// Marks the batch as done.
    fn advance(&mut self) {
        self.done += self.next().map_or(0, |batch| batch.len());
    }

    /// Halves this batch and those that follow. Returns whether it had more than one item.
    fn halve(&mut self) -> bool {
        let size = self.next().map_or(0, |batch| batch.len());
        self.size = (size / 2).max(1);
        size > 1
    }
}

/// Splits rows by item. A row of no item, or out of order, is an error.
fn split_by_place<R>(
    rows: &[R],
    items: usize,
    place: impl Fn(&R) -> Result<i64, PgError>,
) -> Result<Vec<&[R]>, PgError> {
    let mut parts = Vec::with_capacity(items);
    let mut rest = rows;
    for item in 1..=items {
        let mut count = 0;
        while let Some(row) = rest.get(count)
            && usize::try_from(place(row)?) == Ok(item)
        {
            count += 1;
        }
        let (part, behind) = rest.split_at(count);
        parts.push(part);
        rest = behind;
    }
    if rest.is_empty() { Ok(parts) } else { Err(PgError::unexpected("rows out of order")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the batches that are tried where at most `fits` items fit one batch, and how many items
    /// are done. Stops at an item that does not fit alone.
    fn tried(items: usize, most: usize, fits: usize) -> (Vec<Range<usize>>, usize) {
        let (mut batches, mut tried) = (Batches::new(items, most), Vec::new());
        while let Some(batch) = batches.next() {
            tried.push(batch.clone());
            if batch.len() <= fits {
                batches.advance();
            } else if !batches.halve() {
                break;
            }
        }
        (tried, batches.done)
    }

    #[test]
    fn every_item_is_in_one_batch() {
        assert_eq!(tried(0, 500, 500), (vec![], 0));
        assert_eq!(tried(3, 500, 500), (std::iter::once(0..3).collect(), 3));
        assert_eq!(tried(5, 2, 500), (vec![0..2, 2..4, 4..5], 5));
        assert_eq!(tried(2, 0, 500), (vec![0..1, 1..2], 2));
    }

    #[test]
    fn a_batch_that_is_too_large_is_halved_until_it_fits() {
        let (batches, done) = tried(600, 500, 130);
        assert_eq!(batches, [0..500, 0..250, 0..125, 125..250, 250..375, 375..500, 500..600]);
        assert_eq!(done, 600);
        assert_eq!(tried(3, 500, 1), (vec![0..3, 0..1, 1..2, 2..3], 3));
        assert_eq!(tried(2, 2, 0), (vec![0..2, 0..1], 0));
    }

    #[test]
    fn rows_are_split_by_place() {
        let place = |row: &(i64, char)| Ok(row.0);
        let rows = [(1, 'a'), (1, 'b'), (3, 'c')];
        let parts = split_by_place(&rows, 4, place).unwrap();
        assert_eq!(parts, [&rows[..2], &[], &rows[2..], &[]]);
        for wrong in [&[(0, 'a')][..], &[(2, 'a'), (1, 'b')], &[(5, 'a')], &[(-1, 'a')]] {
            assert!(split_by_place(wrong, 4, place).is_err(), "{wrong:?}");
        }
    }
}
