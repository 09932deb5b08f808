//! Causes of a difference between two times: truncated, rounded, or shifted by a constant.

use super::cause::Cause;
use super::moment::{Moment, Unit};
use crate::schema::Side;

/// Adds the causes of a difference between two times.
pub(super) fn add_causes(source: &str, target: &str, found: &mut Vec<Cause>) {
    let (Some(source), Some(target)) = (Moment::parse(source), Moment::parse(target)) else {
        return;
    };
    if !source.is_comparable(target) || source == target {
        return;
    }
    // A shift that repeats explains more than that one of the two times is round, so it comes
    // first.
    found.push(Cause::Shift(target.nanos - source.nanos));
    for (fine, coarse, side) in [(source, target, Side::Target), (target, source, Side::Source)] {
        for unit in Unit::ALL {
            let one = unit.nanos();
            if coarse.nanos == fine.nanos.div_euclid(one) * one {
                found.push(Cause::TimeCutOff(side, unit));
            }
            if coarse.nanos == (fine.nanos + one / 2).div_euclid(one) * one {
                found.push(Cause::TimeRounded(side, unit));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::moment::SECOND;

    fn found(source: &str, target: &str) -> Vec<Cause> {
        let mut found = Vec::new();
        add_causes(source, target, &mut found);
        found
    }

    #[test]
    fn truncated_and_shifted_times_are_recognised() {
        let (target, source) = (Side::Target, Side::Source);
        let first = |one, other| found(one, other)[1];
        let cut = Cause::TimeCutOff;
        assert_eq!(
            first("2026-03-07 16:52:26.555014+00", "2026-03-07 16:52:26+00"),
            cut(target, Unit::Second)
        );
        assert_eq!(first("10:00:00.123", "10:00:00.123456"), cut(source, Unit::Millisecond));
        assert_eq!(first("2026-01-01", "2026-01-01 05:00:00"), cut(source, Unit::Day));
        let rounded = Cause::TimeRounded(target, Unit::Millisecond);
        assert_eq!(first("10:00:00.1239", "10:00:00.124"), rounded);
        let shifted = found("2026-03-07 16:00:01+00", "2026-03-07 18:00:01.000001+00");
        assert_eq!(shifted[0], Cause::Shift(7_200 * SECOND + 1_000));
        assert_eq!(found("2026-03-07 16:00:00+00", "2026-03-07 18:00:00"), []);
    }
}
