//! Which tables a change reaches through `ON DELETE` and `ON UPDATE`: those that refer to the written
//! table, those that refer to them, and so on. A deleted row deletes or changes the rows that refer to
//! it; a changed row changes the rows that refer to the changed columns.

use std::collections::BTreeSet;
use std::fmt;

use super::change::{ChangeShape, Operation};
use super::quote::escape_table;
use crate::schema::{ColumnName, Link, TableName};

/// A table that a change reaches through a foreign key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cascade<'s> {
    table: &'s TableName,
    /// The operation on the rows that it refers to.
    on: &'static str,
    /// What the foreign key does to its own rows.
    action: &'s str,
    /// The table that it refers to, if it is not the written one.
    through: Option<&'s TableName>,
}

/// What happens to the rows of a table: they are deleted, or these columns change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Effect<'s> {
    Deleted,
    Changed(BTreeSet<&'s ColumnName>),
}

/// Returns the tables that a change reaches, the nearest first.
pub fn find_cascades(shape: &ChangeShape) -> Vec<Cascade<'_>> {
    follow(shape, shape.referrers.iter())
}

/// Returns the tables that a change reaches through these foreign keys, the nearest first.
fn follow<'s>(shape: &'s ChangeShape, links: impl Iterator<Item = &'s Link>) -> Vec<Cascade<'s>> {
    let mut all: Vec<Cascade<'_>> = Vec::new();
    let mut effects: Vec<(&TableName, Effect<'_>)> = Vec::new();
    let mut add =
        |link: &'s Link, deleted: bool, action: &'s str, through, effects: &mut Vec<_>| {
            let table = &link.there.table;
            let on = if deleted { "DELETE" } else { "UPDATE" };
            let cascade = Cascade { table, on, action, through };
            if !all.contains(&cascade) {
                all.push(cascade);
            }
            let effect = match (deleted, action) {
                (true, "CASCADE") => Effect::Deleted,
                _ => Effect::Changed(link.columns.iter().map(|(_, theirs)| theirs).collect()),
            };
            if !effects.contains(&(table, effect.clone())) {
                effects.push((table, effect));
            }
        };
    for link in links {
        if let Some(action) = shape.action(link) {
            add(link, shape.operation == Operation::Delete, action, None, &mut effects);
        }
    }
    let mut at = 0;
    while let Some((table, effect)) = effects.get(at).cloned() {
        let known = shape.beyond.iter().filter(|(known, _)| known == table);
        for link in known.flat_map(|(_, links)| links) {
            let action = match &effect {
                Effect::Deleted => &link.on_delete,
                Effect::Changed(columns) => {
                    let moved = link.columns.iter().any(|(own, _)| columns.contains(own));
                    if moved || link.generated { &link.on_update } else { &None }
                }
            };
            if let Some(action) = action {
                add(link, effect == Effect::Deleted, action, Some(table), &mut effects);
            }
        }
        at += 1;
    }
    all
}

/// Returns the names of the tables that a foreign key reaches beyond its own; `None` if there are
/// none.
pub(super) fn tables_beyond(shape: &ChangeShape, link: &Link) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for cascade in follow(shape, std::iter::once(link)).iter().skip(1) {
        let name = escape_table(cascade.table);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(", "))
}

impl fmt::Display for Cascade<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by ON {} {}", escape_table(self.table), self.on, self.action)?;
        self.through.map_or(Ok(()), |through| write!(f, " of {}", escape_table(through)))
    }
}
