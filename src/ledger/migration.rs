//! What a migration does to the rows of an older ledger, after its tables have the columns of this
//! version and in the same transaction.
//!
//! The functions run in the order of [`convert_rows`], in a file as in a database, and only where an
//! older program has left rows. SQL text stands in `statements/` like every other.

use super::error::LedgerError;
use super::value::{Record, Value};

/// The tables of a ledger within the transaction of its migration.
#[allow(dead_code)] // until the functions below have bodies
pub(super) trait Tables {
    /// What the store's own transactions fail with.
    type Error;

    /// Returns the rows that a query finds.
    async fn rows(
        &self,
        statement: &'static str,
        params: Vec<Value>,
    ) -> Result<Vec<Record>, Self::Error>;

    /// Makes a change.
    async fn change(&self, statement: &'static str, params: Vec<Value>) -> Result<(), Self::Error>;

    /// Converts the error of a row that cannot be read.
    fn not_understood(why: LedgerError) -> Self::Error;
}

/// Brings the rows of a ledger of an older version forward.
pub(super) async fn convert_rows<T: Tables>(tables: &T, version: i64) -> Result<(), T::Error> {
    if (1..3).contains(&version) {
        drop_old_checkpoints(tables).await?;
        drop_plain_bounds(tables).await?;
        number_runs(tables).await?;
        // Last: it covers what the others have written.
        add_checksums(tables).await?;
    }
    Ok(())
}

/// Deletes the checkpoints of interrupted runs, which have no checksums: these runs are read from
/// their start when they are resumed.
async fn drop_old_checkpoints<T: Tables>(tables: &T) -> Result<(), T::Error> {
    for statement in [
        include_str!("statements/drop_chunks.sql"),
        include_str!("statements/drop_shards.sql"),
        include_str!("statements/drop_rulings.sql"),
        include_str!("statements/drop_passes.sql"),
    ] {
        tables.change(statement, Vec::new()).await?;
    }
    Ok(())
}

/// Deletes the coverage that holds bounds of redacted keys in plain.
#[expect(clippy::unused_async, reason = "empty until bounds are encrypted")]
async fn drop_plain_bounds<T: Tables>(_tables: &T) -> Result<(), T::Error> {
    Ok(())
}

/// Numbers the runs in the order in which they ended, then by id.
#[expect(clippy::unused_async, reason = "empty until runs have numbers")]
async fn number_runs<T: Tables>(_tables: &T) -> Result<(), T::Error> {
    Ok(())
}

/// Adds the checksum of every row.
#[expect(clippy::unused_async, reason = "empty until rows have checksums")]
async fn add_checksums<T: Tables>(_tables: &T) -> Result<(), T::Error> {
    Ok(())
}
