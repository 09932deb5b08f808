//! Large values by their hash: what a client need not hold, it is not sent.
//!
//! A value of 100 MB is compared as well by its SHA-256 and length. Where a table may hold such values,
//! texts and bytes above a limit come as a token instead of themselves, the same token for the same
//! value on both sides. A short value that looks like a token is turned into one too, so that no two
//! values share one. Digests need none of this: there no value leaves its server.

use super::canonical_form::{canonical_form, in_key, place, printed_text};
use crate::plan::{CanonicalForm, MappingPlan, Pair};
use crate::schema::{Builtin, PgType, Side};

/// Values of more bytes than this come as a token.
const LIMIT: u32 = 1 << 16;
/// So much of a large value is shown to people.
const SHOWN: u32 = 1_000;
/// How a token begins.
const TOKEN: &str = "pgreconcile-large:";

/// The canonical form of a pair as it goes to the client.
pub(super) fn sent_form(plan: &MappingPlan, pair: &Pair, side: Side, index: usize) -> String {
    // A key has to be whole, and so has what is judged within a tolerance.
    if index < plan.key_width {
        return in_key(pair, side, index);
    }
    let form = canonical_form(pair, side, index);
    if !plan.hashes_large_values || pair.tolerance.is_some() {
        return form;
    }
    match pair.form.wire() {
        Builtin::Text => {
            once(stands(pair, side) && pair.form == CanonicalForm::Text, &form, |form| {
                format!(
                    "case when pg_catalog.octet_length({form}) operator(pg_catalog.>) {LIMIT} \
                 or pg_catalog.starts_with({form}, '{TOKEN}') \
                 then '{TOKEN}' operator(pg_catalog.||) \
                 pg_catalog.octet_length({form})::pg_catalog.text operator(pg_catalog.||) ':' \
                 operator(pg_catalog.||) pg_catalog.encode({}, 'hex') else {form} end",
                    sha256_of_text(form)
                )
            })
        }
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

/// The value as people read it; of a large one its beginning, size and hash.
pub(super) fn abridged_text(plan: &MappingPlan, pair: &Pair, side: Side, index: usize) -> String {
    let text = printed_text(pair, side, index);
    if !plan.hashes_large_values || index < plan.key_width {
        return text;
    }
    let value = place(index);
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
        // Its text is twice as long as it is, and at most 1 GB.
        (PgType::Builtin(Builtin::Bytea), _) => abridged(
            &format!("pg_catalog.octet_length({value})"),
            &format!("pg_catalog.substring({value}, 1, {SHOWN})::pg_catalog.text"),
            &format!("pg_catalog.sha256({value})"),
            &text,
        ),
        (_, Builtin::Text) => once(stands(pair, side), &text, |text| {
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

/// Whether the text of a pair's value stands in its column.
fn stands(pair: &Pair, side: Side) -> bool {
    let base = pair.sides[side].column_type.pg_type.base();
    matches!(base, PgType::Builtin(Builtin::Text | Builtin::Varchar))
}

/// An expression over a text, which is made once where it does not stand in a column: the text of a
/// document or an array takes longer than all that is done with it, and each copy of a large one takes
/// memory of its own. Of 300,000 ordinary rows a jsonb took 0.48 of the time so, an array 0.67; a text
/// that is read where it stands takes 0.76 of what it would take so.
fn once(stands: bool, text: &str, expression: impl Fn(&str) -> String) -> String {
    if stands {
        return expression(text);
    }
    format!("(select {} from (select {text} as x offset 0) as f)", expression("f.x"))
}

fn sha256_of_text(text: &str) -> String {
    format!("pg_catalog.sha256(pg_catalog.convert_to({text}, 'UTF8'))")
}
