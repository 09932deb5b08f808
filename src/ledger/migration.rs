//! What a migration does to the rows of an older ledger, after its tables have the columns of this
//! version and in the same transaction.
//!
//! The functions run in the order of [`convert_rows`], in a file as in a database, and only where an
//! older program has left rows. SQL text stands in `statements/` like every other.

use super::checksum::{Checksums, Table, secret_row};
use super::error::LedgerError;
use super::run_row::RunRow;
use super::value::{Change, Record, Value, values};
use crate::row::random_secret;

/// The tables of a ledger within the transaction of its migration.
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

    /// Makes several changes.
    async fn change_all(&self, changes: Vec<Change>) -> Result<(), Self::Error>;

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

/// Adds the checksum of every row that belongs to the ledger or to a run.
async fn add_checksums<T: Tables>(tables: &T) -> Result<(), T::Error> {
    let checksums = Checksums::of_secret(&seal_secret(tables).await?);
    let seal = |table, run: &str, row: &Record, statement, key: &[usize]| {
        let values = &row.0[..row.0.len().saturating_sub(1)];
        let mut params = vec![Value::Bytes(checksums.of(table, run, values).to_vec())];
        params.extend(key.iter().filter_map(|at| values.get(*at).cloned()));
        Change { statement, params }
    };
    let coverage = tables.rows(include_str!("statements/every_coverage.sql"), Vec::new()).await?;
    let sealed = coverage.iter().map(|row| {
        seal(Table::Coverage, "", row, include_str!("statements/seal_coverage.sql"), &[0, 1, 2])
    });
    tables.change_all(sealed.collect()).await?;
    tables.change(include_str!("statements/recount_findings.sql"), Vec::new()).await?;
    for run in tables.rows(include_str!("statements/every_run.sql"), Vec::new()).await? {
        let run = RunRow::unverified(&run);
        tables.change_all(vec![run.seal(&checksums)]).await?;
        let number = || Value::from(run.number);
        let terms = include_str!("statements/terms_of_run.sql");
        let terms = tables.rows(terms, values![run.id.as_str()]).await?;
        let mappings = include_str!("statements/mappings_of_run.sql");
        let mappings = tables.rows(mappings, vec![number()]).await?;
        for (table, rows, statement, key) in [
            (Table::Terms, terms, include_str!("statements/seal_terms.sql"), &[0][..]),
            (Table::Mapping, mappings, include_str!("statements/seal_mapping.sql"), &[0, 1]),
        ] {
            let sealed = rows.iter().map(|row| seal(table, &run.id, row, statement, key));
            tables.change_all(sealed.collect()).await?;
        }
        for (table, find, statement) in [
            (
                Table::Undecided,
                include_str!("statements/undecided_of_run.sql"),
                include_str!("statements/seal_undecided.sql"),
            ),
            (
                Table::Finding,
                include_str!("statements/findings_of_run.sql"),
                include_str!("statements/seal_finding.sql"),
            ),
        ] {
            let mut last = Value::Int(i64::MIN);
            loop {
                let rows = tables.rows(find, vec![number(), last]).await?;
                let Some(end) = rows.last() else { break };
                last = Value::Int(end.int(1).map_err(T::not_understood)?);
                let sealed = rows.iter().map(|row| seal(table, &run.id, row, statement, &[0, 1]));
                tables.change_all(sealed.collect()).await?;
            }
        }
    }
    Ok(())
}

/// Adds the checksum of the ledger's secret, and the secret where there is none. Returns it.
async fn seal_secret<T: Tables>(tables: &T) -> Result<Vec<u8>, T::Error> {
    let found = tables.rows(include_str!("statements/every_secret.sql"), Vec::new()).await?;
    let Some(found) = found.first() else {
        let secret = random_secret().to_vec();
        tables.change(include_str!("statements/add_secret.sql"), secret_row(&secret)).await?;
        return Ok(secret);
    };
    let secret = found.bytes(1).map_err(T::not_understood)?.to_vec();
    let row = secret_row(&secret);
    let params = row.into_iter().rev().take(1).chain(found.0.iter().take(1).cloned()).collect();
    tables.change(include_str!("statements/seal_secret.sql"), params).await?;
    Ok(secret)
}
