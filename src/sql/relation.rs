//! The FROM of a statement: what a side reads, as a derived table with each pair's expression under a short
//! name.
//!
//! ```sql
//! from (
//!     select source."id" as p0, (…) as p1
//!     from "public"."shipment" as source
//!     where (…)
//! ) as r
//! ```
//!
//! Names in SQL of the spec are resolved in the inner select only; PostgreSQL flattens it, so that key
//! ranges use the index.

use super::canonical_form::{printed_as, push_expression};
use super::statement::{Bind, Writer, column, table};
use crate::plan::{ChangedSince, MappingPlan, SidePlan};
use crate::row::BlockRange;
use crate::schema::{ColumnName, Side, StoredColumn};
use crate::spec::{Fragment, Reads};

/// Writes `from (…) as r` with the first `width` pairs.
pub(super) fn from(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, width: usize) {
    let filter = plan.sides[side].filter.as_ref();
    from_filtered(writer, plan, side, width, filter, RowSelection::All, &[]);
}

/// Writes the same with the key of recently changed rows, with the spec's `where` or without.
pub(super) fn from_changed(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    filtered: bool,
) {
    let filter = plan.sides[side].filter.as_ref().filter(|_| filtered);
    let part = plan.sides[side].since.as_ref().map_or(RowSelection::All, RowSelection::Changed);
    from_filtered(writer, plan, side, plan.key_width, filter, part, &[]);
}

/// Writes the same with every pair, with the conditions of the side's accept rules, and with the time of the
/// row's last change as `changed`, where findings show it.
pub(super) fn from_looked_up(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side) {
    let filter = plan.sides[side].filter.as_ref();
    let rules = plan.accepts.of(side);
    let mut more: Vec<Extra<'_>> = rules.iter().map(|place| Extra::Rule(*place)).collect();
    more.extend(plan.sides[side].reported_changed_at().map(Extra::Changed));
    from_filtered(writer, plan, side, plan.pairs.len(), filter, RowSelection::All, &more);
}

/// Writes the same with every pair, from these blocks of a table only, and with the conditions of these
/// accept rules, each under its index: `a2`.
pub(super) fn from_blocks(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    blocks: Option<BlockRange>,
    rules: &[usize],
) {
    let filter = plan.sides[side].filter.as_ref();
    let rules: Vec<Extra<'_>> = rules.iter().map(|place| Extra::Rule(*place)).collect();
    from_filtered(
        writer,
        plan,
        side,
        plan.pairs.len(),
        filter,
        blocks.map_or(RowSelection::All, RowSelection::Blocks),
        &rules,
    );
}

/// The rows of a table that are read, besides the spec's `where`.
enum RowSelection<'p> {
    All,
    Blocks(BlockRange),
    /// Those of a sample of about this percentage of the blocks.
    Sampled(f64),
    /// Recently changed rows.
    Changed(&'p ChangedSince),
}

/// A column of the inner select besides the pairs.
enum Extra<'p> {
    /// The condition of the accept rule with this index: `a2`.
    Rule(usize),
    /// The time of the row's last change: `changed`.
    Changed(&'p ColumnName),
}

/// Writes the same without the spec's `where`: for boundaries, which need not be selected rows.
pub(super) fn from_unfiltered(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    width: usize,
) {
    from_filtered(writer, plan, side, width, None, RowSelection::All, &[]);
}

/// Writes the same from a sample of about this percentage of the blocks.
pub(super) fn from_sampled(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, percent: f64) {
    from_filtered(writer, plan, side, plan.key_width, None, RowSelection::Sampled(percent), &[]);
}

fn from_filtered(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    width: usize,
    filter: Option<&Fragment>,
    part: RowSelection<'_>,
    more: &[Extra<'_>],
) {
    writer.push("\nfrom (\nselect ");
    writer.list(", ", plan.pairs[..width].iter().enumerate(), |writer, (index, pair)| {
        push_expression(writer, pair, side);
        writer.push(&format!(" as p{index}"));
    });
    for extra in more {
        writer.push(", ");
        match extra {
            Extra::Rule(place) => {
                writer.fragment(&plan.accepts.live[*place].condition).push(&format!(" as a{place}"))
            }
            Extra::Changed(name) => writer.push(&format!("{side}.{} as changed", column(name))),
        };
    }
    push_from(writer, &plan.sides[side], side);
    let mut word = "\nwhere ";
    match part {
        RowSelection::All => {}
        RowSelection::Sampled(percent) => {
            writer.push("\ntablesample pg_catalog.system (cast(");
            writer.bind(Bind::text(&percent.to_string())).push(" as pg_catalog.float4))");
        }
        RowSelection::Blocks(BlockRange { from, until }) => {
            // PostgreSQL reads only these blocks: a TID range scan, since version 14.
            let bounds = [(">=", Some(from)), ("<", until)];
            for (operator, block) in bounds.into_iter().filter_map(|(o, block)| Some((o, block?))) {
                writer.push(word).push(side.name());
                writer.push(&format!(".ctid operator(pg_catalog.{operator}) "));
                writer.bind(Bind::tid(block));
                word = "\nand ";
            }
        }
        RowSelection::Changed(ChangedSince { column: name, builtin, moment, .. }) => {
            writer.push(word).push(side.name());
            writer.push(&format!(".{} operator(pg_catalog.>=) cast(", column(name)));
            writer.bind(Bind::text(moment));
            // A time without a zone is taken to be in UTC, the zone of every session of this program.
            writer.push(" as pg_catalog.timestamptz)::pg_catalog.").push(builtin.name());
            word = "\nand ";
        }
    }
    if let Some(filter) = filter {
        writer.push(word).fragment(filter);
    }
    writer.push("\n) as r");
}

/// Writes the same with every pair, and an array `stored` with these columns of the table itself.
pub(super) fn from_stored(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    columns: &[StoredColumn],
) {
    writer.push("\nfrom (\nselect ");
    writer.list(", ", plan.pairs.iter().enumerate(), |writer, (index, pair)| {
        push_expression(writer, pair, side);
        writer.push(&format!(" as p{index}"));
    });
    // One array: a select list may have 1,664 entries, and there may be 1,600 pairs and as many columns.
    writer.push(", array[");
    writer.list(", ", columns.iter(), |writer, stored| {
        let name = format!("{side}.{}", column(&stored.name));
        writer.push(&printed_as(&name, &stored.pg_type));
    });
    writer.push("]::pg_catalog.text[] as stored");
    push_from(writer, &plan.sides[side], side);
    if let Some(filter) = &plan.sides[side].filter {
        writer.push("\nwhere ").fragment(filter);
    }
    writer.push("\n) as r");
}

/// Writes the FROM of the relation that is read; with the tables that inherit from it, unless the spec has
/// `only`.
fn push_from(writer: &mut Writer<'_>, plan: &SidePlan, side: Side) {
    writer.push(if plan.only { "\nfrom only " } else { "\nfrom " });
    push_named(writer, &plan.reads, side);
}

/// Writes the relation under its side's name.
pub(super) fn push_named(writer: &mut Writer<'_>, reads: &Reads, side: Side) {
    match reads {
        Reads::Table(name) => writer.push(&table(&name.value)),
        Reads::Query(query) => writer.fragment(query),
    };
    writer.push(" as ").push(side.name());
}
