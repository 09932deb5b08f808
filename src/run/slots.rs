//! The chunks that have been cut, in key order, from the first that is not done to the last.

use std::collections::VecDeque;

use crate::compare::Compared;
use crate::pg::Remedy;
use crate::row::{Bound, KeyRange};

/// What became of a chunk, told in key order.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) range: KeyRange,
    pub(super) outcome: Outcome,
}

/// How a chunk ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Compared.
    Compared(Compared),
    /// Left out of the sample.
    Skipped,
    /// Not to be had, with the rows that were meant and the reason.
    Undecided(u64, String),
}

/// A chunk that has been cut.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) chunk: u64,
    pub(super) range: KeyRange,
    /// About so many.
    pub(super) rows: u64,
    pub(super) state: State,
}

/// How far a chunk is.
#[derive(Debug)]
pub(super) enum State {
    Ready,
    InFlight,
    /// To be cut in two, for this reason.
    TooMuch(String, Remedy),
    Done(Outcome),
}

/// Chunks in key order.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: VecDeque<Slot>,
    next_chunk: u64,
}

impl Slots {
    /// Adds a chunk behind the last.
    pub(super) fn push(&mut self, range: KeyRange, rows: u64, state: State) {
        self.slots.push_back(Slot { chunk: self.next_chunk, range, rows, state });
        self.next_chunk += 1;
    }

    /// The first chunk that waits to be compared; it is on its way now.
    pub(super) fn start(&mut self) -> Option<&Slot> {
        let slot = self.slots.iter_mut().find(|slot| matches!(slot.state, State::Ready))?;
        slot.state = State::InFlight;
        Some(slot)
    }

    /// The first chunk that is to be cut in two.
    pub(super) fn too_much(&self) -> Option<&Slot> {
        self.slots.iter().find(|slot| matches!(slot.state, State::TooMuch(..)))
    }

    /// Cuts a chunk in two in its place.
    pub(super) fn cut(&mut self, chunk: u64, bound: Bound) {
        let Some(place) = self.slots.iter().position(|slot| slot.chunk == chunk) else { return };
        let slot = &mut self.slots[place];
        let (first, second) = slot.range.cut(bound);
        slot.range = first;
        slot.rows = slot.rows.div_ceil(2);
        slot.state = State::Ready;
        let (chunk, rows) = (self.next_chunk, slot.rows);
        self.next_chunk += 1;
        self.slots.insert(place + 1, Slot { chunk, range: second, rows, state: State::Ready });
    }

    pub(super) fn get(&mut self, chunk: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.chunk == chunk)
    }

    /// What is not done is undecided.
    pub(super) fn give_up(&mut self, reason: &str) {
        for slot in &mut self.slots {
            if !matches!(slot.state, State::Done(_)) {
                slot.state = State::Done(Outcome::Undecided(slot.rows, reason.to_owned()));
            }
        }
    }

    /// The chunks that are done with all before them.
    pub(super) fn take_done(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(Slot { state: State::Done(_), .. }) = self.slots.front() {
            if let Some(Slot { range, state: State::Done(outcome), .. }) = self.slots.pop_front() {
                told.push(Told { range, outcome });
            }
        }
        told
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}
