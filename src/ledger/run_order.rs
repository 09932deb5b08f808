//! The order of a spec's runs, and the place of a damaged run in it.
//!
//! Runs are ordered by the numbers that the ledger gave them, which depend on no clock. What a damaged
//! run found is not known, so it keeps the gate closed until enough runs have followed it. Which these
//! are must not depend on the damaged value: the run is placed behind every run that any of its values
//! places before it.

use jiff::Timestamp;

use super::run_row::{RunRow, StoredRun};
use crate::finding::{PastRun, RunRecord, SummaryRecord, format_timestamp};
use crate::problem::Problem;

/// A run in the ledger's order, with its row.
pub(super) struct OrderedRun {
    pub(super) row: RunRow,
    pub(super) run: PastRun,
    /// Whether it was to compare every mapping.
    pub(super) all_mappings: bool,
}

impl OrderedRun {
    /// Makes a run of its stored row.
    pub(super) fn of(stored: StoredRun) -> Result<OrderedRun, Problem> {
        match stored {
            StoredRun::Sound(row) => OrderedRun::sound(row),
            StoredRun::Damaged(row) => Ok(OrderedRun::damaged(row)),
        }
    }

    /// Makes a run whose checksum matches.
    fn sound(row: RunRow) -> Result<OrderedRun, Problem> {
        let record = row.run_record()?;
        let summary = row.summary_record()?;
        let mut run = PastRun::new(&record.run, &row.verb, &row.scope, &record.started_at);
        run.number = row.number;
        run.spec_hash = record.spec_hash;
        run.clocks = record.clocks;
        run.resumed_at = record.resumed_at;
        run.sample = record.sample;
        run.slice = record.slice;
        run.since = record.since;
        run.summary = summary;
        Ok(OrderedRun { row, run, all_mappings: record.mappings.is_empty() })
    }

    /// Makes a damaged run, of which only the place and the latest time among its values are used.
    fn damaged(row: RunRow) -> OrderedRun {
        let at = format_timestamp(latest_moment(&row).unwrap_or_else(Timestamp::now));
        let mut run = PastRun::new(&row.id, &row.verb, &row.scope, &at);
        run.damaged = true;
        OrderedRun { row, run, all_mappings: false }
    }

    /// Returns whether it checked all findings of earlier runs.
    pub(super) fn compared_all_prior(&self) -> bool {
        let PastRun { verb, sample, since, summary, .. } = &self.run;
        let part = sample.is_some() || since.is_some() || !self.all_mappings || verb != "compare";
        !part && summary.as_ref().is_some_and(|summary| summary.complete)
    }
}

/// Puts runs in the ledger's order.
pub(super) fn in_order(runs: impl Iterator<Item = StoredRun>) -> Vec<StoredRun> {
    let (mut ordered, damaged): (Vec<_>, Vec<_>) =
        runs.partition(|run| matches!(run, StoredRun::Sound(_)));
    ordered.sort_by_key(|run| (run.row().order(), run.row().number));
    for run in damaged {
        let place = latest_place(&ordered, run.row());
        ordered.insert(place, run);
    }
    ordered
}

/// Returns the latest place in the order that a value of a damaged run suggests. A run without numbers,
/// which an older program started while this one migrated the ledger, has its place by its time.
fn latest_place(runs: &[StoredRun], damaged: &RunRow) -> usize {
    let (newest, moment) = (damaged.ended.max(damaged.began), latest_moment(damaged));
    if newest.is_none() && moment.is_none() {
        return runs.len();
    }
    let before = |run: &StoredRun| {
        let row = run.row();
        let by_order = match newest {
            Some(newest) => row.order() < newest,
            None => latest_moment(row) <= moment,
        };
        by_order || row.number < damaged.number
    };
    runs.iter().rposition(before).map_or(0, |last| last + 1)
}

/// Returns the latest time among the values of a run, without times in the future, at which it cannot
/// have run.
fn latest_moment(row: &RunRow) -> Option<Timestamp> {
    let record: Option<RunRecord> = serde_json::from_str(&row.record).ok();
    let summary: Option<SummaryRecord> =
        row.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let moments = [
        row.started_at.parse().ok(),
        record.as_ref().and_then(|record| record.started_at.parse().ok()),
        record.as_ref().and_then(|record| record.last_time(summary.as_ref())),
    ];
    let now = Timestamp::now();
    moments.into_iter().flatten().filter(|moment| *moment <= now).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::finding::{Finding, NamedValues, Verdict};
    use crate::ledger::interrupted_run::Resumable;
    use crate::ledger::{Location, Recorder, ReplayOutcome, Store};

    fn run(number: i64, began: i64, ended: Option<i64>) -> RunRow {
        RunRow { number, began: Some(began), ended, ..RunRow::default() }
    }

    fn ordered(sound: &[RunRow], damaged: RunRow) -> Vec<i64> {
        let sound = sound.iter().cloned().map(StoredRun::Sound);
        let runs = in_order([StoredRun::Damaged(damaged)].into_iter().chain(sound));
        runs.iter().map(StoredRun::number).collect()
    }

    #[test]
    fn runs_are_ordered_by_end_or_last_start() {
        // The first was interrupted and resumed after the second; the third was killed.
        let runs = [run(1, 5, Some(7)), run(2, 2, Some(4)), run(3, 6, None), run(4, 8, Some(9))];
        let runs = in_order(runs.into_iter().map(StoredRun::Sound));
        assert_eq!(runs.iter().map(StoredRun::number).collect::<Vec<_>>(), [2, 3, 1, 4]);
    }

    #[test]
    fn a_damaged_run_has_the_latest_place_of_its_values() {
        let sound = [run(1, 1, Some(2)), run(2, 3, Some(4)), run(4, 7, Some(8)), run(5, 9, None)];
        let place = |damaged| ordered(&sound, damaged);
        let third = run(3, 5, Some(6));
        assert_eq!(place(third.clone()), [1, 2, 3, 4, 5]);
        // A value that suggests a later place wins.
        assert_eq!(place(run(0, 5, Some(6))), [1, 2, 0, 4, 5]);
        assert_eq!(place(run(3, 5, Some(1))), [1, 2, 3, 4, 5]);
        assert_eq!(place(run(3, 0, None)), [1, 2, 3, 4, 5]);
        assert_eq!(place(run(3, 5, Some(99))), [1, 2, 4, 5, 3]);
        assert_eq!(place(run(9, 5, Some(6))), [1, 2, 4, 5, 9]);
        // A run without any value is the newest.
        assert_eq!(place(RunRow { number: 3, ..RunRow::default() }), [1, 2, 4, 5, 3]);
        let at = |number, day: &str| RunRow {
            number,
            started_at: format!("2026-01-0{day}T00:00:00Z"),
            ..RunRow::default()
        };
        let dated = |run: &RunRow, day| RunRow { started_at: at(0, day).started_at, ..run.clone() };
        let sound = [dated(&sound[0], "1"), dated(&sound[1], "2"), dated(&sound[2], "4")];
        assert_eq!(ordered(&sound, at(3, "3")), [1, 2, 3, 4]);
        assert_eq!(ordered(&sound, at(0, "3")), [1, 2, 0, 4]);
        assert_eq!(ordered(&sound, at(3, "5")), [1, 2, 4, 3]);
    }

    /// Makes the start of a run in this year by its clock.
    fn read_shared_run(id: &str, year: u32) -> Event {
        let named = NamedValues(Vec::new());
        let mut record = RunRecord::new(id.into(), "x", "h".into(), "s".into(), named);
        record.started_at = format!("{year}-01-01T00:00:00Z");
        Event::RunStarted(record)
    }

    fn found(value: &str) -> Event {
        let text = format!(
            "{{\"type\":\"finding\",\"version\":1,\"mapping\":\"t\",\"kind\":\"mismatch\",\
             \"disposition\":\"confirmed\",\"key\":{{\"id\":\"1\"}},\"columns\":{{\"v\":\
             {{\"source\":\"a\",\"target\":\"{value}\"}}}},\"first_seen\":\"2026-01-01T00:00:00Z\",\
             \"last_seen\":\"2026-01-01T00:00:00Z\",\"runs\":1}}"
        );
        let finding: Finding = serde_json::from_str(&text).unwrap();
        Event::Finding { mapping: 0, finding }
    }

    fn over() -> Event {
        Event::RunFinished(SummaryRecord::new(Verdict::Diverged, 1))
    }

    /// The first run starts years ahead by its clock, is killed, and is resumed after the second.
    #[tokio::test]
    async fn the_newest_run_ended_last_whatever_its_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::File(folder.path().join("x.db"));
        let recorder = async || {
            let mut recorder = Recorder::new(Store::create(&location).await.unwrap(), "compare");
            recorder.set_run_fingerprint("terms".into());
            recorder
        };
        // The number of runs is only set in a finding that is recorded after the run has started.
        let run = async |mut recorder: Recorder, mut events: Vec<Event>| {
            for event in &mut events {
                recorder.record_events(std::slice::from_mut(event)).await;
            }
            assert!(recorder.problem().is_none());
            events.iter().find_map(|event| match event {
                Event::Finding { finding, .. } => Some(finding.runs),
                _ => None,
            })
        };
        let seen =
            run(recorder().await, vec![read_shared_run("A", 2090), found("1"), over()]).await;
        assert_eq!(seen, Some(1));
        run(recorder().await, vec![read_shared_run("B", 2080)]).await;
        let seen =
            run(recorder().await, vec![read_shared_run("C", 2026), found("2"), over()]).await;
        assert_eq!(seen, Some(2));
        let store = Store::read(&location).await.unwrap().unwrap();
        let newest = async || {
            let mut newest = None;
            let replay = store.replay("x", None, |event| {
                if let Event::RunStarted(record) = event {
                    newest = Some(record.run);
                }
            });
            assert_eq!(replay.await.unwrap(), ReplayOutcome::Replayed);
            newest.unwrap()
        };
        assert_eq!(newest().await, "C");
        let interrupted = store.find_interrupted_run("x", Some("B"), |_| false).await.unwrap();
        let Resumable::Run(interrupted) = interrupted else { panic!("{interrupted:?}") };
        let mut resumed = recorder().await;
        resumed.resume(&interrupted);
        assert_eq!(
            run(resumed, vec![read_shared_run("B", 2080), found("3"), over()]).await,
            Some(3)
        );
        assert_eq!(newest().await, "B");
        assert_eq!(store.find_newest_run("x").await.unwrap().unwrap().0, "B");
        let order = store.read_runs("x").await.unwrap();
        assert_eq!(order.iter().map(|run| run.run.as_str()).collect::<Vec<_>>(), ["A", "C", "B"]);
        // The last sighting is that of the newest run, not of the one that started last.
        let seen =
            run(recorder().await, vec![read_shared_run("D", 2025), found("3"), over()]).await;
        assert_eq!(seen, Some(4));
        assert_eq!(newest().await, "D");
    }
}
