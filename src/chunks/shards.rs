//! The shards of a run of many processes: key ranges that tile a mapping, with about equally many rows.
//! A wrong estimate of their rows affects only how evenly the work is distributed.

use crate::row::{Bound, KeyOrder, KeyRange};

/// Returns the bounds of a histogram that cut a table into `wanted` ranges of about equally many rows.
pub(crate) fn bounds_between(bounds: Vec<Bound>, wanted: usize) -> Vec<Bound> {
    // The first and the last bound are the smallest and the largest key.
    let inner = bounds.len().saturating_sub(2);
    let every = (inner + 1).div_ceil(wanted).max(1);
    bounds.into_iter().take(inner + 1).skip(every).step_by(every).collect()
}

/// Returns the ranges between bounds, the first and the last with open ends.
pub(crate) fn tiles_between(bounds: Vec<Bound>, order: &KeyOrder) -> Vec<KeyRange> {
    let mut ranges = Vec::new();
    let mut rest = KeyRange::everything();
    for bound in bounds {
        // A sample may have a key twice where no index proves the key.
        let is_behind = |after: &Bound| order.compare(&bound.key, &after.key).is_gt();
        if rest.after.as_ref().is_none_or(is_behind) {
            let (range, behind) = rest.cut(bound);
            ranges.push(range);
            rest = behind;
        }
    }
    ranges.push(rest);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{Key, KeyField};

    #[test]
    fn a_key_that_was_sampled_twice_is_one_bound() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        let ranges = tiles_between([1, 1, 2].map(bound).into(), &order);
        let ends: Vec<_> = ranges.iter().map(|range| range.through.clone()).collect();
        assert_eq!(ends, [Some(bound(1)), Some(bound(2)), None]);
    }

    fn bound(number: u8) -> Bound {
        Bound { key: Key::new([&[number][..]]), text: [number.to_string()].into() }
    }

    #[test]
    fn shards_tile_and_have_about_the_wanted_number() {
        let order = KeyOrder(vec![KeyField::Bytes]);
        for (count, wanted, expected) in [
            (0, 4, 1),
            (2, 4, 1),
            (3, 4, 2),
            (101, 10, 10),
            (101, 7, 7),
            (101, 1, 1),
            (11, 100, 10),
        ] {
            let bounds = bounds_between((0..count).map(bound).collect(), wanted);
            let ranges = tiles_between(bounds, &order);
            assert_eq!(ranges.len(), expected, "{count} {wanted}");
            assert_eq!(ranges[0].after, None);
            assert_eq!(ranges[ranges.len() - 1].through, None);
            for pair in ranges.windows(2) {
                assert_eq!(pair[0].through, pair[1].after);
                assert!(pair[0].through.is_some());
            }
        }
    }
}
