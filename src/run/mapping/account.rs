//! What one mapping has come to so far: its books, the findings that were told, what is undecided.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::finding::{
    Disposition, DivergenceKind, ExpiredAccept, Finding, FindingPlace, GroupedCounts,
    MappingCounts, MappingRecord, NamedValues, NotRecalled, RangeText, ReadAgain, Ruling,
    Undecided,
};
use crate::plan::{AcceptRule, MappingPlan};
use crate::row::{Bound, Group, GroupCounts, KeyRange};
use crate::run::desk::Desk;
use crate::run::scan::verified::Verified;
use crate::schema::{BySide, Side};

/// One mapping's account.
pub(in crate::run) struct Account {
    /// Its place in the run.
    pub(in crate::run) index: usize,
    pub(in crate::run) plan: Arc<MappingPlan>,
    pub(in crate::run) tally: MappingCounts,
    /// When its scan began.
    pub(in crate::run) started: Option<Instant>,
    /// Group by group, where there are groups.
    groups: Option<GroupedCounts>,
    findings: u64,
    accepted_findings: u64,
    truncated: bool,
    undecided_rows: u64,
    /// Rows that this run is not to look at, about.
    skipped_rows: u64,
    /// The share of the rows that a sample takes, if there is one.
    pub(in crate::run) sampled: Option<f64>,
    reason: Option<String>,
    /// The first and the last key of a side, where asked for.
    ends: BySide<Option<[NamedValues<String>; 2]>>,
    pub(in crate::run) verified: Verified,
    /// What a slice could not look at first.
    pub(in crate::run) not_recalled: Option<NotRecalled>,
    /// What was compared before an interruption and had to be read again.
    pub(in crate::run) read_again: Option<ReadAgain>,
}

/// What a finding says beside its ruling.
pub(in crate::run) struct Telling<'r> {
    pub(in crate::run) kind: DivergenceKind,
    pub(in crate::run) place: FindingPlace,
    /// The pairs that differ, by place, with both values.
    pub(in crate::run) columns: Vec<(usize, BySide<Option<String>>)>,
    /// When the row of each side was last changed.
    pub(in crate::run) changed_at: BySide<Option<String>>,
    pub(in crate::run) first_seen: Duration,
    /// Of a range, all its rows, if only some are told.
    pub(in crate::run) range_rows: Option<u64>,
    /// The group of the rows; only told where there are groups.
    pub(in crate::run) group: Option<Group>,
    /// The rule that covers it.
    pub(in crate::run) rule: Option<&'r AcceptRule>,
}

impl Telling<'_> {
    pub(in crate::run) fn new(
        kind: DivergenceKind,
        place: FindingPlace,
        first_seen: Duration,
    ) -> Self {
        Telling {
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
    "group_by tells more than 100,000 groups apart; name a pair with fewer values";

impl Account {
    pub(in crate::run) fn new(index: usize, plan: Arc<MappingPlan>) -> Account {
        Account {
            index,
            tally: MappingCounts::default(),
            started: None,
            groups: plan.group.map(|_| GroupedCounts::default()),
            plan,
            findings: 0,
            accepted_findings: 0,
            truncated: false,
            undecided_rows: 0,
            skipped_rows: 0,
            sampled: None,
            reason: None,
            ends: BySide::default(),
            verified: Verified::default(),
            not_recalled: None,
            read_again: None,
        }
    }

    /// Rows of clean ranges and matched keys, with their groups.
    pub(in crate::run) fn matched(&mut self, rows: u64, groups: &GroupCounts) {
        self.tally.add_matched(BySide { source: rows, target: rows });
        if let Some(tallies) = &mut self.groups {
            tallies.add_matched(groups);
        }
    }

    /// A candidate healed, with these rows.
    pub(in crate::run) fn healed(&mut self, rows: BySide<u64>, groups: &BySide<Vec<Group>>) {
        self.tally.add_healed(rows);
        if let Some(tallies) = &mut self.groups {
            tallies.add_settled(groups, MappingCounts::add_healed);
        }
    }

    /// A candidate turned out to be no difference, with these rows.
    pub(in crate::run) fn cleared(&mut self, rows: BySide<u64>, groups: &BySide<Vec<Group>>) {
        self.tally.add_within_tolerance(rows);
        if let Some(tallies) = &mut self.groups {
            tallies.add_settled(groups, MappingCounts::add_within_tolerance);
        }
    }

    /// A key stands, with these rows.
    pub(in crate::run) fn standing(
        &mut self,
        kind: DivergenceKind,
        disposition: Disposition,
        rows: BySide<u64>,
        groups: &BySide<Vec<Group>>,
    ) {
        self.tally.add_differing(kind, disposition, rows);
        if let Some(tallies) = &mut self.groups {
            tallies.add_settled(groups, |tally, rows| tally.add_differing(kind, disposition, rows));
        }
    }

    /// Rows of one group stand.
    pub(in crate::run) fn standing_part(
        &mut self,
        kind: DivergenceKind,
        disposition: Disposition,
        group: &Group,
        rows: BySide<u64>,
    ) {
        self.tally.add_differing(kind, disposition, rows);
        if let Some(tallies) = &mut self.groups {
            tallies
                .add_rows(group, rows, |tally, rows| tally.add_differing(kind, disposition, rows));
        }
    }

    /// Rows that were read and will not be judged.
    pub(in crate::run) fn not_judged(&mut self, rows: BySide<u64>) {
        self.tally.add_undecided(rows);
        if let Some(tallies) = &mut self.groups {
            tallies.add_ungrouped(rows);
        }
    }

    /// Says once that there are more groups than can be told apart, and why the mapping ends.
    pub(in crate::run) fn too_many_groups(&mut self) -> Option<&'static str> {
        let too_many = self.groups.as_ref().is_some_and(GroupedCounts::has_too_many);
        let said = self.reason.as_deref() == Some(TOO_MANY_GROUPS);
        if !too_many || said {
            return None;
        }
        self.reason = Some(TOO_MANY_GROUPS.to_owned());
        Some(TOO_MANY_GROUPS)
    }

    /// Tells a finding, unless there were too many; then it only counts. What is agreed to takes no
    /// room from what is not, and a list of it that ends early leaves nothing to act on untold.
    pub(in crate::run) fn tell(
        &mut self,
        ruling: &Ruling,
        telling: Telling<'_>,
        desk: &mut Desk<'_>,
    ) {
        let accepted = ruling.disposition() == Disposition::Accepted;
        let told = if accepted { &mut self.accepted_findings } else { &mut self.findings };
        if *told >= desk.options.max_findings {
            self.truncated |= !accepted;
            return;
        }
        *told += 1;
        let Telling { kind, place, columns, changed_at, first_seen, range_rows, group, rule } =
            telling;
        let name = |pair: usize| self.plan.pairs[pair].name.clone();
        let columns = columns.into_iter().map(|(pair, values)| (name(pair), values));
        let columns = NamedValues(columns.collect());
        let seen = (desk.clock.text(first_seen), desk.clock.text(desk.clock.now()));
        let mut finding = Finding::new(ruling, &self.plan.name, kind, place, columns, seen);
        finding.changed_at = changed_at;
        finding.keys_only = desk.options.keys_only;
        finding.range_rows = range_rows;
        finding.group = group.filter(|_| self.groups.is_some());
        finding.accept_reason = rule.filter(|_| accepted).map(|rule| rule.reason.clone());
        desk.tell(Event::Finding { mapping: self.index, finding });
    }

    /// Tells of a range that could not be judged; `rows` is how many were meant.
    pub(in crate::run) fn undecided(
        &mut self,
        range: &KeyRange,
        rows: u64,
        reason: &str,
        desk: &mut Desk<'_>,
    ) {
        self.undecided_rows += rows.max(1);
        self.verified.undecided(range);
        self.reason.get_or_insert_with(|| reason.to_owned());
        let undecided = Undecided::new(&self.plan.name, self.range_text(range), reason.to_owned());
        desk.tell(Event::Undecided(undecided));
    }

    /// Whether all of it was compared and judged.
    pub(in crate::run) fn is_whole(&self, max_unsettled: u64) -> bool {
        let record = self.record(max_unsettled);
        record.complete && record.coverage >= 1.0
    }

    /// Whether what was compared counts as verified: all that it came to was told, and is sound.
    pub(in crate::run) fn is_sound(&self) -> bool {
        self.tally.is_balanced() && !self.truncated
    }

    /// Everything is to be looked at after all.
    pub(in crate::run) fn skip_nothing(&mut self) {
        self.skipped_rows = 0;
    }

    /// About so many rows are not to be looked at.
    pub(in crate::run) fn skipped(&mut self, rows: u64) {
        self.skipped_rows += rows.max(1);
    }

    /// A key as people read it.
    pub(in crate::run) fn key_text(&self, fields: Vec<String>) -> NamedValues<String> {
        let names = self.plan.key().iter().map(|pair| pair.name.clone());
        NamedValues(names.zip(fields).collect())
    }

    /// A range as people read it. A bound without a text is inside a run and is left open.
    pub(in crate::run) fn range_text(&self, range: &KeyRange) -> RangeText {
        let text = |bound: &Option<Bound>| {
            let bound = bound.as_ref().filter(|bound| bound.text.len() == self.plan.key_width)?;
            Some(self.key_text(bound.text.to_vec()))
        };
        RangeText { after: text(&range.after), through: text(&range.through) }
    }

    /// The first and the last key of a side are known.
    pub(in crate::run) fn ends(&mut self, side: Side, ends: Option<[Bound; 2]>) {
        self.ends[side] = ends.map(|ends| ends.map(|end| self.key_text(end.text.to_vec())));
    }

    /// What the mapping came to. Rows that keep changing make it incomplete if there are more of
    /// them than `max_unsettled`.
    pub(in crate::run) fn record(&self, max_unsettled: u64) -> MappingRecord {
        let MappingCounts {
            books,
            healed,
            only_in_source,
            only_in_target,
            mismatch,
            unsettled,
            ..
        } = self.tally;
        let read = books.source.read.max(books.target.read);
        let read_by_side = books.map(|side| side.read);
        let balances = self.tally.is_balanced()
            && self.groups.as_ref().is_none_or(|groups| groups.is_balanced(read_by_side));
        let reason = match (balances, &self.reason, self.truncated, unsettled > max_unsettled) {
            (false, ..) => Some("the books do not balance".to_owned()),
            (_, Some(reason), ..) => Some(reason.clone()),
            (_, _, true, _) => Some("there are more findings than max_findings".to_owned()),
            (.., true) => Some("more rows kept changing than max_unsettled".to_owned()),
            _ => None,
        };
        // What has not changed lately is not looked at.
        let old = match self.plan.has_since() {
            true => self.plan.estimated_rows().unwrap_or(0).saturating_sub(read).max(1),
            false => 0,
        };
        let unseen = self.undecided_rows + self.skipped_rows + old;
        let judged = match unseen {
            0 => 1.0,
            _ => read as f64 / (read + unseen) as f64,
        };
        // Rounded down: only everything is all.
        let coverage = (judged * self.sampled.unwrap_or(1.0) * 1e4).floor() / 1e4;
        let elapsed = self.started.map_or(Duration::ZERO, |started| started.elapsed());
        let mut record = MappingRecord::new(&self.plan.name, self.plan.strategy.name());
        record.rows = books.map(|side| side.read);
        record.healed = healed;
        record.only_in_source = only_in_source;
        record.only_in_target = only_in_target;
        record.mismatch = mismatch;
        record.unsettled = unsettled;
        record.accepted = self.tally.accepted;
        record.coverage = coverage;
        record.complete = reason.is_none();
        record.truncated = self.truncated;
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
