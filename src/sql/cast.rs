//! Values that were told as texts, read back: keys into the form in which rows are paired, others as the
//! columns that they are meant for would hold them.

use super::canonical_form::{canonical_form, printed_text};
use super::large_value::sent_form;
use super::statement::{Bind, Statement, Writer};
use crate::plan::MappingPlan;
use crate::schema::{Builtin, Side};

/// The canonical forms of keys that a side once wrote as texts, in their order. A text of another form than
/// the side's own is an error of the server's.
pub fn keys_of_texts(plan: &MappingPlan, side: Side, keys: &[&[String]]) -> Statement {
    let mut writer = Writer::new(&plan.params);
    let key = plan.key();
    writer.push("select ");
    writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
        writer.push(&canonical_form(pair, side, index));
    });
    writer.push("\nfrom (\nselect ");
    writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
        let type_name = &pair.sides[side].column_type.display;
        writer.push(&format!("cast(k.k{index} as {type_name}) as p{index}"));
    });
    // A bare "unnest" of several arrays is syntax, and always pg_catalog's.
    writer.push(", k.place\nfrom unnest(");
    writer.list(", ", 0..key.len(), |writer, index| {
        let fields = keys.iter().map(|key| key.get(index).map_or(&b""[..], |text| text.as_bytes()));
        writer.bind(Bind::array(Builtin::Text, fields));
    });
    writer.push(") with ordinality as k(");
    writer.list(", ", 0..key.len(), |writer, index| {
        writer.push(&format!("k{index}"));
    });
    writer.push(", place)\n) as r\norder by r.place");
    writer.finish()
}

/// What a side's columns hold of texts: of each pair the canonical form, then of each the text, in the order of
/// the texts. One that a column's type refuses is an error of the server's; one that is too long is cut
/// off, as by every cast.
pub fn cast_values(
    plan: &MappingPlan,
    side: Side,
    pairs: &[usize],
    texts: &[Vec<Option<&str>>],
) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    writer.list(", ", pairs.iter(), |writer, pair| {
        writer.push(&sent_form(plan, &plan.pairs[*pair], side, *pair));
    });
    writer.push(", ");
    writer.list(", ", pairs.iter(), |writer, pair| {
        writer.push(&printed_text(&plan.pairs[*pair], side, *pair));
    });
    writer.push("\nfrom (\nselect ");
    writer.list(", ", pairs.iter(), |writer, pair| {
        let type_name = &plan.pairs[*pair].sides[side].column_type.display;
        writer.push(&format!("cast(k.k{pair} as {type_name}) as p{pair}"));
    });
    writer.push(", k.place\nfrom unnest(");
    writer.list(", ", texts.iter(), |writer, texts| {
        writer.bind(Bind::texts(texts.iter().copied()));
    });
    writer.push(") with ordinality as k(");
    writer.list(", ", pairs.iter(), |writer, pair| {
        writer.push(&format!("k{pair}"));
    });
    writer.push(", place)\n) as r\norder by r.place");
    writer.finish()
}
