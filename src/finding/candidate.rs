//! A suspect and how it is settled: the policy that decides what becomes a finding.
//!
//! ```text
//! first sight   look     look            look                               look
//!      │─ 1 s ──│── 2 s ──│───── 4 s ─────│──────── … capped at `settle` ────│
//!      └ clock starts                     └ a row moved: clock starts again
//!
//! healed      both sides agree at some look
//! confirmed   the clock has run for `settle`: neither row moved, and they still differ
//! unsettled   4 × `settle` after first sight (and three looks) it still differs and still moves
//! ```
//!
//! `settle = 0` is the policy for data that nobody writes: one second look at once; different again
//! with both rows as before is confirmed, anything else that differs is unsettled.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Disposition;
use crate::row::{Digest, Key, KeyRange};
use crate::schema::{BySide, Side};

/// What is in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The rows of one key.
    Key(Key),
    /// A range of keys with rows on one side only.
    Range(KeyRange, Side),
    /// The rows of one side that have a NULL in their key.
    NullKeys(Side),
}

/// A difference that was seen and has yet to stand still.
///
/// Times are durations on the run's own monotonic clock.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Which mapping, by its place in the run.
    pub mapping: usize,
    /// What is in doubt.
    pub subject: Subject,
    /// What the last look found on each side: how many rows, and the sum of their hashes.
    pub image: BySide<Digest>,
    /// When it was first seen.
    pub first_seen: Duration,
    /// When it is to be looked at next.
    pub due: Duration,
    clock: Duration,
    pause: Duration,
    looks: u32,
    /// How long nobody could look.
    held_up: Duration,
}

/// One more look at a suspect.
#[derive(Clone, Copy, Debug)]
pub struct Recheck {
    /// When.
    pub at: Duration,
    /// What was found on each side.
    pub image: BySide<Digest>,
    /// Whether the sides agree: the same row on both, or no row on either.
    pub agree: bool,
}

/// What a look has made of a suspect.
#[derive(Debug, PartialEq, Eq)]
pub enum RecheckOutcome {
    /// The sides agree.
    Healed,
    /// It is a finding, and this is the right to make it one.
    Differs(Ruling),
    /// It has to be looked at again, when it is due.
    Pending,
}

/// The right to make a [`super::Finding`]; only [`Candidate::settle`] gives it. A ledger keeps what it
/// has given.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    disposition: Disposition,
}

impl Ruling {
    /// Whether the difference stood still or kept changing.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// The same for rows that an accept rule covers: what is confirmed is accepted. What kept changing
    /// is covered by no rule.
    #[must_use]
    pub fn covered(&self) -> Ruling {
        match self.disposition {
            Disposition::Confirmed => Ruling { disposition: Disposition::Accepted },
            disposition => Ruling { disposition },
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PATIENCE: u32 = 4;
const LEAST_LOOKS: u32 = 3;

impl Candidate {
    /// A suspect as the scan saw it.
    pub fn new(
        mapping: usize,
        subject: Subject,
        image: BySide<Digest>,
        now: Duration,
        settle: Duration,
    ) -> Candidate {
        let pause = FIRST_PAUSE.min(settle);
        Candidate {
            mapping,
            subject,
            image,
            first_seen: now,
            due: now + pause,
            clock: now,
            pause,
            looks: 0,
            held_up: Duration::ZERO,
        }
    }

    /// Takes one more look into account.
    pub fn settle(&mut self, look: &Recheck, settle: Duration) -> RecheckOutcome {
        self.looks += 1;
        let moved = look.image != self.image;
        self.image = look.image;
        if look.agree {
            return RecheckOutcome::Healed;
        }
        if moved {
            self.clock = look.at;
        }
        let stood = !moved && look.at.saturating_sub(self.clock) >= settle;
        if stood {
            return RecheckOutcome::Differs(Ruling { disposition: Disposition::Confirmed });
        }
        let patience_ends = self.first_seen + settle * PATIENCE + self.held_up;
        let looked_enough = self.looks >= LEAST_LOOKS || settle.is_zero();
        if looked_enough && look.at >= patience_ends {
            return RecheckOutcome::Differs(Ruling { disposition: Disposition::Unsettled });
        }
        self.pause = (self.pause * 2).min(settle);
        // A look is due no later than the moment at which it could decide.
        let decides = if looked_enough {
            patience_ends.min(self.clock + settle)
        } else {
            self.clock + settle
        };
        self.due = (look.at + self.pause).min(decides.max(look.at));
        RecheckOutcome::Pending
    }

    /// Nobody could look for so long: that is no part of the time in which it may come to rest.
    pub fn held_up(&mut self, by: Duration) {
        self.held_up += by;
    }

    /// Looks taken since the first sight.
    pub fn looks(&self) -> u32 {
        self.looks
    }

    /// Bytes that it holds outside of itself.
    pub fn heap_size(&self) -> usize {
        match &self.subject {
            Subject::Key(key) => key.heap_size(),
            Subject::Range(..) | Subject::NullKeys(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Fingerprint;

    const SETTLE: Duration = Duration::from_secs(15);

    fn image(hash: i64) -> BySide<Digest> {
        let mut digest = Digest::default();
        digest.add(Fingerprint::of_row_hash(hash));
        BySide { source: digest, target: Digest::default() }
    }

    fn suspect(settle: Duration) -> Candidate {
        let subject = Subject::Key(Key::new([&b"1"[..]]));
        Candidate::new(0, subject, image(1), Duration::ZERO, settle)
    }

    /// Looks whenever it is due, at the images given in turn (the last one for ever after).
    fn watch(settle: Duration, images: &[i64]) -> (Vec<u64>, RecheckOutcome) {
        let mut suspect = suspect(settle);
        let mut looks = Vec::new();
        loop {
            let hash = *images.get(looks.len()).or(images.last()).unwrap();
            let look = Recheck { at: suspect.due, image: image(hash), agree: false };
            looks.push(look.at.as_secs());
            match suspect.settle(&look, settle) {
                RecheckOutcome::Pending => assert!(looks.len() < 100, "never settled"),
                settled => return (looks, settled),
            }
        }
    }

    fn standing(disposition: Disposition) -> RecheckOutcome {
        RecheckOutcome::Differs(Ruling { disposition })
    }

    #[test]
    fn what_stands_still_is_confirmed_when_the_clock_has_run() {
        assert_eq!(watch(SETTLE, &[1]), (vec![1, 3, 7, 15], standing(Disposition::Confirmed)));
    }

    #[test]
    fn only_what_is_confirmed_can_be_accepted() {
        let covered = |disposition| Ruling { disposition }.covered().disposition();
        assert_eq!(covered(Disposition::Confirmed), Disposition::Accepted);
        assert_eq!(covered(Disposition::Unsettled), Disposition::Unsettled);
    }

    #[test]
    fn a_move_starts_the_clock_again() {
        // It moved at the second look (3 s): confirmed 15 s later, not before.
        let (looks, settled) = watch(SETTLE, &[1, 2]);
        assert_eq!((looks, settled), (vec![1, 3, 7, 15, 18], standing(Disposition::Confirmed)));
    }

    #[test]
    fn what_keeps_moving_is_unsettled_after_four_times_settle() {
        let ever_new: Vec<i64> = (2..100).collect();
        let (looks, settled) = watch(SETTLE, &ever_new);
        assert_eq!(settled, standing(Disposition::Unsettled));
        assert_eq!(looks.last(), Some(&60));
    }

    #[test]
    fn agreement_heals_at_any_look() {
        let mut suspect = suspect(SETTLE);
        let look = Recheck { at: SETTLE, image: BySide::default(), agree: true };
        assert_eq!(suspect.settle(&look, SETTLE), RecheckOutcome::Healed);
    }

    #[test]
    fn a_settle_of_zero_is_one_second_look_at_once() {
        assert_eq!(watch(Duration::ZERO, &[1]), (vec![0], standing(Disposition::Confirmed)));
        assert_eq!(watch(Duration::ZERO, &[2]), (vec![0], standing(Disposition::Unsettled)));
    }

    #[test]
    fn a_short_settle_still_takes_three_looks_before_it_calls_a_row_unsettled() {
        let ever_new: Vec<i64> = (2..100).collect();
        let (looks, settled) = watch(Duration::from_millis(200), &ever_new);
        assert_eq!(settled, standing(Disposition::Unsettled));
        assert!(looks.len() >= 3);
    }

    #[test]
    fn a_time_in_which_nobody_looked_is_no_time_in_which_it_moved() {
        let mut suspect = suspect(SETTLE);
        let look = |at: u64, hash: i64| Recheck {
            at: Duration::from_secs(at),
            image: image(hash),
            agree: false,
        };
        for (at, hash) in [(1, 2), (3, 3)] {
            assert_eq!(suspect.settle(&look(at, hash), SETTLE), RecheckOutcome::Pending);
        }
        suspect.held_up(Duration::from_secs(600));
        assert_eq!(suspect.settle(&look(605, 4), SETTLE), RecheckOutcome::Pending);
        assert_eq!(suspect.settle(&look(670, 5), SETTLE), standing(Disposition::Unsettled));
    }

    #[test]
    fn a_row_that_comes_back_to_its_old_values_has_moved() {
        // 1 → 2 → 1: the clock must not have run on from the first 1.
        let (looks, settled) = watch(SETTLE, &[2, 1]);
        assert_eq!((looks.last(), settled), (Some(&18), standing(Disposition::Confirmed)));
    }
}
