//! Candidates and the rule by which one becomes a finding.
//!
//! ```text
//! first seen   recheck  recheck        recheck                            recheck
//!      │─ 1 s ──│── 2 s ──│───── 4 s ─────│──────── … at most `settle` ──────│
//!      └ clock starts                     └ a row changed: clock starts again
//!
//! healed      both sides agree in a recheck
//! confirmed   the clock has run for `settle`: neither row changed, and they still differ
//! unsettled   4 × `settle` after it was first seen (and three rechecks) it still differs and changes
//! ```
//!
//! `settle = 0` is for data without writes: there is one recheck, at once. If the rows still differ
//! and neither has changed, the difference is confirmed, otherwise it is unsettled.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Disposition;
use crate::row::{Digest, Key, KeyRange};
use crate::schema::{BySide, Side};

/// The rows that a candidate is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The rows of one key.
    Key(Key),
    /// A range of keys with rows on one side only.
    Range(KeyRange, Side),
    /// The rows of one side that have a NULL in their key.
    NullKeys(Side),
}

/// A difference that was seen and is not confirmed yet.
///
/// Times are durations on the run's own monotonic clock.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The mapping's place in the run.
    pub mapping: usize,
    /// The rows.
    pub subject: Subject,
    /// What the last recheck found on each side: how many rows, and the sum of their hashes.
    pub image: BySide<Digest>,
    /// When it was first seen.
    pub first_seen: Duration,
    /// When its next recheck is due.
    pub due: Duration,
    /// Since when neither row has changed.
    unchanged_since: Duration,
    /// The time between the last recheck and the next.
    interval: Duration,
    rechecks: u32,
    /// How long rechecks were impossible.
    delay: Duration,
}

/// One recheck of a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Recheck {
    /// When.
    pub at: Duration,
    /// What was found on each side.
    pub image: BySide<Digest>,
    /// Whether the sides agree: the same row on both, or no row on either.
    pub agree: bool,
}

/// The outcome of a recheck.
#[derive(Debug, PartialEq, Eq)]
pub enum RecheckOutcome {
    /// The sides agree.
    Healed,
    /// The difference is final: the ruling allows to make a finding.
    Differs(Ruling),
    /// Another recheck is needed, when it is due.
    Pending,
}

/// The permission to make a [`super::Finding`], which only [`Candidate::settle`] gives. A ledger
/// stores it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    disposition: Disposition,
}

impl Ruling {
    /// Returns the disposition of the finding.
    pub fn disposition(&self) -> Disposition {
        self.disposition
    }

    /// Returns the ruling for rows that match an accept rule: a confirmed difference is accepted,
    /// an unsettled one stays unsettled.
    #[must_use]
    pub fn accepted(&self) -> Ruling {
        match self.disposition {
            Disposition::Confirmed => Ruling { disposition: Disposition::Accepted },
            disposition => Ruling { disposition },
        }
    }
}

/// The time until the first recheck; each further one takes twice as long.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// After how many times `settle` a difference is unsettled.
const PATIENCE: u32 = 4;
/// The fewest rechecks after which a difference is unsettled.
const MIN_RECHECKS: u32 = 3;

impl Candidate {
    /// Makes a candidate of what the scan saw.
    pub fn new(
        mapping: usize,
        subject: Subject,
        image: BySide<Digest>,
        now: Duration,
        settle: Duration,
    ) -> Candidate {
        let interval = FIRST_INTERVAL.min(settle);
        Candidate {
            mapping,
            subject,
            image,
            first_seen: now,
            due: now + interval,
            unchanged_since: now,
            interval,
            rechecks: 0,
            delay: Duration::ZERO,
        }
    }

    /// Takes a recheck into account.
    pub fn settle(&mut self, recheck: &Recheck, settle: Duration) -> RecheckOutcome {
        self.rechecks += 1;
        let has_changed = recheck.image != self.image;
        self.image = recheck.image;
        if recheck.agree {
            return RecheckOutcome::Healed;
        }
        if has_changed {
            self.unchanged_since = recheck.at;
        }
        let is_stable = !has_changed && recheck.at.saturating_sub(self.unchanged_since) >= settle;
        if is_stable {
            return RecheckOutcome::Differs(Ruling { disposition: Disposition::Confirmed });
        }
        let patience_ends = self.first_seen + settle * PATIENCE + self.delay;
        let is_rechecked_enough = self.rechecks >= MIN_RECHECKS || settle.is_zero();
        if is_rechecked_enough && recheck.at >= patience_ends {
            return RecheckOutcome::Differs(Ruling { disposition: Disposition::Unsettled });
        }
        self.interval = (self.interval * 2).min(settle);
        // A recheck is due no later than the time at which it can decide.
        let decides_at = if is_rechecked_enough {
            patience_ends.min(self.unchanged_since + settle)
        } else {
            self.unchanged_since + settle
        };
        self.due = (recheck.at + self.interval).min(decides_at.max(recheck.at));
        RecheckOutcome::Pending
    }

    /// Extends the time in which the rows may settle by a time in which no recheck was possible.
    pub fn extend_patience(&mut self, by: Duration) {
        self.delay += by;
    }

    /// Returns how many rechecks there were.
    pub fn rechecks(&self) -> u32 {
        self.rechecks
    }

    /// Returns the bytes that it holds on the heap.
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

    fn candidate(settle: Duration) -> Candidate {
        let subject = Subject::Key(Key::new([&b"1"[..]]));
        Candidate::new(0, subject, image(1), Duration::ZERO, settle)
    }

    /// Rechecks a candidate whenever it is due, with the given images in turn (then always the last
    /// one).
    fn settle_with(settle: Duration, images: &[i64]) -> (Vec<u64>, RecheckOutcome) {
        let mut candidate = candidate(settle);
        let mut times = Vec::new();
        loop {
            let hash = *images.get(times.len()).or(images.last()).unwrap();
            let recheck = Recheck { at: candidate.due, image: image(hash), agree: false };
            times.push(recheck.at.as_secs());
            match candidate.settle(&recheck, settle) {
                RecheckOutcome::Pending => assert!(times.len() < 100, "never settled"),
                settled => return (times, settled),
            }
        }
    }

    fn differs(disposition: Disposition) -> RecheckOutcome {
        RecheckOutcome::Differs(Ruling { disposition })
    }

    #[test]
    fn an_unchanged_difference_is_confirmed_after_settle() {
        assert_eq!(settle_with(SETTLE, &[1]), (vec![1, 3, 7, 15], differs(Disposition::Confirmed)));
    }

    #[test]
    fn only_what_is_confirmed_can_be_accepted() {
        let covered = |disposition| Ruling { disposition }.accepted().disposition();
        assert_eq!(covered(Disposition::Confirmed), Disposition::Accepted);
        assert_eq!(covered(Disposition::Unsettled), Disposition::Unsettled);
    }

    #[test]
    fn a_change_starts_the_clock_again() {
        // It changed at the second recheck (3 s), so it is confirmed 15 s later.
        let (times, settled) = settle_with(SETTLE, &[1, 2]);
        assert_eq!((times, settled), (vec![1, 3, 7, 15, 18], differs(Disposition::Confirmed)));
    }

    #[test]
    fn a_difference_that_changes_is_unsettled_after_four_settle() {
        let ever_new: Vec<i64> = (2..100).collect();
        let (times, settled) = settle_with(SETTLE, &ever_new);
        assert_eq!(settled, differs(Disposition::Unsettled));
        assert_eq!(times.last(), Some(&60));
    }

    #[test]
    fn agreement_heals_in_any_recheck() {
        let mut candidate = candidate(SETTLE);
        let recheck = Recheck { at: SETTLE, image: BySide::default(), agree: true };
        assert_eq!(candidate.settle(&recheck, SETTLE), RecheckOutcome::Healed);
    }

    #[test]
    fn a_settle_of_zero_takes_one_recheck() {
        assert_eq!(settle_with(Duration::ZERO, &[1]), (vec![0], differs(Disposition::Confirmed)));
        assert_eq!(settle_with(Duration::ZERO, &[2]), (vec![0], differs(Disposition::Unsettled)));
    }

    #[test]
    fn a_short_settle_still_takes_three_rechecks() {
        let ever_new: Vec<i64> = (2..100).collect();
        let (times, settled) = settle_with(Duration::from_millis(200), &ever_new);
        assert_eq!(settled, differs(Disposition::Unsettled));
        assert!(times.len() >= 3);
    }

    #[test]
    fn a_time_without_rechecks_extends_the_patience() {
        let mut candidate = candidate(SETTLE);
        let recheck = |at: u64, hash: i64| Recheck {
            at: Duration::from_secs(at),
            image: image(hash),
            agree: false,
        };
        for (at, hash) in [(1, 2), (3, 3)] {
            assert_eq!(candidate.settle(&recheck(at, hash), SETTLE), RecheckOutcome::Pending);
        }
        candidate.extend_patience(Duration::from_secs(600));
        assert_eq!(candidate.settle(&recheck(605, 4), SETTLE), RecheckOutcome::Pending);
        assert_eq!(candidate.settle(&recheck(670, 5), SETTLE), differs(Disposition::Unsettled));
    }

    #[test]
    fn a_row_that_returns_to_its_old_values_has_changed() {
        // 1 → 2 → 1: the clock must start again.
        let (times, settled) = settle_with(SETTLE, &[2, 1]);
        assert_eq!((times.last(), settled), (Some(&18), differs(Disposition::Confirmed)));
    }
}
