//! The chunks that have been cut, in key order, from the first that is not done to the last.
//!
//! ```text
//!   kept      kept     gap      kept        rest
//! ──clean──][─dirty─][─────][──clean──][──────────▶ keys of a run that goes on
//!               │       └ was on its way: compared like any chunk
//!               └ what was seen is read from the ledger, when there is room for it
//! ```

use std::collections::VecDeque;

use super::tiling::{in_order, tile};
use crate::compare::RangeComparison;
use crate::ledger::{Kept, KeptState};
use crate::pg::Remedy;
use crate::row::{Bound, KeyOrder, KeyRange};
use crate::schema::BySide;

/// What became of a chunk, told in key order.
#[derive(Debug)]
pub(in crate::run) struct Told {
    pub(in crate::run) chunk: u64,
    pub(in crate::run) range: KeyRange,
    pub(in crate::run) rows: u64,
    pub(in crate::run) outcome: Outcome,
    /// Whether the ledger has it.
    pub(in crate::run) kept: bool,
}

/// How a chunk ended.
#[derive(Debug)]
pub(in crate::run) enum Outcome {
    /// RangeComparison.
    Compared(RangeComparison),
    /// Left out of the sample.
    Skipped,
    /// Not to be had, with the rows that were meant and the reason.
    Undecided(u64, String),
}

/// A chunk that has been cut.
#[derive(Debug)]
pub(in crate::run) struct Slot {
    pub(in crate::run) chunk: u64,
    pub(in crate::run) range: KeyRange,
    /// About so many.
    pub(in crate::run) rows: u64,
    pub(in crate::run) state: State,
    /// Whether the ledger has what became of it.
    pub(in crate::run) kept: bool,
    /// Whether it is as small as chunks get: a statement may take its time then.
    pub(in crate::run) smallest: bool,
}

/// How far a chunk is.
#[derive(Debug)]
pub(in crate::run) enum State {
    Ready,
    InFlight,
    /// RangeComparison before an interruption; what was seen has to be read from the ledger.
    Kept,
    /// To be cut.
    TooMuch(TooMuch),
    Done(Outcome),
}

/// A chunk that was too much for one statement. How many rows it has is a guess, and may be far from
/// the truth: pieces are cut off its front until what is left has no more rows than a piece.
#[derive(Debug)]
pub(in crate::run) struct TooMuch {
    reason: String,
    remedy: Remedy,
    /// Rows of the next piece.
    pub(in crate::run) piece: u64,
    /// Whether a piece has been cut off.
    cut: bool,
}

/// A chunk of this size that is still too much for one statement is given up.
pub(in crate::run) const FLOOR: u64 = 250;
/// So many chunks in a row given up end a mapping.
pub(in crate::run) const MOST_GIVEN_UP: u32 = 3;

/// Rows that are not cut any smaller.
pub(in crate::run) fn least_rows(remedy: Remedy) -> u64 {
    match remedy {
        Remedy::Shrink => FLOOR,
        Remedy::Isolate => 1,
        Remedy::Retry | Remedy::Reconnect | Remedy::Conflict | Remedy::Replan | Remedy::GiveUp => {
            u64::MAX
        }
    }
}

/// What becomes of a chunk that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) enum Failed {
    /// It is cut in two: so many rows were too much for one statement, or hold the cause.
    Smaller(u64),
    /// It is given up, and the scan goes on.
    GivenUp,
    /// It is given up, and there is no use in going on.
    Ends,
}

/// Chunks in key order.
#[derive(Debug, Default)]
pub(in crate::run) struct Slots {
    slots: VecDeque<Slot>,
    next_chunk: u64,
    /// Chunks that were given up in a row.
    given_up: u32,
}

impl Slots {
    /// Adds a chunk behind the last.
    pub(in crate::run) fn push(&mut self, range: KeyRange, rows: u64, state: State) {
        let chunk = self.next_chunk;
        self.slots.push_back(Slot { chunk, range, rows, state, kept: false, smallest: false });
        self.next_chunk += 1;
    }

    /// Chunks are numbered from here on.
    pub(in crate::run) fn number_from(&mut self, chunk: u64) {
        self.next_chunk = self.next_chunk.max(chunk);
    }

    /// Takes in the chunks that were compared before, all of them within a range. Gives what of it lies
    /// behind the last of them, and how many count: none if they do not tile.
    pub(in crate::run) fn restore(
        &mut self,
        kept: Vec<Kept>,
        within: &KeyRange,
        order: &KeyOrder,
    ) -> (Option<KeyRange>, u64) {
        let mut rest = Some(within.clone());
        let kept = in_order(kept, order);
        if order.is_known() && !tile(&kept, within, order) {
            return (rest, 0);
        }
        let last = kept.iter().map(|kept| kept.chunk).max();
        self.number_from(last.map_or(0, |last| last.saturating_add(1)));
        let number = kept.len() as u64;
        for Kept { chunk, range, rows, state } in kept {
            let Some(KeyRange { after, .. }) = rest else { break };
            if range.after != after {
                let gap = KeyRange { after, through: range.after.clone() };
                self.push(gap, rows, State::Ready);
            }
            let state = match state {
                KeptState::Clean(matched) => {
                    let rows = BySide { source: matched, target: matched };
                    State::Done(Outcome::Compared(RangeComparison {
                        rows,
                        matched,
                        ..RangeComparison::default()
                    }))
                }
                KeptState::Dirty | KeptState::Undecided => State::Kept,
                KeptState::Skipped => State::Done(Outcome::Skipped),
            };
            let behind = range.through.clone().filter(|_| range.through != within.through);
            self.slots.push_back(Slot { chunk, range, rows, state, kept: true, smallest: false });
            let through = within.through.clone();
            rest = behind.map(|after| KeyRange { after: Some(after), through });
        }
        (rest, number)
    }

    /// Forgets the chunks that the ledger has.
    pub(in crate::run) fn forget_kept(&mut self) {
        self.slots.retain(|slot| !slot.kept);
    }

    /// The first chunk whose outcome has to be read from the ledger.
    pub(in crate::run) fn to_recall(&self) -> Option<u64> {
        self.slots.iter().find(|slot| matches!(slot.state, State::Kept)).map(|slot| slot.chunk)
    }

    /// The first chunk that waits to be compared; it is on its way now.
    pub(in crate::run) fn start(&mut self) -> Option<&Slot> {
        let slot = self.slots.iter_mut().find(|slot| matches!(slot.state, State::Ready))?;
        slot.state = State::InFlight;
        Some(slot)
    }

    /// The first chunk that is to be cut: its number, what there is of it and the rows of a piece.
    pub(in crate::run) fn too_much(&self) -> Option<(u64, &KeyRange, u64)> {
        self.slots.iter().find_map(|slot| match &slot.state {
            State::TooMuch(too_much) => Some((slot.chunk, &slot.range, too_much.piece)),
            _ => None,
        })
    }

    /// It is known where a piece of a chunk ends, or that the chunk has no more rows than that. Pieces
    /// grow up to `most` rows, so that a chunk far larger than thought comes to an end.
    pub(in crate::run) fn probed(&mut self, chunk: u64, bound: Option<Bound>, most: u64) {
        let Some(place) = self.slots.iter().position(|slot| slot.chunk == chunk) else { return };
        let slot = &mut self.slots[place];
        let State::TooMuch(too_much) = &mut slot.state else { return };
        let least = least_rows(too_much.remedy);
        let piece = too_much.piece;
        match bound {
            Some(bound) => {
                let (first, second) = slot.range.cut(bound);
                too_much.piece = piece.max(most.min(piece * 2));
                too_much.cut = true;
                let rows = slot.rows.saturating_sub(piece).max(1);
                let state = std::mem::replace(&mut slot.state, State::Ready);
                (slot.range, slot.rows, slot.smallest) = (first, piece, false);
                let (chunk, smallest) = (self.next_chunk, false);
                self.next_chunk += 1;
                let behind = Slot { chunk, range: second, rows, state, kept: false, smallest };
                self.slots.insert(place + 1, behind);
            }
            None if too_much.cut => (slot.rows, slot.state) = (piece, State::Ready),
            None if piece > least => too_much.piece = piece.div_ceil(2).max(least),
            None if too_much.remedy == Remedy::Shrink => {
                (slot.rows, slot.smallest, slot.state) = (piece, true, State::Ready);
            }
            None => self.give_up_chunk(chunk),
        }
    }

    pub(in crate::run) fn get(&mut self, chunk: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.chunk == chunk)
    }

    /// A chunk was compared.
    pub(in crate::run) fn compared(&mut self, chunk: u64, compared: RangeComparison) {
        self.given_up = 0;
        if let Some(slot) = self.get(chunk) {
            slot.state = State::Done(Outcome::Compared(compared));
        }
    }

    /// A chunk failed; `whole` tells that it cannot be cut.
    pub(in crate::run) fn failed(
        &mut self,
        chunk: u64,
        remedy: Remedy,
        reason: &str,
        whole: bool,
    ) -> Failed {
        let Some(slot) = self.get(chunk) else { return Failed::Ends };
        let (rows, least) = (slot.rows, least_rows(remedy));
        let piece = rows.div_ceil(2).max(least);
        let again = slot.smallest && remedy == Remedy::Shrink;
        let reason = reason.to_owned();
        slot.state = State::TooMuch(TooMuch { reason, remedy, piece, cut: false });
        if least < u64::MAX && !whole && !again {
            return Failed::Smaller(rows);
        }
        self.give_up_chunk(chunk);
        let in_vain = whole || remedy != Remedy::Shrink || self.given_up >= MOST_GIVEN_UP;
        if remedy != Remedy::Isolate && in_vain { Failed::Ends } else { Failed::GivenUp }
    }

    /// A chunk is given up.
    fn give_up_chunk(&mut self, chunk: u64) {
        let Some(slot) = self.get(chunk) else { return };
        let (reason, isolated) = match &slot.state {
            State::TooMuch(TooMuch { reason, remedy, .. }) => {
                (reason.clone(), *remedy == Remedy::Isolate)
            }
            _ => ("not read".to_owned(), false),
        };
        slot.state = State::Done(Outcome::Undecided(slot.rows, reason));
        self.given_up += u32::from(!isolated);
    }

    /// What is not done and not on its way is left out. Gives about how many rows that are.
    pub(in crate::run) fn leave(&mut self) -> u64 {
        let mut rows = 0;
        for slot in &mut self.slots {
            if !matches!(slot.state, State::Done(_) | State::InFlight) {
                slot.state = State::Done(Outcome::Skipped);
                rows += slot.rows;
            }
        }
        rows
    }

    /// What is not done is undecided.
    pub(in crate::run) fn give_up(&mut self, reason: &str) {
        for slot in &mut self.slots {
            if !matches!(slot.state, State::Done(_)) {
                slot.state = State::Done(Outcome::Undecided(slot.rows, reason.to_owned()));
            }
        }
    }

    /// The chunks that are done with all before them.
    pub(in crate::run) fn take_done(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(Slot { state: State::Done(_), .. }) = self.slots.front() {
            if let Some(slot) = self.slots.pop_front()
                && let Slot { chunk, range, rows, state: State::Done(outcome), kept, .. } = slot
            {
                told.push(Told { chunk, range, rows, outcome, kept });
            }
        }
        told
    }

    pub(in crate::run) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Key, KeyField};

    fn bound(number: u8) -> Option<Bound> {
        Some(Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() })
    }

    fn kept(chunk: u64, after: Option<u8>, through: Option<u8>, state: KeptState) -> Kept {
        let range = KeyRange { after: after.and_then(bound), through: through.and_then(bound) };
        Kept { chunk, range, rows: 10, state }
    }

    fn restored(kept: Vec<Kept>, field: KeyField) -> (Slots, Option<KeyRange>) {
        let mut slots = Slots::default();
        let (rest, _) = slots.restore(kept, &KeyRange::everything(), &KeyOrder(vec![field]));
        (slots, rest)
    }

    #[test]
    fn chunks_of_an_interrupted_run_tile_with_what_was_on_its_way() {
        let (mut slots, rest) = restored(
            vec![
                kept(4, Some(30), Some(40), KeptState::Dirty),
                kept(0, None, Some(10), KeptState::Clean(9)),
                kept(2, Some(20), Some(30), KeptState::Clean(7)),
            ],
            KeyField::Bytes,
        );
        assert_eq!(rest, Some(KeyRange { after: bound(40), through: None }));
        let told = slots.take_done();
        assert_eq!(told.len(), 1, "the gap behind it holds the rest back");
        let gap = slots.start().unwrap();
        assert_eq!((gap.chunk, &gap.range.after, &gap.range.through), (5, &bound(10), &bound(20)));
        assert!(slots.start().is_none());
        assert_eq!(slots.to_recall(), Some(4));
    }

    #[test]
    fn a_scan_that_was_through_leaves_no_rest() {
        let all = || {
            vec![
                kept(1, Some(10), None, KeptState::Clean(1)),
                kept(0, None, Some(10), KeptState::Clean(1)),
            ]
        };
        for field in [KeyField::Bytes, KeyField::Collated] {
            let (mut slots, rest) = restored(all(), field);
            assert_eq!((slots.take_done().len(), rest), (2, None));
        }
        assert_eq!(restored(Vec::new(), KeyField::Bytes).1, Some(KeyRange::everything()));
    }

    #[test]
    fn in_an_order_of_the_servers_chunks_count_as_far_as_they_hang_together() {
        let kept = vec![
            kept(0, None, Some(20), KeptState::Clean(1)),
            kept(3, Some(5), Some(7), KeptState::Clean(1)),
            kept(1, Some(20), Some(3), KeptState::Clean(1)),
        ];
        let (mut slots, rest) = restored(kept, KeyField::Collated);
        assert_eq!(slots.take_done().len(), 2);
        assert_eq!(rest.unwrap().after, bound(3));
    }

    /// A chunk that is 2,500 times what the statistics say: the guess ends nothing.
    #[test]
    fn a_chunk_far_larger_than_thought_is_cut_until_it_can_be_read() {
        let bound =
            |n: u64| Bound { key: Key::new([&n.to_be_bytes()[..]]), text: [n.to_string()].into() };
        let number =
            |bound: &Option<Bound>| bound.as_ref().map(|b| b.text[0].parse::<u64>().unwrap());
        for (remedy, least) in [(Remedy::Shrink, 1_000_000), (Remedy::Isolate, 999_999)] {
            let (mut slots, keys, mut compared, mut lost) = (Slots::default(), 1_000_000, 0, 0);
            slots.push(KeyRange::everything(), 400, State::Ready);
            let mut statements = 0;
            while !slots.is_empty() {
                statements += 1;
                if let Some(slot) = slots.start() {
                    let after = number(&slot.range.after).unwrap_or(0);
                    let through = number(&slot.range.through).unwrap_or(keys);
                    let (chunk, rows) = (slot.chunk, through - after);
                    // 20,000 rows take too long; one row cannot be read.
                    let fails = match remedy {
                        Remedy::Shrink => rows > 20_000,
                        _ => after < 777_777 && 777_777 <= through,
                    };
                    if fails {
                        slots.failed(chunk, remedy, "canceled", false);
                    } else {
                        slots.compared(chunk, RangeComparison::default());
                        compared += rows;
                    }
                } else if let Some((chunk, range, piece)) = slots.too_much() {
                    let at = number(&range.after).unwrap_or(0) + piece;
                    let end = number(&range.through).unwrap_or(keys);
                    let last = range.through.is_some() && at == end;
                    slots.probed(chunk, (at <= end && !last).then(|| bound(at)), 20_000);
                }
                let told = slots.take_done();
                lost += told
                    .iter()
                    .filter(|told| matches!(told.outcome, Outcome::Undecided(..)))
                    .count();
            }
            assert!(compared >= least && statements < 1_000, "{compared} in {statements}");
            assert_eq!(lost, usize::from(remedy == Remedy::Isolate));
        }
    }
}
