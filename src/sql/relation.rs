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

use super::canon::expression;
use super::statement::{Writer, table};
use crate::plan::{MappingPlan, SidePlan};
use crate::schema::Side;
use crate::spec::{Fragment, Reads};

/// Writes ` from (…) as r` with the first `width` pairs.
pub(super) fn from(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, width: usize) {
    let filter = plan.sides[side].filter.as_ref();
    from_filtered(writer, plan, side, width, filter, &[]);
}

/// The same with every pair and the conditions of these accept rules, each under its place: `a2`.
pub(super) fn from_with_rules(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    rules: &[usize],
) {
    let filter = plan.sides[side].filter.as_ref();
    from_filtered(writer, plan, side, plan.pairs.len(), filter, rules);
}

/// The same without the operator's `where`: for boundaries, which need not be rows that count.
pub(super) fn from_unfiltered(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    width: usize,
) {
    from_filtered(writer, plan, side, width, None, &[]);
}

fn from_filtered(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    width: usize,
    filter: Option<&Fragment>,
    rules: &[usize],
) {
    writer.push("\nfrom (\nselect ");
    writer.list(", ", plan.pairs[..width].iter().enumerate(), |writer, (index, pair)| {
        expression(writer, pair, side);
        writer.push(&format!(" as p{index}"));
    });
    for place in rules {
        writer.push(", ").fragment(&plan.accepts[*place].condition).push(&format!(" as a{place}"));
    }
    let SidePlan { reads, .. } = &plan.sides[side];
    writer.push("\nfrom ");
    named(writer, reads, side);
    if let Some(filter) = filter {
        writer.push("\nwhere ").fragment(filter);
    }
    writer.push("\n) as r");
}

/// Writes the relation under its side's name.
pub(super) fn named(writer: &mut Writer<'_>, reads: &Reads, side: Side) {
    match reads {
        Reads::Table(name) => writer.push(&table(&name.value)),
        Reads::Query(query) => writer.fragment(query),
    };
    writer.push(" as ").push(side.name());
}
