//! What becomes of a mapping's suspects when they have been looked at again.

use super::account::Telling;
use super::desk::Desk;
use super::mapping::{MappingState, only};
use super::one_sided::NamedRun;
use super::recheck::Entry;
use super::work::Task;
use crate::compare::Looked;
use crate::finding::{Kind, Look, Place, Ruling, Settled, Subject};
use crate::plan::Strategy;
use crate::row::{Digest, KeyRange};
use crate::schema::{BySide, Side};

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
    /// Settles one suspect: books what the look has found. Nothing comes back if it has to be looked
    /// at again; otherwise its entry does, with a ruling if it stands.
    fn settle(
        &mut self,
        mut entry: Entry,
        image: BySide<Digest>,
        seen: Seen,
        desk: &mut Desk<'_>,
    ) -> Option<(Entry, Option<Ruling>)> {
        let rows = image.map(|digest| digest.rows);
        let booked = entry.suspect.image.map(|digest| digest.rows);
        self.account.tally.corrected(booked, rows);
        let agree = seen != Seen::Apart;
        // A digest sees no leeway: what the first look clears may never have been beyond it.
        let never_differed = seen == Seen::Within
            && self.account.plan.strategy == Strategy::Digest
            && entry.suspect.looks() == 0
            && booked.all(|rows| *rows == 1);
        let look = Look { at: desk.clock.now(), image, agree };
        let ruling = match entry.suspect.settle(&look, desk.options.settle) {
            Settled::Again => {
                desk.queue.push(entry);
                return None;
            }
            Settled::Healed => {
                match never_differed {
                    true => self.account.tally.cleared(rows),
                    false => self.account.tally.healed(rows),
                }
                None
            }
            Settled::Standing(ruling) => Some(ruling),
        };
        self.open -= 1;
        Some((entry, ruling))
    }

    /// Some keys were looked at again.
    pub(super) fn looked(&mut self, entries: Vec<Entry>, looked: Vec<Looked>, desk: &mut Desk<'_>) {
        for (entry, looked) in entries.into_iter().zip(looked) {
            let seen = match looked.kind {
                Some(_) => Seen::Apart,
                None if looked.cleared => Seen::Within,
                None => Seen::Alike,
            };
            if let Some((entry, Some(ruling))) = self.settle(entry, looked.image, seen, desk)
                && let Some(kind) = looked.kind
            {
                let rows = looked.image.map(|digest| digest.rows);
                self.account.tally.standing(kind, ruling.disposition(), rows);
                self.tell_key(&entry, &ruling, kind, looked, desk);
            }
        }
    }

    fn tell_key(
        &mut self,
        entry: &Entry,
        ruling: &Ruling,
        kind: Kind,
        looked: Looked,
        desk: &mut Desk<'_>,
    ) {
        let first_seen = entry.suspect.first_seen;
        let Looked { image, key, columns, .. } = looked;
        let key = self.account.key_text(key);
        if kind != Kind::DuplicateKey {
            let place = Place::Key(key);
            return self.account.tell(ruling, Telling { kind, place, columns, first_seen }, desk);
        }
        for side in Side::BOTH {
            if image[side].rows > 1 {
                let place = Place::Duplicate(side, image[side].rows, key.clone());
                let telling = Telling { kind, place, columns: Vec::new(), first_seen };
                self.account.tell(ruling, telling, desk);
            }
        }
    }

    /// Rows of one side with a NULL in their key were counted again.
    pub(super) fn looked_at_null_keys(
        &mut self,
        entry: Entry,
        found: BySide<Digest>,
        desk: &mut Desk<'_>,
    ) {
        let Subject::NullKeys(side) = entry.suspect.subject else { return };
        let rows = found[side].rows;
        let settled = self.settle(entry, only(side, found[side]), Seen::of_none(rows), desk);
        if let Some((entry, Some(ruling))) = settled {
            let kind = Kind::NullKey;
            self.account.tally.standing(kind, ruling.disposition(), only(side, rows));
            let (place, first_seen) = (Place::NullKey(side, rows), entry.suspect.first_seen);
            let telling = Telling { kind, place, columns: Vec::new(), first_seen };
            self.account.tell(&ruling, telling, desk);
        }
    }

    /// A one-sided range was looked at again.
    pub(super) fn looked_at_range(
        &mut self,
        entry: Entry,
        found: BySide<Digest>,
        desk: &mut Desk<'_>,
    ) {
        let Subject::Range(range, side) = entry.suspect.subject.clone() else { return };
        let piece = entry.piece;
        if found[side.other()].rows > 0 {
            // The other side has come by: what is left is a matter of keys.
            let booked = entry.suspect.image.map(|digest| digest.rows);
            self.account.tally.corrected(booked, BySide::default());
            self.open -= 1;
            self.tasks.push_back(Task::Rescan { range });
            return self.settle_piece(piece, None);
        }
        let rows = found[side].rows;
        let Some((entry, ruling)) = self.settle(entry, found, Seen::of_none(rows), desk) else {
            return;
        };
        if let Some(ruling) = &ruling {
            let kind = Kind::only_in(side);
            self.account.tally.standing(kind, ruling.disposition(), only(side, rows));
        }
        match (piece, ruling) {
            (Some(_), ruling) => self.settle_piece(piece, ruling.map(|ruling| (ruling, rows))),
            (None, Some(ruling)) => {
                let KeyRange { after, through } = range;
                let first_seen = entry.suspect.first_seen;
                self.name(vec![NamedRun { ruling, side, after, through, rows, first_seen }]);
            }
            (None, None) => {}
        }
    }
}
