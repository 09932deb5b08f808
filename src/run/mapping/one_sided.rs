//! Runs of one-sided rows while their pieces are settled, until each can be named.
//!
//! Pieces are looked at one by one, each a short statement. What stands of a run is reported as
//! stretches of neighbouring pieces: one, unless the other side came by in the middle of it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::compare::PartCounts;
use crate::finding::Ruling;
use crate::row::{Bound, Key, KeyRange};
use crate::schema::Side;

/// A piece's place: which run, and where in it.
pub(in crate::run) type PiecePlace = (u64, usize);

/// A run that stands and has to be named.
#[derive(Debug)]
pub(in crate::run) struct NamedRun {
    pub(in crate::run) ruling: Ruling,
    pub(in crate::run) side: Side,
    pub(in crate::run) after: Option<Bound>,
    pub(in crate::run) through: Option<Bound>,
    pub(in crate::run) parts: PartCounts,
    pub(in crate::run) first_seen: Duration,
}

/// A one-sided range that was looked at again and stood.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::run) struct Ruled {
    pub(in crate::run) side: Side,
    pub(in crate::run) through: Option<Key>,
    pub(in crate::run) ruling: Ruling,
    pub(in crate::run) parts: PartCounts,
}

/// The runs of one mapping that are not named yet.
#[derive(Debug, Default)]
pub(in crate::run) struct OneSidedRuns {
    runs: HashMap<u64, Run>,
    next: u64,
    open: Option<u64>,
}

#[derive(Debug)]
struct Run {
    side: Side,
    after: Option<Bound>,
    pieces: Vec<Piece>,
    first_seen: Duration,
    closed: bool,
    outstanding: usize,
}

#[derive(Debug)]
struct Piece {
    range: KeyRange,
    standing: Option<(Ruling, PartCounts)>,
}

impl OneSidedRuns {
    /// A run begins behind this key.
    pub(in crate::run) fn begin(&mut self, side: Side, after: Option<Bound>, first_seen: Duration) {
        let run =
            Run { side, after, pieces: Vec::new(), first_seen, closed: false, outstanding: 0 };
        self.runs.insert(self.next, run);
        self.open = Some(self.next);
        self.next += 1;
    }

    /// The next piece of the run that is open.
    pub(in crate::run) fn piece(&mut self, range: KeyRange) -> Option<PiecePlace> {
        let number = self.open?;
        let run = self.runs.get_mut(&number)?;
        run.pieces.push(Piece { range, standing: None });
        run.outstanding += 1;
        Some((number, run.pieces.len() - 1))
    }

    /// The run that is open has all its pieces. Gives what can be named now.
    pub(in crate::run) fn close(&mut self) -> Vec<NamedRun> {
        let Some(number) = self.open.take() else { return Vec::new() };
        if let Some(run) = self.runs.get_mut(&number) {
            run.closed = true;
        }
        self.name(number)
    }

    /// A piece is settled: it stands with so many rows, or not at all. Gives what can be named now.
    pub(in crate::run) fn settled(
        &mut self,
        place: PiecePlace,
        standing: Option<(Ruling, PartCounts)>,
    ) -> Vec<NamedRun> {
        let (number, piece) = place;
        if let Some(run) = self.runs.get_mut(&number) {
            run.outstanding -= 1;
            run.pieces[piece].standing = standing;
            run.gather(piece);
        }
        self.name(number)
    }

    /// Nothing more will be settled. Gives what stands so far.
    pub(in crate::run) fn close_all(&mut self) -> Vec<NamedRun> {
        self.open = None;
        let runs = std::mem::take(&mut self.runs);
        runs.into_values().flat_map(Run::stretches).collect()
    }

    /// Whether every run is named.
    pub(in crate::run) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn name(&mut self, number: u64) -> Vec<NamedRun> {
        let ended = self.runs.get(&number).is_some_and(|run| run.closed && run.outstanding == 0);
        let run = if ended { self.runs.remove(&number) } else { None };
        run.map_or(Vec::new(), Run::stretches)
    }
}

impl Run {
    /// Moves the parts of a piece that stands, and of the stretch behind it, to the first piece of
    /// its stretch: what is held is so many groups a stretch, not a piece.
    fn gather(&mut self, piece: usize) {
        for at in [piece, piece + 1] {
            let first = self.first_of_stretch(at);
            let moved = match self.pieces.get_mut(at).and_then(|piece| piece.standing.as_mut()) {
                Some((_, parts)) if first != at => std::mem::take(parts),
                _ => continue,
            };
            if let Some((_, parts)) = &mut self.pieces[first].standing {
                parts.add_all(moved);
            }
        }
    }

    fn first_of_stretch(&self, piece: usize) -> usize {
        let ruling = |at: usize| self.pieces.get(at)?.standing.as_ref().map(|(ruling, _)| ruling);
        let goes_on = |at: &usize| ruling(*at).is_some() && ruling(*at) == ruling(piece);
        (0..piece).rev().take_while(goes_on).last().unwrap_or(piece)
    }

    /// What stands: stretches of neighbouring pieces that were ruled alike.
    fn stretches(self) -> Vec<NamedRun> {
        let mut stretches: Vec<NamedRun> = Vec::new();
        let mut goes_on = false;
        let mut start = self.after;
        for Piece { range, standing } in self.pieces {
            let through = range.through;
            let next_start = through.clone();
            match (standing, stretches.last_mut()) {
                (None, _) => goes_on = false,
                (Some((ruling, parts)), Some(last)) if goes_on && last.ruling == ruling => {
                    last.parts.add_all(parts);
                    last.through = through;
                }
                (Some((ruling, parts)), _) => {
                    let (side, first_seen) = (self.side, self.first_seen);
                    let after = start.take();
                    stretches.push(NamedRun { ruling, side, after, through, parts, first_seen });
                    goes_on = true;
                }
            }
            start = next_start;
        }
        stretches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Candidate, Recheck, RecheckOutcome, Subject};
    use crate::row::{Digest, Fingerprint, Key};
    use crate::schema::BySide;

    /// The only way to a ruling.
    fn confirmed() -> Ruling {
        let mut image = BySide::<Digest>::default();
        image.source.add(Fingerprint::of_row_hash(1));
        let subject = Subject::NullKeys(Side::Source);
        let mut candidate = Candidate::new(0, subject, image, Duration::ZERO, Duration::ZERO);
        let look = Recheck { at: Duration::ZERO, image, agree: false };
        match candidate.settle(&look, Duration::ZERO) {
            RecheckOutcome::Differs(ruling) => ruling,
            other => panic!("{other:?}"),
        }
    }

    fn bound(number: u8) -> Option<Bound> {
        Some(Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() })
    }

    /// So many rows that stand.
    fn stands(rows: u64) -> Option<(Ruling, PartCounts)> {
        let mut parts = PartCounts::default();
        parts.add(Some(b"g"), None, rows);
        Some((confirmed(), parts))
    }

    fn range(after: u8, through: u8) -> KeyRange {
        KeyRange { after: bound(after), through: bound(through) }
    }

    #[test]
    fn a_run_is_named_once_it_is_closed_and_all_its_pieces_are_settled() {
        let mut runs = OneSidedRuns::default();
        runs.begin(Side::Source, bound(1), Duration::ZERO);
        let first = runs.piece(range(2, 5)).unwrap();
        let second = runs.piece(range(5, 9)).unwrap();
        assert!(runs.settled(second, stands(4)).is_empty());
        assert!(runs.close().is_empty());
        let named = runs.settled(first, stands(3));
        assert_eq!(named.len(), 1);
        assert_eq!(
            (named[0].parts.rows(), &named[0].after, &named[0].through),
            (7, &bound(1), &bound(9))
        );
        assert!(runs.is_empty());
    }

    #[test]
    fn the_parts_of_a_stretch_are_held_once() {
        let mut runs = OneSidedRuns::default();
        runs.begin(Side::Source, None, Duration::ZERO);
        let places: Vec<_> = (0..4).map(|n| runs.piece(range(n, n + 1)).unwrap()).collect();
        for place in [3, 0, 2, 1] {
            runs.settled(places[place], stands(1));
        }
        let held = runs.runs[&0].pieces.iter().map(|piece| &piece.standing.as_ref().unwrap().1);
        assert_eq!(held.map(PartCounts::rows).collect::<Vec<_>>(), [4, 0, 0, 0]);
        assert_eq!(runs.close()[0].parts.rows(), 4);
    }

    #[test]
    fn a_piece_that_does_not_stand_divides_a_run() {
        let mut runs = OneSidedRuns::default();
        runs.begin(Side::Target, None, Duration::ZERO);
        let places: Vec<_> = (0..3).map(|n| runs.piece(range(n, n + 1)).unwrap()).collect();
        runs.close();
        runs.settled(places[0], stands(1));
        runs.settled(places[1], None);
        let named = runs.settled(places[2], stands(1));
        let ends: Vec<_> =
            named.iter().map(|run| (run.after.clone(), run.through.clone())).collect();
        assert_eq!(ends, [(None, bound(1)), (bound(2), bound(3))]);
    }
}
