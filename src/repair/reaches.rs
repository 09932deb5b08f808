//! How far a change reaches by itself: tables that refer to the one that is written, and those that refer
//! to them, as far as `ON DELETE` and `ON UPDATE` go on. A row that is deleted takes rows along or
//! changes them; one that is changed changes those that refer to what has changed.

use std::collections::BTreeSet;
use std::fmt;

use super::change::{Act, Shape};
use super::quote::one_line;
use crate::schema::{ColumnName, ForeignKey, TableName};

/// A table that is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached<'s> {
    table: &'s TableName,
    /// What is done to the rows that it refers to.
    on: &'static str,
    /// What becomes of its own.
    action: &'s str,
    /// Whose rows it refers to, if they are not those that the script changes.
    through: Option<&'s TableName>,
}

/// What happens to rows: they go, or these columns of them change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Way<'s> {
    Goes,
    Changes(BTreeSet<&'s ColumnName>),
}

/// Tables that a change reaches, the nearest first.
pub fn reaches(shape: &Shape) -> Vec<Reached<'_>> {
    reaches_by(shape, shape.referrers.iter())
}

/// Those that it reaches by these foreign keys, the nearest first.
fn reaches_by<'s>(
    shape: &'s Shape,
    links: impl Iterator<Item = &'s ForeignKey>,
) -> Vec<Reached<'s>> {
    let mut all: Vec<Reached<'_>> = Vec::new();
    let mut ways: Vec<(&TableName, Way<'_>)> = Vec::new();
    let mut meet =
        |link: &'s ForeignKey, goes: bool, action: &'s str, through, ways: &mut Vec<_>| {
            let table = &link.there.table;
            let reached =
                Reached { table, on: if goes { "DELETE" } else { "UPDATE" }, action, through };
            if !all.contains(&reached) {
                all.push(reached);
            }
            let way = match (goes, action) {
                (true, "CASCADE") => Way::Goes,
                _ => Way::Changes(link.columns.iter().map(|(_, theirs)| theirs).collect()),
            };
            if !ways.contains(&(table, way.clone())) {
                ways.push((table, way));
            }
        };
    for link in links {
        if let Some(action) = shape.action(link) {
            meet(link, shape.act == Act::Delete, action, None, &mut ways);
        }
    }
    let mut at = 0;
    while let Some((table, way)) = ways.get(at).cloned() {
        let known = shape.beyond.iter().filter(|(known, _)| known == table);
        for link in known.flat_map(|(_, links)| links) {
            let action = match &way {
                Way::Goes => &link.on_delete,
                Way::Changes(columns) => {
                    let moved = link.columns.iter().any(|(own, _)| columns.contains(own));
                    if moved || link.generated { &link.on_update } else { &None }
                }
            };
            if let Some(action) = action {
                meet(link, way == Way::Goes, action, Some(table), &mut ways);
            }
        }
        at += 1;
    }
    all
}

/// The tables behind the one that a foreign key reaches, by name; nothing if there are none.
pub(super) fn behind(shape: &Shape, link: &ForeignKey) -> Option<String> {
    let all = reaches_by(shape, std::iter::once(link));
    let mut names: Vec<String> = Vec::new();
    for name in all.iter().skip(1).map(|reached| name(reached.table)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (!names.is_empty()).then(|| names.join(", "))
}

fn name(table: &TableName) -> String {
    format!("{}.{}", one_line(&table.schema.0), one_line(&table.name))
}

impl fmt::Display for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by ON {} {}", name(self.table), self.on, self.action)?;
        self.through.map_or(Ok(()), |through| write!(f, " of {}", name(through)))
    }
}
