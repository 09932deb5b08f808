//! Rows by their keys, as a recheck reads them.

use hashbrown::HashSet;

use super::canonical_form::{looked_up_value, row_hash};
use super::large_value::abridged_text;
use super::relation::from_looked_up;
use super::rows::{form_list, group_text};
use super::statement::{Bind, Statement, Writer};
use crate::plan::{MappingPlan, Strategy};
use crate::row::Key;
use crate::schema::{BySide, Side};

/// The layout of a row that was read by its key: where each part is among the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupLayout {
    /// First the canonical forms of all pairs.
    pub forms: usize,
    /// Then an array with the display text of each pair's value, and the time of the row's last change where
    /// findings show it.
    pub texts: usize,
    /// Then the row's hash, where servers hash rows.
    pub row_hash: Option<usize>,
    /// Then the group's text, where there are groups.
    pub group: Option<usize>,
    /// Then whether the condition of each of the side's accept rules holds: the field and the rule's index.
    pub rules: BySide<Vec<(usize, usize)>>,
}

impl LookupLayout {
    /// Returns the layout for a plan.
    pub fn of(plan: &MappingPlan) -> LookupLayout {
        let width = plan.pairs.len();
        let hashed = plan.strategy == Strategy::Digest;
        let row_hash = hashed.then_some(width + 1);
        let group = plan.group.map(|_| width + 1 + usize::from(hashed));
        let fixed = width + 1 + usize::from(hashed) + usize::from(group.is_some());
        let rules = BySide::new(|side| {
            let places = plan.accepts.of(side).into_iter();
            places.enumerate().map(|(at, place)| (fixed + at, place)).collect()
        });
        LookupLayout { forms: 0, texts: width, row_hash, group, rules }
    }
}

/// Returns the rows of these keys, laid out as [`LookupLayout`] says. Rows of other keys may be among them
/// where a column's own equality is looser than equality of bytes.
pub fn look_up(plan: &MappingPlan, side: Side, keys: &[&Key]) -> Statement {
    let mut writer = Writer::new(&plan.params);
    let width = plan.pairs.len();
    writer.push("select ");
    form_list(&mut writer, plan, side, width);
    // One array: a select list may have 1,664 entries, and a table 1,600 columns.
    writer.push(", array[");
    writer.list(", ", plan.pairs.iter().enumerate(), |writer, (index, pair)| {
        writer.push(&abridged_text(plan, pair, side, index));
    });
    if plan.sides[side].reported_changed_at().is_some() {
        writer.push(", r.changed::pg_catalog.text");
    }
    writer.push("]");
    if LookupLayout::of(plan).row_hash.is_some() {
        writer.push(", ").push(&row_hash(&plan.pairs, side));
    }
    group_text(&mut writer, plan, side);
    for place in plan.accepts.of(side) {
        writer.push(&format!(", r.a{place}"));
    }
    from_looked_up(&mut writer, plan, side);
    by_keys(&mut writer, plan, side, keys);
    writer.finish()
}

/// Writes the condition for the rows of these keys.
pub(super) fn by_keys(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, keys: &[&Key]) {
    match plan.key() {
        [pair] => {
            let keys = field_array(plan, keys, 0);
            writer.push("\nwhere ").push(&looked_up_value(pair, side, 0));
            writer.push(" operator(pg_catalog.=) any(").bind(keys).push(")");
        }
        pairs => {
            // A key that is joined twice would return its rows twice.
            let mut known = HashSet::with_capacity(keys.len());
            let keys: Vec<&Key> = keys.iter().copied().filter(|key| known.insert(*key)).collect();
            // A bare "unnest" of several arrays is syntax, and always pg_catalog's.
            writer.push("\njoin unnest(");
            writer.list(", ", 0..pairs.len(), |writer, index| {
                writer.bind(field_array(plan, &keys, index));
            });
            writer.push(") as k(");
            writer.list(", ", 0..pairs.len(), |writer, index| {
                writer.push(&format!("k{index}"));
            });
            writer.push(")\non ");
            writer.list("\nand ", pairs.iter().enumerate(), |writer, (index, pair)| {
                let value = looked_up_value(pair, side, index);
                writer.push(&format!("{value} operator(pg_catalog.=) k.k{index}"));
            });
        }
    }
}

fn field_array(plan: &MappingPlan, keys: &[&Key], index: usize) -> Bind {
    let fields: Vec<&[u8]> = keys.iter().filter_map(|key| key.fields().nth(index)).collect();
    Bind::array(plan.key()[index].wire(), fields.into_iter())
}
