//! What one mapping has come to so far: its row counts, the findings that were reported, what is
//! undecided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::context::Context;
use crate::chunks::VerifiedRanges;
use crate::event::Event;
use crate::finding::{
    Disposition, DivergenceKind, ExpiredAccept, Finding, FindingPlace, GroupedCounts,
    MappingCounts, MappingRecord, NamedValues, NotRecalled, RangeText, ReadAgain, Ruling,
    Undecided,
};
use crate::plan::{AcceptRule, MappingPlan};
use crate::row::{Bound, Group, GroupCounts, KeyRange};
use crate::schema::{BySide, Side};

/// What one mapping has come to so far.
pub(crate) struct MappingResult {
    /// The mapping's place in the run.
    pub(crate) index: usize,
    pub(crate) plan: Arc<MappingPlan>,
    pub(crate) counts: MappingCounts,
    /// When the scan began.
    pub(crate) started: Option<Instant>,
    /// The row counts by group, if there are groups.
    groups: Option<GroupedCounts>,
    findings: u64,
    accepted_findings: u64,
    is_truncated: bool,
    undecided_rows: u64,
    /// The estimated rows that this run does not compare.
    skipped_rows: u64,
    /// The share of the rows that a sample takes, if there is one.
    pub(crate) sampled_share: Option<f64>,
    reason: Option<String>,
    /// The first and the last key of each side, where they were requested.
    ends: BySide<Option<[NamedValues<String>; 2]>>,
    pub(crate) verified: VerifiedRanges,
    /// What a slice could not recheck first.
    pub(crate) not_recalled: Option<NotRecalled>,
    /// What was compared before an interruption and had to be read again.
    pub(crate) read_again: Option<ReadAgain>,
}

/// The details of a finding beside its ruling.
pub(crate) struct FindingDetails<'r> {
    pub(crate) kind: DivergenceKind,
    pub(crate) place: FindingPlace,
    /// The index of each pair that differs, with both values.
    pub(crate) columns: Vec<(usize, BySide<Option<String>>)>,
    /// When the row of each side was last changed.
    pub(crate) changed_at: BySide<Option<String>>,
    pub(crate) first_seen: Duration,
    /// All rows of a range, if the finding is about some of them.
    pub(crate) range_rows: Option<u64>,
    /// The group of the rows, if there are groups.
    pub(crate) group: Option<Group>,
    /// The rule that covers the finding.
    pub(crate) rule: Option<&'r AcceptRule>,
}

impl FindingDetails<'_> {
    pub(crate) fn new(kind: DivergenceKind, place: FindingPlace, first_seen: Duration) -> Self {
        FindingDetails {
            kind,
            place,
            columns: Vec::new(),
            changed_at: BySide::default(),
            first_seen,
            range_rows: None,
            group: None,
            rule: None,
        }
    }
}

const TOO_MANY_GROUPS: &str =
    "group_by has more than 100,000 groups; name a pair with fewer values";

impl MappingResult {
    /// Creates the result of a mapping of which nothing was read.
    pub(crate) fn new(index: usize, plan: Arc<MappingPlan>) -> MappingResult {
        MappingResult {
            index,
            counts: MappingCounts::default(),
            started: None,
            groups: plan.group.map(|_| GroupedCounts::default()),
            plan,
            findings: 0,
            accepted_findings: 0,
            is_truncated: false,
            undecided_rows: 0,
            skipped_rows: 0,
            sampled_share: None,
            reason: None,
            ends: BySide::default(),
            verified: VerifiedRanges::default(),
            not_recalled: None,
            read_again: None,
        }
    }

    /// Counts rows that are equal on both sides, with their groups.
    pub(crate) fn add_matched(&mut self, rows: u64, groups: &GroupCounts) {
        self.counts.add_matched(BySide { source: rows, target: rows });
        if let Some(group_counts) = &mut self.groups {
            group_counts.add_matched(groups);
        }
    }

    /// Counts the rows of a candidate that healed.
    pub(crate) fn add_healed(&mut self, rows: BySide<u64>, groups: &BySide<Vec<Group>>) {
        self.counts.add_healed(rows);
        if let Some(group_counts) = &mut self.groups {
            group_counts.add_settled(groups, MappingCounts::add_healed);
        }
    }

    /// Counts the rows of a candidate that differs only within a tolerance.
    pub(crate) fn add_tolerated(&mut self, rows: BySide<u64>, groups: &BySide<Vec<Group>>) {
        self.counts.add_within_tolerance(rows);
        if let Some(group_counts) = &mut self.groups {
            group_counts.add_settled(groups, MappingCounts::add_within_tolerance);
        }
    }

    /// Counts the rows of a key that differs.
    pub(crate) fn add_difference(
        &mut self,
        kind: DivergenceKind,
        disposition: Disposition,
        rows: BySide<u64>,
        groups: &BySide<Vec<Group>>,
    ) {
        self.counts.add_differing(kind, disposition, rows);
        if let Some(group_counts) = &mut self.groups {
            group_counts
                .add_settled(groups, |counts, rows| counts.add_differing(kind, disposition, rows));
        }
    }

    /// Counts the rows of one group in a range that differs.
    pub(crate) fn add_difference_of_group(
        &mut self,
        kind: DivergenceKind,
        disposition: Disposition,
        group: &Group,
        rows: BySide<u64>,
    ) {
        self.counts.add_differing(kind, disposition, rows);
        if let Some(group_counts) = &mut self.groups {
            group_counts.add_rows(group, rows, |counts, rows| {
                counts.add_differing(kind, disposition, rows)
            });
        }
    }

    /// Counts rows that were read and stay undecided.
    pub(crate) fn add_undecided(&mut self, rows: BySide<u64>) {
        self.counts.add_undecided(rows);
        if let Some(group_counts) = &mut self.groups {
            group_counts.add_ungrouped(rows);
        }
    }

    /// Returns, once, why the mapping ends if it has more groups than can be counted.
    pub(crate) fn check_groups(&mut self) -> Option<&'static str> {
        let is_too_many = self.groups.as_ref().is_some_and(GroupedCounts::has_too_many);
        let is_known = self.reason.as_deref() == Some(TOO_MANY_GROUPS);
        if !is_too_many || is_known {
            return None;
        }
        self.reason = Some(TOO_MANY_GROUPS.to_owned());
        Some(TOO_MANY_GROUPS)
    }

    /// Reports a finding. After `max_findings` it is only counted. Accepted findings have a limit of
    /// their own: they leave no other finding out, and a truncated list of them needs no action.
    pub(crate) fn report_finding(
        &mut self,
        ruling: &Ruling,
        details: FindingDetails<'_>,
        context: &mut Context<'_>,
    ) {
        let is_accepted = ruling.disposition() == Disposition::Accepted;
        let count = if is_accepted { &mut self.accepted_findings } else { &mut self.findings };
        if *count >= context.settings.max_findings {
            self.is_truncated |= !is_accepted;
            return;
        }
        *count += 1;
        let FindingDetails {
            kind,
            place,
            columns,
            changed_at,
            first_seen,
            range_rows,
            group,
            rule,
        } = details;
        let name = |pair: usize| self.plan.pairs[pair].name.clone();
        let columns = columns.into_iter().map(|(pair, values)| (name(pair), values));
        let columns = NamedValues(columns.collect());
        let seen = (context.clock.text(first_seen), context.clock.text(context.clock.now()));
        let mut finding = Finding::new(ruling, &self.plan.name, kind, place, columns, seen);
        finding.changed_at = changed_at;
        finding.keys_only = context.settings.keys_only;
        finding.range_rows = range_rows;
        finding.group = group.filter(|_| self.groups.is_some());
        finding.accept_reason = rule.filter(|_| is_accepted).map(|rule| rule.reason.clone());
        context.report(Event::Finding { mapping: self.index, finding });
    }

    /// Reports a range that is undecided; `rows` are its estimated rows.
    pub(crate) fn report_undecided(
        &mut self,
        range: &KeyRange,
        rows: u64,
        reason: &str,
        context: &mut Context<'_>,
    ) {
        self.undecided_rows += rows.max(1);
        self.verified.add_undecided(range);
        self.reason.get_or_insert_with(|| reason.to_owned());
        let undecided = Undecided::new(&self.plan.name, self.range_text(range), reason.to_owned());
        context.report(Event::Undecided(undecided));
    }

    /// Returns whether all rows were compared and settled.
    pub(crate) fn is_whole(&self, max_unsettled: u64) -> bool {
        let record = self.to_record(max_unsettled);
        record.complete && record.coverage >= 1.0
    }

    /// Returns whether what was compared counts as verified: row counts balance, and every finding was
    /// reported.
    pub(crate) fn is_sound(&self) -> bool {
        self.counts.is_balanced() && !self.is_truncated
    }

    /// Counts estimated rows that are not compared.
    pub(crate) fn add_skipped(&mut self, rows: u64) {
        self.skipped_rows += rows.max(1);
    }

    /// Sets the rows that are not compared to none.
    pub(crate) fn clear_skipped(&mut self) {
        self.skipped_rows = 0;
    }

    /// Returns the display text of a key.
    pub(crate) fn key_text(&self, fields: Vec<String>) -> NamedValues<String> {
        let names = self.plan.key().iter().map(|pair| pair.name.clone());
        NamedValues(names.zip(fields).collect())
    }

    /// Returns the display text of a range. A bound without a text lies inside a one-sided range and is
    /// shown as an open end.
    pub(crate) fn range_text(&self, range: &KeyRange) -> RangeText {
        let text = |bound: &Option<Bound>| {
            let bound = bound.as_ref().filter(|bound| bound.text.len() == self.plan.key_width)?;
            Some(self.key_text(bound.text.to_vec()))
        };
        RangeText { after: text(&range.after), through: text(&range.through) }
    }

    /// Sets the first and the last key of a side.
    pub(crate) fn set_ends(&mut self, side: Side, ends: Option<[Bound; 2]>) {
        self.ends[side] = ends.map(|ends| ends.map(|end| self.key_text(end.text.to_vec())));
    }

    /// Returns the result as records write it. A mapping is incomplete if more than `max_unsettled` rows
    /// kept changing.
    pub(crate) fn to_record(&self, max_unsettled: u64) -> MappingRecord {
        let MappingCounts {
            books,
            healed,
            only_in_source,
            only_in_target,
            mismatch,
            unsettled,
            ..
        } = self.counts;
        let read = books.source.read.max(books.target.read);
        let read_by_side = books.map(|side| side.read);
        let balances = self.counts.is_balanced()
            && self.groups.as_ref().is_none_or(|groups| groups.is_balanced(read_by_side));
        let reason = match (balances, &self.reason, self.is_truncated, unsettled > max_unsettled) {
            (false, ..) => Some("the row counts do not balance".to_owned()),
            (_, Some(reason), ..) => Some(reason.clone()),
            (_, _, true, _) => Some("there are more findings than max_findings".to_owned()),
            (.., true) => Some("more rows kept changing than max_unsettled".to_owned()),
            _ => None,
        };
        // A comparison of recent changes skips all older rows.
        let old = match self.plan.has_since() {
            true => self.plan.estimated_rows().unwrap_or(0).saturating_sub(read).max(1),
            false => 0,
        };
        let unseen = self.undecided_rows + self.skipped_rows + old;
        let judged = match unseen {
            0 => 1.0,
            _ => read as f64 / (read + unseen) as f64,
        };
        // Rounded down: only all rows are 1.0.
        let coverage = (judged * self.sampled_share.unwrap_or(1.0) * 1e4).floor() / 1e4;
        let elapsed = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        let mut record = MappingRecord::new(&self.plan.name, self.plan.strategy.name());
        record.rows = books.map(|side| side.read);
        record.healed = healed;
        record.only_in_source = only_in_source;
        record.only_in_target = only_in_target;
        record.mismatch = mismatch;
        record.unsettled = unsettled;
        record.accepted = self.counts.accepted;
        record.coverage = coverage;
        record.complete = reason.is_none();
        record.truncated = self.is_truncated;
        record.empty = read == 0 && unseen == 0;
        record.reason = reason;
        record.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        record.books = books;
        record.ends = self.ends.clone();
        if let Some(groups) = &self.groups {
            record.group_by = self.plan.group.map(|place| self.plan.pairs[place].name.clone());
            record.groups = Some(groups.records(record.complete));
            let ungrouped = groups.ungrouped();
            record.ungrouped = ungrouped.any(|rows| *rows > 0).then_some(ungrouped);
        }
        let expired = self.plan.accepts.expired.iter().map(|rule| ExpiredAccept {
            reason: rule.reason.clone(),
            until: rule.until.to_string(),
        });
        record.expired_accepts = expired.collect();
        record.not_recalled.clone_from(&self.not_recalled);
        record.read_again.clone_from(&self.read_again);
        record
    }
}
