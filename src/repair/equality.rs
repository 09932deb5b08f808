//! Whether the equality operator of a column's type distinguishes the same values as a comparison does.
//!
//! A comparison distinguishes values by their bytes. The equality of some types does not: it holds
//! for 'a' and 'A' under a collation that is not deterministic, and for one day and 24 hours. Numbers
//! are no such types, because 1.0 and 1.00, and 0 and -0, are equal in a comparison, too.

use crate::schema::{Builtin, PgType, StoredColumn};

/// Returns whether `pg_catalog` has an equality and an order for a type.
pub fn ordered(pg_type: &PgType) -> bool {
    match pg_type.base() {
        PgType::Builtin(builtin) => !matches!(builtin, Builtin::Json | Builtin::Xid | Builtin::Cid),
        PgType::Enum | PgType::Range => true,
        _ => false,
    }
}

/// Returns whether the column's equality may hold for two values that differ in a comparison.
pub fn coarse(column: &StoredColumn) -> bool {
    match column.pg_type.base() {
        PgType::Builtin(builtin) => match builtin {
            Builtin::Interval
            | Builtin::Jsonb
            | Builtin::Int4Range
            | Builtin::Int8Range
            | Builtin::NumRange
            | Builtin::TsRange
            | Builtin::TsTzRange
            | Builtin::DateRange => true,
            _ => column.loose,
        },
        PgType::Enum => false,
        _ => true,
    }
}
