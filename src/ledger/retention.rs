//! The deletion of the oldest runs, so that the ledger of a job that runs for months stays small.

use jiff::{SignedDuration, Timestamp};

use super::run_row::StoredRun;
use super::storage::store::Store;
use super::storage::stored_row::{LedgerWrite, values};
use crate::problem::Problem;

/// How many runs of a spec are kept. Those of the last days are always kept: a gate needs every run of
/// its window, however many there are.
const RUNS: usize = 200;
const DAYS: i64 = 31;
/// How many findings of a spec are kept, in all runs together. The latest runs are always kept whole.
const FINDINGS: u64 = 1_000_000;
/// Of how many of the latest runs of a spec the checkpoints are kept.
const RESUMABLE: usize = 5;
/// How many of the latest runs are always kept.
const LATEST: usize = 5;

/// The statements that delete a run with its rows.
const OF_A_RUN: [&str; 5] = [
    include_str!("statements/delete_finding.sql"),
    include_str!("statements/delete_undecided.sql"),
    include_str!("statements/delete_mapping.sql"),
    include_str!("statements/delete_terms.sql"),
    include_str!("statements/delete_run.sql"),
];

/// The statements that delete the checkpoints of a run.
pub(super) const CHECKPOINTS: [&str; 4] = [
    include_str!("statements/delete_shard.sql"),
    include_str!("statements/delete_chunk.sql"),
    include_str!("statements/delete_ruling.sql"),
    include_str!("statements/delete_pass.sql"),
];

/// Deletes the checkpoints of all but the latest runs of a spec: older ones are not resumed.
pub(super) async fn delete_old_checkpoints(store: &Store, spec: &str) -> Result<(), Problem> {
    let runs = store.read_run_rows(spec).await?;
    let mut changes = Vec::new();
    for stored in runs.iter().rev().skip(RESUMABLE) {
        let run = stored.number();
        changes
            .extend(CHECKPOINTS.map(|statement| LedgerWrite { statement, params: values![run] }));
    }
    store.write_all(changes).await
}

/// Deletes the oldest runs of a spec with all their rows.
pub(super) async fn delete_old_runs(store: &Store, spec: &str) -> Result<(), Problem> {
    let days = SignedDuration::from_hours(24 * DAYS);
    let young = Timestamp::now().checked_sub(days).unwrap_or(Timestamp::MIN);
    let mut sizes = Vec::new();
    for stored in store.read_run_rows(spec).await?.iter().rev() {
        // How many findings a damaged run has is not known.
        let (began, findings) = match stored {
            StoredRun::Sound(row) => (row.started_at.parse(), row.findings),
            StoredRun::Damaged(damaged) => (damaged.started_at.parse(), 0),
        };
        let young = began.unwrap_or(Timestamp::MIN) >= young;
        sizes.push(RunSize { run: stored.number(), findings, young });
    }
    let of_run = |run: i64| {
        let statements = CHECKPOINTS.into_iter().chain(OF_A_RUN);
        statements.map(move |statement| LedgerWrite { statement, params: values![run] })
    };
    let mut changes: Vec<LedgerWrite> =
        find_old_runs(&sizes).into_iter().flat_map(of_run).collect();
    if !changes.is_empty() {
        let statement = include_str!("statements/delete_old_coverage.sql");
        changes.push(LedgerWrite { statement, params: Vec::new() });
    }
    store.write_all(changes).await
}

/// The size of a run.
struct RunSize {
    run: i64,
    findings: u64,
    /// Whether it began in the last [`DAYS`].
    young: bool,
}

/// Returns the runs to delete. The newest run comes first in `sizes`.
fn find_old_runs(sizes: &[RunSize]) -> Vec<i64> {
    let mut sum: u64 = 0;
    let mut goes = Vec::new();
    for (place, RunSize { run, findings, young }) in sizes.iter().enumerate() {
        sum = sum.saturating_add(*findings);
        if (place >= RUNS && !young) || (sum > FINDINGS && place >= LATEST) {
            goes.push(*run);
        }
    }
    goes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_many_or_large_runs_are_deleted() {
        let runs = |count: i64, findings: u64| -> Vec<RunSize> {
            (0..count).rev().map(|run| RunSize { run, findings, young: run >= 12 }).collect()
        };
        assert!(find_old_runs(&runs(200, 10)).is_empty());
        assert_eq!(find_old_runs(&runs(202, 10)), [1, 0]);
        assert_eq!(find_old_runs(&runs(900, 10)).len(), 12);
        assert_eq!(find_old_runs(&runs(12, 100_000)), [1, 0]);
        assert_eq!(find_old_runs(&runs(6, 900_000)), [0]);
    }
}
