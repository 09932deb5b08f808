//! Changes that cannot run, left out by name: an update of an index whose values nothing can stand in for,
//! while other rows still have what it takes; and whatever needs what such rows have.
//!
//! Within one statement nobody says which row comes first, so not even a chain of them would do.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use super::member::Member;
use crate::repair::{Act, Mark, Marker, Scope};
use crate::run::blocked::Blocked;
use crate::schema::Unique;

/// How many rows of a mapping are left out, by mapping and reason.
pub(in crate::run) type LeftOut = BTreeMap<(usize, String), u64>;

/// Why a change is left out that needs another one.
const NEEDS: &str = "that need what rows left out have";

/// Leaves out what cannot run.
pub(in crate::run) fn leave_out(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
) -> Result<LeftOut, Blocked> {
    let marker = Marker::default();
    let mut gone: Vec<BTreeMap<usize, String>> = Vec::new();
    for member in members.iter_mut() {
        let mut rows = BTreeMap::new();
        if member.shape.act == Act::Update {
            let scope = scopes[&member.place];
            for (unique, _) in scope.told() {
                let (set, limits) = (&member.spooled.set, &member.spooled.told.limits);
                if member.moves(scopes, unique) && scope.exchange(unique, set, limits).is_err() {
                    takers(member, scopes, unique, &mut rows);
                }
            }
        }
        gone.push(rows);
    }
    if gone.iter().all(BTreeMap::is_empty) {
        return Ok(LeftOut::new());
    }
    follow(members, scopes, &marker, &mut gone)?;
    let mut left_out = LeftOut::new();
    for (member, gone) in members.iter_mut().zip(gone) {
        let rows: BTreeSet<usize> = gone.keys().copied().collect();
        if !rows.is_empty() {
            member.spooled.forget(&rows)?;
        }
        for why in gone.into_values() {
            *left_out.entry((member.place, why)).or_default() += 1;
        }
    }
    Ok(left_out)
}

/// Updates that take what other updates free.
fn takers(
    member: &Member,
    scopes: &BTreeMap<usize, &Scope>,
    unique: &Unique,
    gone: &mut BTreeMap<usize, String>,
) {
    let at = scopes[&member.place].told().position(|(other, _)| other.name == unique.name);
    let Some(at) = at else { return };
    let rows = member.spooled.rows;
    let values: Vec<[Option<i64>; 2]> = (0..usize::try_from(rows).unwrap_or(0))
        .map(|row| member.spooled.told.of(row, rows).get(at).copied().unwrap_or_default())
        .collect();
    let mut freed: HashMap<i64, usize> = HashMap::new();
    for value in values.iter().filter_map(|[old, _]| *old) {
        *freed.entry(value).or_default() += 1;
    }
    for (row, [old, new]) in values.iter().enumerate() {
        let Some(new) = new else { continue };
        let others = freed.get(new).copied().unwrap_or(0) - usize::from(*old == Some(*new));
        if others > 0 {
            gone.entry(row).or_insert_with(|| why(unique));
        }
    }
}

/// Inserts and updates that need what rows left out have: a value that they do not give up, a parent
/// that does not come.
fn follow(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
    marker: &Marker,
    gone: &mut [BTreeMap<usize, String>],
) -> Result<(), Blocked> {
    for member in members.iter_mut().filter(|member| member.shape.act != Act::Delete) {
        let scope = scopes[&member.place];
        for unique in scope.uniques() {
            member.mark_unique(scopes, unique);
        }
        for link in &scope.stored.parents {
            member.mark_link(scopes, link, true);
        }
        for link in &scope.stored.referrers {
            member.mark_link(scopes, link, false);
        }
    }
    let mut kept: HashSet<Mark> = HashSet::new();
    loop {
        let mut more = false;
        for (member, gone) in members.iter_mut().zip(gone.iter_mut()) {
            let any: Vec<Mark> = scopes[&member.place]
                .told()
                .filter_map(|(unique, _)| member.any(scopes, unique, marker))
                .collect();
            let Member { spooled, has, needs, leaves, left, .. } = member;
            let mut row = 0;
            spooled.each(|change, told| {
                let needed = needs.iter().chain(left.iter());
                let needed = needed.filter_map(|source| source.mark(marker, change, told));
                if !gone.contains_key(&row) && needed.into_iter().any(|mark| kept.contains(&mark)) {
                    gone.insert(row, NEEDS.to_owned());
                }
                if gone.contains_key(&row) {
                    let marks = has.iter().chain(leaves.iter());
                    let marks = marks.filter_map(|source| source.mark(marker, change, told));
                    let before = kept.len();
                    kept.extend(marks);
                    if kept.len() > before {
                        kept.extend(any.iter().copied());
                        more = true;
                    }
                }
                row += 1;
            })?;
        }
        if !more {
            break;
        }
    }
    for member in members {
        member.unmark();
    }
    Ok(())
}

/// Why a change is left out that takes what another one is to free.
fn why(unique: &Unique) -> String {
    format!("that take values of unique index \"{}\" from rows that change with them", unique.name)
}
