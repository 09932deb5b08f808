//! Where a run stands, written down chunk by chunk, so that one that was interrupted goes on.
//!
//! A checkpoint is what the scan saw of a chunk, before anything was rechecked: the rest of a run
//! follows from it, and what stood then may have healed since. Clean chunks are told by numbers alone;
//! what differs stands in a binary form that only the version of this program that wrote it reads.

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checksum::{Checksums, Table};
use super::error::LedgerError;
use super::recorder::Recorder;
use super::redaction::{Redaction, Storage, not_understood};
use super::value::{Change, Record, values};
use crate::compare::Compared;
use crate::row::{GroupCounts, KeyRange};

/// What became of a chunk.
#[derive(Clone, Copy, Debug)]
pub enum Checked<'c> {
    /// It was compared.
    Compared(&'c Compared),
    /// It is not in the sample.
    Skipped,
    /// It could not be compared, for this reason. Only a run of many processes says so: the one that
    /// tells the whole is another.
    Undecided(&'c str),
}

/// A chunk of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number within the mapping.
    pub chunk: u64,
    /// Its keys.
    pub range: KeyRange,
    /// About how many rows it was to have.
    pub rows: u64,
    /// What became of it.
    pub state: KeptState,
}

/// What became of a chunk of an interrupted run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptState {
    /// Both sides agree on so many rows.
    Clean(u64),
    /// There is more to say, which [`Recorder::outcome`] does.
    Dirty,
    /// It is not in the sample.
    Skipped,
    /// It could not be compared, for a reason that [`Recorder::reason`] gives.
    Undecided,
}

/// The chunks of a mapping as the ledger has them.
#[derive(Debug, Default)]
pub struct StoredChunks {
    /// Those that are as they were written.
    pub sound: Vec<Kept>,
    /// The places of those that are damaged: their ranges are to be read again.
    pub damaged: Vec<i64>,
}

/// Where a comparison by buckets stands, as the ledger has it.
#[derive(Debug)]
pub enum StoredPass<T> {
    /// There is none.
    Nothing,
    /// As it was written.
    Sound(T),
    /// It is damaged.
    Damaged,
}

const UNDECIDED: &str = "undecided";
const CLEAN: &str = "clean";
const DIRTY: &str = "dirty";
const SKIPPED: &str = "skipped";

impl Recorder {
    /// Writes down what became of a chunk.
    pub fn keep_chunk(
        &mut self,
        mapping: &str,
        (chunk, range, rows): (u64, &KeyRange, u64),
        checked: Checked<'_>,
    ) {
        let Some(run) = self.keeping() else { return };
        let of = ChunkPlace { run, mapping, chunk };
        let Some(stored) = StoredChunk::of(self.redaction(), of, range, checked) else { return };
        let StoredChunk { range, state, matched, outcome } = stored;
        let params = values![run, mapping, chunk, range, rows, matched, state, outcome];
        let statement = include_str!("statements/add_chunk.sql");
        let params = self.sealed(Table::Chunk, params);
        self.put(Change { statement, params });
    }

    /// Writes down how far a comparison by buckets has come, in place of what was written before.
    pub fn keep_pass(&mut self, mapping: &str, state: &impl Serialize) {
        let Some(run) = self.keeping() else { return };
        let storage = self.redaction().of_rows(mapping);
        let Some(state) = storage.encode(&("pass", run, mapping), state) else { return };
        let statement = include_str!("statements/put_pass.sql");
        let params = self.sealed(Table::Pass, values![run, mapping, state]);
        self.put(Change { statement, params });
    }

    /// Writes down what was ruled of a range.
    pub fn keep_ruling(&mut self, mapping: &str, of: &impl Serialize, ruled: &impl Serialize) {
        let Some(run) = self.keeping() else { return };
        let storage = self.redaction().of(mapping);
        let Some(place) = storage.stand_in(of) else { return };
        let ruled = storage.encode(&("ruling", run, mapping, &place), &(of, ruled));
        let Some(ruled) = ruled else { return };
        let statement = include_str!("statements/put_ruling.sql");
        let params = self.sealed(Table::Ruling, values![run, mapping, place, ruled]);
        self.put(Change { statement, params });
    }

    /// Forgets a chunk that is to be read again.
    pub fn forget_chunk(&mut self, mapping: &str, place: i64) {
        let Some(run) = self.keeping() else { return };
        let statement = include_str!("statements/forget_one_chunk.sql");
        self.put(Change { statement, params: values![run, mapping, place] });
    }

    /// Forgets where a mapping stood: it is read from its start.
    pub fn forget_checkpoints(&mut self, mapping: &str) {
        let Some(run) = self.keeping() else { return };
        for statement in [
            include_str!("statements/forget_chunk_of_mapping.sql"),
            include_str!("statements/forget_ruling_of_mapping.sql"),
            include_str!("statements/forget_pass_of_mapping.sql"),
        ] {
            self.put(Change { statement, params: values![run, mapping] });
        }
    }

    /// What was ruled of the ranges of a mapping, and how many rulings are damaged: their ranges are
    /// looked at again.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn rulings<K: DeserializeOwned + Eq + Hash, V: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<(HashMap<K, V>, u64), LedgerError> {
        let Some(run) = self.row() else { return Ok((HashMap::new(), 0)) };
        let storage = self.redaction().of(mapping);
        let statement = include_str!("statements/rulings_of_mapping.sql");
        let found = self.store().rows(statement, values![run.number, mapping]).await?;
        let read = |record: &Record| {
            self.store().checksums().verify(Table::Ruling, &run.id, record).ok()?;
            let place = ("ruling", run.number, mapping, record.bytes(2).ok()?);
            storage.decode(&place, record.bytes(3).ok()?).ok()
        };
        let rulings: HashMap<K, V> = found.iter().filter_map(read).collect();
        let damaged = found.len().saturating_sub(rulings.len()) as u64;
        Ok((rulings, damaged))
    }

    /// The chunks of a mapping that the run has compared before it was interrupted.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn kept(&self, mapping: &str) -> Result<StoredChunks, LedgerError> {
        let Some(run) = self.row() else { return Ok(StoredChunks::default()) };
        let statement = include_str!("statements/chunks_of_mapping.sql");
        let page = async |from: i64| {
            let params = values![run.number, mapping, from, i64::MAX];
            self.store().rows(statement, params).await
        };
        let storage = self.redaction().of(mapping);
        StoredChunks::read((self.store().checksums(), storage), &run.id, i64::MIN, page).await
    }

    /// What there is to say of a chunk that is not clean.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the chunk is damaged.
    pub async fn outcome(&self, mapping: &str, chunk: u64) -> Result<Compared, LedgerError> {
        self.said(mapping, chunk, self.redaction().of_rows(mapping)).await
    }

    /// Why a chunk could not be compared.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the chunk is damaged.
    pub async fn reason(&self, mapping: &str, chunk: u64) -> Result<String, LedgerError> {
        self.said(mapping, chunk, self.redaction().of(mapping)).await
    }

    async fn said<T: DeserializeOwned>(
        &self,
        mapping: &str,
        chunk: u64,
        storage: Storage<'_>,
    ) -> Result<T, LedgerError> {
        let run = self.row().ok_or_else(not_understood)?;
        let statement = include_str!("statements/outcome_of_chunk.sql");
        let found = self.store().first(statement, values![run.number, mapping, chunk]).await?;
        let found = found.ok_or_else(not_understood)?;
        let checked = self.store().checksums().verify(Table::Chunk, &run.id, &found);
        checked.map_err(|_| LedgerError::damaged(&run.id))?;
        let of = ChunkPlace { run: run.number, mapping, chunk };
        storage.decode(&of.of_outcome(), found.bytes(7)?)
    }

    /// How far a comparison by buckets had come, if there was one.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn pass<T: DeserializeOwned>(
        &self,
        mapping: &str,
    ) -> Result<StoredPass<T>, LedgerError> {
        let Some(run) = self.row() else { return Ok(StoredPass::Nothing) };
        let statement = include_str!("statements/pass_of_mapping.sql");
        let found = self.store().first(statement, values![run.number, mapping]).await?;
        let Some(found) = found else { return Ok(StoredPass::Nothing) };
        if self.store().checksums().verify(Table::Pass, &run.id, &found).is_err() {
            return Ok(StoredPass::Damaged);
        }
        let storage = self.redaction().of_rows(mapping);
        match (storage.decode(&("pass", run.number, mapping), found.bytes(2)?), storage) {
            (Ok(state), _) => Ok(StoredPass::Sound(state)),
            (Err(_), Storage::Plain) => Ok(StoredPass::Damaged),
            // Its checksum is right: it was written under another secret, or none is set now.
            (Err(_), _) => Ok(StoredPass::Nothing),
        }
    }
}

impl StoredChunks {
    /// Reads chunks from a place on, some at a time.
    pub(super) async fn read(
        (checksums, storage): (&Checksums, Storage<'_>),
        run: &str,
        mut from: i64,
        page: impl AsyncFn(i64) -> Result<Vec<Record>, LedgerError>,
    ) -> Result<StoredChunks, LedgerError> {
        let mut chunks = StoredChunks::default();
        loop {
            let records = page(from).await?;
            for record in &records {
                let verified = checksums.verify(Table::Chunk, run, record);
                match verified.ok().and_then(|()| Kept::read(record, storage).ok()) {
                    Some(kept) => chunks.sound.push(kept),
                    None => chunks.damaged.push(record.int(2)?),
                }
            }
            let last = records.last().map(|record| record.int(2)).transpose()?;
            match last.and_then(|last| last.checked_add(1)) {
                Some(next) => from = next,
                None => return Ok(chunks),
            }
        }
    }
}

impl Kept {
    /// Reads a chunk as it is kept.
    fn read(record: &Record, storage: Storage<'_>) -> Result<Kept, LedgerError> {
        let state = match record.text(6)? {
            CLEAN => KeptState::Clean(record.count(5)?),
            DIRTY => KeptState::Dirty,
            SKIPPED => KeptState::Skipped,
            UNDECIDED => KeptState::Undecided,
            _ => return Err(not_understood()),
        };
        let (run, mapping, chunk) = (record.int(0)?, record.text(1)?, record.count(2)?);
        let of = ChunkPlace { run, mapping, chunk };
        let range = storage.decode(&of.of_range(), record.bytes(3)?)?;
        Ok(Kept { chunk, range, rows: record.count(4)?, state })
    }
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
    /// What numbers do not say; empty where they say it all.
    pub(super) outcome: Vec<u8>,
}

impl StoredChunk {
    /// Returns `None` if the chunk must not be stored. If only its outcome must not be stored, the
    /// outcome is left out, and a resumed run compares the chunk again.
    pub(super) fn of(
        redaction: &Redaction,
        of: ChunkPlace<'_>,
        range: &KeyRange,
        checked: Checked<'_>,
    ) -> Option<StoredChunk> {
        let storage = redaction.of(of.mapping);
        let range = storage.encode(&of.of_range(), range)?;
        let place = of.of_outcome();
        let (state, matched, outcome) = match checked {
            Checked::Skipped => (SKIPPED, 0, Vec::new()),
            Checked::Undecided(reason) => (UNDECIDED, 0, storage.encode(&place, &reason)?),
            Checked::Compared(compared) => match is_clean(compared) {
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

/// Whether the numbers say it all.
fn is_clean(compared: &Compared) -> bool {
    let Compared { rows, matched, suspects, lone, groups } = compared;
    let all = rows.all(|rows| rows == matched);
    all && suspects.is_empty() && lone.is_none() && *groups == GroupCounts::default()
}

#[cfg(test)]
mod tests {
    use super::super::redaction::{decode, encode};
    use super::*;
    use crate::compare::Suspected;
    use crate::row::{Bound, Digest, Fingerprint, Key};
    use crate::schema::{BySide, Side};

    #[test]
    fn what_is_written_down_is_read_back() {
        let bound = |text: &str| {
            let key = Key::new([text.as_bytes()]);
            Some(Bound { key, text: [text.to_owned()].into() })
        };
        let range = KeyRange { after: bound("a\0"), through: None };
        assert_eq!(decode::<KeyRange>(&encode(&range)).as_ref(), Ok(&range));
        let mut digest = Digest::default();
        digest.add(Fingerprint::of_row_hash(i64::MIN));
        let mut groups = GroupCounts::default();
        for group in [None, Some(&b"7"[..])] {
            let place = groups.place(group);
            groups.add(place, 3);
        }
        let suspect = Suspected {
            key: Key::new([&[7; 40][..]]),
            image: BySide { source: digest, target: Digest::default() },
        };
        let compared = Compared {
            rows: BySide { source: 9, target: 8 },
            matched: 8,
            suspects: vec![suspect],
            lone: Some((Side::Target, digest)),
            groups,
        };
        assert_eq!(decode::<Compared>(&encode(&compared)), Ok(compared));
        assert!(decode::<Compared>(b"\xff").is_err());
    }

    #[test]
    fn only_what_numbers_say_is_clean() {
        let clean =
            Compared { rows: BySide { source: 5, target: 5 }, matched: 5, ..Compared::default() };
        assert!(is_clean(&clean));
        let lone = Some((Side::Source, Digest::default()));
        assert!(!is_clean(&Compared { lone, ..clean.clone() }));
        assert!(!is_clean(&Compared { rows: BySide { source: 6, target: 5 }, ..clean }));
    }
}
