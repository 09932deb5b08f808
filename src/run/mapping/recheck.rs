//! The queue of suspects: each waits until it is due and is then looked at again.
//!
//! The queue is bounded: when it is full the scan waits, and no suspect is ever dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::one_sided::PiecePlace;
use crate::compare::Parts;
use crate::finding::{Ruling, Subject, Suspect};
use crate::row::KeyRange;

/// A suspect with what the run has to remember of it.
#[derive(Debug)]
pub(in crate::run) struct Entry {
    pub(in crate::run) suspect: Suspect,
    /// The chunk that it was found in.
    pub(in crate::run) home: Arc<KeyRange>,
    /// The run that a range belongs to, and its place there.
    pub(in crate::run) piece: Option<PiecePlace>,
    /// Of a range, what was ruled before an interruption: it is only looked whether the other side has
    /// come by since.
    pub(in crate::run) ruled: Option<(Ruling, Parts)>,
}

/// Suspects that may be open before the scan waits.
const MOST_OPEN: usize = 60_000;
/// Bytes that their keys may hold.
const MOST_BYTES: usize = 8 << 20;

/// Suspects by the moment at which they are due.
#[derive(Debug, Default)]
pub(in crate::run) struct Queue {
    waiting: BTreeMap<(Duration, u64), Entry>,
    next: u64,
    bytes: usize,
}

impl Queue {
    pub(in crate::run) fn push(&mut self, entry: Entry) {
        self.bytes += entry.suspect.heap_size();
        self.waiting.insert((entry.suspect.due, self.next), entry);
        self.next += 1;
    }

    /// Whether the scan has to wait.
    pub(in crate::run) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_OPEN || self.bytes >= MOST_BYTES
    }

    pub(in crate::run) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(in crate::run) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the next suspect is due.
    pub(in crate::run) fn next_due(&self) -> Option<Duration> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Suspects that are due and can be looked at together: keys of one mapping, or one range.
    pub(in crate::run) fn take_due(
        &mut self,
        now: Duration,
        batch: impl Fn(usize) -> usize,
    ) -> Option<Vec<Entry>> {
        let mut taken: Vec<Entry> = Vec::new();
        while let Some(next) = self.waiting.first_entry() {
            let suspect = &next.get().suspect;
            let fits = taken.first().is_none_or(|first| {
                first.suspect.mapping == suspect.mapping
                    && matches!(
                        (&first.suspect.subject, &suspect.subject),
                        (Subject::Key(_), Subject::Key(_))
                    )
            });
            if next.key().0 > now || !fits || taken.len() >= batch(suspect.mapping) {
                break;
            }
            let entry = next.remove();
            self.bytes -= entry.suspect.heap_size();
            taken.push(entry);
        }
        (!taken.is_empty()).then_some(taken)
    }

    /// Nothing was looked at for so long: no suspect has shown in that time that it keeps changing.
    pub(in crate::run) fn held_up(&mut self, by: Duration) {
        self.waiting.values_mut().for_each(|entry| entry.suspect.held_up(by));
    }

    /// Takes every suspect of a mapping out: it was ended.
    pub(in crate::run) fn drain_of(&mut self, mapping: usize) -> Vec<Entry> {
        let (taken, waiting): (BTreeMap<_, _>, _) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, entry)| entry.suspect.mapping == mapping);
        self.waiting = waiting;
        self.bytes -= taken.values().map(|entry| entry.suspect.heap_size()).sum::<usize>();
        taken.into_values().collect()
    }

    /// Takes every suspect out: the run was stopped.
    pub(in crate::run) fn drain(&mut self) -> impl Iterator<Item = Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting).into_values()
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
        let mut suspect = Suspect::new(mapping, subject, BySide::default(), Duration::ZERO, settle);
        suspect.due = settle;
        Entry { suspect, home: Arc::new(KeyRange::everything()), piece: None, ruled: None }
    }

    #[test]
    fn suspects_come_out_when_due_in_batches_of_one_mapping() {
        let mut queue = Queue::default();
        for (mapping, due) in [(0, 1), (0, 2), (0, 9), (1, 3), (0, 4)] {
            queue.push(entry(mapping, b"k", due));
        }
        let mut take =
            |now| queue.take_due(Duration::from_secs(now), |_| 10).map(|taken| taken.len());
        assert_eq!(take(0), None);
        assert_eq!(take(5), Some(2));
        assert_eq!(take(5), Some(1));
        assert_eq!(take(5), Some(1));
        assert_eq!(take(5), None);
        assert_eq!(queue.next_due(), Some(Duration::from_secs(9)));
    }

    #[test]
    fn the_queue_counts_the_bytes_of_long_keys() {
        let mut queue = Queue::default();
        queue.push(entry(0, &vec![0; MOST_BYTES], 1));
        assert!(queue.is_full());
        queue.take_due(Duration::from_secs(2), |_| 1);
        assert!(!queue.is_full());
    }
}
