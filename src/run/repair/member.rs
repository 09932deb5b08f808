//! Changes of one mapping and one kind, and the marks of their rows: what a row has that another needs,
//! and what it needs itself. Marks are made of the values in foreign keys and unique indexes.

use std::collections::BTreeMap;

use super::changes::Spooled;
use crate::repair::{Act, Change, Mark, Marker, Scope, Shape};
use crate::run::blocked::Blocked;
use crate::schema::{ColumnName, ForeignKey, UniqueIndex};

/// Changes of one mapping and one kind, ready to be written.
pub(in crate::run) struct Member {
    /// The mapping, by place.
    pub(in crate::run) place: usize,
    pub(in crate::run) shape: Shape,
    pub(in crate::run) spooled: Spooled,
    /// How each row's marks are made: of its image before or after, at these columns.
    pub(in crate::run) has: Vec<Source>,
    pub(in crate::run) needs: Vec<Source>,
    /// Of a foreign key whose rows do not follow by `ON UPDATE`: the value that a row refers to no more,
    /// and the one that it gives up itself, to which nobody may refer by then.
    pub(in crate::run) leaves: Vec<Source>,
    pub(in crate::run) left: Vec<Source>,
}

/// Where a mark is taken from.
#[derive(Clone)]
pub(in crate::run) struct Source {
    /// Marks of one relation can meet.
    relation: Relation,
    columns: Vec<usize>,
    /// Of an index whose values the server tells: its place among those.
    told: Option<usize>,
    old: bool,
    /// Whether only rows count that change the value.
    changed: bool,
}

/// What marks are of: a foreign key, or a unique index by its table and name.
#[derive(Clone, Hash)]
enum Relation {
    Key(u32),
    Left(u32),
    UniqueIndex(u32, String),
}

/// A value that may be any: a default fills it in.
pub(in crate::run) const ANY: i64 = i64::MIN;

impl Member {
    /// Changes whose rows' marks nobody has asked for yet.
    pub(in crate::run) fn new(place: usize, shape: Shape, spooled: Spooled) -> Member {
        let (has, needs, leaves, left) = Default::default();
        Member { place, shape, spooled, has, needs, leaves, left }
    }

    /// Forgets where marks come from.
    pub(in crate::run) fn unmark(&mut self) {
        for sources in [&mut self.has, &mut self.needs, &mut self.leaves, &mut self.left] {
            sources.clear();
        }
    }

    /// Where columns stand in its images; nothing if one is not there.
    pub(in crate::run) fn places<'n>(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        names: impl Iterator<Item = &'n ColumnName>,
    ) -> Option<Vec<usize>> {
        scopes[&self.place].places(self.shape.act, names)
    }

    /// Whether an update sets one of these columns.
    pub(in crate::run) fn sets<'n>(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        names: impl Iterator<Item = &'n ColumnName>,
    ) -> bool {
        let places = self.places(scopes, names).unwrap_or_default();
        self.shape.act == Act::Update && places.iter().any(|at| self.shape.set.contains(at))
    }

    /// Whether an update sets one of an index's columns: all of them have to be known, unless its server
    /// tells its values.
    pub(in crate::run) fn moves(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        unique: &UniqueIndex,
    ) -> bool {
        let mut each = unique.columns.iter();
        match unique.told {
            None => self.sets(scopes, each),
            Some(_) => each.any(|column| self.sets(scopes, [column].into_iter())),
        }
    }

    /// Says where its rows' marks for a foreign key come from.
    pub(in crate::run) fn mark_link(
        &mut self,
        scopes: &BTreeMap<usize, &Scope>,
        link: &ForeignKey,
        is_child: bool,
    ) {
        let Some(source) = self.key_source(scopes, link, self.shape.act == Act::Delete) else {
            return;
        };
        if source.changed && link.on_update.is_none() {
            let left = Source { relation: Relation::Left(link.root), old: true, ..source.clone() };
            if is_child { self.leaves.push(left) } else { self.left.push(left) }
        }
        if is_child { self.needs.push(source) } else { self.has.push(source) }
    }

    /// Where the marks of what its rows have in a foreign key's columns come from: before they change
    /// (`old`), or after.
    pub(in crate::run) fn key_source(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        link: &ForeignKey,
        old: bool,
    ) -> Option<Source> {
        let own = || link.columns.iter().map(|(own, _)| own);
        let changed = self.shape.act == Act::Update;
        let columns =
            self.places(scopes, own()).filter(|_| !changed || self.sets(scopes, own()))?;
        Some(Source { relation: Relation::Key(link.root), columns, told: None, old, changed })
    }

    /// Says where its rows' marks for a unique index come from whose values change hands.
    pub(in crate::run) fn mark_unique(
        &mut self,
        scopes: &BTreeMap<usize, &Scope>,
        unique: &UniqueIndex,
    ) {
        let Some(source) = self.unique(scopes, unique) else { return };
        let source = |old: bool| Source { old, ..source.clone() };
        if self.shape.act != Act::Insert {
            self.has.push(source(true));
        }
        if self.shape.act != Act::Delete {
            self.needs.push(source(false));
        }
    }

    /// The values that its rows free (`old`) or take, of a unique index.
    pub(in crate::run) fn each_mark(
        &mut self,
        scopes: &BTreeMap<usize, &Scope>,
        unique: &UniqueIndex,
        marker: &Marker,
        old: bool,
        mut take: impl FnMut(Mark),
    ) -> Result<(), Blocked> {
        let Some(source) = self.unique(scopes, unique) else { return Ok(()) };
        let source = Source { old, ..source };
        self.spooled
            .each(|change, told| source.mark(marker, change, told).into_iter().for_each(&mut take))
    }

    /// The mark of a value that may be any.
    pub(in crate::run) fn any(
        &self,
        scopes: &BTreeMap<usize, &Scope>,
        unique: &UniqueIndex,
        marker: &Marker,
    ) -> Option<Mark> {
        self.unique(scopes, unique).and_then(|source| source.mark_of(marker, ANY))
    }

    /// Where its rows' marks of a unique index come from: what they take.
    fn unique(&self, scopes: &BTreeMap<usize, &Scope>, unique: &UniqueIndex) -> Option<Source> {
        let scope = scopes[&self.place];
        let relation = Relation::UniqueIndex(scope.stored.oid, unique.name.clone());
        let changed = self.shape.act == Act::Update;
        if unique.told.is_some() {
            let told = scope.told().position(|(other, _)| other.name == unique.name);
            return Some(Source { relation, columns: Vec::new(), told, old: false, changed });
        }
        let columns = self.places(scopes, unique.columns.iter())?;
        Some(Source { relation, columns, told: None, old: false, changed })
    }
}

impl Source {
    /// Whether its marks are made of nothing but these columns.
    pub(in crate::run) fn is_of(&self, columns: &[usize]) -> bool {
        self.told.is_none() && self.columns.iter().all(|column| columns.contains(column))
    }

    /// The mark of a row, if it has one.
    pub(in crate::run) fn mark(
        &self,
        marker: &Marker,
        change: &Change,
        told: &[[Option<i64>; 2]],
    ) -> Option<Mark> {
        if let Some(at) = self.told {
            let value = told.get(at)?[usize::from(!self.old)]?;
            return self.mark_of(marker, value);
        }
        if self.changed && same(change, &self.columns) {
            return None;
        }
        let image = if self.old { &change.old } else { &change.new }.as_ref()?;
        marker.mark(&self.relation, self.columns.iter().map(|at| image[*at].as_deref()))
    }

    /// The mark of a value that the server has told.
    fn mark_of(&self, marker: &Marker, value: i64) -> Option<Mark> {
        marker.mark(&self.relation, [Some(value.to_string().as_str())].into_iter())
    }
}

fn same(change: &Change, columns: &[usize]) -> bool {
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => columns.iter().all(|at| old[*at] == new[*at]),
        _ => false,
    }
}
