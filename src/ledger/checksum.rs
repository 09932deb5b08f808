//! The checksum of every row of the ledger's tables. It is computed and verified in this file only.
//!
//! SQLite and PostgreSQL detect a damaged page at best, not a flipped bit in a value, and a verdict
//! depends on these values. So each row has a keyed BLAKE3 over the table's name, the id of its run and
//! all of its values in the order of the table's columns, each with its type and length. The key
//! columns are among the values: a row in another place is as damaged as one with another content. A
//! missing row is detected by a count (the run's row counts its findings, undecided ranges and
//! mappings) or by the keys that it leaves uncovered.
//!
//! The table `lease` and the columns of a shard's lease (`holder`, `until`, `turn`) are not covered:
//! they decide which process reads a range, not what is in it.

use std::fmt;

use super::storage::stored_row::{StoredRow, StoredValue, values};
use crate::row::ChecksumKey;

/// A row whose checksum is not that of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Computes and verifies the checksums of one ledger.
#[derive(Clone, Debug)]
pub(crate) struct Checksums(ChecksumKey);

/// The name of the ledger's secret, which redacts values and keys the checksums.
pub(super) const SECRET: &str = "redact";

/// A table whose rows have checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChecksummedTable {
    Secret,
    Run,
    Mapping,
    Undecided,
    Finding,
    Terms,
    Chunk,
    Shard,
    Ruling,
    Pass,
    Coverage,
}

impl ChecksummedTable {
    /// Returns its name in the database.
    pub(super) fn name(self) -> &'static str {
        match self {
            ChecksummedTable::Secret => "secret",
            ChecksummedTable::Run => "run",
            ChecksummedTable::Mapping => "mapping",
            ChecksummedTable::Undecided => "undecided",
            ChecksummedTable::Finding => "finding",
            ChecksummedTable::Terms => "terms",
            ChecksummedTable::Chunk => "chunk",
            ChecksummedTable::Shard => "shard",
            ChecksummedTable::Ruling => "ruling",
            ChecksummedTable::Pass => "pass",
            ChecksummedTable::Coverage => "coverage",
        }
    }
}

impl fmt::Display for ChecksummedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Checksums {
    /// Returns the checksums of the ledger with this secret.
    pub(super) fn of_secret(secret: &[u8]) -> Checksums {
        Checksums(ChecksumKey::of_secret(secret))
    }

    /// Computes the checksum of a row. `run` is the id of its run, empty if it belongs to none.
    pub(super) fn of(
        &self,
        table: ChecksummedTable,
        run: &str,
        values: &[StoredValue],
    ) -> [u8; 16] {
        let mut bytes = Vec::with_capacity(256);
        add(&mut bytes, b'n', table.name().as_bytes());
        add(&mut bytes, b'r', run.as_bytes());
        for value in values {
            match value {
                StoredValue::Null => add(&mut bytes, b'0', &[]),
                StoredValue::Int(number) => add(&mut bytes, b'i', &number.to_le_bytes()),
                StoredValue::Text(text) => add(&mut bytes, b't', text.as_bytes()),
                StoredValue::Bytes(value) => add(&mut bytes, b'b', value),
            }
        }
        self.0.checksum(&bytes)
    }

    /// Returns the values of a row with its checksum behind them.
    pub(super) fn sealed(
        &self,
        table: ChecksummedTable,
        run: &str,
        mut values: Vec<StoredValue>,
    ) -> Vec<StoredValue> {
        let checksum = self.of(table, run, &values);
        values.push(StoredValue::Bytes(checksum.to_vec()));
        values
    }

    /// Verifies a row as a query returns it: all values, then the checksum.
    pub(super) fn verify(
        &self,
        table: ChecksummedTable,
        run: &str,
        row: &StoredRow,
    ) -> Result<(), Damaged> {
        match row.values().split_last() {
            Some((StoredValue::Bytes(stored), values))
                if *stored == self.of(table, run, values) =>
            {
                Ok(())
            }
            _ => Err(Damaged),
        }
    }
}

/// Returns the row of the ledger's secret, whose checksum is keyed with itself.
pub(super) fn secret_row(secret: &[u8]) -> Vec<StoredValue> {
    Checksums::of_secret(secret).sealed(ChecksummedTable::Secret, "", values![SECRET, secret])
}

/// Adds a part with its type and length.
fn add(bytes: &mut Vec<u8>, kind: u8, part: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    bytes.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_row_is_detected() {
        let checksums = Checksums::of_secret(b"secret");
        let row = checksums.sealed(
            ChecksummedTable::Chunk,
            "01J",
            values![7_i64, "t", &b"\x00\x01"[..], ""],
        );
        let verify = |row: Vec<StoredValue>| {
            checksums.verify(ChecksummedTable::Chunk, "01J", &StoredRow::unnamed(row))
        };
        assert_eq!(verify(row.clone()), Ok(()));
        for (place, value) in row.iter().enumerate() {
            let bytes = match value {
                StoredValue::Int(number) => number.to_le_bytes().to_vec(),
                StoredValue::Text(text) => text.clone().into_bytes(),
                StoredValue::Bytes(bytes) => bytes.clone(),
                StoredValue::Null => Vec::new(),
            };
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let mut row = row.clone();
                row[place] = match value {
                    StoredValue::Int(_) => {
                        StoredValue::Int(i64::from_le_bytes(flipped.try_into().unwrap()))
                    }
                    StoredValue::Text(_) => match String::from_utf8(flipped) {
                        Ok(text) => StoredValue::Text(text),
                        Err(_) => continue,
                    },
                    _ => StoredValue::Bytes(flipped),
                };
                assert_eq!(verify(row), Err(Damaged), "value {place}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_checksum_is_of_its_table_run_and_ledger() {
        let checksums = Checksums::of_secret(b"secret");
        let row = StoredRow::unnamed(checksums.sealed(
            ChecksummedTable::Mapping,
            "01J",
            values![1_i64, 0_i64, "{}"],
        ));
        assert_eq!(checksums.verify(ChecksummedTable::Undecided, "01J", &row), Err(Damaged));
        assert_eq!(checksums.verify(ChecksummedTable::Mapping, "01K", &row), Err(Damaged));
        let other = Checksums::of_secret(b"other");
        assert_eq!(other.verify(ChecksummedTable::Mapping, "01J", &row), Err(Damaged));
        // A row of a program without checksums.
        let bare = StoredRow::unnamed(vec![
            StoredValue::Int(1),
            StoredValue::Int(0),
            "{}".into(),
            StoredValue::Null,
        ]);
        assert_eq!(checksums.verify(ChecksummedTable::Mapping, "01J", &bare), Err(Damaged));
    }

    #[test]
    fn values_are_told_apart() {
        let checksums = Checksums::of_secret(b"");
        let of = |values: Vec<StoredValue>| checksums.of(ChecksummedTable::Run, "", &values);
        assert_ne!(of(values!["ab", "c"]), of(values!["a", "bc"]));
        assert_ne!(of(values!["a"]), of(values![&b"a"[..]]));
        assert_ne!(of(vec![StoredValue::Null]), of(values![""]));
        assert_ne!(of(Vec::new()), of(vec![StoredValue::Null]));
    }
}
