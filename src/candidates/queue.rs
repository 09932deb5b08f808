//! The queue of candidates: each waits until it is due and is then rechecked.
//!
//! The queue is bounded: while it is full the scan waits, and no candidate is ever dropped.
//!
//! Where no index serves the key, a recheck reads all of both tables, however few keys it is for. Such
//! rechecks are for many keys, and while the mapping is scanned they take a tenth of the time: a recheck
//! of the few keys that each chunk leaves would take many times as long as the scan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::open_ranges::PartPlace;
use crate::compare::PartCounts;
use crate::finding::{Candidate, Ruling, Subject};
use crate::plan::MappingPlan;
use crate::row::KeyRange;

/// A candidate with what the run needs to settle it.
#[derive(Debug)]
pub(crate) struct OpenCandidate {
    pub(crate) difference: Candidate,
    /// The chunk that it was found in.
    pub(crate) parent: Arc<KeyRange>,
    /// The one-sided range that it is a part of, and its place there.
    pub(crate) part: Option<PartPlace>,
    /// The ruling on a range that was confirmed before an interruption: it is rechecked only whether the
    /// other side has rows by now.
    pub(crate) confirmed: Option<(Ruling, PartCounts)>,
}

/// The maximum of open candidates before the scan waits.
const MOST_OPEN: usize = 60_000;
/// The maximum of bytes that their keys hold.
const MOST_BYTES: usize = 8 << 20;

/// The maximum of pairs that one recheck compares.
const PAIRS_PER_RECHECK: usize = 20_000;
/// The maximum of keys that one recheck reads.
const KEYS_PER_RECHECK: usize = 2_000;
/// The factor for both where no index serves the key.
const UNSERVED: usize = 10;
/// The maximum of keys where values may be large: the findings of a batch are in memory at once.
const LARGE_ROWS_PER_RECHECK: usize = 200;

/// Returns how many keys of a mapping are rechecked together.
pub(crate) fn keys_per_recheck(plan: &MappingPlan) -> usize {
    let factor = if plan.served() { 1 } else { UNSERVED };
    let most =
        if plan.hashes_large_values { LARGE_ROWS_PER_RECHECK } else { KEYS_PER_RECHECK * factor };
    (PAIRS_PER_RECHECK * factor / plan.pairs.len()).clamp(20, most)
}

/// When a candidate is due; of several the first that was added.
type DueAt = (Duration, u64);

/// The candidates of each mapping by the moment at which they are due.
#[derive(Debug, Default)]
pub(crate) struct RecheckQueue {
    waiting: BTreeMap<usize, BTreeMap<DueAt, OpenCandidate>>,
    next: u64,
    len: usize,
    bytes: usize,
}

impl RecheckQueue {
    /// Adds a candidate.
    pub(crate) fn push(&mut self, candidate: OpenCandidate) {
        self.bytes += candidate.difference.heap_size();
        self.len += 1;
        let waiting = self.waiting.entry(candidate.difference.mapping).or_default();
        waiting.insert((candidate.difference.due, self.next), candidate);
        self.next += 1;
    }

    /// Returns whether the scan has to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= MOST_OPEN || self.bytes >= MOST_BYTES
    }

    /// Returns the number of candidates.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no candidate.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the mapping whose candidates are rechecked next, and when. Those of a mapping are not
    /// rechecked before the moment that `from` returns for it.
    pub(crate) fn next_due(&self, from: impl Fn(usize) -> Duration) -> Option<(Duration, usize)> {
        let firsts = self.waiting.iter().filter_map(|(mapping, waiting)| {
            let ((due, place), _) = waiting.first_key_value()?;
            Some(((*due).max(from(*mapping)), *place, *mapping))
        });
        firsts.min().map(|(due, _, mapping)| (due, mapping))
    }

    /// Removes and returns candidates of a mapping that are due and are rechecked together: up to `most`
    /// keys, or one range.
    pub(crate) fn take_due(
        &mut self,
        mapping: usize,
        now: Duration,
        most: usize,
    ) -> Vec<OpenCandidate> {
        let mut taken: Vec<OpenCandidate> = Vec::new();
        let Some(waiting) = self.waiting.get_mut(&mapping) else { return taken };
        while let Some(next) = waiting.first_entry() {
            let is_key =
                |candidate: &OpenCandidate| matches!(candidate.difference.subject, Subject::Key(_));
            let fits = taken.first().is_none_or(|first| is_key(first) && is_key(next.get()));
            if next.key().0 > now || !fits || taken.len() >= most {
                break;
            }
            taken.push(next.remove());
        }
        self.subtract(&taken);
        taken
    }

    fn subtract(&mut self, taken: &[OpenCandidate]) {
        self.len -= taken.len();
        self.bytes -= taken.iter().map(|candidate| candidate.difference.heap_size()).sum::<usize>();
    }

    /// Postpones all candidates: nothing was rechecked for this long, so none has shown that it keeps
    /// changing.
    pub(crate) fn postpone(&mut self, by: Duration) {
        let waiting = self.waiting.values_mut().flat_map(BTreeMap::values_mut);
        waiting.for_each(|candidate| candidate.difference.extend_patience(by));
    }

    /// Removes and returns the candidates of a mapping.
    pub(crate) fn drain_of(&mut self, mapping: usize) -> Vec<OpenCandidate> {
        let taken = self.waiting.remove(&mapping).unwrap_or_default();
        let taken: Vec<OpenCandidate> = taken.into_values().collect();
        self.subtract(&taken);
        taken
    }

    /// Removes and returns all candidates.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = OpenCandidate> {
        (self.len, self.bytes) = (0, 0);
        std::mem::take(&mut self.waiting).into_values().flat_map(BTreeMap::into_values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Key;
    use crate::schema::BySide;

    fn candidate(mapping: usize, key: &[u8], due: u64) -> OpenCandidate {
        let subject = Subject::Key(Key::new([key]));
        let settle = Duration::from_secs(due);
        // a candidate is due after `settle`
        let mut difference =
            Candidate::new(mapping, subject, BySide::default(), Duration::ZERO, settle);
        difference.due = settle;
        OpenCandidate {
            difference,
            parent: Arc::new(KeyRange::everything()),
            part: None,
            confirmed: None,
        }
    }

    #[test]
    fn due_candidates_are_taken_in_batches_of_one_mapping() {
        let mut queue = RecheckQueue::default();
        for (mapping, due) in [(0, 1), (0, 2), (0, 9), (1, 3), (0, 4)] {
            queue.push(candidate(mapping, b"k", due));
        }
        let at_once = |_| Duration::ZERO;
        let mut take = |now| {
            let now = Duration::from_secs(now);
            let next = queue.next_due(at_once).filter(|(due, _)| *due <= now);
            next.map(|(_, mapping)| (mapping, queue.take_due(mapping, now, 2).len()))
        };
        assert_eq!(take(0), None);
        assert_eq!(
            [take(5), take(5), take(5), take(5)],
            [Some((0, 2)), Some((1, 1)), Some((0, 1)), None]
        );
        assert_eq!(queue.next_due(at_once), Some((Duration::from_secs(9), 0)));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_mapping_that_waits_does_not_delay_others() {
        let mut queue = RecheckQueue::default();
        [(0, 1), (1, 3)]
            .into_iter()
            .for_each(|(mapping, due)| queue.push(candidate(mapping, b"k", due)));
        let later = |mapping| Duration::from_secs(if mapping == 0 { 7 } else { 0 });
        assert_eq!(queue.next_due(later), Some((Duration::from_secs(3), 1)));
        assert_eq!(queue.drain_of(1).len(), 1);
        assert_eq!(queue.next_due(later), Some((Duration::from_secs(7), 0)));
    }

    #[test]
    fn the_queue_counts_the_bytes_of_long_keys() {
        let mut queue = RecheckQueue::default();
        queue.push(candidate(0, &vec![0; MOST_BYTES], 1));
        assert!(queue.is_full());
        queue.take_due(0, Duration::from_secs(2), 1);
        assert!(!queue.is_full() && queue.is_empty());
    }
}
