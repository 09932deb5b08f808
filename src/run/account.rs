//! What one mapping has come to so far: its books, the findings that were told, what is undecided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desk::Desk;
use crate::event::Event;
use crate::finding::{
    Finding, Kind, MappingRecord, Named, Place, RangeText, Ruling, Tally, Undecided,
};
use crate::plan::MappingPlan;
use crate::row::{Bound, KeyRange};
use crate::schema::BySide;

/// One mapping's account.
pub(super) struct Account {
    /// Its place in the run.
    pub(super) index: usize,
    pub(super) plan: Arc<MappingPlan>,
    pub(super) tally: Tally,
    /// When its scan began.
    pub(super) started: Option<Instant>,
    findings: u64,
    truncated: bool,
    undecided_rows: u64,
    /// Rows left out of a sample, about.
    skipped_rows: u64,
    reason: Option<String>,
}

/// What a finding says beside its ruling.
pub(super) struct Telling {
    pub(super) kind: Kind,
    pub(super) place: Place,
    /// The pairs that differ, by place, with both values.
    pub(super) columns: Vec<(usize, BySide<Option<String>>)>,
    pub(super) first_seen: Duration,
}

impl Account {
    pub(super) fn new(index: usize, plan: Arc<MappingPlan>) -> Account {
        Account {
            index,
            plan,
            tally: Tally::default(),
            started: None,
            findings: 0,
            truncated: false,
            undecided_rows: 0,
            skipped_rows: 0,
            reason: None,
        }
    }

    /// Tells a finding, unless there were too many; then it only counts.
    pub(super) fn tell(&mut self, ruling: &Ruling, telling: Telling, desk: &mut Desk<'_>) {
        if self.findings >= desk.options.max_findings {
            self.truncated = true;
            return;
        }
        self.findings += 1;
        let Telling { kind, place, columns, first_seen } = telling;
        let name = |pair: usize| self.plan.pairs[pair].name.clone();
        let columns = columns.into_iter().map(|(pair, values)| (name(pair), values));
        let columns = Named(columns.collect());
        let seen = (desk.clock.text(first_seen), desk.clock.text(desk.clock.now()));
        let mut finding = Finding::new(ruling, &self.plan.name, kind, place, columns, seen);
        finding.keys_only = desk.options.keys_only;
        desk.observer.observe(Event::Finding { mapping: self.index, finding });
    }

    /// Tells of a range that could not be judged; `rows` is how many were meant.
    pub(super) fn undecided(
        &mut self,
        range: &KeyRange,
        rows: u64,
        reason: &str,
        desk: &mut Desk<'_>,
    ) {
        self.undecided_rows += rows.max(1);
        self.reason.get_or_insert_with(|| reason.to_owned());
        let undecided = Undecided::new(&self.plan.name, self.range_text(range), reason.to_owned());
        desk.observer.observe(Event::Undecided(undecided));
    }

    /// About so many rows were left out of the sample.
    pub(super) fn skipped(&mut self, rows: u64) {
        self.skipped_rows += rows.max(1);
    }

    /// A key as people read it.
    pub(super) fn key_text(&self, fields: Vec<String>) -> Named<String> {
        let names = self.plan.key().iter().map(|pair| pair.name.clone());
        Named(names.zip(fields).collect())
    }

    /// A range as people read it. A bound without a text is inside a run and is left open.
    pub(super) fn range_text(&self, range: &KeyRange) -> RangeText {
        let text = |bound: &Option<Bound>| {
            let bound = bound.as_ref().filter(|bound| bound.text.len() == self.plan.key_width)?;
            Some(self.key_text(bound.text.to_vec()))
        };
        RangeText { after: text(&range.after), through: text(&range.through) }
    }

    /// What the mapping came to. Rows that keep changing make it incomplete if there are more of
    /// them than `max_unsettled`.
    pub(super) fn record(&self, max_unsettled: u64) -> MappingRecord {
        let Tally { books, healed, only_in_source, only_in_target, mismatch, unsettled, .. } =
            self.tally;
        let read = books.source.read.max(books.target.read);
        let balances = self.tally.balances();
        let reason = match (balances, &self.reason, self.truncated, unsettled > max_unsettled) {
            (false, ..) => Some("the books do not balance".to_owned()),
            (_, Some(reason), ..) => Some(reason.clone()),
            (_, _, true, _) => Some("there are more findings than max_findings".to_owned()),
            (.., true) => Some("more rows kept changing than max_unsettled".to_owned()),
            _ => None,
        };
        let coverage = match self.undecided_rows + self.skipped_rows {
            0 => 1.0,
            unseen => {
                let share = read as f64 / (read + unseen) as f64;
                // Rounded down: only everything is all.
                (share * 1e4).floor() / 1e4
            }
        };
        let elapsed = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        let mut record = MappingRecord::new(&self.plan.name, self.plan.strategy.name());
        record.rows = books.map(|side| side.read);
        record.healed = healed;
        record.only_in_source = only_in_source;
        record.only_in_target = only_in_target;
        record.mismatch = mismatch;
        record.unsettled = unsettled;
        record.coverage = coverage;
        record.complete = reason.is_none();
        record.truncated = self.truncated;
        record.empty = read == 0 && self.undecided_rows == 0;
        record.reason = reason;
        record.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        record.books = books;
        record
    }
}
