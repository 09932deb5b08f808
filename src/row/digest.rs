//! The digest (range checksum) of a range: its number of rows, and the sum of their hashes.
//!
//! A sum of well-mixed 64-bit row hashes changes with every row; the count also detects rows whose hash is
//! zero. Unlike with xor, equal rows do not cancel out. The digest of a range is the sum of the digests of
//! its parts.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::Fingerprint;

/// Count and sum of row hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Rows.
    pub rows: u64,
    /// The sum of their hashes, which PostgreSQL returns as a numeric: 64 bits times the rows of any table
    /// fit.
    sum: i128,
}

/// A server's result that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server returned a digest that is not a whole number")]
pub struct DigestError;

impl Digest {
    /// Reads a server's result: a count, and a sum as text (NULL for no rows).
    ///
    /// # Errors
    /// If they are not whole numbers.
    pub fn read(rows: i64, sum: Option<&str>) -> Result<Digest, DigestError> {
        let rows = u64::try_from(rows).map_err(|_| DigestError)?;
        let sum = sum.map_or(Ok(0), str::parse).map_err(|_| DigestError)?;
        Ok(Digest { rows, sum })
    }

    /// Adds one row.
    pub fn add(&mut self, row: Fingerprint) {
        self.rows += 1;
        self.sum += i128::from(row.digest_term());
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Digest) {
        self.rows += other.rows;
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_rows_is_what_a_server_returns() {
        let mut digest = Digest::default();
        digest.add(Fingerprint::of_row_hash(i64::MIN));
        digest.add(Fingerprint::of_row_hash(i64::MIN));
        assert_eq!(Digest::read(2, Some("-18446744073709551616")), Ok(digest));
        assert_eq!(Digest::read(0, None), Ok(Digest::default()));
        assert_eq!(Digest::read(1, Some("1.5")), Err(DigestError));
        assert_eq!(Digest::read(-1, None), Err(DigestError));
    }
}
