//! What is forgotten: the oldest runs, so that a ledger beside a job that runs for months stays small.

use super::store::{LedgerError, Store, two_numbers};

/// Runs that are kept.
const RUNS: usize = 200;
/// Findings that are kept, of all runs together; the latest runs are kept whole whatever they have.
const FINDINGS: i64 = 1_000_000;
/// The latest runs, which nothing makes one forget.
const LATEST: usize = 5;

/// Forgets the oldest runs with their findings.
pub(super) fn forget(store: &Store) -> Result<(), LedgerError> {
    let mut sizes = Vec::new();
    store.each(include_str!("statements/sizes.sql"), [], two_numbers, |size| {
        sizes.push(size);
        Ok(())
    })?;
    let goes = forgotten(&sizes);
    if goes.is_empty() {
        return Ok(());
    }
    store.together(|store| {
        for run in goes {
            for statement in [
                include_str!("statements/forget_finding.sql"),
                include_str!("statements/forget_undecided.sql"),
                include_str!("statements/forget_mapping.sql"),
                include_str!("statements/forget_run.sql"),
            ] {
                store.run(statement, [run])?;
            }
        }
        Ok(())
    })
}

/// Which runs go; the newest come first, each with how many findings it has.
fn forgotten(sizes: &[(i64, i64)]) -> Vec<i64> {
    let mut findings = 0;
    let mut goes = Vec::new();
    for (place, (run, size)) in sizes.iter().enumerate() {
        findings += size;
        if place >= RUNS || (findings > FINDINGS && place >= LATEST) {
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
        let runs = |count: i64, size: i64| -> Vec<(i64, i64)> {
            (0..count).rev().map(|run| (run, size)).collect()
        };
        assert!(forgotten(&runs(200, 10)).is_empty());
        assert_eq!(forgotten(&runs(202, 10)), [1, 0]);
        assert_eq!(forgotten(&runs(12, 100_000)), [1, 0]);
        assert_eq!(forgotten(&runs(6, 900_000)), [0]);
    }
}
