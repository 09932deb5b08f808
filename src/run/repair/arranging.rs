//! Which changes make one script, and in what order they run: foreign keys and unique values decide.
//!
//! ```text
//! insert(parent) ─▶ insert(child), update(child)      whoever frees a unique value
//! update(child), delete(child) ─▶ delete(parent)           ─▶ whoever takes it
//! ```
//!
//! What waits for each other in a circle becomes one script, whose batches change all of its tables in
//! one statement. Values are only looked at where foreign keys or unique indexes ask for it.

use std::collections::{BTreeMap, BTreeSet};

use super::batching::{Arranged, Cuts};
use super::changes::Spool;
use super::leaving::{LeftOut, leave_out};
use super::member::{Member, Source};
use super::refusal::{Refusal, Unmade};
use crate::repair::{Act, Mark, Marker, Needs, Scope, Shape, groups};
use crate::run::blocked::Blocked;
use crate::schema::{ForeignKey, StoredTable, UniqueIndex};

/// A unique value that changes of one kind free and others take, within one mapping.
struct Handover {
    place: usize,
    unique: UniqueIndex,
    from: Act,
    to: Act,
}

/// Arranges what was made.
///
/// # Errors
/// When deletes and other changes wait for each other, or a value cannot change hands.
pub(in crate::run) fn arrange(
    spools: BTreeMap<(Act, usize), Spool>,
    scopes: &BTreeMap<usize, &Scope>,
    shape: impl Fn(Act, usize) -> Shape,
) -> Result<(Vec<Arranged>, LeftOut), Unmade> {
    let mut members = Vec::new();
    for ((act, place), spool) in spools {
        let spooled = spool.finish()?;
        let mut shape = shape(act, place);
        if act == Act::Update {
            shape.set = spooled.set.iter().copied().collect();
        }
        members.push(Member::new(place, shape, spooled));
    }
    let left_out = leave_out(&mut members, scopes)?;
    members.retain(|member| member.spooled.rows > 0);
    let handovers = handovers(&mut members, scopes)?;
    let mut before = BTreeSet::new();
    let at = |place: usize, act: Act| {
        members.iter().position(|member| (member.place, member.shape.act) == (place, act))
    };
    for handover in &handovers {
        let ends = (at(handover.place, handover.from), at(handover.place, handover.to));
        if let (Some(from), Some(to)) = ends {
            before.insert((from, to));
        }
    }
    for (child_at, child) in members.iter().enumerate() {
        for link in &scopes[&child.place].stored.parents {
            for (parent_at, parent) in members.iter().enumerate() {
                let referrers = &scopes[&parent.place].stored.referrers;
                if referrers.iter().any(|referrer| referrer.root == link.root) {
                    before.extend(pair_of(link, (child_at, child), (parent_at, parent), scopes));
                }
            }
        }
    }
    let groups = groups(members.len(), &before);
    let mut members: Vec<Option<Member>> = members.into_iter().map(Some).collect();
    let marker = Marker::default();
    let mut arranged = Vec::new();
    for group in groups {
        let own: Vec<Member> = group.into_iter().filter_map(|at| members[at].take()).collect();
        arranged.push(arrange_group(own, scopes, &handovers, &marker)?);
    }
    Ok((arranged, left_out))
}

/// Whether changes of a child's table have to wait for those of its parent's, or the other way round.
fn pair_of(
    link: &ForeignKey,
    (child_at, child): (usize, &Member),
    (parent_at, parent): (usize, &Member),
    scopes: &BTreeMap<usize, &Scope>,
) -> Vec<(usize, usize)> {
    let own = || link.columns.iter().map(|(own, _)| own);
    let theirs = || link.columns.iter().map(|(_, theirs)| theirs);
    let child_moves = child.sets(scopes, own());
    let parent_moves = parent.sets(scopes, theirs());
    // Rows that do not follow what they refer to have to leave it before it changes.
    let leaves = link.on_update.is_none() && parent_moves && child_at != parent_at;
    let (parent_first, child_first) = ((parent_at, child_at), (child_at, parent_at));
    match (child.shape.act, parent.shape.act) {
        (Act::Insert, Act::Insert) => vec![parent_first],
        (Act::Update, Act::Insert) if child_moves => vec![parent_first],
        (Act::Insert, Act::Update) if parent_moves => vec![parent_first],
        (Act::Update, Act::Update) if child_moves && leaves => vec![parent_first, child_first],
        (Act::Update, Act::Update) if child_moves && parent_moves => vec![parent_first],
        (Act::Delete, Act::Delete) => vec![child_first],
        (Act::Update, Act::Delete) if child_moves => vec![child_first],
        (Act::Delete, Act::Update) if leaves && child.place != parent.place => vec![child_first],
        _ => Vec::new(),
    }
}

/// Looks for unique values that change hands.
fn handovers(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
) -> Result<Vec<Handover>, Blocked> {
    let marker = Marker::default();
    let mut found = Vec::new();
    for (place, scope) in scopes {
        for unique in scope.uniques() {
            let own = |member: &&mut Member| member.place == *place;
            let frees =
                |member: &Member| member.shape.act == Act::Delete || member.moves(scopes, unique);
            let mut freed: BTreeMap<Act, hashbrown::HashSet<Mark>> = BTreeMap::new();
            for member in members.iter_mut().filter(own).filter(|member| frees(member)) {
                let marks = freed.entry(member.shape.act).or_default();
                member.each_mark(scopes, unique, &marker, true, |mark| marks.extend([mark]))?;
                if !marks.is_empty() {
                    marks.extend(member.any(scopes, unique, &marker));
                }
            }
            let takers = members
                .iter_mut()
                .filter(own)
                .filter(|member| member.shape.act == Act::Insert || member.moves(scopes, unique));
            for member in takers.filter(|_| !freed.is_empty()) {
                let mut from = BTreeSet::new();
                member.each_mark(scopes, unique, &marker, false, |mark| {
                    from.extend(
                        freed.iter().filter(|(_, m)| m.contains(&mark)).map(|(act, _)| *act),
                    );
                })?;
                let to = member.shape.act;
                let handover = |from| Handover { place: *place, unique: unique.clone(), from, to };
                found.extend(from.into_iter().map(handover));
            }
        }
    }
    Ok(found)
}

/// Puts the rows of members that make one script in order, where they need each other.
fn arrange_group(
    mut members: Vec<Member>,
    scopes: &BTreeMap<usize, &Scope>,
    handovers: &[Handover],
    marker: &Marker,
) -> Result<Arranged, Unmade> {
    let acts: BTreeSet<Act> = members.iter().map(|member| member.shape.act).collect();
    let backwards = acts.contains(&Act::Delete);
    if backwards && acts.len() > 1 {
        let tables: BTreeSet<String> =
            members.iter().map(|member| member.shape.table.to_string()).collect();
        let tables = tables.into_iter().collect::<Vec<_>>().join(", ");
        let why = format!("deletes and other changes of {tables} wait for each other");
        let hint = "Repair them in steps: first with --kinds insert,update, then compare again and delete. Where a row that comes takes a unique value of one that goes, change that one by hand first.";
        let places: BTreeSet<usize> = members.iter().map(|member| member.place).collect();
        let refusal = |place| Refusal { place, why: why.clone(), hint: hint.to_owned() };
        return Err(Unmade::Refused(places.into_iter().map(refusal).collect()));
    }
    hand_over(&mut members, scopes, handovers)?;
    let roots = |links: fn(&StoredTable) -> &[ForeignKey]| -> BTreeSet<u32> {
        let stored = members.iter().map(|member| &scopes[&member.place].stored);
        stored.flat_map(links).map(|link| link.root).collect()
    };
    let parents = roots(|stored| &stored.parents);
    let within: BTreeSet<u32> = &parents & &roots(|stored| &stored.referrers);
    for member in &mut members {
        let stored = &scopes[&member.place].stored;
        for parent in stored.parents.iter().filter(|link| within.contains(&link.root)) {
            member.mark_link(scopes, parent, true);
        }
        for child in stored.referrers.iter().filter(|link| within.contains(&link.root)) {
            member.mark_link(scopes, child, false);
        }
    }
    let tied = |member: &Member| !member.has.is_empty() && !member.needs.is_empty();
    if members.len() == 1 && !members.iter().any(tied) {
        return Ok(Arranged { members, order: None });
    }
    let mut needs = Needs::default();
    for Member { spooled, has, needs: wants, leaves, left, .. } in &mut members {
        spooled.each_placed(|change, told| {
            let marks = |sources: &[Source]| {
                let marks = sources.iter().filter_map(|source| source.mark(marker, change, told));
                marks.collect::<Vec<_>>()
            };
            needs.row(marks(&[&has[..], &left[..]].concat()), marks(wants), marks(leaves));
        })?;
    }
    let (mut order, free) = needs.order();
    if backwards {
        order.reverse();
    }
    Ok(Arranged { members, order: Some((order, Cuts { free, backwards })) })
}

/// Prepares members of one script for the values that they hand to each other.
fn hand_over(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
    handovers: &[Handover],
) -> Result<(), Unmade> {
    let mut done = BTreeSet::new();
    for Handover { place, unique, from, to } in handovers {
        let here = |act: Act| members.iter().any(|m| (m.place, m.shape.act) == (*place, act));
        let update = members.iter().find(|m| (m.place, m.shape.act) == (*place, Act::Update));
        let Some(update) = update.filter(|_| here(*from) && here(*to)) else { continue };
        // Of such rows only those are left that have nothing but their own value to wait for.
        if from == to && unique.told.as_ref().is_some_and(|told| told.coarse) {
            continue;
        }
        if !done.insert((*place, &unique.name)) {
            continue;
        }
        let scope = scopes[place];
        let exchange = scope
            .exchange(unique, &update.spooled.set, &update.spooled.told.limits)
            .map_err(|why| {
                let hint = "Make the constraint DEFERRABLE, or set one of the rows by hand and \
                            compare again.";
                Unmade::Refused(vec![Refusal { place: *place, why, hint: hint.to_owned() }])
            })?;
        for member in members.iter_mut().filter(|member| member.place == *place) {
            member.mark_unique(scopes, unique);
            let act = member.shape.act;
            member.shape.exchanges.extend(exchange.iter().filter_map(|e| scope.carried(e, act)));
        }
    }
    Ok(())
}
