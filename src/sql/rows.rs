//! Rows of a region: keys with row hashes for the drill-down, or every canonical form for `stream`.

use super::canonical_form::{in_key, row_hash};
use super::group::Grouping;
use super::large_value::sent_form;
use super::part_digests::covering_rule;
use super::region::{from_region, from_region_with_rules};
use super::statement::{Statement, Writer};
use crate::plan::MappingPlan;
use crate::row::{KeyRange, Region};
use crate::schema::Side;

/// The canonical form of each key pair, the row's hash, and the group's text where there are groups. The rows come in no particular order.
pub fn key_hashes(plan: &MappingPlan, side: Side, region: &Region) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    form_list(&mut writer, plan, side, plan.key_width);
    writer.push(", ").push(&row_hash(&plan.pairs, side));
    group_text(&mut writer, plan, side);
    from_region(&mut writer, plan, side, region);
    writer.finish()
}

/// The canonical form of every pair, and the group's text where there are groups. Where no index serves the
/// key, the server sorts the rows by it, since a chunk is then all there is; otherwise they come in no
/// particular order.
pub fn canonical_rows(plan: &MappingPlan, side: Side, range: &KeyRange) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    form_list(&mut writer, plan, side, plan.pairs.len());
    group_text(&mut writer, plan, side);
    from_region(&mut writer, plan, side, &Region::whole(range.clone()));
    if !plan.served() {
        writer.push("\norder by ");
        writer.list(", ", plan.key().iter().enumerate(), |writer, (index, pair)| {
            writer.push(&in_key(pair, side, index));
        });
    }
    writer.finish()
}

/// The same, and behind it the place of the accept rule (int4) that covers a row which only this side
/// has; NULL where none does.
pub fn canonical_rows_with_rules(plan: &MappingPlan, side: Side, range: &KeyRange) -> Statement {
    let rules = plan.accepts.of_one_sided(side);
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    form_list(&mut writer, plan, side, plan.pairs.len());
    group_text(&mut writer, plan, side);
    writer.push(", ").push(&covering_rule(&rules));
    from_region_with_rules(&mut writer, plan, side, &Region::whole(range.clone()), &rules);
    writer.finish()
}

/// Writes the canonical forms of the first `width` pairs.
pub(super) fn form_list(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, width: usize) {
    writer.list(", ", plan.pairs[..width].iter().enumerate(), |writer, (index, pair)| {
        writer.push(&sent_form(plan, pair, side, index));
    });
}

/// Writes the text of a row's group behind what stands there, where there are groups.
pub(super) fn group_text(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side) {
    if let Some(grouping) = Grouping::of(plan, side) {
        writer.push(", ").push(&grouping.text());
    }
}
