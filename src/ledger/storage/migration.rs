//! The conversion of an older ledger's rows, which follows on the new columns in the same transaction.
//!
//! The functions run in the order of [`convert_rows`], in a file as in a database, if an older program
//! has left rows.

use jiff::Timestamp;

use super::stored_row::{LedgerWrite, StoredRow, StoredValue, values};
use crate::finding::{RunRecord, SummaryRecord};
use crate::ledger::checksum::{ChecksummedTable, Checksums, secret_row};
use crate::ledger::run_row::RunRow;
use crate::problem::Problem;
use crate::row::random_secret;

/// The tables of a ledger within the transaction of its migration.
pub(crate) trait Tables {
    /// The error of the store's transactions.
    type Error;

    /// Returns the rows of a query.
    async fn rows(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<Vec<StoredRow>, Self::Error>;

    /// Makes a change.
    async fn change(
        &self,
        statement: &'static str,
        params: Vec<StoredValue>,
    ) -> Result<(), Self::Error>;

    /// Erases deleted rows from the store's files, now or after the transaction has committed.
    async fn erase_deleted(&self) -> Result<(), Self::Error>;

    /// Makes several changes.
    async fn write_all(&self, changes: Vec<LedgerWrite>) -> Result<(), Self::Error>;

    /// Converts the problem of a row that cannot be read.
    fn convert(problem: Problem) -> Self::Error;
}

/// Converts the rows of a ledger of an older version.
pub(crate) async fn convert_rows<T: Tables>(tables: &T, version: i64) -> Result<(), T::Error> {
    if (1..3).contains(&version) {
        drop_old_checkpoints(tables).await?;
        drop_plain_bounds(tables).await?;
        number_runs(tables).await?;
        // Last, since the checksums cover what the others have written.
        add_checksums(tables).await?;
    }
    Ok(())
}

/// Deletes the checkpoints of interrupted runs, which have no checksums. These runs are read from their
/// start when they are resumed.
async fn drop_old_checkpoints<T: Tables>(tables: &T) -> Result<(), T::Error> {
    for statement in [
        include_str!("../statements/delete_all_chunks.sql"),
        include_str!("../statements/delete_all_shards.sql"),
        include_str!("../statements/delete_all_rulings.sql"),
        include_str!("../statements/delete_all_passes.sql"),
    ] {
        tables.change(statement, Vec::new()).await?;
    }
    Ok(())
}

/// The first bytes of the binary form of a range without bounds.
const WITHOUT_BOUNDS: [u8; 2] = [0, 0];

/// Deletes coverage with bounds, which older programs stored in plain: whether the key is redacted is
/// not known here. The coverage of a mapping that was verified as a whole has no bounds, and stays.
async fn drop_plain_bounds<T: Tables>(tables: &T) -> Result<(), T::Error> {
    let statement = include_str!("../statements/delete_bounded_coverage.sql");
    tables.change(statement, values![&WITHOUT_BOUNDS[..]]).await?;
    tables.erase_deleted().await
}

/// Numbers the runs in the order in which they ended, then by id, and sets which run verified each part
/// of a table. A run without an end has its place by when it was started or resumed.
async fn number_runs<T: Tables>(tables: &T) -> Result<(), T::Error> {
    let found = tables.rows(include_str!("../statements/every_run.sql"), Vec::new()).await?;
    let mut runs: Vec<RunRow> = found.iter().map(RunRow::unverified).collect();
    runs.sort_by_cached_key(|run| (last_moment(run), run.id.clone()));
    let numbered = (1_i64..).zip(&runs).map(|(place, run)| {
        let statement = match run.summary {
            Some(_) => include_str!("../statements/number_ended_run.sql"),
            None => include_str!("../statements/number_open_run.sql"),
        };
        LedgerWrite { statement, params: values![place, run.number] }
    });
    tables.write_all(numbered.collect()).await?;
    tables.change(include_str!("../statements/number_coverage.sql"), Vec::new()).await
}

/// Returns when a run ended, or if it has no end, when it was started or resumed. If its record cannot be
/// read, the column says when it was started.
fn last_moment(run: &RunRow) -> Option<Timestamp> {
    let record: Option<RunRecord> = serde_json::from_str(&run.record).ok();
    let summary = run.summary.as_deref();
    let summary: Option<SummaryRecord> = summary.and_then(|text| serde_json::from_str(text).ok());
    let known = record.and_then(|record| record.last_time(summary.as_ref()));
    known.or_else(|| run.started_at.parse().ok())
}

/// Adds the checksum of every row.
async fn add_checksums<T: Tables>(tables: &T) -> Result<(), T::Error> {
    let checksums = Checksums::of_secret(&seal_secret(tables).await?);
    let seal = |table, run: &str, row: &StoredRow, statement, key: &[&str]| {
        let values = row.values().split_last().map_or(&[][..], |(_, values)| values);
        let mut params = vec![StoredValue::Bytes(checksums.of(table, run, values).to_vec())];
        params.extend(key.iter().filter_map(|column| row.value(column).cloned()));
        LedgerWrite { statement, params }
    };
    let coverage =
        tables.rows(include_str!("../statements/every_coverage.sql"), Vec::new()).await?;
    let sealed = coverage.iter().map(|row| {
        seal(
            ChecksummedTable::Coverage,
            "",
            row,
            include_str!("../statements/seal_coverage.sql"),
            &["scope", "mapping", "place"],
        )
    });
    tables.write_all(sealed.collect()).await?;
    tables.change(include_str!("../statements/recount_findings.sql"), Vec::new()).await?;
    for run in tables.rows(include_str!("../statements/every_run.sql"), Vec::new()).await? {
        let run = RunRow::unverified(&run);
        tables.write_all(vec![run.seal(&checksums)]).await?;
        let number = || StoredValue::from(run.number);
        let terms = include_str!("../statements/terms_of_run.sql");
        let terms = tables.rows(terms, values![run.id.as_str()]).await?;
        let mappings = include_str!("../statements/mappings_of_run.sql");
        let mappings = tables.rows(mappings, vec![number()]).await?;
        for (table, rows, statement, key) in [
            (
                ChecksummedTable::Terms,
                terms,
                include_str!("../statements/seal_terms.sql"),
                &["run"][..],
            ),
            (
                ChecksummedTable::Mapping,
                mappings,
                include_str!("../statements/seal_mapping.sql"),
                &["run", "place"],
            ),
        ] {
            let sealed = rows.iter().map(|row| seal(table, &run.id, row, statement, key));
            tables.write_all(sealed.collect()).await?;
        }
        for (table, find, statement) in [
            (
                ChecksummedTable::Undecided,
                include_str!("../statements/undecided_of_run.sql"),
                include_str!("../statements/seal_undecided.sql"),
            ),
            (
                ChecksummedTable::Finding,
                include_str!("../statements/findings_of_run.sql"),
                include_str!("../statements/seal_finding.sql"),
            ),
        ] {
            let mut last = StoredValue::Int(i64::MIN);
            loop {
                let rows = tables.rows(find, vec![number(), last]).await?;
                let Some(end) = rows.last() else { break };
                last = StoredValue::Int(end.int("place").map_err(T::convert)?);
                let sealed =
                    rows.iter().map(|row| seal(table, &run.id, row, statement, &["run", "place"]));
                tables.write_all(sealed.collect()).await?;
            }
        }
    }
    Ok(())
}

/// Adds the checksum of the ledger's secret, and the secret if there is none. Returns the secret.
async fn seal_secret<T: Tables>(tables: &T) -> Result<Vec<u8>, T::Error> {
    let found = tables.rows(include_str!("../statements/every_secret.sql"), Vec::new()).await?;
    let Some(found) = found.first() else {
        let secret = random_secret().to_vec();
        tables.change(include_str!("../statements/add_secret.sql"), secret_row(&secret)).await?;
        return Ok(secret);
    };
    let secret = found.bytes("value").map_err(T::convert)?.to_vec();
    let row = secret_row(&secret);
    let params = row.into_iter().rev().take(1).chain(found.value("name").cloned()).collect();
    tables.change(include_str!("../statements/seal_secret.sql"), params).await?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::storage::file::FileStore;

    /// A run of a ledger of version 2: its id, when it was started and resumed, and how many minutes it
    /// took after that, if it has an end.
    type OldRun = (&'static str, &'static str, Option<&'static str>, Option<u64>);

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

    fn version_2(path: &std::path::Path, runs: &[OldRun]) {
        let old = FileStore::of_version(path, 2);
        for (id, began, resumed, took) in runs {
            let add =
                "insert into run (id, verb, spec, spec_hash, scope, started_at, record, summary)
                       values ($1, 'compare', 'x', 'h', 's', $2, $3, $4)";
            let took = took.map_or(StoredValue::Null, |took| summary(took).into());
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
        let runs: [OldRun; 6] = [
            // Written first, and ended last: it was resumed.
            ("E", "2026-11-20T06:00:00.500Z", Some("2026-11-20T09:00:00Z"), Some(60)),
            // Two that ended at the same moment.
            ("D", "2026-11-20T07:00:00Z", None, Some(30)),
            ("C", "2026-11-20T07:10:00Z", None, Some(20)),
            // Killed: its place is by its start, before the others ended.
            ("B", "2026-11-20T07:20:00Z", None, None),
            // Of another machine, whose clock is far behind.
            ("A", "2026-11-01T07:00:00Z", None, Some(1)),
            // Its time cannot be parsed.
            ("F", "soon", None, Some(1)),
        ];
        version_2(&path, &runs);
        let store = FileStore::read(&path).await.unwrap().unwrap();
        let ordered = include_str!("../statements/runs_of_spec.sql");
        let ordered = store.rows(ordered, &["x".into(), "".into()]).unwrap();
        let ids: Vec<String> = ordered.iter().map(|row| RunRow::unverified(row).id).collect();
        assert_eq!(ids, ["F", "A", "B", "C", "D", "E"]);
        let numbers = "select coalesce(began, 0) as began, coalesce(ended, 0) as ended from run order by run.began";
        let numbers = store.rows(numbers, &[]).unwrap();
        let pairs =
            numbers.iter().map(|row| (row.int("began").unwrap(), row.int("ended").unwrap()));
        assert_eq!(pairs.collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 0), (4, 4), (5, 5), (6, 6)]);
        // Coverage of a run that is not stored any more belongs to no run.
        let marks =
            store.rows("select coalesce(verified_by, 0) as run from coverage order by place", &[]);
        let marks: Vec<i64> = marks.unwrap().iter().map(|row| row.int("run").unwrap()).collect();
        assert_eq!(marks, [1, 0, 0]);
        // The next number is larger than all of them.
        let next = store.rows(include_str!("../statements/next_number.sql"), &[]).unwrap();
        assert_eq!(next[0].int("last").unwrap(), 7);
    }

    #[tokio::test]
    async fn numbers_increase_even_after_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let store = FileStore::create(&path).await.unwrap();
        let next = || {
            let taken = store.rows(include_str!("../statements/next_number.sql"), &[]).unwrap();
            taken[0].int("last").unwrap()
        };
        assert_eq!([next(), next(), next()], [1, 2, 3]);
        let add = "insert into run (id, verb, spec, spec_hash, scope, started_at, record, began)
                   values ('A', 'compare', 'x', 'h', 's', '', '', 40)";
        store.rows(add, &[]).unwrap();
        assert_eq!([next(), next()], [41, 42]);
        store.rows("update numbering set last = 7", &[]).unwrap();
        assert_eq!(next(), 41);
        store.rows("delete from numbering", &[]).unwrap();
        assert_eq!(next(), 41);
    }
}
