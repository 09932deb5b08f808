//! What a side reads, as a derived table: each pair's expression under a short name.
//!
//! ```sql
//! from (
//!     select source."id" as p0, (…) as p1
//!     from "public"."shipment" as source
//!     where (…)
//! ) as r
//! ```
//!
//! The operator's names resolve in the inner select alone; PostgreSQL flattens it, so that key
//! ranges reach the index.

use super::canonical_form::{expression, printed_as};
use super::statement::{Bind, Writer, column, table};
use crate::plan::{ChangedSince, MappingPlan, SidePlan};
use crate::row::Blocks;
use crate::schema::{ColumnName, Side, StoredColumn};
use crate::spec::{Fragment, Reads};

/// Writes ` from (…) as r` with the first `width` pairs.
pub(super) fn from(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, width: usize) {
    let filter = plan.sides[side].filter.as_ref();
    from_filtered(writer, plan, side, width, filter, Part::All, &[]);
}

/// The same for the key of rows that changed lately; without the operator's `where` if that is of no
/// matter.
pub(super) fn from_changed(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    filtered: bool,
) {
    let filter = plan.sides[side].filter.as_ref().filter(|_| filtered);
    let part = plan.sides[side].since.as_ref().map_or(Part::All, Part::Changed);
    from_filtered(writer, plan, side, plan.key_width, filter, part, &[]);
}

/// The same with every pair, with the conditions of the side's accept rules, and with the time of the
/// row's last change as `changed`, where that is told.
pub(super) fn from_looked_up(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side) {
    let filter = plan.sides[side].filter.as_ref();
    let rules = plan.accepts.of(side);
    let mut more: Vec<Extra<'_>> = rules.iter().map(|place| Extra::Rule(*place)).collect();
    more.extend(plan.sides[side].reported_changed_at().map(Extra::Changed));
    from_filtered(writer, plan, side, plan.pairs.len(), filter, Part::All, &more);
}

/// The same with every pair, read from these blocks of a table only, and with the conditions of these
/// accept rules, each under its place: `a2`.
pub(super) fn from_blocks(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    blocks: Option<Blocks>,
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
        blocks.map_or(Part::All, Part::Blocks),
        &rules,
    );
}

/// Which rows of a table are read, beside what the operator says.
enum Part<'p> {
    All,
    Blocks(Blocks),
    /// Those of about so many of a hundred blocks.
    Sampled(f64),
    /// Those that changed lately.
    Changed(&'p ChangedSince),
}

/// What stands in the inner select beside the pairs.
enum Extra<'p> {
    /// The condition of the accept rule at this place: `a2`.
    Rule(usize),
    /// When the row was last changed: `changed`.
    Changed(&'p ColumnName),
}

/// The same without the operator's `where`: for boundaries, which need not be rows that count.
pub(super) fn from_unfiltered(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    width: usize,
) {
    from_filtered(writer, plan, side, width, None, Part::All, &[]);
}

/// The same, of about so many of a hundred blocks.
pub(super) fn from_sampled(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, percent: f64) {
    from_filtered(writer, plan, side, plan.key_width, None, Part::Sampled(percent), &[]);
}

fn from_filtered(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    width: usize,
    filter: Option<&Fragment>,
    part: Part<'_>,
    more: &[Extra<'_>],
) {
    writer.push("\nfrom (\nselect ");
    writer.list(", ", plan.pairs[..width].iter().enumerate(), |writer, (index, pair)| {
        expression(writer, pair, side);
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
    rows_of(writer, &plan.sides[side], side);
    let mut word = "\nwhere ";
    match part {
        Part::All => {}
        Part::Sampled(percent) => {
            writer.push("\ntablesample pg_catalog.system (cast(");
            writer.bind(Bind::text(&percent.to_string())).push(" as pg_catalog.float4))");
        }
        Part::Blocks(Blocks { from, until }) => {
            // PostgreSQL reads just these blocks: a TID range scan, since version 14.
            let bounds = [(">=", Some(from)), ("<", until)];
            for (operator, block) in bounds.into_iter().filter_map(|(o, block)| Some((o, block?))) {
                writer.push(word).push(side.name());
                writer.push(&format!(".ctid operator(pg_catalog.{operator}) "));
                writer.bind(Bind::tid(block));
                word = "\nand ";
            }
        }
        Part::Changed(ChangedSince { column: name, builtin, moment, .. }) => {
            writer.push(word).push(side.name());
            writer.push(&format!(".{} operator(pg_catalog.>=) cast(", column(name)));
            writer.bind(Bind::text(moment));
            // Without a zone a time is taken to be in UTC, as every session of ours has it.
            writer.push(" as pg_catalog.timestamptz)::pg_catalog.").push(builtin.name());
            word = "\nand ";
        }
    }
    if let Some(filter) = filter {
        writer.push(word).fragment(filter);
    }
    writer.push("\n) as r");
}

/// The same with every pair and these columns of the table itself, each under its place: `c2`.
pub(super) fn from_stored(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    columns: &[StoredColumn],
) {
    writer.push("\nfrom (\nselect ");
    writer.list(", ", plan.pairs.iter().enumerate(), |writer, (index, pair)| {
        expression(writer, pair, side);
        writer.push(&format!(" as p{index}"));
    });
    // One array: a list of 1,600 pairs has no room for as many columns as well.
    writer.push(", array[");
    writer.list(", ", columns.iter(), |writer, stored| {
        let name = format!("{side}.{}", column(&stored.name));
        writer.push(&printed_as(&name, &stored.pg_type));
    });
    writer.push("]::pg_catalog.text[] as stored");
    rows_of(writer, &plan.sides[side], side);
    if let Some(filter) = &plan.sides[side].filter {
        writer.push("\nwhere ").fragment(filter);
    }
    writer.push("\n) as r");
}

/// Writes whose rows are read; those of tables that inherit from it are among them, unless the spec
/// says otherwise.
fn rows_of(writer: &mut Writer<'_>, plan: &SidePlan, side: Side) {
    writer.push(if plan.only { "\nfrom only " } else { "\nfrom " });
    named(writer, &plan.reads, side);
}

/// Writes the relation under its side's name.
pub(super) fn named(writer: &mut Writer<'_>, reads: &Reads, side: Side) {
    match reads {
        Reads::Table(name) => writer.push(&table(&name.value)),
        Reads::Query(query) => writer.fragment(query),
    };
    writer.push(" as ").push(side.name());
}
