//! Boundaries and ends: keys found by walking an index, without reading the table.

use super::canonical_form::{in_key, printed_key, row_hash, searched};
use super::region::Conditions;
use super::relation::{from, from_changed, from_sampled, from_unfiltered};
use super::rows::group_text;
use super::statement::{Bind, Statement, Writer};
use crate::plan::{MappingPlan, Strategy};
use crate::row::{Key, KeyRange};
use crate::schema::{RelationKind, Side};

/// The key that stands `rows` keys into a range: canonical forms, then texts. No row if the range has fewer.
///
/// The operator's `where` is left out: a boundary need not be a row that counts, and a filter that
/// few rows pass would make the walk long. Where an index finds what changed lately, and nothing else is
/// looked at, only such keys count.
pub fn probe(plan: &MappingPlan, side: Side, range: &KeyRange, rows: u64) -> Statement {
    let mut writer = Writer::new(&plan.params);
    key_and_text(&mut writer, plan, side);
    if plan.since_indexed() {
        from_changed(&mut writer, plan, side, false);
    } else {
        from_unfiltered(&mut writer, plan, side, plan.key_width);
    }
    let mut conditions = Conditions::new(&mut writer);
    conditions.range(plan, side, range);
    conditions.no_null_key(plan, side);
    order_by_key(&mut writer, plan, side, "");
    let skip = i64::try_from(rows.saturating_sub(1)).unwrap_or(i64::MAX);
    writer.push("\noffset ").bind(Bind::int8(skip)).push("\nlimit 1");
    writer.finish()
}

/// Keys that part a table into about so many stretches of equally many rows, in order: canonical forms, then
/// texts. They are taken from about so many of a hundred blocks, so whole keys of several columns come
/// as they are spread; only of what is stored on this server.
pub fn sampled_keys(
    plan: &MappingPlan,
    side: Side,
    stretches: u64,
    percent: f64,
) -> Option<Statement> {
    match plan.sides[side].kind {
        RelationKind::View | RelationKind::Foreign | RelationKind::Query => return None,
        RelationKind::Table
        | RelationKind::Partitioned
        | RelationKind::InheritanceParent
        | RelationKind::MaterializedView => {}
    }
    let mut writer = Writer::new(&plan.params);
    key_and_text(&mut writer, plan, side);
    writer.push("\nfrom (\nselect r.*, pg_catalog.row_number() over (");
    order_by_key(&mut writer, plan, side, "");
    writer.push("\n) as place, pg_catalog.count(*) over () as found");
    from_sampled(&mut writer, plan, side, percent);
    Conditions::new(&mut writer).no_null_key(plan, side);
    let stretches = Bind::int8(i64::try_from(stretches).unwrap_or(i64::MAX));
    writer
        .push("\n) as r\nwhere r.place operator(pg_catalog.%) greatest(r.found operator(pg_catalog./) ")
        .bind(stretches)
        .push(", 1) operator(pg_catalog.=) 0\norder by r.place");
    Some(writer.finish())
}

/// Which neighbour of a key is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// The greatest key up to and with the given one; the greatest of all without one.
    UpTo,
    /// The greatest key before the given one.
    Before,
    /// The smallest key behind the given one; the smallest of all without one.
    Behind,
}

/// A neighbour of a key among the rows that count: canonical forms, then texts. No row if there is none.
pub fn neighbour(plan: &MappingPlan, side: Side, of: Option<&Key>, which: Neighbour) -> Statement {
    let (operator, direction) = match which {
        Neighbour::UpTo => ("<=", " desc"),
        Neighbour::Before => ("<", " desc"),
        Neighbour::Behind => (">", ""),
    };
    let mut writer = Writer::new(&plan.params);
    key_and_text(&mut writer, plan, side);
    from(&mut writer, plan, side, plan.key_width);
    let mut conditions = Conditions::new(&mut writer);
    if let Some(key) = of {
        conditions.bound(plan, side, operator, key);
    }
    conditions.no_null_key(plan, side);
    order_by_key(&mut writer, plan, side, direction);
    writer.push("\nlimit 1");
    writer.finish()
}

/// Count and sum of the rows with a NULL in their key, over what the plan's strategy hashes; where
/// there are groups, of each that has such rows, with its text.
pub fn null_keys(plan: &MappingPlan, side: Side) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select pg_catalog.count(*), ");
    match plan.strategy {
        Strategy::Digest => {
            writer
                .push("pg_catalog.sum(")
                .push(&row_hash(&plan.pairs, side))
                .push(")::pg_catalog.text");
        }
        Strategy::Stream => {
            writer.push("null::pg_catalog.text");
        }
    }
    group_text(&mut writer, plan, side);
    from(&mut writer, plan, side, plan.pairs.len());
    writer.push("\nwhere ");
    writer.list("\nor ", plan.key().iter().enumerate(), |writer, (index, pair)| {
        writer.push(&searched(pair, side, index)).push(" is null");
    });
    if plan.group.is_some() {
        writer.push("\ngroup by 3");
    }
    writer.finish()
}

fn key_and_text(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side) {
    let key = plan.key();
    writer.push("select ");
    writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
        writer.push(&in_key(pair, side, index));
    });
    writer.push(", ");
    writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
        writer.push(&printed_key(pair, side, index));
    });
}

fn order_by_key(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, direction: &str) {
    writer.push("\norder by ");
    writer.list(", ", plan.key().iter().enumerate(), |writer, (index, pair)| {
        writer.push(&searched(pair, side, index)).push(direction);
    });
}
