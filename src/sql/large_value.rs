//! Large values are sent as their hash, so that the client need not hold them.
//!
//! SHA-256 and length compare a value of 100 MB as well. Where a table may have such values, texts and
//! bytes above a limit are replaced by a token, the same for equal values on both sides. A short value
//! that looks like a token is replaced too, so that different values have different tokens. Digests need
//! no tokens: there no value leaves its server.

use super::canonical_form::{canonical_form, key_field, printed_text, value_name};
use crate::plan::{CanonicalForm, MappingPlan, Pair};
use crate::schema::{Builtin, PgType, Side};

/// Values of more bytes than this are sent as a token.
const LIMIT: u32 = 1 << 16;
/// The number of characters of a large value in its display text.
const SHOWN: u32 = 1_000;
/// The prefix of a token.
const TOKEN: &str = "pgreconcile-large:";

/// Returns the canonical form of a pair as it is sent to the client.
pub(super) fn sent_form(plan: &MappingPlan, pair: &Pair, side: Side, index: usize) -> String {
    // A key must be complete, and so must values that have a tolerance.
    if index < plan.key_width {
        return key_field(pair, side, index);
    }
    let form = canonical_form(pair, side, index);
    if !plan.hashes_large_values || pair.tolerance.is_some() {
        return form;
    }
    match pair.form.wire() {
        Builtin::Text => compute_once(
            is_stored_text(pair, side) && pair.form == CanonicalForm::Text,
            &form,
            |form| {
                format!(
                    "case when pg_catalog.octet_length({form}) operator(pg_catalog.>) {LIMIT} \
                 or pg_catalog.starts_with({form}, '{TOKEN}') \
                 then '{TOKEN}' operator(pg_catalog.||) \
                 pg_catalog.octet_length({form})::pg_catalog.text operator(pg_catalog.||) ':' \
                 operator(pg_catalog.||) pg_catalog.encode({}, 'hex') else {form} end",
                    sha256_of_text(form)
                )
            },
        ),
        Builtin::Bytea => format!(
            "case when pg_catalog.octet_length({form}) operator(pg_catalog.>) {LIMIT} \
             or pg_catalog.substring({form}, 1, {}) operator(pg_catalog.=) {token} \
             then {token} operator(pg_catalog.||) pg_catalog.int4send(pg_catalog.octet_length({form})) \
             operator(pg_catalog.||) pg_catalog.sha256({form}) \
             else {form} end",
            TOKEN.len(),
            token = format_args!("pg_catalog.convert_to('{TOKEN}', 'SQL_ASCII')"),
        ),
        _ => form,
    }
}

/// Returns the display text of a value; for a large value its beginning, size and hash.
pub(super) fn abridged_text(plan: &MappingPlan, pair: &Pair, side: Side, index: usize) -> String {
    let text = printed_text(pair, side, index);
    if !plan.hashes_large_values || index < plan.key_width {
        return text;
    }
    let value = value_name(index);
    let base = pair.sides[side].column_type.pg_type.base();
    let abridged = |size: &str, beginning: &str, hash: &str, text: &str| {
        format!(
            "case when {size} operator(pg_catalog.>) {LIMIT} \
             then {beginning} operator(pg_catalog.||) '… (' operator(pg_catalog.||) {size}::pg_catalog.text \
             operator(pg_catalog.||) ' bytes, sha256 ' operator(pg_catalog.||) pg_catalog.encode({hash}, 'hex') \
             operator(pg_catalog.||) ')' else {text} end"
        )
    };
    match (base, pair.form.wire()) {
        // Its text is twice as long as the value, and at most 1 GB.
        (PgType::Builtin(Builtin::Bytea), _) => abridged(
            &format!("pg_catalog.octet_length({value})"),
            &format!("pg_catalog.substring({value}, 1, {SHOWN})::pg_catalog.text"),
            &format!("pg_catalog.sha256({value})"),
            &text,
        ),
        (_, Builtin::Text) => compute_once(is_stored_text(pair, side), &text, |text| {
            abridged(
                &format!("pg_catalog.octet_length({text})"),
                &format!("pg_catalog.left({text}, {SHOWN})"),
                &sha256_of_text(text),
                text,
            )
        }),
        _ => text,
    }
}

/// Returns whether the column itself is the text of a pair's value.
fn is_stored_text(pair: &Pair, side: Side) -> bool {
    let base = pair.sides[side].column_type.pg_type.base();
    matches!(base, PgType::Builtin(Builtin::Text | Builtin::Varchar))
}

/// Returns an expression over a text. Where the text is not a column, a subquery computes it once: the text
/// of a document or an array takes longer than the rest of the expression, and each copy of a large one
/// takes its own memory. For 300,000 ordinary rows this takes 0.48 of the time for a jsonb and 0.67 for an
/// array; a text column without it takes 0.76 of the time.
fn compute_once(is_stored: bool, text: &str, expression: impl Fn(&str) -> String) -> String {
    if is_stored {
        return expression(text);
    }
    format!("(select {} from (select {text} as x offset 0) as f)", expression("f.x"))
}

fn sha256_of_text(text: &str) -> String {
    format!("pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8'))")
}
