//! Changes that cannot run, left out by name: an update of an index whose values nothing can stand in for,
//! while other rows still have what it takes; an insert whose key another row has and keeps; whatever
//! needs what such rows have; and what rows refer to that stay.
//!
//! Within one statement nobody says which row comes first, so not even a chain of updates would do.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};

use super::member::{ANY, Member, Source};
use super::occupied::is_of;
use crate::repair::{Act, Mark, Marker, Scope};
use crate::run::blocked::Blocked;
use crate::schema::{ColumnName, Link, Unique};

/// How many rows of a mapping are left out, by mapping and reason.
pub(in crate::run) type LeftOut = BTreeMap<(usize, String), u64>;

/// Why a change is left out that needs another one.
const NEEDS: &str = "that need what rows left out have";

/// Why an insert is left out whose key comes with another one.
const TWICE: &str = "whose key another row to insert has, equal if not the same";

/// Why a change is left out that takes away what a row refers to.
const REFERRED: &str = "that other rows still refer to";

/// That a change is left out.
struct Gone {
    why: String,
    /// Whether a row of its key is there all the same: then whoever refers to the key finds it.
    there: bool,
}

/// Leaves out what cannot run.
pub(in crate::run) fn leave_out(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
) -> Result<LeftOut, Blocked> {
    let marker = Marker::default();
    let kept = missing(members, scopes, &marker)?;
    let stays = referred(members, scopes, &marker)?;
    let mut gone: Vec<BTreeMap<usize, Gone>> = Vec::new();
    for member in members.iter() {
        let mut rows = BTreeMap::new();
        if member.shape.act == Act::Insert {
            let deletes = members
                .iter()
                .find(|other| (other.place, other.shape.act) == (member.place, Act::Delete));
            taken(member, deletes, scopes[&member.place], &mut rows);
        }
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
    if gone.iter().all(BTreeMap::is_empty) && kept.is_empty() && stays.is_empty() {
        return Ok(LeftOut::new());
    }
    follow(members, scopes, &marker, (kept, stays), &mut gone)?;
    let mut left_out = LeftOut::new();
    for (member, gone) in members.iter_mut().zip(gone) {
        let rows: BTreeSet<usize> = gone.keys().copied().collect();
        if !rows.is_empty() {
            member.spooled.forget(&rows)?;
        }
        for gone in gone.into_values() {
            *left_out.entry((member.place, gone.why)).or_default() += 1;
        }
    }
    Ok(left_out)
}

/// Values that rows refer to, which are not there and do not come.
fn missing(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
    marker: &Marker,
) -> Result<HashSet<Mark>, Blocked> {
    let mut missing = HashSet::new();
    for member in members.iter_mut() {
        let asked = std::mem::take(&mut member.spooled.told.references.missing);
        let links = scopes[&member.place].stored.parents.iter();
        let sources: Vec<_> = links.map(|link| member.key_source(scopes, link, false)).collect();
        let mut rows = 0..;
        member.spooled.each(|change, told| {
            let keys = rows.next().and_then(|row| asked.get(&row)).into_iter().flatten();
            let sources = keys.filter_map(|key| sources[*key].as_ref());
            missing.extend(sources.filter_map(|source| source.mark(marker, change, told)));
        })?;
    }
    if missing.is_empty() {
        return Ok(missing);
    }
    for member in members.iter_mut() {
        let links = scopes[&member.place].stored.referrers.iter();
        let come: Vec<_> =
            links.filter_map(|link| member.key_source(scopes, link, false)).collect();
        each_value(member, &come, marker, |mark| {
            missing.remove(&mark);
        })?;
    }
    Ok(missing)
}

/// Values that rows would take away though other rows refer to them, more than go or change with them.
fn referred(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
    marker: &Marker,
) -> Result<HashSet<Mark>, Blocked> {
    let mut referred: HashMap<Mark, u64> = HashMap::new();
    for member in members.iter_mut() {
        let asked = std::mem::take(&mut member.spooled.told.references.referred);
        let links = scopes[&member.place].stored.referrers.iter();
        let sources: Vec<_> = links.map(|link| member.key_source(scopes, link, true)).collect();
        let mut rows = 0..;
        member.spooled.each(|change, told| {
            let keys = rows.next().and_then(|row| asked.get(&row)).into_iter().flatten();
            let known = keys.filter_map(|(key, rows)| Some((sources[*key].as_ref()?, *rows)));
            referred
                .extend(known.filter_map(|(s, rows)| Some((s.mark(marker, change, told)?, rows))));
        })?;
    }
    if referred.is_empty() {
        return Ok(HashSet::new());
    }
    for member in members.iter_mut() {
        let links = scopes[&member.place].stored.parents.iter();
        let go: Vec<_> = links.filter_map(|link| member.key_source(scopes, link, true)).collect();
        each_value(member, &go, marker, |mark| {
            referred.entry(mark).and_modify(|rows| *rows = rows.saturating_sub(1));
        })?;
    }
    Ok(referred.into_iter().filter(|(_, rows)| *rows > 0).map(|(mark, _)| mark).collect())
}

/// Hands on what each row of a member has in these keys.
fn each_value(
    member: &mut Member,
    sources: &[Source],
    marker: &Marker,
    mut take: impl FnMut(Mark),
) -> Result<(), Blocked> {
    member.spooled.each(|change, told| {
        sources.iter().filter_map(|source| source.mark(marker, change, told)).for_each(&mut take);
    })
}

/// Inserts whose key is taken: by a row that this repair does not delete, or by another insert.
fn taken(
    member: &Member,
    deletes: Option<&Member>,
    scope: &Scope,
    gone: &mut BTreeMap<usize, Gone>,
) {
    let key: Vec<&ColumnName> =
        member.shape.key.iter().map(|at| &member.shape.columns[*at].name).collect();
    let told = scope.told().enumerate().filter(|(_, (unique, _))| is_of(unique, &key));
    let told: Vec<usize> = told.map(|(at, _)| at).collect();
    // What a row takes or frees, of each index of the key.
    let values = |member: &Member, row: usize, side: usize| -> Vec<(usize, i64)> {
        let values = member.spooled.told.of(row, member.spooled.rows);
        let value = |at: &usize| Some((*at, values.get(*at)?[side].filter(|value| *value != ANY)?));
        told.iter().filter_map(value).collect()
    };
    let rows = |member: &Member| 0..usize::try_from(member.spooled.rows).unwrap_or(0);
    let occupied = &member.spooled.told.occupied;
    let freed: HashSet<(usize, i64)> = match deletes.filter(|_| !occupied.is_empty()) {
        Some(deletes) => rows(deletes).flat_map(|row| values(deletes, row, 0)).collect(),
        None => HashSet::new(),
    };
    for (row, found) in occupied {
        let comes_free = values(member, *row, 1).iter().any(|value| freed.contains(value));
        if !(found.seen && comes_free) {
            gone.insert(*row, Gone { why: found.why.clone(), there: true });
        }
    }
    let mut come: HashSet<(usize, i64)> = HashSet::new();
    for row in rows(member).filter(|_| !told.is_empty()) {
        let values = values(member, row, 1);
        if gone.contains_key(&row) {
            continue;
        }
        if values.iter().any(|value| come.contains(value)) {
            gone.insert(row, Gone { why: TWICE.to_owned(), there: true });
        } else {
            come.extend(values);
        }
    }
}

/// Updates that take what other updates free.
fn takers(
    member: &Member,
    scopes: &BTreeMap<usize, &Scope>,
    unique: &Unique,
    gone: &mut BTreeMap<usize, Gone>,
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
            gone.entry(row).or_insert_with(|| Gone { why: why(unique), there: false });
        }
    }
}

/// Changes that need what rows left out have: a value that they do not give up, a parent that does not
/// come, a child that does not go. `kept` and `stays` hold the marks of such values from the start.
fn follow(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
    marker: &Marker,
    (mut kept, mut stays): (HashSet<Mark>, HashSet<Mark>),
    gone: &mut [BTreeMap<usize, Gone>],
) -> Result<(), Blocked> {
    for member in members.iter_mut() {
        let scope = scopes[&member.place];
        for unique in scope.uniques() {
            member.mark_unique(scopes, unique);
        }
        if member.shape.act == Act::Delete {
            continue;
        }
        for link in &scope.stored.parents {
            member.mark_link(scopes, link, true);
        }
        for link in &scope.stored.referrers {
            member.mark_link(scopes, link, false);
        }
    }
    loop {
        let mut more = false;
        for (member, gone) in members.iter_mut().zip(gone.iter_mut()) {
            let any: Vec<Mark> = scopes[&member.place]
                .told()
                .filter_map(|(unique, _)| member.any(scopes, unique, marker))
                .collect();
            let stored = &scopes[&member.place].stored;
            let old = |link| member.key_source(scopes, link, true);
            let refers: Vec<Source> = stored.parents.iter().filter_map(old).collect();
            let follows =
                |link: &&Link| member.shape.cascade && member.shape.action(link).is_some();
            let takes = stored.referrers.iter().filter(|link| !follows(link));
            let takes: Vec<Source> = takes.filter_map(old).collect();
            let Member { spooled, has, needs, leaves, left, shape, .. } = member;
            let mut row = 0;
            spooled.each(|change, told| {
                let needed = needs.iter().chain(left.iter());
                let needed = needed.filter_map(|source| source.mark(marker, change, told));
                if !gone.contains_key(&row) && needed.into_iter().any(|mark| kept.contains(&mark)) {
                    gone.insert(row, Gone { why: NEEDS.to_owned(), there: false });
                }
                let mut taken = takes.iter().filter_map(|source| source.mark(marker, change, told));
                if !gone.contains_key(&row) && taken.any(|mark| stays.contains(&mark)) {
                    gone.insert(row, Gone { why: REFERRED.to_owned(), there: false });
                }
                if let Some(gone) = gone.get(&row) {
                    let missing = |source: &&Source| !(gone.there && source.is_of(&shape.key));
                    let marks = has.iter().chain(leaves.iter()).filter(missing);
                    let before = kept.len();
                    let stayed = stays.len();
                    stays.extend(refers.iter().filter_map(|s| s.mark(marker, change, told)));
                    more |= stays.len() > stayed;
                    kept.extend(marks.filter_map(|source| source.mark(marker, change, told)));
                    if kept.len() > before {
                        // What does not come frees nothing.
                        if shape.act != Act::Insert {
                            kept.extend(any.iter().copied());
                        }
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
