//! How SQL says a pair's value: as its canonical form, for the row hash, for a search, and as people read it.

use super::statement::{Writer, column};
use crate::plan::{CanonicalForm, DigestForm, Expression, Pair};
use crate::schema::{Builtin, PgType, Side};
use crate::spec::Precision;

/// The name of a pair's value in the inner select: `r.p3`.
pub(super) fn place(index: usize) -> String {
    format!("r.p{index}")
}

/// Writes the operator's or the plain expression of a pair over its side's row.
pub(super) fn expression(writer: &mut Writer<'_>, pair: &Pair, side: Side) {
    match &pair.sides[side].expression {
        Expression::Column(name) => writer.push(side.name()).push(".").push(&column(name)),
        Expression::Sql(fragment) => writer.fragment(fragment),
    };
}

/// The canonical form of a pair's value.
pub(super) fn canonical_form(pair: &Pair, side: Side, index: usize) -> String {
    let value = place(index);
    let pg_type = &pair.sides[side].column_type.pg_type;
    let is = |builtin| *pg_type == PgType::Builtin(builtin);
    match pair.form {
        CanonicalForm::As(Builtin::Bpchar) => by_bytes(&cast(&value, "bpchar")),
        CanonicalForm::As(builtin) if is(builtin) => value,
        CanonicalForm::As(builtin) => cast(&value, builtin.name()),
        CanonicalForm::TrimmedNumeric if is(Builtin::Numeric) => {
            format!("pg_catalog.trim_scale({value})")
        }
        CanonicalForm::TrimmedNumeric => {
            format!("pg_catalog.trim_scale({})", cast(&value, "numeric"))
        }
        CanonicalForm::Float(builtin) => {
            let name = builtin.name();
            let value = if is(builtin) { value } else { cast(&value, name) };
            // -0 + 0 is 0; NaNs of different bits are one value to PostgreSQL and to its users.
            format!(
                "case when {value} operator(pg_catalog.=) 'NaN'::pg_catalog.{name} then \
                 'NaN'::pg_catalog.{name} else {value} operator(pg_catalog.+) '0'::pg_catalog.{name} end"
            )
        }
        CanonicalForm::Text | CanonicalForm::Rendered => by_bytes(&text(pg_type, &value)),
        CanonicalForm::JsonbText => by_bytes(&cast(&cast(&value, "jsonb"), "text")),
        CanonicalForm::ArrayText(element) => {
            let written = match &pair.sides[side].column_type.pg_type {
                PgType::Array(element) if element.base() == &PgType::Enum => cast(&value, "text"),
                _ => value,
            };
            by_bytes(&cast(&format!("{written}::pg_catalog.{}[]", element.name()), "text"))
        }
        CanonicalForm::TrimmedText => {
            let text = text(pg_type, &value);
            by_bytes(&format!("pg_catalog.btrim({text}, E' \\t\\n\\x0b\\f\\r')"))
        }
        // Under "C" only ASCII letters have a case, whatever the server's locale.
        CanonicalForm::LowerText => {
            by_bytes(&format!("pg_catalog.lower({})", by_bytes(&text(pg_type, &value))))
        }
        CanonicalForm::NullAsEmpty => by_bytes(&format!("coalesce({}, '')", text(pg_type, &value))),
        CanonicalForm::Truncated(builtin, unit) => {
            let value = if is(builtin) { value } else { cast(&value, builtin.name()) };
            truncated(&value, builtin, unit)
        }
        CanonicalForm::Rounded(places) => {
            let value = if is(Builtin::Numeric) { value } else { cast(&value, "numeric") };
            format!("pg_catalog.trim_scale(pg_catalog.round({value}, {places}))")
        }
    }
}

/// The text of a value. A cast from a user's own type to text may be a function of the user's, so an
/// enum and a record are written by their output functions.
fn text(pg_type: &PgType, value: &str) -> String {
    match pg_type {
        PgType::Enum => format!("pg_catalog.textin(pg_catalog.enum_out({value}))"),
        // The output function of an enum does not take a domain over it; "%s" does, but not NULL.
        PgType::Domain(_) if pg_type.base() == &PgType::Enum => {
            format!("case when {value} is not null then pg_catalog.format('%s', {value}) end")
        }
        other if other.base() == &PgType::Composite => {
            format!("pg_catalog.textin(pg_catalog.record_out({value}))")
        }
        _ => cast(value, "text"),
    }
}

/// A time cut off behind a unit. `date_trunc` takes times of day as intervals, and an interval of a
/// whole day is midnight again as a time: 24:00:00, which has nothing to cut off, goes around it.
fn truncated(value: &str, builtin: Builtin, unit: Precision) -> String {
    let unit = if unit == Precision::Milliseconds { "milliseconds" } else { "second" };
    let cut = |value: &str| format!("pg_catalog.date_trunc('{unit}', {value})");
    if !matches!(builtin, Builtin::Time | Builtin::TimeTz) {
        return cut(value);
    }
    let time = cast(value, "time");
    let since_midnight = cast(&time, "interval");
    format!(
        "case when {time} operator(pg_catalog.=) '24:00:00'::pg_catalog.time then {value} else \
         {value} operator(pg_catalog.-) ({since_midnight} operator(pg_catalog.-) {}) end",
        cut(&since_midnight)
    )
}

/// A pair's value as part of a key.
pub(super) fn in_key(pair: &Pair, side: Side, index: usize) -> String {
    let form = canonical_form(pair, side, index);
    if pair.in_utf8 { format!("pg_catalog.convert_to({form}, 'UTF8')") } else { form }
}

fn cast(value: &str, type_name: &str) -> String {
    format!("{value}::pg_catalog.{type_name}")
}

/// A text whose order and hash are those of its bytes, whatever the column's collation.
fn by_bytes(text: &str) -> String {
    format!("{text} collate pg_catalog.\"C\"")
}

/// The canonical form in a form whose built-in hash sees every bit.
pub(super) fn digested(pair: &Pair, side: Side, index: usize) -> String {
    let form = canonical_form(pair, side, index);
    match pair.form.digest_form() {
        DigestForm::Native => form,
        DigestForm::Send(function) => format!("pg_catalog.{function}({form})"),
    }
}

/// The hash of a row over these pairs, well mixed: record hashes combine linearly, so that two rows
/// which swapped a value would keep their sum; a second hash that is not linear ends that. The seed
/// is not 0, under which 0.0 and NULL hash alike.
pub(super) fn row_hash(pairs: &[Pair], side: Side) -> String {
    let forms: Vec<_> =
        pairs.iter().enumerate().map(|(index, pair)| digested(pair, side, index)).collect();
    let forms = forms.join(", ");
    format!(
        "pg_catalog.hashtextextended(pg_catalog.hash_record_extended(row({forms}), 1)\
         ::pg_catalog.text, 1)"
    )
}

/// The hash of a key, by whose low bits keys fall into classes. It only has to be the same on both
/// sides for equal keys, so the built-in hashes do, blind spots and all; for one column of an
/// ordinary type its own function costs half of what a record's does.
pub(super) fn key_hash(key: &[Pair], side: Side) -> String {
    if let [pair] = key {
        let form = in_key(pair, side, 0);
        match pair.wire() {
            Builtin::Int2 => return format!("pg_catalog.hashint2extended({form}, 0)"),
            Builtin::Int4 => return format!("pg_catalog.hashint4extended({form}, 0)"),
            Builtin::Int8 => return format!("pg_catalog.hashint8extended({form}, 0)"),
            Builtin::Text => return format!("pg_catalog.hashtextextended({form}, 0)"),
            Builtin::Uuid => return format!("pg_catalog.uuid_hash_extended({form}, 0)"),
            _ => {}
        }
    }
    let forms: Vec<_> =
        key.iter().enumerate().map(|(index, pair)| in_key(pair, side, index)).collect();
    format!("pg_catalog.hash_record_extended(row({}), 0)", forms.join(", "))
}

/// What key ranges are compared with: the column itself where an index can serve it.
pub(super) fn searched(pair: &Pair, side: Side, index: usize) -> String {
    if pair.sides[side].searched_raw { place(index) } else { in_key(pair, side, index) }
}

/// What keys are looked up by.
pub(super) fn looked_up(pair: &Pair, side: Side, index: usize) -> String {
    if pair.sides[side].looked_up_raw { place(index) } else { in_key(pair, side, index) }
}

/// The value before its canonical form, as the type's output function writes it. For most types that is what
/// a cast to text gives; for these the cast is a function of its own that says something else.
pub(super) fn printed_text(pair: &Pair, side: Side, index: usize) -> String {
    printed_as(&place(index), &pair.sides[side].column_type.pg_type)
}

/// Writes a part of a key in the form that both sides have in common.
pub(super) fn printed_key(pair: &Pair, side: Side, index: usize) -> String {
    let pg_type = &pair.sides[side].column_type.pg_type;
    match pair.drops_padding(side) {
        true => text(pg_type, &place(index)),
        false => printed_text(pair, side, index),
    }
}

/// A value of this type, as the type's output function writes it.
pub(super) fn printed_as(value: &str, pg_type: &PgType) -> String {
    let function = match pg_type.base() {
        PgType::Builtin(Builtin::Bool) => "boolout",
        PgType::Builtin(Builtin::Bpchar) => "bpcharout",
        PgType::Builtin(Builtin::Char) => "charout",
        PgType::Builtin(Builtin::Inet) => "inet_out",
        PgType::Builtin(Builtin::Cidr) => "cidr_out",
        _ => return text(pg_type, value),
    };
    format!("pg_catalog.textin(pg_catalog.{function}({value}))")
}
