//! How a table is parted without reading it: its blocks, and the statistics' histogram of the key.

use super::canonical_form::{canonical_form, printed_key};
use super::statement::{Bind, Statement, Writer, table};
use crate::plan::{Expression, MappingPlan};
use crate::schema::{PgType, Side};
use crate::spec::Reads;

/// How many blocks a side's table has; nothing for what is not read by blocks.
pub fn blocks(plan: &MappingPlan, side: Side) -> Option<Statement> {
    let Reads::Table(name) = &plan.sides[side].reads else { return None };
    if !plan.sides[side].by_blocks {
        return None;
    }
    let mut writer = Writer::new(&plan.params);
    writer.push("select pg_catalog.pg_relation_size(").bind(Bind::text(&table(&name.value))).push(
        "::pg_catalog.regclass)
operator(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8",
    );
    Some(writer.finish())
}

/// Keys that part a table into stretches of about equally many rows, in order: canonical forms, then texts.
/// Only for a key of one plain column of a table; no row where nothing was analyzed.
///
/// Statistics are old and sampled: the boundaries only size chunks, never decide what is in one.
pub fn histogram(plan: &MappingPlan, side: Side) -> Option<Statement> {
    let [pair] = plan.key() else { return None };
    let (Expression::Column(column), Reads::Table(table)) =
        (&pair.sides[side].expression, &plan.sides[side].reads)
    else {
        return None;
    };
    let PgType::Builtin(builtin) = pair.sides[side].column_type.pg_type.base() else { return None };
    if !pair.sides[side].searched_raw {
        return None;
    }
    let mut writer = Writer::new(&plan.params);
    writer
        .push("select ")
        .push(&canonical_form(pair, side, 0))
        .push(", ")
        .push(&printed_key(pair, side, 0))
        .push(
            "\nfrom (
select h.value as p0, h.place
from (
select s.histogram_bounds
from pg_catalog.pg_stats as s
where s.schemaname = ",
        )
        .bind(Bind::text(&table.value.schema.0))
        .push("\nand s.tablename = ")
        .bind(Bind::text(&table.value.name))
        .push("\nand s.attname = ")
        .bind(Bind::text(&column.0))
        // A partitioned table's own statistics are those with its children.
        .push("\norder by s.inherited desc\nlimit 1\n) as s,\npg_catalog.unnest(s.histogram_bounds::pg_catalog.text::pg_catalog.")
        .push(builtin.name())
        .push("[]) with ordinality as h(value, place)\n) as r\norder by r.place");
    Some(writer.finish())
}
