//! Rows by their keys: what a recheck reads.

use hashbrown::HashSet;

use super::canonical_form::{looked_up, row_hash};
use super::large_value::abridged_text;
use super::relation::from_looked_up;
use super::rows::{form_list, group_text};
use super::statement::{Bind, Statement, Writer};
use crate::plan::{MappingPlan, Strategy};
use crate::row::Key;
use crate::schema::{BySide, Side};

/// Where the parts of a looked-up row stand among its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookupLayout {
    /// The canonical forms of all pairs come first.
    pub forms: usize,
    /// Then an array of each pair's value as people read it, and the time of the row's last change where
    /// the side tells it.
    pub texts: usize,
    /// Then the row's hash, where servers hash rows.
    pub row_hash: Option<usize>,
    /// Then the group's text, where there are groups.
    pub group: Option<usize>,
    /// Then, of the side's accept rules, whether the condition holds: the field and the rule's place.
    pub rules: BySide<Vec<(usize, usize)>>,
}

impl LookupLayout {
    /// The layout for a plan.
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

/// The rows of these keys, laid out as [`Lookup`] says. Rows of other keys may come with them where
/// a column's own equality is looser than that of bytes.
pub fn look_up(plan: &MappingPlan, side: Side, keys: &[&Key]) -> Statement {
    let mut writer = Writer::new(&plan.params);
    let width = plan.pairs.len();
    writer.push("select ");
    form_list(&mut writer, plan, side, width);
    // One array: a list of 1,600 columns has no room for their texts as well.
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

/// Writes which rows: those of these keys.
pub(super) fn by_keys(writer: &mut Writer<'_>, plan: &MappingPlan, side: Side, keys: &[&Key]) {
    match plan.key() {
        [pair] => {
            let keys = field_array(plan, keys, 0);
            writer.push("\nwhere ").push(&looked_up(pair, side, 0));
            writer.push(" operator(pg_catalog.=) any(").bind(keys).push(")");
        }
        pairs => {
            // A key that is joined twice would bring its rows twice.
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
                let value = looked_up(pair, side, index);
                writer.push(&format!("{value} operator(pg_catalog.=) k.k{index}"));
            });
        }
    }
}

fn field_array(plan: &MappingPlan, keys: &[&Key], index: usize) -> Bind {
    let fields: Vec<&[u8]> = keys.iter().filter_map(|key| key.fields().nth(index)).collect();
    Bind::array(plan.key()[index].wire(), fields.into_iter())
}
