//! Rows of a region: keys with row hashes for the drill-down, or every canon for `stream`.

use super::canon::{canon, row_hash};
use super::region::from_region;
use super::statement::{Statement, Writer};
use crate::plan::MappingPlan;
use crate::row::{KeyRange, Region};
use crate::schema::Side;

/// The canon of each key pair and the row's hash. The rows come in no particular order.
pub fn key_hashes(plan: &MappingPlan, side: Side, region: &Region) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    canon_list(&mut writer, plan, side, plan.key_width);
    writer.push(", ").push(&row_hash(&plan.pairs, side));
    from_region(&mut writer, plan, side, region);
    writer.finish()
}

/// The canon of every pair. Where no index serves the key, the server sorts the rows by it, since a
/// chunk is then all there is; otherwise they come in no particular order.
pub fn canons(plan: &MappingPlan, side: Side, range: &KeyRange) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    canon_list(&mut writer, plan, side, plan.pairs.len());
    from_region(&mut writer, plan, side, &Region::whole(range.clone()));
    if !plan.served() {
        writer.push("\norder by ");
        writer.list(", ", plan.key().iter().enumerate(), |writer, (index, pair)| {
            writer.push(&canon(pair, side, index));
        });
    }
    writer.finish()
}

/// Writes the canons of the first `width` pairs.
pub(super) fn canon_list(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, width: usize) {
    writer.list(", ", plan.pairs[..width].iter().enumerate(), |writer, (index, pair)| {
        writer.push(&canon(pair, side, index));
    });
}
