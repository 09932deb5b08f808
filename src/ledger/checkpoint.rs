//! Checkpoints: the result of each chunk, so that an interrupted run can be resumed.
//!
//! A checkpoint holds what the scan found in a chunk, before anything was rechecked: the rest of the
//! run follows from it, and a difference of that time may have healed since. A clean chunk is stored as
//! numbers only. Differences are stored in a binary form that only the version of the program that
//! wrote it can read.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checksum::{ChecksummedTable, Checksums};
use super::problems::{damaged_run, unreadable_checkpoint};
use super::recorder::Recorder;
use super::redaction::{Redaction, Storage};
use super::storage::stored_row::{LedgerWrite, StoredRow, values};
use crate::chunks::{PriorChunk, PriorChunkState, StoredOutcome};
use crate::compare::RangeComparison;
use crate::problem::Problem;
use crate::row::{GroupCounts, KeyRange};

/// The stored chunks of a mapping.
#[derive(Debug, Default)]
pub struct StoredChunks {
    /// Those whose checksums match.
    pub sound: Vec<PriorChunk>,
    /// The places of the damaged ones, whose ranges must be read again.
    pub damaged: Vec<i64>,
}

/// The stored state of a scan by hash buckets.
#[derive(Debug)]
pub enum StoredBlockScan<T> {
    /// No state is stored.
    Nothing,
    /// The state, whose checksum matches.
    Sound(T),
    /// It is damaged.
    Damaged,
}

const UNDECIDED: &str = "undecided";
const CLEAN: &str = "clean";
const DIRTY: &str = "dirty";
const SKIPPED: &str = "skipped";

impl Recorder {
    /// Records the outcome of a chunk.
    pub fn record_chunk(
        &mut self,
        mapping: &str,
        (chunk, range, rows): (u64, &KeyRange, u64),
        checked: StoredOutcome<'_>,
    ) {
        let Some(run) = self.resumable_run() else { return };
        let of = ChunkPlace { run, mapping, chunk };
        let Some(stored) = StoredChunk::of(self.redaction(), of, range, checked) else { return };
        let StoredChunk { range, state, matched, outcome } = stored;
        let params = values![run, mapping, chunk, range, rows, matched, state, outcome];
        let statement = include_str!("statements/add_chunk.sql");
        let params = self.sealed(ChecksummedTable::Chunk, params);
        self.queue(LedgerWrite { statement, params });
    }

    /// Records how far a scan by hash buckets has come. Replaces the state that was recorded before.
    pub fn record_block_scan(&mut self, mapping: &str, state: &impl Serialize) {
        let Some(run) = self.resumable_run() else { return };
        let storage = self.redaction().of_rows(mapping);
        let Some(state) = storage.encode(&("pass", run, mapping), state) else { return };
        let statement = include_str!("statements/put_pass.sql");
        let params = self.sealed(ChecksummedTable::Pass, values![run, mapping, state]);
        self.queue(LedgerWrite { statement, params });
    }

    /// Records what a recheck found out about a range of one-sided rows.
    pub fn record_ruling(&mut self, mapping: &str, of: &impl Serialize, ruled: &impl Serialize) {
        let Some(run) = self.resumable_run() else { return };
        let storage = self.redaction().of(mapping);
        let Some(place) = storage.stand_in(of) else { return };
        let ruled = storage.encode(&("ruling", run, mapping, &place), &(of, ruled));
        let Some(ruled) = ruled else { return };
        let statement = include_str!("statements/put_ruling.sql");
        let params = self.sealed(ChecksummedTable::Ruling, values![run, mapping, place, ruled]);
        self.queue(LedgerWrite { statement, params });
    }

    /// Deletes a chunk that must be read again.
    pub fn delete_chunk(&mut self, mapping: &str, place: i64) {
        let Some(run) = self.resumable_run() else { return };
        let statement = include_str!("statements/delete_one_chunk.sql");
        self.queue(LedgerWrite { statement, params: values![run, mapping, place] });
    }

    /// Deletes the checkpoints of a mapping, which is then read from its start.
    pub fn delete_checkpoints(&mut self, mapping: &str) {
        let Some(run) = self.resumable_run() else { return };
        for statement in [
            include_str!("statements/delete_chunk_of_mapping.sql"),
            include_str!("statements/delete_ruling_of_mapping.sql"),
            include_str!("statements/delete_pass_of_mapping.sql"),
        ] {
            self.queue(LedgerWrite { statement, params: values![run, mapping] });
        }
    }

    /// Reads what rechecks found out about ranges of a mapping, and how many of these records are
    /// damaged: their ranges are rechecked again.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_rulings<K: DeserializeOwned + Eq + Hash, V: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<(HashMap<K, V>, u64), Problem> {
        let Some(run) = self.row() else { return Ok((HashMap::new(), 0)) };
        let storage = self.redaction().of(mapping);
        let statement = include_str!("statements/rulings_of_mapping.sql");
        let found = self.store().rows(statement, values![run.number, mapping]).await?;
        let read = |record: &StoredRow| {
            self.store().checksums().verify(ChecksummedTable::Ruling, &run.id, record).ok()?;
            let place = ("ruling", run.number, mapping, record.bytes("place").ok()?);
            storage.decode(&place, record.bytes("ruled").ok()?).ok()
        };
        let rulings: HashMap<K, V> = found.iter().filter_map(read).collect();
        let damaged = found.len().saturating_sub(rulings.len()) as u64;
        Ok((rulings, damaged))
    }

    /// Reads the chunks of a mapping that the run had compared before it was interrupted.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_chunks(&self, mapping: &str) -> Result<StoredChunks, Problem> {
        let Some(run) = self.row() else { return Ok(StoredChunks::default()) };
        let statement = include_str!("statements/chunks_of_mapping.sql");
        let page = async |from: i64| {
            let params = values![run.number, mapping, from, i64::MAX];
            self.store().rows(statement, params).await
        };
        let storage = self.redaction().of(mapping);
        StoredChunks::read((self.store().checksums(), storage), &run.id, i64::MIN, page).await
    }

    /// Reads the differences of a chunk that is not clean.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the chunk is damaged.
    pub async fn read_outcome(
        &self,
        mapping: &str,
        chunk: u64,
    ) -> Result<RangeComparison, Problem> {
        self.read_chunk_outcome(mapping, chunk, self.redaction().of_rows(mapping)).await
    }

    /// Reads why a chunk could not be compared.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the chunk is damaged.
    pub async fn read_reason(&self, mapping: &str, chunk: u64) -> Result<String, Problem> {
        self.read_chunk_outcome(mapping, chunk, self.redaction().of(mapping)).await
    }

    async fn read_chunk_outcome<T: DeserializeOwned>(
        &self,
        mapping: &str,
        chunk: u64,
        storage: Storage<'_>,
    ) -> Result<T, Problem> {
        let run = self.row().ok_or_else(unreadable_checkpoint)?;
        let statement = include_str!("statements/outcome_of_chunk.sql");
        let found = self.store().first(statement, values![run.number, mapping, chunk]).await?;
        let found = found.ok_or_else(unreadable_checkpoint)?;
        let checked = self.store().checksums().verify(ChecksummedTable::Chunk, &run.id, &found);
        checked.map_err(|_| damaged_run(&run.id))?;
        let of = ChunkPlace { run: run.number, mapping, chunk };
        storage.decode(&of.of_outcome(), found.bytes("outcome")?)
    }

    /// Reads how far a scan by hash buckets had come, if there was one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_block_scan<T: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<StoredBlockScan<T>, Problem> {
        let Some(run) = self.row() else { return Ok(StoredBlockScan::Nothing) };
        let statement = include_str!("statements/pass_of_mapping.sql");
        let found = self.store().first(statement, values![run.number, mapping]).await?;
        let Some(found) = found else { return Ok(StoredBlockScan::Nothing) };
        if self.store().checksums().verify(ChecksummedTable::Pass, &run.id, &found).is_err() {
            return Ok(StoredBlockScan::Damaged);
        }
        let storage = self.redaction().of_rows(mapping);
        match (storage.decode(&("pass", run.number, mapping), found.bytes("state")?), storage) {
            (Ok(state), _) => Ok(StoredBlockScan::Sound(state)),
            (Err(_), Storage::Plain) => Ok(StoredBlockScan::Damaged),
            // Its checksum matches: it was written under another secret, or none is set now.
            (Err(_), _) => Ok(StoredBlockScan::Nothing),
        }
    }
}

impl StoredChunks {
    /// Reads the chunks from a place on, page by page.
    pub(super) async fn read(
        (checksums, storage): (&Checksums, Storage<'_>),
        run: &str,
        mut from: i64,
        page: impl AsyncFn(i64) -> Result<Vec<StoredRow>, Problem>,
    ) -> Result<StoredChunks, Problem> {
        let mut chunks = StoredChunks::default();
        loop {
            let records = page(from).await?;
            for record in &records {
                let verified = checksums.verify(ChecksummedTable::Chunk, run, record);
                match verified.ok().and_then(|()| read_chunk(record, storage).ok()) {
                    Some(kept) => chunks.sound.push(kept),
                    None => chunks.damaged.push(record.int("place")?),
                }
            }
            let last = records.last().map(|record| record.int("place")).transpose()?;
            match last.and_then(|last| last.checked_add(1)) {
                Some(next) => from = next,
                None => return Ok(chunks),
            }
        }
    }
}

/// Reads a chunk.
fn read_chunk(record: &StoredRow, storage: Storage<'_>) -> Result<PriorChunk, Problem> {
    let state = match record.text("state")? {
        CLEAN => PriorChunkState::Clean(record.count("matched")?),
        DIRTY => PriorChunkState::Dirty,
        SKIPPED => PriorChunkState::Skipped,
        UNDECIDED => PriorChunkState::Undecided,
        _ => return Err(unreadable_checkpoint()),
    };
    let (run, mapping, chunk) =
        (record.int("run")?, record.text("mapping")?, record.count("place")?);
    let of = ChunkPlace { run, mapping, chunk };
    let range = storage.decode(&of.of_range(), record.bytes("range")?)?;
    Ok(PriorChunk { chunk, range, rows: record.count("rows")?, state })
}

/// Which chunk of which run.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkPlace<'m> {
    pub(super) run: i64,
    pub(super) mapping: &'m str,
    pub(super) chunk: u64,
}

impl<'m> ChunkPlace<'m> {
    fn of_range(self) -> (&'static str, i64, &'m str, u64) {
        ("chunk range", self.run, self.mapping, self.chunk)
    }

    fn of_outcome(self) -> (&'static str, i64, &'m str, u64) {
        ("chunk outcome", self.run, self.mapping, self.chunk)
    }
}

/// A chunk as it is stored.
pub(super) struct StoredChunk {
    pub(super) range: Vec<u8>,
    pub(super) state: &'static str,
    pub(super) matched: u64,
    /// The differences, or why it could not be compared; empty if the numbers describe it completely.
    pub(super) outcome: Vec<u8>,
}

impl StoredChunk {
    /// Makes the stored form of a chunk. Returns `None` if the chunk must not be stored. If only its outcome must not be stored, the
    /// outcome is left out, and a resumed run compares the chunk again.
    pub(super) fn of(
        redaction: &Redaction,
        of: ChunkPlace<'_>,
        range: &KeyRange,
        checked: StoredOutcome<'_>,
    ) -> Option<StoredChunk> {
        let storage = redaction.of(of.mapping);
        let range = storage.encode(&of.of_range(), range)?;
        let place = of.of_outcome();
        let (state, matched, outcome) = match checked {
            StoredOutcome::Skipped => (SKIPPED, 0, Vec::new()),
            StoredOutcome::Undecided(reason) => (UNDECIDED, 0, storage.encode(&place, &reason)?),
            StoredOutcome::Compared(compared) => match is_clean(compared) {
                true => (CLEAN, compared.matched, Vec::new()),
                false => {
                    let seen = redaction.of_rows(of.mapping).encode(&place, compared);
                    (DIRTY, compared.matched, seen.unwrap_or_default())
                }
            },
        };
        Some(StoredChunk { range, state, matched, outcome })
    }
}

/// Returns whether the numbers describe a range completely.
fn is_clean(compared: &RangeComparison) -> bool {
    let RangeComparison { rows, matched, candidates, one_sided, groups } = compared;
    let all = rows.all(|rows| rows == matched);
    all && candidates.is_empty() && one_sided.is_none() && *groups == GroupCounts::default()
}

#[cfg(test)]
mod tests {
    use super::super::redaction::{decode, encode};
    use super::*;
    use crate::compare::CandidateKey;
    use crate::row::{Bound, Digest, Fingerprint, Key};
    use crate::schema::{BySide, Side};

    #[test]
    fn stored_values_are_read_back() {
        let bound = |text: &str| {
            let key = Key::new([text.as_bytes()]);
            Some(Bound { key, text: [text.to_owned()].into() })
        };
        let range = KeyRange { after: bound("a\0"), through: None };
        assert_eq!(decode::<KeyRange>(&encode(&range)).as_ref().unwrap(), &range);
        let mut digest = Digest::default();
        digest.add(Fingerprint::of_row_hash(i64::MIN));
        let mut groups = GroupCounts::default();
        for group in [None, Some(&b"7"[..])] {
            let place = groups.place(group);
            groups.add(place, 3);
        }
        let candidate = CandidateKey {
            key: Key::new([&[7; 40][..]]),
            image: BySide { source: digest, target: Digest::default() },
        };
        let compared = RangeComparison {
            rows: BySide { source: 9, target: 8 },
            matched: 8,
            candidates: vec![candidate],
            one_sided: Some((Side::Target, digest)),
            groups,
        };
        assert_eq!(decode::<RangeComparison>(&encode(&compared)).unwrap(), compared);
        assert!(decode::<RangeComparison>(b"\xff").is_err());
    }

    #[test]
    fn a_chunk_that_numbers_describe_is_clean() {
        let clean = RangeComparison {
            rows: BySide { source: 5, target: 5 },
            matched: 5,
            ..RangeComparison::default()
        };
        assert!(is_clean(&clean));
        let one_sided = Some((Side::Source, Digest::default()));
        assert!(!is_clean(&RangeComparison { one_sided, ..clean.clone() }));
        assert!(!is_clean(&RangeComparison { rows: BySide { source: 6, target: 5 }, ..clean }));
    }
}
