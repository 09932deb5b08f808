//! One run of many processes: who compares which part of it.
//!
//! The parts are shards: key ranges that tile a mapping, leased one by one. A shard whose holder does not
//! renew its lease is taken over, with what was compared of it. The queue is a table of the ledger and
//! its locks are PostgreSQL's: a shard is taken with `for update skip locked`, and what is written of it
//! holds on to the lease it is written under, so that a process that was only slow, and comes back when
//! its shard has another holder, cannot count anything twice.

use std::sync::Arc;

use super::checkpoint::{ChunkPlace, StoredChunk, StoredChunks};
use super::checksum::{ChecksummedTable, Checksums};
use super::interrupted_run::InterruptedRun;
use super::lease::{Lease, LeaseKind, LeaseRequest};
use super::problems::{damaged_run, unencrypted_key};
use super::recorder::Recorder;
use super::redaction::Redaction;
use super::run_row::RunRow;
use super::shared_store::SharedStore;
use super::stored_row::{LedgerWrite, StoredRow, StoredValue, values};
use crate::chunks::StoredOutcome;
use crate::finding::{RunRecord, SummaryRecord};
use crate::problem::Problem;
use crate::row::KeyRange;

/// Chunks of a shard are numbered from its place times this.
const CHUNKS_OF_A_SHARD: u64 = 1 << 24;

/// A run that several processes share.
#[derive(Clone, Debug)]
pub struct SharedRun {
    store: Arc<SharedStore>,
    checksums: Checksums,
    run: i64,
    /// What this process calls itself.
    holder: String,
    redaction: Redaction,
    /// The run as it was begun, by whichever process was first.
    pub begun: InterruptedRun,
}

/// A part of a mapping that this process has the lease of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// The mapping's name.
    pub mapping: String,
    /// Its number within the mapping.
    pub place: u64,
    /// Its keys.
    pub range: KeyRange,
    /// The same as it is stored.
    stored: Vec<u8>,
    /// Which of its leases this is.
    turn: i64,
    /// How many shards the mapping has.
    pub of: u64,
}

/// How much of a run is left to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Shards that are not compared.
    pub open: u64,
    /// Shards in all.
    pub all: u64,
}

impl Shard {
    /// The number of its first chunk.
    pub fn first_chunk(&self) -> u64 {
        self.place * CHUNKS_OF_A_SHARD
    }
}

impl Recorder {
    /// Joins a run, or begins it if no other process has. Nothing of a ledger that cannot be shared.
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
        let found = found.first().ok_or_else(|| Problem::new("it has lost the run"))?;
        let begun = self.store().read_shared_run(found)?;
        let begun = begun.ok_or_else(|| damaged_run(&record.run))?;
        let (run, holder) = (begun.row.number, holder.to_owned());
        let redaction = self.redaction().clone();
        Ok(Some(SharedRun { store, checksums, redaction, run, holder, begun }))
    }

    /// Whether the shards of a mapping of a run of many processes are all compared and as they were
    /// written, and how many are not.
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
        // One whose row is lost is known by the numbers of the others.
        let lost = |(at, shard): (usize, &StoredRow)| {
            !shard.int("place").is_ok_and(|place| place == at as i64)
        };
        let lost = shards.is_empty() || shards.iter().enumerate().any(lost);
        Ok(damaged as u64 + u64::from(lost))
    }
}

impl SharedRun {
    /// How the run ended, if it has.
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

    /// Whether a mapping has been cut into shards.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn has_shards(&self, mapping: &str) -> Result<bool, Problem> {
        let find = include_str!("statements/shared_is_cut.sql");
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
        Ok(Lease::take(&self.store, request).await?.ok())
    }

    /// Cuts a mapping into shards, unless another process has done so in the meantime.
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

    /// Computes the checksum of a shard; of one that is done with the chunks that were compared of it, if
    /// it is the only one of its mapping.
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

    /// Takes the next shard that nobody has, or whose holder is gone. One that is damaged is left for
    /// the process that tells the whole, which reads what no shard has covered.
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
            let leave = include_str!("statements/shared_leave_shard.sql");
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

    /// Puts the end of a shard's lease off. False if it has another holder by now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn renew_shard(&self, shard: &Shard) -> Result<bool, Problem> {
        self.write_under(shard, include_str!("statements/shared_renew_shard.sql"), Vec::new()).await
    }

    /// Gives a shard back that is not done.
    ///
    /// # Errors
    /// When the ledger cannot be written; its lease ends by itself then.
    pub async fn release_shard(&self, shard: &Shard) -> Result<(), Problem> {
        let give_back = include_str!("statements/shared_give_shard_back.sql");
        self.write_under(shard, give_back, Vec::new()).await.map(drop)
    }

    /// A shard is compared. False if it has another holder by now.
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
        let end = include_str!("statements/shared_end_shard.sql");
        self.write_under(shard, end, values![&checksum[..]]).await
    }

    /// Writes down what became of a chunk. False if its shard has another holder by now.
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
        self.write_under(shard, include_str!("statements/shared_keep_chunk.sql"), more).await
    }

    /// What another holder of a shard had compared of it.
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

    /// Forgets what another holder had compared of a shard that is all of its mapping, from this chunk on.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn delete_chunks(&self, shard: &Shard, from: u64) -> Result<(), Problem> {
        let forget = include_str!("statements/shared_forget_chunks.sql");
        self.write_under(shard, forget, values![from]).await.map(drop)
    }

    /// How much is left to compare.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn count_shards(&self) -> Result<ShardCounts, Problem> {
        let find = include_str!("statements/shared_left.sql");
        let found = self.store.rows(find, &[self.run.into()]).await?;
        let Some(record) = found.first() else { return Ok(ShardCounts::default()) };
        Ok(ShardCounts { open: record.count("open")?, all: record.count("shards")? })
    }

    /// Runs a statement that does something only as long as the shard is this process's, and tells
    /// whether it was.
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
