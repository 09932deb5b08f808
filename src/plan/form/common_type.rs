//! The common type of two columns: the canonical form that both types convert to without loss.
//!
//! Conversions that lose something (float and numeric, timestamp and timestamptz, a narrowing cast) are
//! refused: the spec has to write the expression, so that every reader sees it.

use super::canonical_form::CanonicalForm;
use crate::problem::Problem;
use crate::schema::{Builtin, ColumnType, PgType};

/// Finds the canonical form of a pair with these types. `is_named` says whether the spec names the pair:
/// values that only have a meaning within one database are compared only then.
///
/// # Errors
/// If there is no form without loss. The message is a clause, which follows the pair and its types.
pub(super) fn find_common_type(
    source: &ColumnType,
    target: &ColumnType,
    is_named: bool,
) -> Result<CanonicalForm, Problem> {
    let (s, t) = (source.pg_type.base(), target.pg_type.base());
    let refuse = |message: &str, hint: &str| Err(Problem::new(message).with_hint(hint));
    if let (PgType::Builtin(a), PgType::Builtin(b)) = (s, t) {
        return find_common_builtin(*a, *b, source, target, is_named);
    }
    if is_textual(s) && is_textual(t) {
        return Ok(CanonicalForm::Text);
    }
    match (s, t) {
        (PgType::Array(a), PgType::Array(b)) => {
            find_common_array(a.base(), b.base(), source, target)
        }
        (PgType::OtherBuiltin(a), PgType::OtherBuiltin(b)) if a == b => Ok(CanonicalForm::Rendered),
        (PgType::Extension(a), PgType::Extension(b)) if a == b => Ok(CanonicalForm::Rendered),
        (PgType::Composite, PgType::Composite) | (PgType::Range, PgType::Range) => {
            Ok(CanonicalForm::Rendered)
        }
        (PgType::Builtin(Builtin::Uuid), other) | (other, PgType::Builtin(Builtin::Uuid))
            if is_textual(other) =>
        {
            Ok(CanonicalForm::As(Builtin::Uuid))
        }
        _ => refuse(
            "these types have no common form",
            "Write an expression for one side, for example { sql = \"…::text\" }.",
        ),
    }
}

/// Returns the canonical form of a pair whose sides both have this built-in type.
pub(super) fn form_of(builtin: Builtin) -> CanonicalForm {
    use Builtin as B;
    match builtin {
        B::Float4 | B::Float8 => CanonicalForm::Float(builtin),
        B::Numeric => CanonicalForm::TrimmedNumeric,
        B::Text | B::Varchar | B::Bpchar | B::Name | B::Char => CanonicalForm::Text,
        B::Json | B::Jsonb | B::Oid | B::Xid | B::Cid | B::Tid => CanonicalForm::Rendered,
        _ => CanonicalForm::As(builtin),
    }
}

fn find_common_builtin(
    a: Builtin,
    b: Builtin,
    source: &ColumnType,
    target: &ColumnType,
    is_named: bool,
) -> Result<CanonicalForm, Problem> {
    use Builtin as B;
    let refuse = |message: &str, hint: &str| Err(Problem::new(message).with_hint(hint));
    let either = |one: B, other: B| (a, b) == (one, other) || (a, b) == (other, one);
    let both = |set: &[B]| set.contains(&a) && set.contains(&b);
    let integers = [B::Int2, B::Int4, B::Int8];
    let floats = [B::Float4, B::Float8];
    if [a, b].iter().any(|x| matches!(x, B::Oid | B::Xid | B::Cid | B::Tid))
        && !(a == b && is_named)
    {
        return refuse(
            "values of this type mean something only within one database",
            "Put the column into \"ignore\", or name the pair in [mapping.columns] to compare it anyway.",
        );
    }
    if a == B::Numeric && b == B::Numeric {
        let scales = (source.numeric_scale(), target.numeric_scale());
        // Equal scales make equal values equal bytes; otherwise trailing zeros are trimmed.
        let equal = scales.0.is_some() && scales.0 == scales.1;
        return Ok(if equal {
            CanonicalForm::As(B::Numeric)
        } else {
            CanonicalForm::TrimmedNumeric
        });
    }
    if a == B::Bpchar && b == B::Bpchar && source.modifier == target.modifier && source.modifier > 0
    {
        // Both sides pad to one length, so trailing blanks need not be trimmed, which is expensive.
        return Ok(CanonicalForm::As(B::Bpchar));
    }
    if a == b {
        return Ok(form_of(a));
    }
    if both(&integers) {
        return Ok(CanonicalForm::As(B::Int8));
    }
    if both(&[B::Int2, B::Int4, B::Int8, B::Numeric]) || either(B::Money, B::Numeric) {
        return Ok(CanonicalForm::TrimmedNumeric);
    }
    if both(&floats) {
        return Ok(CanonicalForm::Float(B::Float4));
    }
    if both(&[B::Text, B::Varchar, B::Bpchar, B::Name, B::Char]) {
        return Ok(CanonicalForm::Text);
    }
    if either(B::Json, B::Jsonb) {
        return Ok(CanonicalForm::JsonbText);
    }
    if either(B::Inet, B::Cidr) {
        return Ok(CanonicalForm::As(B::Inet));
    }
    if either(B::Date, B::Timestamp) {
        return Ok(CanonicalForm::As(B::Timestamp));
    }
    let textual = |x: B| matches!(x, B::Text | B::Varchar | B::Bpchar);
    if (a == B::Uuid && textual(b)) || (b == B::Uuid && textual(a)) {
        return Ok(CanonicalForm::As(B::Uuid));
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
            "a float and an exact number have no common type without loss",
            "Write { sql = \"…::float8\" } or another cast, which says which digits count.",
        );
    }
    refuse(
        "these types have no common form",
        "Write an expression for one side, for example { sql = \"…::text\" }.",
    )
}

fn find_common_array(
    a: &PgType,
    b: &PgType,
    source: &ColumnType,
    target: &ColumnType,
) -> Result<CanonicalForm, Problem> {
    use Builtin as B;
    let refuse = |message: &str| {
        let hint = "Write expressions that give both sides arrays of one type.";
        Err(Problem::new(message).with_hint(hint))
    };
    match (a, b) {
        (PgType::Builtin(B::Numeric), PgType::Builtin(B::Numeric))
            if source.modifier != target.modifier =>
        {
            refuse(
                "numbers of different scale within arrays cannot be distinguished from equal ones",
            )
        }
        (PgType::Builtin(B::Bpchar), _) | (_, PgType::Builtin(B::Bpchar))
            if is_textual(a) && is_textual(b) =>
        {
            Ok(CanonicalForm::ArrayText(B::Text))
        }
        _ if a == b => Ok(CanonicalForm::Rendered),
        _ if is_textual(a) && is_textual(b) => Ok(CanonicalForm::ArrayText(B::Text)),
        (
            PgType::Builtin(B::Int2 | B::Int4 | B::Int8),
            PgType::Builtin(B::Int2 | B::Int4 | B::Int8),
        ) => {
            // Whole numbers have one text whatever their width.
            Ok(CanonicalForm::Rendered)
        }
        _ => refuse("the elements' types have no common form"),
    }
}

/// Returns whether values of a type are texts, labels of enums included.
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

    /// The form, or message and hint.
    fn form(
        source: &ColumnType,
        target: &ColumnType,
        is_named: bool,
    ) -> Result<CanonicalForm, [String; 2]> {
        find_common_type(source, target, is_named)
            .map_err(|problem| [problem.message, problem.hint.unwrap()])
    }

    fn builtins(a: Builtin, b: Builtin) -> Result<CanonicalForm, [String; 2]> {
        let side = |builtin| of(PgType::Builtin(builtin), -1);
        let forwards = form(&side(a), &side(b), false);
        assert_eq!(forwards, form(&side(b), &side(a), false), "{a:?} {b:?}: not symmetric");
        forwards
    }

    #[test]
    fn types_that_convert_without_loss_have_a_common_type() {
        use Builtin as B;
        assert_eq!(builtins(B::Int4, B::Int8), Ok(CanonicalForm::As(B::Int8)));
        assert_eq!(builtins(B::Int2, B::Int2), Ok(CanonicalForm::As(B::Int2)));
        assert_eq!(builtins(B::Int8, B::Numeric), Ok(CanonicalForm::TrimmedNumeric));
        assert_eq!(builtins(B::Float4, B::Float8), Ok(CanonicalForm::Float(B::Float4)));
        assert_eq!(builtins(B::Varchar, B::Bpchar), Ok(CanonicalForm::Text));
        assert_eq!(builtins(B::Json, B::Jsonb), Ok(CanonicalForm::JsonbText));
        assert_eq!(builtins(B::Uuid, B::Text), Ok(CanonicalForm::As(B::Uuid)));
        assert_eq!(builtins(B::Inet, B::Cidr), Ok(CanonicalForm::As(B::Inet)));
    }

    #[test]
    fn lossy_conversions_are_refused_with_what_to_write() {
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
            let [message, hint] = builtins(a, b).unwrap_err();
            assert!(!message.is_empty() && hint.ends_with('.'), "{a:?} {b:?}");
        }
    }

    #[test]
    fn oids_are_compared_when_the_spec_names_the_pair() {
        let oid = of(PgType::Builtin(Builtin::Oid), -1);
        assert_eq!(form(&oid, &oid, true), Ok(CanonicalForm::Rendered));
    }

    #[test]
    fn equal_scales_need_no_trimming() {
        let numeric = |scale: i32| of(PgType::Builtin(Builtin::Numeric), (10 << 16) + scale + 4);
        assert_eq!(form(&numeric(2), &numeric(2), false), Ok(CanonicalForm::As(Builtin::Numeric)));
        assert_eq!(form(&numeric(2), &numeric(4), false), Ok(CanonicalForm::TrimmedNumeric));
    }

    #[test]
    fn characters_of_one_length_need_no_trimming() {
        let character = |length: i32| of(PgType::Builtin(Builtin::Bpchar), length + 4);
        assert_eq!(
            form(&character(8), &character(8), false),
            Ok(CanonicalForm::As(Builtin::Bpchar))
        );
        assert_eq!(form(&character(8), &character(9), false), Ok(CanonicalForm::Text));
    }

    #[test]
    fn enums_are_compared_with_texts_by_label() {
        let text = of(PgType::Builtin(Builtin::Text), -1);
        let domain = of(PgType::Domain(Box::new(PgType::Enum)), -1);
        assert_eq!(form(&domain, &text, false), Ok(CanonicalForm::Text));
        assert_eq!(form(&domain, &domain, false), Ok(CanonicalForm::Text));
    }

    #[test]
    fn arrays_are_compared_where_their_elements_are() {
        let array = |element| of(PgType::Array(Box::new(element)), -1);
        let int4 = array(PgType::Builtin(Builtin::Int4));
        let int8 = array(PgType::Builtin(Builtin::Int8));
        let text = array(PgType::Builtin(Builtin::Text));
        assert_eq!(form(&int4, &int8, false), Ok(CanonicalForm::Rendered));
        assert_eq!(
            form(&array(PgType::Enum), &text, false),
            Ok(CanonicalForm::ArrayText(Builtin::Text))
        );
        assert!(form(&int4, &text, false).is_err());
    }
}
