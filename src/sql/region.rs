//! The region of a statement: key ranges, hash buckets and blocks as conditions.

use super::canonical_form::{key_hash, searched_value};
use super::relation::from_blocks;
use super::statement::{Bind, Writer};
use crate::plan::MappingPlan;
use crate::row::{HashBuckets, Key, KeyRange, Region};
use crate::schema::{Builtin, Side};

/// Writes the FROM with all pairs, and the WHERE, of a region.
pub(super) fn from_region(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    region: &Region,
) {
    from_region_with_rules(writer, plan, side, region, &[]);
}

/// Writes the same with the conditions of these accept rules.
pub(super) fn from_region_with_rules(
    writer: &mut Writer<'_>,
    plan: &MappingPlan,
    side: Side,
    region: &Region,
    rules: &[usize],
) {
    from_blocks(writer, plan, side, region.blocks, rules);
    let mut conditions = Conditions::new(writer);
    conditions.range(plan, side, &region.range);
    conditions.no_null_key(plan, side);
    if let Some(buckets) = &region.buckets {
        conditions.buckets(plan, side, buckets);
    }
}

/// Writes conditions: the first after WHERE, the others after AND.
pub(super) struct Conditions<'w, 'p> {
    writer: &'w mut Writer<'p>,
    any: bool,
}

impl<'w, 'p> Conditions<'w, 'p> {
    pub(super) fn new(writer: &'w mut Writer<'p>) -> Self {
        Conditions { writer, any: false }
    }

    /// Starts one more condition.
    pub(super) fn next(&mut self) -> &mut Writer<'p> {
        let word = if self.any { "\nand " } else { "\nwhere " };
        self.any = true;
        self.writer.push(word)
    }

    pub(super) fn range(&mut self, plan: &MappingPlan, side: Side, range: &KeyRange) {
        if let Some(after) = &range.after {
            self.bound(plan, side, ">", &after.key);
        }
        if let Some(through) = &range.through {
            self.bound(plan, side, "<=", &through.key);
        }
    }

    /// Writes `key > bound`, a row comparison where the key has several columns.
    pub(super) fn bound(&mut self, plan: &MappingPlan, side: Side, operator: &str, bound: &Key) {
        let key = plan.key();
        let operator = format!(" operator(pg_catalog.{operator}) ");
        let fields: Vec<Bind> = key
            .iter()
            .zip(bound.fields())
            .map(|(pair, field)| Bind { oid: pair.wire().oid(), value: field.to_vec() })
            .collect();
        let writer = self.next();
        let (open, close) = if key.len() == 1 { ("", "") } else { ("row(", ")") };
        writer.push(open);
        writer.list(", ", key.iter().enumerate(), |writer, (index, pair)| {
            writer.push(&searched_value(pair, side, index));
        });
        writer.push(close).push(&operator).push(open);
        writer.list(", ", fields, |writer, field| {
            writer.bind(field);
        });
        writer.push(close);
    }

    /// Excludes rows with a NULL in their key: they belong to no range and are counted separately. An
    /// open-ended range would include them, and so would a row comparison that an earlier column decides.
    pub(super) fn no_null_key(&mut self, plan: &MappingPlan, side: Side) {
        if plan.sides[side].key_nullable {
            for (index, pair) in plan.key().iter().enumerate() {
                let value = searched_value(pair, side, index);
                self.next().push(&value).push(" is not null");
            }
        }
    }

    fn buckets(&mut self, plan: &MappingPlan, side: Side, buckets: &HashBuckets) {
        let chosen: Vec<[u8; 8]> =
            buckets.chosen.iter().map(|bucket| i64::from(*bucket).to_be_bytes()).collect();
        let chosen = Bind::array(Builtin::Int8, chosen.iter().map(<[u8; 8]>::as_slice));
        let bucket = bucket_of(plan, side, buckets.of);
        self.next().push(&bucket).push(" operator(pg_catalog.=) any(").bind(chosen).push(")");
    }
}

/// Returns the hash bucket of a row's key: the low bits of its hash.
pub(super) fn bucket_of(plan: &MappingPlan, side: Side, of: u32) -> String {
    let hash = key_hash(plan.key(), side);
    format!("({hash} operator(pg_catalog.&) {}::pg_catalog.int8)", of.saturating_sub(1))
}
