//! The queue of candidates: each waits until it is due and is then looked at again.
//!
//! The queue is bounded: when it is full the scan waits, and no candidate is ever dropped.
//!
//! Where no index serves the key a look reads all of both tables, however few keys it is for. So such
//! looks are for many keys, and as long as the mapping is scanned they take a tenth of the time: a
//! look at the few that each chunk leaves would take the time of the scan many times over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::MappingState;
use super::one_sided::PiecePlace;
use crate::compare::PartCounts;
use crate::finding::{Candidate, Ruling, Subject};
use crate::plan::MappingPlan;
use crate::row::KeyRange;

/// A candidate with what the run has to remember of it.
#[derive(Debug)]
pub(in crate::run) struct Entry {
    pub(in crate::run) candidate: Candidate,
    /// The chunk that it was found in.
    pub(in crate::run) home: Arc<KeyRange>,
    /// The run that a range belongs to, and its place there.
    pub(in crate::run) piece: Option<PiecePlace>,
    /// Of a range, what was ruled before an interruption: it is only looked whether the other side has
    /// come by since.
    pub(in crate::run) ruled: Option<(Ruling, PartCounts)>,
}

/// Suspects that may be open before the scan waits.
const MOST_OPEN: usize = 60_000;
/// Bytes that their keys may hold.
const MOST_BYTES: usize = 8 << 20;

/// Pairs of the keys that are looked at together.
const PAIRS_AT_ONCE: usize = 20_000;
const MOST_KEYS: usize = 2_000;
/// So many times as many where no index serves the key.
const UNSERVED: usize = 10;
/// The most where values may be large: the findings of a batch are held at once.
const MOST_LARGE: usize = 200;
/// What is done else while a mapping is scanned, in times of a look that no index serves.
const SCANS_PER_LOOK: u32 = 9;

/// Keys of a mapping that are looked at together.
pub(in crate::run) fn keys_at_once(plan: &MappingPlan) -> usize {
    let times = if plan.served() { 1 } else { UNSERVED };
    let most = if plan.hashes_large_values { MOST_LARGE } else { MOST_KEYS * times };
    (PAIRS_AT_ONCE * times / plan.pairs.len()).clamp(20, most)
}

impl MappingState {
    /// The moment before which its candidates are not looked at while there is room for more.
    pub(in crate::run) fn looks_from(&self) -> Duration {
        let scans = self.pass.is_some() || !self.frontier.is_finished();
        if scans { self.looks_from } else { Duration::ZERO }
    }

    /// A look has taken so long.
    pub(in crate::run) fn has_looked(&mut self, took: Duration, now: Duration) {
        if !self.account.plan.served() {
            self.looks_from = now + took * SCANS_PER_LOOK;
        }
    }
}

/// When a candidate is due; of several the one first that came first.
type Due = (Duration, u64);

/// Suspects of each mapping by the moment at which they are due.
#[derive(Debug, Default)]
pub(in crate::run) struct Queue {
    waiting: BTreeMap<usize, BTreeMap<Due, Entry>>,
    next: u64,
    len: usize,
    bytes: usize,
}

impl Queue {
    pub(in crate::run) fn push(&mut self, entry: Entry) {
        self.bytes += entry.candidate.heap_size();
        self.len += 1;
        let waiting = self.waiting.entry(entry.candidate.mapping).or_default();
        waiting.insert((entry.candidate.due, self.next), entry);
        self.next += 1;
    }

    /// Whether the scan has to wait.
    pub(in crate::run) fn is_full(&self) -> bool {
        self.len >= MOST_OPEN || self.bytes >= MOST_BYTES
    }

    pub(in crate::run) fn len(&self) -> usize {
        self.len
    }

    pub(in crate::run) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The mapping whose candidates are looked at next, and when; none of a mapping is before the moment
    /// that `from` gives for it.
    pub(in crate::run) fn next_due(
        &self,
        from: impl Fn(usize) -> Duration,
    ) -> Option<(Duration, usize)> {
        let firsts = self.waiting.iter().filter_map(|(mapping, waiting)| {
            let ((due, place), _) = waiting.first_key_value()?;
            Some(((*due).max(from(*mapping)), *place, *mapping))
        });
        firsts.min().map(|(due, _, mapping)| (due, mapping))
    }

    /// Suspects of a mapping that are due and can be looked at together: so many keys, or one range.
    pub(in crate::run) fn take_due(
        &mut self,
        mapping: usize,
        now: Duration,
        most: usize,
    ) -> Vec<Entry> {
        let mut taken: Vec<Entry> = Vec::new();
        let Some(waiting) = self.waiting.get_mut(&mapping) else { return taken };
        while let Some(next) = waiting.first_entry() {
            let is_key = |entry: &Entry| matches!(entry.candidate.subject, Subject::Key(_));
            let fits = taken.first().is_none_or(|first| is_key(first) && is_key(next.get()));
            if next.key().0 > now || !fits || taken.len() >= most {
                break;
            }
            taken.push(next.remove());
        }
        self.left(&taken);
        taken
    }

    fn left(&mut self, taken: &[Entry]) {
        self.len -= taken.len();
        self.bytes -= taken.iter().map(|entry| entry.candidate.heap_size()).sum::<usize>();
    }

    /// Nothing was looked at for so long: no candidate has shown in that time that it keeps changing.
    pub(in crate::run) fn held_up(&mut self, by: Duration) {
        let waiting = self.waiting.values_mut().flat_map(BTreeMap::values_mut);
        waiting.for_each(|entry| entry.candidate.extend_patience(by));
    }

    /// Takes every candidate of a mapping out: it was ended.
    pub(in crate::run) fn drain_of(&mut self, mapping: usize) -> Vec<Entry> {
        let taken = self.waiting.remove(&mapping).unwrap_or_default();
        let taken: Vec<Entry> = taken.into_values().collect();
        self.left(&taken);
        taken
    }

    /// Takes every candidate out: the run was stopped.
    pub(in crate::run) fn drain(&mut self) -> impl Iterator<Item = Entry> {
        (self.len, self.bytes) = (0, 0);
        std::mem::take(&mut self.waiting).into_values().flat_map(BTreeMap::into_values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Key;
    use crate::schema::BySide;

    fn entry(mapping: usize, key: &[u8], due: u64) -> Entry {
        let subject = Subject::Key(Key::new([key]));
        let settle = Duration::from_secs(due);
        // due after `settle`, for settles of up to a second
        let mut candidate =
            Candidate::new(mapping, subject, BySide::default(), Duration::ZERO, settle);
        candidate.due = settle;
        Entry { candidate, home: Arc::new(KeyRange::everything()), piece: None, ruled: None }
    }

    #[test]
    fn suspects_come_out_when_due_in_batches_of_one_mapping() {
        let mut queue = Queue::default();
        for (mapping, due) in [(0, 1), (0, 2), (0, 9), (1, 3), (0, 4)] {
            queue.push(entry(mapping, b"k", due));
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
    fn a_mapping_that_has_to_wait_keeps_no_other_waiting() {
        let mut queue = Queue::default();
        [(0, 1), (1, 3)]
            .into_iter()
            .for_each(|(mapping, due)| queue.push(entry(mapping, b"k", due)));
        let later = |mapping| Duration::from_secs(if mapping == 0 { 7 } else { 0 });
        assert_eq!(queue.next_due(later), Some((Duration::from_secs(3), 1)));
        assert_eq!(queue.drain_of(1).len(), 1);
        assert_eq!(queue.next_due(later), Some((Duration::from_secs(7), 0)));
    }

    #[test]
    fn the_queue_counts_the_bytes_of_long_keys() {
        let mut queue = Queue::default();
        queue.push(entry(0, &vec![0; MOST_BYTES], 1));
        assert!(queue.is_full());
        queue.take_due(0, Duration::from_secs(2), 1);
        assert!(!queue.is_full() && queue.is_empty());
    }
}
