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

use super::blocked::Blocked;
use super::changes::{Spool, Spooled};
use crate::repair::{Act, Change, Mark, Marker, Needs, Scope, Shape, groups};
use crate::schema::{ColumnName, Link, Unique};

/// Changes of one mapping and one kind, ready to be written.
pub(super) struct Member {
    /// The mapping, by place.
    pub(super) place: usize,
    pub(super) shape: Shape,
    pub(super) spooled: Spooled,
    /// How each row's marks are made: of its image before or after, at these columns.
    has: Vec<Source>,
    needs: Vec<Source>,
}

/// Where a mark is taken from.
struct Source {
    /// Marks of one relation can meet.
    relation: Relation,
    columns: Vec<usize>,
    old: bool,
    /// Whether only rows count that change the value.
    changed: bool,
}

/// What marks are of: columns that are referred to, or a unique index.
type Relation = (u32, Vec<ColumnName>, bool);

/// Members that make one script.
pub(super) struct Arranged {
    pub(super) members: Vec<Member>,
    /// The rows of all members, one after the other, in the order in which they run, and where that
    /// order has its batches cut; nothing if it is the order in which they were made.
    order: Option<(Vec<u32>, Cuts)>,
}

/// Rows that can be cut into batches anywhere, and those that belong together, which come last; or
/// first, where it runs backwards.
#[derive(Clone, Copy)]
struct Cuts {
    free: usize,
    backwards: bool,
}

/// A unique value that changes of one kind free and others take, within one mapping.
struct Handover {
    place: usize,
    unique: Unique,
    from: Act,
    to: Act,
}

/// Arranges what was made.
///
/// # Errors
/// When deletes and other changes wait for each other, or a value cannot change hands.
pub(super) fn arrange(
    spools: BTreeMap<(Act, usize), Spool>,
    scopes: &BTreeMap<usize, &Scope>,
    shape: impl Fn(Act, usize) -> Shape,
) -> Result<Vec<Arranged>, Blocked> {
    let mut members = Vec::new();
    for ((act, place), spool) in spools {
        let spooled = spool.finish()?;
        let mut shape = shape(act, place);
        if act == Act::Update {
            shape.set = spooled.set.iter().copied().collect();
        }
        members.push(Member { place, shape, spooled, has: Vec::new(), needs: Vec::new() });
    }
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
                if scopes[&parent.place].stored.oid == link.oid {
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
    Ok(arranged)
}

/// Whether changes of a child's table have to wait for those of its parent's, or the other way round.
fn pair_of(
    link: &Link,
    (child_at, child): (usize, &Member),
    (parent_at, parent): (usize, &Member),
    scopes: &BTreeMap<usize, &Scope>,
) -> Option<(usize, usize)> {
    let own = || link.columns.iter().map(|(own, _)| own);
    let theirs = || link.columns.iter().map(|(_, theirs)| theirs);
    let child_moves = child.sets(scopes, own());
    match (child.shape.act, parent.shape.act) {
        (Act::Insert, Act::Insert) => Some((parent_at, child_at)),
        (Act::Update, Act::Insert) if child_moves => Some((parent_at, child_at)),
        (Act::Insert, Act::Update) if parent.sets(scopes, theirs()) => Some((parent_at, child_at)),
        (Act::Update, Act::Update) if child_moves && parent.sets(scopes, theirs()) => {
            Some((parent_at, child_at))
        }
        (Act::Delete, Act::Delete) => Some((child_at, parent_at)),
        (Act::Update, Act::Delete) if child_moves => Some((child_at, parent_at)),
        _ => None,
    }
}

impl Member {
    fn places<'n>(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        names: impl Iterator<Item = &'n ColumnName>,
    ) -> Option<Vec<usize>> {
        scopes[&self.place].places(self.shape.act, names)
    }

    /// Whether an update sets one of these columns.
    fn sets<'n>(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        names: impl Iterator<Item = &'n ColumnName>,
    ) -> bool {
        let places = self.places(scopes, names).unwrap_or_default();
        self.shape.act == Act::Update && places.iter().any(|at| self.shape.set.contains(at))
    }

    /// Says where its rows' marks for a foreign key come from.
    fn mark_link(&mut self, scopes: &BTreeMap<usize, &Scope>, link: &Link, is_child: bool) {
        let columns = self.places(scopes, link.columns.iter().map(|(own, _)| own));
        let set = self.sets(scopes, link.columns.iter().map(|(own, _)| own));
        let Some(columns) = columns.filter(|_| self.shape.act != Act::Update || set) else {
            return;
        };
        let names = link.columns.iter();
        let relation = match is_child {
            true => (link.oid, names.map(|(_, theirs)| theirs.clone()).collect(), false),
            false => {
                let oid = scopes[&self.place].stored.oid;
                (oid, names.map(|(own, _)| own.clone()).collect(), false)
            }
        };
        let old = self.shape.act == Act::Delete;
        let source = Source { relation, columns, old, changed: self.shape.act == Act::Update };
        if is_child { self.needs.push(source) } else { self.has.push(source) }
    }

    /// The same for a unique index whose values change hands.
    fn mark_unique(&mut self, scopes: &BTreeMap<usize, &Scope>, unique: &Unique) {
        let Some(columns) = self.places(scopes, unique.columns.iter()) else { return };
        let oid = scopes[&self.place].stored.oid;
        let changed = self.shape.act == Act::Update;
        let source = |old: bool| Source {
            relation: (oid, unique.columns.clone(), true),
            columns: columns.clone(),
            old,
            changed,
        };
        if self.shape.act != Act::Insert {
            self.has.push(source(true));
        }
        if self.shape.act != Act::Delete {
            self.needs.push(source(false));
        }
    }
}

impl Source {
    fn mark(&self, marker: &Marker, change: &Change) -> Option<Mark> {
        if self.changed && same(change, &self.columns) {
            return None;
        }
        let image = if self.old { &change.old } else { &change.new }.as_ref()?;
        marker.mark(&self.relation, self.columns.iter().map(|at| image[*at].as_deref()))
    }
}

fn same(change: &Change, columns: &[usize]) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => columns.iter().all(|at| old[*at] == new[*at]),
        _ => false,
    }
}

/// Looks for unique values that change hands. Of an index with expressions nothing is known: its
/// values are given up in any case where an update touches what they are made of.
fn handovers(
    members: &mut [Member],
    scopes: &BTreeMap<usize, &Scope>,
) -> Result<Vec<Handover>, Blocked> {
    let marker = Marker::default();
    let mut found = Vec::new();
    for (place, scope) in scopes {
        for unique in scope.uniques() {
            let own = |member: &&mut Member| member.place == *place;
            if unique.computed {
                for member in members.iter_mut().filter(own) {
                    let exchange = scope.exchange(unique, &member.spooled.set).ok().flatten();
                    let update = member.shape.act == Act::Update;
                    member.shape.exchanges.extend(exchange.filter(|_| update));
                }
                continue;
            }
            let frees = |member: &Member| {
                member.shape.act == Act::Delete || member.sets(scopes, unique.columns.iter())
            };
            let mut freed: BTreeMap<Act, hashbrown::HashSet<Mark>> = BTreeMap::new();
            for member in members.iter_mut().filter(own).filter(|member| frees(member)) {
                let marks = freed.entry(member.shape.act).or_default();
                member.each_mark(scopes, unique, &marker, true, |mark| marks.extend([mark]))?;
            }
            let takers = members.iter_mut().filter(own).filter(|member| {
                member.shape.act == Act::Insert || member.sets(scopes, unique.columns.iter())
            });
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

impl Member {
    /// The values that its rows free (`old`) or take, of a unique index.
    fn each_mark(
        &mut self,
        scopes: &BTreeMap<usize, &Scope>,
        unique: &Unique,
        marker: &Marker,
        old: bool,
        mut take: impl FnMut(Mark),
    ) -> Result<(), Blocked> {
        let Some(columns) = self.places(scopes, unique.columns.iter()) else { return Ok(()) };
        let changed = self.shape.act == Act::Update;
        let source = Source { relation: (0, Vec::new(), true), columns, old, changed };
        self.spooled.each(|change| source.mark(marker, change).into_iter().for_each(&mut take))
    }
}

fn arrange_group(
    mut members: Vec<Member>,
    scopes: &BTreeMap<usize, &Scope>,
    handovers: &[Handover],
    marker: &Marker,
) -> Result<Arranged, Blocked> {
    let acts: BTreeSet<Act> = members.iter().map(|member| member.shape.act).collect();
    let backwards = acts.contains(&Act::Delete);
    if backwards && acts.len() > 1 {
        let tables: BTreeSet<String> =
            members.iter().map(|member| member.shape.table.to_string()).collect();
        let tables = tables.into_iter().collect::<Vec<_>>().join(", ");
        let message = format!("deletes and other changes of {tables} wait for each other");
        let hint = "Repair them in steps: first with --kinds insert,update, then compare again and delete.";
        return Err(Blocked::new(message).hinted(hint));
    }
    hand_over(&mut members, scopes, handovers)?;
    let oids: BTreeSet<u32> = members.iter().map(|m| scopes[&m.place].stored.oid).collect();
    for member in &mut members {
        let stored = &scopes[&member.place].stored;
        for parent in stored.parents.iter().filter(|link| oids.contains(&link.oid)) {
            member.mark_link(scopes, parent, true);
        }
        for child in stored.referrers.iter().filter(|link| oids.contains(&link.oid)) {
            member.mark_link(scopes, child, false);
        }
    }
    let tied = |member: &Member| !member.has.is_empty() && !member.needs.is_empty();
    if members.len() == 1 && !members.iter().any(tied) {
        return Ok(Arranged { members, order: None });
    }
    let mut needs = Needs::default();
    for Member { spooled, has, needs: wants, .. } in &mut members {
        spooled.each_placed(|change| {
            let marks = |sources: &[Source]| {
                let marks = sources.iter().filter_map(|source| source.mark(marker, change));
                marks.collect::<Vec<_>>()
            };
            needs.row(marks(has).into_iter(), marks(wants).into_iter());
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
) -> Result<(), Blocked> {
    let mut done = BTreeSet::new();
    for Handover { place, unique, from, to } in handovers {
        let here = |act: Act| members.iter().any(|m| (m.place, m.shape.act) == (*place, act));
        let update = members.iter().find(|m| (m.place, m.shape.act) == (*place, Act::Update));
        let Some(update) = update.filter(|_| here(*from) && here(*to)) else { continue };
        if !done.insert((*place, &unique.name)) {
            continue;
        }
        let scope = scopes[place];
        let exchange = scope.exchange(unique, &update.spooled.set).map_err(|why| {
            Blocked::new(format!("table {}: {why}", update.shape.table)).hinted(
                "Make the constraint DEFERRABLE, or set one of the rows by hand and compare again.",
            )
        })?;
        for member in members.iter_mut().filter(|member| member.place == *place) {
            member.mark_unique(scopes, unique);
            let act = member.shape.act;
            member.shape.exchanges.extend(exchange.iter().filter_map(|e| scope.carried(e, act)));
        }
    }
    Ok(())
}

impl Arranged {
    fn rows(&self) -> usize {
        let rows: u64 = self.members.iter().map(|member| member.spooled.rows).sum();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    /// Where the batches end.
    fn ends(&self, batch: usize) -> Vec<usize> {
        let rows = self.rows();
        let (from, through) = match &self.order {
            Some((_, Cuts { free, backwards: false })) => (0, *free),
            Some((_, Cuts { free, backwards: true })) => (rows - free, rows),
            None => (0, rows),
        };
        let mut ends: Vec<usize> = (from..through).step_by(batch).skip(1).collect();
        ends.extend([from, through, rows]);
        ends.sort_unstable();
        ends.dedup();
        ends.retain(|end| *end > 0);
        ends
    }

    /// How many batches there are, and the rows of the largest.
    pub(super) fn sizes(&self, batch: usize) -> (usize, usize) {
        let ends = self.ends(batch);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let largest = ends.iter().zip(starts).map(|(end, start)| end - start).max();
        (ends.len(), largest.unwrap_or(0))
    }

    /// Hands the batches on: the changes by member, and the lines in which they are written down.
    pub(super) fn batches(
        &mut self,
        batch: usize,
        mut take: impl FnMut(Vec<Vec<Change>>, &str) -> Result<(), Blocked>,
    ) -> Result<(), Blocked> {
        let ends = self.ends(batch);
        let (mut start, mut text) = (0, String::new());
        let count = self.members.len();
        for member in &mut self.members {
            member.spooled.rewind()?;
        }
        for end in ends {
            let (mut changes, mut lines) = (vec![Vec::new(); count], String::new());
            for at in start..end {
                let (stage, change) = match &self.order {
                    None => (0, self.members[0].spooled.next(&mut text)?),
                    Some((order, _)) => {
                        let (stage, place) = located(&self.members, u64::from(order[at]));
                        (stage, self.members[stage].spooled.at(place, &mut text)?)
                    }
                };
                changes[stage].extend(change);
                match (stage, text.strip_prefix('{')) {
                    (1.., Some(rest)) => lines.push_str(&format!("{{\"stage\":{stage},{rest}")),
                    _ => lines.push_str(&text),
                }
            }
            start = end;
            take(changes, &lines)?;
        }
        Ok(())
    }
}

/// Which member a row is of, and its place there.
fn located(members: &[Member], mut row: u64) -> (usize, u64) {
    for (stage, member) in members.iter().enumerate() {
        if row < member.spooled.rows {
            return (stage, row);
        }
        row -= member.spooled.rows;
    }
    (0, row)
}
