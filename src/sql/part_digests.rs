//! Digests of a region in parts: by class, by group, by the accept rule that covers a row.
//!
//! One statement, so that the parts add up to the whole. `offset 0` is there for the reason given in
//! `digest`: parts are few, and the planner would take them for many.

use super::canonical_form::{key_hash, row_hash};
use super::group::Grouping;
use super::region::{bucket_of, from_region_with_rules};
use super::statement::{Statement, Writer};
use crate::plan::MappingPlan;
use crate::row::Region;
use crate::schema::Side;

/// By what else than the group a digest is parted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DigestSplit {
    /// By so many classes of keys.
    pub buckets: Option<u32>,
    /// By the accept rule that covers a row which only this side has.
    pub rules: bool,
}

/// Where a part's columns stand: behind count, sum as text, distinct keys and whether the row is the
/// sum over all groups (1) or one of them (0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartFields {
    /// The class, int8.
    pub bucket: Option<usize>,
    /// The group's text.
    pub group: Option<usize>,
    /// The rule's place, int4; NULL where none covers the row.
    pub rule: Option<usize>,
}

impl DigestSplit {
    /// The columns of an answer.
    pub fn fields(self, plan: &MappingPlan) -> PartFields {
        let bucket = self.buckets.map(|_| 4);
        let group = plan.group.map(|_| 4 + usize::from(bucket.is_some()));
        let before = 4 + usize::from(bucket.is_some()) + usize::from(group.is_some());
        PartFields { bucket, group, rule: self.rules.then_some(before) }
    }
}

/// A row for each part that has rows, laid out as [`PartFields`] says.
///
/// A key that stands twice may stand in two groups, so where no index proves the key, distinct keys
/// are counted over all groups, in a row of their own.
pub fn part_digests(
    plan: &MappingPlan,
    side: Side,
    region: &Region,
    split: DigestSplit,
) -> Statement {
    let grouping = Grouping::of(plan, side);
    let counts_keys = !plan.key_proven() && !split.rules;
    let sums_up = counts_keys && grouping.is_some();
    let mut inner = vec![format!("{} as h", row_hash(&plan.pairs, side))];
    let mut outer = Vec::new();
    let mut parts = Vec::new();
    if let Some(of) = split.buckets {
        inner.push(format!("{} as class", bucket_of(plan, side, of)));
        outer.push("c.class".to_owned());
        parts.push("c.class");
    }
    if let Some(grouping) = &grouping {
        inner.push(format!("{} as g", grouping.key));
        outer.push(grouping.text_of("c.g"));
        parts.push("c.g");
    }
    let rules = if split.rules { plan.accepts.of_one_sided(side) } else { Vec::new() };
    if split.rules {
        inner.push(format!("{} as rule", covering_rule(&rules)));
        outer.push("c.rule".to_owned());
        parts.push("c.rule");
    }
    if counts_keys {
        inner.push(format!("{} as k", key_hash(plan.key(), side)));
    }
    let distinct = if counts_keys { "count(distinct c.k)" } else { "count(*)" };
    let whole = if sums_up { "grouping(c.g)" } else { "0" };
    let mut writer = Writer::new(&plan.params);
    writer
        .push("select pg_catalog.count(*), pg_catalog.sum(c.h)::pg_catalog.text, pg_catalog.")
        .push(
            &[distinct.to_owned(), whole.to_owned()]
                .into_iter()
                .chain(outer)
                .collect::<Vec<_>>()
                .join(", "),
        )
        .push("\nfrom (\nselect ")
        .push(&inner.join(", "));
    from_region_with_rules(&mut writer, plan, side, region, &rules);
    writer.push("\noffset 0\n) as c");
    let parts = parts.join(", ");
    match (sums_up, split.buckets) {
        _ if parts.is_empty() => &mut writer,
        (false, _) => writer.push("\ngroup by ").push(&parts),
        (true, Some(_)) => writer.push("\ngroup by grouping sets ((c.class, c.g), (c.class))"),
        (true, None) => writer.push("\ngroup by grouping sets ((c.g), ())"),
    };
    writer.finish()
}

/// The place of the first of these rules whose condition holds of a row.
pub(super) fn covering_rule(rules: &[usize]) -> String {
    if rules.is_empty() {
        return "null::pg_catalog.int4".to_owned();
    }
    let branches: Vec<String> =
        rules.iter().map(|place| format!("when r.a{place} then {place}")).collect();
    format!("case {} end", branches.join(" "))
}
