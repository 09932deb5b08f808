//! What becomes of a mapping's candidates when they have been looked at again.

use std::sync::Arc;

use super::account::Telling;
use super::one_sided::NamedRun;
use super::recheck::Entry;
use super::{MappingState, only};
use crate::compare::RowDiff;
use crate::finding::{DivergenceKind, FindingPlace, Recheck, RecheckOutcome, Ruling, Subject};
use crate::plan::{AcceptRule, Strategy};
use crate::row::{Bound, Digest, Group, KeyRange};
use crate::run::desk::Desk;
use crate::run::work::Task;
use crate::run::work::parts::Counted;
use crate::schema::{BySide, Side};

/// Fewer one-sided rows are no backfill that has come so far.
const LEAST_ONE_SIDED: u64 = 5;

/// What a look has seen of the two sides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// They differ.
    Apart,
    /// They agree within a leeway.
    Within,
    /// They are alike, or neither is there any more.
    Alike,
}

impl Seen {
    /// Of rows that should not be there at all.
    fn of_none(rows: u64) -> Seen {
        if rows == 0 { Seen::Alike } else { Seen::Apart }
    }
}

impl MappingState {
    /// Settles one candidate: books what the look has found. Nothing comes back if it has to be looked
    /// at again; otherwise its entry does, with a ruling if it stands.
    fn settle(
        &mut self,
        mut entry: Entry,
        image: BySide<Digest>,
        groups: &BySide<Vec<Group>>,
        seen: Seen,
        desk: &mut Desk<'_>,
    ) -> Option<(Entry, Option<Ruling>)> {
        let rows = image.map(|digest| digest.rows);
        let booked = entry.candidate.image.map(|digest| digest.rows);
        self.account.tally.correct_read(booked, rows);
        let agree = seen != Seen::Apart;
        // A digest sees no leeway: what the first look clears may never have been beyond it.
        let never_differed = seen == Seen::Within
            && self.account.plan.strategy == Strategy::Digest
            && entry.candidate.rechecks() == 0
            && booked.all(|rows| *rows == 1);
        let look = Recheck { at: desk.clock.now(), image, agree };
        let ruling = match entry.candidate.settle(&look, desk.options.settle) {
            RecheckOutcome::Pending => {
                desk.queue.push(entry);
                return None;
            }
            RecheckOutcome::Healed => {
                match never_differed {
                    true => self.account.cleared(rows, groups),
                    false => self.account.healed(rows, groups),
                }
                None
            }
            RecheckOutcome::Differs(ruling) => Some(ruling),
        };
        self.open -= 1;
        Some((entry, ruling))
    }

    /// Some keys were looked at again.
    pub(in crate::run) fn looked(
        &mut self,
        entries: Vec<Entry>,
        looked: Vec<RowDiff>,
        desk: &mut Desk<'_>,
    ) {
        for (entry, looked) in entries.into_iter().zip(looked) {
            let seen = match looked.kind {
                Some(_) => Seen::Apart,
                None if looked.within_tolerance => Seen::Within,
                None => Seen::Alike,
            };
            let settled = self.settle(entry, looked.image, &looked.groups, seen, desk);
            if let Some((entry, Some(ruling))) = settled
                && let Some(kind) = looked.kind
            {
                let plan = Arc::clone(&self.account.plan);
                let differing = looked.columns.iter().map(|(pair, _)| *pair);
                let rule = plan.accepts.find_covering(kind, &looked.rules, differing);
                let ruling = if rule.is_some() { ruling.accepted() } else { ruling };
                let rows = looked.image.map(|digest| digest.rows);
                self.account.standing(kind, ruling.disposition(), rows, &looked.groups);
                self.tell_key(&entry, &ruling, rule, kind, looked, desk);
            }
        }
        self.ask_for_ends();
    }

    fn tell_key(
        &mut self,
        entry: &Entry,
        ruling: &Ruling,
        rule: Option<&AcceptRule>,
        kind: DivergenceKind,
        looked: RowDiff,
        desk: &mut Desk<'_>,
    ) {
        let first_seen = entry.candidate.first_seen;
        let RowDiff { image, key, columns, groups, changed_at, .. } = looked;
        let key = self.account.key_text(key);
        if kind != DivergenceKind::DuplicateKey {
            let group = groups.source.first().or(groups.target.first()).cloned();
            let place = FindingPlace::Key(key);
            let telling = Telling {
                columns,
                changed_at,
                group,
                rule,
                ..Telling::new(kind, place, first_seen)
            };
            return self.account.tell(ruling, telling, desk);
        }
        for side in Side::BOTH {
            if image[side].rows > 1 {
                let place = FindingPlace::Duplicate(side, image[side].rows, key.clone());
                let group = groups[side].first().cloned();
                let telling = Telling { group, ..Telling::new(kind, place, first_seen) };
                self.account.tell(ruling, telling, desk);
            }
        }
    }

    /// Rows of one side with a NULL in their key were counted again.
    pub(in crate::run) fn looked_at_null_keys(
        &mut self,
        entry: Entry,
        mut found: BySide<Counted>,
        desk: &mut Desk<'_>,
    ) {
        let Subject::NullKeys(side) = entry.candidate.subject else { return };
        let Counted { digest, parts } = std::mem::take(&mut found[side]);
        let image = only(side, digest);
        let settled =
            self.settle(entry, image, &BySide::default(), Seen::of_none(digest.rows), desk);
        let Some((entry, Some(ruling))) = settled else { return };
        let (kind, first_seen) = (DivergenceKind::NullKey, entry.candidate.first_seen);
        for (group, _, rows) in parts.iter() {
            self.account.standing_part(kind, ruling.disposition(), group, only(side, rows));
            let place = FindingPlace::NullKey(side, rows);
            let group = Some(group.clone());
            let telling = Telling { group, ..Telling::new(kind, place, first_seen) };
            self.account.tell(&ruling, telling, desk);
        }
    }

    /// A one-sided range was looked at again.
    pub(in crate::run) fn looked_at_range(
        &mut self,
        mut entry: Entry,
        mut found: BySide<Counted>,
        desk: &mut Desk<'_>,
    ) {
        let Subject::Range(range, side) = entry.candidate.subject.clone() else { return };
        let piece = entry.piece;
        let image = BySide::new(|side| found[side].digest);
        if image[side.other()].rows > 0 {
            // The other side has come by: what is left is a matter of keys.
            let booked = entry.candidate.image.map(|digest| digest.rows);
            self.account.tally.correct_read(booked, BySide::default());
            self.open -= 1;
            let rows = image.source.rows.max(image.target.rows);
            self.tasks.push_back(Task::Rescan { range, rows, smallest: false });
            return self.settle_piece(piece, None);
        }
        let (entry, standing) = if let Some(ruled) = entry.ruled.take() {
            // Some of its rows may have gone between its scan and the ruling.
            let booked = entry.candidate.image.map(|digest| digest.rows);
            self.account.tally.correct_read(booked, only(side, ruled.1.rows()));
            self.open -= 1;
            (entry, Some(ruled))
        } else {
            let seen = Seen::of_none(image[side].rows);
            let settled = self.settle(entry, image, &BySide::default(), seen, desk);
            let Some((entry, ruling)) = settled else { return };
            let standing = ruling.map(|ruling| {
                let parts = std::mem::take(&mut found[side].parts);
                // What kept changing is covered by no rule.
                let covered = ruling.accepted() != ruling;
                (ruling, if covered { parts } else { parts.without_rules() })
            });
            if let Some((ruling, parts)) = &standing {
                self.keep_ruling((&range, side), (ruling, parts), desk);
            }
            (entry, standing)
        };
        if let Some((ruling, parts)) = &standing {
            for (group, rule, rows) in parts.iter() {
                let covered = ruling.accepted();
                let ruling = if rule.is_some() { &covered } else { ruling };
                let kind = DivergenceKind::only_in(side);
                self.account.standing_part(kind, ruling.disposition(), group, only(side, rows));
            }
        }
        match (piece, standing) {
            (Some(_), standing) => self.settle_piece(piece, standing),
            (None, Some((ruling, parts))) => {
                let KeyRange { after, through } = range;
                let first_seen = entry.candidate.first_seen;
                self.name(vec![NamedRun { ruling, side, after, through, parts, first_seen }]);
            }
            (None, None) => {}
        }
    }

    /// Tells what stands of a run: a finding for each group in it and for each rule that covers some
    /// of its rows, all of one range. Telling rows under a rule key by key instead could take as many
    /// findings as there are rows, and where pieces of a run begin depends on the size of chunks.
    pub(in crate::run) fn tell_run(
        &mut self,
        run: NamedRun,
        last: Option<Bound>,
        desk: &mut Desk<'_>,
    ) {
        let NamedRun { ruling, side, after, through, parts, first_seen } = run;
        let plan = Arc::clone(&self.account.plan);
        let range = KeyRange { after, through: last.or(through) };
        let range = self.account.range_text(&range);
        let (kind, covered, all) = (DivergenceKind::only_in(side), ruling.accepted(), parts.rows());
        for (group, rule, rows) in parts.iter() {
            let rule = rule.and_then(|place| plan.accepts.live.get(place));
            let ruling = if rule.is_some() { &covered } else { &ruling };
            let place = FindingPlace::Range(range.clone(), rows);
            let range_rows = (rows < all).then_some(all);
            let group = Some(group.clone());
            let telling =
                Telling { range_rows, group, rule, ..Telling::new(kind, place, first_seen) };
            self.account.tell(ruling, telling, desk);
        }
        self.ask_for_ends();
    }

    /// Keys that cannot be looked at. Where an index can, the range that holds just the one is named.
    pub(in crate::run) fn not_looked_at(
        &mut self,
        entries: Vec<Entry>,
        reason: &str,
        by_itself: bool,
        desk: &mut Desk<'_>,
    ) {
        for entry in entries {
            let task = Task::Narrow { entry, reason: reason.to_owned() };
            match by_itself && self.account.plan.served() {
                true => self.tasks.push_front(task),
                false => self.abandon_task(task, reason, desk),
            }
        }
    }

    /// When all else is done: where one side has rows of its own, the other's ends are asked for, to tell
    /// whether they all lie beyond. Only where an index finds them without reading on.
    pub(in crate::run) fn ask_for_ends(&mut self) {
        let plan = &self.account.plan;
        let tally = &self.account.tally;
        let one_sided = BySide { source: tally.only_in_source, target: tally.only_in_target };
        if !plan.served() || plan.key_width > 1 || !self.is_done() {
            return;
        }
        for side in Side::BOTH {
            let cheap = plan.sides[side].filter.is_none();
            if one_sided[side.other()] >= LEAST_ONE_SIDED && cheap && !self.ends_asked[side] {
                self.ends_asked[side] = true;
                self.tasks.push_back(Task::Ends { side });
            }
        }
    }

    /// Ends the mapping: one of its sides is not what was planned any more. What is not compared and
    /// what is not settled stays undecided.
    pub(in crate::run) fn end_as_changed(&mut self, task: Task, reason: &str, desk: &mut Desk<'_>) {
        self.abandon_task(task, reason, desk);
        if !self.finished {
            self.abandon(reason, desk);
        }
        let mut homes: Vec<(Arc<KeyRange>, u64)> = Vec::new();
        for entry in desk.queue.drain_of(self.account.index) {
            self.close_entry(&entry);
            self.settle_piece(entry.piece, None);
            match homes.last_mut() {
                Some((home, count)) if *home == entry.home => *count += 1,
                _ => homes.push((entry.home, 1)),
            }
        }
        for (home, count) in homes {
            self.account.undecided(&home, count, reason, desk);
        }
    }
}
