//! What becomes of a candidate when it has been rechecked: healed, confirmed, unsettled or accepted, or
//! rechecked once more.

use std::sync::Arc;

use super::context::Context;
use super::mapping::{MappingState, only};
use super::open_ranges::ConfirmedRange;
use super::queue::OpenCandidate;
use super::result::FindingDetails;
use super::task::{CountedRows, Rescan, Task, UnreadableKey};
use crate::compare::RowDiff;
use crate::finding::{DivergenceKind, FindingPlace, Recheck, RecheckOutcome, Ruling, Subject};
use crate::plan::{AcceptRule, Strategy};
use crate::row::{Bound, Digest, Group, KeyRange};
use crate::schema::{BySide, Side};

/// The minimum of one-sided rows that may be a backfill which has not come further.
const LEAST_ONE_SIDED: u64 = 5;

/// The result of a recheck.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RecheckResult {
    /// The sides differ.
    Different,
    /// The sides differ within a tolerance.
    Tolerated,
    /// The sides are equal, or neither has the row any more.
    Equal,
}

impl RecheckResult {
    /// Returns the result for rows that should not exist.
    fn of_unwanted(rows: u64) -> RecheckResult {
        if rows == 0 { RecheckResult::Equal } else { RecheckResult::Different }
    }
}

impl MappingState {
    /// Settles a candidate, and counts its rows. Returns `None` if it has to be rechecked once more, and
    /// otherwise the candidate, with a ruling if it differs.
    fn settle(
        &mut self,
        mut candidate: OpenCandidate,
        image: BySide<Digest>,
        groups: &BySide<Vec<Group>>,
        comparison: RecheckResult,
        context: &mut Context<'_>,
    ) -> Option<(OpenCandidate, Option<Ruling>)> {
        let rows = image.map(|digest| digest.rows);
        let counted = candidate.difference.image.map(|digest| digest.rows);
        self.result.counts.correct_read(counted, rows);
        let agree = comparison != RecheckResult::Different;
        // A digest has no tolerance: a row within it at the first recheck may never have been beyond.
        let never_differed = comparison == RecheckResult::Tolerated
            && self.result.plan.strategy == Strategy::Digest
            && candidate.difference.rechecks() == 0
            && counted.all(|rows| *rows == 1);
        let recheck = Recheck { at: context.clock.now(), image, agree };
        let ruling = match candidate.difference.settle(&recheck, context.settings.settle) {
            RecheckOutcome::Pending => {
                context.queue.push(candidate);
                return None;
            }
            RecheckOutcome::Healed => {
                match never_differed {
                    true => self.result.add_tolerated(rows, groups),
                    false => self.result.add_healed(rows, groups),
                }
                None
            }
            RecheckOutcome::Differs(ruling) => Some(ruling),
        };
        self.open -= 1;
        Some((candidate, ruling))
    }

    /// Takes the recheck of keys.
    pub(crate) fn take_rechecked(
        &mut self,
        candidates: Vec<OpenCandidate>,
        diff: Vec<RowDiff>,
        context: &mut Context<'_>,
    ) {
        for (candidate, diff) in candidates.into_iter().zip(diff) {
            let comparison = match diff.kind {
                Some(_) => RecheckResult::Different,
                None if diff.within_tolerance => RecheckResult::Tolerated,
                None => RecheckResult::Equal,
            };
            let settled = self.settle(candidate, diff.image, &diff.groups, comparison, context);
            if let Some((candidate, Some(ruling))) = settled
                && let Some(kind) = diff.kind
            {
                let plan = Arc::clone(&self.result.plan);
                let differing = diff.columns.iter().map(|(pair, _)| *pair);
                let rule = plan.accepts.find_covering(kind, &diff.rules, differing);
                let ruling = if rule.is_some() { ruling.accepted() } else { ruling };
                let rows = diff.image.map(|digest| digest.rows);
                self.result.add_difference(kind, ruling.disposition(), rows, &diff.groups);
                self.report_key(&candidate, &ruling, rule, kind, diff, context);
            }
        }
        self.request_ends();
    }

    fn report_key(
        &mut self,
        candidate: &OpenCandidate,
        ruling: &Ruling,
        rule: Option<&AcceptRule>,
        kind: DivergenceKind,
        diff: RowDiff,
        context: &mut Context<'_>,
    ) {
        let first_seen = candidate.difference.first_seen;
        let RowDiff { image, key, columns, groups, changed_at, .. } = diff;
        let key = self.result.key_text(key);
        if kind != DivergenceKind::DuplicateKey {
            let group = groups.source.first().or(groups.target.first()).cloned();
            let base = FindingDetails::new(kind, FindingPlace::Key(key), first_seen);
            let details = FindingDetails { columns, changed_at, group, rule, ..base };
            return self.result.report_finding(ruling, details, context);
        }
        for side in Side::BOTH {
            if image[side].rows > 1 {
                let place = FindingPlace::Duplicate(side, image[side].rows, key.clone());
                let group = groups[side].first().cloned();
                let base = FindingDetails::new(kind, place, first_seen);
                let details = FindingDetails { group, ..base };
                self.result.report_finding(ruling, details, context);
            }
        }
    }

    /// Takes the recheck of the rows of one side with a NULL in their key.
    pub(crate) fn take_rechecked_null_keys(
        &mut self,
        candidate: OpenCandidate,
        mut counted: BySide<CountedRows>,
        context: &mut Context<'_>,
    ) {
        let Subject::NullKeys(side) = candidate.difference.subject else { return };
        let CountedRows { digest, parts } = std::mem::take(&mut counted[side]);
        let comparison = RecheckResult::of_unwanted(digest.rows);
        let settled =
            self.settle(candidate, only(side, digest), &BySide::default(), comparison, context);
        let Some((candidate, Some(ruling))) = settled else { return };
        let (kind, first_seen) = (DivergenceKind::NullKey, candidate.difference.first_seen);
        for (group, _, rows) in parts.iter() {
            let disposition = ruling.disposition();
            self.result.add_difference_of_group(kind, disposition, group, only(side, rows));
            let base = FindingDetails::new(kind, FindingPlace::NullKey(side, rows), first_seen);
            let details = FindingDetails { group: Some(group.clone()), ..base };
            self.result.report_finding(&ruling, details, context);
        }
    }

    /// Takes the recheck of a one-sided range.
    pub(crate) fn take_rechecked_range(
        &mut self,
        mut candidate: OpenCandidate,
        mut counted: BySide<CountedRows>,
        context: &mut Context<'_>,
    ) {
        let Subject::Range(range, side) = candidate.difference.subject.clone() else { return };
        let part = candidate.part;
        let image = BySide::new(|side| counted[side].digest);
        if image[side.other()].rows > 0 {
            // The other side has rows by now: the range is compared again, key by key.
            let before = candidate.difference.image.map(|digest| digest.rows);
            self.result.counts.correct_read(before, BySide::default());
            self.open -= 1;
            let rows = image.source.rows.max(image.target.rows);
            self.tasks.push_back(Task::Rescan(Rescan { range, rows, smallest: false }));
            return self.settle_part(part, None);
        }
        let (candidate, ruled) = if let Some(confirmed) = candidate.confirmed.take() {
            // Some of its rows may have been deleted between its scan and the ruling.
            let before = candidate.difference.image.map(|digest| digest.rows);
            self.result.counts.correct_read(before, only(side, confirmed.1.rows()));
            self.open -= 1;
            (candidate, Some(confirmed))
        } else {
            let comparison = RecheckResult::of_unwanted(image[side].rows);
            let settled = self.settle(candidate, image, &BySide::default(), comparison, context);
            let Some((candidate, ruling)) = settled else { return };
            let ruled = ruling.map(|ruling| {
                let parts = std::mem::take(&mut counted[side].parts);
                // No rule covers rows that kept changing.
                let may_be_covered = ruling.accepted() != ruling;
                (ruling, if may_be_covered { parts } else { parts.without_rules() })
            });
            if let Some((ruling, parts)) = &ruled {
                self.store_ruling((&range, side), (ruling, parts), context);
            }
            (candidate, ruled)
        };
        if let Some((ruling, parts)) = &ruled {
            for (group, rule, rows) in parts.iter() {
                let covered = ruling.accepted();
                let disposition =
                    if rule.is_some() { covered.disposition() } else { ruling.disposition() };
                let (kind, rows) = (DivergenceKind::only_in(side), only(side, rows));
                self.result.add_difference_of_group(kind, disposition, group, rows);
            }
        }
        match (part, ruled) {
            (Some(_), ruled) => self.settle_part(part, ruled),
            (None, Some((ruling, parts))) => {
                let KeyRange { after, through } = range;
                let first_seen = candidate.difference.first_seen;
                let range = ConfirmedRange { ruling, side, after, through, parts, first_seen };
                self.name_ranges(vec![range]);
            }
            (None, None) => {}
        }
    }

    /// Reports a confirmed range: a finding for each of its groups and each rule that covers some of its
    /// rows, all of the same range. Findings by key for the rows under a rule could be as many as there
    /// are rows, and where parts of a range begin depends on the size of chunks.
    pub(crate) fn report_range(
        &mut self,
        range: ConfirmedRange,
        last: Option<Bound>,
        context: &mut Context<'_>,
    ) {
        let ConfirmedRange { ruling, side, after, through, parts, first_seen } = range;
        let plan = Arc::clone(&self.result.plan);
        let range = KeyRange { after, through: last.or(through) };
        let range = self.result.range_text(&range);
        let (kind, covered, all) = (DivergenceKind::only_in(side), ruling.accepted(), parts.rows());
        for (group, rule, rows) in parts.iter() {
            let rule = rule.and_then(|place| plan.accepts.live.get(place));
            let ruling = if rule.is_some() { &covered } else { &ruling };
            let place = FindingPlace::Range(range.clone(), rows);
            let range_rows = (rows < all).then_some(all);
            let group = Some(group.clone());
            let base = FindingDetails::new(kind, place, first_seen);
            let details = FindingDetails { range_rows, group, rule, ..base };
            self.result.report_finding(ruling, details, context);
        }
        self.request_ends();
    }

    /// Takes keys that cannot be rechecked. Where an index finds it, the range that holds only the key is
    /// reported as undecided.
    pub(crate) fn take_unreadable(
        &mut self,
        candidates: Vec<OpenCandidate>,
        reason: &str,
        is_bad_row: bool,
        context: &mut Context<'_>,
    ) {
        for candidate in candidates {
            let task = Task::LocateKey(UnreadableKey { candidate, reason: reason.to_owned() });
            match is_bad_row && self.result.plan.served() {
                true => self.tasks.push_front(task),
                false => self.abandon_task(task, reason, context),
            }
        }
    }

    /// Requests, when all else is done, the first and the last key of the side across from one-sided rows,
    /// to report whether they all lie beyond. Only where an index finds them without reading more.
    pub(crate) fn request_ends(&mut self) {
        let plan = &self.result.plan;
        let counts = &self.result.counts;
        let one_sided = BySide { source: counts.only_in_source, target: counts.only_in_target };
        if !plan.served() || plan.key_width > 1 || !self.is_done() {
            return;
        }
        for side in Side::BOTH {
            let is_cheap = plan.sides[side].filter.is_none();
            let is_useful = one_sided[side.other()] >= LEAST_ONE_SIDED;
            if is_useful && is_cheap && !self.ends_requested[side] {
                self.ends_requested[side] = true;
                self.tasks.push_back(Task::FindEnds(side));
            }
        }
    }
}
