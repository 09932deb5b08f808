//! One question about many things: the catalog's answers for hundreds of mappings in one statement.
//!
//! A question about one relation costs the server more to plan than to answer, and a round trip. So
//! statements name many relations, and each row of an answer begins with the place of the relation that
//! it is about. What the server does not answer at once (in time, within its memory or within ours) is
//! asked in halves, down to a single relation, which the error then names.

use std::ops::Range;

use super::connection::Connection;
use super::error::{PgError, Remedy};
use super::read_settings::ReadSettings;
use super::row::Row;
use crate::sql::Statement;

impl Connection {
    /// Asks one question about each of some things, `most` at a time at the most, and decodes the rows
    /// about each. The first field of a row is the place of what it is about, counted from 1; rows come
    /// in the order of places. `name` names a thing for errors.
    ///
    /// # Errors
    /// What the server says. What is too much even for a single thing is named.
    pub(super) async fn query_each<T, R>(
        &self,
        (session, most): (&ReadSettings, usize),
        things: &[T],
        statement: impl Fn(&[T]) -> Statement,
        name: impl Fn(&T) -> String,
        decode: impl Fn(&T, &[Row]) -> Result<R, PgError>,
    ) -> Result<Vec<R>, PgError> {
        let mut all = Vec::with_capacity(things.len());
        let mut batches = Batches::new(things.len(), most);
        while let Some(batch) = batches.next() {
            let batch = &things[batch];
            match self.query(session, &statement(batch)).await {
                Ok(rows) => {
                    let parts = by_place(&rows, batch.len(), |row: &Row| row.get::<i64>("place"))?;
                    for (thing, rows) in batch.iter().zip(parts) {
                        all.push(decode(thing, rows)?);
                    }
                    batches.advance();
                }
                Err(error) if error.remedy != Remedy::Shrink => return Err(error),
                // After an answer that was given up in the middle, nothing more can be asked here.
                Err(error) if self.is_busy() || !batches.halve() => {
                    return Err(match batch {
                        [thing] => error.about(&name(thing)),
                        _ => error,
                    });
                }
                Err(_) => {}
            }
        }
        Ok(all)
    }
}

/// Which of so many things are next: as many at once as may be, in halves where that was too many.
struct Batches {
    things: usize,
    done: usize,
    size: usize,
}

impl Batches {
    fn new(things: usize, most: usize) -> Batches {
        Batches { things, done: 0, size: most.max(1) }
    }

    /// The batch that is to be tried; the same again until it is done or halved.
    fn next(&self) -> Option<Range<usize>> {
        let until = self.things.min(self.done + self.size);
        (self.done < until).then_some(self.done..until)
    }

    /// Notes that the batch is done.
    fn advance(&mut self) {
        self.done += self.next().map_or(0, |batch| batch.len());
    }

    /// Halves this batch and those that follow. Returns whether it could.
    fn halve(&mut self) -> bool {
        let size = self.next().map_or(0, |batch| batch.len());
        self.size = (size / 2).max(1);
        size > 1
    }
}

/// The rows about each of so many things. A row about none of them, or out of order, is an error.
fn by_place<R>(
    rows: &[R],
    things: usize,
    place: impl Fn(&R) -> Result<i64, PgError>,
) -> Result<Vec<&[R]>, PgError> {
    let mut parts = Vec::with_capacity(things);
    let mut rest = rows;
    for thing in 1..=things {
        let mut count = 0;
        while let Some(row) = rest.get(count)
            && usize::try_from(place(row)?) == Ok(thing)
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

    /// The batches in which so many things are done where `fits` can be done at once; stops at one that
    /// does not fit alone.
    fn tried(things: usize, most: usize, fits: usize) -> (Vec<Range<usize>>, usize) {
        let (mut batches, mut tried) = (Batches::new(things, most), Vec::new());
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
    fn every_thing_is_in_one_batch() {
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
    fn rows_are_told_apart_by_place() {
        let place = |row: &(i64, char)| Ok(row.0);
        let rows = [(1, 'a'), (1, 'b'), (3, 'c')];
        let parts = by_place(&rows, 4, place).unwrap();
        assert_eq!(parts, [&rows[..2], &[], &rows[2..], &[]]);
        for wrong in [&[(0, 'a')][..], &[(2, 'a'), (1, 'b')], &[(5, 'a')], &[(-1, 'a')]] {
            assert!(by_place(wrong, 4, place).is_err(), "{wrong:?}");
        }
    }
}
