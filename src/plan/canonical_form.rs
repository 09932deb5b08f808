//! The canonical form of a pair: the form in which the values of both sides are compared.
//!
//! Two values are equal if and only if their canonical forms are the same bytes, NULL equal to NULL.
//! Digests, streamed rows and the diff of a row share this equality, or a row would differ in one and
//! agree in another. The form has a built-in type, so its bytes mean the same on every server. This file
//! says which forms there are and how a server hashes them; `sql` writes the expressions.

use crate::row::KeyField;
use crate::schema::Builtin;
use crate::spec::Precision;

/// The canonical form of a pair's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanonicalForm {
    /// The value itself, in this built-in type.
    As(Builtin),
    /// `numeric` without trailing zeros: 1.0 and 1.00 are one value.
    TrimmedNumeric,
    /// A float with 0 for -0 and one NaN for all.
    Float(Builtin),
    /// Text, byte for byte; also enums by label, `char(n)` without its padding.
    Text,
    /// The type's own text.
    Rendered,
    /// The text of jsonb, for a json with a jsonb column and for the rule `json`: the structure, not the
    /// text, is compared. Numbers keep their scale: 1 and 1.0 differ.
    JsonbText,
    /// The text of an array cast to an array of this type.
    ArrayText(Builtin),
    /// Text without ASCII whitespace at its ends.
    TrimmedText,
    /// Text with ASCII letters in lower case. The case of other letters depends on a server's locale, so
    /// the client folds it, for rows that still differ.
    LowerText,
    /// Text, with an empty text for NULL.
    NullAsEmpty,
    /// A time of this type, truncated to a unit.
    Truncated(Builtin, Precision),
    /// `numeric` rounded to this many places, without trailing zeros.
    Rounded(u16),
}

/// The form in which a canonical form enters the server's row hash.
///
/// A type is native only if its built-in hash sees every bit. The hashes of int8, the times, money
/// and pg_lsn fold 64 bits to 32 (-5 and 4294967291 hash alike), numeric's leaves out the sign,
/// float's confuses 0 with NULL under seed 0, jsonb's rotates and xors: all of these go in as the
/// bytes of their `send` function, or as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestForm {
    /// The canonical form itself.
    Native,
    /// The result of this function.
    Send(&'static str),
}

impl CanonicalForm {
    /// Returns the built-in type in which the values are sent.
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

    /// Returns whether several values have one form: then no index over the values proves a key or serves
    /// its order.
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

    /// Returns the text whose form equals that of NULL, if there is one. A repair writes it instead of NULL
    /// into a NOT NULL column.
    pub fn text_equal_to_null(self) -> Option<&'static str> {
        match self {
            CanonicalForm::NullAsEmpty => Some(""),
            _ => None,
        }
    }

    /// Returns the form in which it enters the row hash.
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

    /// Returns how keys in this form are ordered, on the client as on the servers; `None` where the order
    /// is not one of bytes or numbers: such a key is used as its text.
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

    /// Returns the description for a plan.
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
        // A type may be added only with its proof: see the tests about blind spots.
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
