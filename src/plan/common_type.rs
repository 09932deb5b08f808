//! Where two types meet: the canon that a pair's sides share, or why they share none.
//!
//! Meetings that would lose something (float and numeric, timestamp and timestamptz, a narrowing
//! cast) are refused: the spec has to write the expression, so that it stands there for all to see.

use super::Canon;
use crate::schema::{Builtin, ColumnType, PgType};

/// Why two types do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, as a clause.
    pub why: String,
    /// What to write instead, as a sentence.
    pub hint: String,
}

/// The canon of a pair with these types. `asked` tells whether the spec names the pair: values that
/// only mean something within one database are compared only when asked for.
///
/// # Errors
/// When the types do not meet without loss.
pub fn meet(source: &ColumnType, target: &ColumnType, asked: bool) -> Result<Canon, Refusal> {
    let (s, t) = (source.pg_type.base(), target.pg_type.base());
    let refuse =
        |why: &str, hint: &str| Err(Refusal { why: why.to_owned(), hint: hint.to_owned() });
    if let (PgType::Builtin(a), PgType::Builtin(b)) = (s, t) {
        return meet_builtins(*a, *b, source, target, asked);
    }
    if is_textual(s) && is_textual(t) {
        return Ok(Canon::Text);
    }
    match (s, t) {
        (PgType::Array(a), PgType::Array(b)) => meet_arrays(a.base(), b.base(), source, target),
        (PgType::OtherBuiltin(a), PgType::OtherBuiltin(b)) if a == b => Ok(Canon::Rendered),
        (PgType::Extension(a), PgType::Extension(b)) if a == b => Ok(Canon::Rendered),
        (PgType::Composite, PgType::Composite) | (PgType::Range, PgType::Range) => {
            Ok(Canon::Rendered)
        }
        (PgType::Builtin(Builtin::Uuid), other) | (other, PgType::Builtin(Builtin::Uuid))
            if is_textual(other) =>
        {
            Ok(Canon::As(Builtin::Uuid))
        }
        _ => refuse(
            "these types have no common form",
            "Write an expression for one side, for example { sql = \"…::text\" }.",
        ),
    }
}

/// The canon of a pair whose sides both have this built-in type.
pub(super) fn canon_of(builtin: Builtin) -> Canon {
    use Builtin as B;
    match builtin {
        B::Float4 | B::Float8 => Canon::Float(builtin),
        B::Numeric => Canon::TrimmedNumeric,
        B::Text | B::Varchar | B::Bpchar | B::Name | B::Char => Canon::Text,
        B::Json | B::Jsonb | B::Oid | B::Xid | B::Cid | B::Tid => Canon::Rendered,
        _ => Canon::As(builtin),
    }
}

fn meet_builtins(
    a: Builtin,
    b: Builtin,
    source: &ColumnType,
    target: &ColumnType,
    asked: bool,
) -> Result<Canon, Refusal> {
    use Builtin as B;
    let refuse =
        |why: &str, hint: &str| Err(Refusal { why: why.to_owned(), hint: hint.to_owned() });
    let either = |one: B, other: B| (a, b) == (one, other) || (a, b) == (other, one);
    let both = |set: &[B]| set.contains(&a) && set.contains(&b);
    let integers = [B::Int2, B::Int4, B::Int8];
    let floats = [B::Float4, B::Float8];
    if [a, b].iter().any(|x| matches!(x, B::Oid | B::Xid | B::Cid | B::Tid)) && !(a == b && asked) {
        return refuse(
            "values of this type mean something only within one database",
            "Put the column into \"ignore\", or name the pair in [mapping.columns] to compare it all the same.",
        );
    }
    if a == B::Numeric && b == B::Numeric {
        let scales = (source.numeric_scale(), target.numeric_scale());
        // Equal scales make equal values equal bytes; otherwise trailing zeros are trimmed.
        let equal = scales.0.is_some() && scales.0 == scales.1;
        return Ok(if equal { Canon::As(B::Numeric) } else { Canon::TrimmedNumeric });
    }
    if a == B::Bpchar && b == B::Bpchar && source.modifier == target.modifier && source.modifier > 0
    {
        // Both sides pad to one length, so blanks at the end need not be cut off, which is dear.
        return Ok(Canon::As(B::Bpchar));
    }
    if a == b {
        return Ok(canon_of(a));
    }
    if both(&integers) {
        return Ok(Canon::As(B::Int8));
    }
    if both(&[B::Int2, B::Int4, B::Int8, B::Numeric]) || either(B::Money, B::Numeric) {
        return Ok(Canon::TrimmedNumeric);
    }
    if both(&floats) {
        return Ok(Canon::Float(B::Float4));
    }
    if both(&[B::Text, B::Varchar, B::Bpchar, B::Name, B::Char]) {
        return Ok(Canon::Text);
    }
    if either(B::Json, B::Jsonb) {
        return Ok(Canon::JsonbText);
    }
    if either(B::Inet, B::Cidr) {
        return Ok(Canon::As(B::Inet));
    }
    if either(B::Date, B::Timestamp) {
        return Ok(Canon::As(B::Timestamp));
    }
    let textual = |x: B| matches!(x, B::Text | B::Varchar | B::Bpchar);
    if (a == B::Uuid && textual(b)) || (b == B::Uuid && textual(a)) {
        return Ok(Canon::As(B::Uuid));
    }
    let zoned = |x: B| matches!(x, B::TimestampTz | B::TimeTz);
    let clock = |x: B| matches!(x, B::Timestamp | B::TimestampTz | B::Date | B::Time | B::TimeTz);
    if clock(a) && clock(b) && zoned(a) != zoned(b) {
        return refuse(
            "the same clock time is another moment in another time zone",
            "Write { sql = \"… AT TIME ZONE 'UTC'\" } with the zone that the times were written in.",
        );
    }
    let exact = |x: B| integers.contains(&x) || matches!(x, B::Numeric | B::Money);
    if (floats.contains(&a) && exact(b)) || (floats.contains(&b) && exact(a)) {
        return refuse(
            "a float and an exact number do not meet without loss",
            "Write { sql = \"…::float8\" } or another cast that says which digits count.",
        );
    }
    refuse(
        "these types have no common form",
        "Write an expression for one side, for example { sql = \"…::text\" }.",
    )
}

fn meet_arrays(
    a: &PgType,
    b: &PgType,
    source: &ColumnType,
    target: &ColumnType,
) -> Result<Canon, Refusal> {
    use Builtin as B;
    let refuse = |why: &str| {
        Err(Refusal {
            why: why.to_owned(),
            hint: "Write expressions that give both sides arrays of one type.".to_owned(),
        })
    };
    match (a, b) {
        (PgType::Builtin(B::Numeric), PgType::Builtin(B::Numeric))
            if source.modifier != target.modifier =>
        {
            refuse("numbers of different scale within arrays are not told apart from equal ones")
        }
        (PgType::Builtin(B::Bpchar), _) | (_, PgType::Builtin(B::Bpchar))
            if is_textual(a) && is_textual(b) =>
        {
            Ok(Canon::ArrayText(B::Text))
        }
        _ if a == b => Ok(Canon::Rendered),
        _ if is_textual(a) && is_textual(b) => Ok(Canon::ArrayText(B::Text)),
        (
            PgType::Builtin(B::Int2 | B::Int4 | B::Int8),
            PgType::Builtin(B::Int2 | B::Int4 | B::Int8),
        ) => {
            // Whole numbers have one text whatever their width.
            Ok(Canon::Rendered)
        }
        _ => refuse("the elements' types have no common form"),
    }
}

/// Whether values are texts, enums' labels included.
pub(super) fn is_textual(pg_type: &PgType) -> bool {
    use Builtin as B;
    match pg_type {
        PgType::Builtin(builtin) => {
            matches!(builtin, B::Text | B::Varchar | B::Bpchar | B::Name | B::Char)
        }
        PgType::Enum => true,
        PgType::Extension(name) => name == "citext",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Collation;

    fn of(pg_type: PgType, modifier: i32) -> ColumnType {
        ColumnType {
            display: String::new(),
            pg_type,
            modifier,
            collation: Collation::None,
            collation_id: None,
        }
    }

    fn builtins(a: Builtin, b: Builtin) -> Result<Canon, Refusal> {
        let side = |builtin| of(PgType::Builtin(builtin), -1);
        let forwards = meet(&side(a), &side(b), false);
        assert_eq!(forwards, meet(&side(b), &side(a), false), "{a:?} {b:?}: not symmetric");
        forwards
    }

    #[test]
    fn lossless_meetings_have_a_common_type() {
        use Builtin as B;
        assert_eq!(builtins(B::Int4, B::Int8), Ok(Canon::As(B::Int8)));
        assert_eq!(builtins(B::Int2, B::Int2), Ok(Canon::As(B::Int2)));
        assert_eq!(builtins(B::Int8, B::Numeric), Ok(Canon::TrimmedNumeric));
        assert_eq!(builtins(B::Float4, B::Float8), Ok(Canon::Float(B::Float4)));
        assert_eq!(builtins(B::Varchar, B::Bpchar), Ok(Canon::Text));
        assert_eq!(builtins(B::Json, B::Jsonb), Ok(Canon::JsonbText));
        assert_eq!(builtins(B::Uuid, B::Text), Ok(Canon::As(B::Uuid)));
        assert_eq!(builtins(B::Inet, B::Cidr), Ok(Canon::As(B::Inet)));
    }

    #[test]
    fn lossy_meetings_are_refused_with_what_to_write() {
        use Builtin as B;
        for (a, b) in [
            (B::Timestamp, B::TimestampTz),
            (B::Date, B::TimestampTz),
            (B::Float8, B::Numeric),
            (B::Int8, B::Float8),
            (B::Bool, B::Int4),
            (B::Text, B::Int4),
            (B::MacAddr, B::MacAddr8),
            (B::Oid, B::Oid),
        ] {
            let refusal = builtins(a, b).unwrap_err();
            assert!(!refusal.why.is_empty() && refusal.hint.ends_with('.'), "{a:?} {b:?}");
        }
    }

    #[test]
    fn oids_are_compared_when_the_spec_names_the_pair() {
        let oid = of(PgType::Builtin(Builtin::Oid), -1);
        assert_eq!(meet(&oid, &oid, true), Ok(Canon::Rendered));
    }

    #[test]
    fn equal_scales_need_no_trimming() {
        let numeric = |scale: i32| of(PgType::Builtin(Builtin::Numeric), (10 << 16) + scale + 4);
        assert_eq!(meet(&numeric(2), &numeric(2), false), Ok(Canon::As(Builtin::Numeric)));
        assert_eq!(meet(&numeric(2), &numeric(4), false), Ok(Canon::TrimmedNumeric));
    }

    #[test]
    fn characters_of_one_length_need_no_trimming() {
        let character = |length: i32| of(PgType::Builtin(Builtin::Bpchar), length + 4);
        assert_eq!(meet(&character(8), &character(8), false), Ok(Canon::As(Builtin::Bpchar)));
        assert_eq!(meet(&character(8), &character(9), false), Ok(Canon::Text));
    }

    #[test]
    fn enums_meet_texts_and_each_other_by_label() {
        let text = of(PgType::Builtin(Builtin::Text), -1);
        let domain = of(PgType::Domain(Box::new(PgType::Enum)), -1);
        assert_eq!(meet(&domain, &text, false), Ok(Canon::Text));
        assert_eq!(meet(&domain, &domain, false), Ok(Canon::Text));
    }

    #[test]
    fn arrays_meet_where_their_elements_do() {
        let array = |element| of(PgType::Array(Box::new(element)), -1);
        let int4 = array(PgType::Builtin(Builtin::Int4));
        let int8 = array(PgType::Builtin(Builtin::Int8));
        let text = array(PgType::Builtin(Builtin::Text));
        assert_eq!(meet(&int4, &int8, false), Ok(Canon::Rendered));
        assert_eq!(meet(&array(PgType::Enum), &text, false), Ok(Canon::ArrayText(Builtin::Text)));
        assert!(meet(&int4, &text, false).is_err());
    }
}
