//! The sequence that fills a column, and the numbers that the column can store.

use std::ops::RangeInclusive;

use super::{Builtin, ColumnName, ColumnType, PgType, TableName};

/// A column that a sequence fills if an INSERT has no value for it: an identity column, one whose default is
/// the sequence's next number, or the column that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceLink {
    /// The column.
    pub column: ColumnName,
    /// The sequence.
    pub sequence: TableName,
    /// The difference between one number and the next.
    pub increment: i64,
    /// The last number that it can return.
    pub end: i64,
    /// Whether the role may read it.
    pub readable: bool,
}

/// How a column stores the numbers of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numerals {
    /// As whole numbers, and nothing else.
    Whole,
    /// Beside fractions, `NaN`, and numbers larger than those of any sequence.
    Numeric,
    /// Beside other texts.
    Text,
}

impl Numerals {
    /// Returns how a column of this type stores them; `None` if it cannot.
    pub fn of(column: &ColumnType) -> Option<Numerals> {
        let PgType::Builtin(base) = column.pg_type.base() else { return None };
        match base {
            Builtin::Int2 | Builtin::Int4 | Builtin::Int8 => Some(Numerals::Whole),
            Builtin::Numeric => Some(Numerals::Numeric),
            Builtin::Text | Builtin::Varchar | Builtin::Bpchar => Some(Numerals::Text),
            _ => None,
        }
    }

    /// Returns the numbers of a sequence that a column of this type can store.
    pub fn held(column: &ColumnType) -> RangeInclusive<i64> {
        let all = i64::MIN..=i64::MAX;
        let PgType::Builtin(base) = column.pg_type.base() else { return all };
        // The modifier is a length, or a numeric's precision and scale, plus a header of four bytes.
        match (base, column.modifier - 4) {
            (Builtin::Int2, _) => i16::MIN.into()..=i16::MAX.into(),
            (Builtin::Int4, _) => i32::MIN.into()..=i32::MAX.into(),
            (Builtin::Numeric, modifier @ 0..) => {
                let largest = of_digits((modifier >> 16) - column.numeric_scale().unwrap_or(0));
                -largest..=largest
            }
            // The sign takes one character.
            (Builtin::Varchar | Builtin::Bpchar, length @ 0..) => {
                -of_digits(length - 1)..=of_digits(length)
            }
            _ => all,
        }
    }
}

/// Returns the largest number of so many digits, 0 for none.
fn of_digits(digits: i32) -> i64 {
    10_i64.checked_pow(digits.max(0).unsigned_abs()).map_or(i64::MAX, |power| power - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Collation;

    #[test]
    fn a_columns_type_limits_the_numbers() {
        let held = |base, modifier| {
            let column = ColumnType {
                display: String::new(),
                pg_type: PgType::Domain(Box::new(PgType::Builtin(base))),
                modifier,
                collation: Collation::None,
                collation_id: None,
            };
            Numerals::held(&column)
        };
        assert_eq!(held(Builtin::Int2, -1), -32_768..=32_767);
        assert_eq!(held(Builtin::Int8, -1), i64::MIN..=i64::MAX);
        assert_eq!(held(Builtin::Numeric, -1), i64::MIN..=i64::MAX);
        assert_eq!(held(Builtin::Numeric, (5 << 16 | 2) + 4), -999..=999);
        assert_eq!(held(Builtin::Numeric, (2 << 16 | 3) + 4), 0..=0);
        assert_eq!(held(Builtin::Numeric, (1000 << 16) + 4), -i64::MAX..=i64::MAX);
        assert_eq!(held(Builtin::Varchar, 1 + 4), 0..=9);
        assert_eq!(held(Builtin::Bpchar, 3 + 4), -99..=999);
        assert_eq!(held(Builtin::Varchar, 19 + 4).end(), &i64::MAX);
        assert_eq!(held(Builtin::Text, -1), i64::MIN..=i64::MAX);
    }
}
