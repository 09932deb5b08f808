//! Whether the chunks of an interrupted run tile: rows that two of them cover would be counted twice.

use std::collections::HashMap;

use super::prior::PriorChunk;
use crate::row::{Bound, Key, KeyOrder, KeyRange};

/// Returns whether sorted chunks lie within a range and none begins before the one before it ends.
/// Gaps between them are read.
pub(super) fn tile(chunks: &[PriorChunk], within: &KeyRange, order: &KeyOrder) -> bool {
    let mut after = &within.after;
    for (place, PriorChunk { range, .. }) in chunks.iter().enumerate() {
        let (is_first, is_last) = (place == 0, place + 1 == chunks.len());
        let begins = match (after, &range.after) {
            (Some(end), Some(begin)) => order.compare(&end.key, &begin.key).is_le(),
            // Only the first may begin with an open end, and only the last end with one.
            (None, begin) => is_first || begin.is_some(),
            (Some(_), None) => false,
        };
        let has_keys = match (&range.after, &range.through) {
            (Some(begin), Some(end)) => order.compare(&begin.key, &end.key).is_lt(),
            (_, None) => is_last,
            (None, Some(_)) => true,
        };
        if !begins || !has_keys {
            return false;
        }
        after = &range.through;
    }
    match (after, &within.through) {
        (Some(end), Some(through)) => order.compare(&end.key, &through.key).is_le(),
        (None, through) => through.is_none() || chunks.is_empty(),
        (Some(_), None) => true,
    }
}

/// Sorts chunks by key. If only the servers know the order, each chunk is looked up behind the one
/// before it, and the rest is dropped: such chunks are stored in key order.
pub(super) fn sort(mut chunks: Vec<PriorChunk>, order: &KeyOrder) -> Vec<PriorChunk> {
    if order.is_known() {
        chunks.sort_by(|a, b| match (&a.range.through, &b.range.through) {
            (Some(a), Some(b)) => order.compare(&a.key, &b.key),
            (a, b) => a.is_none().cmp(&b.is_none()),
        });
        return chunks;
    }
    let key = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.key.clone());
    let mut behind: HashMap<Option<Key>, PriorChunk> =
        chunks.into_iter().map(|chunk| (key(&chunk.range.after), chunk)).collect();
    let mut chain: Vec<PriorChunk> = Vec::new();
    while let Some(next) = behind.remove(&chain.last().and_then(|last| key(&last.range.through))) {
        let is_last = next.range.through.is_none();
        chain.push(next);
        if is_last {
            break;
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::super::prior::PriorChunkState;
    use super::*;
    use crate::row::KeyField;

    fn bound(number: u8) -> Option<Bound> {
        Some(Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() })
    }

    fn chunk(after: Option<u8>, through: Option<u8>) -> PriorChunk {
        let range = KeyRange { after: after.and_then(bound), through: through.and_then(bound) };
        PriorChunk { chunk: 0, range, rows: 10, state: PriorChunkState::Clean(1) }
    }

    fn tiles(chunks: &[(Option<u8>, Option<u8>)], within: &KeyRange) -> bool {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let chunks = chunks.iter().map(|(after, through)| chunk(*after, *through)).collect();
        tile(&sort(chunks, &order), within, &order)
    }

    #[test]
    fn overlapping_or_backward_chunks_do_not_tile() {
        let all = KeyRange::everything();
        for strange in [
            &[(None, Some(20)), (Some(10), Some(30))][..],
            &[(None, Some(20)), (None, Some(30))],
            &[(Some(20), Some(20))],
            &[(Some(20), Some(10))],
            &[(None, None), (Some(20), None)],
        ] {
            assert!(!tiles(strange, &all), "{strange:?}");
        }
        for sound in [&[][..], &[(None, None)], &[(Some(30), None), (None, Some(20))]] {
            assert!(tiles(sound, &all), "{sound:?}");
        }
    }

    #[test]
    fn chunks_outside_their_range_do_not_tile() {
        let part = KeyRange { after: bound(10), through: bound(30) };
        for outside in
            [(None, Some(20)), (Some(5), Some(20)), (Some(20), Some(40)), (Some(20), None)]
        {
            assert!(!tiles(&[outside], &part), "{outside:?}");
        }
        assert!(tiles(&[(Some(10), Some(20)), (Some(25), Some(30))], &part));
    }
}
