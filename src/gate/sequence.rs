//! Sequences of the target: whether the next value is one that no row has.
//!
//! While both systems write, the service's rows have the monolith's numbers, and the target's
//! sequences do not advance. The first insert after the flip could then take a number that is in
//! use.

use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use crate::schema::{ColumnName, TableName};

/// Values that a server writes to its log in advance (`SEQ_LOG_VALS`); a standby sees these.
const LOGGED_AHEAD: i128 = 32;

/// A sequence that fills a column which the mapping writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sequence {
    /// The mapping.
    pub mapping: String,
    /// The sequence.
    #[serde(rename = "sequence", serialize_with = "name")]
    pub name: TableName,
    /// The table.
    #[serde(serialize_with = "name")]
    pub table: TableName,
    /// The column.
    #[serde(serialize_with = "column_name")]
    pub column: ColumnName,
    /// The last value returned, or the first that will be.
    pub last_value: i64,
    /// Whether the last value was returned.
    pub is_called: bool,
    /// The step from one value to the next.
    pub increment: i64,
    /// The limit; beyond it an INSERT fails, or the sequence starts again.
    pub end: i64,
    /// The values that the column can hold.
    pub holds: RangeInclusive<i64>,
    /// The last number in the column, in the direction in which the sequence counts; `None` if
    /// there is none.
    pub last_key: Option<i128>,
    /// Whether the column is redacted, so that its last number is not shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub redacted: bool,
    /// Why the last number could not be read, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
    /// Whether a standby returned it, which is up to 32 values ahead of its primary.
    pub standby: bool,
}

fn name<S: Serializer>(name: &TableName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

fn column_name<S: Serializer>(name: &ColumnName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&name.0)
}

impl Sequence {
    /// Returns the sequence as it is shown: without the last number of a redacted column.
    #[must_use]
    pub fn shown(&self) -> Sequence {
        Sequence { last_key: self.last_key.filter(|_| !self.redacted), ..self.clone() }
    }

    /// Returns the earliest possible next value.
    pub fn next(&self) -> i128 {
        let next = self.next_read();
        let ahead = LOGGED_AHEAD * i128::from(self.increment);
        if self.standby && self.is_called { next - ahead } else { next }
    }

    /// Returns the next value by what was read; on a standby the primary's may be earlier.
    pub fn next_read(&self) -> i128 {
        let (last, step) = (i128::from(self.last_value), i128::from(self.increment));
        if self.is_called { last + step } else { last }
    }

    /// Returns whether the last value was returned: the next is beyond the limit.
    pub fn is_at_its_end(&self) -> bool {
        let (next, end) = (self.next_read(), i128::from(self.end));
        self.is_called && if self.increment < 0 { next < end } else { next > end }
    }

    /// Returns whether the column can hold the next value.
    pub fn fits(&self) -> bool {
        i64::try_from(self.next_read()).is_ok_and(|next| self.holds.contains(&next))
    }

    /// Returns whether there is a next value that fits, and no row has it or a later one.
    pub fn is_ahead(&self) -> bool {
        let ahead = |key| match self.increment {
            0.. => self.next() > key,
            _ => self.next() < key,
        };
        let known = self.unknown.is_none();
        known && !self.is_at_its_end() && self.fits() && self.last_key.is_none_or(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaName;

    fn sequence(last_value: i64, is_called: bool, last_key: Option<i128>) -> Sequence {
        let name = |name: &str| TableName { schema: SchemaName("s".into()), name: name.into() };
        Sequence {
            mapping: "t".into(),
            name: name("t_id_seq"),
            table: name("t"),
            column: ColumnName("id".into()),
            last_value,
            is_called,
            increment: 1,
            end: i64::MAX,
            holds: i64::MIN..=i64::MAX,
            last_key,
            redacted: false,
            unknown: None,
            standby: false,
        }
    }

    #[test]
    fn a_sequence_is_ahead_if_its_next_number_is() {
        assert!(sequence(7, true, Some(7)).is_ahead());
        assert!(!sequence(6, true, Some(7)).is_ahead());
        // setval(…, 7, false) gives 7 next.
        assert!(!sequence(7, false, Some(7)).is_ahead());
        assert!(sequence(8, false, Some(7)).is_ahead());
        assert!(sequence(1, false, None).is_ahead());
        assert!(!sequence(1, false, Some(1)).is_ahead());
        assert!(!sequence(1, false, Some(i128::from(i64::MAX) + 1)).is_ahead());
        let unknown = Some("canceling statement due to statement timeout".into());
        assert!(!Sequence { unknown, ..sequence(1, true, None) }.is_ahead());
    }

    #[test]
    fn an_exhausted_sequence_has_no_free_value() {
        let last = |called| Sequence { end: 9, ..sequence(9, called, Some(8)) };
        assert!(!last(true).is_ahead());
        assert!(last(false).is_ahead());
        let step = |last, increment, end| {
            let key = Some(i128::from(last));
            Sequence { end, increment, ..sequence(last, true, key) }.is_ahead()
        };
        assert!(!step(95, 10, 100));
        assert!(step(90, 10, 100));
        assert!(!step(-91, -10, -100));
        assert!(step(-90, -10, -100));
        assert!(!step(i64::MAX - 1, 2, i64::MAX));
    }

    #[test]
    fn the_next_number_must_fit_the_column() {
        let of = |last, called| Sequence { holds: -9..=9, ..sequence(last, called, None) };
        assert!(of(9, false).is_ahead());
        assert!(of(8, true).is_ahead());
        assert!(!of(9, true).is_ahead());
        assert!(!of(-11, true).is_ahead());
        assert!(of(-10, true).is_ahead());
        assert!(!Sequence { standby: true, ..of(9, true) }.is_ahead());
    }

    #[test]
    fn a_sequence_may_count_in_steps_and_down() {
        let stepping = |last, increment, key| {
            let end = if increment < 0 { i64::MIN } else { i64::MAX };
            Sequence { increment, end, ..sequence(last, true, Some(key)) }
        };
        assert!(stepping(10, 10, 15).is_ahead());
        assert!(!stepping(10, 10, 20).is_ahead());
        assert!(stepping(-5, -1, -5).is_ahead());
        assert!(!stepping(-5, -1, -6).is_ahead());
    }

    #[test]
    fn a_standby_may_be_ahead_of_its_primary() {
        let replayed =
            |last, called| Sequence { standby: true, ..sequence(last, called, Some(10)) };
        assert!(!replayed(41, true).is_ahead());
        assert!(replayed(42, true).is_ahead());
        assert!(replayed(11, false).is_ahead());
    }
}
