//! What a migration does to the rows of an older ledger, after its tables have the columns of this
//! version and in the same transaction.
//!
//! The functions run in the order of [`convert_rows`], in a file as in a database, and only where an
//! older program has left rows. SQL text stands in `statements/` like every other.

use jiff::Timestamp;

use super::error::LedgerError;
use super::value::{Record, Value, values};
use crate::finding::{RunRecord, SummaryRecord};

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

/// Numbers the runs in the order in which they ended, then by id, and names the run that verified each
/// part of a table. A run without an end has its place where it last began or went on.
async fn number_runs<T: Tables>(tables: &T) -> Result<(), T::Error> {
    let mut runs = Vec::new();
    let found = tables.rows(include_str!("statements/runs_to_number.sql"), Vec::new()).await?;
    for row in &found {
        runs.push(read_run(row).map_err(T::not_understood)?);
    }
    runs.sort();
    for (place, (_, _, run, has_ended)) in (1_i64..).zip(runs) {
        let statement = match has_ended {
            true => include_str!("statements/number_ended_run.sql"),
            false => include_str!("statements/number_open_run.sql"),
        };
        tables.change(statement, values![place, run]).await?;
    }
    tables.change(include_str!("statements/number_coverage.sql"), Vec::new()).await
}

/// Returns when a run ended, or last began or went on if it has no end, its id, its key in the table,
/// and whether it has an end. A record that cannot be read is no reason to lose all others: of its run
/// only the column tells when it began.
fn read_run(row: &Record) -> Result<(Option<Timestamp>, String, i64, bool), LedgerError> {
    let record: Option<RunRecord> = serde_json::from_str(row.text(3)?).ok();
    let resumed = record.as_ref().and_then(|record| record.resumed_at.last());
    let began = resumed.map_or(row.text(2)?, String::as_str).parse().ok();
    let summary = row.maybe_text(4)?;
    let known: Option<SummaryRecord> = summary.and_then(|text| serde_json::from_str(text).ok());
    let ended = known.zip(began).and_then(|(summary, began)| summary.ended_at(began));
    Ok((ended.or(began), row.text(1)?.to_owned(), row.int(0)?, summary.is_some()))
}

/// Adds the checksum of every row.
#[expect(clippy::unused_async, reason = "empty until rows have checksums")]
async fn add_checksums<T: Tables>(_tables: &T) -> Result<(), T::Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::file::FileStore;

    /// A run of a ledger of version 2: its id, when it began and last went on, and how many minutes it
    /// took after that, if it has an end.
    type Old = (&'static str, &'static str, Option<&'static str>, Option<u64>);

    fn record(id: &str, began: &str, resumed: Option<&str>) -> String {
        let resumed = resumed.map_or(String::new(), |at| format!("\"resumed_at\":[\"{at}\"],"));
        format!(
            "{{\"type\":\"run\",\"version\":1,\"run\":\"{id}\",\"spec\":\"x\",\"spec_hash\":\"h\",\
             \"scope\":\"s\",\"params\":{{}},\"started_at\":\"{began}\",{resumed}\"tool\":\"t\"}}"
        )
    }

    fn summary(minutes: u64) -> String {
        let elapsed = minutes * 60_000;
        format!(
            "{{\"type\":\"summary\",\"version\":1,\"verdict\":\"clean\",\"complete\":true,\
             \"exit_code\":0,\"elapsed_ms\":{elapsed}}}"
        )
    }

    fn version_2(path: &std::path::Path, runs: &[Old]) {
        let old = FileStore::of_version(path, 2);
        for (id, began, resumed, took) in runs {
            let add =
                "insert into run (id, verb, spec, spec_hash, scope, started_at, record, summary)
                       values ($1, 'compare', 'x', 'h', 's', $2, $3, $4)";
            let took = took.map_or(Value::Null, |took| summary(took).into());
            let params = [(*id).into(), (*began).into(), record(id, began, *resumed).into(), took];
            old.rows(add, &params).unwrap();
        }
        let add = "insert into coverage (scope, mapping, place, range, rows, verified_at)
                   values ('s', 't', $1, x'', 1, $2)";
        for (place, at) in (0_i64..).zip(["2026-11-20T06:00:00Z", "", "2025-01-01T00:00:00Z"]) {
            old.rows(add, &[place.into(), at.into()]).unwrap();
        }
    }

    #[tokio::test]
    async fn old_runs_are_numbered_by_end_then_by_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let runs: [Old; 6] = [
            // Written first, and ended last: it went on.
            ("E", "2026-11-20T06:00:00.500Z", Some("2026-11-20T09:00:00Z"), Some(60)),
            // Two that ended at the same moment.
            ("D", "2026-11-20T07:00:00Z", None, Some(30)),
            ("C", "2026-11-20T07:10:00Z", None, Some(20)),
            // Killed: its place is where it began, before the others ended.
            ("B", "2026-11-20T07:20:00Z", None, None),
            // Of another machine, whose clock is far behind.
            ("A", "2026-11-01T07:00:00Z", None, Some(1)),
            // Its clock says nothing.
            ("F", "soon", None, Some(1)),
        ];
        version_2(&path, &runs);
        let store = FileStore::read(&path).await.unwrap().unwrap();
        let ordered = store.rows(include_str!("statements/runs_of_spec.sql"), &["x".into()]);
        let record =
            |row: &Record| serde_json::from_str::<RunRecord>(row.text(3).unwrap()).unwrap();
        let ids: Vec<String> = ordered.unwrap().iter().map(|row| record(row).run).collect();
        assert_eq!(ids, ["F", "A", "B", "C", "D", "E"]);
        let numbers = "select coalesce(began, 0), coalesce(ended, 0) from run order by began";
        let numbers = store.rows(numbers, &[]).unwrap();
        let pairs = numbers.iter().map(|row| (row.int(0).unwrap(), row.int(1).unwrap()));
        assert_eq!(pairs.collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 0), (4, 4), (5, 5), (6, 6)]);
        // What was verified by a run that is not there any more is nobody's.
        let marks = store.rows("select coalesce(verified_by, 0) from coverage order by place", &[]);
        let marks: Vec<i64> = marks.unwrap().iter().map(|row| row.int(0).unwrap()).collect();
        assert_eq!(marks, [1, 0, 0]);
        // The next number is larger than all of them.
        let next = store.rows(include_str!("statements/next_number.sql"), &[]).unwrap();
        assert_eq!(next[0].int(0), Ok(7));
    }

    #[tokio::test]
    async fn numbers_go_up_even_after_one_was_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let store = FileStore::create(&path).await.unwrap();
        let next =
            || store.rows(include_str!("statements/next_number.sql"), &[]).unwrap()[0].int(0);
        assert_eq!([next(), next(), next()], [Ok(1), Ok(2), Ok(3)]);
        let add = "insert into run (id, verb, spec, spec_hash, scope, started_at, record, began)
                   values ('A', 'compare', 'x', 'h', 's', '', '', 40)";
        store.rows(add, &[]).unwrap();
        assert_eq!([next(), next()], [Ok(41), Ok(42)]);
        store.rows("update numbering set last = 7", &[]).unwrap();
        assert_eq!(next(), Ok(41));
        store.rows("delete from numbering", &[]).unwrap();
        assert_eq!(next(), Ok(41));
    }
}
