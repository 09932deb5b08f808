//! Where a mapping's scan stands: what has been cut into chunks, what is on its way, what is left.
//!
//! ```text
//!   chunk 7     chunk 8     chunk 9       rest
//! ──done──][──in flight──][──ready──][──────────────▶ keys
//!     └ told in key order, as soon as all before it are done
//! ```
//!
//! Boundaries come from the statistics' histogram while chunks are larger than its stretches; where
//! they are not, or the histogram ends, the next one is probed for on the side that had more rows so
//! far. The scan is at its end only when both sides have nothing behind the last boundary. A chunk that is too much for one statement
//! is cut in two in its place.

use std::collections::VecDeque;
use std::time::Duration;

use super::options::Options;
use crate::compare::{Compared, Expectation};
use crate::pg::Remedy;
use crate::plan::{MappingPlan, Strategy};
use crate::row::{Bound, KeyOrder, KeyRange};
use crate::schema::{BySide, Side};

/// A chunk's first size, before anything has been measured.
const FIRST_ROWS: u64 = 20_000;
/// Sizes that time may lead to. Rows of a stream may all have to wait for their counterparts.
const LEAST_ROWS: u64 = 1_000;
const MOST_ROWS: u64 = 1 << 20;
const MOST_STREAMED: u64 = 150_000;
/// A chunk of this size that is still too much for one statement is given up.
const FLOOR: u64 = 500;
/// Differences that one chunk should bring at the most, so that they pass through in small portions.
const MOST_DIFFERENCES: f64 = 20_000.0;
/// So many chunks in a row given up end a mapping.
const MOST_GIVEN_UP: u32 = 3;

/// What the scan wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask for the histogram of the key.
    Histogram { side: Side },
    /// Find the key that stands so many rows into a range.
    Probe { side: Side, range: KeyRange, rows: u64 },
    /// Compare a chunk.
    Scan { chunk: u64, range: KeyRange, expected: Expectation },
}

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
    /// Not to be had, with the rows that were meant and the reason.
    Undecided(u64, String),
}

#[derive(Debug)]
struct Slot {
    chunk: u64,
    range: KeyRange,
    rows: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Ready,
    InFlight,
    /// To be cut in two, for this reason.
    TooMuch(String, Remedy),
    Done(Outcome),
}

/// What a probe on its way is for.
#[derive(Clone, Copy, Debug)]
struct Probing {
    /// A chunk that is cut in two, or the rest.
    slot: Option<u64>,
    side: Side,
    second_try: bool,
}

/// Boundaries from the statistics.
#[derive(Debug)]
enum Histogram {
    /// Not asked for yet.
    Unknown,
    /// On its way.
    Asked,
    /// Boundaries ahead, each so many rows behind the one before.
    Known { bounds: VecDeque<Bound>, rows: u64 },
}

/// One mapping's scan.
#[derive(Debug)]
pub(super) struct Frontier {
    rest: Option<KeyRange>,
    slots: VecDeque<Slot>,
    order: KeyOrder,
    histogram: Histogram,
    probing: Option<Probing>,
    next_chunk: u64,
    rows: u64,
    fixed: bool,
    most: u64,
    chunk_time: Duration,
    /// Whether everything is read in one chunk.
    whole: bool,
    served: BySide<bool>,
    larger: Side,
    /// Differences per row, of late.
    density: f64,
    given_up: u32,
}

impl Frontier {
    /// Nothing cut yet.
    pub(super) fn new(plan: &MappingPlan, options: &Options) -> Frontier {
        let served = BySide::new(|side| plan.sides[side].served_by.is_some());
        let streams = plan.strategy == Strategy::Stream;
        let most = if streams { MOST_STREAMED } else { MOST_ROWS };
        let unserved = !plan.served();
        let rows = match plan.chunk_rows {
            Some(rows) => rows,
            // Every chunk reads the whole table: better few of them.
            None if unserved => most,
            None => FIRST_ROWS,
        };
        let estimated = plan.sides.as_ref().map(|side| side.estimated_rows.unwrap_or(0));
        Frontier {
            rest: Some(KeyRange::everything()),
            slots: VecDeque::new(),
            order: plan.order.clone(),
            // Of use only where chunks are sized by time.
            histogram: if plan.chunk_rows.is_some() || unserved {
                Histogram::Known { bounds: VecDeque::new(), rows: u64::MAX }
            } else {
                Histogram::Unknown
            },
            probing: None,
            next_chunk: 0,
            rows,
            fixed: plan.chunk_rows.is_some() || unserved,
            most,
            chunk_time: options.chunk_time,
            // Digests of a side that no index serves are had in one pass, and drilled into by class.
            whole: unserved && !streams,
            served,
            larger: if estimated.target > estimated.source { Side::Target } else { Side::Source },
            density: 0.0,
            given_up: 0,
        }
    }

    /// What to do next, if anything can be done now.
    pub(super) fn next(&mut self) -> Option<Next> {
        if self.whole
            && let Some(range) = self.rest.take()
        {
            self.push(range, self.rows);
        }
        if let Some(slot) = self.slots.iter_mut().find(|slot| matches!(slot.state, State::Ready)) {
            slot.state = State::InFlight;
            let differences = (self.density * slot.rows as f64).round() as u64;
            let expected = Expectation { rows: slot.rows, differences };
            return Some(Next::Scan { chunk: slot.chunk, range: slot.range.clone(), expected });
        }
        match self.histogram {
            Histogram::Unknown => {
                self.histogram = Histogram::Asked;
                return Some(Next::Histogram { side: self.larger });
            }
            Histogram::Asked => return None,
            Histogram::Known { .. } => {}
        }
        if self.probing.is_some() {
            return None;
        }
        if self.cut_by_histogram() {
            return self.next();
        }
        let too_much = self.slots.iter().find(|slot| matches!(slot.state, State::TooMuch(..)));
        let (slot, range, rows) = match (too_much, &self.rest) {
            (Some(slot), _) => (Some(slot.chunk), slot.range.clone(), slot.rows.div_ceil(2)),
            (None, Some(rest)) => (None, rest.clone(), self.next_rows()),
            (None, None) => return None,
        };
        let side = if self.served[self.larger] || !self.served[self.larger.other()] {
            self.larger
        } else {
            self.larger.other()
        };
        self.probing = Some(Probing { slot, side, second_try: false });
        Some(Next::Probe { side, range, rows })
    }

    /// The histogram is known: its boundaries in order, empty if there is none.
    pub(super) fn histogram(&mut self, bounds: Vec<Bound>, table_rows: u64) {
        let stretches = bounds.len().saturating_sub(1).max(1) as u64;
        let rows = (table_rows / stretches).max(1);
        self.histogram = Histogram::Known { bounds: bounds.into(), rows };
    }

    /// Cuts the next chunk off the rest without asking, if a boundary is known that is near enough.
    fn cut_by_histogram(&mut self) -> bool {
        let wanted = self.next_rows();
        let Histogram::Known { bounds, rows } = &mut self.histogram else { return false };
        let Some(rest) = &self.rest else { return false };
        if let Some(after) = &rest.after {
            while bounds
                .front()
                .is_some_and(|bound| self.order.compare(&bound.key, &after.key).is_le())
            {
                bounds.pop_front();
            }
        }
        let stretches = (wanted / *rows).min(bounds.len() as u64);
        let (place, rows) = (stretches as usize, *rows * stretches);
        let Some(bound) = place.checked_sub(1).and_then(|last| bounds.get(last).cloned()) else {
            return false;
        };
        let (chunk, rest) = rest.clone().cut(bound);
        self.push(chunk, rows);
        self.rest = Some(rest);
        true
    }

    /// Rows of the next chunk: fewer where many differences are expected.
    fn next_rows(&self) -> u64 {
        if self.fixed || self.density == 0.0 {
            return self.rows;
        }
        let few = (MOST_DIFFERENCES / self.density) as u64;
        self.rows.min(few.max(LEAST_ROWS))
    }

    /// A probe has found a boundary, or that the range has fewer rows. May want another probe.
    pub(super) fn probed(&mut self, rows: u64, found: Option<Bound>) -> Option<Next> {
        let probing = self.probing.take()?;
        if found.is_none() && !probing.second_try && self.served[probing.side.other()] {
            let side = probing.side.other();
            let range = match probing.slot {
                Some(chunk) => self.slot(chunk)?.range.clone(),
                None => self.rest.clone()?,
            };
            self.probing = Some(Probing { side, second_try: true, ..probing });
            return Some(Next::Probe { side, range, rows });
        }
        match (probing.slot, found) {
            (None, Some(bound)) => {
                let (chunk, rest) = self.rest.take()?.cut(bound);
                self.push(chunk, rows);
                self.rest = Some(rest);
            }
            (None, None) => {
                let rest = self.rest.take()?;
                self.push(rest, rows);
            }
            (Some(chunk), Some(bound)) => self.cut(chunk, bound),
            // Fewer rows than thought: the slot is smaller than it says.
            (Some(chunk), None) => {
                let slot = self.slot(chunk)?;
                slot.rows = rows;
                if rows <= 1 {
                    self.give_up_slot(chunk);
                }
            }
        }
        None
    }

    fn push(&mut self, range: KeyRange, rows: u64) {
        let chunk = self.next_chunk;
        self.next_chunk += 1;
        self.slots.push_back(Slot { chunk, range, rows, state: State::Ready });
    }

    fn cut(&mut self, chunk: u64, bound: Bound) {
        let Some(place) = self.slots.iter().position(|slot| slot.chunk == chunk) else { return };
        let slot = &mut self.slots[place];
        let (first, second) = slot.range.cut(bound);
        slot.range = first;
        slot.rows = slot.rows.div_ceil(2);
        slot.state = State::Ready;
        let second =
            Slot { chunk: self.next_chunk, range: second, rows: slot.rows, state: State::Ready };
        self.next_chunk += 1;
        self.slots.insert(place + 1, second);
    }

    fn slot(&mut self, chunk: u64) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.chunk == chunk)
    }

    /// A chunk was compared; `statement` is what its first statement took.
    pub(super) fn compared(&mut self, chunk: u64, compared: Compared, statement: Duration) {
        self.given_up = 0;
        let rows = compared.rows;
        let most = rows.source.max(rows.target);
        if rows[self.larger.other()] > 2 * rows[self.larger] {
            self.larger = self.larger.other();
        }
        let found = compared.suspects.len() as f64 / most.max(1) as f64;
        self.density = if found < self.density { (self.density + found) / 2.0 } else { found };
        let Some(slot) = self.slot(chunk) else { return };
        let asked = slot.rows;
        slot.state = State::Done(Outcome::Compared(compared));
        if !self.fixed && most > 0 {
            let ratio = self.chunk_time.as_secs_f64() / statement.as_secs_f64().max(1e-6);
            let rows = asked as f64 * ratio.clamp(0.25, 4.0);
            self.rows = (rows as u64).clamp(LEAST_ROWS, self.most);
        }
    }

    /// A chunk failed. Tells whether the mapping is to be given up.
    pub(super) fn failed(&mut self, chunk: u64, remedy: Remedy, reason: &str) -> bool {
        let whole = self.whole;
        let Some(slot) = self.slot(chunk) else { return true };
        let floor = match remedy {
            Remedy::Shrink => FLOOR,
            Remedy::Isolate => 1,
            Remedy::Retry | Remedy::GiveUp => u64::MAX,
        };
        let smaller = slot.rows > floor && !whole;
        slot.state = State::TooMuch(reason.to_owned(), remedy);
        if smaller {
            if remedy == Remedy::Shrink {
                self.rows = self
                    .rows
                    .min(slot_rows(&self.slots, chunk))
                    .div_ceil(2)
                    .max(LEAST_ROWS.min(self.rows));
            }
            return false;
        }
        self.give_up_slot(chunk);
        remedy != Remedy::Isolate
            && (whole || remedy != Remedy::Shrink || self.given_up >= MOST_GIVEN_UP)
    }

    fn give_up_slot(&mut self, chunk: u64) {
        let Some(slot) = self.slot(chunk) else { return };
        let reason = match &slot.state {
            State::TooMuch(reason, _) => reason.clone(),
            _ => "not read".to_owned(),
        };
        let isolated = matches!(slot.state, State::TooMuch(_, Remedy::Isolate));
        slot.state = State::Done(Outcome::Undecided(slot.rows, reason));
        if !isolated {
            self.given_up += 1;
        }
    }

    /// Ends the scan: what is not done is undecided.
    pub(super) fn give_up(&mut self, reason: &str, rest_rows: u64) {
        self.probing = None;
        if let Some(rest) = self.rest.take() {
            self.push(rest, rest_rows);
        }
        for slot in &mut self.slots {
            if !matches!(slot.state, State::Done(_)) {
                slot.state = State::Done(Outcome::Undecided(slot.rows, reason.to_owned()));
            }
        }
    }

    /// The chunks that are done with all before them, in key order.
    pub(super) fn take_done(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(Slot { state: State::Done(_), .. }) = self.slots.front() {
            if let Some(Slot { range, state: State::Done(outcome), .. }) = self.slots.pop_front() {
                told.push(Told { range, outcome });
            }
        }
        told
    }

    /// Whether everything has been cut, compared and told.
    pub(super) fn is_finished(&self) -> bool {
        self.rest.is_none() && self.slots.is_empty()
    }
}

fn slot_rows(slots: &VecDeque<Slot>, chunk: u64) -> u64 {
    slots.iter().find(|slot| slot.chunk == chunk).map_or(0, |slot| slot.rows)
}
