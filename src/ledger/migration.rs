//! What a migration does to the rows of an older ledger, after its tables have the columns of this
//! version and in the same transaction.
//!
//! The functions run in the order of [`convert_rows`], in a file as in a database, and only where an
//! older program has left rows. SQL text stands in `statements/` like every other.

use super::error::LedgerError;
use super::value::{Record, Value, values};

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

    /// Erases what deleted rows have left in the store's files, now or once the transaction has
    /// committed.
    async fn erase_deleted(&self) -> Result<(), Self::Error>;

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

/// How the binary form of a range without bounds begins.
const WITHOUT_BOUNDS: [u8; 2] = [0, 0];

/// Deletes the coverage that holds bounds, which older programs stored in plain: whether their key is
/// redacted is not known here. A mapping that was verified as a whole has none, and its coverage stays.
async fn drop_plain_bounds<T: Tables>(tables: &T) -> Result<(), T::Error> {
    let statement = include_str!("statements/drop_bounds.sql");
    tables.change(statement, values![&WITHOUT_BOUNDS[..]]).await?;
    tables.erase_deleted().await
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
