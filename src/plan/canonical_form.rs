//! The canonical form of a pair: the one form in which both sides say its values.
//!
//! Two values are equal exactly if their canonical forms are the same bytes, NULL equal to NULL. There is
//! one equality for digest, stream and the diff of a row, or a row would differ in one and agree in
//! another. The canonical form has a built-in type, so its bytes mean the same on every server. `sql` spells
//! it; here stands what it is and how far a server's hash of it can be trusted.

use crate::row::KeyField;
use crate::schema::Builtin;
use crate::spec::Precision;

/// The agreed form of a pair's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalForm {
    /// The value itself, in this built-in type.
    As(Builtin),
    /// `numeric` without trailing zeros: 1.0 and 1.00 are one value.
    TrimmedNumeric,
    /// A float with -0 folded into 0 and every NaN into one.
    Float(Builtin),
    /// Text, byte for byte; also enums by label, `char(n)` without its padding.
    Text,
    /// The type's own text.
    Rendered,
    /// jsonb's text, for a json and a jsonb column that meet and for the rule `json`: structure, not
    /// text. Numbers keep their scale: 1 and 1.0 differ.
    JsonbText,
    /// The text of an array cast to an array of this type.
    ArrayText(Builtin),
    /// Text without ASCII whitespace at its ends.
    TrimmedText,
    /// Text whose ASCII letters are in lower case. The case of other letters depends on a server's
    /// locale, so the client folds it, for rows that still differ.
    LowerText,
    /// Text, an empty one for NULL.
    NullAsEmpty,
    /// A time of this type, cut off behind a unit.
    Truncated(Builtin, Precision),
    /// `numeric` rounded to so many places, without trailing zeros.
    Rounded(u16),
}

/// In which form a canonical form enters the server's row hash.
///
/// A type is native only if its built-in hash sees every bit. The hashes of int8, the times, money
/// and pg_lsn fold 64 bits to 32 (-5 and 4294967291 hash alike), numeric's leaves out the sign,
/// float's confuses 0 with NULL under seed 0, jsonb's rotates and xors: all of these go in as the
/// bytes of their `send` function, or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestForm {
    /// The canonical form itself.
    Native,
    /// What this function makes of it.
    Send(&'static str),
}

impl CanonicalForm {
    /// The built-in type of the canonical form, in which it travels.
    pub fn wire(self) -> Builtin {
        match self {
            CanonicalForm::As(builtin)
            | CanonicalForm::Float(builtin)
            | CanonicalForm::Truncated(builtin, _) => builtin,
            CanonicalForm::TrimmedNumeric | CanonicalForm::Rounded(_) => Builtin::Numeric,
            CanonicalForm::Text
            | CanonicalForm::Rendered
            | CanonicalForm::JsonbText
            | CanonicalForm::ArrayText(_)
            | CanonicalForm::TrimmedText
            | CanonicalForm::LowerText
            | CanonicalForm::NullAsEmpty => Builtin::Text,
        }
    }

    /// Whether a rule makes one value of several: then no index over the values proves a key or
    /// serves its order.
    pub fn merges(self) -> bool {
        matches!(
            self,
            CanonicalForm::TrimmedText
                | CanonicalForm::LowerText
                | CanonicalForm::NullAsEmpty
                | CanonicalForm::Truncated(..)
                | CanonicalForm::Rounded(_)
        )
    }

    /// How it enters the row hash.
    pub fn digest_form(self) -> DigestForm {
        use Builtin as B;
        match self.wire() {
            B::Int8 => DigestForm::Send("int8send"),
            B::Float4 => DigestForm::Send("float4send"),
            B::Float8 => DigestForm::Send("float8send"),
            B::Numeric => DigestForm::Send("numeric_send"),
            B::Timestamp => DigestForm::Send("timestamp_send"),
            B::TimestampTz => DigestForm::Send("timestamptz_send"),
            B::Time => DigestForm::Send("time_send"),
            B::TimeTz => DigestForm::Send("timetz_send"),
            B::Interval => DigestForm::Send("interval_send"),
            B::Money => DigestForm::Send("cash_send"),
            B::PgLsn => DigestForm::Send("pg_lsn_send"),
            B::Xid8 => DigestForm::Send("xid8send"),
            B::Inet => DigestForm::Send("inet_send"),
            B::Cidr => DigestForm::Send("cidr_send"),
            B::MacAddr => DigestForm::Send("macaddr_send"),
            B::MacAddr8 => DigestForm::Send("macaddr8_send"),
            B::Int4Range
            | B::Int8Range
            | B::NumRange
            | B::TsRange
            | B::TsTzRange
            | B::DateRange => DigestForm::Send("range_send"),
            _ => DigestForm::Native,
        }
    }

    /// How keys in this canonical form are ordered, the same here as on the servers; nothing where the order
    /// is not one of bytes or numbers, so that such a key is used as its text.
    pub fn key_field(self) -> Option<KeyField> {
        use Builtin as B;
        match self.wire() {
            B::Int2 | B::Int4 | B::Int8 | B::Date | B::Time | B::Timestamp | B::TimestampTz => {
                Some(KeyField::Signed)
            }
            B::Bool | B::Text | B::Bytea | B::Uuid | B::PgLsn | B::MacAddr | B::MacAddr8 => {
                Some(KeyField::Bytes)
            }
            B::Numeric => Some(KeyField::Numeric),
            B::Float4 | B::Float8 => Some(KeyField::Float),
            _ => None,
        }
    }

    /// The words for it in a plan.
    pub fn describe(self) -> String {
        match self {
            CanonicalForm::As(builtin) => builtin.name().to_owned(),
            CanonicalForm::TrimmedNumeric => "numeric without trailing zeros".into(),
            CanonicalForm::Float(builtin) => {
                format!("{} with one zero and one NaN", builtin.name())
            }
            CanonicalForm::Text => "text, byte for byte".into(),
            CanonicalForm::Rendered => "the type's text".into(),
            CanonicalForm::JsonbText => "jsonb's text".into(),
            CanonicalForm::ArrayText(builtin) => format!("the text of {}[]", builtin.name()),
            CanonicalForm::TrimmedText => "text without whitespace at its ends".into(),
            CanonicalForm::LowerText => "text in lower case".into(),
            CanonicalForm::NullAsEmpty => "text, NULL as an empty one".into(),
            CanonicalForm::Truncated(builtin, unit) => match unit {
                Precision::Milliseconds => format!("{} cut off to milliseconds", builtin.name()),
                _ => format!("{} cut off to seconds", builtin.name()),
            },
            CanonicalForm::Rounded(places) => format!("numeric rounded to {places} places"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_whose_hash_sees_every_bit_are_native() {
        // A type joins this list only with its proof: see the laws about blind spots.
        let proven = [
            Builtin::Bool,
            Builtin::Int2,
            Builtin::Int4,
            Builtin::Date,
            Builtin::Uuid,
            Builtin::Bytea,
            Builtin::Text,
            Builtin::Bpchar,
        ];
        for oid in 0..6000 {
            let Some(builtin) = Builtin::from_oid(oid) else { continue };
            let form = super::super::common_type::form_of(builtin);
            let native = form.digest_form() == DigestForm::Native;
            assert!(!native || proven.contains(&form.wire()), "{builtin:?}");
        }
    }
}
