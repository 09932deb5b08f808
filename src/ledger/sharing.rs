//! One run of many processes: who compares which part of it.
//!
//! The parts are shards: key ranges that tile a mapping, leased one by one. A shard whose holder does not
//! renew its lease is taken over, with what was compared of it. The queue is a table of the ledger and
//! its locks are PostgreSQL's: a shard is taken with `for update skip locked`, and what is written of it
//! holds on to the lease it is written under, so that a process that was only slow, and comes back when
//! its shard has another holder, cannot count anything twice.

use std::sync::Arc;

use super::Checked;
use super::checkpoint::{Kept, decode, encode, state_of};
use super::error::LedgerError;
use super::interrupted::Interrupted;
use super::lease::Lease;
use super::recorder::Recorder;
use super::shared::SharedStore;
use super::value::{Value, values};
use crate::finding::{RunRecord, SummaryRecord};
use crate::row::KeyRange;

/// Chunks of a shard are numbered from its place times this.
const CHUNKS_OF_A_SHARD: u64 = 1 << 24;

/// A run that several processes share.
#[derive(Clone, Debug)]
pub struct Sharing {
    store: Arc<SharedStore>,
    run: i64,
    /// What this process calls itself.
    holder: String,
    /// The run as it was begun, by whichever process was first.
    pub begun: Interrupted,
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
    /// Which of its leases this is.
    turn: i64,
    /// How many shards the mapping has.
    pub of: u64,
}

/// How much of a run is left to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
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
    ) -> Result<Option<Sharing>, LedgerError> {
        let Some(store) = self.store().shared().map(Arc::clone) else { return Ok(None) };
        let begin = include_str!("statements/shared_join_run.sql");
        let params = values![
            record.run.as_str(),
            "compare",
            record.spec.as_str(),
            record.spec_hash.as_str(),
            record.scope.as_str(),
            record.started_at.as_str(),
            serde_json::to_string(record)?,
            self.store().next_number().await?,
            self.terms().unwrap_or_default(),
        ];
        store.change(begin, &params).await?;
        let find = include_str!("statements/shared_run.sql");
        let found = store.rows(find, &[record.run.as_str().into()]).await?;
        let found = found.first().ok_or_else(|| LedgerError("it has lost the run".to_owned()))?;
        let number = found.int(0)?;
        let begun = Interrupted {
            number,
            record: serde_json::from_str(found.text(1)?)?,
            terms: found.text(2)?.to_owned(),
        };
        Ok(Some(Sharing { store, run: number, holder: holder.to_owned(), begun }))
    }
}

impl Sharing {
    /// How the run ended, if it has.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn ended(&self) -> Result<Option<SummaryRecord>, LedgerError> {
        let find = include_str!("statements/shared_summary.sql");
        let found = self.store.rows(find, &[self.run.into()]).await?;
        let text = found.first().map(|record| record.maybe_text(0)).transpose()?.flatten();
        Ok(text.map(serde_json::from_str).transpose()?)
    }

    /// Whether a mapping has been cut into shards.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn is_cut(&self, mapping: &str) -> Result<bool, LedgerError> {
        let find = include_str!("statements/shared_is_cut.sql");
        Ok(!self.store.rows(find, &[self.run.into(), mapping.into()]).await?.is_empty())
    }

    /// The right to tell the whole, if no other process has it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn settle(&self) -> Result<Option<Lease>, LedgerError> {
        // In the same table as the specs' own: no spec's name has a blank.
        let what = format!("settling {}", self.run);
        Ok(Lease::take(&self.store, &what, &self.holder).await?.ok())
    }

    /// Cuts a mapping into shards, unless another process has done so in the meantime.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn cut(&self, mapping: &str, shards: &[KeyRange]) -> Result<(), LedgerError> {
        let ranges = shards.iter().map(encode).collect();
        self.store.cut(self.run, mapping, ranges).await
    }

    /// Takes the next shard that nobody has, or whose holder is gone.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn take(&self) -> Result<Option<Shard>, LedgerError> {
        let take = include_str!("statements/shared_take_shard.sql");
        let taken =
            self.store.change(take, &[self.holder.as_str().into(), self.run.into()]).await?;
        let Some(record) = taken.first() else { return Ok(None) };
        Ok(Some(Shard {
            mapping: record.text(0)?.to_owned(),
            place: record.count(1)?,
            range: decode(record.bytes(2)?)?,
            turn: record.int(3)?,
            of: record.count(4)?,
        }))
    }

    /// Puts the end of a shard's lease off. False if it has another holder by now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn renew(&self, shard: &Shard) -> Result<bool, LedgerError> {
        self.under(shard, include_str!("statements/shared_renew_shard.sql"), Vec::new()).await
    }

    /// Gives a shard back that is not done.
    ///
    /// # Errors
    /// When the ledger cannot be written; its lease ends by itself then.
    pub async fn give_back(&self, shard: &Shard) -> Result<(), LedgerError> {
        let give_back = include_str!("statements/shared_give_shard_back.sql");
        self.under(shard, give_back, Vec::new()).await.map(drop)
    }

    /// A shard is compared. False if it has another holder by now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn done(&self, shard: &Shard) -> Result<bool, LedgerError> {
        self.under(shard, include_str!("statements/shared_end_shard.sql"), Vec::new()).await
    }

    /// Writes down what became of a chunk. False if its shard has another holder by now.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn keep(
        &self,
        shard: &Shard,
        (chunk, range, rows): (u64, &KeyRange, u64),
        checked: Checked<'_>,
    ) -> Result<bool, LedgerError> {
        let (state, matched, outcome) = state_of(checked);
        let more = values![chunk, encode(range), rows, matched, state, outcome];
        self.under(shard, include_str!("statements/shared_keep_chunk.sql"), more).await
    }

    /// What another holder of a shard had compared of it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn kept(&self, shard: &Shard) -> Result<Vec<Kept>, LedgerError> {
        let (first, behind) = (shard.first_chunk(), shard.first_chunk() + CHUNKS_OF_A_SHARD);
        let find = include_str!("statements/chunks_of_shard.sql");
        let params = values![self.run, shard.mapping.as_str(), first, behind];
        self.store.rows(find, &params).await?.iter().map(Kept::read).collect()
    }

    /// Forgets what another holder had compared of a shard that is all of its mapping, from this chunk on.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub async fn forget(&self, shard: &Shard, from: u64) -> Result<(), LedgerError> {
        let forget = include_str!("statements/shared_forget_chunks.sql");
        self.under(shard, forget, values![from]).await.map(drop)
    }

    /// How much is left to compare.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn left(&self) -> Result<Left, LedgerError> {
        let find = include_str!("statements/shared_left.sql");
        let found = self.store.rows(find, &[self.run.into()]).await?;
        let Some(record) = found.first() else { return Ok(Left::default()) };
        Ok(Left { open: record.count(0)?, all: record.count(1)? })
    }

    /// Runs a statement that does something only as long as the shard is this process's, and tells
    /// whether it was.
    async fn under(
        &self,
        shard: &Shard,
        statement: &str,
        more: Vec<Value>,
    ) -> Result<bool, LedgerError> {
        let mapping = shard.mapping.as_str();
        let mut params = values![self.run, mapping, shard.place, self.holder.as_str(), shard.turn];
        params.extend(more);
        Ok(!self.store.change(statement, &params).await?.is_empty())
    }
}
