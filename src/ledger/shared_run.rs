//! A run of many processes: which process compares which part of it.
//!
//! The parts are shards: key ranges that tile a mapping and are leased one by one. If the lease of a shard
//! expires, another process takes the shard over, with the chunks that were compared. The queue is a table
//! of the ledger and its locks are those of PostgreSQL: a shard is taken with `for update skip locked`.
//! What a process writes about a shard is written only if its lease is still the same, so that a process
//! that was only slow, and returns when its shard has another holder, cannot count anything twice.

use std::sync::Arc;

use super::checkpoint::{ChunkPlace, StoredChunk, StoredChunks};
use super::checksum::{ChecksummedTable, Checksums};
use super::interrupted_run::InterruptedRun;
use super::lease::{Lease, LeaseKind, LeaseRequest};
use super::problems::{damaged_run, unencrypted_key};
use super::recorder::Recorder;
use super::redaction::Redaction;
use super::run_row::RunRow;
use super::storage::shared_store::SharedStore;
use super::storage::stored_row::{LedgerWrite, StoredRow, StoredValue, values};
use crate::chunks::StoredOutcome;
use crate::finding::{RunRecord, SummaryRecord};
use crate::problem::Problem;
use crate::row::KeyRange;

/// The numbers of a shard's chunks start at its place times this.
const CHUNKS_OF_A_SHARD: u64 = 1 << 24;

/// A run that many processes share.
#[derive(Clone, Debug)]
pub struct SharedRun {
    store: Arc<SharedStore>,
    checksums: Checksums,
    run: i64,
    /// The id of this process.
    holder: String,
    redaction: Redaction,
    /// The run as the first process started it.
    pub begun: InterruptedRun,
}

/// A part of a mapping of which this process has the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The mapping's name.
    pub mapping: String,
    /// Its number within the mapping.
    pub place: u64,
    /// Its keys.
    pub range: KeyRange,
    /// The keys in their stored form.
    stored: Vec<u8>,
    /// The number of this lease among those of the shard.
    turn: i64,
    /// How many shards the mapping has.
    pub of: u64,
}

/// How many shards of a run are left to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Shards that are not compared yet.
    pub open: u64,
    /// All shards.
    pub all: u64,
}

impl Shard {
    /// Returns the number of its first chunk.
    pub fn first_chunk(&self) -> u64 {
        self.place * CHUNKS_OF_A_SHARD
    }
}

impl Recorder {
    /// Joins a run, or starts it if no other process has. Returns `None` if the ledger is a file.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn join(
        &mut self,
        record: &RunRecord,
        holder: &str,
    ) -> Result<Option<SharedRun>, Problem> {
        let Some(store) = self.store().shared().map(Arc::clone) else { return Ok(None) };
        let row = RunRow::new(record, "compare")?;
        let begin = LedgerWrite {
            statement: include_str!("statements/shared_join_run.sql"),
            params: row.first_values(self.store().next_number().await?),
        };
        self.store().add_run(begin, row, |row| Ok(self.fingerprint_writes(row))).await?;
        let checksums = self.store().checksums().clone();
        let find = include_str!("statements/shared_run.sql");
        let found = store.rows(find, &[record.run.as_str().into()]).await?;
        let found =
            found.first().ok_or_else(|| Problem::new("it does not hold the run any more"))?;
        let begun = self.store().read_shared_run(found)?;
        let begun = begun.ok_or_else(|| damaged_run(&record.run))?;
        let (run, holder) = (begun.row.number, holder.to_owned());
        let redaction = self.redaction().clone();
        Ok(Some(SharedRun { store, checksums, redaction, run, holder, begun }))
    }

    /// Counts the shards of a mapping that are missing, damaged or not compared.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_damaged_shards(&self, mapping: &str) -> Result<u64, Problem> {
        let Some(run) = self.row() else { return Ok(0) };
        let statement = include_str!("statements/shared_shards.sql");
        let shards = self.store().rows(statement, values![run.number, mapping]).await?;
        let sound = |shard: &&StoredRow| {
            self.store().checksums().verify(ChecksummedTable::Shard, &run.id, shard).is_ok()
                && matches!(shard.int("done"), Ok(1))
        };
        let damaged = shards.len() - shards.iter().filter(sound).count();
        // A missing row is detected by the numbers of the others.
        let lost = |(at, shard): (usize, &StoredRow)| {
            !shard.int("place").is_ok_and(|place| place == at as i64)
        };
        let lost = shards.is_empty() || shards.iter().enumerate().any(lost);
        Ok(damaged as u64 + u64::from(lost))
    }
}

impl SharedRun {
    /// Returns the summary of the run, if it has ended.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_summary(&self) -> Result<Option<SummaryRecord>, Problem> {
        let find = include_str!("statements/run_of_number.sql");
        let found = self.store.rows(find, &[self.run.into()]).await?;
        let damaged = || damaged_run(&self.begun.row.id);
        let row = found.first().map(|record| RunRow::read(&self.checksums, record));
        let row = row.transpose().map_err(|_| damaged())?.ok_or_else(damaged)?;
        row.summary_record()
    }

    /// Returns whether a mapping has been divided into shards.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn has_shards(&self, mapping: &str) -> Result<bool, Problem> {
        let find = include_str!("statements/shared_has_shards.sql");
        Ok(!self.store.rows(find, &[self.run.into(), mapping.into()]).await?.is_empty())
    }

    /// Takes the lease to report the run, if no other process has it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn take_report_lease(&self) -> Result<Option<Lease>, Problem> {
        let run = &self.begun.row.id;
        let request = LeaseRequest {
            kind: LeaseKind::Report,
            name: run.clone(),
            run: Some(run.clone()),
            holder: self.holder.clone(),
        };
        Ok(Lease::take(&self.store, request).await?.acquired())
    }

    /// Divides a mapping into shards, unless another process has done so meanwhile.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn create_shards(&self, mapping: &str, shards: &[KeyRange]) -> Result<(), Problem> {
        let storage = self.redaction.of(mapping);
        let sealed = |(place, range): (usize, &KeyRange)| {
            let place = place as u64;
            let range = storage.encode(&("shard", self.run, mapping, place), range)?;
            let checksum = self.shard_checksum(mapping, place, &range, None);
            Some((range, checksum))
        };
        let ranges: Option<Vec<_>> = shards.iter().enumerate().map(sealed).collect();
        let ranges = ranges.ok_or_else(|| unencrypted_key(mapping))?;
        self.store.create_shards(self.run, mapping, ranges).await
    }

    /// Computes the checksum of a shard. `done` is the number of its chunks if it is done, or 0 if its
    /// mapping has several shards.
    fn shard_checksum(
        &self,
        mapping: &str,
        place: u64,
        range: &[u8],
        done: Option<u64>,
    ) -> [u8; 16] {
        let (is_done, chunks) = (u64::from(done.is_some()), done.unwrap_or(0));
        let values = values![self.run, mapping, place, range, is_done, chunks];
        self.checksums.of(ChecksummedTable::Shard, &self.begun.row.id, &values)
    }

    /// Takes the next shard without a lease, or with an expired one. A damaged shard is left to the process
    /// that reports the run, which reads what no shard has covered.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn take_shard(&self) -> Result<Option<Shard>, Problem> {
        let take = include_str!("statements/shared_take_shard.sql");
        loop {
            let holder = self.holder.as_str();
            let taken = self.store.change(take, &[holder.into(), self.run.into()]).await?;
            let Some(row) = taken.first() else { return Ok(None) };
            let shard = row.through("checksum");
            let of_run = &self.begun.row.id;
            if self.checksums.verify(ChecksummedTable::Shard, of_run, &shard).is_ok() {
                let (mapping, place) = (shard.text("mapping")?.to_owned(), shard.count("place")?);
                let stored = shard.bytes("range")?.to_vec();
                let storage = self.redaction.of(&mapping);
                let range = storage.decode(&("shard", self.run, &mapping, place), &stored)?;
                return Ok(Some(Shard {
                    mapping,
                    place,
                    range,
                    stored,
                    turn: row.int("turn")?,
                    of: row.count("shards")?,
                }));
            }
            let leave = include_str!("statements/shared_leave_damaged_shard.sql");
            let params = values![
                self.run,
                row.text("mapping")?,
                row.int("place")?,
                holder,
                row.int("turn")?
            ];
            self.store.change(leave, &params).await?;
        }
    }

    /// Renews the lease of a shard. Returns `false` if another process holds it now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn renew_shard(&self, shard: &Shard) -> Result<bool, Problem> {
        self.write_under(shard, include_str!("statements/shared_renew_shard.sql"), Vec::new()).await
    }

    /// Releases a shard that is not done.
    ///
    /// # Errors
    /// When the ledger cannot be written; the lease expires then.
    pub async fn release_shard(&self, shard: &Shard) -> Result<(), Problem> {
        let give_back = include_str!("statements/shared_release_shard.sql");
        self.write_under(shard, give_back, Vec::new()).await.map(drop)
    }

    /// Marks a shard as compared. Returns `false` if another process holds it now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn finish_shard(&self, shard: &Shard) -> Result<bool, Problem> {
        let chunks = match shard.of {
            1 => {
                let count = include_str!("statements/shared_count_chunks.sql");
                let params = values![self.run, shard.mapping.as_str()];
                let counted = self.store.rows(count, &params).await?;
                counted.first().map_or(Ok(0), |record| record.count("chunks"))?
            }
            _ => 0,
        };
        let (place, stored) = (shard.place, &shard.stored);
        let checksum = self.shard_checksum(&shard.mapping, place, stored, Some(chunks));
        let end = include_str!("statements/shared_finish_shard.sql");
        self.write_under(shard, end, values![&checksum[..]]).await
    }

    /// Records the outcome of a chunk. Returns `false` if another process holds its shard now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn record_chunk(
        &self,
        shard: &Shard,
        (chunk, range, rows): (u64, &KeyRange, u64),
        checked: StoredOutcome<'_>,
    ) -> Result<bool, Problem> {
        let (run, mapping) = (&self.begun.row.id, shard.mapping.as_str());
        let of = ChunkPlace { run: self.run, mapping, chunk };
        let stored = StoredChunk::of(&self.redaction, of, range, checked);
        let stored = stored.ok_or_else(|| unencrypted_key(mapping))?;
        let StoredChunk { range, state, matched, outcome } = stored;
        let chunk = values![chunk, range, rows, matched, state, outcome];
        let row = values![self.run, mapping].into_iter().chain(chunk).collect();
        let row = self.checksums.sealed(ChecksummedTable::Chunk, run, row);
        let more = row.into_iter().skip(2).collect();
        self.write_under(shard, include_str!("statements/shared_add_chunk.sql"), more).await
    }

    /// Reads the chunks of a shard that another process had compared.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_chunks(&self, shard: &Shard) -> Result<StoredChunks, Problem> {
        let (first, behind) = (shard.first_chunk(), shard.first_chunk() + CHUNKS_OF_A_SHARD);
        let find = include_str!("statements/chunks_of_mapping.sql");
        let page = async |from: i64| {
            let params = values![self.run, shard.mapping.as_str(), from, behind];
            self.store.rows(find, &params).await
        };
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        let reading = (&self.checksums, self.redaction.of(&shard.mapping));
        StoredChunks::read(reading, &self.begun.row.id, first, page).await
    }

    /// Deletes the chunks, from this one on, that another process had compared of a shard that is all of
    /// its mapping.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn delete_chunks(&self, shard: &Shard, from: u64) -> Result<(), Problem> {
        let forget = include_str!("statements/shared_delete_chunks.sql");
        self.write_under(shard, forget, values![from]).await.map(drop)
    }

    /// Counts the shards.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_shards(&self) -> Result<ShardCounts, Problem> {
        let find = include_str!("statements/shared_count_shards.sql");
        let found = self.store.rows(find, &[self.run.into()]).await?;
        let Some(record) = found.first() else { return Ok(ShardCounts::default()) };
        Ok(ShardCounts { open: record.count("open")?, all: record.count("shards")? })
    }

    /// Runs a statement that has an effect only as long as this process holds the shard. Returns whether it
    /// does.
    async fn write_under(
        &self,
        shard: &Shard,
        statement: &str,
        more: Vec<StoredValue>,
    ) -> Result<bool, Problem> {
        let mapping = shard.mapping.as_str();
        let mut params = values![self.run, mapping, shard.place, self.holder.as_str(), shard.turn];
        params.extend(more);
        Ok(!self.store.change(statement, &params).await?.is_empty())
    }
}
