//! How a table tells the values of a key's column apart: by an equality that may take two values for one
//! which compare tells apart, since it goes by bytes.
//!
//! Numbers are none of these: 1.0 and 1.00, 0 and -0 are one to compare, too.

use crate::schema::{Builtin, PgType, StoredColumn};

/// Whether `pg_catalog` has an equality and an order for a type that tell its values apart.
pub fn ordered(pg_type: &PgType) -> bool {
    match pg_type.base() {
        PgType::Builtin(builtin) => !matches!(builtin, Builtin::Json | Builtin::Xid | Builtin::Cid),
        PgType::Enum | PgType::Range => true,
        _ => false,
    }
}

/// Whether values of different bytes may be equal in a column while compare tells them apart: 'a' and
/// 'A' of a collation that is not deterministic, a day and 24 hours.
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
