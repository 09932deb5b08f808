//! The order of a spec's runs, and where one stands in it whose stored values are damaged.
//!
//! What a damaged run found is not known, so it keeps the gate closed until enough runs have followed
//! it. Which these are must not depend on the value that is damaged: it stands behind every run that
//! any of its values puts before it. A moment that has not come yet is no moment at which it ran.

use jiff::Timestamp;

use super::error::LedgerError;
use super::run_row::RunRow;
use crate::finding::{PastRun, RunRecord, SummaryRecord, timestamp};

/// A run with its row.
pub(super) struct Numbered {
    pub(super) row: RunRow,
    pub(super) run: PastRun,
    /// Whether it was to look at every mapping.
    pub(super) all_mappings: bool,
    pub(super) last_look: Option<Timestamp>,
}

/// When a run ended, or if it has no end, when it last began or went on.
fn last_look(record: &RunRecord, summary: Option<&SummaryRecord>) -> Option<Timestamp> {
    let began = record.resumed_at.last().unwrap_or(&record.started_at).parse().ok()?;
    summary.map_or(Some(began), |summary| summary.ended_at(began))
}

impl Numbered {
    /// A run whose row is as it was written.
    pub(super) fn sound(row: RunRow) -> Result<Numbered, LedgerError> {
        let record: RunRecord = serde_json::from_str(&row.record)?;
        let summary = row.summary.as_deref().map(serde_json::from_str).transpose()?;
        let (all_mappings, last_look) =
            (record.mappings.is_empty(), last_look(&record, summary.as_ref()));
        let mut run = PastRun::new(&record.run, &row.verb, &row.scope, &record.started_at);
        run.spec_hash = record.spec_hash;
        run.sample = record.sample;
        run.slice = record.slice;
        run.since = record.since;
        run.summary = summary;
        Ok(Numbered { row, run, all_mappings, last_look })
    }

    /// A run of whose row only the place is told.
    pub(super) fn damaged(row: RunRow) -> Numbered {
        let now = Timestamp::now();
        let record: Option<RunRecord> = serde_json::from_str(&row.record).ok();
        let summary: Option<SummaryRecord> =
            row.summary.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let moments = [
            row.started_at.parse().ok(),
            record.as_ref().and_then(|record| record.started_at.parse().ok()),
            record.as_ref().and_then(|record| last_look(record, summary.as_ref())),
        ];
        let known = moments.into_iter().flatten().filter(|moment| *moment <= now).max();
        let last_look = known.unwrap_or(now);
        let mut run = PastRun::new(&row.id, &row.verb, &row.scope, &timestamp(last_look));
        run.damaged = true;
        Numbered { row, run, all_mappings: false, last_look: Some(last_look) }
    }

    /// Whether whatever earlier runs had found has been looked at again by then.
    pub(super) fn knows_all_before(&self) -> bool {
        let PastRun { verb, sample, since, summary, .. } = &self.run;
        let part = sample.is_some() || since.is_some() || !self.all_mappings || verb != "compare";
        !part && summary.as_ref().is_some_and(|summary| summary.complete)
    }
}

/// Returns the latest place among runs in their order that a value of a damaged one speaks for.
pub(super) fn latest_place(runs: &[Numbered], damaged: &Numbered) -> usize {
    let newest = |row: &RunRow| row.ended.max(row.began);
    let before = |run: &Numbered| {
        run.last_look <= damaged.last_look
            || run.row.number < damaged.row.number
            || newest(&run.row).is_some_and(|at| Some(at) < newest(&damaged.row))
    };
    runs.iter().rposition(before).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Named;

    fn row(number: i64, started_at: &str) -> RunRow {
        let named = Named(Vec::new());
        let mut record = RunRecord::new("01J".into(), "x", "h".into(), "s".into(), named);
        record.started_at = started_at.to_owned();
        let mut row = RunRow::new(&record, "compare").unwrap();
        row.number = number;
        row
    }

    #[test]
    fn a_damaged_run_stands_where_any_of_its_values_puts_it() {
        let days = ["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-05"];
        let days = days.map(|day| format!("{day}T00:00:00Z"));
        let runs = [1, 2, 4, 5].into_iter().zip(&days);
        let runs: Vec<_> =
            runs.map(|(number, day)| Numbered::sound(row(number, day)).unwrap()).collect();
        let place = |row: RunRow| latest_place(&runs, &Numbered::damaged(row));
        let third = || row(3, "2026-01-03T00:00:00Z");
        assert_eq!(place(third()), 2);
        // Values that put it earlier count for nothing against one that does not.
        let earlier = "2025-01-03T00:00:00Z".to_owned();
        assert_eq!(place(RunRow { number: 1, ..third() }), 2);
        assert_eq!(place(RunRow { started_at: earlier.clone(), ..third() }), 2);
        assert_eq!(place(RunRow { record: "{".to_owned(), ..third() }), 2);
        assert_eq!(place(RunRow { number: 9, started_at: earlier, ..third() }), 4);
        assert_eq!(place(RunRow { started_at: "2026-01-04T12:00:00Z".into(), ..third() }), 3);
        // A moment to come is none of its own, and one of which nothing is known is the newest.
        assert_eq!(place(RunRow { started_at: "9026-01-03T00:00:00Z".into(), ..third() }), 2);
        assert_eq!(place(RunRow::default()), 4);
    }
}
