//! What is forgotten: the oldest runs, so that a ledger beside a job that runs for months stays small.

use jiff::{SignedDuration, Timestamp};

use super::run_row::StoredRun;
use super::store::Store;
use super::stored_row::{LedgerWrite, values};
use crate::problem::Problem;

/// Runs of a spec that are kept, and those that began in so many days: a gate has to know every run of
/// its window, however often there is one.
const RUNS: usize = 200;
const DAYS: i64 = 31;
/// Findings of a spec that are kept, of all runs together; the latest runs are kept whole whatever they have.
const FINDINGS: u64 = 1_000_000;
/// The latest runs of a spec, of which it is remembered where they stand.
const RESUMABLE: usize = 5;
/// The latest runs, which nothing makes one forget.
const LATEST: usize = 5;

/// What else belongs to a run, and the run.
const OF_A_RUN: [&str; 5] = [
    include_str!("statements/forget_finding.sql"),
    include_str!("statements/forget_undecided.sql"),
    include_str!("statements/forget_mapping.sql"),
    include_str!("statements/forget_terms.sql"),
    include_str!("statements/forget_run.sql"),
];

/// Where an interrupted run stands.
pub(super) const CHECKPOINTS: [&str; 4] = [
    include_str!("statements/forget_shard.sql"),
    include_str!("statements/forget_chunk.sql"),
    include_str!("statements/forget_ruling.sql"),
    include_str!("statements/forget_pass.sql"),
];

/// Forgets where all but the latest runs of a spec stand: nobody goes back to an older one.
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

/// Forgets the oldest runs of a spec with all that belongs to them.
pub(super) async fn delete_old_runs(store: &Store, spec: &str) -> Result<(), Problem> {
    let days = SignedDuration::from_hours(24 * DAYS);
    let young = Timestamp::now().checked_sub(days).unwrap_or(Timestamp::MIN);
    let mut sizes = Vec::new();
    for stored in store.read_run_rows(spec).await?.iter().rev() {
        // How much one takes whose values are damaged is not known.
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
        let statement = include_str!("statements/forget_old_coverage.sql");
        changes.push(LedgerWrite { statement, params: Vec::new() });
    }
    store.write_all(changes).await
}

/// A run with what it takes.
struct RunSize {
    run: i64,
    findings: u64,
    /// Whether it began in the last [`DAYS`].
    young: bool,
}

/// Which runs go; the newest come first.
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
    fn the_oldest_runs_go_when_there_are_many_or_they_are_large() {
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
